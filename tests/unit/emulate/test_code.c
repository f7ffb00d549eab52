/* Which of two bytes in machine code are CPUID, and which are part of something else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/emulate/code.h"

#define NOPS 600

/* Code of n bytes after many no-operations, and no-operations after it. */
static size_t code_with(uint8_t out[2 * NOPS + 16], const void *code, size_t n)
{
    memset(out, 0x90, 2 * NOPS + 16);
    memcpy(out + NOPS, code, n);
    return NOPS + n + NOPS;
}

static void an_instruction_is_found_where_it_is(void **state)
{
    (void)state;
    uint8_t code[2 * NOPS + 16];
    static const uint8_t two[] = {0x53, 0x0f, 0xa2, 0x31,
                                  0xc9, 0x0f, 0xa2, 0x5b}; /* push rbx; cpuid; xor ecx, ecx; cpuid; pop rbx */
    const size_t len = code_with(code, two, sizeof two);
    const uint8_t *first = code_next_cpuid(code, len, code);
    assert_ptr_equal(first, code + NOPS + 1);
    const uint8_t *second = code_next_cpuid(code, len, first + 2);
    assert_ptr_equal(second, code + NOPS + 5);
    assert_null(code_next_cpuid(code, len, second + 2));
}

static void bytes_of_another_instruction_are_left_alone(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        uint8_t code[12];
        size_t len;
    } others[] = {
        {"call with such a displacement", {0xe8, 0x0f, 0xa2, 0x06, 0x00}, 5},
        {"lea with such a displacement", {0x48, 0x8d, 0x3d, 0x0f, 0xa2, 0x41, 0x00}, 7},
        {"mov of such a number", {0xb8, 0x00, 0x0f, 0xa2, 0x00}, 5},
        {"movabs of such a number", {0x48, 0xb8, 0x0f, 0xa2, 0x0f, 0xa2, 0x0f, 0xa2, 0x00, 0x00}, 10},
    };
    uint8_t code[2 * NOPS + 16];
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (code_next_cpuid(code, code_with(code, others[i].code, others[i].len), code))
            fail_msg("%s", others[i].what);
}

static void code_may_begin_and_end_with_it(void **state)
{
    (void)state;
    static const uint8_t one[] = {0x0f, 0xa2}, half[] = {0x90, 0x0f};
    assert_ptr_equal(code_next_cpuid(one, sizeof one, one), one);
    assert_null(code_next_cpuid(half, sizeof half, half));
    assert_null(code_next_cpuid(half, 0, half));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_instruction_is_found_where_it_is),
        cmocka_unit_test(bytes_of_another_instruction_are_left_alone),
        cmocka_unit_test(code_may_begin_and_end_with_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
