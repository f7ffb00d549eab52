#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vmm/emu/snp/snp.h"

static void shows_what_an_snp_host_shows(void **state)
{
    (void)state;
    struct kvm_cpuid_entry2 e[5] = {{.function = 0x40000001, .eax = UINT32_MAX},
                                    {.function = 0x80000000, .eax = 0x8000001e},
                                    {.function = 0x80000008, .eax = 0x3028}};
    unsigned n = 3;
    assert_int_equal(snp_cpuid_as_host(e, &n, 5), 0);
    assert_int_equal(n, 4);
    assert_int_equal(e[0].eax & (1u << 7 | 1u << 11 | 1u << 13 | 1u << 16 | 1u << 17), 0);
    assert_int_equal(e[1].eax, 0x8000001f);
    assert_int_equal(e[2].eax, 0x3030);
    assert_int_equal(e[3].function, 0x8000001f);
    assert_int_equal(e[3].ebx & 0x3f, 47);
    assert_int_equal(e[3].eax & 0x1a, 0x1a);
}

static void has_no_room_for_one_more_leaf(void **state)
{
    (void)state;
    struct kvm_cpuid_entry2 e[1] = {{.function = 1}};
    unsigned n = 1;
    assert_int_equal(snp_cpuid_as_host(e, &n, 1), -E2BIG);
}

static void gives_the_plain_kvm_the_width_that_the_c_bit_needs(void **state)
{
    (void)state;
    struct kvm_cpuid_entry2 e[1] = {{.function = 0x80000008, .eax = 0x302b}};
    snp_cpuid_for_plain(e, 1);
    assert_int_equal(e[0].eax, 0x3030);
    e[0].eax = 0x3034;
    snp_cpuid_for_plain(e, 1);
    assert_int_equal(e[0].eax, 0x3034);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shows_what_an_snp_host_shows),
        cmocka_unit_test(has_no_room_for_one_more_leaf),
        cmocka_unit_test(gives_the_plain_kvm_the_width_that_the_c_bit_needs),
    };
    return cmocka_run_group_tests_name("emu cpuid", tests, NULL, NULL);
}
