/* An SNP guest of an IGVM file: measured as KVM measures it, or refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/ec.h>
#include <openssl/evp.h>

#include "sev/id_block.h"
#include "sev/igvm.h"
#include "tests/unit/igvm/made_igvm.h"
#include "tests/unit/sev/ovmf_image.h"

#define SNP 1u

static struct made_igvm made;
static struct igvm_file file;
static struct snp_igvm igvm;
static struct igvm_machine machine;
static struct snp_igvm_layout layout;
static struct cofre_err err;
static uint8_t page[4096];
static uint32_t data, state_at;
static uint8_t *context;

static struct snp_vmsa *state(void)
{
    return (struct snp_vmsa *)(made.file.data + state_at);
}

/* Pages of every kind, a parameter area, and the context of vCPU 0 in 32-bit mode. */
static int make(void **s)
{
    struct snp_vmsa vmsa;
    (void)s;
    machine = (struct igvm_machine){.cpus = 1, .ram = {{0, 0x8000000}}, .rams = 1};
    layout =
        (struct snp_igvm_layout){.cpus = 1, .cpu_signature = 0x800f12, .guest_features = SNP_FEATURE_ACTIVE};
    memset(page, 0x5a, sizeof page);
    snp_vmsa_of_entry(&vmsa, 0x1000, SNP_FEATURE_ACTIVE);
    igvm_made_begin(&made, 1, 8192, 65536);
    data = igvm_made_data(&made, page, sizeof page);
    state_at = igvm_made_data(&made, &vmsa, sizeof vmsa);
    igvm_made_platform(&made, IGVM_SEV_SNP, SNP);
    igvm_made_policy(&made, SNP, 0x30000);
    igvm_made_area(&made, 1, 0x1000, 0);
    igvm_made_parameter(&made, IGVM_VP_COUNT, 1, 0);
    igvm_made_page(&made, SNP, 0x3000, data, 0, IGVM_PAGE_NORMAL);
    igvm_made_page(&made, SNP, 0x1000, 0, 0, IGVM_PAGE_NORMAL);
    igvm_made_page(&made, SNP, 0x2000, data, MADE_UNMEASURED, IGVM_PAGE_NORMAL);
    igvm_made_insert(&made, SNP, 0x8000, 1);
    igvm_made_page(&made, SNP, 0x5000, 0, 0, IGVM_PAGE_SECRETS);
    igvm_made_page(&made, SNP, 0x6000, 0, 0, IGVM_PAGE_CPUID);
    context = igvm_made_context(&made, SNP, SNP_VMSA_GPA, state_at, 0);
    return 0;
}

static int destroy(void **s)
{
    (void)s;
    snp_igvm_free(&igvm);
    bytes_free(&made.file);
    return 0;
}

static int build(void)
{
    if (igvm_file_parse(&file, igvm_made_whole(&made), &err) != 0)
        fail_msg("%s", err.text);
    snp_igvm_free(&igvm);
    return snp_igvm_build(&igvm, &file, &machine, &layout, &err);
}

static void built(struct snp_digest *digest)
{
    if (build() != 0)
        fail_msg("%s", err.text);
    assert_int_equal(snp_igvm_digest(digest, &igvm, &err), 0);
}

static void refused(int code, const char *why)
{
    assert_int_equal(build(), -code);
    if (!strstr(err.text, why))
        fail_msg("\"%s\" is not about \"%s\"", err.text, why);
}

static void fold(struct snp_digest *digest, enum snp_page_type type, uint64_t gpa, const void *contents)
{
    assert_int_equal(snp_digest_page(digest, type, gpa, contents, &err), 0);
}

static void is_measured_in_the_files_order_and_its_vcpus_last(void **s)
{
    (void)s;
    static const uint8_t zeros[4096];
    struct snp_digest digest, expected;
    struct snp_vmsa second;
    for (unsigned i = 0; i < 4; i++) {
        layout.cpus = 1 + i % 2;
        layout.as_qemu = i >= 2;
        built(&digest);
        snp_digest_init(&expected);
        fold(&expected, SNP_PAGE_NORMAL, 0x3000, page);
        fold(&expected, layout.as_qemu ? SNP_PAGE_ZERO : SNP_PAGE_NORMAL, 0x1000,
             layout.as_qemu ? NULL : zeros);
        fold(&expected, SNP_PAGE_UNMEASURED, 0x2000, NULL);
        fold(&expected, SNP_PAGE_UNMEASURED, 0x8000, NULL);
        fold(&expected, SNP_PAGE_SECRETS, 0x5000, NULL);
        fold(&expected, SNP_PAGE_CPUID, 0x6000, NULL);
        fold(&expected, SNP_PAGE_VMSA, SNP_VMSA_GPA, state());
        snp_vmsa_of_reset(&second, SNP_VMM_QEMU, 1, 0xfffffff0, 0x800f12, SNP_FEATURE_ACTIVE);
        if (layout.cpus == 2)
            fold(&expected, SNP_PAGE_VMSA, SNP_VMSA_GPA, &second);
        assert_memory_equal(digest.value, expected.value, sizeof digest.value);
    }
}

