#include "vmm/devices/queue_packed.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

/* virtio 1.2, 2.8.1: both bits flip each time round. Available: AVAIL is the driver's wrap counter and USED is not. */
enum { FLAG_AVAIL = 1 << 7, FLAG_USED = 1 << 15 };

/* 2.8.14: offset of 15 bits and wrap counter, then when to notify. */
enum { EVENT_OFFSET = 0, EVENT_FLAGS = 2 };
enum { EVENT_ENABLE = 0, EVENT_DISABLE = 1, EVENT_AT_OFFSET = 2, EVENT_FLAGS_MASK = 3 };
#define WRAP_BIT 0x8000u

struct packed_descriptor {
    uint64_t address;
    uint32_t len;
    uint16_t id, flags;
};
static_assert(sizeof(struct packed_descriptor) == 16, "virtio 1.2, 2.8.13");
#define FLAGS_AT offsetof(struct packed_descriptor, flags)

/* A place in the ring and how often, even or odd, the ring's end was passed on the way there. */
struct place {
    uint16_t index;
    bool wrap;
};

static struct place later(const struct virtqueue *q, struct place p, unsigned by)
{
    unsigned index = p.index + by;
    return index < q->size ? (struct place){(uint16_t)index, p.wrap}
                           : (struct place){(uint16_t)(index - q->size), !p.wrap};
}

static uint8_t *slot(const struct virtqueue *q, struct place p)
{
    return q->desc + p.index * sizeof(struct packed_descriptor);
}

/* The flags are read first and once: what they say of the rest is true from then on. */
static bool available(const struct virtqueue *q, struct place p, uint16_t *flags)
{
    *flags = ring_load(slot(q, p), FLAGS_AT);
    return !!(*flags & FLAG_AVAIL) == p.wrap && !!(*flags & FLAG_USED) != p.wrap;
}

static struct packed_descriptor read_descriptor(const uint8_t *at, uint16_t flags)
{
    struct packed_descriptor d;
    guest_copy(&d, at, FLAGS_AT);
    d.flags = flags;
    return d;
}

/* In a table only DESC_WRITE means something (2.8.19). */
static int add_table(const struct virtqueue *q, struct queue_chain *chain, const struct packed_descriptor *d,
                     struct cofre_err *err)
{
    const uint8_t *table = queue_indirect_table(q, d->address, d->len, err);
    for (unsigned i = 0; table && i < d->len / sizeof *d; i++) {
        struct packed_descriptor entry;
        guest_copy(&entry, table + i * sizeof entry, sizeof entry);
        if (entry.flags & DESC_INDIRECT)
            return cofre_fail(err, COFRE_MALFORMED, "an indirect descriptor inside a table");
        int rc = queue_add_buffer(q, chain, entry.address, entry.len, entry.flags & DESC_WRITE, err);
        if (rc)
            return rc;
    }
    return table ? 0 : -COFRE_MALFORMED;
}

static int add_descriptor(const struct virtqueue *q, struct queue_chain *chain,
                          const struct packed_descriptor *d, bool first, struct cofre_err *err)
{
    if (!(d->flags & DESC_INDIRECT))
        return queue_add_buffer(q, chain, d->address, d->len, d->flags & DESC_WRITE, err);
    if (!first || (d->flags & DESC_NEXT))
        return cofre_fail(err, COFRE_MALFORMED, "an indirect descriptor in a chain");
    return add_table(q, chain, d, err);
}

/* A chain's descriptors follow each other; the last has the id. More than are free cannot be the driver's to give. */
static int walk(const struct virtqueue *q, struct queue_chain *chain, uint16_t flags, unsigned *count,
                struct cofre_err *err)
{
    struct place p = {q->next_avail, q->avail_wrap};
    for (*count = 1;; ++*count, p = later(q, p, 1)) {
        if (*count > (unsigned)(q->size - q->out))
            return cofre_fail(err, COFRE_MALFORMED,
                              "a chain of more descriptors than are free in a ring of %u", q->size);
        if (*count > 1 && !available(q, p, &flags))
            return cofre_fail(err, COFRE_MALFORMED, "a chain that goes on at a descriptor not available");
        struct packed_descriptor d = read_descriptor(slot(q, p), flags);
        int rc = add_descriptor(q, chain, &d, *count == 1, err);
        if (rc)
            return rc;
        chain->head = d.id;
        if (!(flags & DESC_NEXT))
            return 0;
    }
}

