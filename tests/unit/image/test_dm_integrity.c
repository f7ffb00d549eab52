/* Where dm-integrity's tags and blocks lie, by the kernel's own way to reckon: in sectors of 512 bytes, from the size of the disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/base/bytes.h"
#include "vmm/image/dm_integrity.h"

/* Of a superblock: what the kernel reads, and what follows from it. */
struct kernel {
    uint64_t interleave, metadata_run, initial;
};

static struct kernel kernel_of(const uint8_t *superblock)
{
    const unsigned log2_block = superblock[28], log2_interleave = superblock[9], tag = le16(superblock + 10);
    const unsigned entry = (8 + (8u << log2_block) + tag + 7) / 8 * 8, entries = 504 / entry * 8;
    const uint64_t section = ((uint64_t)entries << log2_block) + 8;
    return (struct kernel){1ull << log2_interleave,
                           (((uint64_t)tag << (log2_interleave - log2_block)) + 4095) / 4096 * 4096 / 512,
                           8 + section * le32(superblock + 12)};
}

static uint64_t kernel_data(const struct kernel *k, uint64_t sector)
{
    const uint64_t area = sector / k->interleave;
    return k->initial + area * k->interleave + (area + 1) * k->metadata_run + sector % k->interleave;
}

static uint64_t kernel_tag_byte(const struct kernel *k, uint64_t sector)
{
    const uint64_t area = sector / k->interleave;
    return 512 * (k->initial + area * (k->interleave + k->metadata_run)) + sector % k->interleave / 8 * 48;
}

/* Bit by bit, the most sectors of which the last is on the disk. */
static uint64_t kernel_provided(const struct kernel *k, uint64_t size)
{
    uint64_t provided = 0;
    for (int bit = 40; bit >= 3; bit--) {
        const uint64_t more = provided | 1ull << bit;
        if (kernel_data(k, more - 1) < size / 512)
            provided = more;
    }
    return provided;
}

static const uint64_t sizes[] = {1,    2,    100,   3300,  4095,    4096,
                                 4097, 8192, 24565, 60000, 1 << 22, (1ull << 30) + 5};
#define SIZES (sizeof sizes / sizeof *sizes)

static void lies_where_the_kernel_looks(void **state)
{
    (void)state;
    uint8_t superblock[DM_INTEGRITY_SUPERBLOCK];
    for (size_t i = 0; i < SIZES; i++) {
        const struct dm_integrity d = dm_integrity_of(sizes[i]);
        const uint64_t numbers[] = {0, 1, 4095, 4096, 8191, 8192, sizes[i] / 2, sizes[i] - 1};
        dm_integrity_put_superblock(superblock, &d);
        const struct kernel k = kernel_of(superblock);
        for (size_t n = 0; n < sizeof numbers / sizeof *numbers; n++) {
            if (numbers[n] >= sizes[i])
                continue;
            assert_int_equal(dm_integrity_block(&d, numbers[n]), 512 * kernel_data(&k, 8 * numbers[n]));
            assert_int_equal(dm_integrity_tag(&d, numbers[n]), kernel_tag_byte(&k, 8 * numbers[n]));
        }
        assert_int_equal(le64(superblock + 16), 8 * sizes[i]);
        assert_int_equal(kernel_provided(&k, dm_integrity_size(&d)), 8 * sizes[i]);
    }
}

/* Those places are somebody's, and were nobody's. */
static void take(uint8_t *used, uint64_t at, size_t len)
{
    if (!bytes_are_zero(used + at, len))
        fail_msg("there is something at %llu already", (unsigned long long)at);
    memset(used + at, 1, len);
}

static void nothing_lies_on_anything_else(void **state)
{
    (void)state;
    static const uint64_t some[] = {1, 100, 4097};
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        const struct dm_integrity d = dm_integrity_of(some[i]);
        uint8_t *used = calloc(1, dm_integrity_size(&d)); /* its end is what the sanitizer watches */
        assert_non_null(used);
        take(used, 0, DM_INTEGRITY_SUPERBLOCK);
        for (uint32_t s = 0; s < d.sections; s++)
            take(used, dm_integrity_section(s), DM_INTEGRITY_SECTION);
        for (uint64_t b = 0; b < some[i]; b++) {
            take(used, dm_integrity_tag(&d, b), DM_INTEGRITY_TAG);
            take(used, dm_integrity_block(&d, b), DM_INTEGRITY_BLOCK);
        }
        free(used);
    }
}

static void the_journal_is_a_128th_of_the_disk(void **state)
{
    (void)state;
    assert_int_equal(dm_integrity_of(1).sections, 1);
    assert_int_equal(dm_integrity_of(24565).sections, 5);
    assert_int_equal(dm_integrity_of(1ull << 30).sections, (64u << 20) / DM_INTEGRITY_SECTION);
}

/* The kernel replays what is in use, and fails where a sector does not end with the number that belongs there. */
static void the_journal_has_nothing_to_replay(void **state)
{
    (void)state;
    static uint8_t section[DM_INTEGRITY_SECTION];
    static const uint32_t numbers[] = {0, 1, 495};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        memset(section, 0xaa, sizeof section);
        dm_integrity_put_section(section, numbers[i]);
        for (uint32_t s = 0; s < sizeof section / 512; s++)
            assert_int_equal(le64(section + 512 * s + 504),
                             0x1111111111111111ull ^ ((uint64_t)numbers[i] << 32) ^ s);
        unsigned unused = 0;
        for (uint32_t s = 0; s < 8; s++)
            for (uint32_t e = 0; e < 4; e++)
                unused += le32(section + 512 * s + 120 * e + 4) == UINT32_MAX;
        assert_int_equal(unused, 32);
    }
}

static void the_superblock_is_the_kernels(void **state)
{
    (void)state;
    uint8_t superblock[DM_INTEGRITY_SUPERBLOCK];
    const struct dm_integrity d = dm_integrity_of(24565);
    memset(superblock, 0xaa, sizeof superblock);
    dm_integrity_put_superblock(superblock, &d);
    assert_memory_equal(superblock, "integrt\0", 8);
    assert_int_equal(superblock[8], 4);          /* version */
    assert_int_equal(superblock[9], 15);         /* 32768 sectors in an area */
    assert_int_equal(le16(superblock + 10), 48); /* of a tag */
    assert_int_equal(le32(superblock + 24), 8);  /* padded to 4 KiB; nothing is to be recalculated */
    assert_int_equal(superblock[28], 3);         /* sectors of a block */
    assert_true(bytes_are_zero(superblock + 29, sizeof superblock - 29));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lies_where_the_kernel_looks),
        cmocka_unit_test(nothing_lies_on_anything_else),
        cmocka_unit_test(the_journal_is_a_128th_of_the_disk),
        cmocka_unit_test(the_journal_has_nothing_to_replay),
        cmocka_unit_test(the_superblock_is_the_kernels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
