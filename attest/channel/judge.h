/* The verifier's half of a channel: evidence judged by attest/appraise.h. */
#ifndef COFRE_ATTEST_CHANNEL_JUDGE_H
#define COFRE_ATTEST_CHANNEL_JUDGE_H

#include "attest/appraise.h"
#include "attest/channel/exchange.h"

struct channel_judge {
    struct appraisal
        by; /* policy, roots, collateral, time; evidence, nonce and report data are filled in here */
    struct verdict verdict; /* what came of it; the caller's to free, in any case */
    bool judged;            /* there is one */
};

/* For struct channel_acts: context is a struct channel_judge. A verdict that is not "pass" is -COFRE_NEGATIVE. */
int channel_judge(void *context, struct view file, const uint8_t report_data[CHANNEL_REPORT_DATA],
                  struct cofre_err *err);

/* Lets the check of the report data say what it means where a channel's was asked for. */
void channel_word_verdict(struct verdict *verdict);

#endif
