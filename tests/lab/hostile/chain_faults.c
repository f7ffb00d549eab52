/* What is wrong with what lies in a ring. */
#include "tests/lab/hostile/faults.h"

static enum outcome wait_request(struct device *d)
{
    return wait_used(d, d->kind->request, NULL, NULL);
}

/* A chain that a ring of either format has. */
static enum outcome post_chain(struct device *d, const struct buffer *buffers, unsigned count)
{
    post(d, d->kind->request, SLOT, buffers, count);
    return wait_request(d);
}

static enum outcome post_one(struct device *d, uint64_t address, uint32_t len, uint16_t flags)
{
    return post_chain(d, &(struct buffer){address, len, flags}, 1);
}

/* A split ring's chain that lies in the table, or not. */
static enum outcome post_head(struct device *d, uint16_t head)
{
    ring_offer_head(request_ring(d), head);
    notify_device(d, d->kind->request);
    return wait_request(d);
}

uint64_t outside(uint32_t len)
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

uint64_t inside(void)
{
    return JUNK + below(JUNK_LEN / 2);
}

/* Chains of either format */

static enum outcome buffer_outside(struct device *d)
{
    const uint32_t len = 2 + below(8192);
    return post_one(d, outside(len - 1), len, (uint16_t)(below(2) * WRITE));
}

static enum outcome longest_buffer(struct device *d)
{
    return post_one(d, inside(), UINT32_MAX - below(4096), (uint16_t)(below(2) * WRITE));
}

static enum outcome empty_buffers(struct device *d)
{
    const struct buffer buffers[] = {{wild(), 0, 0}, {wild(), 0, (uint16_t)(below(2) * WRITE)}};
    return post_chain(d, buffers, 2);
}

static enum outcome readable_after_writable(struct device *d)
{
    const struct buffer buffers[] = {{inside(), 1 + below(64), WRITE}, {inside(), 1 + below(64), 0}};
    return post_chain(d, buffers, 2);
}

static uint64_t table_gpa(struct device *d)
{
    return (uintptr_t)request_ring(d)->table - SHARED_VIEW;
}

static enum outcome table_of_odd_size(struct device *d)
{
    return post_one(d, table_gpa(d), 16 * below(8) + 1 + below(15), INDIRECT);
}

static enum outcome empty_table(struct device *d)
{
    return post_one(d, table_gpa(d), 0, INDIRECT);
}

static enum outcome longest_table(struct device *d)
{
    return post_one(d, table_gpa(d), UINT32_MAX - 15 - 16 * below(1000), INDIRECT);
}

static enum outcome table_outside(struct device *d)
{
    return post_one(d, outside(32), 32, INDIRECT);
}

static enum outcome table_in_a_table(struct device *d)
{
    const struct ring *r = request_ring(d);
    put_desc(r, r->table, table_gpa(d) + 16, 16, INDIRECT, 0);
    put_desc(r, r->table + 1, inside(), 1 + below(64), WRITE, 0);
    return post_one(d, table_gpa(d), 16, INDIRECT);
}

/* Nonsense in a well-formed chain: a header of any kind, buffers of any length. */
static enum outcome nonsense_request(struct device *d)
{
    struct buffer buffers[6];
    uint8_t *header = shared(JUNK);
    const unsigned readable = below(4), count = 1 + readable + below(3);
    for (unsigned i = 0; i < 64; i += 8) {
        const uint64_t value = below(3) ? below(16) | (uint64_t)(below(2) * below(64)) << 32 : wild();
        memcpy(header + i, &value, 8);
    }
    for (unsigned i = 0; i < count; i++)
        buffers[i] = (struct buffer){i ? inside() : JUNK, below(4) ? 1 + below(600) : below(4) * 16,
                                     i >= readable ? WRITE : 0};
    return post_chain(d, buffers, count);
}

/* A buffer that the device is to fill: any descriptor at all, but none of a net device's that is only too small for a packet, which
 * is then dropped, as that driver wanted it. The device may come to it much later: in a packed ring it does not say that it goes on,
 * or the device would take the next buffer with it, if that is there by then, and this driver would no longer know its place. (vhost
 * drops, and keeps, what is too small for the header alone.) */
