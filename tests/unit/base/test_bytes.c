#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vmm/base/bytes.h"

static void hex_round_trips(void **state)
{
    (void)state;
    const uint8_t in[] = {0x00, 0x9f, 0xff, 0x10};
    char text[9];
    uint8_t out[4];
    hex_encode(text, in, sizeof in);
    assert_string_equal(text, "009fff10");
    assert_true(hex_decode(out, 4, text));
    assert_memory_equal(in, out, 4);
}

static void hex_of_another_length_is_refused(void **state)
{
    (void)state;
    uint8_t out[4];
    assert_false(hex_decode(out, 4, "009fff1"));
    assert_false(hex_decode(out, 4, "009fff1000"));
    assert_false(hex_decode(out, 4, "009fxf10"));
    assert_false(hex_decode(out, 4, ""));
}

static void a_view_gives_no_part_beyond_its_end(void **state)
{
    (void)state;
    const uint8_t data[8] = {0};
    struct view v = {data, sizeof data}, part;
    assert_true(view_sub(v, 8, 0, &part));
    assert_true(view_sub(v, 2, 6, &part));
    assert_false(view_sub(v, 2, 7, &part));
    assert_false(view_sub(v, 9, 0, &part));
    assert_false(view_sub(v, UINT64_MAX, 2, &part));
    assert_false(view_sub(v, 2, UINT64_MAX, &part));
    assert_int_equal(part.len, 0);
}

static void an_error_gains_its_context_in_front(void **state)
{
    (void)state;
    struct cofre_err err;
    int rc = cofre_fail(&err, COFRE_MALFORMED, "too short (%d bytes)", 3);
    rc = cofre_within(&err, rc, "report.bin");
    assert_int_equal(rc, -COFRE_MALFORMED);
    assert_string_equal(err.text, "report.bin: too short (3 bytes)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hex_round_trips),
        cmocka_unit_test(hex_of_another_length_is_refused),
        cmocka_unit_test(a_view_gives_no_part_beyond_its_end),
        cmocka_unit_test(an_error_gains_its_context_in_front),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
