#include "tests/lab/hostile/faults.h"

#define SLOT 4u /* of the table, the first that only faults use */

static struct queue *request_queue(struct device *d)
{
    return &d->queue[d->kind->request];
}

static enum outcome post_and_wait(struct device *d, uint16_t head)
{
    post(d, d->kind->request, head);
    return wait_used(d, d->kind->request, NULL, NULL);
}

/* One descriptor, alone. */
static enum outcome post_one(struct device *d, uint64_t address, uint32_t len, uint16_t flags, uint16_t next)
{
    put_desc(&request_queue(d)->desc[SLOT], address, len, flags, next);
    return post_and_wait(d, SLOT);
}

/* Somewhere no RAM is, or not all of it. */
static uint64_t outside(uint32_t len)
{
    const uint64_t places[] = {MEMORY_SIZE - below(len),
                               MEMORY_SIZE,
                               0xc0000000,

                               0xe0000000,
                               0xe8000000,
                               0xfee00000,
                               0x100000000,
                               (1ull << 47) | JUNK,
                               UINT64_MAX - below(len),
                               UINT64_MAX - len + 1,
                               0x8000000000000000ull | JUNK};
    return places[below(sizeof places / sizeof *places)];
}

static uint64_t inside(void)
{
    return JUNK + below(JUNK_LEN / 2);
}

static enum outcome head_outside(struct device *d)
{
    return post_and_wait(d, (uint16_t)(QUEUE + below(65536 - QUEUE)));
}

static enum outcome next_outside(struct device *d)
{
    return post_one(d, inside(), 1 + below(64), NEXT, (uint16_t)(QUEUE + below(65536 - QUEUE)));
}

static enum outcome loop(struct device *d)
{
    struct desc *desc = request_queue(d)->desc;
    const uint16_t len = (uint16_t)(1 + below(8));
    for (uint16_t i = 0; i < len; i++)
        put_desc(&desc[SLOT + i], inside(), below(2) * (1 + below(64)), NEXT,
                 (uint16_t)(SLOT + (i + 1u) % len));
    return post_and_wait(d, SLOT);
}

static enum outcome buffer_outside(struct device *d)
{
    const uint32_t len = 2 + below(8192);
    return post_one(d, outside(len - 1), len, (uint16_t)(below(2) * WRITE), 0);
}

static enum outcome longest_buffer(struct device *d)
{
    return post_one(d, inside(), UINT32_MAX - below(4096), (uint16_t)(below(2) * WRITE), 0);
}

static enum outcome empty_buffers(struct device *d)
{
    struct desc *desc = request_queue(d)->desc;
    put_desc(&desc[SLOT], wild(), 0, NEXT, SLOT + 1);
    put_desc(&desc[SLOT + 1], wild(), 0, (uint16_t)(below(2) * WRITE), 0);
    return post_and_wait(d, SLOT);
}

static enum outcome readable_after_writable(struct device *d)
{
    struct desc *desc = request_queue(d)->desc;
    put_desc(&desc[SLOT], inside(), 1 + below(64), NEXT | WRITE, SLOT + 1);
    put_desc(&desc[SLOT + 1], inside(), 1 + below(64), 0, 0);
    return post_and_wait(d, SLOT);
}

static uint64_t table_gpa(struct device *d)
{
    return (uintptr_t)request_queue(d)->table - SHARED_VIEW;
}

static enum outcome table_of_odd_size(struct device *d)
{
    return post_one(d, table_gpa(d), 16 * below(8) + 1 + below(15), INDIRECT, 0);
}

static enum outcome empty_table(struct device *d)
{
    return post_one(d, table_gpa(d), 0, INDIRECT, 0);
}

static enum outcome longest_table(struct device *d)
{
    return post_one(d, table_gpa(d), UINT32_MAX - 15 - 16 * below(1000), INDIRECT, 0);
}

static enum outcome table_outside(struct device *d)
{
    return post_one(d, outside(32), 32, INDIRECT, 0);
}

static enum outcome table_in_a_table(struct device *d)
{
    put_desc(request_queue(d)->table, table_gpa(d) + 16, 16, INDIRECT, 0);
    put_desc(request_queue(d)->table + 1, inside(), 1 + below(64), WRITE, 0);
    return post_one(d, table_gpa(d), 16, INDIRECT, 0);
}

static enum outcome table_that_leaves_itself(struct device *d)
{
    const uint32_t count = 1 + below(4);
    for (uint16_t i = 0; i < count; i++)
        put_desc(request_queue(d)->table + i, inside(), 1 + below(64), NEXT, (uint16_t)(i + 1));
    return post_one(d, table_gpa(d), 16 * count, INDIRECT, 0);
}

static enum outcome table_that_loops(struct device *d)
{
    for (uint16_t i = 0; i < 2; i++)
        put_desc(request_queue(d)->table + i, inside(), 1 + below(64), NEXT, 1 - i);
    return post_one(d, table_gpa(d), 32, INDIRECT, 0);
}

