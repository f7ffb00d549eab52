/* IGVM files: what is read, and each thing that is wrong with one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/igvm/made_igvm.h"

#define SNP 1u
#define TDX 2u

static struct made_igvm made;
static struct igvm_file file;
static struct cofre_err err;
static uint8_t page[4096];
static struct {
    uint8_t *platform, *policy, *region, *table, *corim, *area, *count, *page, *zero, *large, *insert,
        *memory, *error, *id_block, *context;
} at;

/* A file with each type of header whose body is checked; at has the bodies. */
static void make_version(unsigned version)
{
    memset(page, 0x5a, sizeof page);
    igvm_made_begin(&made, version, 4096, 3u << 20);
    const uint32_t data = igvm_made_data(&made, page, sizeof page);
    at.platform = igvm_made_platform(&made, IGVM_SEV_SNP, SNP);
    igvm_made_platform(&made, IGVM_TDX, TDX);
    at.policy = igvm_made_policy(&made, SNP, 0x30000);
    at.region = igvm_made_header(&made, IGVM_RELOCATABLE_REGION, 48);
    put_le32(at.region, SNP | TDX);
    put_le64(at.region + 8, 0x2000);
    put_le64(at.region + 16, 0x100000);
    put_le64(at.region + 24, 0x10000);
    put_le64(at.region + 40, 0x200000);
    at.table = igvm_made_header(&made, IGVM_PAGE_TABLE_REGION, 32);
    put_le32(at.table, SNP);
    put_le64(at.table + 8, 0x300000);
    put_le64(at.table + 16, 0x4000);
    put_le64(at.table + 24, 0x2000);
    at.corim = igvm_made_header(&made, IGVM_CORIM_DOCUMENT, 16);
    put_le32(at.corim, SNP);
    put_le32(at.corim + 4, data);
    put_le32(at.corim + 8, 100);
    at.area = igvm_made_area(&made, 7, 0x2000, 0);
    at.count = igvm_made_parameter(&made, IGVM_VP_COUNT, 7, 0x10);
    at.page = igvm_made_page(&made, SNP | TDX, 0x5000, data, 0, IGVM_PAGE_NORMAL);
    at.zero = igvm_made_page(&made, SNP, 0x6000, 0, MADE_UNMEASURED | MADE_SHARED, IGVM_PAGE_NORMAL);
    at.large = igvm_made_page(&made, SNP, 0x400000, igvm_made_data(&made, NULL, 2u << 20), MADE_LARGE,
                              IGVM_PAGE_NORMAL);
    at.insert = igvm_made_insert(&made, SNP, 0x9000, 7);
    at.memory = igvm_made_memory(&made, IGVM_REQUIRED_MEMORY, SNP, 0x10000, 0x10000);
    put_le32(at.memory + 16, 1);
    at.error = igvm_made_memory(&made, IGVM_ERROR_RANGE, TDX, 0x20000, 0x1000);
    at.id_block = igvm_made_header(&made, IGVM_SNP_ID_BLOCK, 696);
    put_le32(at.id_block, SNP);
    at.id_block[4] = 1;
    at.context = igvm_made_context(&made, SNP, 0xfffffffff000, data, 3);
}

static int make(void **state)
{
    (void)state;
    make_version(1);
    return 0;
}

static int destroy(void **state)
{
    (void)state;
    bytes_free(&made.file);
    return 0;
}

static int parse(void)
{
    return igvm_file_parse(&file, igvm_made_whole(&made), &err);
}

static void accepted(void)
{
    if (parse() != 0)
        fail_msg("%s", err.text);
}

static void refused(const char *header, const char *why)
{
    assert_int_equal(parse(), -COFRE_MALFORMED);
    if (!strstr(err.text, header) || !strstr(err.text, why))
        fail_msg("\"%s\" is not about \"%s\" and \"%s\"", err.text, header, why);
}

