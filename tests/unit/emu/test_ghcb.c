#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/emu/snp/ghcb.h"

static struct ghcb page;

static void set_valid(size_t offset)
{
    page.valid[offset / 64] |= (uint8_t)(1u << (offset / 8 % 8));
}

#define GIVE(field, v) (page.field = (v), set_valid(offsetof(struct ghcb, field)))

static void ask(uint64_t code, uint64_t info_1, uint64_t info_2)
{
    memset(&page, 0, sizeof(page));
    GIVE(exit_code, code);
    GIVE(exit_info_1, info_1);
    GIVE(exit_info_2, info_2);
}

static void refuses_usage_other_than_zero(void **state)
{
    (void)state;
    ask(GHCB_HV_FEATURES, 0, 0);
    assert_int_equal(ghcb_check(&page), GHCB_OK);
    page.usage = 1;
    assert_int_equal(ghcb_check(&page), GHCB_INVALID_USAGE);
}

static void refuses_a_page_without_exit_code_or_information(void **state)
{
    (void)state;
    memset(&page, 0, sizeof(page));
    assert_int_equal(ghcb_check(&page), GHCB_MISSING_INPUT);
    GIVE(exit_code, GHCB_HV_FEATURES);
    assert_int_equal(ghcb_check(&page), GHCB_MISSING_INPUT);
    GIVE(exit_info_1, 0);
    assert_int_equal(ghcb_check(&page), GHCB_MISSING_INPUT);
    GIVE(exit_info_2, 0);
    assert_int_equal(ghcb_check(&page), GHCB_OK);
}

static void refuses_events_that_kvm_does_not_serve(void **state)
{
    (void)state;
    static const uint64_t codes[] = {0,
                                     0x40,
                                     0x400,
                                     0x80000014,
                                     0x80000017,
                                     0x80000019,
                                     0xffffffffffffffff,
                                     (1ull << 32) | GHCB_HV_FEATURES};
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        ask(codes[i], 0, 0);
        assert_int_equal(ghcb_check(&page), GHCB_INVALID_EVENT);
    }
}