static enum outcome index_far_ahead(struct device *d)
{
    struct queue *q = request_queue(d);
    q->avail[1] = (uint16_t)(q->next_avail + QUEUE + 1 + below(65535 - QUEUE));
    ring(d, d->kind->request);
    return wait_used(d, d->kind->request, NULL, NULL);
}

/* Nonsense in a well-formed chain: a header of any kind, buffers of any length. */
static enum outcome nonsense_request(struct device *d)
{
    struct desc *desc = request_queue(d)->desc;
    uint8_t *header = shared(JUNK);
    const uint16_t readable = (uint16_t)below(4), count = (uint16_t)(1 + readable + below(3));
    for (unsigned i = 0; i < 64; i += 8) {
        const uint64_t value = below(3) ? below(16) : wild();
        memcpy(header + i, &value, 8);
    }
    for (uint16_t i = 0; i < count; i++)
        put_desc(&desc[SLOT + i], i ? inside() : JUNK, below(4) ? 1 + below(600) : below(4) * 16,
                 (uint16_t)((i + 1 < count ? NEXT : 0) | (i >= readable ? WRITE : 0)),
                 (uint16_t)(SLOT + i + 1));
    return post_and_wait(d, SLOT);
}

/* A buffer that the device is to fill: any descriptor at all, but none of a net device's that is only too small for a packet, which
 * is then dropped, as that driver wanted it. The device may come to it much later. */
static enum outcome nonsense_to_fill(struct device *d)
{
    if (d->kind->receive < 0 || d->to_fill)
        return nonsense_request(d);
    put_desc(&d->queue[d->kind->receive].desc[SLOT], below(2) ? inside() : wild(),
             below(2) ? below(12) : (uint32_t)wild(), (uint16_t)below(8), (uint16_t)below(20));
    d->to_fill = true;
    post(d, (unsigned)d->kind->receive, SLOT);
    return WENT_ON;
}

