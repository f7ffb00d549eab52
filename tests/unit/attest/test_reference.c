/* Reference values by themselves: their names, their JSON, and when facts are one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "attest/reference.h"
#include "vmm/base/json.h"

static void names_are_what_policies_can_say(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool valid;
    } cases[] = {{"web", true},
                 {"web 2.0_a-b:c+d", true},
                 {"1234567890123456789012345678901234567890123456789012345678901234", true},
                 {"12345678901234567890123456789012345678901234567890123456789012345", false},
                 {"", false},
                 {" web", false},
                 {"web ", false},
                 {"a/b", false},
                 {"a\nb", false},
                 {"a\"b", false},
                 {"w\303\251b", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (reference_name_is_valid((struct view){(const uint8_t *)cases[i].name, strlen(cases[i].name)}) !=
            cases[i].valid)
            fail_msg("\"%s\"", cases[i].name);
    assert_false(reference_name_is_valid((struct view){(const uint8_t *)"a\0b", 3}));
}

static void every_field_comes_back_from_json(void **state)
{
    (void)state;
    for (enum reference_tee tee = 0; tee < REFERENCE_TEES; tee++) {
        struct reference r = {.tee = tee, .keys = tee == REFERENCE_SNP ? REFERENCE_VLEK : 0},
                         back = {.tee = tee};
        struct cofre_err err = {""};
        uint8_t value[REFERENCE_FIELD_MAX];
        for (int i = 0; i < REFERENCE_FIELDS; i++) {
            struct reference_datum *d = &r.field[i];
            if (reference_kinds[i].tee != tee)
                continue;
            memset(value, 0x80 + i, sizeof value);
            reference_set(&r, (enum reference_field)i, value);
            if (reference_kinds[i].order == REFERENCE_BITS)
                d->mask[0] = d->value[0] |= 1;
            else
                d->at_least = true;
        }
        CLEAN_JSON *object = reference_fields_json(&r);
        assert_non_null(object);
        if (reference_fields_read(&back, object, &err) < 0)
            fail_msg("%s", err.text);
        assert_memory_equal(&back, &r, sizeof r);
    }
}

static void what_is_wrong_with_json_is_said(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"{\"keys\": [\"vcek\"], \"mrtd\": {}}", "mrtd is no field"},
        {"{\"keys\": [\"vcek\"], \"vmpl\": {}}", "vmpl has no \"value\" of 4 bytes"},
        {"{\"keys\": [\"vcek\"], \"vmpl\": 1}", "vmpl has no \"value\" of 4 bytes"},
        {"{\"keys\": [\"vcek\"], \"vmpl\": {\"value\": \"000000\"}}", "vmpl has no \"value\" of 4 bytes"},
        {"{\"keys\": [\"vcek\"], \"vmpl\": {\"value\": \"00000000\", \"x\": 1}}", "vmpl has no \"value\""},
        {"{\"keys\": [\"vcek\"], \"guest_policy\": {\"value\": \"0000000000000001\", \"mask\": \"00\"}}",
         "its \"mask\" has not 8 bytes"},
        {"{\"keys\": [\"vcek\"], \"guest_policy\": {\"value\": \"0000000000000001\", \"mask\": "
         "\"0000000000000002\"}}",
         "bits that \"mask\" leaves out"},
        {"{\"keys\": [\"vcek\"], \"guest_policy\": {\"value\": \"0000000000000001\", \"at_least\": true}}",
         "cannot be a minimum"},
        {"{\"vmpl\": {\"value\": \"00000000\"}}", "\"keys\" names neither"},
        {"{\"keys\": [\"ark\"]}", "\"keys\" names neither"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct reference r = {.tee = REFERENCE_SNP};
        struct cofre_err err = {""};
        CLEAN_JSON *object = json_loads(cases[i].text, 0, NULL);
        assert_non_null(object);
        assert_int_equal(reference_fields_read(&r, object, &err), -COFRE_USAGE);
        if (!strstr(err.text, cases[i].why))
            fail_msg("%s: \"%s\"", cases[i].text, err.text);
    }
}

/* Facts that lack a field, as a report of another kind would, are no value that has it. */
static void facts_need_every_field(void **state)
{
    (void)state;
    uint8_t measurement[48] = {1}, policy[8] = {0x31};
    struct reference r = {.tee = REFERENCE_SNP, .keys = REFERENCE_VCEK};
    struct reference_facts facts = {
        .tee = REFERENCE_SNP,
        .key = REFERENCE_VCEK,
        .field = {[REFERENCE_MEASUREMENT] = {measurement, 48}, [REFERENCE_GUEST_POLICY] = {policy, 8}}};
    enum reference_field differs;
    reference_set(&r, REFERENCE_MEASUREMENT, measurement);
    reference_set(&r, REFERENCE_GUEST_POLICY, policy);
    assert_true(reference_matches(&r, &facts, &differs));
    policy[0] = 0x33;
    assert_false(reference_matches(&r, &facts, &differs));
    assert_int_equal(differs, REFERENCE_GUEST_POLICY);
    r.field[REFERENCE_GUEST_POLICY].mask[0] = 0xfd; /* that bit does not count */
    assert_true(reference_matches(&r, &facts, &differs));
    facts.field[REFERENCE_GUEST_POLICY] = (struct view){0};
    assert_false(reference_matches(&r, &facts, &differs));
    facts.field[REFERENCE_GUEST_POLICY] = (struct view){policy, 8};
    facts.tee = REFERENCE_TDX;
    assert_false(reference_matches(&r, &facts, &differs));
    facts.tee = REFERENCE_SNP;
    facts.key = REFERENCE_VLEK;
    assert_false(reference_matches(&r, &facts, &differs));
    assert_int_equal(differs, REFERENCE_FIELDS);
}

/* Without the product nobody knows which byte is which component. */
static void a_minimal_tcb_needs_the_product(void **state)
{
    (void)state;
    uint8_t tcb[8] = {3, 0, 0, 0, 0, 0, 8, 0x73}, measurement[48] = {1};
    struct reference r = {.tee = REFERENCE_SNP, .keys = REFERENCE_VCEK};
    struct reference_facts facts = {
        .tee = REFERENCE_SNP,
        .product = SNP_PRODUCT_MILAN,
        .key = REFERENCE_VCEK,
        .field = {[REFERENCE_MEASUREMENT] = {measurement, 48}, [REFERENCE_CURRENT_TCB] = {tcb, 8}}};
    enum reference_field differs;
    reference_set(&r, REFERENCE_MEASUREMENT, measurement);
    reference_set(&r, REFERENCE_CURRENT_TCB, tcb);
    r.field[REFERENCE_CURRENT_TCB].at_least = true;
    assert_true(reference_matches(&r, &facts, &differs));
    facts.product = SNP_PRODUCT_UNKNOWN;
    assert_false(reference_matches(&r, &facts, &differs));
    assert_int_equal(differs, REFERENCE_CURRENT_TCB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_what_policies_can_say), cmocka_unit_test(every_field_comes_back_from_json),
        cmocka_unit_test(what_is_wrong_with_json_is_said), cmocka_unit_test(facts_need_every_field),
        cmocka_unit_test(a_minimal_tcb_needs_the_product),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
