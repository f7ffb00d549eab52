/* Images made here, small enough to spoil one field at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "tests/unit/sev/ovmf_image.h"

static struct snp_ovmf ovmf;
static struct cofre_err err;

static int parse(void)
{
    return snp_ovmf_parse(&ovmf, (struct view){image, SIZE}, &err);
}

static void a_good_image_is_read_whole(void **state)
{
    (void)state;
    assert_int_equal(parse(), 0);
    assert_int_equal(ovmf.table.gpa, 0xffffe000);
    assert_int_equal(ovmf.table.count, 3);
    assert_string_equal(ovmf_entry_name(ovmf.table.entry[0].guid), "SEV-ES reset block");
    char text[GUID_TEXT_SIZE];
    guid_format(text, ovmf.table.entry[1].guid);
    assert_string_equal(text, "7255371f-3a3b-4b04-927b-1da6efa8d454");
    assert_true(ovmf.has_reset_eip && ovmf.has_hash_table);
    assert_int_equal(ovmf.reset_eip, 0x80b004);
    assert_int_equal(ovmf.hash_table_gpa, 0x810c00);
    assert_int_equal(ovmf.section_count, 4);
    assert_int_equal(snp_ovmf_section_find(&ovmf, SNP_OVMF_CPUID)->gpa, 0x80e000);
    assert_null(snp_ovmf_section_find(&ovmf, SNP_OVMF_SVSM_CAA));
    assert_null(snp_ovmf_section_name(5));
    assert_null(snp_ovmf_section_name(0x11));
}

static void an_image_without_a_table_has_no_sections(void **state)
{
    (void)state;
    image[TABLE - 1] ^= 1;
    assert_int_equal(parse(), 0);
    assert_int_equal(ovmf.table.count + ovmf.section_count, 0);
    struct snp_digest digest;
    const struct snp_layout layout = {.cpus = 1};
    assert_int_equal(snp_layout_digest(&digest, &ovmf, &layout, &err), -COFRE_MALFORMED);
    assert_non_null(strstr(err.text, "SEV metadata"));
}

static void an_image_of_another_size_is_refused(void **state)
{
    (void)state;
    const size_t sizes[] = {0, 1, 4095, 4097, SIZE - 1, OVMF_SIZE_MAX + 4096};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        assert_int_equal(snp_ovmf_parse(&ovmf, (struct view){image, sizes[i]}, &err), -COFRE_MALFORMED);
}

/* Cuts at whole pages leave other footers; none may be read beyond what is there. */
static void a_table_longer_than_the_image_is_refused(void **state)
{
    (void)state;
    const unsigned whole = (unsigned)(image + TABLE - below);
    for (unsigned len = 0; len < 18; len++) {
        put_le16(footer_len, (uint16_t)len);
        assert_int_equal(parse(), -COFRE_MALFORMED);
    }
    put_le16(footer_len, 18); /* an empty table is one */
    assert_int_equal(parse(), 0);
    assert_int_equal(ovmf.table.count, 0);
    const unsigned bad[] = {19, 35, whole - 1, whole + 1, TABLE + 1, 0xffff};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        put_le16(footer_len, (uint16_t)bad[i]);
        assert_int_equal(parse(), -COFRE_MALFORMED);
    }
    put_le16(footer_len, (uint16_t)whole);
    assert_int_equal(parse(), 0);
}

static void an_entry_s_length_stays_within_the_table(void **state)
{
    (void)state;
    uint8_t *len = entry[META] + 4; /* the last one: nothing is below it */
    const unsigned bad[] = {0, 17, 19, 21, 23, 0xffff};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        put_le16(len, (uint16_t)bad[i]);
        assert_int_equal(parse(), -COFRE_MALFORMED);
    }
}

static void an_entry_too_short_for_its_numbers_is_refused(void **state)
{
    (void)state;
    for (int which = RESET; which <= META; which++) {
        make_image(NULL);
        uint8_t guid[16];
        memcpy(guid, which == RESET ? reset : which == HASHES ? hashes : metadata, 16);
        below = image + TABLE - 18;
        entries = 0;
        add_entry(guid, (const uint32_t[]){0x800}, which == HASHES ? 1 : 0);
        assert_int_equal(parse(), -COFRE_MALFORMED);
        assert_non_null(strstr(err.text, "needs"));
    }
}

