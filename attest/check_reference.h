/* The reference values that a policy names, against the evidence. */
#ifndef COFRE_ATTEST_CHECK_REFERENCE_H
#define COFRE_ATTEST_CHECK_REFERENCE_H

#include "attest/check.h"
#include "attest/reference.h"

/* As a check's outcome; match: the value that the evidence is and that is good now, or NULL. */
struct reference_found {
    int rc;
    struct cofre_err why;
    const struct reference *match;
};

/* known may be NULL. Evidence that is a value which is retired, not yet valid or no longer fails with that said. */
void judge_references(struct reference_found *out, const struct policy_list *names,
                      const struct references *known, const struct reference_facts *facts, int64_t at);

/* The verdict's "reference"; -COFRE_FAILED for want of memory. */
int reference_describe(struct verdict *out, const struct reference_found *found, struct cofre_err *err);

/* Of a field that the policy's own lists leave open (rc is CHECK_SKIP): it passes where the value that was found has it. */
int judge_by_reference(const struct reference_found *found, enum reference_field field, int rc,
                       struct cofre_err *why);

#endif
