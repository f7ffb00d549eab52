/* IGVM files: what a guest of one platform gets of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/igvm/made_igvm.h"
#include "vmm/igvm/guest.h"

#define SNP 1u
#define TDX 2u

static struct made_igvm made;
static struct igvm_file file;
static struct igvm_guest guest;
static struct igvm_machine machine;
static struct cofre_err err;
static uint32_t ones, twos;
static const uint8_t madt[50] = "APIC";

/* The file begins with platforms, a policy, and an area with four parameters. */
static int make(void **state)
{
    uint8_t page[4096];
    (void)state;
    machine = (struct igvm_machine){.cpus = 3,
                                    .ram = {{0, 0xc0000000}, {0x100000000, 0x40000000}},
                                    .rams = 2,
                                    .mmio = {{0xc0000000, 0x20000000}, {0xe0000000, 0x10000000}},
                                    .cmdline = {(const uint8_t *)"ro quiet", 8},
                                    .madt = {madt, sizeof madt}};
    igvm_made_begin(&made, 1, 65536, 3u << 20);
    memset(page, 1, sizeof page);
    ones = igvm_made_data(&made, page, sizeof page);
    memset(page, 2, sizeof page);
    twos = igvm_made_data(&made, page, sizeof page);
    igvm_made_platform(&made, IGVM_SEV_SNP, SNP);
    igvm_made_platform(&made, IGVM_TDX, TDX);
    igvm_made_policy(&made, SNP, 0x30000);
    igvm_made_area(&made, 5, 0x2000, 0);
    return 0;
}

static int destroy(void **state)
{
    (void)state;
    igvm_guest_free(&guest);
    bytes_free(&made.file);
    return 0;
}

static int build_for(enum igvm_platform_type type, const struct igvm_machine *on)
{
    if (igvm_file_parse(&file, igvm_made_whole(&made), &err) != 0)
        fail_msg("%s", err.text);
    igvm_guest_free(&guest);
    return igvm_guest_build(&guest, &file, type, on, &err);
}

static void built(void)
{
    if (build_for(IGVM_SEV_SNP, &machine) != 0)
        fail_msg("%s", err.text);
}

static void refused(const char *header, const char *why)
{
    assert_int_equal(build_for(IGVM_SEV_SNP, &machine), -COFRE_MALFORMED);
    if (!strstr(err.text, header) || !strstr(err.text, why))
        fail_msg("\"%s\" is not about \"%s\" and \"%s\"", err.text, header, why);
}

/* The last header is gone. */
static void drop(void)
{
    made.headers = made.last - made.begin;
}

static void range_is(size_t i, enum igvm_range_kind kind, uint64_t gpa, uint64_t len)
{
    assert_true(i < guest.count);
    assert_int_equal(guest.range[i].kind, kind);
    assert_int_equal(guest.range[i].gpa, gpa);
    assert_int_equal(guest.range[i].len, len);
}

