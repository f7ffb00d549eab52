#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/devices/disk.h"
#include "vmm/base/bytes.h"
#include "vmm/devices/net.h"
#include "vmm/devices/net_stream.h"

#define SECOND  1000000000ull
#define MS      1000000ull
#define FOREVER 1 /* a byte a second: what is held back by it stays so while a test lasts */

static uint64_t clock_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

/* A file of rates, which the test changes, and as a device has it. */
struct kept {
    char path[64];
    int fd;
    struct rates_file file;
    struct rates rates;
};

static void set(struct kept *k, enum rate rate, uint64_t value)
{
    uint8_t bytes[sizeof k->file];
    k->file.rate[rate] = value;
    memcpy(bytes, &k->file, sizeof bytes);
    assert_int_equal(pwrite(k->fd, bytes, sizeof bytes, 0), sizeof bytes);
}

static void kept_open(struct kept *k)
{
    struct cofre_err err;
    *k = (struct kept){.path = "/tmp/cofre-test-rates-XXXXXX", .file = {.magic = RATES_MAGIC}};
    k->fd = mkstemp(k->path);
    assert_true(k->fd >= 0);
    set(k, RATE_READ_BYTES, 0);
    assert_int_equal(rates_open(&k->rates, k->path, &err), 0);
}

static void kept_close(struct kept *k)
{
    rates_close(&k->rates);
    close(k->fd);
    unlink(k->path);
}

/* The clock is the test's. */

static void a_pace_lets_through_its_rate_and_once_its_burst(void **state)
{
    (void)state;
    struct pace pace = {0};
    uint64_t now = 7 * SECOND, passed = 0;
    for (uint64_t end = now + 10 * SECOND; now < end;) {
        uint64_t wait = pace_wait(&pace, 1000, 2 * SECOND, now);
        now += wait;
        if (now >= end)
            break;
        pace_add(&pace, 1000, 10, now);
        passed += 10;
    }
    assert_in_range(passed, 1000 * 12, 1000 * 12 + 20); /* ten seconds, and two that were saved up */
}

static void what_is_saved_up_has_a_bound(void **state)
{
    (void)state;
    struct pace pace = {0};
    uint64_t burst = SECOND, now = SECOND, passed = 0;
    pace_add(&pace, 1000, 5000, now);
    assert_int_equal(pace_wait(&pace, 1000, burst, now), 4 * SECOND);
    now += 3600 * SECOND; /* an hour of nothing is no hour's worth */
    while (pace_wait(&pace, 1000, burst, now) == 0) {
        pace_add(&pace, 1000, 100, now);
        passed += 100;
    }
    assert_in_range(passed, 1000, 1100);
}

static void a_debt_is_paid_at_the_rate_of_the_day(void **state)
{
    (void)state;
    struct pace pace = {0};
    pace_add(&pace, FOREVER, 1 << 20, SECOND);
    assert_int_equal(pace_wait(&pace, FOREVER, 0, SECOND), (1ull << 20) * SECOND);
    assert_int_equal(pace_wait(&pace, 1 << 20, 0, SECOND), SECOND); /* a megabyte, at one a second */
    assert_int_equal(pace_wait(&pace, 1 << 19, 0, SECOND), 2 * SECOND);
    assert_int_equal(pace_wait(&pace, 0, 0, SECOND), 0);
    assert_int_equal(pace_wait(&pace, 1, 0, SECOND), 0); /* what was owed before is forgotten */
}

static void no_number_is_too_large(void **state)
{
    (void)state;
    struct pace pace = {0};
    for (unsigned i = 0; i < 100; i++)
        pace_add(&pace, 1, UINT64_MAX, UINT64_MAX / 8);
    assert_in_range(pace_wait(&pace, 1, 0, UINT64_MAX / 8), UINT64_MAX / 4, UINT64_MAX / 4);
    assert_in_range(pace_wait(&pace, UINT64_MAX, 0, UINT64_MAX / 8), 0, 1);
}

static void what_is_no_file_of_rates_is_refused(void **state)
{
    (void)state;
    struct rates rates;
    struct cofre_err err;
    struct kept k;
    kept_open(&k);
    assert_int_equal(rates_open(&rates, "/nonexistent", &err), -COFRE_USAGE);
    assert_int_equal(rates_open(&rates, "/dev/null", &err), -COFRE_USAGE);
    assert_int_equal(pwrite(k.fd, "cofre-r2", 8, 0), 8);
    assert_int_equal(rates_open(&rates, k.path, &err), -COFRE_USAGE);
    assert_int_equal(ftruncate(k.fd, 65), 0);
    assert_int_equal(rates_open(&rates, k.path, &err), -COFRE_USAGE);
    kept_close(&k);
}

