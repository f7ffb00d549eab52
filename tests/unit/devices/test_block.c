#include "tests/unit/devices/disk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/devices/no_io_uring.h"
#include "vmm/base/bytes.h"
#include "vmm/devices/block.h"

static void reads_what_the_file_holds(void **state)
{
    struct disk k;
    (void)state;
    disk_open(&k, "", 0);
    assert_int_equal(disk_request(&k, READ, 3, 5 * 512), OK);
    for (uint64_t i = 0; i < 5 * 512; i++)
        assert_int_equal(((uint8_t *)at(&k.d, DISK_DATA))[i], disk_pattern(3 * 512 + i));
    assert_int_equal(disk_request(&k, READ, SECTORS - 1, 512), OK);
    disk_close(&k);
}

static void writes_are_in_the_file(void **state)
{
    struct disk k;
    (void)state;
    disk_open(&k, "", DISK_FLUSH);
    memset(at(&k.d, DISK_DATA), 0xa5, 1024);
    assert_int_equal(disk_request(&k, WRITE, 62, 1024), OK);
    assert_int_equal(disk_request(&k, DO_FLUSH, 0, 0), OK);
    assert_int_equal(disk_byte(&k, 62 * 512 - 1), disk_pattern(62 * 512 - 1));
    assert_int_equal(disk_byte(&k, 62 * 512), 0xa5);
    assert_int_equal(disk_byte(&k, 64 * 512 - 1), 0xa5);
    struct stat st;
    assert_int_equal(fstat(k.fd, &st), 0);
    assert_int_equal(st.st_size, SECTORS * 512);
    disk_close(&k);
}

static void requests_beyond_the_end_or_of_broken_sectors_fail(void **state)
{
    struct disk k;
    (void)state;
    disk_open(&k, "", 0);
    const struct {
        uint64_t sector;
        uint32_t len;
    } bad[] = {{SECTORS, 512},    {SECTORS - 1, 1024},     {UINT64_MAX, 512},
               {1ull << 55, 512}, {UINT64_MAX / 512, 512}, {0, 511},
               {0, 513},          {SECTORS + 1, 0}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(disk_request(&k, READ, bad[i].sector, bad[i].len), IOERR);
        assert_int_equal(disk_request(&k, WRITE, bad[i].sector, bad[i].len), IOERR);
    }
    assert_int_equal(disk_request(&k, READ, 0, 512), OK);
    disk_close(&k);
}

static void a_read_only_disk_is_not_written(void **state)
{
    struct disk k;
    (void)state;
    disk_open(&k, ",ro", DISK_FLUSH);
    assert_true(driver_offered(&k.d) & 1ull << 5);
    assert_false(driver_offered(&k.d) & (1ull << 13 | 1ull << 14));
    memset(at(&k.d, DISK_DATA), 0, 512);
    put_le32((uint8_t *)at(&k.d, DISK_DATA) + 8, 1);
    assert_int_equal(disk_request(&k, WRITE, 0, 512), IOERR);
    assert_int_equal(disk_request(&k, DISCARD, 0, 16), IOERR);
    assert_int_equal(disk_request(&k, ZEROES, 0, 16), IOERR);
    assert_int_equal(disk_request(&k, DO_FLUSH, 0, 0), OK);
    assert_int_equal(disk_byte(&k, 1), disk_pattern(1));
    disk_close(&k);
}

static void the_serial_number_is_the_given_one(void **state)
{
    struct disk k;
    (void)state;
    disk_open(&k, ",serial=0123456789abcdefghij,ro", 0);
    assert_int_equal(disk_request(&k, GET_ID, 0, 20), OK);
    assert_memory_equal(at(&k.d, DISK_DATA), "0123456789abcdefghij", 20);
    memset(at(&k.d, DISK_DATA), 0, 20);
    assert_int_equal(disk_request(&k, GET_ID, 0, 4), OK);
    assert_memory_equal(at(&k.d, DISK_DATA), "0123\0\0", 6);
    disk_close(&k);
}

