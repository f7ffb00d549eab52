#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sev/vmsa.h"
#include "vmm/base/bytes.h"

/* Every byte of a page that is not zero, by its offset in the processor's manual: anything else must be zero. */
struct field {
    unsigned offset, size;
    uint64_t value;
};

static void assert_page_is(const struct snp_vmsa *vmsa, const struct field *fields, size_t count)
{
    uint8_t expected[4096] = {0}, word[8];
    for (size_t i = 0; i < count; i++) {
        put_le64(word, fields[i].value);
        memcpy(expected + fields[i].offset, word, fields[i].size);
    }
    for (unsigned i = 0; i < 4096; i++)
        if (((const uint8_t *)vmsa)[i] != expected[i])
            fail_msg("byte 0x%x is 0x%02x and should be 0x%02x", i, ((const uint8_t *)vmsa)[i], expected[i]);
}
#define ASSERT_PAGE_IS(vmsa, fields) assert_page_is(vmsa, fields, sizeof(fields) / sizeof(fields)[0])

static void the_entry_state_is_flat_protected_mode(void **state)
{
    (void)state;
    const struct field fields[] = {
        {0x000, 8, 0xffffffff0c930018}, /* ES */
        {0x010, 8, 0xffffffff0c9b0010}, /* CS */
        {0x020, 8, 0xffffffff0c930018}, /* SS */
        {0x030, 8, 0xffffffff0c930018}, /* DS */
        {0x040, 8, 0xffffffff0c930018}, /* FS */
        {0x050, 8, 0xffffffff0c930018}, /* GS */
        {0x070, 8, 0x0000ffff00820000}, /* LDTR */
        {0x090, 8, 0x0000ffff008b0000}, /* TR */
        {0x0d0, 8, 0x1000},             /* EFER */
        {0x148, 8, 0x40},               /* CR4 */
        {0x158, 8, 0x11},               /* CR0 */
        {0x160, 8, 0x400},              /* DR7 */
        {0x168, 8, 0xffff0ff0},         /* DR6 */
        {0x170, 8, 2},                  /* RFLAGS */
        {0x178, 8, 0x00100123},         /* RIP */
        {0x268, 8, 0x0007040600070406}, /* PAT */
        {0x3b0, 8, 0x21},               /* SEV_FEATURES */
        {0x3e8, 8, 1},                  /* XCR0 */
        {0x408, 4, 0x1f80},             /* MXCSR */
        {0x410, 2, 0x37f},              /* x87 control word */
    };
    struct snp_vmsa vmsa;
    memset(&vmsa, 0xee, sizeof vmsa);
    snp_vmsa_of_entry(&vmsa, 0x00100123, 0x21);
    ASSERT_PAGE_IS(&vmsa, fields);
}

static void a_second_processor_of_qemu_starts_at_the_reset_block_s_address(void **state)
{
    (void)state;
    const struct field fields[] = {
        {0x000, 8, 0x0000ffff00930000},
        {0x010, 8, 0x0000ffff009bf000}, /* CS */
        {0x018, 8, 0x00800000},         /* CS base: upper half of the address */
        {0x020, 8, 0x0000ffff00930000},
        {0x030, 8, 0x0000ffff00930000},
        {0x040, 8, 0x0000ffff00930000},
        {0x050, 8, 0x0000ffff00930000},
        {0x060, 8, 0x0000ffff00000000}, /* GDTR */
        {0x070, 8, 0x0000ffff00820000},
        {0x080, 8, 0x0000ffff00000000}, /* IDTR */
        {0x090, 8, 0x0000ffff008b0000},
        {0x0d0, 8, 0x1000},
        {0x148, 8, 0x40},
        {0x158, 8, 0x10},
        {0x160, 8, 0x400},
        {0x168, 8, 0xffff0ff0},
        {0x170, 8, 2},
        {0x178, 8, 0xb004}, /* RIP: lower half */
        {0x268, 8, 0x0007040600070406},
        {0x310, 8, 0x00a00f11}, /* RDX: the CPU's signature */
        {0x3b0, 8, 1},
        {0x3e8, 8, 1},
        {0x408, 4, 0x1f80},
        {0x410, 2, 0x37f},
    };
    struct snp_vmsa vmsa;
    snp_vmsa_of_reset(&vmsa, SNP_VMM_QEMU, 1, 0x0080b004, 0x00a00f11, 1);
    ASSERT_PAGE_IS(&vmsa, fields);
}