static void asks_for_the_input_of_each_event(void **state)
{
    (void)state;
    enum { RAX = 1, RBX = 2, RCX = 4, RDX = 8, SCRATCH = 16, CPL = 32, XCR0 = 64 };
    static const struct {
        uint64_t code, info_1;
        unsigned need;
        uint64_t rax;
    } events[] = {
        {GHCB_CPUID, 0, RAX | RCX, 0},
        {GHCB_CPUID, 0, RAX | RCX | XCR0, 0xd},
        {GHCB_MSR, 0, RCX, 0},
        {GHCB_MSR, 1, RAX | RCX | RDX, 0},
        {GHCB_IOIO, 0x10, RAX, 0},
        {GHCB_IOIO, 0x11, 0, 0},
        {GHCB_IOIO, 0x15, SCRATCH, 0},
        {GHCB_MMIO_READ, 0, SCRATCH, 0},
        {GHCB_MMIO_WRITE, 0, SCRATCH, 0},
        {GHCB_PSC, 0, SCRATCH, 0},
        {GHCB_VMMCALL, 0, RAX | CPL, 0},
        {GHCB_AP_CREATION, 0, RAX, 0},
        {GHCB_AP_CREATION, 1, RAX, 0},
        {GHCB_AP_CREATION, 2, 0, 0},
        {GHCB_RDPMC, 0, RCX, 0},
        {GHCB_WRITE_DR7, 0, RAX, 0},
        {GHCB_MONITOR, 0, RAX | RCX | RDX, 0},
        {GHCB_MWAIT, 0, RAX | RCX, 0},
        {GHCB_TERMINATE, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
        for (unsigned given = 0; given < 128; given++) {
            ask(events[i].code, events[i].info_1, 0);
            page.rax = events[i].rax;
            if (given & RAX)
                GIVE(rax, events[i].rax);
            if (given & RBX)
                GIVE(rbx, 0);
            if (given & RCX)
                GIVE(rcx, 0);
            if (given & RDX)
                GIVE(rdx, 0);
            if (given & SCRATCH)
                GIVE(scratch, 0x1800);
            if (given & CPL)
                set_valid(offsetof(struct ghcb, cpl));
            if (given & XCR0)
                GIVE(xcr0, 1);
            bool all = (given & events[i].need) == events[i].need;
            assert_int_equal(ghcb_check(&page), all ? GHCB_OK : GHCB_MISSING_INPUT);
        }
}

static void wants_two_different_pages_for_a_guest_request(void **state)
{
    (void)state;
    ask(GHCB_GUEST_REQUEST, 0x1000, 0x2000);
    assert_int_equal(ghcb_check(&page), GHCB_OK);
    ask(GHCB_GUEST_REQUEST, 0x1000, 0x1000);
    assert_int_equal(ghcb_check(&page), GHCB_MISSING_INPUT);
    ask(GHCB_EXT_GUEST_REQUEST, 0x1001, 0x2000);
    assert_int_equal(ghcb_check(&page), GHCB_MISSING_INPUT);
    ask(GHCB_EXT_GUEST_REQUEST, 0x1000, 0x2008);
    assert_int_equal(ghcb_check(&page), GHCB_MISSING_INPUT);
}

static void the_scratch_area_stays_in_the_shared_buffer(void **state)
{
    (void)state;
    size_t offset = 0;
    assert_true(ghcb_scratch(0x5800, 0x5000, 0x7f0, &offset));
    assert_int_equal(offset, 0x800);
    assert_true(ghcb_scratch(0x5fef, 0x5000, 1, &offset));
    assert_false(ghcb_scratch(0x5fef, 0x5000, 2, &offset));
    assert_false(ghcb_scratch(0x57ff, 0x5000, 1, &offset));
    assert_false(ghcb_scratch(0x5ff0, 0x5000, 0, &offset));
    assert_false(ghcb_scratch(0x4800, 0x5000, 1, &offset));
    assert_false(ghcb_scratch(0x6800, 0x5000, 1, &offset));
    assert_false(ghcb_scratch(0x5800, 0x5000, UINT64_MAX, &offset));
    assert_false(ghcb_scratch(0, 0x5000, 1, &offset));
    assert_false(ghcb_scratch(UINT64_MAX, 0x5000, 1, &offset));
}

static uint64_t entry(uint64_t gfn, unsigned operation, bool large, unsigned done)
{
    return done | gfn << 12 | (uint64_t)operation << 52 | (uint64_t)large << 56;
}

static void adjacent_pages_of_one_kind_are_one_run(void **state)
{
    (void)state;
    const uint64_t list[] = {entry(8, 1, false, 0),  entry(9, 1, false, 0),   entry(10, 2, false, 0),
                             entry(512, 2, true, 0), entry(1024, 2, true, 0), entry(1536, 2, false, 0)};
    static const struct ghcb_psc_run want[] = {{0, 2, 8, 2, false, 1},
                                               {2, 1, 10, 1, false, 2},
                                               {3, 2, 512, 1024, true, 2},
                                               {5, 1, 1536, 1, false, 2}};
    struct ghcb_psc_run run;
    uint64_t status;
    unsigned at = 0;
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        assert_true(ghcb_psc_next(list, at, 5, &run, &status));
        assert_int_equal(run.index, want[i].index);
        assert_int_equal(run.entries, want[i].entries);
        assert_int_equal(run.gfn, want[i].gfn);
        assert_int_equal(run.pages, want[i].pages);
        assert_int_equal(run.large, want[i].large);
        assert_int_equal(run.operation, want[i].operation);
        at = run.index + run.entries;
    }
    assert_false(ghcb_psc_next(list, at, 5, &run, &status));
    assert_int_equal(status, 0);
}

static void a_large_page_done_in_part_goes_on_page_by_page(void **state)
{
    (void)state;
    const uint64_t list[] = {entry(512, 1, true, 500), entry(1024, 1, true, 0)};
    struct ghcb_psc_run run;
    uint64_t status;
    assert_true(ghcb_psc_next(list, 0, 1, &run, &status));
    assert_int_equal(run.gfn, 1012);
    assert_int_equal(run.pages, 12);
    assert_int_equal(run.entries, 1);
    assert_false(run.large);
}

static void refuses_entries_that_lie(void **state)
{
    (void)state;
    const uint64_t bad[] = {entry(513, 1, true, 0), entry(512, 1, true, 513), entry(7, 1, false, 2)};
    struct ghcb_psc_run run;
    uint64_t status = 0;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(ghcb_psc_next(&bad[i], 0, 0, &run, &status));
        assert_int_equal(status, GHCB_PSC_ERROR_INVALID_ENTRY);
    }
}

