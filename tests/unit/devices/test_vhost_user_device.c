#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/devices/back_end.h"
#include "tests/unit/devices/driver.h"
#include "vmm/base/bytes.h"
#include "vmm/devices/vhost_user_device.h"

#define BIT(n)   (1ull << (n))
#define VERSION1 BIT(32)
#define PLATFORM BIT(33)
#define SOON     50

/* A back end at a path, and a driver before the device that uses it. */
struct bench {
    struct back_end be;
    struct driver d;
    struct virtio_device *device;
    char dir[40], path[64], spec[160];
    int listener;
    struct cofre_err err;
};

/* spec with @ for the path. */
static void listen_for(struct bench *b, const char *spec)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(b->dir, "/tmp/cofre-test-vhost-XXXXXX");
    assert_non_null(mkdtemp(b->dir));
    snprintf(b->path, sizeof b->path, "%s/s", b->dir);
    memcpy(address.sun_path, b->path, sizeof b->path);
    const char *at = strchr(spec, '@');
    snprintf(b->spec, sizeof b->spec, "%.*s%s%s", (int)(at - spec), spec, b->path, at + 1);
    b->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(b->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(b->listener, 1), 0);
    back_end_start_at(&b->be, b->listener);
    b->err.text[0] = 0;
}

static void remove_path(struct bench *b)
{
    assert_int_equal(unlink(b->path), 0);
    assert_int_equal(rmdir(b->dir), 0);
}

static void open_bench(struct bench *b, const char *spec)
{
    listen_for(b, spec);
    if (virtio_vhost_user_new(&b->device, b->spec, &b->err))
        fail_msg("%s", b->err.text);
    driver_open(&b->d, b->device);
}

static void close_bench(struct bench *b)
{
    driver_close(&b->d);
    back_end_join(&b->be);
    remove_path(b);
}

static void set_patience(struct bench *b, int milliseconds)
{
    ((struct vhost_user_device *)b->device->device)->back_end.patience = milliseconds;
}

/* Gives each request back with its text in capitals; "end" and "err" make it end, or report an error. */
static void serve(struct back_end *be, unsigned index)
{
    struct queue_chain chain;
    struct virtqueue *q = &be->ring[index].queue;
    while (virtqueue_next(q, &chain, NULL) > 0 ||
           (virtqueue_rearm(q) && virtqueue_next(q, &chain, NULL) > 0)) {
        char text[64] = "";
        size_t n = chain_read(&chain, 0, text, sizeof text - 1);
        if (strcmp(text, "end") == 0)
            be->end = true;
        else if (strcmp(text, "speak") == 0)
            (void)send(be->fd, text, n, MSG_NOSIGNAL);
        else if (strcmp(text, "err") == 0)
            (void)eventfd_write(be->ring[index].error, 1);
        for (size_t i = 0; i < n; i++)
            text[i] = (char)(text[i] >= 'a' && text[i] <= 'z' ? text[i] - 32 : text[i]);
        chain_write(&chain, 0, text, n);
        back_end_done(be, index, &chain, (uint32_t)n);
    }
}

#define OUT (DRIVER_GPA + DRIVER_BUFFER)
#define IN  (OUT + 0x1000)

static void ask(struct bench *b, unsigned queue, const char *text, const char *answer)
{
    uint32_t len = (uint32_t)strlen(text);
    memcpy(at(&b->d, OUT), text, len);
    memset(at(&b->d, IN), 0, 64);
    assert_int_equal(driver_ask(&b->d, queue, OUT, len, IN, 64), len);
    assert_string_equal(at(&b->d, IN), answer);
}

static void post(struct bench *b, const char *text)
{
    uint32_t len = (uint32_t)strlen(text);
    memcpy(at(&b->d, OUT), text, len);
    b->d.queue[0].desc[0] = (struct desc){OUT, len, 0, 0};
    driver_post(&b->d, 0, 0);
}