static void discarded_and_zeroed_ranges_read_as_zero(void **state)
{
    struct disk k;
    (void)state;
    disk_open(&k, "", 0);
    disk_range(&k, 0, 8, 8, 0);
    disk_range(&k, 1, 24, 1, 0);
    assert_int_equal(disk_request(&k, ZEROES, 0, 32), OK);
    assert_int_equal(disk_byte(&k, 8 * 512), 0);
    assert_int_equal(disk_byte(&k, 16 * 512 - 1), 0);
    assert_int_equal(disk_byte(&k, 16 * 512 + 1), disk_pattern(16 * 512 + 1));
    assert_int_equal(disk_byte(&k, 24 * 512 + 9), 0);
    disk_range(&k, 0, 32, 8, 1);
    assert_int_equal(disk_request(&k, ZEROES, 0, 16), OK);
    assert_int_equal(disk_byte(&k, 32 * 512 + 5), 0);
    disk_range(&k, 0, 48, 8, 0);
    assert_int_equal(disk_request(&k, DISCARD, 0, 16), OK);
    disk_close(&k);
}

static void ranges_are_all_checked_before_one_is_cleared(void **state)
{
    struct disk k;
    (void)state;
    disk_open(&k, "", 0);
    disk_range(&k, 0, 0, 1, 0);
    const struct {
        uint64_t sector;
        uint32_t sectors, flags;
        int discard, zeroes;
    } bad[] = {{SECTORS, 1, 0, IOERR, IOERR},       {UINT64_MAX, 2, 0, IOERR, IOERR},
               {0, UINT32_MAX, 0, IOERR, IOERR},    {0, SECTORS + 1, 0, IOERR, IOERR},
               {0, 1, 2, UNSUPPORTED, UNSUPPORTED}, {0, 1, 1u << 31, UNSUPPORTED, UNSUPPORTED}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        disk_range(&k, 1, bad[i].sector, bad[i].sectors, bad[i].flags);
        assert_int_equal(disk_request(&k, DISCARD, 0, 32), bad[i].discard);
        assert_int_equal(disk_request(&k, ZEROES, 0, 32), bad[i].zeroes);
    }
    assert_int_equal(disk_request(&k, ZEROES, 0, 15), IOERR);
    assert_int_equal(disk_request(&k, ZEROES, 0, 17 * 16), IOERR);
    assert_int_equal(disk_byte(&k, 1), disk_pattern(1));
    disk_close(&k);
}

static void unknown_requests_are_unsupported(void **state)
{
    struct disk k;
    (void)state;
    disk_open(&k, "", 0);
    assert_int_equal(disk_request(&k, 2, 0, 512), UNSUPPORTED);
    assert_int_equal(disk_request(&k, UINT32_MAX, 0, 512), UNSUPPORTED);
    disk_close(&k);
}

static void a_request_without_header_or_status_breaks_the_device(void **state)
{
    struct disk k;
    (void)state;
    disk_open(&k, "", 0);
    struct desc *desc = k.d.queue[0].desc;
    desc[0] = (struct desc){DISK_HEADER, 15, DESC_NEXT, 1};
    desc[1] = (struct desc){DISK_STATUS, 1, DESC_WRITE, 0};
    driver_post(&k.d, 0, 0);
    driver_wait_broken(&k.d);
    driver_go(&k.d, 0);
    desc[0] = (struct desc){DISK_HEADER, 16, 0, 0};
    driver_post(&k.d, 0, 0);
    driver_wait_broken(&k.d);
    driver_go(&k.d, 0);
    assert_int_equal(disk_request(&k, READ, 0, 512), OK);
    disk_close(&k);
}

