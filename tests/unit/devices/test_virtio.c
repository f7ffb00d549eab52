#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tests/unit/devices/driver.h"
#include "vmm/base/bytes.h"

#define BUFFER (DRIVER_GPA + DRIVER_BUFFER)
#define OWN    (1ull << 3)
#define EVENT  (1ull << 29)

enum { ACKNOWLEDGE = 1, DRIVER = 2, DRIVER_OK = 4, FEATURES_OK = 8, NEEDS_RESET = 64, FAILED = 128 };
enum { SELECT = 0x16, SIZE = 0x18, VECTOR = 0x1a, ENABLE = 0x1c, DESC = 0x20, AVAIL = 0x28, USED = 0x30 };

/* A device that gives what it reads back in upper case, on each of its two queues. */
struct shouter {
    struct virtio_device virtio;
    unsigned resets;
};

static void shout(void *device, unsigned index)
{
    struct shouter *s = device;
    struct queue_chain chain;
    uint8_t text[64];
    while (virtio_next(&s->virtio, index, &chain)) {
        size_t n = chain_read(&chain, 0, text, sizeof text);
        for (size_t i = 0; i < n; i++)
            text[i] = text[i] >= 'a' && text[i] <= 'z' ? text[i] - 32 : text[i];
        virtio_done(&s->virtio, index, &chain, chain_write(&chain, 0, text, n));
    }
}

static void count_reset(void *device)
{
    ((struct shouter *)device)->resets++;
}

static const struct virtio_ops shouter_ops = {
    .name = "shouter",
    .id = VIRTIO_ID_ENTROPY,
    .class_code = 0xff0000,
    .queues = 2,
    .queue_size = 64,
    .queue = shout,
    .reset = count_reset,
    .free = free,
};

static struct shouter *shouter_open(struct driver *d)
{
    struct shouter *s = calloc(1, sizeof *s);
    assert_non_null(s);
    assert_int_equal(virtio_init(&s->virtio, &shouter_ops, s, NULL), 0);
    s->virtio.features = OWN;
    s->virtio.config_len = 6;
    memcpy(s->virtio.config, "\1\2\3\4\5\6\7\10", 8);
    driver_open(d, &s->virtio);
    return s;
}

static void shouts(struct driver *d, unsigned queue)
{
    memcpy(at(d, BUFFER), "hush", 4);
    memset(at(d, BUFFER + 0x100), 0, 8);
    assert_int_equal(driver_ask(d, queue, BUFFER, 4, BUFFER + 0x100, 8), 4);
    assert_string_equal(at(d, BUFFER + 0x100), "HUSH");
}

static void a_request_makes_its_way_on_each_queue(void **state)
{
    struct driver d;
    (void)state;
    (void)shouter_open(&d);
    driver_go(&d, 0);
    for (unsigned i = 0; i < 100; i++)
        shouts(&d, i % 2);
    driver_wait_interrupts(&d, 1, 50);
    driver_wait_interrupts(&d, 2, 50);
    assert_int_equal(d.interrupts[0], 0);
    driver_close(&d);
}

