/* Images made here, small enough to spoil one field at a time, and Debian's firmware. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "tdx/layout.h"
#include "tdx/mrtd.h"
#include "tests/unit/tdx/tdvf_image.h"

static struct tdx_tdvf tdvf;
static struct cofre_err err;

static int parse(void)
{
    return tdx_tdvf_parse(&tdvf, (struct view){image, SIZE}, &err);
}

static void a_good_image_is_read_whole(void **state)
{
    (void)state;
    assert_int_equal(parse(), 0);
    assert_int_equal(tdvf.section_count, SECTIONS);
    for (size_t i = 0; i < SECTIONS; i++) {
        assert_int_equal(tdvf.section[i].gpa, good[i].gpa);
        assert_int_equal(tdvf.section[i].size, good[i].size);
        assert_int_equal(tdvf.section[i].type, good[i].type);
        assert_int_equal(tdvf.section[i].attributes, good[i].attributes);
        assert_int_equal(tdvf.section[i].data.len, good[i].data.len);
    }
    assert_ptr_equal(tdvf.section[CODE].data.data, image + 0x2000);
    assert_string_equal(tdx_tdvf_section_name(TDX_TDVF_TD_HOB), "TD HOB");
    assert_null(tdx_tdvf_section_name(TDX_TDVF_PAYLOAD_PARAM + 1));
}

static void an_image_without_metadata_cannot_start(void **state)
{
    (void)state;
    uint8_t mrtd[TDX_DIGEST_SIZE];
    distance[4 + 2] ^= 1; /* its GUID */
    assert_int_equal(parse(), 0);
    assert_int_equal(tdvf.section_count, 0);
    assert_int_equal(tdx_layout_mrtd(mrtd, &tdvf, &err), -COFRE_MALFORMED);
    assert_non_null(strstr(err.text, "no TDX metadata"));
}

static void metadata_outside_the_image_is_refused(void **state)
{
    (void)state;
    const uint32_t bad[] = {0, 15, SIZE + 1, 0x7fffffff, 0xffffffff};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        put_le32(distance, bad[i]);
        assert_int_equal(parse(), -COFRE_MALFORMED);
        assert_non_null(strstr(err.text, "TDX metadata"));
    }
}

static void metadata_of_another_form_is_refused(void **state)
{
    (void)state;
    const struct {
        unsigned offset;
        uint32_t value;
    } bad[] = {
        {0, 0x46564455}, /* not "TDVF" */
        {4, 0},
        {4, 16 + SECTIONS * 32 - 1},
        {4, 16 + SECTIONS * 32 + 1},
        {4, 0xffffffff},
        {8, 0},
        {8, 2},
        {12, 0},
        {12, SECTIONS - 1},
        {12, SECTIONS + 1},
        {12, TDX_TDVF_SECTIONS_MAX + 1},
        {12, 0x08000004}, /* whose size is that of four in 32 bits */
        {12, 0xffffffff},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        make_image(NULL);
        put_le32(image + METADATA + bad[i].offset, bad[i].value);
        assert_int_equal(parse(), -COFRE_MALFORMED);
    }
}

/* The last section ends with the image; one more would not. */
static void sections_beyond_the_image_are_refused(void **state)
{
    (void)state;
    put_le32(distance, 16 + SECTIONS * 32 - 1);
    memmove(image + SIZE - 16 - SECTIONS * 32 + 1, image + METADATA, 16);
    assert_int_equal(parse(), -COFRE_MALFORMED);
    assert_non_null(strstr(err.text, "exceed the image"));
}

static void expect_section(size_t i, const struct tdx_tdvf_section *s, uint32_t offset, int rc)
{
    make_image(NULL);
    put_section(i, s, offset);
    if (parse() != rc)
        fail_msg("section 0x%llx+0x%llx of type %u, 0x%zx bytes at 0x%x: %s", (unsigned long long)s->gpa,
                 (unsigned long long)s->size, s->type, s->data.len, offset, rc ? "taken" : err.text);
}