static void data_in_pieces_and_through_an_indirect_table(void **state)
{
    struct disk k;
    (void)state;
    disk_open(&k, "", DISK_INDIRECT);
    struct desc *table = at(&k.d, DISK_HEADER + 0x400);
    put_le32(at(&k.d, DISK_HEADER), READ);
    put_le64((uint8_t *)at(&k.d, DISK_HEADER) + 8, 0);
    table[0] = (struct desc){DISK_HEADER, 7, DESC_NEXT, 1}; /* the header may come in pieces, too */
    table[1] = (struct desc){DISK_HEADER + 7, 9, DESC_NEXT, 2};
    table[2] = (struct desc){DISK_DATA, 100, DESC_NEXT | DESC_WRITE, 3};
    table[3] = (struct desc){DISK_DATA + 0x1000, 412, DESC_NEXT | DESC_WRITE, 4};
    table[4] = (struct desc){DISK_DATA + 0x2000, 513, DESC_WRITE, 0}; /* and the status end the last buffer */
    k.d.queue[0].desc[5] = (struct desc){DISK_HEADER + 0x400, 5 * 16, DESC_INDIRECT, 0};
    driver_post(&k.d, 0, 5);
    uint16_t head;
    assert_int_equal(driver_wait(&k.d, 0, &head), 1025);
    assert_int_equal(head, 5);
    assert_int_equal(((uint8_t *)at(&k.d, DISK_DATA))[99], disk_pattern(99));
    assert_int_equal(((uint8_t *)at(&k.d, DISK_DATA + 0x1000))[0], disk_pattern(100));
    assert_int_equal(((uint8_t *)at(&k.d, DISK_DATA + 0x2000))[511], disk_pattern(1023));
    assert_int_equal(((uint8_t *)at(&k.d, DISK_DATA + 0x2000))[512], OK);
    disk_close(&k);
}

static void capacity_and_limits_are_in_the_configuration(void **state)
{
    struct disk k;
    (void)state;
    disk_open(&k, "", 0);
    assert_int_equal(driver_read(&k.d, k.d.config, 8), SECTORS);
    assert_int_equal(driver_read(&k.d, k.d.config + 12, 4), 254);
    assert_int_equal(driver_read(&k.d, k.d.config + 20, 4), 512);
    driver_write(&k.d, k.d.config, 8, 1);
    assert_int_equal(driver_read(&k.d, k.d.config, 4), SECTORS);
    assert_int_equal(driver_read(&k.d, k.d.config + 60, 4), 0);
    assert_int_equal(driver_read(&k.d, k.d.config + 0xffc, 4), 0);
    disk_close(&k);
}

static void what_is_no_disk_is_refused_with_a_reason(void **state)
{
    struct disk k;
    char spec[128];
    (void)state;
    disk_refused("/nonexistent/disk", COFRE_LACKING, "No such file");
    disk_refused("/dev/null", COFRE_USAGE, "neither a file nor a block device");
    disk_file(&k, SECTORS);
    snprintf(spec, sizeof spec, "%s,serial=0123456789abcdefghijk", k.path);
    disk_refused(spec, COFRE_USAGE, "at most 20 bytes");
    snprintf(spec, sizeof spec, "%s,rw", k.path);
    disk_refused(spec, COFRE_LACKING, "No such file");
    assert_int_equal(ftruncate(k.fd, 1000), 0);
    disk_refused(k.path, COFRE_USAGE, "multiple of 512");
    assert_int_equal(ftruncate(k.fd, 0), 0);
    disk_refused(k.path, COFRE_USAGE, "multiple of 512");
    close(k.fd);
    unlink(k.path);
}

/* READ of len bytes of data at slot i's own place, by descriptors 3i to 3i+2. */
static void post_request(struct disk *k, unsigned queue, unsigned i, uint32_t type, uint64_t sector,
                         uint32_t len)
{
    uint64_t header = DISK_HEADER + 32 * i, status = DISK_STATUS + i, data = DISK_DATA + (uint64_t)i * len;
    struct desc *desc = k->d.queue[queue].desc + (3 * i) % 15;
    uint16_t first = (uint16_t)(desc - k->d.queue[queue].desc);
    put_le32(at(&k->d, header), type);
    put_le64((uint8_t *)at(&k->d, header) + 8, sector);
    *(uint8_t *)at(&k->d, status) = NOT_WRITTEN;
    desc[0] = (struct desc){header, 16, DESC_NEXT, first + 1};
    desc[1] = (struct desc){data, len, (type == READ ? DESC_WRITE : 0) | DESC_NEXT, first + 2};
    desc[2] = (struct desc){status, 1, DESC_WRITE, 0};
    driver_post(&k->d, queue, first);
}