static void requests_put_in_before_the_driver_is_ready_are_served(void **state)
{
    struct driver d;
    (void)state;
    if (driver_wants_packed())
        skip(); /* it writes split rings */
    (void)shouter_open(&d);
    assert_true(driver_negotiate(&d, FEATURES_NEEDED));
    driver_start(&d);
    driver_reset(&d);
    assert_true(driver_negotiate(&d, FEATURES_NEEDED));
    /* as driver_start, but with a request in the ring when the device is set going */
    for (unsigned i = 0; i < 2; i++) {
        driver_write(&d, d.common + SELECT, 2, i);
        driver_write(&d, d.common + SIZE, 2, DRIVER_QUEUE);
        driver_write(&d, d.common + VECTOR, 2, i + 1);
        driver_write(&d, d.common + DESC, 8, DRIVER_GPA + i * 0x4000);
        driver_write(&d, d.common + AVAIL, 8, DRIVER_GPA + i * 0x4000 + 0x1000);
        driver_write(&d, d.common + USED, 8, DRIVER_GPA + i * 0x4000 + 0x2000);
        driver_write(&d, d.common + ENABLE, 2, 1);
    }
    memcpy(at(&d, BUFFER), "early", 5);
    d.queue[0].desc[0] = (struct desc){BUFFER, 5, DESC_NEXT, 1};
    d.queue[0].desc[1] = (struct desc){BUFFER + 0x100, 5, DESC_WRITE, 0};
    d.queue[0].avail[1] = 1;
    driver_write(&d, d.common + 0x14, 1, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
    assert_int_equal(driver_wait(&d, 0, NULL), 5);
    assert_memory_equal(at(&d, BUFFER + 0x100), "EARLY", 5);
    driver_close(&d);
}

static void features_must_be_offered_and_hold_what_is_required(void **state)
{
    struct driver d;
    (void)state;
    (void)shouter_open(&d);
    assert_int_equal(driver_offered(&d), FEATURES_NEEDED | OWN | EVENT | 1ull << 28 | 1ull << 34);
    assert_false(driver_negotiate(&d, 0));
    assert_false(driver_negotiate(&d, 1ull << 32));
    assert_false(driver_negotiate(&d, 1ull << 33));
    assert_false(driver_negotiate(&d, FEATURES_NEEDED | 1));
    assert_false(driver_negotiate(&d, FEATURES_NEEDED | 1ull << 35));
    assert_false(driver_negotiate(&d, UINT64_MAX));
    assert_true(driver_negotiate(&d, FEATURES_NEEDED));
    assert_true(driver_negotiate(&d, FEATURES_NEEDED | OWN | EVENT));
    /* once agreed, they stay */
    driver_write(&d, d.common + 0x08, 4, 0);
    driver_write(&d, d.common + 0x0c, 4, 0);
    assert_int_equal(driver_read(&d, d.common + 0x0c, 4), OWN | EVENT);
    /* there are no features beyond the first 64 */
    driver_write(&d, d.common, 4, 2);
    assert_int_equal(driver_read(&d, d.common + 4, 4), 0);
    driver_write(&d, d.common, 4, UINT32_MAX);
    assert_int_equal(driver_read(&d, d.common + 4, 4), 0);
    driver_close(&d);
}

static void without_agreed_features_the_device_does_not_start(void **state)
{
    struct driver d;
    (void)state;
    (void)shouter_open(&d);
    assert_false(driver_negotiate(&d, 0));
    driver_write(&d, d.common + 0x14, 1, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
    assert_int_equal(driver_status(&d), ACKNOWLEDGE | DRIVER);
    driver_write(&d, d.common + ENABLE, 2, 1);
    assert_int_equal(driver_read(&d, d.common + ENABLE, 2), 0);
    driver_close(&d);
}

static void status_bits_are_added_and_only_a_reset_clears_them(void **state)
{
    struct driver d;
    (void)state;
    struct shouter *s = shouter_open(&d);
    driver_go(&d, 0);
    driver_write(&d, d.common + 0x14, 1, FAILED);
    assert_int_equal(driver_status(&d), ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK | FAILED);
    driver_write(&d, d.common + 0x14, 1, NEEDS_RESET);
    assert_false(driver_status(&d) & NEEDS_RESET);
    unsigned before = s->resets;
    driver_write(&d, d.common + 0x14, 1, 0);
    assert_int_equal(driver_status(&d), 0);
    assert_int_equal(s->resets, before + 1);
    driver_write(&d, d.common + SELECT, 2, 1);
    assert_int_equal(driver_read(&d, d.common + ENABLE, 2), 0);
    assert_int_equal(driver_read(&d, d.common + DESC, 8), 0);
    assert_int_equal(driver_read(&d, d.common + SIZE, 2), 64);
    assert_int_equal(driver_read(&d, d.common + VECTOR, 2), 0xffff);
    driver_go(&d, 0);
    shouts(&d, 0);
    driver_close(&d);
}

static void queue_fields_stay_once_the_queue_is_enabled(void **state)
{
    struct driver d;
    (void)state;
    if (driver_wants_packed())
        skip(); /* it writes split rings */
    (void)shouter_open(&d);
    driver_go(&d, 0);
    driver_write(&d, d.common + SELECT, 2, 0);
    driver_write(&d, d.common + DESC, 8, UINT64_MAX);
    driver_write(&d, d.common + AVAIL, 4, UINT32_MAX);
    driver_write(&d, d.common + USED + 4, 4, UINT32_MAX);
    driver_write(&d, d.common + SIZE, 2, 1);
    driver_write(&d, d.common + ENABLE, 2, 0);
    assert_int_equal(driver_read(&d, d.common + DESC, 8), DRIVER_GPA);
    assert_int_equal(driver_read(&d, d.common + ENABLE, 2), 1);
    shouts(&d, 0);
    driver_close(&d);
}

static void queues_that_do_not_exist_read_as_zero(void **state)
{
    struct driver d;
    (void)state;
    (void)shouter_open(&d);
    assert_true(driver_negotiate(&d, FEATURES_NEEDED));
    const uint16_t none[] = {2, 4, 63, 0x7fff, 0xffff};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        driver_write(&d, d.common + SELECT, 2, none[i]);
        for (unsigned offset = SIZE; offset < 0x38; offset += 2) {
            driver_write(&d, d.common + offset, offset < DESC ? 2 : 4, 1);
            assert_int_equal(driver_read(&d, d.common + offset, 2), 0);
        }
        driver_notify(&d, none[i] % 0x400);
    }
    driver_close(&d);
}

static void vectors_that_do_not_exist_read_back_as_none(void **state)
{
    struct driver d;
    (void)state;
    (void)shouter_open(&d);
    driver_write(&d, d.common + SELECT, 2, 1);
    for (unsigned v = 0; v < 6; v++) {
        driver_write(&d, d.common + VECTOR, 2, v);
        driver_write(&d, d.common + 0x10, 2, v);
        assert_int_equal(driver_read(&d, d.common + VECTOR, 2), v < 3 ? v : 0xffff);
        assert_int_equal(driver_read(&d, d.common + 0x10, 2), v < 3 ? v : 0xffff);
    }
    driver_close(&d);
}

/* A queue that cannot be one: the device says so when it is enabled, and works again after a reset. */
static void queues_outside_memory_break_the_device(void **state)
{
    struct driver d;
    (void)state;
    if (driver_wants_packed())
        skip(); /* it writes split rings */
    (void)shouter_open(&d);
    const struct {
        unsigned field, len;
        uint64_t value;
    } bad[] = {{DESC, 8, 0},
               {AVAIL, 8, UINT64_MAX - 1},
               {USED, 8, DRIVER_GPA + DRIVER_MEMORY - 8},
               {SIZE, 2, 0},
               {SIZE, 2, 63},
               {DESC, 8, DRIVER_GPA + 8},
               {AVAIL, 8, 1},
               {USED, 8, DRIVER_GPA + 2}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_true(driver_negotiate(&d, FEATURES_NEEDED));
        driver_write(&d, d.common + SELECT, 2, 0);
        driver_write(&d, d.common + DESC, 8, DRIVER_GPA);
        driver_write(&d, d.common + AVAIL, 8, DRIVER_GPA + 0x1000);
        driver_write(&d, d.common + USED, 8, DRIVER_GPA + 0x2000);
        driver_write(&d, d.common + bad[i].field, bad[i].len, bad[i].value);
        driver_write(&d, d.common + ENABLE, 2, 1);
        assert_int_equal(driver_read(&d, d.common + ENABLE, 2), 0);
        assert_true(driver_status(&d) & NEEDS_RESET);
    }
    driver_go(&d, 0);
    shouts(&d, 1);
    driver_close(&d);
}

static void a_hostile_ring_stops_the_device_until_its_reset(void **state)
{
    struct driver d;
    uint16_t head;
    (void)state;
    if (driver_wants_packed())
        skip(); /* it writes split rings */
    (void)shouter_open(&d);
    driver_go(&d, 0);
    d.queue[0].desc[0] = (struct desc){BUFFER, 4, DESC_NEXT, 0}; /* a loop */
    driver_post(&d, 0, 0);
    driver_wait_broken(&d);
    uint16_t used = d.queue[1].used[1];
    d.queue[1].desc[0] = (struct desc){BUFFER, 4, 0, 0};
    driver_post(&d, 1, 0); /* nor does the other queue work any more */
    assert_true(driver_status(&d) & NEEDS_RESET);
    assert_int_equal(d.queue[1].used[1], used);
    driver_go(&d, 0);
    shouts(&d, 0);
    d.queue[1].avail[1] = 9999;
    driver_notify(&d, 1);
    driver_wait_broken(&d);
    driver_go(&d, 0);
    d.queue[1].desc[3] = (struct desc){BUFFER, 4, 0, 0};
    driver_post(&d, 1, 3);
    assert_int_equal(driver_wait(&d, 1, &head), 0);
    assert_int_equal(head, 3);
    driver_close(&d);
}

static void event_indices_suppress_interrupts(void **state)
{
    struct driver d;
    (void)state;
    if (driver_wants_packed())
        skip(); /* it writes split rings */
    (void)shouter_open(&d);
    driver_go(&d, EVENT);
    d.queue[0].avail[2 + DRIVER_QUEUE] = 4; /* tell me of the fifth */
    d.queue[0].desc[0] = (struct desc){BUFFER, 4, 0, 0};
    for (unsigned i = 0; i < 5; i++)
        driver_post(&d, 0, 0);
    driver_wait_interrupts(&d, 1, 1);
    assert_int_equal(d.queue[0].used[1], 5);
    assert_int_equal(d.interrupts[1], 1);
    driver_close(&d);
}

static void what_is_given_back_together_is_one_interrupt(void **state)
{
    struct driver d;
    (void)state;
    struct shouter *s = shouter_open(&d);
    driver_go(&d, 0);
    shouts(&d, 0);
    loop_lock(virtio_loop(&s->virtio, 0)); /* nothing is taken before all are there */
    for (uint16_t i = 0; i < 5; i++) {
        d.queue[0].desc[i] = (struct desc){BUFFER, 4, 0, 0};
        driver_put(&d, 0, i);
    }
    loop_unlock(virtio_loop(&s->virtio, 0));
    driver_notify(&d, 0);
    for (unsigned i = 0; i < 5; i++)
        (void)driver_wait(&d, 0, NULL);
    shouts(&d, 0);
    driver_wait_interrupts(&d, 1, 3);
    assert_int_equal(d.interrupts[1], 3);
    driver_close(&d);
}

static void the_isr_is_cleared_by_reading_it(void **state)
{
    struct driver d;
    (void)state;
    (void)shouter_open(&d);
    driver_go(&d, 0);
    shouts(&d, 0);
    driver_wait_interrupts(&d, 1, 1);
    assert_int_equal(driver_read(&d, d.isr, 1), 1);
    assert_int_equal(driver_read(&d, d.isr, 1), 0);
    driver_close(&d);
}

/* Every structure at every offset and width, with values that hurt: nothing is read beyond, the device goes on. */
static void every_access_to_the_bar_is_bounded(void **state)
{
    struct driver d;
    (void)state;
    (void)shouter_open(&d);
    driver_go(&d, 0);
    uint64_t bar = d.common;
    for (uint64_t page = 0; page < 0x8000; page += 0x1000) {
        for (uint64_t offset = 0; offset < 0x1000; offset += offset == 0x50 ? 0xf90 : 1) {
            for (unsigned len = 1; len <= 8; len *= 2) {
                (void)driver_read(&d, bar + page + offset, len);
                bool status = page == 0 && offset <= 0x14 && offset + len > 0x14;
                if (!status)
                    driver_write(&d, bar + page + offset, len, UINT64_MAX - 1);
            }
        }
    }
    for (unsigned len = 1; len <= 8; len *= 2) {
        uint64_t expected = 0x060504030201 & (len == 8 ? UINT64_MAX : (1ull << (8 * len)) - 1);
        assert_int_equal(driver_read(&d, d.config, len), expected); /* 6 bytes long, and read-only */
    }
    assert_int_equal(driver_read(&d, d.config + 5, 4), 6);
    driver_reset(&d);
    driver_close(&d);
    (void)shouter_open(&d);
    driver_go(&d, 0);
    shouts(&d, 0);
    driver_close(&d);
}

static unsigned window_capability(struct driver *d)
{
    for (unsigned cap = driver_config_read(d, 0x34, 1); cap; cap = driver_config_read(d, cap + 1, 1))
        if (driver_config_read(d, cap, 1) == 9 && driver_config_read(d, cap + 3, 1) == 5)
            return cap;
    fail_msg("no window capability");
    return 0;
}

static void the_window_capability_reaches_the_bar(void **state)
{
    struct driver d;
    (void)state;
    (void)shouter_open(&d);
    unsigned cap = window_capability(&d);
    driver_config_write(&d, cap + 8, 4, 0x12);
    driver_config_write(&d, cap + 12, 4, 2);
    assert_int_equal(driver_config_read(&d, cap + 16, 2), 2); /* number of queues */
    driver_config_write(&d, cap + 8, 4, 0x16);
    driver_config_write(&d, cap + 16, 2, 1);
    assert_int_equal(driver_read(&d, d.common + SELECT, 2), 1);
    const uint32_t wild[][3] = {{1, 0, 4},      {0, 0x8000, 4},     {0, UINT32_MAX, 1}, {0, 0x7ffe, 4},
                                {0, 0, 3},      {0, 0, UINT32_MAX}, {0, 2, 4},          {0xff, UINT32_MAX, 4},
                                {0, 0x4000, 4}, {0, 0, 0}};
    for (size_t i = 0; i < sizeof wild / sizeof *wild; i++) {
        driver_config_write(&d, cap + 4, 1, wild[i][0]);
        driver_config_write(&d, cap + 8, 4, wild[i][1]);
        driver_config_write(&d, cap + 12, 4, wild[i][2]);
        (void)driver_config_read(&d, cap + 16, 4);
        driver_config_write(&d, cap + 16, 4, UINT32_MAX);
    }
    driver_go(&d, 0);
    shouts(&d, 0);
    driver_close(&d);
}

/* A burst that the device meets at once costs one interrupt and, since the device names what it waits for, needs one
 * notification. Split and packed alike: the driver tells and is told by event index. */
static void a_burst_is_one_notification_and_one_interrupt(void **state)
{
    struct driver d;
    (void)state;
    struct shouter *s = shouter_open(&d);
    driver_go(&d, EVENT);
    for (unsigned round = 1; round <= 20; round++) {
        unsigned before = d.interrupts[1], notifications = 0;
        loop_lock(virtio_loop(&s->virtio, 0));
        for (uint16_t i = 0; i < DRIVER_QUEUE; i++) {
            d.queue[0].desc[i] = (struct desc){BUFFER, 4, 0, 0};
            driver_put(&d, 0, i);
            if (driver_should_notify(&d, 0)) {
                notifications++;
                driver_notify(&d, 0);
            }
        }
        driver_interrupt_at(&d, 0, DRIVER_QUEUE - 1); /* tell me of the last of these */
        loop_unlock(virtio_loop(&s->virtio, 0));
        driver_wait_interrupts(&d, 1, before + 1);
        for (unsigned i = 0; i < DRIVER_QUEUE; i++)
            (void)driver_wait(&d, 0, NULL);
        loop_lock(virtio_loop(&s->virtio, 0)); /* its queue function has ended */
        loop_unlock(virtio_loop(&s->virtio, 0));
        assert_int_equal(d.interrupts[1], before + 1);
        if (round > 1)
            assert_int_equal(notifications, 1);
    }
    driver_close(&d);
}

#define CROWD_QUEUES  VIRTIO_QUEUES_MAX
#define CROWD_THREADS 4

/* A device of many queues and several threads, which gives requests back and sees who serves what. */
struct crowd {
    struct virtio_device virtio;
    pthread_t by[CROWD_QUEUES];
    atomic_uint inside[CROWD_THREADS]; /* queue functions that run now, by thread */
    atomic_uint overlaps, starts, early;
};

static void crowd_queue(void *device, unsigned index)
{
    struct crowd *c = device;
    struct queue_chain chain;
    unsigned thread = c->virtio.thread_of[index];
    c->overlaps += atomic_fetch_add(&c->inside[thread], 1) != 0;
    c->early += c->starts == 0;
    c->by[index] = pthread_self();
    while (virtio_next(&c->virtio, index, &chain))
        virtio_done(&c->virtio, index, &chain, 0);
    c->inside[thread]--;
}

/* Of start and reset: all locks are held, so no queue function runs. */
static void crowd_alone(struct crowd *c)
{
    for (unsigned i = 0; i < CROWD_THREADS; i++)
        c->overlaps += c->inside[i] != 0;
}

static void crowd_start(void *device)
{
    crowd_alone(device);
    ((struct crowd *)device)->starts++;
}

static void crowd_reset(void *device)
{
    crowd_alone(device);
}

static const struct virtio_ops crowd_ops = {
    .name = "crowd",
    .id = VIRTIO_ID_ENTROPY,
    .class_code = 0xff0000,
    .queues = 1,
    .queue_size = 64,
    .queue = crowd_queue,
    .start = crowd_start,
    .reset = crowd_reset,
    .free = free,
};

static struct crowd *crowd_open(struct driver *d)
{
    struct crowd *c = calloc(1, sizeof *c);
    assert_non_null(c);
    assert_int_equal(virtio_init(&c->virtio, &crowd_ops, c, NULL), 0);
    assert_int_equal(virtio_set_threads(&c->virtio, CROWD_THREADS, NULL), 0);
    c->virtio.queues = CROWD_QUEUES;
    c->virtio.config_len = 8;
    for (unsigned i = 0; i < CROWD_QUEUES; i++)
        c->virtio.thread_of[i] = (uint8_t)(i / 2 % CROWD_THREADS);
    driver_open(d, &c->virtio);
    return c;
}

static void each_queue_has_its_thread_and_its_vector(void **state)
{
    struct driver d;
    (void)state;
    struct crowd *c = crowd_open(&d);
    driver_go(&d, 0);
    assert_int_equal(driver_read(&d, d.common + 0x12, 2), CROWD_QUEUES);
    assert_int_equal(c->starts, 1);
    for (unsigned i = 0; i < CROWD_QUEUES; i++) {
        (void)driver_ask(&d, i, BUFFER, 4, 0, 0);
        driver_wait_interrupts(&d, i + 1, 1);
    }
    assert_int_equal(c->early, 0);
    for (unsigned i = 0; i < CROWD_QUEUES; i++)
        for (unsigned j = 0; j < CROWD_QUEUES; j++)
            assert_int_equal(pthread_equal(c->by[i], c->by[j]) != 0,
                             c->virtio.thread_of[i] == c->virtio.thread_of[j]);
    driver_close(&d);
}

static void *kick_all(void *context)
{
    struct driver *d = context;
    for (unsigned i = 0; i < 4000; i++)
        driver_notify(d, i % CROWD_QUEUES);
    return NULL;
}

/* Vcpus that notify while another resets and sets going again: what the driver set never changes under a queue function. */
static void reset_and_start_happen_while_no_queue_function_runs(void **state)
{
    struct driver d;
    pthread_t vcpu[2];
    (void)state;
    struct crowd *c = crowd_open(&d);
    driver_go(&d, 0);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&vcpu[i], NULL, kick_all, &d), 0);
    for (unsigned i = 0; i < 50; i++)
        driver_go(&d, 0);
    for (unsigned i = 0; i < 2; i++)
        pthread_join(vcpu[i], NULL);
    assert_int_equal(c->starts, 51);
    assert_int_equal(c->overlaps, 0);
    assert_int_equal(c->early, 0);
    for (unsigned i = 0; i < CROWD_QUEUES; i++)
        (void)driver_ask(&d, i, BUFFER, 4, 0, 0);
    driver_close(&d);
}