static void pages_that_follow_each_other_are_one_range(void **state)
{
    (void)state;
    igvm_made_page(&made, SNP, 0x1000, ones, 0, IGVM_PAGE_NORMAL);
    igvm_made_page(&made, SNP | TDX, 0x2000, twos, 0, IGVM_PAGE_NORMAL);
    igvm_made_page(&made, TDX, 0x3000, ones, 0, IGVM_PAGE_NORMAL);
    igvm_made_page(&made, SNP, 0x3000, 0, 0, IGVM_PAGE_NORMAL);
    igvm_made_page(&made, SNP, 0x4000, 0, 0, IGVM_PAGE_NORMAL);
    igvm_made_page(&made, SNP, 0x6000, ones, MADE_UNMEASURED, IGVM_PAGE_NORMAL);
    igvm_made_page(&made, SNP, 0x7000, 0, MADE_UNMEASURED, IGVM_PAGE_NORMAL);
    igvm_made_page(&made, SNP, 0x8000, 0, 0, IGVM_PAGE_SECRETS);
    igvm_made_page(&made, SNP, 0x9000, 0, 0, IGVM_PAGE_CPUID);
    igvm_made_page(&made, SNP, 0xa000, 0, 0, IGVM_PAGE_CPUID_XF);
    igvm_made_page(&made, SNP, 0x200000, igvm_made_data(&made, NULL, 2u << 20), MADE_LARGE, IGVM_PAGE_NORMAL);
    igvm_made_page(&made, SNP, 0xfffff000, twos, 0, IGVM_PAGE_NORMAL);
    built();
    assert_int_equal(guest.count, 8);
    range_is(0, IGVM_RANGE_DATA, 0x1000, 0x2000);
    range_is(1, IGVM_RANGE_ZERO, 0x3000, 0x2000);
    range_is(2, IGVM_RANGE_UNMEASURED, 0x6000, 0x2000);
    range_is(3, IGVM_RANGE_SECRETS, 0x8000, 0x1000);
    range_is(4, IGVM_RANGE_CPUID, 0x9000, 0x1000);
    range_is(5, IGVM_RANGE_CPUID, 0xa000, 0x1000);
    range_is(6, IGVM_RANGE_DATA, 0x200000, 0x200000);
    range_is(7, IGVM_RANGE_DATA, 0xfffff000, 0x1000);
    assert_int_equal(guest.range[0].data[0xfff], 1);
    assert_int_equal(guest.range[0].data[0x1000], 2);
    assert_true(bytes_are_zero(guest.range[1].data, 0x2000));
    assert_int_equal(guest.range[2].data[0], 1);
    assert_true(bytes_are_zero(guest.range[2].data + 0x1000, 0x1000));
    assert_null(guest.range[3].data);
    assert_null(guest.range[4].data);
    assert_int_equal(guest.range[7].data[0], 2);
    assert_true(guest.has_policy);
    assert_int_equal(guest.policy, 0x30000);
    assert_int_equal(build_for(IGVM_TDX, &machine), 0);
    assert_int_equal(guest.count, 1);
    range_is(0, IGVM_RANGE_DATA, 0x2000, 0x2000);
    assert_false(guest.has_policy);
    assert_int_equal(build_for(IGVM_NATIVE, &machine), -COFRE_NEGATIVE);
}

static void parameters_say_what_the_machine_has(void **state)
{
    (void)state;
    igvm_made_area(&made, 6, 0x1000, ones);
    igvm_made_parameter(&made, IGVM_VP_COUNT, 6, 0);
    igvm_made_parameter(&made, IGVM_ENVIRONMENT_INFO, 6, 4);
    igvm_made_parameter(&made, IGVM_MEMORY_MAP, 6, 8);
    igvm_made_parameter(&made, IGVM_MMIO_RANGES, 6, 0x100);
    igvm_made_parameter(&made, IGVM_COMMAND_LINE, 6, 0x200);
    igvm_made_parameter(&made, IGVM_MADT, 6, 0x300);
    igvm_made_parameter(&made, IGVM_SRAT | 1u << 31, 6, 0x400);
    igvm_made_insert(&made, SNP, 0x10000, 6);
    igvm_made_page(&made, SNP, 0x12000, ones, MADE_UNMEASURED, IGVM_PAGE_NORMAL);
    igvm_made_insert(&made, SNP, 0x13000, 5);
    built();
    assert_int_equal(guest.count, 2);
    range_is(0, IGVM_RANGE_UNMEASURED, 0x10000, 0x1000);
    range_is(1, IGVM_RANGE_UNMEASURED, 0x12000, 0x3000);
    const uint8_t *p = guest.range[0].data;
    assert_int_equal(le32(p), 3);
    assert_int_equal(le32(p + 4), 0);
    const uint64_t map[] = {0, 0xc0000, 0, 0x100000, 0x40000, 0, 0, 0, 0};
    for (size_t i = 0; i < 9; i++)
        assert_int_equal(le64(p + 8 + 8 * i), map[i]);
    const uint64_t mmio[] = {0xc0000, 0x20000, 0xe0000, 0x10000};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(le64(p + 0x100 + 8 * i), mmio[i]);
    assert_memory_equal(p + 0x200, "ro quiet\0\1", 10);
    assert_memory_equal(p + 0x300, madt, sizeof madt);
    assert_int_equal(p[0x400], 1); /* the area's own */
    assert_int_equal(guest.range[1].data[0], 1);
    assert_true(bytes_are_zero(guest.range[1].data + 0x1000, 0x2000));
    machine.memory_is_shared = true;
    built();
    assert_int_equal(le32(guest.range[0].data + 4), 1);
    /* Of a machine that is not ours nothing is known. */
    assert_int_equal(build_for(IGVM_SEV_SNP, NULL), 0);
    assert_int_equal(guest.range[0].data[0], 1);
}

