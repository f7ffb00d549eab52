#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/machine/cpuid.h"

static struct {
    struct kvm_cpuid2 head;
    struct kvm_cpuid_entry2 room[KVM_CPUID_MAX];
} table;
static struct cofre_err err;

static void given(const struct kvm_cpuid_entry2 *entries, uint32_t count)
{
    memset(&table, 0, sizeof table);
    table.head.nent = count;
    memcpy(table.head.entries, entries, count * sizeof *entries);
}

static const struct kvm_cpuid_entry2 *leaf(uint32_t function, uint32_t index)
{
    for (uint32_t i = 0; i < table.head.nent; i++)
        if (table.head.entries[i].function == function && table.head.entries[i].index == index)
            return &table.head.entries[i];
    fail_msg("no leaf %#x.%u", function, index);
    return NULL;
}

static void an_amd_host_with_more_threads_than_the_guest(void **state)
{
    (void)state;
    const struct kvm_cpuid_entry2 host[] = {
        {.function = 0, .eax = 0xd},
        {.function = 1, .ebx = 0x7f200800, .ecx = 0x00202000, .edx = 0x178bfbff},
        {.function = 0xb, .index = 0, .eax = 1, .ebx = 2, .ecx = 0x100, .edx = 0x7f},
        {.function = 0xb, .index = 1, .eax = 7, .ebx = 64, .ecx = 0x201, .edx = 0x7f},
        {.function = 0x1f, .index = 0, .eax = 1, .ebx = 2, .ecx = 0x100, .edx = 0x7f},
        {.function = 0x80000008, .eax = 0x3030, .ecx = 0x707f},
        {.function = 0x8000001d, .index = 0, .eax = 0x00004121},
        {.function = 0x8000001d, .index = 3, .eax = 0x0001c163},
        {.function = 0x8000001d, .index = 4, .eax = 0},
        {.function = 0x8000001e, .eax = 0x7f, .ebx = 0x13f, .ecx = 0x301},
    };
    given(host, sizeof host / sizeof host[0]);
    assert_int_equal(machine_cpuid_topology(&table.head, 2, 3, &err), 0);

    const struct kvm_cpuid_entry2 *e = leaf(1, 0);
    assert_int_equal(e->ebx, 0x02030800);   /* APIC id, count, CLFLUSH as it was, brand */
    assert_int_equal(e->ecx, 0x80202000);   /* hypervisor */
    assert_int_equal(e->edx, 0x178bfbff);   /* HTT was set */
    assert_int_equal(leaf(0xb, 0)->ebx, 1); /* one thread a core */
    assert_int_equal(leaf(0xb, 0)->ecx, 0x100);
    assert_int_equal(leaf(0xb, 1)->eax, 2); /* three cores take two bits */
    assert_int_equal(leaf(0xb, 1)->ebx, 3);
    assert_int_equal(leaf(0xb, 1)->ecx, 0x201);
    assert_int_equal(leaf(0xb, 1)->edx, 2);
    assert_int_equal(leaf(0xb, 2)->ecx, 2);
    assert_int_equal(leaf(0x80000008, 0)->ecx, 0x2002);
    assert_int_equal(leaf(0x80000008, 0)->eax, 0x3030);
    assert_int_equal(leaf(0x8000001d, 0)->eax, 0x00000121); /* level 1: one core */
    assert_int_equal(leaf(0x8000001d, 3)->eax, 0x00008163); /* level 3: three */
    assert_int_equal(leaf(0x8000001d, 4)->eax, 0);
    assert_int_equal(leaf(0x8000001e, 0)->eax, 2);
    assert_int_equal(leaf(0x8000001e, 0)->ebx, 2);
    assert_int_equal(leaf(0x8000001e, 0)->ecx, 0);
    for (uint32_t i = 0; i < table.head.nent; i++)
        assert_int_not_equal(table.head.entries[i].function, 0x1f);
}

static void one_cpu_has_no_htt_bit(void **state)
{
    (void)state;
    const struct kvm_cpuid_entry2 host[] = {{.function = 0, .eax = 0xd}, {.function = 1, .edx = 1u << 28}};
    given(host, 2);
    assert_int_equal(machine_cpuid_topology(&table.head, 0, 1, &err), 0);
    assert_int_equal(leaf(1, 0)->edx, 0);
    assert_int_equal(leaf(0xb, 1)->eax, 0);
}

static void elsewhere_the_reserved_half_of_80000008_stays(void **state)
{
    (void)state;
    const struct kvm_cpuid_entry2 host[] = {{.function = 0, .eax = 7}, {.function = 0x80000008, .ecx = 0}};
    given(host, 2);
    assert_int_equal(machine_cpuid_topology(&table.head, 1, 4, &err), 0);
    assert_int_equal(leaf(0x80000008, 0)->ecx, 0);
    assert_int_equal(table.head.nent, 2); /* leaf 0xb lies above leaf 0's maximum */
}

static void a_full_table_is_refused(void **state)
{
    (void)state;
    memset(&table, 0, sizeof table);
    table.head.nent = KVM_CPUID_MAX - 2;
    table.head.entries[0].eax = 0xd;
    for (uint32_t i = 1; i < table.head.nent; i++)
        table.head.entries[i].function = 0x1000 + i;
    assert_int_equal(machine_cpuid_topology(&table.head, 0, 1, &err), -COFRE_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_amd_host_with_more_threads_than_the_guest),
        cmocka_unit_test(one_cpu_has_no_htt_bit),
        cmocka_unit_test(elsewhere_the_reserved_half_of_80000008_stays),
        cmocka_unit_test(a_full_table_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
