#include "attest/check_reference.h"

#include <string.h>

#include "vmm/base/timestamp.h"

#define NAMED(R) (R)->name, (unsigned long long)(R)->version

/* The evidence is that value, which is not good at that time. */
static int say_unusable(const struct reference *r, enum reference_state state, struct cofre_err *why)
{
    static const char *const says[] = {[REFERENCE_RETIRED] = "which was retired at",
                                       [REFERENCE_NOT_YET] = "which is not valid before",
                                       [REFERENCE_NO_LONGER] = "whose validity ended at"};
    const int64_t times[] = {
        [REFERENCE_RETIRED] = r->retired, [REFERENCE_NOT_YET] = r->from, [REFERENCE_NO_LONGER] = r->until};
    const bool retired = state == REFERENCE_RETIRED;
    char time[TIME_TEXT_SIZE];
    time_format(time, times[state]);
    return cofre_fail(why, COFRE_NEGATIVE, "it is the reference value \"%s\", version %llu, %s %s%s%s",
                      NAMED(r), says[state], time, retired ? ": " : "", retired ? r->reason : "");
}

static void say_difference(struct reference_found *out, const struct reference *r, enum reference_field field,
                           size_t others)
{
    out->rc =
        cofre_fail(&out->why, COFRE_NEGATIVE,
                   "it is none of the %zu reference value%s of the policy's names: \"%s\", version %llu, "
                   "has another %s",
                   others, others == 1 ? "" : "s", NAMED(r),
                   field < REFERENCE_FIELDS ? reference_kinds[field].name : "kind of signing key");
}

static int say_unknown(const struct policy_list *names, struct cofre_err *why)
{
    return cofre_fail(why, COFRE_LACKING, "no reference value \"%.*s\"%s is known for this kind of guest",
                      (int)names->item[0].len, (const char *)names->item[0].data,
                      names->count > 1 ? ", nor of the policy's other names," : "");
}

void judge_references(struct reference_found *out, const struct policy_list *names,
                      const struct references *known, const struct reference_facts *facts, int64_t at)
{
    size_t candidates = 0;
    const struct reference *unusable = NULL;
    *out = (struct reference_found){.rc = CHECK_SKIP};
    if (names->count == 0) {
        (void)say(&out->why, 0, "the policy names no reference values");
        return;
    }
    out->rc = say_unknown(names, &out->why);
    for (size_t i = 0; known && i < known->count; i++) {
        const struct reference *r = &known->item[i];
        enum reference_field differs;
        if (r->tee != facts->tee ||
            !policy_list_has(names, (struct view){(const uint8_t *)r->name, strlen(r->name)}))
            continue;
        candidates++;
        if (!reference_matches(r, facts, &differs)) {
            if (!unusable)
                say_difference(out, r, differs, candidates);
        } else if (reference_state(r, at) == REFERENCE_GOOD) {
            out->match = r;
            out->rc = say(&out->why, 0, "it is the reference value \"%s\", version %llu", NAMED(r));
            return;
        } else {
            unusable = r;
            out->rc = say_unusable(r, reference_state(r, at), &out->why);
        }
    }
}

int reference_describe(struct verdict *out, const struct reference_found *found, struct cofre_err *err)
{
    if (!found->match)
        return 0;
    out->reference =
        json_pack("{s:s, s:I}", "name", found->match->name, "version", (json_int_t)found->match->version);
    return out->reference ? 0 : cofre_fail(err, COFRE_FAILED, "no memory for the verdict");
}

int judge_by_reference(const struct reference_found *found, enum reference_field field, int rc,
                       struct cofre_err *why)
{
    if (rc != CHECK_SKIP || !found->match || !found->match->field[field].given)
        return rc;
    return say(why, 0, "it is that of the reference value \"%s\", version %llu", NAMED(found->match));
}