static void areas_are_used_once_and_after_they_are_declared(void **state)
{
    (void)state;
    igvm_made_parameter(&made, IGVM_VP_COUNT, 6, 0);
    refused("VP count", "no area 6");
    drop();
    igvm_made_insert(&made, SNP, 0x1000, 6);
    refused("parameter insert", "no area 6");
    drop();
    igvm_made_insert(&made, TDX, 0x1000, 6);
    built();
    drop();
    igvm_made_area(&made, 5, 0x1000, 0);
    refused("parameter area", "area 5 is there");
    drop();
    igvm_made_insert(&made, SNP, 0x1000, 5);
    igvm_made_parameter(&made, IGVM_VP_COUNT, 5, 0);
    refused("VP count", "in the guest already");
    drop();
    igvm_made_insert(&made, SNP, 0x4000, 5);
    refused("parameter insert", "in the guest already");
    drop();
    for (unsigned i = 0; i < IGVM_AREAS_MAX - 1; i++)
        igvm_made_area(&made, 100 + i, 0x1000, 0);
    built();
    igvm_made_area(&made, 99, 0x1000, 0);
    refused("parameter area", "at most 32");
}

static void parameters_fit_into_their_area(void **state)
{
    (void)state;
    static const struct {
        uint32_t type, size;
    } sizes[] = {{IGVM_VP_COUNT, 4},     {IGVM_ENVIRONMENT_INFO, 4}, {IGVM_MEMORY_MAP, 72},
                 {IGVM_MMIO_RANGES, 32}, {IGVM_COMMAND_LINE, 9},     {IGVM_MADT, sizeof madt}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint8_t *body = igvm_made_parameter(&made, sizes[i].type, 5, 0x2000 - sizes[i].size);
        built();
        put_le32(body + 4, 0x2000 - sizes[i].size + 1);
        refused(igvm_header_name(sizes[i].type), "do not fit");
        put_le32(body + 4, 0x2000);
        refused(igvm_header_name(sizes[i].type), "behind area 5");
        put_le32(body + 4, 0xffffffff);
        refused(igvm_header_name(sizes[i].type), "behind area 5");
        drop();
    }
}

static void what_nobody_can_give_is_refused_unless_it_is_optional(void **state)
{
    (void)state;
    const uint32_t none[] = {IGVM_SRAT, IGVM_SLIT, IGVM_PPTT, IGVM_DEVICE_TREE, IGVM_MADT};
    machine.madt = (struct view){0};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        igvm_made_parameter(&made, none[i], 5, 0);
        refused(igvm_header_name(none[i]), "none to give");
        drop();
        igvm_made_parameter(&made, none[i] | 1u << 31, 5, 0);
        built();
        drop();
    }
    igvm_made_memory(&made, IGVM_ERROR_RANGE, SNP, 0x1000, 0x1000);
    refused("error range", "shared with the host");
    drop();
    igvm_made_memory(&made, IGVM_ERROR_RANGE | 1u << 31, SNP, 0x1000, 0x1000);
    built();
    drop();
    igvm_made_page(&made, SNP, 0x1000, ones, MADE_SHARED, IGVM_PAGE_NORMAL);
    refused("page data", "shared with the host");
}