/* Features, while they are in use: the device keeps those that it was told first. */
static enum outcome other_features(struct device *d)
{
    for (unsigned i = 0; i < 4; i++) {
        bar_write(d, d->common + DRIVER_FEATURE_SELECT, 4, wild());
        bar_write(d, d->common + DRIVER_FEATURE, 4, wild());
        bar_write(d, d->common + STATUS, 1, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
    }
    bar_write(d, d->common + DRIVER_FEATURE_SELECT, 4, 0);
    const uint32_t kept = (uint32_t)bar_read(d, d->common + DRIVER_FEATURE, 4);
    return kept == (1u << FEATURE_INDIRECT) ? WENT_ON : wrong(d, "its features are others now");
}

/* A queue, while it is in use: it stays where it was. */
static enum outcome other_rings(struct device *d)
{
    bar_write(d, d->common + QUEUE_SELECT, 2, d->kind->request);
    for (unsigned i = 0; i < 4; i++)
        bar_write(d, d->common + QUEUE_DESC + 4 * below(6), below(2) ? 4 : 8, wild());
    bar_write(d, d->common + QUEUE_SIZE, 2, wild());
    bar_write(d, d->common + QUEUE_ENABLE, 2, wild());
    const uint64_t at = bar_read(d, d->common + QUEUE_DESC, 8);
    return at == (uintptr_t)request_queue(d)->desc - SHARED_VIEW ? WENT_ON
                                                                 : wrong(d, "its rings are elsewhere now");
}

/* All of the BAR but the status, which would be a reset. Messages keep a mode that an interrupt controller without
 * interrupts enabled takes; the rest of them is nonsense. */
static enum outcome nonsense_in_bar(struct device *d)
{
    for (unsigned i = 0; i < 8; i++) {
        const uint32_t at = below(4) ? 0x1000 + below(0x7000) : below(0x40);
        const unsigned len = 1u << below(4);
        if (at / 8 == STATUS / 8)
            continue;
        bar_write(d, at, len, wild() & ~0x0000070000000700ull);
        (void)bar_read(d, below(0x8000), len);
    }
    return WENT_ON;
}

static enum outcome nonsense_in_messages(struct device *d)
{
    const uint32_t table = config_read(d, d->msix + 4) & ~7u,
                   vectors = 1 + (config_read(d, d->msix) >> 16 & 0x7ff);
    for (uint32_t i = 0; i < vectors; i++) {
        bar_write(d, table + 16 * i, 8, wild());
        bar_write(d, table + 16 * i + 8, 4, wild() & ~0x700ull);
        bar_write(d, table + 16 * i + 12, 4, below(4) ? 0 : wild());
    }
    bar_write(d, d->common + CONFIG_VECTOR, 2, below(2) ? 0 : wild());
    bar_write(d, d->common + QUEUE_SELECT, 2, d->kind->request);
    bar_write(d, d->common + QUEUE_VECTOR, 2, below(2) ? 1 : wild());
    config_write(d, d->msix + 2, 2, 0x8000 | below(2) << 14);
    return WENT_ON;
}

static enum outcome nonsense_in_configuration(struct device *d)
{
    for (unsigned i = 0; i < 8; i++)
        config_write(d, below(4) ? below(0x100) : below(0x1000), 1u << below(3), (uint32_t)wild());
    device_repair(d);
    return WENT_ON;
}

static enum outcome notifications_of_nothing(struct device *d)
{
    for (unsigned i = 0; i < 8; i++)
        bar_write(d, d->notify + below(0x1000 - 8), 1u << below(4), wild());
    return WENT_ON;
}

/* Work is under way when the device is reset. */
static enum outcome reset_under_load(struct device *d)
{
    struct queue *q = request_queue(d);
    for (uint16_t i = 0; i < 4; i++) {
        memset(shared(JUNK + 0x100u * i), 0, 16);
        put_desc(&q->desc[SLOT + 2 * i], JUNK + 0x100u * i, 16, NEXT, (uint16_t)(SLOT + 2 * i + 1));
        put_desc(&q->desc[SLOT + 2 * i + 1], JUNK + 0x2000, 0x4001, WRITE, 0);
        post(d, d->kind->request, (uint16_t)(SLOT + 2 * i));
    }
    return device_set_up(d);
}

/* A driver that skips steps of setting up, and then does it as it should. */
static enum outcome wrong_start(struct device *d)
{
    if (device_reset(d) != WENT_ON)
        return WRONG;
    for (unsigned i = 0; i < 4; i++) {
        bar_write(d, d->common + DRIVER_FEATURE_SELECT, 4, below(2));
        bar_write(d, d->common + DRIVER_FEATURE, 4, wild());
        bar_write(d, d->common + STATUS, 1, 1 + below(255));
        device_queue_place(d, below(4), wild(), wild(), wild(), (uint16_t)wild());
        ring(d, below(4));
    }
    return device_set_up(d);
}

static enum outcome ring_outside(struct device *d)
{
    uint64_t at[3] = {SHARED_GPA, SHARED_GPA + 0x1000, SHARED_GPA + 0x2000};
    const uint32_t which = below(3);
    at[which] = below(2) ? outside(16) : at[which] + 1;
    if (device_reset(d) != WENT_ON)
        return WRONG;
    if (!device_negotiate(d))
        return wrong(d, "it refuses its own features");
    device_queue_place(d, 0, at[0], at[1], at[2], QUEUE);
    return device_dead(d) ? DEAD : WENT_ON;
}

const struct fault faults[] = {
    {"a chain's head outside of the table", head_outside, MUST_DIE},
    {"a next descriptor outside of the table", next_outside, MUST_DIE},
    {"a chain that loops", loop, MUST_DIE},
    {"a buffer outside of memory", buffer_outside, MUST_DIE},
    {"a buffer of nearly 4 GiB", longest_buffer, MUST_DIE},
    {"buffers of no length", empty_buffers, EITHER},
    {"a readable buffer after a writable one", readable_after_writable, MUST_DIE},
    {"an indirect table of odd size", table_of_odd_size, MUST_DIE},
    {"an indirect table of no size", empty_table, MUST_DIE},
    {"an indirect table of nearly 4 GiB", longest_table, MUST_DIE},
    {"an indirect table outside of memory", table_outside, MUST_DIE},
    {"an indirect table in another", table_in_a_table, MUST_DIE},
    {"an indirect table that leaves itself", table_that_leaves_itself, MUST_DIE},
    {"an indirect table that loops", table_that_loops, MUST_DIE},
    {"an index far ahead", index_far_ahead, MUST_DIE},
    {"a ring outside of memory", ring_outside, MUST_DIE},
    {"a nonsensical request", nonsense_request, EITHER},
    {"a nonsensical request", nonsense_request, EITHER},
    {"a nonsensical request", nonsense_request, EITHER},
    {"a nonsensical buffer to fill", nonsense_to_fill, EITHER},
    {"a nonsensical buffer to fill", nonsense_to_fill, EITHER},
    {"features changed in flight", other_features, MUST_GO_ON},
    {"rings changed in flight", other_rings, MUST_GO_ON},
    {"nonsense in the BAR", nonsense_in_bar, MUST_GO_ON},
    {"nonsense in the BAR", nonsense_in_bar, MUST_GO_ON},
    {"nonsensical MSI-X messages", nonsense_in_messages, MUST_GO_ON},
    {"nonsensical MSI-X messages", nonsense_in_messages, MUST_GO_ON},
    {"nonsense in configuration space", nonsense_in_configuration, MUST_GO_ON},
    {"nonsense in configuration space", nonsense_in_configuration, MUST_GO_ON},
    {"notifications of nothing", notifications_of_nothing, MUST_GO_ON},
    {"a reset under load", reset_under_load, MUST_GO_ON},
    {"a start in a wrong order", wrong_start, MUST_GO_ON},
};
const unsigned faults_count = sizeof faults / sizeof *faults;