static enum outcome nonsense_to_fill(struct device *d)
{
    if (d->kind->receive < 0 || d->to_fill)
        return nonsense_request(d);
    struct ring *r = &d->ring[d->kind->receive];
    const uint32_t small = d->others ? ANSWER : below(12);
    const uint32_t large = d->others ? UINT32_MAX - below(4096) : (uint32_t)wild();
    struct buffer buffer = {below(2) ? inside() : wild(), below(2) ? small : large, (uint16_t)below(8)};
    if (r->packed) {
        buffer.flags &= (uint16_t)~NEXT;
        ring_offer(r, SLOT, &buffer, 1);
    } else {
        put_desc(r, &r->desc[SLOT], buffer.address, buffer.len, buffer.flags, (uint16_t)below(20));
        ring_offer_head(r, SLOT);
    }
    d->to_fill = true;
    notify_device(d, (unsigned)d->kind->receive);
    return WENT_ON;
}

/* Split rings */

static uint16_t beyond(void)
{
    return (uint16_t)(QUEUE + below(65536 - QUEUE));
}

static enum outcome head_outside(struct device *d)
{
    return post_head(d, beyond());
}

static enum outcome next_outside(struct device *d)
{
    const struct ring *r = request_ring(d);
    put_desc(r, &r->desc[SLOT], inside(), 1 + below(64), NEXT, beyond());
    return post_head(d, SLOT);
}

static enum outcome loop(struct device *d)
{
    const struct ring *r = request_ring(d);
    const uint16_t len = (uint16_t)(1 + below(8));
    for (uint16_t i = 0; i < len; i++)
        put_desc(r, &r->desc[SLOT + i], inside(), below(2) * (1 + below(64)), NEXT,
                 (uint16_t)(SLOT + (i + 1u) % len));
    return post_head(d, SLOT);
}

static enum outcome table_that_leaves_itself(struct device *d)
{
    const struct ring *r = request_ring(d);
    const uint32_t count = 1 + below(4);
    for (uint16_t i = 0; i < count; i++)
        put_desc(r, r->table + i, inside(), 1 + below(64), NEXT, (uint16_t)(i + 1));
    return post_one(d, table_gpa(d), 16 * count, INDIRECT);
}

static enum outcome table_that_loops(struct device *d)
{
    const struct ring *r = request_ring(d);
    for (uint16_t i = 0; i < 2; i++)
        put_desc(r, r->table + i, inside(), 1 + below(64), NEXT, 1 - i);
    return post_one(d, table_gpa(d), 32, INDIRECT);
}

static enum outcome table_with_a_successor(struct device *d)
{
    const struct ring *r = request_ring(d);
    put_desc(r, r->table, inside(), 1 + below(64), WRITE, 0);
    put_desc(r, &r->desc[SLOT], table_gpa(d), 16, INDIRECT | NEXT, SLOT + 1);
    put_desc(r, &r->desc[SLOT + 1], inside(), 1 + below(64), WRITE, 0);
    return post_head(d, SLOT);
}

static enum outcome index_far_ahead(struct device *d)
{
    struct ring *r = request_ring(d);
    r->driver[1] = (uint16_t)(r->next_avail + QUEUE + 1 + below(65535 - QUEUE));
    notify_device(d, d->kind->request);
    return wait_request(d);
}

/* Packed rings */

/* The nth place from the next one on has that descriptor, and the device may have it. */
static void put_ahead(struct device *d, unsigned n, const struct buffer *buffer, uint16_t id)
{
    uint16_t available;
    struct desc *at = ring_ahead(request_ring(d), n, &available);
    put_desc(request_ring(d), at, buffer->address, buffer->len, buffer->flags | available, id);
}

static enum outcome notify_and_wait(struct device *d)
{
    notify_device(d, d->kind->request);
    return wait_request(d);
}

static enum outcome id_outside(struct device *d)
{
    const struct buffer buffer = {inside(), 1 + below(64), (uint16_t)(below(2) * WRITE)};
    put_ahead(d, 0, &buffer, beyond());
    return notify_and_wait(d);
}

/* The device may have given the first back before it looks at the second. */
static enum outcome id_in_use(struct device *d)
{
    memset(shared(JUNK), 0, 16);
    const struct buffer buffers[] = {{JUNK, 16, 0}, {JUNK + 0x1000, 0x2001, WRITE}};
    ring_offer(request_ring(d), SLOT, buffers, 2);
    const enum outcome first = post_chain(d, buffers, 2);
    return first == WENT_ON ? wait_request(d) : first;
}