static struct igvm_header header_of(uint32_t type)
{
    struct igvm_header h = {0};
    while (igvm_file_next(&file, &h))
        if (h.type == type)
            return h;
    fail_msg("no header of type 0x%x", type);
    return h;
}

static void says_what_its_headers_say(void **state)
{
    (void)state;
    struct igvm_header h = {0};
    size_t count = 0;
    accepted();
    assert_int_equal(file.version, 1);
    assert_int_equal(file.platforms, 2);
    assert_int_equal(igvm_file_platform(&file, IGVM_TDX)->mask, TDX);
    assert_null(igvm_file_platform(&file, IGVM_NATIVE));
    while (igvm_file_next(&file, &h))
        assert_int_equal(h.index, count++);
    assert_int_equal(count, 15 + 1);
    assert_int_equal(count, file.count);
    assert_int_equal(header_of(IGVM_GUEST_POLICY).policy, 0x30000);
    assert_int_equal(header_of(IGVM_RELOCATABLE_REGION).memory.gpa, 0x100000);
    assert_int_equal(header_of(IGVM_PAGE_TABLE_REGION).memory.size, 0x4000);
    h = header_of(IGVM_PARAMETER_AREA);
    assert_int_equal(h.area.size, 0x2000);
    assert_int_equal(h.area.number, 7);
    assert_int_equal(h.data.len, 0);
    assert_int_equal(header_of(IGVM_VP_COUNT).parameter.offset, 0x10);
    h = header_of(IGVM_PAGE_DATA);
    assert_int_equal(h.mask, SNP | TDX);
    assert_int_equal(h.page.size, 4096);
    assert_memory_equal(h.data.data, page, sizeof page);
    assert_true(igvm_file_next(&file, &h));
    assert_int_equal(h.data.len, 0);
    assert_true(h.page.unmeasured && h.page.shared);
    assert_true(igvm_file_next(&file, &h));
    assert_int_equal(h.data.len, 2u << 20);
    assert_int_equal(header_of(IGVM_PARAMETER_INSERT).insert.area, 7);
    h = header_of(IGVM_VP_CONTEXT);
    assert_int_equal(h.context.vp, 3);
    assert_int_equal(h.context.gpa, 0xfffffffff000);
    assert_int_equal(h.data.len, 4096);
}

/* Python's struct and zlib made this one: SNP, one page of data at 0x1000. */
static void reads_a_file_that_another_program_made(void **state)
{
    (void)state;
    static const uint8_t first[] = {
        0x49, 0x47, 0x56, 0x4d, 0x02, 0x00, 0x00, 0x00, 0x20, 0x00, 0x00, 0x00, 0x38, 0x00, 0x00,
        0x00, 0x58, 0x10, 0x00, 0x00, 0x1d, 0x46, 0x04, 0xb4, 0x00, 0x00, 0x00, 0x00, 0x00, 0x10,
        0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x10, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00,
        0x02, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0x00, 0x00,
        0x18, 0x00, 0x00, 0x00, 0x00, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00,
        0x00, 0x58, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    };
    uint8_t whole[sizeof first + 4096];
    memcpy(whole, first, sizeof first);
    memset(whole + sizeof first, 0x42, 4096);
    assert_int_equal(igvm_file_parse(&file, (struct view){whole, sizeof whole}, &err), 0);
    assert_int_equal(file.version, 2);
    struct igvm_header h = header_of(IGVM_PAGE_DATA);
    assert_int_equal(h.page.gpa, 0x1000);
    assert_int_equal(h.data.data[4095], 0x42);
}

