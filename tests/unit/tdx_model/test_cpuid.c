/* CPUID as a TD sees it: what the module decides, what the VMM may, what it may not. */
#include "fixture.h"

#include <string.h>

#include "tdx/model/cpuid.h"

/* A host of another vendor, with everything that leaves can say. */
static const struct tdx_cpuid host[] = {
    {0x0, TDX_CPUID_NO_SUBLEAF, 0x10, 0x68747541, 0x444d4163, 0x69746e65},
    {0x1, TDX_CPUID_NO_SUBLEAF, 0x00a00f11, 0x01020800, 0x7ed8320b | 1u << 5, 0x178bfbff | 1u << 28},
    {0x5, TDX_CPUID_NO_SUBLEAF, 0x40, 0x40, 3, 0x11},
    {0x6, TDX_CPUID_NO_SUBLEAF, 4, 0, 0, 0},
    {0x7, 0, 1, 0xffffffff, 0xffffffff, 0xffffffff},
    {0xd, 0, 0x2e7, 0x988, 0x988, 0},
    {0xd, 1, 0xf, 0x348, 0x1800, 0},
    {0xd, 2, 0x100, 0x240, 0, 0},
    {0xd, 5, 0x40, 0x340, 0, 0},
    {0xd, 6, 0x200, 0x380, 0, 0},
    {0xd, 7, 0x400, 0x580, 0, 0},
    {0xd, 9, 8, 0x980, 0, 0},
    {0x40000000, TDX_CPUID_NO_SUBLEAF, 0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d},
    {0x80000000, TDX_CPUID_NO_SUBLEAF, 0x80000021, 0x68747541, 0x444d4163, 0x69746e65},
    {0x80000001, TDX_CPUID_NO_SUBLEAF, 0x00a00f11, 0, 0x75c237ff, 0x2fd3fbff},
    {0x80000008, TDX_CPUID_NO_SUBLEAF, 0x00003030, 0x111ed205, 0x500f, 0},
    {0x8000001f, TDX_CPUID_NO_SUBLEAF, 0x1a, 0x6f, 0, 0},
};

static struct tdx_cpuid seen[TDX_CPUID_MAX];
static size_t seen_count;

static tdx_status virtualise(const struct tdx_cpuid *config, size_t count, uint64_t attributes, uint64_t xfam)
{
    const struct tdx_cpuid_params params = {.config = config,
                                            .config_count = count,
                                            .native = host,
                                            .native_count = sizeof host / sizeof *host,
                                            .attributes = attributes,
                                            .xfam = xfam,
                                            .tsc_frequency = 100};
    return tdx_cpuid_virtualise(seen, &seen_count, &params);
}

static const struct tdx_cpuid *find(uint32_t leaf, uint32_t subleaf)
{
    for (size_t i = 0; i < seen_count; i++)
        if (seen[i].leaf == leaf && (seen[i].subleaf == TDX_CPUID_NO_SUBLEAF || seen[i].subleaf == subleaf))
            return &seen[i];
    return NULL;
}

static void a_td_sees_an_intel_processor_with_tdx(void **state)
{
    (void)state;
    assert_int_equal(virtualise(NULL, 0, 0, 3), TDX_SUCCESS);
    const struct tdx_cpuid *leaf = find(0, 0);
    assert_int_equal(leaf->eax, 0x23);
    assert_memory_equal(&leaf->ebx, "Genu", 4);
    assert_memory_equal(&leaf->edx, "ineI", 4);
    assert_memory_equal(&leaf->ecx, "ntel", 4);
    leaf = find(0x21, 0);
    assert_memory_equal(&leaf->ebx, "Inte", 4);
    assert_memory_equal(&leaf->edx, "lTDX", 4);
    assert_memory_equal(&leaf->ecx, "    ", 4);
    leaf = find(1, 0);
    assert_int_equal(leaf->eax, 0x806f8);
    assert_int_equal(leaf->ecx & (1u << 31 | 1u << 21), 1u << 31 | 1u << 21); /* hypervisor, x2APIC */
    assert_int_equal(leaf->ecx & 1u << 5, 0);                                 /* VMX */
    leaf = find(0x15, 0);
    assert_int_equal(leaf->eax, 1);
    assert_int_equal(leaf->ebx, 100);
    assert_int_equal(leaf->ecx, 25000000);
    assert_int_equal(find(0x80000000, 0)->eax, 0x80000008);
    leaf = find(0x80000008, 0);
    assert_int_equal(leaf->eax, 48 << 8 | 48);
    assert_int_equal(leaf->ebx, 0); /* WBNOINVD, for which nobody asked */
    leaf = find(0x80000001, 0);
    assert_int_equal(leaf->ecx, 0x121); /* nothing of AMD's */
    assert_int_equal(find(0x80000007, 0)->edx, 0x100);
}