static void two_entries_of_one_guid_are_refused(void **state)
{
    (void)state;
    add_entry(reset, (const uint32_t[]){0x80b004}, 1);
    assert_int_equal(parse(), -COFRE_MALFORMED);
}

static void more_entries_than_are_taken_are_refused(void **state)
{
    (void)state;
    uint8_t guid[16] = {0};
    for (unsigned i = 3; i <= OVMF_ENTRIES_MAX; i++) {
        assert_int_equal(parse(), 0);
        guid[0] = (uint8_t)i;
        entries = 3;
        add_entry(guid, NULL, 0);
    }
    assert_int_equal(parse(), -COFRE_MALFORMED);
}

static void metadata_outside_the_image_is_refused(void **state)
{
    (void)state;
    const uint32_t bad[] = {0, 15, SIZE + 1, 0x7fffffff, 0xffffffff};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        put_le32(entry[META], bad[i]);
        assert_int_equal(parse(), -COFRE_MALFORMED);
    }
}

static void metadata_of_another_form_is_refused(void **state)
{
    (void)state;
    const struct {
        unsigned offset;
        uint32_t value;
    } bad[] = {
        {0, 0x56455342},      /* not "ASEV" */
        {4, 16 + 4 * 12 - 1}, /* one byte short of its sections */
        {4, 0},
        {4, SIZE - METADATA + 1}, /* one byte beyond the image */
        {4, 0xffffffff},
        {8, 0},
        {8, 2},
        {12, 5},
        {12, SNP_OVMF_SECTIONS_MAX + 1},
        {12, 0x15555556},
        {12, 0xffffffff},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        make_image(NULL);
        put_le32(image + METADATA + bad[i].offset, bad[i].value);
        assert_int_equal(parse(), -COFRE_MALFORMED);
    }
    make_image(NULL);
    put_le32(image + METADATA + 4, SIZE - METADATA); /* up to the image's end is within it */
    assert_int_equal(parse(), 0);
}

static void sections_are_whole_pages_that_overlap_nothing(void **state)
{
    (void)state;
    const struct {
        unsigned i;
        uint32_t gpa, size, type;
    } bad[] = {
        {MEM, 0x800800, 0x1000, 1},
        {MEM, 0x800000, 0x1001, 1},
        {MEM, 0x800000, 0, 1},
        {MEM, 0xffffd000, 0x2000, 1}, /* over the image */
        {MEM, 0xfffff000, 0x1000, 1},
        {MEM, 0xfffff000, 0xfffff000, 1},
        {MEM, 0x800000, 0xe000, 1},     /* over the secrets page */
        {SECRETS, 0x808000, 0x1000, 2}, /* the last page of MEM */
        {SECRETS, 0x80b000, 0x2000, 2},
        {CPUID, 0x80b000, 0x3000, 3},
        {KERNEL, 0x820000, 0x2000, 0x10},
        {KERNEL, 0x820000, 0x1000, 3}, /* a second CPUID page */
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        make_image(NULL);
        put_section(bad[i].i, bad[i].gpa, bad[i].size, bad[i].type);
        if (parse() != -COFRE_MALFORMED)
            fail_msg("section 0x%x+0x%x of type %u was taken", bad[i].gpa, bad[i].size, bad[i].type);
    }
    make_image(NULL);
    put_section(MEM, 0x800000, 0xd000, 1); /* up to the secrets page */
    assert_int_equal(parse(), 0);
    put_section(MEM, 0xffffc000, 0x2000, 1); /* up to the image */
    assert_int_equal(parse(), 0);
}

static void a_section_nobody_knows_is_read_but_not_measured(void **state)
{
    (void)state;
    put_section(MEM, 0x800000, 0x9000, 7);
    assert_int_equal(parse(), 0);
    struct snp_digest digest;
    const struct snp_layout layout = {.cpus = 1};
    assert_int_equal(snp_layout_digest(&digest, &ovmf, &layout, &err), -COFRE_MALFORMED);
    assert_non_null(strstr(err.text, "type 7"));
}