static void the_fixed_header_is_checked(void **state)
{
    (void)state;
    uint8_t *f = made.file.data;
    igvm_made_whole(&made);
    static const struct {
        size_t offset;
        uint32_t value;
        const char *why;
    } wrong[] = {
        {0, 0x4d564748, "not an IGVM file"}, {4, 0, "version 0"},    {4, 3, "version 3"},
        {8, 16, "do not lie in it"},         {8, 28, "aligned"},     {8, 0xfffffff8, "do not lie in it"},
        {12, 0xfffffff8, "do not lie"},      {16, 4096, "it says"},  {16, 0, "it says"},
        {20, 0x12345678, "checksum"},        {24, 0x77, "checksum"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        const uint32_t before = le32(f + wrong[i].offset);
        put_le32(f + wrong[i].offset, wrong[i].value);
        assert_int_equal(igvm_file_parse(&file, (struct view){f, made.data}, &err), -COFRE_MALFORMED);
        if (!strstr(err.text, wrong[i].why))
            fail_msg("\"%s\" is not about \"%s\"", err.text, wrong[i].why);
        put_le32(f + wrong[i].offset, before);
    }
    assert_int_equal(igvm_file_parse(&file, (struct view){f, made.data}, &err), 0);
    assert_int_equal(igvm_file_parse(&file, (struct view){f, 23}, &err), -COFRE_MALFORMED);
    assert_int_equal(igvm_file_parse(&file, (struct view){f, 24}, &err), -COFRE_MALFORMED);
    assert_false(igvm_file_is((struct view){f, 3}));
}

static void version_2_is_for_x86_and_pages_of_4_kib(void **state)
{
    (void)state;
    bytes_free(&made.file);
    make_version(2);
    accepted();
    put_le32(made.file.data + 24, 1);
    refused("IGVM file", "architecture 1");
    put_le32(made.file.data + 24, 0);
    put_le32(made.file.data + 28, 65536);
    refused("IGVM file", "65536");
}

static void a_file_without_platforms_is_for_nobody(void **state)
{
    (void)state;
    made.headers = 0;
    refused("IGVM file", "no platform");
}

static void headers_fit_into_their_room(void **state)
{
    (void)state;
    const uint32_t len = le32(made.file.data + made.last + 4);
    assert_int_equal(len, 20);
    made.file.data[made.last + 8 + 20] = 1;
    refused("VP context", "behind it");
    made.file.data[made.last + 8 + 20] = 0;
    put_le32(made.file.data + made.last + 4, 19);
    refused("VP context", "must have 20");
    put_le32(made.file.data + made.last + 4, 25);
    refused("VP context", "do not fit");
    put_le32(made.file.data + made.last + 4, 0xffffffff);
    refused("VP context", "do not fit");
    put_le32(made.file.data + made.last + 4, 20);
    made.headers += 4;
    refused("header 16 (", "4 bytes are left");
}

static void unknown_headers_are_left_out_only_where_that_is_allowed(void **state)
{
    (void)state;
    uint8_t *body = igvm_made_header(&made, 0x80000399, 12);
    body[0] = 1;
    accepted();
    assert_int_equal(file.count, 17);
    const struct igvm_header h = header_of(0x399);
    assert_true(h.optional && !h.known);
    assert_int_equal(h.mask, UINT32_MAX);
    put_le32(made.file.data + made.last, 0x399);
    refused("header 16 (unknown, at 0x", "0x399");
    put_le32(made.file.data + made.last, 0x306);
    refused("header 16", "0x306");
    put_le32(made.file.data + made.last, 0);
    refused("header 16", "0x0");
    /* An optional one of a type that is known is as good as any. */
    put_le32(made.file.data + made.last, 0x80000305);
    refused("required memory", "must have 24");
}

static void sections_keep_their_order(void **state)
{
    (void)state;
    igvm_made_policy(&made, TDX, 0);
    refused("guest policy", "later section");
    made.headers -= 24;
    igvm_made_platform(&made, IGVM_NATIVE, 4);
    refused("supported platform", "later section");
}

static void platforms_are_distinct(void **state)
{
    (void)state;
    static const struct {
        size_t offset;
        uint8_t value;
        const char *why;
    } wrong[] = {{0, 0, "one bit"},
                 {0, 3, "one bit"},
                 {0, TDX, "another header's"},
                 {5, IGVM_TDX, "another header's"},
                 {5, 6, "type 6"},
                 {5, 255, "type 255"},
                 {6, 2, "version 2"},
                 {6, 0, "version 0"},
                 {4, 1, "VTL of 1"},
                 {4, 3, "VTL of 3"}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        const uint8_t before = at.platform[wrong[i].offset];
        at.platform[wrong[i].offset] = wrong[i].value;
        refused("supported platform", wrong[i].why);
        at.platform[wrong[i].offset] = before;
    }
    at.platform[4] = 2;
    accepted();
}

static void masks_name_platforms_of_the_file(void **state)
{
    (void)state;
    uint8_t *const masks[] = {at.policy + 8, at.region,     at.table,     at.corim,    at.page + 8,
                              at.insert + 8, at.memory + 8, at.error + 8, at.id_block, at.context + 8};
    for (size_t i = 0; i < sizeof masks / sizeof masks[0]; i++) {
        const uint32_t before = le32(masks[i]);
        put_le32(masks[i], 0);
        refused("mask 0x0", "platforms that the file has, 0x3");
        put_le32(masks[i], before | 4);
        refused("mask", "platforms that the file has, 0x3");
        put_le32(masks[i], before);
    }
    accepted();
}

static void reserved_fields_are_zero(void **state)
{
    (void)state;
    uint8_t *const fields[] = {at.policy + 12,  at.policy + 15, at.table + 7,   at.corim + 12,
                               at.page + 22,    at.page + 23,   at.memory + 23, at.id_block + 5,
                               at.id_block + 7, at.context + 19};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        *fields[i] = 1;
        refused("IGVM header", "reserved");
        *fields[i] = 0;
    }
    accepted();
}