static void leaves_that_the_module_leaves_to_the_vmm_are_not_there(void **state)
{
    (void)state;
    assert_int_equal(virtualise(NULL, 0, 0, 3), TDX_SUCCESS);
    const uint32_t absent[] = {2, 6, 0xb, 0x1f, 0x40000000, 0x80000002, 0x80000006, 0x8000001f};
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
        assert_null(find(absent[i], 0));
    assert_null(find(7, 3));
}

static void features_go_with_xfam(void **state)
{
    (void)state;
    const uint32_t avx2 = 1u << 5, avx512f = 1u << 16, avx = 1u << 28;
    const uint32_t allowed7 = 0xdc2b9b18 & ~(1u << 4 | 1u << 11);
    const struct tdx_cpuid config[] = {{7, 0, 0, allowed7, 0x02417f65 & ~(1u << 5), 0x0005411c},
                                       {1, TDX_CPUID_NO_SUBLEAF, 0, 0, 0x31044d88, 0}};
    assert_int_equal(virtualise(config, 2, 0, 7), TDX_SUCCESS);
    assert_int_equal(find(7, 0)->ebx & avx2, avx2);
    assert_int_equal(find(7, 0)->ebx & avx512f, 0);
    assert_int_equal(find(1, 0)->ecx & avx, avx);
    assert_int_equal(find(0xd, 0)->eax, 7);
    assert_int_equal(find(0xd, 0)->ecx, 0x340);
    assert_int_equal(find(0xd, 2)->eax, 0x100);
    assert_int_equal(find(0xd, 5)->eax, 0);
    assert_int_equal(virtualise(config, 2, 0, 3), TDX_SUCCESS);
    assert_int_equal(find(7, 0)->ebx & avx2, 0);
    assert_int_equal(find(1, 0)->ecx & avx, 0);
    assert_int_equal(find(0xd, 0)->eax, 3);
    assert_int_equal(find(0xd, 0)->ecx, 0x240);
    assert_int_equal(find(0xd, 2)->eax, 0);
    assert_int_equal(virtualise(config, 2, 0, 0x2e7), TDX_SUCCESS);
    assert_int_equal(find(7, 0)->ebx & avx512f, avx512f);
    assert_int_equal(find(0xd, 0)->eax, 0x2e7);
    assert_int_equal(find(0xd, 0)->ecx, 0x988);
}

