/* The options that say by what evidence is judged, which the verbs that judge have in common. */
#ifndef COFRE_CLI_JUDGE_BY_H
#define COFRE_CLI_JUDGE_BY_H

#include "attest/appraise.h"
#include "attest/cose/key.h"
#include "attest/reference.h"
#include "tdx/collateral.h"

#define JUDGE_BY_REFERENCES_MAX 64

struct judge_by {
    struct policy policy;
    struct x509_certs certs, roots;
    struct x509_crls crls;
    struct tdx_collateral collateral;
    struct bytes measurement;
    bool has_policy, has_collateral;
    const char
        *reference[JUDGE_BY_REFERENCES_MAX]; /* CoRIMs, read when it is known who may have signed them */
    size_t reference_files;
    struct references references;
    struct cose_keys reference_keys;
};
void judge_by_free(struct judge_by *by);

/* For a table of options, with their letters; once: those of them that stand for one thing. */
#define JUDGE_BY_OPTIONS                                                                                     \
    {"cert", required_argument, NULL, 'c'}, {"crl", required_argument, NULL, 'l'},                           \
        {"trust-root", required_argument, NULL, 't'}, {"policy", required_argument, NULL, 'p'},              \
        {"measurement", required_argument, NULL, 'm'}, {"reference", required_argument, NULL, 'r'},          \
        {"reference-keys", required_argument, NULL, 's'},                                                    \
    {                                                                                                        \
        "collateral", required_argument, NULL, 'o'                                                           \
    }
#define JUDGE_BY_ONCE "pmos"

/* One of them by its letter; reads the file that it names. */
int judge_by_take(struct judge_by *by, int letter, const char *value, struct cofre_err *err);
/* After the last: what was not given has its default, and reference values are read. What *out borrows lives in by. */
int judge_by_finish(struct judge_by *by, struct appraisal *out, struct cofre_err *err);

int judge_by_read_policy(struct policy *out, const char *path, struct cofre_err *err);

/* Of two values one would be lost without a word, and with it what it was to decide. letters: of options that stand for one thing;
 * given: of those there were. */
int option_once(uint32_t *given, const char *letters, int letter, const char *name, struct cofre_err *err);
int option_hex(struct bytes *out, const char *text, const char *option, size_t min, size_t max,
               struct cofre_err *err);

#endif