static unsigned told(const struct back_end *be, uint32_t request)
{
    unsigned n = 0;
    for (unsigned i = 0; i < be->count; i++)
        n += be->order[i] == request;
    return n;
}

static void a_disk_has_the_features_that_both_sides_know(void **state)
{
    struct bench b;
    (void)state;
    back_end_init(&b.be);
    open_bench(&b, "block,socket=@");
    const uint64_t all = BIT(1) | BIT(2) | BIT(4) | BIT(5) | BIT(6) | BIT(9) | BIT(10) | BIT(12) | BIT(13) |
                         BIT(14) | BIT(28) | BIT(29) | VERSION1 | PLATFORM;
    assert_int_equal(driver_offered(&b.d), all);
    close_bench(&b);

    back_end_init(&b.be);
    b.be.features = BIT(9) | BIT(11) | BIT(29) | BE_PROTOCOL_FEATURES | VERSION1;
    open_bench(&b, "block,socket=@");
    assert_int_equal(driver_offered(&b.d), BIT(9) | BIT(29) | VERSION1 | PLATFORM);
    close_bench(&b);
}

static void a_disk_has_its_back_ends_configuration_and_our_number_of_queues(void **state)
{
    struct bench b;
    (void)state;
    back_end_init(&b.be);
    b.be.queues = 4;
    memset(b.be.config, 0x77, sizeof b.be.config);
    put_le64(b.be.config, 2048);
    open_bench(&b, "block,socket=@,queues=3");
    assert_int_equal(driver_read(&b.d, b.d.config, 8), 2048);
    assert_int_equal(driver_read(&b.d, b.d.config + 34, 2), 3);
    assert_int_equal(driver_read(&b.d, b.d.config + 56, 4), 0x77777777);
    assert_int_equal(driver_read(&b.d, b.d.config + 60, 4), 0); /* nothing beyond what a disk has */
    assert_int_equal(driver_read(&b.d, b.d.common + 0x12, 2), 3);
    close_bench(&b);
}

static void a_directory_has_its_tag_and_a_queue_beside(void **state)
{
    struct bench b;
    (void)state;
    back_end_init(&b.be);
    b.be.queues = 3;
    open_bench(&b, "fs,socket=@,tag=home,queues=2");
    assert_int_equal(driver_read(&b.d, b.d.config, 4), le32("home"));
    for (unsigned i = 4; i < VHOST_USER_TAG_SIZE; i += 4)
        assert_int_equal(driver_read(&b.d, b.d.config + i, 4), 0);
    assert_int_equal(driver_read(&b.d, b.d.config + VHOST_USER_TAG_SIZE, 4), 2);
    assert_int_equal(driver_read(&b.d, b.d.common + 0x12, 2), 3);
    assert_int_equal(driver_config_read(&b.d, 2, 2), 0x1040 + 26);
    assert_int_equal(driver_offered(&b.d), BIT(28) | BIT(29) | VERSION1 | PLATFORM);
    close_bench(&b);
    assert_int_equal(told(&b.be, BE_GET_CONFIG), 0);
}

static void a_card_has_its_address_and_no_control_queue(void **state)
{
    struct bench b;
    (void)state;
    back_end_init(&b.be);
    open_bench(&b, "net,socket=@,mac=02:12:34:56:78:9a");
    assert_int_equal(driver_read(&b.d, b.d.config, 4), 0x56341202);
    assert_int_equal(driver_read(&b.d, b.d.config + 4, 2), 0x9a78);
    assert_int_equal(driver_read(&b.d, b.d.common + 0x12, 2), 2);
    const uint64_t mine = BIT(0) | BIT(1) | BIT(5) | BIT(7) | BIT(8) | BIT(9) | BIT(10) | BIT(11) | BIT(12) |
                          BIT(13) | BIT(14) | BIT(15);
    assert_int_equal(driver_offered(&b.d), mine | BIT(28) | BIT(29) | VERSION1 | PLATFORM);
    driver_go(&b.d, BIT(5) | BIT(15));
    close_bench(&b);
    assert_int_equal(b.be.driver_features,
                     VERSION1 | BIT(15) | BE_PROTOCOL_FEATURES); /* the address is ours */

    back_end_init(&b.be);
    open_bench(&b, "net,socket=@");
    assert_int_equal(driver_read(&b.d, b.d.config, 1) & 3, 2); /* local, of one card */
    close_bench(&b);
}

