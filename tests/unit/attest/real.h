/* The evidence of real hardware in shared/evidence (its INDEX.md), for tests; absent, they skip. */
#ifndef COFRE_TESTS_REAL_H
#define COFRE_TESTS_REAL_H

#include "attest/appraise.h"
#include "tests/unit/attest/real_file.h"

#define REAL_NOW 1717200000 /* 2024-06-01: inside every validity window there */

struct real_case {
    const char *name, *report, *vcek, *chain;
    const char *policy; /* under which it passes */
};
extern const struct real_case real_cases[3];

/* One appraisal of bytes as they come from files. Views may have length 0. Returns appraise's or the parsers' error. */
int real_appraise(struct verdict *out, struct view evidence, struct view vcek, struct view chain,
                  const char *policy, int64_t at, struct cofre_err *err);
/* The same with certificates that are parsed already. */
int real_appraise_with(struct verdict *out, struct view evidence, const struct x509_certs *certs,
                       const char *policy, int64_t at, struct cofre_err *err);

#endif