/* Disks */

static void limited(struct disk *disk, struct kept *k)
{
    kept_open(k);
    disk_open(disk, "", DISK_FLUSH);
    disk->d.device->rates = &k->rates;
}

static void post(struct disk *k, unsigned i, uint32_t type, uint32_t len)
{
    uint64_t header = DISK_HEADER + 32 * i, status = DISK_STATUS + i;
    struct desc *desc = k->d.queue[0].desc + 3 * i;
    uint16_t first = (uint16_t)(3 * i);
    put_le32(at(&k->d, header), type);
    put_le64((uint8_t *)at(&k->d, header) + 8, 8 * i);
    *(uint8_t *)at(&k->d, status) = NOT_WRITTEN;
    desc[0] = (struct desc){header, 16, DESC_NEXT, first + 1};
    desc[1] =
        (struct desc){DISK_DATA + 4096ull * i, len, (type == READ ? DESC_WRITE : 0) | DESC_NEXT, first + 2};
    desc[2] = (struct desc){status, 1, DESC_WRITE, 0};
    driver_post(&k->d, 0, first);
}

static void expect(struct disk *k, unsigned i)
{
    uint16_t head;
    driver_wait(&k->d, 0, &head);
    assert_int_equal(head, 3 * i);
    assert_int_equal(*(uint8_t *)at(&k->d, DISK_STATUS + i), OK);
}

static void a_write_beyond_the_rate_waits_and_reads_do_not(void **state)
{
    struct disk disk;
    struct kept k;
    (void)state;
    limited(&disk, &k);
    set(&k, RATE_WRITE_BYTES, FOREVER);
    post(&disk, 0, WRITE, 4096); /* the first may begin, and is the debt that holds up the next */
    expect(&disk, 0);
    post(&disk, 1, WRITE, 4096);
    post(&disk, 2, READ, 4096);
    expect(&disk, 2);
    post(&disk, 3, READ, 4096);
    expect(&disk, 3);
    assert_int_equal(*(uint8_t *)at(&disk.d, DISK_STATUS + 1), NOT_WRITTEN);
    set(&k, RATE_WRITE_BYTES, 0); /* nobody asks the device to look */
    expect(&disk, 1);
    disk_close(&disk);
    kept_close(&k);
}

/* More than a second's worth at once, so that three of five wait for what time brings. A busy machine only makes it longer. */
static void requests_come_at_the_rate_that_is_set(void **state)
{
    struct disk disk;
    struct kept k;
    (void)state;
    limited(&disk, &k);
    set(&k, RATE_READ_OPERATIONS, 20); /* one each 50 ms, which is what may be saved up in any case */
    uint64_t begin = clock_now();
    for (unsigned i = 0; i < 5; i++)
        post(&disk, i, READ, 512);
    for (unsigned i = 0; i < 5; i++)
        expect(&disk, i);
    assert_true(clock_now() - begin >=
                150 * MS); /* two, then three that each paid for the one before the last */
    disk_close(&disk);
    kept_close(&k);
}

static void a_burst_is_let_through_at_once(void **state)
{
    struct disk disk;
    struct kept k;
    (void)state;
    limited(&disk, &k);
    k.file.burst = 3600 * 1000;
    set(&k, RATE_READ_BYTES, 4); /* an hour's worth: 14,400 bytes */
    for (unsigned i = 0; i < 4; i++)
        post(&disk, i, READ, 4096);
    for (unsigned i = 0; i < 4; i++)
        expect(&disk, i);
    post(&disk, 4, READ, 512);
    post(&disk, 0, WRITE, 512);
    expect(&disk, 0);
    assert_int_equal(*(uint8_t *)at(&disk.d, DISK_STATUS + 4), NOT_WRITTEN);
    disk_close(&disk); /* with a request held back */
    kept_close(&k);
}