static void requests_are_served_by_the_back_end(void **state)
{
    struct bench b;
    (void)state;
    back_end_init(&b.be);
    b.be.serve = serve;
    open_bench(&b, "fs,socket=@,tag=t");
    driver_go(&b.d, BIT(28));
    ask(&b, 1, "first", "FIRST");
    ask(&b, 0, "other queue", "OTHER QUEUE");
    for (unsigned i = 0; i < 40; i++)
        ask(&b, 1, "again", "AGAIN");
    close_bench(&b);
    /* What driver and back end agreed upon; the memory's addresses are the guest's, so it needs no translation. */
    assert_int_equal(b.be.driver_features, VERSION1 | BIT(28) | BE_PROTOCOL_FEATURES);
    assert_int_equal(b.be.mem.count, 1);
    assert_int_equal(b.be.user[0], DRIVER_GPA);
}

static void a_reset_takes_the_rings_back_and_the_device_goes_again(void **state)
{
    struct bench b;
    (void)state;
    back_end_init(&b.be);
    b.be.serve = serve;
    open_bench(&b, "fs,socket=@,tag=t");
    for (unsigned i = 0; i < 3; i++) {
        driver_go(&b.d, 0);
        ask(&b, 1, "round", "ROUND");
    }
    driver_reset(&b.d);
    close_bench(&b);
    assert_int_equal(told(&b.be, BE_GET_VRING_BASE), 2 * 3);
    assert_int_equal(told(&b.be, BE_SET_VRING_KICK), 2 * 3);
    assert_int_equal(told(&b.be, BE_SET_OWNER), 1);
}

static void a_queue_that_the_driver_leaves_out_is_left_out(void **state)
{
    struct bench b;
    (void)state;
    back_end_init(&b.be);
    b.be.queues = 4;
    open_bench(&b, "block,socket=@,queues=4");
    assert_true(driver_negotiate(&b.d, FEATURES_NEEDED));
    driver_write(&b.d, b.d.common + 0x14, 1, driver_status(&b.d) | 4); /* no queue at all */
    assert_int_equal(driver_status(&b.d) & 64, 0);
    driver_go(&b.d, 0);
    close_bench(&b);
    assert_int_equal(told(&b.be, BE_SET_MEM_TABLE), 2);
    assert_int_equal(told(&b.be, BE_SET_VRING_KICK), 4);
}

/* The device is lost: it says so, is reset when asked to, and does not come back. */
static void expect_lost_for_good(struct bench *b)
{
    driver_wait_broken(&b->d);
    driver_reset(&b->d);
    assert_true(driver_negotiate(&b->d, FEATURES_NEEDED));
    driver_start(&b->d);
    driver_wait_broken(&b->d);
    driver_reset(&b->d);
}

static void a_back_end_that_ends_costs_the_guest_that_device(void **state)
{
    struct bench b;
    (void)state;
    back_end_init(&b.be);
    b.be.serve = serve;
    open_bench(&b, "fs,socket=@,tag=t");
    driver_go(&b.d, 0);
    post(&b, "end");
    expect_lost_for_good(&b);
    close_bench(&b);
}

static void a_back_end_that_ends_before_the_driver_came_is_noticed(void **state)
{
    struct bench b;
    (void)state;
    back_end_init(&b.be);
    b.be.fault = FAULT_CLOSES;
    b.be.fault_at = BE_SET_FEATURES;
    open_bench(&b, "fs,socket=@,tag=t");
    assert_true(driver_negotiate(&b.d, FEATURES_NEEDED));
    driver_start(&b.d);
    expect_lost_for_good(&b);
    close_bench(&b);
}

