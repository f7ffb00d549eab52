#include "keys/roll_back.h"

#include <string.h>

#define WAY_OUT "; if it is the right database, accept its keys (cofre-trust accept-keys)"

static int judge_without(const struct seal_counter *counter, uint64_t value, struct cofre_err *err)
{
    if (value == counter->first)
        return ROLL_BACK_FIRST;
    return cofre_fail(
        err, COFRE_NEGATIVE,
        "the keys in the database go by no counter, and the TPM's has counted from %llu to %llu "
        "since it was made" WAY_OUT,
        (unsigned long long)counter->first, (unsigned long long)value);
}

int roll_back_judge(const struct key_anchor *anchor, const struct seal_counter *counter, uint64_t value,
                    struct cofre_err *err)
{
    if (!anchor->there)
        return judge_without(counter, value, err);
    if (memcmp(anchor->counter, counter->id, sizeof anchor->counter) != 0)
        return cofre_fail(
            err, COFRE_NEGATIVE,
            "the keys in the database go by another counter than the TPM's: the root has another "
            "slot since" WAY_OUT);
    if (anchor->value < value)
        return cofre_fail(err, COFRE_NEGATIVE,
                          "the keys in the database are of an older time: they count to %llu, and the TPM's "
                          "counter to %llu; bring the newer database back" WAY_OUT,
                          (unsigned long long)anchor->value, (unsigned long long)value);
    if (anchor->value > value + 1)
        return cofre_fail(
            err, COFRE_NEGATIVE,
            "the keys in the database count to %llu, and the TPM's counter to %llu only: keys were "
            "changed without this TPM" WAY_OUT,
            (unsigned long long)anchor->value, (unsigned long long)value);
    return anchor->value == value ? ROLL_BACK_NONE : ROLL_BACK_COUNT;
}

struct key_anchor roll_back_anchor(const struct seal_counter *counter, uint64_t value)
{
    struct key_anchor anchor = {.there = true, .value = value + 1};
    memcpy(anchor.counter, counter->id, sizeof anchor.counter);
    return anchor;
}