static void what_was_held_back_is_forgotten_with_a_reset(void **state)
{
    struct disk disk;
    struct kept k;
    (void)state;
    limited(&disk, &k);
    set(&k, RATE_WRITE_OPERATIONS, 1);
    set(&k, RATE_WRITE_BYTES, FOREVER);
    for (unsigned round = 0; round < 10; round++) {
        for (unsigned i = 0; i < 5; i++)
            post(&disk, i, WRITE, 512);
        driver_reset(&disk.d);
        memset(at(&disk.d, DISK_HEADER), 0x99, 0x8000);
        driver_go(&disk.d, DISK_FLUSH);
        post(&disk, 0, READ, 512);
        expect(&disk, 0);
        for (unsigned i = 1; i < 5; i++)
            assert_int_equal(*(uint8_t *)at(&disk.d, DISK_STATUS + i), 0x99);
    }
    disk_close(&disk);
    kept_close(&k);
}

/* Networks */

enum { RX = 0, TX = 1 };
#define HEADER sizeof(struct net_header)
#define FRAME  1000
#define BUFFER (DRIVER_GPA + DRIVER_BUFFER)

static void give(struct driver *d, unsigned queue, uint16_t i)
{
    memset(at(d, BUFFER + queue * 0x10000u + i * 0x1000u), 0, HEADER);
    d->queue[queue].desc[i] =
        (struct desc){BUFFER + queue * 0x10000u + i * 0x1000u, queue == TX ? HEADER + FRAME : 4096,
                      queue == TX ? 0 : DESC_WRITE, 0};
    driver_post(d, queue, i);
}

static void peer_sends(int peer)
{
    uint8_t record[4 + FRAME] = {0, 0, FRAME >> 8, FRAME & 0xff};
    assert_int_equal(write(peer, record, sizeof record), sizeof record);
}

static void peer_gets(int peer)
{
    uint8_t record[4 + FRAME];
    assert_int_equal(recv(peer, record, sizeof record, MSG_WAITALL), sizeof record);
}

/* Each direction in its turn: one packet goes through, whatever its size, the next waits, and the other direction does not. */
static void packets_wait_for_their_rate_in_each_direction(void **state)
{
    (void)state;
    for (unsigned slow = RX; slow <= TX; slow++) {
        struct driver d;
        struct kept k;
        struct net_backend *backend;
        struct virtio_device *device;
        struct cofre_err err;
        uint8_t byte;
        int ends[2];
        kept_open(&k);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        assert_int_equal(net_stream_new(&backend, "peer", ends[0], &err), 0);
        assert_int_equal(virtio_net_on(&device, backend, NULL, &err), 0);
        driver_open(&d, device);
        device->rates = &k.rates;
        set(&k, slow == RX ? RATE_NETWORK_IN : RATE_NETWORK_OUT, FOREVER);
        driver_go(&d, NET_BIT(NET_MRG_RXBUF));
        for (uint16_t i = 0; i < 4; i++)
            give(&d, RX, i);
        peer_sends(ends[1]);
        assert_int_equal(driver_wait(&d, RX, NULL), HEADER + FRAME);
        give(&d, TX, 0);
        driver_wait(&d, TX, NULL);
        peer_gets(ends[1]);
        peer_sends(ends[1]);
        give(&d, TX, 1);
        if (slow == RX) {
            driver_wait(&d, TX, NULL);
            peer_gets(ends[1]);
            assert_false(driver_came_back(&d, RX));
        } else {
            assert_int_equal(driver_wait(&d, RX, NULL), HEADER + FRAME);
            assert_int_equal(recv(ends[1], &byte, 1, MSG_DONTWAIT), -1);
        }
        set(&k, RATE_NETWORK_IN, 0);
        set(&k, RATE_NETWORK_OUT, 0);
        if (slow == RX)
            assert_int_equal(driver_wait(&d, RX, NULL), HEADER + FRAME);
        else
            peer_gets(ends[1]);
        driver_close(&d);
        close(ends[1]);
        kept_close(&k);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pace_lets_through_its_rate_and_once_its_burst),
        cmocka_unit_test(what_is_saved_up_has_a_bound),
        cmocka_unit_test(a_debt_is_paid_at_the_rate_of_the_day),
        cmocka_unit_test(no_number_is_too_large),
        cmocka_unit_test(what_is_no_file_of_rates_is_refused),
        cmocka_unit_test(a_write_beyond_the_rate_waits_and_reads_do_not),
        cmocka_unit_test(requests_come_at_the_rate_that_is_set),
        cmocka_unit_test(a_burst_is_let_through_at_once),
        cmocka_unit_test(what_was_held_back_is_forgotten_with_a_reset),
        cmocka_unit_test(packets_wait_for_their_rate_in_each_direction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