static void what_a_back_end_says_unasked_is_the_end_of_it(void **state)
{
    struct bench b;
    (void)state;
    back_end_init(&b.be);
    b.be.serve = serve;
    open_bench(&b, "fs,socket=@,tag=t");
    driver_go(&b.d, 0);
    post(&b, "speak");
    expect_lost_for_good(&b);
    close_bench(&b);
}

static void a_back_end_that_refuses_the_memory_loses_the_device(void **state)
{
    struct bench b;
    (void)state;
    back_end_init(&b.be);
    b.be.fault = FAULT_REFUSES;
    b.be.fault_at = BE_SET_MEM_TABLE;
    open_bench(&b, "block,socket=@");
    assert_true(driver_negotiate(&b.d, FEATURES_NEEDED));
    driver_start(&b.d);
    expect_lost_for_good(&b);
    close_bench(&b);
}

static void an_error_of_a_ring_is_passed_on_and_a_reset_helps(void **state)
{
    struct bench b;
    (void)state;
    back_end_init(&b.be);
    b.be.serve = serve;
    open_bench(&b, "fs,socket=@,tag=t");
    driver_go(&b.d, 0);
    post(&b, "err");
    driver_wait_broken(&b.d);
    driver_go(&b.d, 0);
    ask(&b, 1, "well again", "WELL AGAIN");
    close_bench(&b);
}

/* The driver waits for its reset; the vCPU that asked for it waits for the back end, and not for long. */
static void a_back_end_that_does_not_stop_is_not_waited_for(void **state)
{
    struct bench b;
    (void)state;
    back_end_init(&b.be);
    b.be.fault = FAULT_SILENT;
    b.be.fault_at = BE_GET_VRING_BASE;
    open_bench(&b, "fs,socket=@,tag=t");
    driver_go(&b.d, 0);
    set_patience(&b, SOON);
    driver_reset(&b.d);
    assert_true(driver_negotiate(&b.d, FEATURES_NEEDED));
    driver_start(&b.d);
    driver_wait_broken(&b.d);
    close_bench(&b);
    assert_int_equal(told(&b.be, BE_GET_VRING_BASE), 1);
}

static void rings_in_memory_without_a_file_are_the_drivers_fault(void **state)
{
    struct bench b;
    (void)state;
    back_end_init(&b.be);
    open_bench(&b, "fs,socket=@,tag=t");
    b.d.mem.region[0].fd = -1;
    assert_true(driver_negotiate(&b.d, FEATURES_NEEDED));
    driver_start(&b.d);
    driver_wait_broken(&b.d);
    b.d.mem.region[0].fd = b.d.memfd;
    driver_go(&b.d, 0); /* and a driver that does better is served */
    close_bench(&b);
    assert_int_equal(told(&b.be, BE_SET_VRING_KICK), 2);
}

static void expect_no_device(const struct back_end *be, const char *spec, int rc, const char *why)
{
    struct bench b = {.be = *be};
    listen_for(&b, spec);
    assert_int_equal(virtio_vhost_user_new(&b.device, b.spec, &b.err), rc);
    if (!strstr(b.err.text, why) || !strstr(b.err.text, b.path))
        fail_msg("%s: \"%s\"", spec, b.err.text);
    back_end_join(&b.be);
    remove_path(&b);
}