/* Backwards, so that the first place is the last to be available. */
static enum outcome chain_without_an_end(struct device *d)
{
    for (unsigned i = QUEUE; i-- > 0;)
        put_ahead(d, i, &(struct buffer){inside(), 1 + below(64), NEXT}, SLOT);
    return notify_and_wait(d);
}

static enum outcome chain_into_nothing(struct device *d)
{
    const unsigned len = 1 + below(4);
    for (unsigned i = len; i-- > 0;)
        put_ahead(d, i, &(struct buffer){inside(), 1 + below(64), NEXT}, SLOT);
    return notify_and_wait(d);
}

static enum outcome table_in_a_chain(struct device *d)
{
    const struct ring *r = request_ring(d);
    const struct buffer table = {table_gpa(d), 16, INDIRECT}, plain = {inside(), 1 + below(64), 0};
    const bool first = below(2);
    put_desc(r, r->table, inside(), 1 + below(64), 0, 0);
    put_ahead(d, 1, first ? &plain : &table, SLOT);
    put_ahead(d, 0,
              &(struct buffer){first ? table.address : plain.address, first ? 16 : plain.len,
                               (uint16_t)(NEXT | (first ? INDIRECT : 0))},
              SLOT);
    return notify_and_wait(d);
}

/* Places that look as they did a round ago, or as if the device had used them: the next request overwrites the first. */
static enum outcome places_of_another_round(struct device *d)
{
    const struct ring *r = request_ring(d);
    for (unsigned i = 0; i < 4; i++) {
        uint16_t now;
        struct desc *at = ring_ahead(r, i, &now);
        const uint16_t both = 1u << 7 | 1u << 15, other = below(2) ? now ^ both : now == 1u << 7 ? 0 : both;
        put_desc(r, at, wild(), (uint32_t)wild(), (uint16_t)(below(8) | other), (uint16_t)wild());
    }
    notify_device(d, d->kind->request);
    return WENT_ON;
}

const struct fault chain_faults[] = {
    {"a buffer outside of memory", EITHER_RING, MUST_DIE, buffer_outside},
    {"a buffer of nearly 4 GiB", EITHER_RING, MUST_DIE, longest_buffer},
    {"buffers of no length", EITHER_RING, MAY_DIE, empty_buffers},
    {"a readable buffer after a writable one", EITHER_RING, MUST_DIE, readable_after_writable},
    {"an indirect table of odd size", EITHER_RING, MUST_DIE, table_of_odd_size},
    {"an indirect table of no size", EITHER_RING, MUST_DIE, empty_table},
    {"an indirect table of nearly 4 GiB", EITHER_RING, MUST_DIE, longest_table},
    {"an indirect table outside of memory", EITHER_RING, MUST_DIE, table_outside},
    {"an indirect table in another", EITHER_RING, MUST_DIE, table_in_a_table},
    {"a chain's head outside of the table", SPLIT, MUST_DIE, head_outside},
    {"a next descriptor outside of the table", SPLIT, MUST_DIE, next_outside},
    {"a chain that loops", SPLIT, MUST_DIE, loop},
    {"an indirect table that leaves itself", SPLIT, MUST_DIE, table_that_leaves_itself},
    {"an indirect table that loops", SPLIT, MUST_DIE, table_that_loops},
    {"an indirect table with a successor", SPLIT, MUST_DIE, table_with_a_successor},
    {"an index far ahead", SPLIT, MUST_DIE, index_far_ahead},
    {"an id beyond the ring", PACKED, MUST_DIE, id_outside},
    {"an id that is in use", PACKED, MAY_DIE, id_in_use},
    {"a chain without an end", PACKED, MUST_DIE, chain_without_an_end},
    {"a chain into what is not available", PACKED, MUST_DIE, chain_into_nothing},
    {"an indirect table in a chain", PACKED, MUST_DIE, table_in_a_chain},
    {"places of another round", PACKED, MUST_GO_ON, places_of_another_round},
    {"a nonsensical request", EITHER_RING, MAY_DIE, nonsense_request},
    {"a nonsensical request", EITHER_RING, MAY_DIE, nonsense_request},
    {"a nonsensical request", EITHER_RING, MAY_DIE, nonsense_request},
    {"a nonsensical buffer to fill", EITHER_RING, MAY_DIE, nonsense_to_fill},
    {"a nonsensical buffer to fill", EITHER_RING, MAY_DIE, nonsense_to_fill},
};
const unsigned chain_faults_count = sizeof chain_faults / sizeof *chain_faults;