/* The same image, its metadata's sections and vCPUs as a file: QEMU launches the one as the other. */
static void an_ovmf_as_a_file_is_what_qemu_launches(void **s)
{
    (void)s;
    static struct snp_layout_ranges ranges;
    static const uint8_t kernel[] = "a kernel";
    const struct snp_kernel_items items = {.kernel = {kernel, 8}};
    const struct snp_layout qemu = {SNP_VMM_QEMU, 2, 0x800f12, SNP_FEATURE_ACTIVE, &items};
    struct snp_ovmf ovmf;
    struct snp_digest digest, expected;
    struct snp_vmsa vmsa;
    assert_int_equal(make_image(NULL), 0);
    assert_int_equal(snp_ovmf_parse(&ovmf, (struct view){image, SIZE}, &err), 0);
    assert_int_equal(snp_layout_ranges(&ranges, &ovmf, &qemu, &err), 0);
    assert_int_equal(snp_layout_digest(&expected, &ovmf, &qemu, &err), 0);
    made.headers = 24 + 24; /* platform and policy */
    for (size_t i = 0; i < ranges.count; i++)
        for (uint64_t at = 0; at < ranges.range[i].len; at += 4096) {
            const struct snp_layout_range *r = &ranges.range[i];
            igvm_made_page(&made, SNP, r->gpa + at, r->data ? igvm_made_data(&made, r->data + at, 4096) : 0,
                           0,
                           r->type == SNP_PAGE_SECRETS ? IGVM_PAGE_SECRETS
                           : r->type == SNP_PAGE_CPUID ? IGVM_PAGE_CPUID
                                                       : IGVM_PAGE_NORMAL);
        }
    for (unsigned i = 0; i < 2; i++) {
        snp_vmsa_of_reset(&vmsa, SNP_VMM_QEMU, i, ovmf.reset_eip, 0x800f12, SNP_FEATURE_ACTIVE);
        igvm_made_context(&made, SNP, SNP_VMSA_GPA, igvm_made_data(&made, &vmsa, sizeof vmsa), i);
    }
    layout.cpus = 2;
    layout.as_qemu = true;
    layout.kernel = &items;
    built(&digest);
    assert_memory_equal(digest.value, expected.value, sizeof digest.value);
    layout.as_qemu = false;
    built(&digest);
    assert_memory_not_equal(digest.value, expected.value, sizeof digest.value);
}

/* 512 pages as KVM measures them; QEMU's library has the first page of their data alone. */
static void a_large_page_is_measured_page_by_page_and_not_as_qemu(void **s)
{
    (void)s;
    struct snp_digest digest, expected;
    bytes_free(&made.file);
    igvm_made_begin(&made, 1, 4096, (2u << 20) + 65536);
    igvm_made_platform(&made, IGVM_SEV_SNP, SNP);
    const uint32_t large = igvm_made_data(&made, NULL, 2u << 20);
    memcpy(made.file.data + large + 0x1000, page, sizeof page);
    snp_vmsa_of_entry((struct snp_vmsa *)page, 0x1000, SNP_FEATURE_ACTIVE);
    state_at = igvm_made_data(&made, page, sizeof page);
    uint8_t *body = igvm_made_page(&made, SNP, 0x200000, large, MADE_LARGE, IGVM_PAGE_NORMAL);
    igvm_made_context(&made, SNP, SNP_VMSA_GPA, state_at, 0);
    built(&digest);
    snp_digest_init(&expected);
    for (uint32_t at = 0; at < 2u << 20; at += 4096)
        fold(&expected, SNP_PAGE_NORMAL, 0x200000 + at, made.file.data + large + at);
    fold(&expected, SNP_PAGE_VMSA, SNP_VMSA_GPA, state());
    assert_memory_equal(digest.value, expected.value, sizeof digest.value);
    layout.as_qemu = true;
    refused(COFRE_MALFORMED, "QEMU does not take");
    put_le32(body + 12, 0);
    built(&digest);
}

static void what_parameters_say_is_not_measured(void **s)
{
    (void)s;
    struct snp_digest digest, other;
    built(&digest);
    assert_int_equal(le32(igvm.range[3].data), 1);
    machine.cpus = 9;
    built(&other);
    assert_int_equal(le32(igvm.range[3].data), 9);
    assert_memory_equal(digest.value, other.value, sizeof digest.value);
}