static void the_vmm_decides_what_is_its_to_decide(void **state)
{
    (void)state;
    const struct tdx_cpuid config[] = {
        {1, TDX_CPUID_NO_SUBLEAF, 0, 4u << 16, 0, 1u << 28},
        {4, 3, 0x0000c163, 0x02c0003f & 0xfffff000, 0x7fff, 4},
        {7, 0, 0, 1u << 4 | 1u << 11 | 1u << 3, 0, 0},
    };
    assert_int_equal(virtualise(config, 3, 0, 3), TDX_SUCCESS);
    assert_int_equal(find(1, 0)->ebx, 4u << 16 | 0x800);
    assert_int_equal(find(1, 0)->edx & 1u << 28, 1u << 28);
    assert_int_equal(find(1, 0)->edx & 1u << 31, 0); /* not asked for */
    assert_int_equal(find(4, 3)->eax, 0x0000c163);
    assert_int_equal(find(4, 3)->ebx, 0x02c0003f);
    assert_int_equal(find(4, 3)->ecx, 0x7fff);
    assert_int_equal(find(7, 0)->ebx & (1u << 4 | 1u << 11), 1u << 4 | 1u << 11); /* TSX, whole */
    assert_int_equal(find(7, 0)->ecx >> 31, 0);
    assert_int_equal(virtualise(NULL, 0, TDX_ATTR_PKS, 3), TDX_SUCCESS);
    assert_int_equal(find(7, 0)->ecx >> 31, 1);
}

static void what_is_not_the_vmms_to_configure_is_refused(void **state)
{
    (void)state;
    const struct tdx_cpuid cases[] = {
        {1, TDX_CPUID_NO_SUBLEAF, 0x00a00f11, 0, 0, 0},         /* another model */
        {1, TDX_CPUID_NO_SUBLEAF, 0, 0, 1u << 31, 0},           /* hypervisor */
        {1, TDX_CPUID_NO_SUBLEAF, 0, 0x01000000, 0, 0},         /* APIC id */
        {4, 0, 0x2000, 0, 0, 0},                                /* a reserved bit */
        {7, 0, 0, 1u << 2, 0, 0},                               /* SGX */
        {7, 0, 0, 1u << 4, 0, 0},                               /* half of TSX */
        {7, 0, 0, 1u << 11, 0, 0},                              /* the other half */
        {0x21, 0, 1, 0, 0, 0},                                  /* TDX' own leaf */
        {0x80000008, TDX_CPUID_NO_SUBLEAF, 48u << 16, 0, 0, 0}, /* GPAW is KVM's to take out */
        {0x80000001, TDX_CPUID_NO_SUBLEAF, 0, 0, 4, 0},         /* SVM */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(virtualise(&cases[i], 1, 0, 3), TDX_OPERAND_INVALID | TDX_OPERAND_CPUID_CONFIG);
    const struct tdx_cpuid same = {1, TDX_CPUID_NO_SUBLEAF, 0x806f8, 0, 0, 0};
    assert_int_equal(virtualise(&same, 1, 0, 3), TDX_SUCCESS);
}

static void everything_configurable_is_taken(void **state)
{
    (void)state;
    struct tdx_cpuid list[TDX_CPUID_MAX];
    size_t count = tdx_cpuid_configurable(list);
    assert_int_equal(count, 11);
    for (size_t i = 0; i < count; i++)
        if (list[i].leaf == 1)
            list[i].eax = 0;
    assert_int_equal(virtualise(list, count, 0, 0x2e7), TDX_SUCCESS);
    assert_int_equal(find(0x80000008, 0)->ebx, 0x200);
}

static void mwait_s_leaf_goes_with_its_feature(void **state)
{
    (void)state;
    const struct tdx_cpuid config = {1, TDX_CPUID_NO_SUBLEAF, 0, 0, 1u << 3, 0};
    assert_int_equal(virtualise(&config, 1, 0, 3), TDX_SUCCESS);
    assert_int_equal(find(5, 0)->eax, 0x40);
    assert_int_equal(virtualise(NULL, 0, 0, 3), TDX_SUCCESS);
    assert_int_equal(find(5, 0)->eax, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_td_sees_an_intel_processor_with_tdx),
        cmocka_unit_test(leaves_that_the_module_leaves_to_the_vmm_are_not_there),
        cmocka_unit_test(features_go_with_xfam),
        cmocka_unit_test(the_vmm_decides_what_is_its_to_decide),
        cmocka_unit_test(what_is_not_the_vmms_to_configure_is_refused),
        cmocka_unit_test(everything_configurable_is_taken),
        cmocka_unit_test(mwait_s_leaf_goes_with_its_feature),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
