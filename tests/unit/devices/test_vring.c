#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "tests/unit/devices/driver.h"
#include "vmm/devices/virtio_vring.h"

#define BUFFER (DRIVER_GPA + DRIVER_BUFFER)
#define QUEUES 2

/* A device that hands its queues over when it is set going. The other one, who is played by the test, marks what it serves. */
struct relay {
    struct virtio_device virtio;
    struct virtio_vring vring[QUEUES];
    atomic_uint served; /* by the device itself */
    bool keeps;
};

static void relay_start(void *device)
{
    struct relay *r = device;
    for (unsigned i = 0; i < QUEUES && !r->keeps; i++)
        assert_int_equal(virtio_hand_over(&r->virtio, i, &r->vring[i], NULL), 0);
}

static void relay_queue(void *device, unsigned index)
{
    struct relay *r = device;
    struct queue_chain chain;
    while (virtio_next(&r->virtio, index, &chain)) {
        r->served++;
        virtio_done(&r->virtio, index, &chain, chain_write(&chain, 0, "self", 4));
    }
}

static const struct virtio_ops relay_ops = {
    .name = "relay",
    .id = VIRTIO_ID_ENTROPY,
    .class_code = 0xff0000,
    .queues = QUEUES,
    .queue_size = 64,
    .queue = relay_queue,
    .start = relay_start,
    .free = free,
};

static struct relay *relay_open(struct driver *d)
{
    struct relay *r = calloc(1, sizeof *r);
    assert_non_null(r);
    assert_int_equal(virtio_init(&r->virtio, &relay_ops, r, NULL), 0);
    driver_open(d, &r->virtio);
    return r;
}

/* The other one: a queue of its own over the same rings, found by what it was told. */
static struct virtqueue other_of(const struct virtio_vring *vring, const struct guest_memory *mem)
{
    struct virtqueue q = {.mem = mem,
                          .size = vring->size,
                          .packed = vring->packed,
                          .desc = vring->desc,
                          .avail = vring->avail,
                          .used = vring->used};
    virtqueue_set_position(&q, vring->base);
    return q;
}

static void wait_readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&p, 1, 20000), 1);
}

static void other_serves(struct virtqueue *q, const struct virtio_vring *vring)
{
    struct queue_chain chain;
    eventfd_t count;
    wait_readable(vring->kick);
    assert_int_equal(eventfd_read(vring->kick, &count), 0);
    while (virtqueue_next(q, &chain, NULL) > 0)
        virtqueue_done(q, chain.head, (uint32_t)chain_write(&chain, 0, "other", 5));
    assert_int_equal(eventfd_write(vring->call, 1), 0);
}

static void post(struct driver *d, unsigned queue, uint16_t slot)
{
    d->queue[queue].desc[slot] = (struct desc){BUFFER + 0x100 * queue, 8, DESC_WRITE, 0};
    driver_post(d, queue, slot);
}

static void another_serves_a_queue_that_was_handed_over(void **state)
{
    struct driver d;
    (void)state;
    struct relay *r = relay_open(&d);
    driver_go(&d, 0);
    for (unsigned i = 0; i < QUEUES; i++) {
        struct virtqueue other = other_of(&r->vring[i], &d.mem);
        for (uint16_t n = 0; n < 40; n++) {
            post(&d, i, n % DRIVER_QUEUE);
            other_serves(&other, &r->vring[i]);
            assert_int_equal(driver_wait(&d, i, NULL), 5);
            driver_wait_interrupts(&d, i + 1, n + 1u);
        }
        assert_memory_equal(at(&d, BUFFER + 0x100 * i), "other", 5);
    }
    assert_int_equal(r->served, 0);
    driver_close(&d);
}

static uint64_t vector_control(struct driver *d, unsigned vector)
{
    return driver_config_read(d, 0x10, 4) + (driver_config_read(d, d->msix + 4, 4) & ~7u) + 16 * vector + 12;
}

static uint64_t pending(struct driver *d)
{
    return driver_read(d, driver_config_read(d, 0x10, 4) + (driver_config_read(d, d->msix + 8, 4) & ~7u), 8);
}

