/*
 * Every check of TDX evidence, broken alone: evidence that passes is changed in one respect, and then exactly one check must
 * fail, or those that the same fact breaks. So a check that is switched off, or that looks at something else, fails here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/attest/fake_intel.h"
#include "tests/unit/attest/outcomes.h"

static void judge(struct verdict *v, struct fake_intel *f)
{
    struct cofre_err err = {""};
    if (fake_intel_appraise(v, f, &err) != 0)
        fail_msg("not judged at all: %s", err.text);
}

static void must_pass(struct fake_intel *f)
{
    CLEAN_VERDICT v = {0};
    judge(&v, f);
    verdict_must_pass(&v);
}

static void every_form_of_quote_passes(void **state)
{
    (void)state;
    static const struct {
        unsigned version;
        enum tdx_quote_body_type body;
    } forms[] = {{4, TDX_BODY_10}, {5, TDX_BODY_10}, {5, TDX_BODY_15}, {5, TDX_BODY_15_EX}};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct fake_intel f;
        fake_intel_init(&f, forms[i].version, forms[i].body);
        must_pass(&f);
    }
}

static int make_keys(void **state)
{
    (void)state;
    fake_intel_keys_make();
    return 0;
}

static int free_keys(void **state)
{
    (void)state;
    fake_intel_keys_free();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_of_quote_passes),
    };
    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