static void flags_and_types_are_known(void **state)
{
    (void)state;
    put_le32(at.page + 16, 8);
    refused("page data", "flags 0x8");
    put_le32(at.page + 16, 0);
    put_le16(at.page + 20, 4);
    refused("page data", "type 4");
    for (uint16_t type = IGVM_PAGE_SECRETS; type <= IGVM_PAGE_CPUID_XF; type++) {
        put_le16(at.page + 20, type);
        accepted();
        put_le32(at.page + 16, MADE_UNMEASURED);
        refused("page data", "flags 0x2");
        put_le32(at.page + 16, 0);
    }
    put_le16(at.page + 20, 0);
    put_le32(at.memory + 16, 2);
    refused("required memory", "flags 0x2");
    put_le32(at.memory + 16, 1);
    at.region[7] = 8;
    refused("relocatable region", "flags 0x8");
    at.region[7] = 7;
    at.id_block[4] = 2;
    refused("SNP ID block", "author key");
    at.id_block[4] = 0;
    accepted();
}

/* Each address and size: of whole pages, not none of them, and within what there can be of memory. */
static void memory_is_of_whole_pages_that_there_can_be(void **state)
{
    (void)state;
    const struct {
        uint8_t *field;
        unsigned size;
        uint64_t value;
        const char *header, *why;
    } wrong[] = {
        {at.page, 8, 0x5800, "page data", "whole pages"},
        {at.page, 8, 1ull << 52, "page data", "beyond"},
        {at.page, 8, 0xfffffffffffff000, "page data", "beyond"},
        {at.large, 8, 0x401000, "page data", "whole pages"},
        {at.large, 8, (1ull << 52) - 0x100000, "page data", "whole pages"},
        {at.insert, 8, 0x9001, "parameter insert", "whole pages"},
        {at.insert, 8, 1ull << 52, "parameter insert", "beyond"},
        {at.area, 8, 0x2001, "parameter area", "whole pages"},
        {at.area, 8, 0, "parameter area", "whole pages"},
        {at.area, 8, 1ull << 63, "parameter area", "beyond"},
        {at.memory, 8, 0x10800, "required memory", "whole pages"},
        {at.memory, 8, (1ull << 52) - 0x1000, "required memory", "beyond"},
        {at.memory + 12, 4, 0, "required memory", "whole pages"},
        {at.memory + 12, 4, 0x10001, "required memory", "whole pages"},
        {at.error, 8, 0x20010, "error range", "whole pages"},
        {at.error + 12, 4, 0, "error range", "whole pages"},
        {at.error, 8, 1ull << 60, "error range", "beyond"},
        {at.context, 8, 0xfffffffff001, "VP context", "whole pages"},
        {at.context, 8, 1ull << 52, "VP context", "beyond"},
        {at.table + 8, 8, 0x300001, "page table region", "whole pages"},
        {at.table + 16, 8, 0x4001, "page table region", "whole pages"},
        {at.table + 16, 8, 0xfffffffffffff000, "page table region", "beyond"},
        {at.table + 24, 8, 0x5000, "page table region", "in use"},
        {at.table + 24, 8, 0x1001, "page table region", "in use"},
        {at.region + 8, 8, 0, "relocatable region", "moved"},
        {at.region + 8, 8, 0x1800, "relocatable region", "moved"},
        {at.region + 16, 8, 0x101000, "relocatable region", "whole pages"},
        {at.region + 24, 8, 0x800, "relocatable region", "whole pages"},
        {at.region + 32, 8, 0x1000, "relocatable region", "moved"},
        {at.region + 40, 8, 0x1000, "relocatable region", "moved"},
        {at.region + 32, 8, 0x202000, "relocatable region", "moved"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        uint8_t before[8], value[8];
        put_le64(value, wrong[i].value);
        memcpy(before, wrong[i].field, wrong[i].size);
        memcpy(wrong[i].field, value, wrong[i].size);
        refused(wrong[i].header, wrong[i].why);
        memcpy(wrong[i].field, before, wrong[i].size);
    }
    accepted();
}

static void data_lies_behind_the_headers_and_within_the_file(void **state)
{
    (void)state;
    uint8_t *const offsets[] = {at.corim + 4, at.area + 12, at.page + 12, at.large + 12, at.context + 12};
    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        const uint32_t before = le32(offsets[i]);
        const uint32_t wrong[] = {8, (uint32_t)(made.begin + made.headers - 1), (uint32_t)made.data - 99,
                                  (uint32_t)made.data, 0xffffffff};
        for (size_t j = 0; j < sizeof wrong / sizeof wrong[0]; j++) {
            put_le32(offsets[i], wrong[j]);
            refused("IGVM header", "among the file's data");
        }
        put_le32(offsets[i], (uint32_t)(made.begin + made.headers));
        accepted();
        put_le32(offsets[i], before);
    }
    put_le32(at.context + 12, 0);
    refused("VP context", "no data");
    put_le32(at.context + 12, 8192);
    put_le32(at.corim + 4, 0);
    refused("CoRIM document", "no data");
}

static void a_td_has_no_context(void **state)
{
    (void)state;
    put_le32(at.context + 8, SNP | TDX);
    refused("VP context", "Intel TDX");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, make, destroy)
        TEST(says_what_its_headers_say),
        TEST(reads_a_file_that_another_program_made),
        TEST(the_fixed_header_is_checked),
        TEST(version_2_is_for_x86_and_pages_of_4_kib),
        TEST(a_file_without_platforms_is_for_nobody),
        TEST(headers_fit_into_their_room),
        TEST(unknown_headers_are_left_out_only_where_that_is_allowed),
        TEST(sections_keep_their_order),
        TEST(platforms_are_distinct),
        TEST(masks_name_platforms_of_the_file),
        TEST(reserved_fields_are_zero),
        TEST(flags_and_types_are_known),
        TEST(memory_is_of_whole_pages_that_there_can_be),
        TEST(data_lies_behind_the_headers_and_within_the_file),
        TEST(a_td_has_no_context),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
