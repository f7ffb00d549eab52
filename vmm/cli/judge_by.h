/* The options that say by what evidence is judged, which cofre verify and cofre connect have in common. */
#ifndef COFRE_CLI_JUDGE_BY_H
#define COFRE_CLI_JUDGE_BY_H

#include "attest/appraise.h"
#include "tdx/collateral.h"

struct judge_by {
    struct policy policy;
    struct x509_certs certs, roots;
    struct x509_crls crls;
    struct tdx_collateral collateral;
    struct bytes measurement;
    bool has_policy, has_collateral;
};
void judge_by_free(struct judge_by *by);

/* For a table of options, with their letters; once: those of them that stand for one thing. */
#define JUDGE_BY_OPTIONS                                                                                     \
    {"cert", required_argument, NULL, 'c'}, {"crl", required_argument, NULL, 'l'},                           \
        {"trust-root", required_argument, NULL, 't'}, {"policy", required_argument, NULL, 'p'},              \
        {"measurement", required_argument, NULL, 'm'},                                                       \
    {                                                                                                        \
        "collateral", required_argument, NULL, 'o'                                                           \
    }
#define JUDGE_BY_ONCE "pmo"

/* One of them by its letter; reads the file that it names. */
int judge_by_take(struct judge_by *by, int letter, const char *value, struct cofre_err *err);
/* After the last: what was not given has its default. What *out borrows lives in by. */
void judge_by_finish(struct judge_by *by, struct appraisal *out);

/* Of two values one would be lost without a word, and with it what it was to decide. letters: of options that stand for one thing;
 * given: of those there were. */
int option_once(uint32_t *given, const char *letters, int letter, const char *name, struct cofre_err *err);
int option_hex(struct bytes *out, const char *text, const char *option, size_t min, size_t max,
               struct cofre_err *err);

#endif