/* Whatever byte of a context is changed: it is refused, or KVM would make and measure exactly that page. */
static void a_context_is_what_kvm_makes_or_it_is_refused(void **s)
{
    (void)s;
    struct snp_digest digest, other;
    struct snp_vmsa made_by_kvm;
    unsigned accepted = 0;
    built(&digest);
    for (size_t bit = 0; bit < 8 * sizeof(struct snp_vmsa); bit += bit < 8 * 0x430 ? 1 : 8) {
        uint8_t *at = (uint8_t *)state() + bit / 8;
        *at ^= (uint8_t)(1u << bit % 8);
        if (build() == 0) {
            accepted++;
            snp_vmsa_of_registers(&made_by_kvm, state(), SNP_FEATURE_ACTIVE);
            assert_memory_equal(&made_by_kvm, state(), sizeof made_by_kvm);
            assert_int_equal(snp_igvm_digest(&other, &igvm, &err), 0);
            assert_memory_not_equal(other.value, digest.value, sizeof other.value);
        } else {
            assert_non_null(strstr(err.text, "VP context of vCPU 0: KVM does not start a vCPU with this "));
        }
        *at ^= (uint8_t)(1u << bit % 8);
    }
    /* 16 general registers, RIP, RFLAGS but its fixed bit; CR3, CR4 and EFER but one each, CR0 but two; eight segments (DPL of SS is also
     * CPL); two tables of 16 and 64 bits. */
    const unsigned registers = 17 * 64 + 63, control = 64 + 63 + 63 + 62,
                   segments = 8 * (16 + 12 + 32 + 64) - 2, tables = 2 * (16 + 64);
    assert_int_equal(accepted, registers + control + segments + tables);
    state()->ss.attrib ^= 3 << 5;
    state()->cpl ^= 3;
    built(&other);
}

static void the_field_is_named(void **s)
{
    (void)s;
    static const struct {
        size_t offset;
        const char *name;
    } fields[] = {
        {offsetof(struct snp_vmsa, sev_features), "this SEV_FEATURES in"},
        {offsetof(struct snp_vmsa, dr6), "this DR6 in"},
        {offsetof(struct snp_vmsa, vmpl), "this VMPL in"},
        {offsetof(struct snp_vmsa, cpl), "this CPL in"},
        {offsetof(struct snp_vmsa, virtual_tom), "this virtual top of memory in"},
        {offsetof(struct snp_vmsa, gdtr), "this GDTR in"},
        {offsetof(struct snp_vmsa, g_pat), "this PAT in"},
        {offsetof(struct snp_vmsa, cr2), "this CR2 in"},
        {offsetof(struct snp_vmsa, xcr0), "this XCR0 in"},
        {offsetof(struct snp_vmsa, mxcsr), "this MXCSR in"},
        {offsetof(struct snp_vmsa, reserved_670) + 2447, "this reserved field in"},
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        ((uint8_t *)state())[fields[i].offset] ^= 2;
        refused(COFRE_MALFORMED, fields[i].name);
        ((uint8_t *)state())[fields[i].offset] ^= 2;
    }
    state()->efer &= ~SNP_EFER_SVME;
    refused(COFRE_MALFORMED, "this EFER in");
}

static void contexts_stand_where_kvm_measures_them(void **s)
{
    (void)s;
    struct snp_digest one, two;
    built(&one);
    put_le64(context, 0x7000);
    refused(COFRE_MALFORMED, "0x7000");
    put_le64(context, SNP_VMSA_GPA);
    put_le16(context + 16, 1);
    refused(COFRE_MALFORMED, "vCPU 1: it stands where that of vCPU 0 should");
    put_le16(context + 16, 0);
    igvm_made_context(&made, SNP, SNP_VMSA_GPA, state_at, 1);
    refused(COFRE_MALFORMED, "vCPU 1: the guest has 1 vCPUs");
    layout.cpus = 2;
    built(&two);
    igvm_made_page(&made, SNP, 0x9000, 0, 0, IGVM_PAGE_NORMAL);
    refused(COFRE_MALFORMED, "measures it last");
    made.headers = (size_t)(context - made.file.data) - 8 - made.begin;
    refused(COFRE_MALFORMED, "no VP context");
    made.headers = 0;
    igvm_made_platform(&made, IGVM_TDX, SNP);
    refused(COFRE_NEGATIVE, "not for AMD SEV-SNP");
}