static void many_requests_are_under_way_at_once(void **state)
{
    struct disk k;
    (void)state;
    disk_open(&k, "", DISK_FLUSH);
    for (unsigned round = 0; round < 20; round++) {
        for (unsigned i = 0; i < 5; i++)
            post_request(&k, 0, i, READ, (round + 7 * i) % 60, 4 * 512);
        for (unsigned i = 0; i < 5; i++)
            assert_int_equal(driver_wait(&k.d, 0, NULL), 4 * 512 + 1);
        for (unsigned i = 0; i < 5; i++) {
            const uint8_t *data = at(&k.d, DISK_DATA + (uint64_t)i * 4 * 512);
            assert_int_equal(*(uint8_t *)at(&k.d, DISK_STATUS + i), OK);
            for (unsigned j = 0; j < 4 * 512; j++)
                assert_int_equal(data[j], disk_pattern((round + 7 * i) % 60 * 512 + j));
        }
    }
    disk_close(&k);
}

/* More in one ring than it has places, and more than the device has under way. */
static void a_request_that_is_posted_over_and_over_is_served_each_time(void **state)
{
    struct disk k;
    (void)state;
    if (driver_wants_packed())
        skip(); /* there an id is one request's until that is done */
    disk_open(&k, "", DISK_FLUSH);
    for (unsigned round = 0; round < 40; round++) {
        for (unsigned i = 0; i < DRIVER_QUEUE; i++)
            post_request(&k, 0, 0, i % 2 ? READ : WRITE, 8, 512);
        for (unsigned i = 0; i < DRIVER_QUEUE; i++)
            (void)driver_wait(&k.d, 0, NULL);
    }
    assert_int_equal(disk_request(&k, READ, 0, 512), OK);
    disk_close(&k);
}

static void each_of_several_queues_reads_and_writes(void **state)
{
    struct disk k;
    (void)state;
    disk_open(&k, ",queues=4", DISK_FLUSH | DISK_QUEUES);
    assert_true(driver_offered(&k.d) & DISK_QUEUES);
    assert_int_equal(driver_read(&k.d, k.d.config + 34, 2), 4);
    memset(at(&k.d, DISK_DATA), 0x3c, 4 * 1024);
    for (unsigned queue = 0; queue < 4; queue++)
        post_request(&k, queue, queue, WRITE, 10 + 2 * queue, 1024);
    for (unsigned queue = 0; queue < 4; queue++)
        assert_int_equal(driver_wait(&k.d, queue, NULL), 1);
    for (unsigned queue = 0; queue < 4; queue++) {
        assert_int_equal(*(uint8_t *)at(&k.d, DISK_STATUS + queue), OK);
        post_request(&k, queue, queue, READ, 10 + 2 * (3 - queue), 1024);
        assert_int_equal(driver_wait(&k.d, queue, NULL), 1025);
    }
    assert_int_equal(disk_byte(&k, 10 * 512 - 1), disk_pattern(10 * 512 - 1));
    for (uint64_t i = 10 * 512; i < 18 * 512; i++)
        assert_int_equal(disk_byte(&k, i), 0x3c);
    disk_close(&k);
}

static void a_wrong_number_of_queues_is_refused(void **state)
{
    (void)state;
    disk_refused("/tmp/disk,queues=0", COFRE_USAGE, "queues");
    disk_refused("/tmp/disk,queues=9,ro", COFRE_USAGE, "queues");
    disk_refused("/tmp/disk,queues=two", COFRE_USAGE, "queues");
}