static void nothing_is_filled_twice(void **state)
{
    (void)state;
    igvm_made_page(&made, SNP, 0x8000, ones, 0, IGVM_PAGE_NORMAL);
    igvm_made_page(&made, SNP, 0x9000, ones, 0, IGVM_PAGE_NORMAL);
    igvm_made_page(&made, SNP, 0x8000, 0, 0, IGVM_PAGE_NORMAL);
    refused("page data", "0x8000 was filled");
    drop();
    igvm_made_page(&made, SNP, 0x9000, 0, 0, IGVM_PAGE_CPUID);
    refused("page data", "0x9000 was filled");
    drop();
    igvm_made_page(&made, SNP, 0x0, 0, MADE_LARGE, IGVM_PAGE_NORMAL);
    refused("page data", "0x0 was filled");
    drop();
    igvm_made_insert(&made, SNP, 0x7000, 5);
    refused("parameter insert", "0x7000 was filled");
    drop();
    igvm_made_insert(&made, SNP, 0x6000, 5);
    built();
    drop();
    igvm_made_page(&made, TDX, 0x8000, ones, 0, IGVM_PAGE_NORMAL);
    built();
}

static void memory_lies_in_the_guests(void **state)
{
    (void)state;
    static const struct {
        uint64_t gpa;
        uint32_t size;
        bool good;
    } places[] = {
        {0xbffff000, 0x1000, true},   {0xbffff000, 0x2000, false},  {0xc0000000, 0x1000, false},
        {0xff000000, 0x1000, true},   {0xfefff000, 0x1000, false},  {0xfffff000, 0x1000, true},
        {0xfffff000, 0x2000, false},  {0x100000000, 0x1000, true},  {0x13ffff000, 0x1000, true},
        {0x13ffff000, 0x2000, false}, {0x140000000, 0x1000, false}, {0xffffffff000, 0x1000, false},
    };
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        igvm_made_memory(&made, IGVM_REQUIRED_MEMORY, SNP, places[i].gpa, places[i].size);
        if (places[i].good)
            built();
        else
            refused("required memory", "outside of the guest's memory");
        drop();
        igvm_made_insert(&made, SNP, places[i].gpa, 5); /* of two pages */
        if (places[i].good && places[i].size == 0x1000 && (places[i].gpa & 0xfffff000) == 0xfffff000)
            refused("parameter insert", "outside of the guest's memory");
        drop();
        igvm_made_page(&made, SNP, places[i].gpa, ones, 0, IGVM_PAGE_NORMAL);
        if (places[i].good)
            built();
        else if (places[i].size == 0x1000)
            refused("page data", "outside of the guest's memory");
        assert_int_equal(build_for(IGVM_SEV_SNP, NULL), 0);
        drop();
    }
    igvm_made_insert(&made, SNP, IGVM_ADDRESS_END - 0x1000, 5);
    assert_int_equal(build_for(IGVM_SEV_SNP, NULL), -COFRE_MALFORMED);
    assert_non_null(strstr(err.text, "beyond"));
}

static void regions_that_may_be_moved_must_be_there(void **state)
{
    (void)state;
    drop(); /* of the area: regions stand before directives */
    uint8_t *body = igvm_made_header(&made, IGVM_PAGE_TABLE_REGION, 32);
    put_le32(body, SNP);
    put_le64(body + 8, 0x300000);
    put_le64(body + 16, 0x4000);
    built();
    put_le64(body + 8, 0xc0000000);
    refused("page table region", "outside");
    drop();
    body = igvm_made_header(&made, IGVM_RELOCATABLE_REGION, 48);
    put_le32(body, SNP);
    put_le64(body + 8, 0x1000);
    put_le64(body + 16, 0xc0000000);
    put_le64(body + 24, 0x1000);
    refused("relocatable region", "outside");
    put_le32(body, TDX);
    built();
}