static void a_changed_configuration_has_a_new_generation_and_an_interrupt(void **state)
{
    struct driver d;
    const uint16_t up = 0x1234;
    (void)state;
    struct crowd *c = crowd_open(&d);
    uint64_t generation = driver_read(&d, d.common + 0x15, 1);
    virtio_config_set(&c->virtio, 6, &up, sizeof up); /* nobody is there to be interrupted */
    assert_int_equal(d.interrupts[0], 0);
    driver_go(&d, 0);
    assert_int_equal(driver_read(&d, d.config, 8), 0x1234000000000000);
    assert_int_not_equal(driver_read(&d, d.common + 0x15, 1), generation);
    generation = driver_read(&d, d.common + 0x15, 1);
    assert_int_equal(driver_read(&d, d.common + 0x15, 1), generation); /* it stays while nothing changes */
    virtio_config_set(&c->virtio, 0, &up, sizeof up);
    driver_wait_interrupts(&d, 0, 1);
    assert_int_not_equal(driver_read(&d, d.common + 0x15, 1), generation);
    assert_int_equal(driver_read(&d, d.config, 8), 0x1234000000001234);
    assert_int_equal(driver_read(&d, d.isr, 1), 2);
    driver_close(&d);
}

static void ring_features_can_be_withheld(void **state)
{
    struct driver d;
    struct crowd *c = calloc(1, sizeof *c);
    (void)state;
    assert_non_null(c);
    assert_int_equal(virtio_init(&c->virtio, &crowd_ops, c, NULL), 0);
    c->virtio.ring_features &= ~EVENT;
    driver_open(&d, &c->virtio);
    assert_int_equal(driver_offered(&d) & EVENT, 0);
    assert_false(driver_negotiate(&d, FEATURES_NEEDED | EVENT));
    driver_close(&d);
}