static void unknown_operations_are_passed_over(void **state)
{
    (void)state;
    const uint64_t list[] = {entry(512, 3, true, 0)};
    struct ghcb_psc_run run;
    uint64_t status;
    assert_true(ghcb_psc_next(list, 0, 0, &run, &status));
    assert_int_equal(run.operation, 0);
    assert_int_equal(ghcb_psc_done(list[0]) & 0xfff, 512);
    assert_false(ghcb_psc_next((const uint64_t[]){ghcb_psc_done(list[0])}, 0, 0, &run, &status));
    assert_int_equal(status, 0);
}

/* Whatever a list holds, runs stay inside it, go forward, and end. */
static void any_list_comes_to_an_end(void **state)
{
    (void)state;
    uint64_t random = 1;
    for (int round = 0; round < 2000; round++) {
        uint64_t list[GHCB_PSC_ENTRIES_MAX];
        for (size_t i = 0; i < GHCB_PSC_ENTRIES_MAX; i++) {
            random = random * 6364136223846793005ull + 1442695040888963407ull;
            list[i] = random & (round & 1 ? UINT64_MAX : 0x0130000000200000ull);
        }
        unsigned end = (unsigned)(random >> 40) % GHCB_PSC_ENTRIES_MAX;
        unsigned at = (unsigned)(random >> 20) % (2 * GHCB_PSC_ENTRIES_MAX);
        struct ghcb_psc_run run;
        uint64_t status;
        for (unsigned runs = 0; ghcb_psc_next(list, at, end, &run, &status); runs++) {
            assert_true(run.index >= at && run.entries > 0 && run.index + run.entries <= end + 1);
            assert_true(run.pages > 0 && runs <= end);
            at = run.index + run.entries;
        }
    }
}

static void decodes_port_io(void **state)
{
    (void)state;
    struct ghcb_io io = ghcb_io_decode(0x3f8ull << 16 | 2 << 4 | 1);
    assert_int_equal(io.port, 0x3f8);
    assert_int_equal(io.size, 2);
    assert_true(io.in);
    assert_false(io.string);
    assert_int_equal(ghcb_io_decode(3 << 4).size, 0);
    assert_int_equal(ghcb_io_decode(0).size, 0);
    assert_int_equal(ghcb_io_decode(7 << 4).size, 0);
    assert_true(ghcb_io_decode(1 << 4 | 4).string);
}

static void names_terminations(void **state)
{
    (void)state;
    assert_string_equal(ghcb_termination_reason(1, 2), "Linux: PVALIDATE failed");
    assert_string_equal(ghcb_termination_reason(0, 9), "for a reason of its own");
    assert_string_equal(ghcb_termination_reason(15, 255), "for a reason of its own");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_usage_other_than_zero),
        cmocka_unit_test(refuses_a_page_without_exit_code_or_information),
        cmocka_unit_test(refuses_events_that_kvm_does_not_serve),
        cmocka_unit_test(asks_for_the_input_of_each_event),
        cmocka_unit_test(wants_two_different_pages_for_a_guest_request),
        cmocka_unit_test(the_scratch_area_stays_in_the_shared_buffer),
        cmocka_unit_test(adjacent_pages_of_one_kind_are_one_run),
        cmocka_unit_test(a_large_page_done_in_part_goes_on_page_by_page),
        cmocka_unit_test(refuses_entries_that_lie),
        cmocka_unit_test(unknown_operations_are_passed_over),
        cmocka_unit_test(any_list_comes_to_an_end),
        cmocka_unit_test(decodes_port_io),
        cmocka_unit_test(names_terminations),
    };
    return cmocka_run_group_tests_name("emu ghcb", tests, NULL, NULL);
}