static void what_there_is_one_of_is_there_once(void **state)
{
    (void)state;
    drop();
    igvm_made_policy(&made, SNP | TDX, 1);
    refused("guest policy", "second");
    drop();
    igvm_made_policy(&made, TDX, 1);
    built();
    uint8_t *body = igvm_made_header(&made, IGVM_SNP_ID_BLOCK, 696);
    put_le32(body, SNP);
    built();
    assert_int_equal(guest.id_block.len, 696);
    assert_int_equal(build_for(IGVM_TDX, &machine), 0);
    put_le32(body, TDX);
    assert_int_equal(build_for(IGVM_TDX, &machine), -COFRE_MALFORMED);
    assert_non_null(strstr(err.text, "has none"));
    put_le32(body, SNP);
    put_le32(igvm_made_header(&made, IGVM_SNP_ID_BLOCK, 696), SNP);
    refused("SNP ID block", "second");
}

static void contexts_are_of_different_processors(void **state)
{
    (void)state;
    igvm_made_context(&made, SNP, 0xfffffffff000, ones, 0);
    igvm_made_context(&made, SNP, 0xfffffffff000, twos, 1);
    built();
    assert_int_equal(guest.contexts, 2);
    assert_int_equal(guest.context[1].vp, 1);
    assert_int_equal(guest.context[1].state.data[0], 2);
    assert_false(guest.context[0].precedes_pages);
    igvm_made_page(&made, TDX, 0x1000, ones, 0, IGVM_PAGE_NORMAL);
    built();
    assert_false(guest.context[0].precedes_pages);
    igvm_made_page(&made, SNP, 0x1000, ones, 0, IGVM_PAGE_NORMAL);
    built();
    assert_true(guest.context[0].precedes_pages && guest.context[1].precedes_pages);
    igvm_made_context(&made, SNP, 0xfffffffff000, ones, 1);
    refused("VP context", "second one of vCPU 1");
    drop();
    for (unsigned i = 2; i < IGVM_CONTEXTS_MAX; i++)
        igvm_made_context(&made, SNP, 0xfffffffff000, ones, i);
    built();
    igvm_made_context(&made, SNP, 0xfffffffff000, ones, 999);
    refused("VP context", "at most 255");
}

static void ranges_and_contents_are_bounded(void **state)
{
    (void)state;
    for (unsigned i = 0; i < IGVM_RANGES_MAX; i++)
        igvm_made_page(&made, SNP, 0x2000ull * i, ones, 0, IGVM_PAGE_NORMAL);
    built();
    igvm_made_page(&made, SNP, 0x8000000, ones, 0, IGVM_PAGE_NORMAL);
    refused("page data", "256 ranges");
    made.headers -= (IGVM_RANGES_MAX + 1) * 32ull;
    for (unsigned i = 0; i < IGVM_CONTENTS_MAX / IGVM_LARGE_PAGE; i++)
        igvm_made_page(&made, SNP, (uint64_t)IGVM_LARGE_PAGE * i, 0, MADE_LARGE, IGVM_PAGE_NORMAL);
    igvm_made_page(&made, SNP, IGVM_CONTENTS_MAX, 0, 0, IGVM_PAGE_SECRETS);
    igvm_made_page(&made, SNP, IGVM_CONTENTS_MAX + 0x1000, 0, 0, IGVM_PAGE_NORMAL);
    refused("page data", "512 MiB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, make, destroy)
        TEST(pages_that_follow_each_other_are_one_range),
        TEST(parameters_say_what_the_machine_has),
        TEST(areas_are_used_once_and_after_they_are_declared),
        TEST(parameters_fit_into_their_area),
        TEST(what_nobody_can_give_is_refused_unless_it_is_optional),
        TEST(nothing_is_filled_twice),
        TEST(memory_lies_in_the_guests),
        TEST(regions_that_may_be_moved_must_be_there),
        TEST(what_there_is_one_of_is_there_once),
        TEST(contexts_are_of_different_processors),
        TEST(ranges_and_contents_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
