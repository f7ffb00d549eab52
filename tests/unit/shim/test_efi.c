/* What of memory the shim accepts, and how Linux is told of the rest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/base/bytes.h"
#include "vmm/shim/efi.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)

static const struct linux_kernel kernel = {.setup_size = 1024,
                                           .init_size = 56 * MIB,
                                           .alignment = RAM_STEP,
                                           .initrd_max = 0x7fffffff,
                                           .cmdline_max = 2047,
                                           .preferred = 16 * MIB,
                                           .relocatable = true};

static struct linux_place place_of(uint64_t ram_low, uint64_t initrd_size)
{
    struct linux_place place;
    assert_true(linux_place(&place, &kernel, ram_low, initrd_size));
    return place;
}

static void range_is(struct linux_range range, uint64_t start, uint64_t end)
{
    assert_int_equal(range.start, start);
    assert_int_equal(range.end, end);
}

static void kernel_initrd_and_what_follows_them_are_accepted(void **state)
{
    (void)state;
    struct linux_place p = place_of(1024 * MIB, 10 * MIB + 1);
    range_is(p.accepted[0], SHIM_END, 16 * MIB + 56 * MIB + LINUX_ROOM + RAM_STEP);
    range_is(p.accepted[1], 1012 * MIB, 1024 * MIB);
    p = place_of(RAM_LOW_END, 10 * MIB); /* which Linux wants below 2 GiB */
    range_is(p.accepted[1], 2038 * MIB, 2048 * MIB + RAM_STEP);
}

static void accepted_ranges_that_meet_are_one(void **state)
{
    (void)state;
    struct linux_place p = place_of(160 * MIB, 30 * MIB);
    range_is(p.accepted[0], SHIM_END, 160 * MIB);
    range_is(p.accepted[1], 160 * MIB, 160 * MIB);
    p = place_of(140 * MIB, 0);
    range_is(p.accepted[0], SHIM_END, 138 * MIB);
    range_is(p.accepted[1], 138 * MIB, 138 * MIB);
    p = place_of(128 * MIB, 0);
    range_is(p.accepted[0], SHIM_END, 128 * MIB);
}

static bool bit_at(const uint8_t *table, uint64_t gpa)
{
    const uint8_t *bitmap = table + EFI_UNACCEPTED_HEADER;
    uint64_t bit = gpa / RAM_STEP;
    assert_true(bit / 8 < le64(table + 16));
    return bitmap[bit / 8] & 1 << bit % 8;
}

static struct shim_boot_page boot_of(uint64_t low, uint64_t high)
{
    return (struct shim_boot_page){
        .tee = BOOT_SNP, .ram_count = high ? 2 : 1, .ram = {{0, low}, {RAM_HIGH, high}}};
}

static void every_other_step_of_ram_and_nothing_else_is_for_linux_to_accept(void **state)
{
    (void)state;
    static const uint64_t sizes[][2] = {{128 * MIB, 0},
                                        {512 * MIB, 0},
                                        {RAM_LOW_END, 0},
                                        {RAM_LOW_END, RAM_STEP},
                                        {RAM_LOW_END, 13 * GIB + 34 * MIB},
                                        {RAM_LOW_END, RAM_END - RAM_HIGH}};
    const size_t room = SHIM_LOG - SHIM_ACCEPT;
    uint8_t *table = malloc(room + 1);
    assert_non_null(table);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        const struct shim_boot_page boot = boot_of(sizes[i][0], sizes[i][1]);
        const struct linux_place p = place_of(sizes[i][0], 7 * MIB);
        const uint64_t top = boot.ram[boot.ram_count - 1].gpa + boot.ram[boot.ram_count - 1].size;
        assert_true(shim_ram_valid(&boot));
        memset(table, 0xa5, room + 1);
        efi_unaccepted_fill(table, &boot, &p);
        assert_int_equal(table[room], 0xa5);
        assert_int_equal(le32(table), 1);
        assert_int_equal(le32(table + 4), RAM_STEP);
        assert_int_equal(le64(table + 8), 0);
        assert_int_equal(le64(table + 16) % 8, 0);
        assert_true(EFI_UNACCEPTED_HEADER + le64(table + 16) <= room);
        for (uint64_t gpa = 0; gpa < le64(table + 16) * 8 * RAM_STEP; gpa += RAM_STEP) {
            bool ram = gpa < boot.ram[0].size || (gpa >= RAM_HIGH && gpa < top);
            bool accepted =
                gpa < p.accepted[0].end || (gpa >= p.accepted[1].start && gpa < p.accepted[1].end);
            assert_int_equal(bit_at(table, gpa), ram && !accepted);
        }
    }
    free(table);
}

