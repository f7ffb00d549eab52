#include "attest/verdict.h"

#include <string.h>

void verdict_free(struct verdict *v)
{
    json_decref(v->claims);
    json_decref(v->advisories);
    json_decref(v->reference);
    *v = (struct verdict){0};
}

static size_t count_of(const struct verdict *v, enum check_outcome outcome)
{
    size_t n = 0;
    for (size_t i = 0; i < v->count; i++)
        n += v->check[i].outcome == outcome;
    return n;
}

enum check_outcome verdict_outcome(const struct verdict *v)
{
    if (count_of(v, CHECK_FAILED) || !count_of(v, CHECK_PASSED))
        return CHECK_FAILED;
    return count_of(v, CHECK_UNJUDGED) ? CHECK_UNJUDGED : CHECK_PASSED;
}

const char *verdict_outcome_word(const struct verdict *v)
{
    static const char *const words[] = {
        [CHECK_PASSED] = "pass", [CHECK_FAILED] = "fail", [CHECK_UNJUDGED] = "unjudged"};
    return words[verdict_outcome(v)];
}

const struct check_result *verdict_check(const struct verdict *v, const char *id)
{
    for (size_t i = 0; i < v->count; i++)
        if (strcmp(v->check[i].id, id) == 0)
            return &v->check[i];
    return NULL;
}

static void print_claim(const char *name, json_t *value, int depth, FILE *to)
{
    fprintf(to, "%*s%-*s", 2 + 2 * depth, "", depth < 8 ? 22 - 2 * depth : 6, name);
    if (json_is_string(value))
        fprintf(to, " %s\n", json_string_value(value));
    else if (json_is_integer(value))
        fprintf(to, " %" JSON_INTEGER_FORMAT "\n", json_integer_value(value));
    else if (json_is_boolean(value))
        fprintf(to, " %s\n", json_is_true(value) ? "yes" : "no");
    else
        fputs(json_is_null(value) ? " none\n" : "\n", to);
}

static void print_claims(json_t *claims, int depth, FILE *to);

static void print_member(const char *name, json_t *value, int depth, FILE *to)
{
    size_t i;
    json_t *item;
    print_claim(name, value, depth, to);
    if (json_is_object(value))
        print_claims(value, depth + 1, to);
    json_array_foreach(value, i, item)
    {
        char number[24];
        (void)snprintf(number, sizeof number, "[%zu]", i);
        print_member(number, item, depth + 1, to);
    }
}

static void print_claims(json_t *claims, int depth, FILE *to)
{
    const char *name;
    json_t *value;
    json_object_foreach(claims, name, value)
    {
        print_member(name, value, depth, to);
    }
}

void claims_print(json_t *claims, FILE *to)
{
    print_claims(claims, 0, to);
}

static void print_checks(const struct verdict *v, FILE *to, bool colour)
{
    static const struct {
        const char *word, *on;
    } shown[] = {
        [CHECK_PASSED] = {"ok", "\033[32m"},
        [CHECK_FAILED] = {"FAILED", "\033[1;31m"},
        [CHECK_UNJUDGED] = {"unjudged", "\033[33m"},
        [CHECK_SKIPPED] = {"skipped", "\033[2m"},
    };
    for (size_t i = 0; i < v->count; i++) {
        const struct check_result *c = &v->check[i];
        fprintf(to, "  %s%-8s%s  %-34s  %s\n", colour ? shown[c->outcome].on : "", shown[c->outcome].word,
                colour ? "\033[0m" : "", c->id, c->why);
    }
}

static void print_tcb(const struct verdict *v, FILE *to)
{
    size_t i;
    json_t *name;
    if (!v->tcb_status)
        return;
    fprintf(to, "\nTCB status: %s", v->tcb_status);
    json_array_foreach(v->advisories, i, name)
    {
        fprintf(to, "%s%s", i ? ", " : "; advisories: ", json_string_value(name));
    }
    fputs("\n", to);
}

static const char *const meanings[] = {
    [CHECK_PASSED] = "PASS: the evidence is genuine and satisfies the policy",
    [CHECK_FAILED] = "FAIL: do not trust this guest with anything",
    [CHECK_UNJUDGED] =
        "COULD NOT BE JUDGED: nothing failed, but something needed for the verdict is missing or stale",
};

void verdict_print(const struct verdict *v, FILE *to, bool colour)
{
    enum check_outcome outcome = verdict_outcome(v);
    fprintf(to, "%s, version %u, product %s, root %s\n", v->title, v->version, v->product, v->root);
    if (v->emulated)
        fputs("This platform is EMULATED: it gives no confidentiality. Its host reads everything in the "
              "guest.\n",
              to);
    fputs("\nChecks\n", to);
    print_checks(v, to, colour);
    fputs("\nClaims\n", to);
    claims_print(v->claims, to);
    print_tcb(v, to);
    fprintf(to, "\n%zu passed, %zu failed, %zu could not be made, %zu skipped\nVerdict: %s%s.\n",
            count_of(v, CHECK_PASSED), count_of(v, CHECK_FAILED), count_of(v, CHECK_UNJUDGED),
            count_of(v, CHECK_SKIPPED), meanings[outcome],
            v->emulated && outcome == CHECK_PASSED ? ", on an EMULATED platform without confidentiality"
                                                   : "");
}