static void a_kernel_must_be_measured(void **s)
{
    (void)s;
    uint8_t hashed[4096] = {0};
    struct snp_digest digest;
    static const uint8_t kernel[] = "a kernel", initrd[] = "an initrd", cmdline[] = "quiet";
    struct snp_kernel_items items = {{kernel, 9}, {initrd, 10}, {cmdline, 5}};
    layout.kernel = &items;
    refused(COFRE_NEGATIVE, "would not stand for them");
    assert_int_equal(snp_ovmf_hash_table(hashed + 0xc00, &items, &err), 0);
    uint8_t *header = context - 8 - 32; /* of the CPUID page */
    assert_int_equal(le64(header + 8), 0x6000);
    put_le32(header + 8 + 12, igvm_made_data(&made, hashed, sizeof hashed));
    refused(COFRE_NEGATIVE, "would not stand for them");
    put_le32(header + 8 + 16, MADE_UNMEASURED);
    put_le16(header + 8 + 20, IGVM_PAGE_NORMAL);
    refused(COFRE_NEGATIVE, "would not stand for them");
    put_le32(header + 8 + 16, 0);
    built(&digest);
    items.cmdline.len = 4;
    refused(COFRE_NEGATIVE, "would not stand for them");
    items.cmdline.len = 5;
    items.kernel.len = 8;
    refused(COFRE_NEGATIVE, "would not stand for them");
    items.kernel.len = 9;
    items.initrd.len = 9;
    refused(COFRE_NEGATIVE, "would not stand for them");
}

static void put_component(uint8_t *to, const uint8_t *first, const uint8_t *second)
{
    memcpy(to, first, 72);
    memcpy(to + 72, second, 72);
}

/* The header's body at b, of a block that two keys of now sign. */
static void put_id_block(uint8_t *b, const struct snp_id_block *block, bool with_author)
{
    struct snp_id_auth auth;
    EVP_PKEY *id = EVP_EC_gen("P-384"), *author = EVP_EC_gen("P-384");
    assert_int_equal(snp_id_auth_sign(&auth, block, id, with_author ? author : NULL, &err), 0);
    memset(b, 0, 696);
    put_le32(b, SNP);
    b[4] = with_author;
    memcpy(b + 8, block->launch_digest, 48);
    memcpy(b + 56, block->family_id, 16);
    memcpy(b + 72, block->image_id, 16);
    put_le32(b + 88, block->version);
    put_le32(b + 92, block->guest_svn);
    put_le32(b + 96, auth.id_key_algo);
    put_le32(b + 100, auth.author_key_algo);
    put_component(b + 104, auth.id_block_sig.r, auth.id_block_sig.s);
    put_le32(b + 248, auth.id_key.curve);
    put_component(b + 256, auth.id_key.qx, auth.id_key.qy);
    put_component(b + 400, auth.id_key_sig.r, auth.id_key_sig.s);
    put_le32(b + 544, auth.author_key.curve);
    put_component(b + 552, auth.author_key.qx, auth.author_key.qy);
    EVP_PKEY_free(id);
    EVP_PKEY_free(author);
}

static void an_id_block_is_taken_where_its_keys_signed_it(void **s)
{
    (void)s;
    const struct snp_id_block block = {.version = 1, .guest_svn = 7, .policy = 0x30000, .image_id = "image"};
    uint8_t *body = igvm_made_header(&made, IGVM_SNP_ID_BLOCK, 696);
    struct snp_digest digest;
    for (int with_author = 0; with_author < 2; with_author++) {
        put_id_block(body, &block, with_author);
        built(&digest);
        assert_true(igvm.has_id_block);
        assert_memory_equal(&igvm.id_block, &block, sizeof block);
        assert_int_equal(snp_id_auth_has_author(&igvm.id_auth), with_author);
        for (size_t offset = 8; offset < 696; offset += 8) {
            if ((offset >= 400 && !with_author) || offset == 248 + 144 || offset == 544 + 144)
                continue; /* of the author; the keys' last 8 bytes are beyond P-384's */
            body[offset] ^= 1;
            if (offset != 544 && offset != 248)
                assert_int_not_equal(build(), 0);
            body[offset] ^= 1;
        }
    }
    put_le32(body + 88, 2);
    refused(COFRE_MALFORMED, "ID block");
    put_le32(body + 88, 1);
    put_le64(made.file.data + made.begin + 24 + 8, 0x20000); /* the policy */
    refused(COFRE_NEGATIVE, "ID block");
    made.headers = 24;
    context = igvm_made_context(&made, SNP, SNP_VMSA_GPA, state_at, 0);
    body = igvm_made_header(&made, IGVM_SNP_ID_BLOCK, 696);
    put_id_block(body, &block, false);
    refused(COFRE_MALFORMED, "no guest policy");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, make, destroy)
        TEST(is_measured_in_the_files_order_and_its_vcpus_last),
        TEST(an_ovmf_as_a_file_is_what_qemu_launches),
        TEST(a_large_page_is_measured_page_by_page_and_not_as_qemu),
        TEST(what_parameters_say_is_not_measured),
        TEST(a_context_is_what_kvm_makes_or_it_is_refused),
        TEST(the_field_is_named),
        TEST(contexts_stand_where_kvm_measures_them),
        TEST(a_kernel_must_be_measured),
        TEST(an_id_block_is_taken_where_its_keys_signed_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