static void sections_are_whole_pages_that_overlap_nothing(void **state)
{
    (void)state;
    const struct {
        uint64_t gpa, size;
        int rc;
    } cases[] = {
        {0x810800, 0x1000, -COFRE_MALFORMED},
        {0x810000, 0x1001, -COFRE_MALFORMED},
        {0x810000, 0, -COFRE_MALFORMED},
        {OVMF_END, 0x1000, -COFRE_MALFORMED},
        {0x100000000000, 0x1000, -COFRE_MALFORMED},
        {0x810000, OVMF_END, -COFRE_MALFORMED},
        {0x810000, 0xfffffffffffff000, -COFRE_MALFORMED},
        {0xfffffffffffff000, 0x1000, -COFRE_MALFORMED},
        {BASE - 0x1000, 0x2000, -COFRE_MALFORMED}, /* over the variables */
        {0x80a000, 0x1000, -COFRE_MALFORMED},      /* the last page of the HOB */
        {0x808000, 0x2000, -COFRE_MALFORMED},
        {0x80b000, 0x1000, 0},
        {0x808000, 0x1000, 0},
        {BASE - 0x1000, 0x1000, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        expect_section(
            MEM,
            &(struct tdx_tdvf_section){.gpa = cases[i].gpa, .size = cases[i].size, .type = TDX_TDVF_TEMP_MEM},
            0, cases[i].rc);
}

static void data_lie_in_the_image_and_fit_their_section(void **state)
{
    (void)state;
    const struct {
        uint32_t offset, len;
        int rc;
    } cases[] = {
        {0x2000, 0x4000, 0},
        {0x2000, 0x3fff, 0},
        {0x1fff, 0x4001, -COFRE_MALFORMED}, /* more than the section's memory */
        {0x2001, 0x4000, -COFRE_MALFORMED},
        {SIZE, 1, -COFRE_MALFORMED},
        {0xffffffff, 0x4000, -COFRE_MALFORMED},
        {0xffffe000, 0x2000, -COFRE_MALFORMED},
        {0, 0xffffffff, -COFRE_MALFORMED},
        {0, 0, -COFRE_MALFORMED}, /* code without code */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tdx_tdvf_section s = good[CODE];
        s.data.len = cases[i].len;
        expect_section(CODE, &s, cases[i].offset, cases[i].rc);
    }
}

static void memory_and_the_hob_have_no_data(void **state)
{
    (void)state;
    for (uint32_t type = TDX_TDVF_TD_HOB; type <= TDX_TDVF_PERM_MEM; type++) {
        struct tdx_tdvf_section s = good[type == TDX_TDVF_TD_HOB ? HOB : MEM];
        s.type = type;
        expect_section(type == TDX_TDVF_TD_HOB ? HOB : MEM, &s, 0, 0);
        s.data.len = 1;
        expect_section(type == TDX_TDVF_TD_HOB ? HOB : MEM, &s, 0, -COFRE_MALFORMED);
    }
}

static void two_hobs_are_refused(void **state)
{
    (void)state;
    struct tdx_tdvf_section s = good[MEM];
    s.type = TDX_TDVF_TD_HOB;
    expect_section(MEM, &s, 0, -COFRE_MALFORMED);
}

/* The order and operations written out against the layout. */
static void sections_are_measured_in_their_order(void **state)
{
    (void)state;
    struct tdx_mrtd *mrtd;
    uint8_t got[TDX_DIGEST_SIZE], want[TDX_DIGEST_SIZE];
    assert_int_equal(parse(), 0);
    assert_int_equal(tdx_layout_mrtd(got, &tdvf, &err), 0);
    assert_int_equal(tdx_mrtd_new(&mrtd, &err), 0);
    tdx_mrtd_pages(mrtd, BASE + 0x2000, image + 0x2000, 0x4000, true, &err);
    tdx_mrtd_pages(mrtd, BASE, NULL, 0x2000, false, &err);
    tdx_mrtd_pages(mrtd, 0x810000, NULL, 0x10000, false, &err);
    tdx_mrtd_pages(mrtd, 0x809000, NULL, 0x2000, false, &err);
    tdx_mrtd_value(mrtd, want, &err);
    tdx_mrtd_free(mrtd);
    assert_memory_equal(got, want, sizeof got);

    image[1] ^= 1; /* variables are not measured */
    assert_int_equal(tdx_layout_mrtd(got, &tdvf, &err), 0);
    assert_memory_equal(got, want, sizeof got);
    image[0x2001] ^= 1;
    assert_int_equal(tdx_layout_mrtd(got, &tdvf, &err), 0);
    assert_memory_not_equal(got, want, sizeof got);
}

static void expect_no_mrtd(size_t i, const struct tdx_tdvf_section *s, uint32_t offset, const char *why)
{
    uint8_t mrtd[TDX_DIGEST_SIZE];
    make_image(NULL);
    put_section(i, s, offset);
    assert_int_equal(parse(), 0);
    assert_int_equal(tdx_layout_mrtd(mrtd, &tdvf, &err), -COFRE_MALFORMED);
    if (!strstr(err.text, why))
        fail_msg("%s", err.text);
}

static void what_no_vmm_lays_out_is_not_predicted(void **state)
{
    (void)state;
    struct tdx_tdvf_section s = good[MEM];
    for (s.type = TDX_TDVF_PERM_MEM; s.type < TDX_TDVF_PAYLOAD_PARAM + 2; s.type++)
        expect_no_mrtd(MEM, &s, 0, "takes the section of type");
    s = good[MEM];
    s.attributes = TDX_TDVF_PAGE_AUG;
    expect_no_mrtd(MEM, &s, 0, "for the running guest to add");
    s = good[HOB];
    s.attributes = TDX_TDVF_MR_EXTEND;
    expect_no_mrtd(HOB, &s, 0, "the TD HOB is measured");
    s = good[CODE];
    s.data.len = 0x3000;
    expect_no_mrtd(CODE, &s, offsets[CODE], "the image has 0x3000");
    s = good[HOB];
    s.type = TDX_TDVF_TEMP_MEM;
    expect_no_mrtd(HOB, &s, 0, "there is no TD HOB");
    s = good[CODE];
    s.type = TDX_TDVF_CFV;
    expect_no_mrtd(CODE, &s, offsets[CODE], "there is no boot firmware volume");
}

/* Temporary memory that its section wants measured. */
static void measured_memory_is_zeros(void **state)
{
    (void)state;
    struct tdx_tdvf_section s = good[MEM];
    uint8_t without[TDX_DIGEST_SIZE], with[TDX_DIGEST_SIZE];
    assert_int_equal(parse(), 0);
    assert_int_equal(tdx_layout_mrtd(without, &tdvf, &err), 0);
    s.attributes = TDX_TDVF_MR_EXTEND;
    expect_section(MEM, &s, 0, 0);
    assert_int_equal(tdx_layout_mrtd(with, &tdvf, &err), 0);
    assert_memory_not_equal(with, without, sizeof with);
}

/* Debian's ovmf-inteltdx 2026.08+ds-2, OVMF.inteltdx.ms.fd. The figure is of Google's gce-tcb-verifier (commit
 * 74582c078997, tdx.MRTD with LaunchOptionsDefault) on that file, and of a dozen lines of Python's hashlib and struct. */
static const char debian_sha256[] = "a265075b4147a096109e501e76196df1ec8a18659c26f7401492c597ec88f312";
static const char debian_mrtd[] = "a7a1f751abc454f9cbab198ca8d2edb2821935df525c7418"
                                  "2b5e776cb0929e8c59aefecce725b0d08a5e9d3d3183bd08";

static bool read_debian(struct bytes *out)
{
    const char *shared = getenv("COFRE_SHARED");
    char command[4200];
    (void)snprintf(command, sizeof command,
                   "xz -dc '%s/firmware/debian-sid-OVMF.inteltdx.ms.fd.xz' 2>/dev/null",
                   shared ? shared : "../shared");
    FILE *pipe = popen(command, "r");
    if (!pipe || bytes_alloc(out, OVMF_SIZE_MAX, NULL) < 0)
        return false;
    out->len = fread(out->data, 1, OVMF_SIZE_MAX, pipe);
    return pclose(pipe) == 0;
}

static void debian_s_firmware_has_the_mrtd_that_google_s_program_finds(void **state)
{
    (void)state;
    struct bytes file = {0};
    uint8_t digest[32], mrtd[TDX_DIGEST_SIZE];
    char text[2 * TDX_DIGEST_SIZE + 1];
    bool here = read_debian(&file);
    if (here) {
        EVP_Digest(file.data, file.len, digest, NULL, EVP_sha256(), NULL);
        hex_encode(text, digest, sizeof digest);
        here = strcmp(text, debian_sha256) == 0;
    }
    if (!here) {
        bytes_free(&file);
        print_message(
            "# skipped: ../shared/firmware has no OVMF.inteltdx.ms.fd of that version, or xz is not here\n");
        skip();
    }
    assert_int_equal(tdx_tdvf_parse(&tdvf, bytes_view(&file), &err), 0);
    assert_int_equal(tdvf.section_count, 6);
    assert_int_equal(tdx_layout_mrtd(mrtd, &tdvf, &err), 0);
    bytes_free(&file);
    hex_encode(text, mrtd, sizeof mrtd);
    assert_string_equal(text, debian_mrtd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_good_image_is_read_whole, make_image),
        cmocka_unit_test_setup(an_image_without_metadata_cannot_start, make_image),
        cmocka_unit_test_setup(metadata_outside_the_image_is_refused, make_image),
        cmocka_unit_test_setup(metadata_of_another_form_is_refused, make_image),
        cmocka_unit_test_setup(sections_beyond_the_image_are_refused, make_image),
        cmocka_unit_test_setup(sections_are_whole_pages_that_overlap_nothing, make_image),
        cmocka_unit_test_setup(data_lie_in_the_image_and_fit_their_section, make_image),
        cmocka_unit_test_setup(memory_and_the_hob_have_no_data, make_image),
        cmocka_unit_test_setup(two_hobs_are_refused, make_image),
        cmocka_unit_test_setup(sections_are_measured_in_their_order, make_image),
        cmocka_unit_test_setup(what_no_vmm_lays_out_is_not_predicted, make_image),
        cmocka_unit_test_setup(measured_memory_is_zeros, make_image),
        cmocka_unit_test(debian_s_firmware_has_the_mrtd_that_google_s_program_finds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
