#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/devices/driver.h"
#include "vmm/base/bytes.h"
#include "vmm/devices/block.h"

#define SECTORS  64
#define HEADER   (DRIVER_GPA + DRIVER_BUFFER)
#define DATA     (HEADER + 0x1000)
#define STATUS   (HEADER + 0x800)
#define FLUSH    (1ull << 9)
#define INDIRECT (1ull << 28)

enum { READ = 0, WRITE = 1, DO_FLUSH = 4, GET_ID = 8, DISCARD = 11, ZEROES = 13 };
enum { OK = 0, IOERR = 1, UNSUPPORTED = 2, NOT_WRITTEN = 0xee };

struct disk {
    struct driver d;
    char path[64];
    int fd;
};

static uint8_t pattern(uint64_t i)
{
    return (uint8_t)(i * 7 + i / 512);
}

static void disk_file(struct disk *k)
{
    strcpy(k->path, "/tmp/cofre-test-disk-XXXXXX");
    k->fd = mkstemp(k->path);
    assert_true(k->fd >= 0);
    uint8_t bytes[SECTORS * 512];
    for (uint64_t i = 0; i < sizeof bytes; i++)
        bytes[i] = pattern(i);
    assert_int_equal(pwrite(k->fd, bytes, sizeof bytes, 0), sizeof bytes);
}

static void disk_open(struct disk *k, const char *options, uint64_t features)
{
    struct virtio_device *device;
    struct cofre_err err;
    char spec[128];
    disk_file(k);
    snprintf(spec, sizeof spec, "%s%s", k->path, options);
    if (virtio_block_new(&device, spec, &err))
        fail_msg("%s", err.text);
    driver_open(&k->d, device);
    driver_go(&k->d, features);
}

static void disk_close(struct disk *k)
{
    driver_close(&k->d);
    close(k->fd);
    unlink(k->path);
}

/* A request of three descriptors: header, data, status; returns its status. */
static uint8_t request(struct disk *k, uint32_t type, uint64_t sector, uint32_t len)
{
    struct desc *desc = k->d.queue[0].desc;
    bool to_guest = type == READ || type == GET_ID;
    put_le32(at(&k->d, HEADER), type);
    put_le64((uint8_t *)at(&k->d, HEADER) + 8, sector);
    *(uint8_t *)at(&k->d, STATUS) = NOT_WRITTEN;
    desc[0] = (struct desc){HEADER, 16, DESC_NEXT, 1};
    desc[1] = (struct desc){DATA, len, (to_guest ? DESC_WRITE : 0) | DESC_NEXT, 2};
    desc[2] = (struct desc){STATUS, 1, DESC_WRITE, 0};
    driver_post(&k->d, 0, 0);
    uint32_t written = driver_wait(&k->d, 0, NULL);
    uint8_t status = *(uint8_t *)at(&k->d, STATUS);
    assert_int_equal(written, status == OK && type == READ ? len + 1
                              : type == GET_ID             ? (len < 20 ? len : 20) + 1
                                                           : 1);
    return status;
}

static uint8_t file_byte(struct disk *k, uint64_t offset)
{
    uint8_t byte;
    assert_int_equal(pread(k->fd, &byte, 1, (off_t)offset), 1);
    return byte;
}

static void reads_what_the_file_holds(void **state)
{
    struct disk k;
    (void)state;
    disk_open(&k, "", 0);
    assert_int_equal(request(&k, READ, 3, 5 * 512), OK);
    for (uint64_t i = 0; i < 5 * 512; i++)
        assert_int_equal(((uint8_t *)at(&k.d, DATA))[i], pattern(3 * 512 + i));
    assert_int_equal(request(&k, READ, SECTORS - 1, 512), OK);
    disk_close(&k);
}

static void writes_are_in_the_file(void **state)
{
    struct disk k;
    (void)state;
    disk_open(&k, "", FLUSH);
    memset(at(&k.d, DATA), 0xa5, 1024);
    assert_int_equal(request(&k, WRITE, 62, 1024), OK);
    assert_int_equal(request(&k, DO_FLUSH, 0, 0), OK);
    assert_int_equal(file_byte(&k, 62 * 512 - 1), pattern(62 * 512 - 1));
    assert_int_equal(file_byte(&k, 62 * 512), 0xa5);
    assert_int_equal(file_byte(&k, 64 * 512 - 1), 0xa5);
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
        assert_int_equal(request(&k, READ, bad[i].sector, bad[i].len), IOERR);
        assert_int_equal(request(&k, WRITE, bad[i].sector, bad[i].len), IOERR);
    }
    assert_int_equal(request(&k, READ, 0, 512), OK);
    disk_close(&k);
}