static void the_boot_processor_starts_at_the_reset_vector(void **state)
{
    (void)state;
    struct snp_vmsa vmsa;
    for (enum snp_vmm vmm = SNP_VMM_QEMU; vmm <= SNP_VMM_GCE; vmm++) {
        snp_vmsa_of_reset(&vmsa, vmm, 0, 0x0080b004, 0x00a00f11, 1);
        assert_int_equal(vmsa.cs.base, 0xffff0000);
        assert_int_equal(vmsa.rip, 0xfff0);
    }
}

static void the_clouds_differ_in_known_fields_only(void **state)
{
    (void)state;
    struct snp_vmsa qemu, ec2, gce;
    snp_vmsa_of_reset(&qemu, SNP_VMM_QEMU, 0, 0, 0x00a00f11, 1);
    snp_vmsa_of_reset(&ec2, SNP_VMM_EC2, 0, 0, 0x00a00f11, 1);
    snp_vmsa_of_reset(&gce, SNP_VMM_GCE, 0, 0, 0x00a00f11, 1);
    assert_int_equal(ec2.cs.attrib, 0x9a);
    assert_int_equal(ec2.ss.attrib, 0x92);
    assert_int_equal(ec2.tr.attrib, 0x83);
    assert_int_equal(gce.g_pat, 0x00070106);
    struct snp_vmsa *const clouds[] = {&ec2, &gce};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(clouds[i]->rdx, 0x600);
        assert_int_equal(clouds[i]->mxcsr, 0);
        assert_int_equal(clouds[i]->x87_fcw, 0);
        clouds[i]->cs = qemu.cs, clouds[i]->ss = qemu.ss, clouds[i]->tr = qemu.tr;
        clouds[i]->g_pat = qemu.g_pat, clouds[i]->rdx = qemu.rdx;
        clouds[i]->mxcsr = qemu.mxcsr, clouds[i]->x87_fcw = qemu.x87_fcw;
        assert_memory_equal(clouds[i], &qemu, sizeof qemu);
    }
    snp_vmsa_of_reset(&ec2, SNP_VMM_EC2, 1, 0x0080b004, 0x00a00f11, 1);
    assert_int_equal(ec2.cs.attrib, 0x9b);
}

static void attributes_come_apart_as_kvm_puts_them_together(void **state)
{
    (void)state;
    assert_int_equal(snp_segment_type(SNP_ENTRY_CODE), 0xb);
    assert_int_equal(snp_segment_s(SNP_ENTRY_CODE), 1);
    assert_int_equal(snp_segment_present(SNP_ENTRY_CODE), 1);
    assert_int_equal(snp_segment_db(SNP_ENTRY_CODE), 1);
    assert_int_equal(snp_segment_g(SNP_ENTRY_CODE), 1);
    assert_int_equal(snp_segment_l(SNP_ENTRY_CODE), 0);
    assert_int_equal(snp_segment_s(SNP_ENTRY_TR), 0);
    for (unsigned attrib = 0; attrib < 0x1000;
         attrib++) /* KVM's shifts (svm.h): S 4, DPL 5, P 7, AVL 8, L 9, DB 10, G 11 */
        assert_int_equal(snp_segment_type(attrib) | snp_segment_s(attrib) << 4 |
                             snp_segment_dpl(attrib) << 5 | snp_segment_present(attrib) << 7 |
                             snp_segment_avl(attrib) << 8 | snp_segment_l(attrib) << 9 |
                             snp_segment_db(attrib) << 10 | snp_segment_g(attrib) << 11,
                         attrib);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_entry_state_is_flat_protected_mode),
        cmocka_unit_test(a_second_processor_of_qemu_starts_at_the_reset_block_s_address),
        cmocka_unit_test(the_boot_processor_starts_at_the_reset_vector),
        cmocka_unit_test(the_clouds_differ_in_known_fields_only),
        cmocka_unit_test(attributes_come_apart_as_kvm_puts_them_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
