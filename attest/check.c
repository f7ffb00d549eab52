#include "attest/check.h"

#include <stdio.h>
#include <string.h>

#include "vmm/base/x509.h"

static enum check_outcome outcome_of(int rc)
{
    return rc == 0                ? CHECK_PASSED
           : rc == CHECK_SKIP     ? CHECK_SKIPPED
           : rc == -COFRE_LACKING ? CHECK_UNJUDGED
                                  : CHECK_FAILED;
}

int verdict_add(struct verdict *v, const char *id, int rc, const struct cofre_err *why, struct cofre_err *err)
{
    if (rc == -COFRE_FAILED || v->count == VERDICT_CHECKS_MAX)
        return cofre_fail(err, COFRE_FAILED, "%s could not be checked: %.200s", id, why->text);
    struct check_result *r = &v->check[v->count++];
    r->id = id;
    r->outcome = outcome_of(rc);
    (void)snprintf(r->why, sizeof r->why, "%s", why->text);
    return 0;
}

int judge_bit(enum policy_bit wanted, bool set, const char *name, struct cofre_err *why)
{
    if (wanted == POLICY_ANY)
        return say(why, CHECK_SKIP, "the policy allows either (it is %s)", set ? "set" : "clear");
    if (set != (wanted == POLICY_REQUIRED))
        return cofre_fail(why, COFRE_NEGATIVE, "%s is %s; the policy %s it", name, set ? "set" : "not set",
                          set ? "forbids" : "requires");
    return say(why, 0, "%s is %s, as the policy has it", name, set ? "set" : "not set");
}

int judge_validity(X509 *const *chain, size_t count, int64_t at, struct cofre_err *why)
{
    bool whole = true;
    for (size_t i = 0; i < count; i++) {
        int rc = chain[i] ? x509_check_time(chain[i], at, why) : 0;
        whole &= chain[i] != NULL;
        if (rc < 0)
            return rc;
    }
    return whole ? say(why, 0, "every certificate of the chain is valid at the time of verification")
                 : cofre_fail(why, COFRE_LACKING, "the chain is not whole");
}

int judge_list(const struct policy_list *list, struct view value, struct cofre_err *why)
{
    if (list->count == 0)
        return say(why, CHECK_SKIP, "the policy does not compare it");
    if (!policy_list_has(list, value))
        return cofre_fail(why, COFRE_NEGATIVE, "it is not among the policy's %zu accepted value%s",
                          list->count, list->count == 1 ? "" : "s");
    return say(why, 0, "it is among the policy's accepted values");
}

int judge_expected(struct view expected, const char *option, const struct policy_list *list,
                   struct view value, const char *what, struct cofre_err *why)
{
    if (expected.len && !view_equal(expected, value))
        return cofre_fail(why, COFRE_NEGATIVE, "%s is not what %s expects", what, option);
    int rc = judge_list(list, value, why);
    return rc == CHECK_SKIP && expected.len ? say(why, 0, "%s is the expected one", what) : rc;
}

int judge_nonce(struct view nonce, struct view report_data, struct cofre_err *why)
{
    if (nonce.len == 0)
        return say(why, CHECK_SKIP, "no nonce was given (--nonce): the report may be an old one");
    if (nonce.len > report_data.len)
        return cofre_fail(why, COFRE_NEGATIVE, "the nonce is longer than the report data");
    if (memcmp(nonce.data, report_data.data, nonce.len) != 0 ||
        !bytes_are_zero(report_data.data + nonce.len, report_data.len - nonce.len))
        return cofre_fail(why, COFRE_NEGATIVE,
                          "the report data is not the nonce: the report answers another question");
    return say(why, 0, "the report data is the nonce: the report was made after it");
}