static void a_read_only_disk_is_not_written(void **state)
{
    struct disk k;
    (void)state;
    disk_open(&k, ",ro", FLUSH);
    assert_true(driver_offered(&k.d) & 1ull << 5);
    assert_false(driver_offered(&k.d) & (1ull << 13 | 1ull << 14));
    memset(at(&k.d, DATA), 0, 512);
    put_le32((uint8_t *)at(&k.d, DATA) + 8, 1);
    assert_int_equal(request(&k, WRITE, 0, 512), IOERR);
    assert_int_equal(request(&k, DISCARD, 0, 16), IOERR);
    assert_int_equal(request(&k, ZEROES, 0, 16), IOERR);
    assert_int_equal(request(&k, DO_FLUSH, 0, 0), OK);
    assert_int_equal(file_byte(&k, 1), pattern(1));
    disk_close(&k);
}

static void the_serial_number_is_the_given_one(void **state)
{
    struct disk k;
    (void)state;
    disk_open(&k, ",serial=0123456789abcdefghij,ro", 0);
    assert_int_equal(request(&k, GET_ID, 0, 20), OK);
    assert_memory_equal(at(&k.d, DATA), "0123456789abcdefghij", 20);
    memset(at(&k.d, DATA), 0, 20);
    assert_int_equal(request(&k, GET_ID, 0, 4), OK);
    assert_memory_equal(at(&k.d, DATA), "0123\0\0", 6);
    disk_close(&k);
}

static void put_range(struct disk *k, unsigned i, uint64_t sector, uint32_t sectors, uint32_t flags)
{
    uint8_t *p = (uint8_t *)at(&k->d, DATA) + 16 * i;
    put_le64(p, sector);
    put_le32(p + 8, sectors);
    put_le32(p + 12, flags);
}

static void discarded_and_zeroed_ranges_read_as_zero(void **state)
{
    struct disk k;
    (void)state;
    disk_open(&k, "", 0);
    put_range(&k, 0, 8, 8, 0);
    put_range(&k, 1, 24, 1, 0);
    assert_int_equal(request(&k, ZEROES, 0, 32), OK);
    assert_int_equal(file_byte(&k, 8 * 512), 0);
    assert_int_equal(file_byte(&k, 16 * 512 - 1), 0);
    assert_int_equal(file_byte(&k, 16 * 512 + 1), pattern(16 * 512 + 1));
    assert_int_equal(file_byte(&k, 24 * 512 + 9), 0);
    put_range(&k, 0, 32, 8, 1);
    assert_int_equal(request(&k, ZEROES, 0, 16), OK);
    assert_int_equal(file_byte(&k, 32 * 512 + 5), 0);
    put_range(&k, 0, 48, 8, 0);
    assert_int_equal(request(&k, DISCARD, 0, 16), OK);
    disk_close(&k);
}

static void ranges_are_all_checked_before_one_is_cleared(void **state)
{
    struct disk k;
    (void)state;
    disk_open(&k, "", 0);
    put_range(&k, 0, 0, 1, 0);
    const struct {
        uint64_t sector;
        uint32_t sectors, flags;
        int discard, zeroes;
    } bad[] = {{SECTORS, 1, 0, IOERR, IOERR},       {UINT64_MAX, 2, 0, IOERR, IOERR},
               {0, UINT32_MAX, 0, IOERR, IOERR},    {0, SECTORS + 1, 0, IOERR, IOERR},
               {0, 1, 2, UNSUPPORTED, UNSUPPORTED}, {0, 1, 1u << 31, UNSUPPORTED, UNSUPPORTED}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put_range(&k, 1, bad[i].sector, bad[i].sectors, bad[i].flags);
        assert_int_equal(request(&k, DISCARD, 0, 32), bad[i].discard);
        assert_int_equal(request(&k, ZEROES, 0, 32), bad[i].zeroes);
    }
    assert_int_equal(request(&k, ZEROES, 0, 15), IOERR);
    assert_int_equal(request(&k, ZEROES, 0, 17 * 16), IOERR);
    assert_int_equal(file_byte(&k, 1), pattern(1));
    disk_close(&k);
}

static void unknown_requests_are_unsupported(void **state)
{
    struct disk k;
    (void)state;
    disk_open(&k, "", 0);
    assert_int_equal(request(&k, 2, 0, 512), UNSUPPORTED);
    assert_int_equal(request(&k, UINT32_MAX, 0, 512), UNSUPPORTED);
    disk_close(&k);
}