static void a_masked_vector_keeps_the_others_call_pending(void **state)
{
    struct driver d;
    (void)state;
    struct relay *r = relay_open(&d);
    driver_go(&d, 0);
    driver_write(&d, vector_control(&d, 1), 4, 1);
    assert_int_equal(eventfd_write(r->vring[0].call, 1), 0);
    assert_int_equal(eventfd_write(r->vring[1].call, 1), 0);
    driver_wait_interrupts(&d, 2, 1); /* the same thread, so the first was read before, or comes next */
    loop_lock(virtio_loop(&r->virtio, 0));
    assert_int_equal(eventfd_write(r->vring[1].call, 1), 0);
    loop_unlock(virtio_loop(&r->virtio, 0));
    driver_wait_interrupts(&d, 2, 2);
    assert_int_equal(pending(&d), 1 << 1);
    assert_int_equal(d.interrupts[1], 0);
    driver_write(&d, vector_control(&d, 1), 4, 0);
    driver_wait_interrupts(&d, 1, 1);
    assert_int_equal(pending(&d), 0);
    driver_close(&d);
}

static void a_queue_taken_back_goes_on_where_the_other_stopped(void **state)
{
    struct driver d;
    (void)state;
    struct relay *r = relay_open(&d);
    driver_go(&d, 0);
    struct virtqueue other = other_of(&r->vring[0], &d.mem);
    for (uint16_t n = 0; n < 20; n++) {
        post(&d, 0, n % DRIVER_QUEUE);
        other_serves(&other, &r->vring[0]);
        assert_int_equal(driver_wait(&d, 0, NULL), 5);
    }
    post(&d, 0, 4); /* which the other has not seen when it stops */
    loop_lock(virtio_loop(&r->virtio, 0));
    virtio_take_back(&r->virtio, 0, virtqueue_position(&other));
    loop_unlock(virtio_loop(&r->virtio, 0));
    uint16_t head;
    assert_int_equal(driver_wait(&d, 0, &head), 4);
    assert_int_equal(head, 4);
    assert_memory_equal(at(&d, BUFFER), "self", 4);
    post(&d, 0, 5);
    assert_int_equal(driver_wait(&d, 0, NULL), 4);
    assert_int_equal(r->served, 2);
    driver_close(&d);
}

static void a_reset_ends_it_and_passes_the_last_call_on(void **state)
{
    struct driver d;
    (void)state;
    struct relay *r = relay_open(&d);
    driver_go(&d, 0);
    driver_reset(&d);
    r->keeps = true;
    driver_go(&d, 0);
    post(&d, 1, 0);
    assert_int_equal(driver_wait(&d, 1, NULL), 4);
    driver_reset(&d);
    r->keeps = false;
    driver_go(&d, 0);
    struct virtqueue other = other_of(&r->vring[1], &d.mem);
    post(&d, 1, 0);
    other_serves(&other, &r->vring[1]);
    assert_int_equal(driver_wait(&d, 1, NULL), 5);
    driver_close(&d);
}

/* A driver may give a queue another vector, or none, while another serves it. */
static void calls_follow_the_queues_vector(void **state)
{
    struct driver d;
    (void)state;
    struct relay *r = relay_open(&d);
    driver_go(&d, 0);
    driver_write(&d, d.common + 0x16, 2, 0);
    driver_write(&d, d.common + 0x1a, 2, 2);
    assert_int_equal(eventfd_write(r->vring[0].call, 1), 0);
    driver_wait_interrupts(&d, 2, 1);
    assert_int_equal(d.interrupts[1], 0);
    driver_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_serves_a_queue_that_was_handed_over),
        cmocka_unit_test(a_masked_vector_keeps_the_others_call_pending),
        cmocka_unit_test(a_queue_taken_back_goes_on_where_the_other_stopped),
        cmocka_unit_test(a_reset_ends_it_and_passes_the_last_call_on),
        cmocka_unit_test(calls_follow_the_queues_vector),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