static void back_ends_that_cannot_serve_the_device_are_refused(void **state)
{
    struct back_end be;
    (void)state;
    back_end_init(&be);
    be.features &= ~VERSION1;
    expect_no_device(&be, "fs,socket=@,tag=t", -COFRE_LACKING, "virtio 1");
    back_end_init(&be);
    expect_no_device(&be, "fs,socket=@,tag=t,queues=2", -COFRE_LACKING,
                     "it serves 2 queues, and 3 are needed");
    be.queues = 1;
    expect_no_device(&be, "net,socket=@", -COFRE_LACKING, "it serves 1 queues, and 2 are needed");
    back_end_init(&be);
    be.features &= ~BIT(12);
    expect_no_device(&be, "block,socket=@,queues=2", -COFRE_LACKING, "one queue only");
    back_end_init(&be);
    be.protocol &= ~BE_HAS_CONFIG;
    expect_no_device(&be, "block,socket=@", -COFRE_LACKING, "configuration");
    back_end_init(&be);
    be.fault = FAULT_CLOSES;
    be.fault_at = BE_GET_FEATURES;
    expect_no_device(&be, "block,socket=@", -COFRE_FAILED, "closed the connection");
}

static void specs_that_are_wrong_are_refused(void **state)
{
    static const struct {
        const char *spec, *why;
    } wrong[] = {
        {"", "no such kind"},
        {"scsi,socket=/s", "no such kind"},
        {"fs", "socket=PATH is needed"},
        {"fs,tag=t", "socket=PATH is needed"},
        {"fs,socket=/s,tag=", "1 to 36 bytes"},
        {"fs,socket=/s,tag=1234567890123456789012345678901234567", "1 to 36 bytes"},
        {"fs,socket=/s,tag", "no such option"},
        {"fs,socket=/s,mac=02:00:00:00:00:01", "no such option"},
        {"block,socket=/s,tag=t", "no such option"},
        {"block,socket=/s,queues=0", "queues"},
        {"block,socket=/s,queues=9", "queues"},
        {"block,socket=/s,", "no such option"},
        {"net,socket=/s,queues=1", "no such option"},
        {"net,socket=/s,mac=03:00:00:00:00:01", "no address of one machine"},
        {"net,socket=/s,mac=02:00:00:00:00:0", "six pairs"},
        {"net,socket=/s,mac=02:00:00:00:00-01", "six pairs"},
        {"net,socket=/s,mac=02:00:00:00:00:0g", "six pairs"},
    };
    struct virtio_device *device;
    struct cofre_err err;
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(virtio_vhost_user_new(&device, wrong[i].spec, &err), -COFRE_USAGE);
        if (!strstr(err.text, wrong[i].why) || !strstr(err.text, wrong[i].spec))
            fail_msg("%s: \"%s\"", wrong[i].spec, err.text);
    }
    struct back_end be;
    back_end_init(&be);
    expect_no_device(&be, "fs,socket=@", -COFRE_USAGE, "tag=T is needed");
    assert_int_equal(virtio_vhost_user_new(&device, "fs,socket=/nowhere/s,tag=t", &err), -COFRE_LACKING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_disk_has_the_features_that_both_sides_know),
        cmocka_unit_test(a_disk_has_its_back_ends_configuration_and_our_number_of_queues),
        cmocka_unit_test(a_directory_has_its_tag_and_a_queue_beside),
        cmocka_unit_test(a_card_has_its_address_and_no_control_queue),
        cmocka_unit_test(requests_are_served_by_the_back_end),
        cmocka_unit_test(a_reset_takes_the_rings_back_and_the_device_goes_again),
        cmocka_unit_test(a_queue_that_the_driver_leaves_out_is_left_out),
        cmocka_unit_test(a_back_end_that_ends_costs_the_guest_that_device),
        cmocka_unit_test(a_back_end_that_ends_before_the_driver_came_is_noticed),
        cmocka_unit_test(what_a_back_end_says_unasked_is_the_end_of_it),
        cmocka_unit_test(a_back_end_that_refuses_the_memory_loses_the_device),
        cmocka_unit_test(an_error_of_a_ring_is_passed_on_and_a_reset_helps),
        cmocka_unit_test(a_back_end_that_does_not_stop_is_not_waited_for),
        cmocka_unit_test(rings_in_memory_without_a_file_are_the_drivers_fault),
        cmocka_unit_test(back_ends_that_cannot_serve_the_device_are_refused),
        cmocka_unit_test(specs_that_are_wrong_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