static void a_request_without_header_or_status_breaks_the_device(void **state)
{
    struct disk k;
    (void)state;
    disk_open(&k, "", 0);
    struct desc *desc = k.d.queue[0].desc;
    desc[0] = (struct desc){HEADER, 15, DESC_NEXT, 1};
    desc[1] = (struct desc){STATUS, 1, DESC_WRITE, 0};
    driver_post(&k.d, 0, 0);
    driver_wait_broken(&k.d);
    driver_go(&k.d, 0);
    desc[0] = (struct desc){HEADER, 16, 0, 0};
    driver_post(&k.d, 0, 0);
    driver_wait_broken(&k.d);
    driver_go(&k.d, 0);
    assert_int_equal(request(&k, READ, 0, 512), OK);
    disk_close(&k);
}

static void data_in_pieces_and_through_an_indirect_table(void **state)
{
    struct disk k;
    (void)state;
    disk_open(&k, "", INDIRECT);
    struct desc *table = at(&k.d, HEADER + 0x400);
    put_le32(at(&k.d, HEADER), READ);
    put_le64((uint8_t *)at(&k.d, HEADER) + 8, 0);
    table[0] = (struct desc){HEADER, 7, DESC_NEXT, 1}; /* the header may come in pieces, too */
    table[1] = (struct desc){HEADER + 7, 9, DESC_NEXT, 2};
    table[2] = (struct desc){DATA, 100, DESC_NEXT | DESC_WRITE, 3};
    table[3] = (struct desc){DATA + 0x1000, 412, DESC_NEXT | DESC_WRITE, 4};
    table[4] = (struct desc){DATA + 0x2000, 513, DESC_WRITE, 0}; /* and the status end the last buffer */
    k.d.queue[0].desc[5] = (struct desc){HEADER + 0x400, 5 * 16, DESC_INDIRECT, 0};
    driver_post(&k.d, 0, 5);
    uint16_t head;
    assert_int_equal(driver_wait(&k.d, 0, &head), 1025);
    assert_int_equal(head, 5);
    assert_int_equal(((uint8_t *)at(&k.d, DATA))[99], pattern(99));
    assert_int_equal(((uint8_t *)at(&k.d, DATA + 0x1000))[0], pattern(100));
    assert_int_equal(((uint8_t *)at(&k.d, DATA + 0x2000))[511], pattern(1023));
    assert_int_equal(((uint8_t *)at(&k.d, DATA + 0x2000))[512], OK);
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

static void refused(const char *spec, int code, const char *why)
{
    struct virtio_device *device = NULL;
    struct cofre_err err;
    assert_int_equal(virtio_block_new(&device, spec, &err), -code);
    assert_null(device);
    if (!strstr(err.text, why))
        fail_msg("'%s' does not say '%s'", err.text, why);
}

static void what_is_no_disk_is_refused_with_a_reason(void **state)
{
    struct disk k;
    char spec[128];
    (void)state;
    refused("/nonexistent/disk", COFRE_LACKING, "No such file");
    refused("/dev/null", COFRE_USAGE, "neither a file nor a block device");
    disk_file(&k);
    snprintf(spec, sizeof spec, "%s,serial=0123456789abcdefghijk", k.path);
    refused(spec, COFRE_USAGE, "at most 20 bytes");
    snprintf(spec, sizeof spec, "%s,rw", k.path);
    refused(spec, COFRE_LACKING, "No such file");
    assert_int_equal(ftruncate(k.fd, 1000), 0);
    refused(k.path, COFRE_USAGE, "multiple of 512");
    assert_int_equal(ftruncate(k.fd, 0), 0);
    refused(k.path, COFRE_USAGE, "multiple of 512");
    close(k.fd);
    unlink(k.path);
}

static void a_disk_in_use_is_refused_unless_all_only_read(void **state)
{
    struct disk k;
    struct virtio_device *first, *second;
    char read_only[80];
    (void)state;
    disk_file(&k);
    snprintf(read_only, sizeof read_only, "%s,ro", k.path);
    assert_int_equal(virtio_block_new(&first, k.path, NULL), 0);
    refused(k.path, COFRE_LACKING, "another guest uses it");
    refused(read_only, COFRE_LACKING, "another guest uses it");
    virtio_free(first);
    assert_int_equal(virtio_block_new(&first, read_only, NULL), 0);
    assert_int_equal(virtio_block_new(&second, read_only, NULL), 0);
    virtio_free(first);
    virtio_free(second);
    close(k.fd);
    unlink(k.path);
}

static void a_shrunken_file_is_an_error_for_the_guest(void **state)
{
    struct disk k;
    (void)state;
    disk_open(&k, ",ro", 0);
    assert_int_equal(ftruncate(k.fd, 512), 0);
    assert_int_equal(request(&k, READ, 0, 1024), IOERR);
    assert_int_equal(request(&k, READ, 0, 512), OK);
    disk_close(&k);
}

int main(void)
{
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
        cmocka_unit_test(a_disk_in_use_is_refused_unless_all_only_read),
        cmocka_unit_test(a_shrunken_file_is_an_error_for_the_guest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