int packed_next(struct virtqueue *q, struct queue_chain *chain, struct cofre_err *err)
{
    struct place p = {q->next_avail, q->avail_wrap};
    uint16_t flags;
    unsigned count;
    if (!available(q, p, &flags))
        return 0;
    int rc = walk(q, chain, flags, &count, err);
    if (rc)
        return rc;
    if (chain->head >= q->size || q->taken[chain->head])
        return cofre_fail(err, COFRE_MALFORMED, "id %u, %s", chain->head,
                          chain->head < q->size ? "which is in use" : "beyond the ring's size");
    p = later(q, p, count);
    q->next_avail = p.index;
    q->avail_wrap = p.wrap;
    q->taken[chain->head] = (uint16_t)count;
    q->out = (uint16_t)(q->out + count);
    return 1;
}

/* All but the first are visible when the first is. */
void packed_done_all(struct virtqueue *q, const struct queue_used *used, unsigned count)
{
    uint8_t *first = NULL;
    uint16_t first_flags = 0;
    for (unsigned i = 0; i < count; i++) {
        struct place p = {q->next_used, q->used_wrap};
        uint16_t head = used[i].head, taken = q->taken[head];
        uint16_t flags =
            (uint16_t)((p.wrap ? FLAG_AVAIL | FLAG_USED : 0) | (used[i].written ? DESC_WRITE : 0));
        uint8_t *at = slot(q, p);
        guest_copy(at + offsetof(struct packed_descriptor, len), &used[i].written, sizeof used[i].written);
        guest_copy(at + offsetof(struct packed_descriptor, id), &head, sizeof head);
        if (first)
            ring_store(at, FLAGS_AT, flags);
        else
            first = at, first_flags = flags;
        q->taken[head] = 0;
        q->out = (uint16_t)(q->out - taken);
        q->signalled = (uint16_t)(q->signalled + taken);
        p = later(q, p, taken);
        q->next_used = p.index;
        q->used_wrap = p.wrap;
    }
    if (first)
        ring_store(first, FLAGS_AT, first_flags);
}

/* Whether the place that the driver named is among the last `signalled` ones. */
bool packed_wants_interrupt(struct virtqueue *q)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* used descriptors first, the driver's wish after them */
    uint16_t flags = ring_load(q->avail, EVENT_FLAGS) & EVENT_FLAGS_MASK;
    uint16_t event = ring_load(q->avail, EVENT_OFFSET), given = q->signalled;
    q->signalled = 0;
    if (!q->event_idx || flags != EVENT_AT_OFFSET)
        return flags != EVENT_DISABLE;
    unsigned back = q->next_used + (!!(event & WRAP_BIT) != q->used_wrap ? q->size : 0u);
    return (uint16_t)(back - (event & ~WRAP_BIT) - 1) < given;
}

bool packed_rearm(struct virtqueue *q)
{
    struct place p = {q->next_avail, q->avail_wrap};
    uint16_t flags;
    if (q->event_idx)
        ring_store(q->used, EVENT_OFFSET, (uint16_t)(p.index | (p.wrap ? WRAP_BIT : 0)));
    ring_store(q->used, EVENT_FLAGS, q->event_idx ? EVENT_AT_OFFSET : EVENT_ENABLE);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* our wish first, the driver's descriptor after it */
    return available(q, p, &flags);
}

uint32_t packed_position(const struct virtqueue *q)
{
    uint32_t avail = q->next_avail | (q->avail_wrap ? WRAP_BIT : 0);
    uint32_t used = q->next_used | (q->used_wrap ? WRAP_BIT : 0);
    return avail | used << 16;
}

void packed_set_position(struct virtqueue *q, uint32_t position)
{
    q->next_avail = (uint16_t)((position & ~WRAP_BIT & 0xffff) % q->size);
    q->avail_wrap = position & WRAP_BIT;
    q->next_used = (uint16_t)((position >> 16 & ~WRAP_BIT) % q->size);
    q->used_wrap = position >> 16 & WRAP_BIT;
    q->signalled = q->out = 0;
    memset(q->taken, 0, sizeof q->taken);
}