/* As Linux reads them: from boot_params on. */
static void tables_lead_from_params_to_the_table_of_memory(void **state)
{
    (void)state;
    enum { AT = 0x128000, TABLE = 0x129000 };
    static const uint8_t guid[16] = {0x3c, 0xde, 0xd1, 0xd5, 0x5c, 0x10, 0xf9, 0x44,
                                     0x9e, 0xa9, 0xbc, 0xef, 0x98, 0x12, 0x00, 0x31};
    uint8_t params[LINUX_PARAMS_SIZE] = {0}, efi[EFI_SIZE] = {0};
    const struct linux_place p = place_of(512 * MIB, 7 * MIB);
    efi_fill(efi, AT, TABLE, params, &p);
    assert_memory_equal(params + 0x1c0, "EL64", 4);
    const uint8_t *system = efi + le32(params + 0x1c4) - AT;
    assert_memory_equal(system, "IBI SYST", 8);
    assert_true(le64(system + 24) >= AT && le64(system + 24) + 200 <= AT + EFI_SIZE); /* the vendor's name */
    assert_int_equal(le64(system + 88), 0);                                           /* run-time services */
    assert_int_equal(le64(system + 104), 1);
    const uint8_t *tables = efi + le64(system + 112) - AT;
    assert_memory_equal(tables, guid, 16);
    assert_int_equal(le64(tables + 16), TABLE);
    assert_int_equal(le32(params + 0x1c8), 40);
    assert_int_equal(le32(params + 0x1cc), 1);
}

static void the_memory_map_is_the_e820_map_cut_by_acceptance(void **state)
{
    (void)state;
    enum { AT = 0x128000, LOADER = 2, FREE = 7 };
    const struct shim_boot_page boot = boot_of(RAM_LOW_END, 2 * GIB);
    const struct linux_place p = place_of(RAM_LOW_END, 7 * MIB);
    uint8_t params[LINUX_PARAMS_SIZE], efi[EFI_SIZE] = {0}, image[LINUX_HEADER_SIZE] = {0};
    linux_params_fill(params,
                      &(struct linux_params){.image = image, .place = &p, .boot = &boot, .cmdline = 1});
    efi_fill(efi, AT, AT + 0x1000, params, &p);
    const uint8_t *map = efi + le32(params + 0x1d0) - AT;
    const unsigned n = le32(params + 0x1d4) / 40;
    assert_true(map + 40 * n <= efi + EFI_SIZE);
    uint64_t free = 0, loader = 0, all = 0, before = 0;
    for (unsigned i = 0; i < n; i++, map += 40) {
        const uint64_t start = le64(map + 8), size = le64(map + 24) * 4096;
        assert_true(start >= before && size);
        assert_int_equal(le64(map + 32) >> 63, 0); /* nothing that run-time services need mapped */
        before = start + size;
        all += size;
        free += le32(map) == FREE ? size : 0;
        loader += le32(map) == LOADER ? size : 0;
    }
    assert_int_equal(free,
                     0xa0000 + (p.accepted[0].end - SHIM_END) + (p.accepted[1].end - p.accepted[1].start));
    assert_int_equal(free + loader, boot.ram[0].size + boot.ram[1].size - (SHIM_END - 0xa0000));
    uint64_t e820 = 0;
    for (unsigned i = 0; i < params[0x1e8]; i++)
        e820 += le64(params + 0x2d0 + 20 * i + 8);
    assert_int_equal(all, e820);
}

static void the_command_line_asks_for_all_memory_by_a_word_of_its_own(void **state)
{
    (void)state;
    static const char *const yes[] = {"accept_memory=eager", "quiet accept_memory=eager",
                                      "a=\"b c\" accept_memory=eager x", "--x accept_memory=eager"};
    static const char *const no[] = {"",
                                     "quiet",
                                     "accept_memory=lazy",
                                     "accept_memory=eagerly",
                                     "xaccept_memory=eager",
                                     "x=accept_memory=eager",
                                     "a=\"b accept_memory=eager\"",
                                     "quiet -- accept_memory=eager",
                                     "accept_memory=eage"};
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
        assert_true(linux_cmdline_eager(yes[i]));
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
        assert_false(linux_cmdline_eager(no[i]));
}

static void a_tee_s_command_line_leaves_room_for_the_shim_s_word(void **state)
{
    (void)state;
    assert_true(linux_cmdline_fits(&kernel, BOOT_PLAIN, 2047));
    assert_false(linux_cmdline_fits(&kernel, BOOT_PLAIN, 2048));
    assert_true(linux_cmdline_fits(&kernel, BOOT_SNP, 2047 - EFI_NO_RUNTIME_SIZE));
    assert_false(linux_cmdline_fits(&kernel, BOOT_TDX, 2048 - EFI_NO_RUNTIME_SIZE));
    assert_false(linux_cmdline_fits(&kernel, BOOT_TDX, UINT64_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kernel_initrd_and_what_follows_them_are_accepted),
        cmocka_unit_test(accepted_ranges_that_meet_are_one),
        cmocka_unit_test(every_other_step_of_ram_and_nothing_else_is_for_linux_to_accept),
        cmocka_unit_test(tables_lead_from_params_to_the_table_of_memory),
        cmocka_unit_test(the_memory_map_is_the_e820_map_cut_by_acceptance),
        cmocka_unit_test(the_command_line_asks_for_all_memory_by_a_word_of_its_own),
        cmocka_unit_test(a_tee_s_command_line_leaves_room_for_the_shim_s_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