/* A driver that keeps a queue full does not keep the device's lock: a reset gets through. */
static void a_busy_queue_does_not_lock_the_driver_out(void **state)
{
    struct driver d;
    (void)state;
    if (driver_wants_packed())
        skip(); /* it writes split rings */
    (void)shouter_open(&d);
    driver_go(&d, 0);
    d.queue[0].desc[0] = (struct desc){BUFFER, 4, 0, 0};
    for (unsigned i = 0; i < 2000; i++) {
        d.queue[0].avail[1] = d.queue[0].used[1] + DRIVER_QUEUE;
        driver_notify(&d, 0);
    }
    driver_reset(&d);
    driver_go(&d, 0);
    shouts(&d, 1);
    driver_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_makes_its_way_on_each_queue),
        cmocka_unit_test(requests_put_in_before_the_driver_is_ready_are_served),
        cmocka_unit_test(features_must_be_offered_and_hold_what_is_required),
        cmocka_unit_test(without_agreed_features_the_device_does_not_start),
        cmocka_unit_test(status_bits_are_added_and_only_a_reset_clears_them),
        cmocka_unit_test(queue_fields_stay_once_the_queue_is_enabled),
        cmocka_unit_test(queues_that_do_not_exist_read_as_zero),
        cmocka_unit_test(vectors_that_do_not_exist_read_back_as_none),
        cmocka_unit_test(queues_outside_memory_break_the_device),
        cmocka_unit_test(a_hostile_ring_stops_the_device_until_its_reset),
        cmocka_unit_test(event_indices_suppress_interrupts),
        cmocka_unit_test(a_burst_is_one_notification_and_one_interrupt),
        cmocka_unit_test(what_is_given_back_together_is_one_interrupt),
        cmocka_unit_test(the_isr_is_cleared_by_reading_it),
        cmocka_unit_test(every_access_to_the_bar_is_bounded),
        cmocka_unit_test(the_window_capability_reaches_the_bar),
        cmocka_unit_test(each_queue_has_its_thread_and_its_vector),
        cmocka_unit_test(reset_and_start_happen_while_no_queue_function_runs),
        cmocka_unit_test(a_changed_configuration_has_a_new_generation_and_an_interrupt),
        cmocka_unit_test(ring_features_can_be_withheld),
        cmocka_unit_test(a_busy_queue_does_not_lock_the_driver_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
