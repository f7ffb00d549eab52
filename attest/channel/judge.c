#include "attest/channel/judge.h"

#include <stdio.h>
#include <string.h>

void channel_word_verdict(struct verdict *v)
{
    static const char suffix[] = ".report_data";
    for (size_t i = 0; i < v->count; i++) {
        struct check_result *check = &v->check[i];
        const size_t len = strlen(check->id);
        if (len < sizeof suffix || strcmp(check->id + len - (sizeof suffix - 1), suffix) != 0)
            continue;
        if (check->outcome == CHECK_PASSED)
            (void)snprintf(check->why, sizeof check->why,
                           "the evidence is bound to this channel and its key");
        else if (check->outcome == CHECK_FAILED)
            (void)snprintf(check->why, sizeof check->why,
                           "the evidence is not bound to this channel: it was made for another one, or for "
                           "another key");
    }
}

/* What most likely tells why; the verdict has all. */
static const char *first_reason(const struct verdict *v)
{
    for (size_t i = 0; i < v->count; i++)
        if (v->check[i].outcome == CHECK_FAILED)
            return v->check[i].why;
    for (size_t i = 0; i < v->count; i++)
        if (v->check[i].outcome == CHECK_UNJUDGED)
            return v->check[i].why;
    return "nothing was checked";
}

int channel_judge(void *context, struct view file, const uint8_t report_data[CHANNEL_REPORT_DATA],
                  struct cofre_err *err)
{
    struct channel_judge *j = context;
    CLEAN_EVIDENCE evidence = {0};
    int rc = evidence_parse(&evidence, file, err);
    if (rc < 0)
        return cofre_within(err, rc, "the other end's evidence");
    struct appraisal in = j->by;
    in.evidence = &evidence;
    in.nonce = (struct view){0};
    in.report_data = (struct view){report_data, CHANNEL_REPORT_DATA};
    rc = appraise(&j->verdict, &in, err);
    if (rc < 0)
        return cofre_within(err, rc, "the other end's evidence");
    j->judged = true;
    channel_word_verdict(&j->verdict);
    return verdict_outcome(&j->verdict) == CHECK_PASSED
               ? 0
               : cofre_fail(err, COFRE_NEGATIVE, "the other end's evidence is not accepted: %s",
                            first_reason(&j->verdict));
}