static void header_and_data_in_one_buffer(void **state)
{
    struct disk k;
    (void)state;
    disk_open(&k, "", DISK_FLUSH);
    struct desc *desc = k.d.queue[0].desc;
    uint8_t *header = at(&k.d, DISK_HEADER);
    put_le32(header, WRITE);
    put_le64(header + 8, 5);
    memset(header + 16, 0x77, 512);
    desc[0] = (struct desc){DISK_HEADER, 16 + 500, DESC_NEXT, 1};
    desc[1] = (struct desc){DISK_HEADER + 516, 12, DESC_NEXT, 2};
    desc[2] =
        (struct desc){DISK_STATUS, 9, DESC_WRITE, 0}; /* the status is the last byte of what may be longer */
    memset(at(&k.d, DISK_STATUS), NOT_WRITTEN, 9);
    driver_post(&k.d, 0, 0);
    assert_int_equal(driver_wait(&k.d, 0, NULL), 1);
    assert_int_equal(((uint8_t *)at(&k.d, DISK_STATUS))[8], OK);
    assert_int_equal(((uint8_t *)at(&k.d, DISK_STATUS))[7], NOT_WRITTEN);
    assert_int_equal(disk_byte(&k, 5 * 512), 0x77);
    assert_int_equal(disk_byte(&k, 6 * 512 - 1), 0x77);
    assert_int_equal(disk_byte(&k, 6 * 512), disk_pattern(6 * 512));
    disk_close(&k);
}

/* Without DISK_FLUSH each write is followed by fdatasync, which takes its time: the reset comes while they are under way. */
static void nothing_touches_memory_after_a_reset(void **state)
{
    struct disk k;
    (void)state;
    disk_open(&k, ",queues=2", 0);
    for (unsigned round = 0; round < 20; round++) {
        for (unsigned i = 0; i < 5; i++) {
            post_request(&k, 0, i, WRITE, i, 512);
            post_request(&k, 1, i + 5, READ, i, 512);
        }
        driver_reset(&k.d);
        memset(at(&k.d, DRIVER_GPA), 0x99, DRIVER_MEMORY);
        driver_go(&k.d, 0);
        assert_int_equal(disk_request(&k, READ, 40, 512), OK);
        for (uint32_t i = 512; i < 10 * 512; i++) /* the first 512 bytes are what was read just now */
            assert_int_equal(((uint8_t *)at(&k.d, DISK_DATA))[i], 0x99);
        for (unsigned i = 1; i < 10; i++)
            assert_int_equal(*(uint8_t *)at(&k.d, DISK_STATUS + i), 0x99);
    }
    disk_close(&k);
}

static void a_device_that_breaks_or_is_freed_loses_no_request(void **state)
{
    struct disk k;
    (void)state;
    for (unsigned round = 0; round < 5; round++) {
        disk_open(&k, "", 0);
        for (unsigned i = 0; i < 5; i++)
            post_request(&k, 0, i, WRITE, i, 512);
        k.d.queue[0].desc[15] = (struct desc){DISK_HEADER, 16, 0, 0};
        driver_post(&k.d, 0, 15);
        driver_wait_broken(&k.d);
        driver_go(&k.d, 0);
        for (unsigned i = 0; i < 5; i++)
            post_request(&k, 0, i, WRITE, i, 512);
        disk_close(&k);
    }
}

int main(int argc, char **argv)
{
    no_io_uring_if_asked(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_the_file_holds),
        cmocka_unit_test(writes_are_in_the_file),
        cmocka_unit_test(requests_beyond_the_end_or_of_broken_sectors_fail),
        cmocka_unit_test(a_read_only_disk_is_not_written),
        cmocka_unit_test(the_serial_number_is_the_given_one),
        cmocka_unit_test(discarded_and_zeroed_ranges_read_as_zero),
        cmocka_unit_test(ranges_are_all_checked_before_one_is_cleared),
        cmocka_unit_test(unknown_requests_are_unsupported),
        cmocka_unit_test(a_request_without_header_or_status_breaks_the_device),
        cmocka_unit_test(data_in_pieces_and_through_an_indirect_table),
        cmocka_unit_test(capacity_and_limits_are_in_the_configuration),
        cmocka_unit_test(what_is_no_disk_is_refused_with_a_reason),
        cmocka_unit_test(many_requests_are_under_way_at_once),
        cmocka_unit_test(a_request_that_is_posted_over_and_over_is_served_each_time),
        cmocka_unit_test(each_of_several_queues_reads_and_writes),
        cmocka_unit_test(a_wrong_number_of_queues_is_refused),
        cmocka_unit_test(header_and_data_in_one_buffer),
        cmocka_unit_test(nothing_touches_memory_after_a_reset),
        cmocka_unit_test(a_device_that_breaks_or_is_freed_loses_no_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