static void the_hash_table_lies_within_its_page(void **state)
{
    (void)state;
    const struct {
        uint32_t gpa, size;
        int rc;
    } cases[] = {
        {0x810000, 176, 0},
        {0x810000, 175, -COFRE_MALFORMED},
        {0x810f50, 176, 0},
        {0x810f51, 176, -COFRE_MALFORMED},
        {0x80ffff, 176, -COFRE_MALFORMED},
        {0, 176, -COFRE_MALFORMED},
        {0x811000, 176, -COFRE_MALFORMED},
        {0xffffffff, 176, -COFRE_MALFORMED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put_le32(entry[HASHES], cases[i].gpa);
        put_le32(entry[HASHES] + 4, cases[i].size);
        assert_int_equal(parse(), cases[i].rc);
    }
}

static void the_hash_page_has_the_table_at_its_place(void **state)
{
    (void)state;
    uint8_t page[4096], expected[4096] = {0}, hash[32];
    const struct snp_kernel_items items = {
        {(const uint8_t *)"kernel", 6}, {NULL, 0}, {(const uint8_t *)"quiet", 5}};
    assert_int_equal(parse(), 0);
    assert_int_equal(snp_ovmf_hash_page(page, &ovmf, &items, &err), 0);
    uint8_t *table = expected + 0xc00;
    put_le16(table + 16, 168);
    const struct {
        const char *data;
        size_t len;
    } hashed[] = {
        {"quiet", 6}, {"", 0}, {"kernel", 6}}; /* command line with its final zero; no initrd; kernel */
    for (int i = 0; i < 3; i++) {
        uint8_t *at = table + 18 + 50 * i;
        EVP_Digest(hashed[i].data, hashed[i].len, hash, NULL, EVP_sha256(), NULL);
        put_le16(at + 16, 50);
        memcpy(at + 18, hash, 32);
        memcpy(at, page + 0xc00 + 18 + 50 * i, 16); /* GUIDs: real firmware's digests prove them */
    }
    memcpy(table, page + 0xc00, 16);
    assert_memory_equal(page, expected, 4096);
}

static void a_kernel_needs_firmware_that_checks_it(void **state)
{
    (void)state;
    struct snp_digest digest;
    const struct snp_kernel_items items = {{NULL, 0}, {NULL, 0}, {NULL, 0}};
    const struct snp_layout layout = {.cpus = 1, .kernel = &items};
    assert_int_equal(parse(), 0);
    assert_int_equal(snp_layout_digest(&digest, &ovmf, &layout, &err), 0);
    put_section(KERNEL, 0x810000, 0x1000, 1);
    assert_int_equal(parse(), 0);
    assert_int_equal(snp_layout_digest(&digest, &ovmf, &layout, &err), -COFRE_MALFORMED);
    assert_non_null(strstr(err.text, "kernel hashes"));
}

static void more_vcpus_need_a_reset_block(void **state)
{
    (void)state;
    struct snp_digest one, two;
    struct snp_layout layout = {.cpus = 0};
    assert_int_equal(parse(), 0);
    assert_int_equal(snp_layout_digest(&one, &ovmf, &layout, &err), -COFRE_USAGE);
    layout.cpus = SNP_LAYOUT_CPUS_MAX + 1;
    assert_int_equal(snp_layout_digest(&one, &ovmf, &layout, &err), -COFRE_USAGE);
    layout.cpus = 2;
    assert_int_equal(snp_layout_digest(&two, &ovmf, &layout, &err), 0);
    layout.cpus = 1;
    assert_int_equal(snp_layout_digest(&one, &ovmf, &layout, &err), 0);
    assert_memory_not_equal(&one, &two, sizeof one);

    entry[RESET][4 + 2] ^= 1; /* its GUID */
    assert_int_equal(parse(), 0);
    assert_int_equal(snp_layout_digest(&one, &ovmf, &layout, &err), 0);
    layout.cpus = 2;
    assert_int_equal(snp_layout_digest(&one, &ovmf, &layout, &err), -COFRE_MALFORMED);
}

/* The order and types that each VMM gives, written out against the fold. */
static void each_vmm_has_its_own_order_and_types(void **state)
{
    (void)state;
    assert_int_equal(parse(), 0);
    for (enum snp_vmm vmm = SNP_VMM_QEMU; vmm <= SNP_VMM_GCE; vmm++) {
        const struct snp_layout layout = {
            .vmm = vmm, .cpus = 1, .cpu_signature = 0x800f12, .guest_features = 1};
        struct snp_digest got, want;
        struct snp_vmsa vmsa;
        assert_int_equal(snp_layout_digest(&got, &ovmf, &layout, &err), 0);
        snp_digest_init(&want);
        snp_digest_pages(&want, SNP_PAGE_NORMAL, 0xffffe000, image, SIZE, NULL);
        snp_digest_pages(&want, vmm == SNP_VMM_GCE ? SNP_PAGE_UNMEASURED : SNP_PAGE_ZERO, 0x800000, NULL,
                         0x9000, NULL);
        snp_digest_page(&want, SNP_PAGE_SECRETS, 0x80d000, NULL, NULL);
        if (vmm != SNP_VMM_EC2)
            snp_digest_page(&want, SNP_PAGE_CPUID, 0x80e000, NULL, NULL);
        snp_digest_page(&want, SNP_PAGE_ZERO, 0x810000, NULL, NULL);
        if (vmm == SNP_VMM_EC2)
            snp_digest_page(&want, SNP_PAGE_CPUID, 0x80e000, NULL, NULL);
        snp_vmsa_of_reset(&vmsa, vmm, 0, 0, 0x800f12, 1);
        snp_digest_page(&want, SNP_PAGE_VMSA, 0xfffffffff000, &vmsa, NULL);
        assert_memory_equal(got.value, want.value, SNP_DIGEST_SIZE);
    }
}

static void cpu_models_have_their_signatures(void **state)
{
    (void)state;
    const struct {
        const char *model;
        uint32_t signature;
    } good[] = {
        {"EPYC", 0x00800f12},       {"EPYC-v4", 0x00800f12},       {"EPYC-IBPB", 0x00800f12},
        {"EPYC-Rome", 0x00830f10},  {"EPYC-Milan-v2", 0x00a00f11}, {"EPYC-Genoa", 0x00a10f10},
        {"EPYC-Turin", 0x00b00f00}, {"0xa00f11", 0x00a00f11},
    };
    const char *const bad[] = {
        "",   "epyc",        "EPYC-", "EPYC-v",        "EPYC-v0", "EPYC-v1x", "EPYC-Naples",
        "0x", "0x100000000", "0x1g",  "Skylake-Server"};
    uint32_t signature;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(snp_cpu_signature(&signature, good[i].model, &err), 0);
        assert_int_equal(signature, good[i].signature);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(snp_cpu_signature(&signature, bad[i], &err), -COFRE_USAGE);
}

#define ON_IMAGE(f) cmocka_unit_test_setup(f, make_image)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_IMAGE(a_good_image_is_read_whole),
        ON_IMAGE(an_image_without_a_table_has_no_sections),
        ON_IMAGE(an_image_of_another_size_is_refused),
        ON_IMAGE(a_table_longer_than_the_image_is_refused),
        ON_IMAGE(an_entry_s_length_stays_within_the_table),
        ON_IMAGE(an_entry_too_short_for_its_numbers_is_refused),
        ON_IMAGE(two_entries_of_one_guid_are_refused),
        ON_IMAGE(more_entries_than_are_taken_are_refused),
        ON_IMAGE(metadata_outside_the_image_is_refused),
        ON_IMAGE(metadata_of_another_form_is_refused),
        ON_IMAGE(sections_are_whole_pages_that_overlap_nothing),
        ON_IMAGE(a_section_nobody_knows_is_read_but_not_measured),
        ON_IMAGE(the_hash_table_lies_within_its_page),
        ON_IMAGE(the_hash_page_has_the_table_at_its_place),
        ON_IMAGE(a_kernel_needs_firmware_that_checks_it),
        ON_IMAGE(more_vcpus_need_a_reset_block),
        ON_IMAGE(each_vmm_has_its_own_order_and_types),
        ON_IMAGE(cpu_models_have_their_signatures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
