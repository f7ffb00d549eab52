#include "vmm/devices/queue_packed.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#define AVAIL_NO_INTERRUPT 1

struct descriptor {
    uint64_t address;
    uint32_t len;
    uint16_t flags, next;
};
static_assert(sizeof(struct descriptor) == 16, "virtio 1.2, 2.7.5");

static uint8_t *ring_at(const struct guest_memory *mem, const char *name, uint64_t gpa, uint64_t len,
                        unsigned align, struct cofre_err *err)
{
    uint8_t *host = guest_memory_at(mem, gpa, len);
    if (!host)
        (void)cofre_fail(err, COFRE_MALFORMED, "%s at 0x%" PRIx64 " does not lie in guest memory", name, gpa);
    else if (gpa % align || (uintptr_t)host % align)
        (void)cofre_fail(err, COFRE_MALFORMED, "%s at 0x%" PRIx64 " is not aligned to %u bytes", name, gpa,
                         align);
    else
        return host;
    return NULL;
}

int virtqueue_setup(struct virtqueue *q, const struct guest_memory *mem, const struct queue_rings *rings,
                    bool event_idx, bool indirect, struct cofre_err *err)
{
    uint16_t size = rings->size;
    *q = (struct virtqueue){.mem = mem, .event_idx = event_idx, .indirect = indirect};
    if (size == 0 || size > QUEUE_SIZE_MAX || (size & (size - 1)))
        return cofre_fail(err, COFRE_MALFORMED, "queue size %u is not a power of two up to %d", size,
                          QUEUE_SIZE_MAX);
    q->desc = ring_at(mem, "descriptor table", rings->desc, 16ull * size, 16, err);
    q->avail = q->desc ? ring_at(mem, "available ring", rings->avail, 6 + 2ull * size, 2, err) : NULL;
    q->used = q->avail ? ring_at(mem, "used ring", rings->used, 6 + 8ull * size, 4, err) : NULL;
    if (!q->used)
        return -COFRE_MALFORMED;
    q->size = size;
    return 0;
}

/* Any size is one of a packed ring (2.8.10.1); id and wrap bit leave it 15 bits. */
int virtqueue_setup_packed(struct virtqueue *q, const struct guest_memory *mem,
                           const struct queue_rings *rings, bool event_idx, bool indirect,
                           struct cofre_err *err)
{
    uint16_t size = rings->size;
    *q = (struct virtqueue){.mem = mem,
                            .event_idx = event_idx,
                            .indirect = indirect,
                            .packed = true,
                            .avail_wrap = true,
                            .used_wrap = true};
    if (size == 0 || size > QUEUE_SIZE_MAX)
        return cofre_fail(err, COFRE_MALFORMED, "queue size %u is not one of 1 to %d", size, QUEUE_SIZE_MAX);
    q->desc = ring_at(mem, "descriptor ring", rings->desc, 16ull * size, 16, err);
    q->avail = q->desc ? ring_at(mem, "driver event suppression", rings->avail, 4, 4, err) : NULL;
    q->used = q->avail ? ring_at(mem, "device event suppression", rings->used, 4, 4, err) : NULL;
    if (!q->used)
        return -COFRE_MALFORMED;
    q->size = size;
    return 0;
}

/* Where a chain's descriptors come from: the queue's table, then at most one indirect one. */
struct table {
    const uint8_t *desc;
    unsigned count;
    bool indirect;
};

const uint8_t *queue_indirect_table(const struct virtqueue *q, uint64_t address, uint32_t len,
                                    struct cofre_err *err)
{
    const size_t each = sizeof(struct descriptor);
    const uint8_t *table = NULL;
    if (!q->indirect)
        (void)cofre_fail(err, COFRE_MALFORMED, "an indirect descriptor, which was not negotiated");
    else if (len == 0 || len % each || len / each > QUEUE_CHAIN_MAX)
        (void)cofre_fail(err, COFRE_MALFORMED, "an indirect table of %u bytes", len);
    else if (!(table = guest_memory_at(q->mem, address, len)))
        (void)cofre_fail(err, COFRE_MALFORMED, "an indirect table at 0x%" PRIx64 ", outside guest memory",
                         address);
    return table;
}

static int enter_indirect(const struct virtqueue *q, struct table *table, const struct descriptor *d,
                          struct cofre_err *err)
{
    if (table->indirect || (q->indirect && (d->flags & DESC_NEXT)))
        return cofre_fail(err, COFRE_MALFORMED, "an indirect descriptor inside a table or with a successor");
    *table = (struct table){queue_indirect_table(q, d->address, d->len, err), d->len / sizeof *d, true};
    return table->desc ? 0 : -COFRE_MALFORMED;
}

int queue_add_buffer(const struct virtqueue *q, struct queue_chain *chain, uint64_t address, uint32_t len,
                     bool writable, struct cofre_err *err)
{
    if (chain->writable && !writable)
        return cofre_fail(err, COFRE_MALFORMED, "a readable descriptor after a writable one");
    if (len == 0)
        return 0;
    if (chain->readable + chain->writable == QUEUE_CHAIN_MAX)
        return cofre_fail(err, COFRE_MALFORMED, "a chain of more than %d buffers", QUEUE_CHAIN_MAX);
    void *host = guest_memory_at(q->mem, address, len);
    if (!host)
        return cofre_fail(err, COFRE_MALFORMED, "a buffer of %u bytes at 0x%" PRIx64 ", outside guest memory",
                          len, address);
    chain->iov[chain->readable + chain->writable] = (struct iovec){host, len};
    *(writable ? &chain->writable : &chain->readable) += 1;
    *(writable ? &chain->writable_len : &chain->readable_len) += len;
    return 0;
}

static int walk(const struct virtqueue *q, struct queue_chain *chain, struct cofre_err *err)
{
    struct table table = {q->desc, q->size, false};
    unsigned next = chain->head;
    for (unsigned steps = 0; steps <= QUEUE_CHAIN_MAX; steps++) {
        struct descriptor d;
        if (next >= table.count)
            return cofre_fail(err, COFRE_MALFORMED, "descriptor %u of a table of %u", next, table.count);
        guest_copy(&d, table.desc + next * sizeof d, sizeof d);
        bool indirect = d.flags & DESC_INDIRECT;
        int rc = indirect ? enter_indirect(q, &table, &d, err)
                          : queue_add_buffer(q, chain, d.address, d.len, d.flags & DESC_WRITE, err);
        if (rc || !(d.flags & (DESC_NEXT | DESC_INDIRECT)))
            return rc;
        next = indirect ? 0 : d.next;
    }
    return cofre_fail(err, COFRE_MALFORMED, "a chain that does not end after %d descriptors",
                      QUEUE_CHAIN_MAX);
}

/* avail: flags, idx, ring[size], used_event. used: flags, idx, ring[size] of id and len, avail_event. */

static int split_next(struct virtqueue *q, struct queue_chain *chain, struct cofre_err *err)
{
    uint16_t waiting = (uint16_t)(ring_load(q->avail, 2) - q->next_avail);
    if (waiting == 0)
        return 0;
    if (waiting > q->size)
        return cofre_fail(err, COFRE_MALFORMED, "%u requests in a ring of %u", waiting, q->size);
    chain->head = ring_load(q->avail, 4 + 2u * (q->next_avail % q->size));
    q->next_avail++;
    int rc = walk(q, chain, err);
    return rc ? rc : 1;
}

int virtqueue_next(struct virtqueue *q, struct queue_chain *chain, struct cofre_err *err)
{
    chain->readable = chain->writable = 0;
    chain->readable_len = chain->writable_len = 0;
    return q->packed ? packed_next(q, chain, err) : split_next(q, chain, err);
}

void virtqueue_done_all(struct virtqueue *q, const struct queue_used *used, unsigned count)
{
    if (q->packed) {
        packed_done_all(q, used, count);
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        const uint32_t element[2] = {used[i].head, used[i].written};
        guest_copy(q->used + 4 + sizeof element * (q->next_used++ % q->size), element, sizeof element);
    }
    ring_store(q->used, 2, q->next_used);
}

void virtqueue_done(struct virtqueue *q, uint16_t head, uint32_t written)
{
    virtqueue_done_all(q, &(struct queue_used){head, written}, 1);
}

bool virtqueue_wants_interrupt(struct virtqueue *q)
{
    if (q->packed)
        return packed_wants_interrupt(q);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* used index first, the driver's wish after it */
    uint16_t before = q->signalled;
    q->signalled = q->next_used;
    if (!q->event_idx)
        return !(ring_load(q->avail, 0) & AVAIL_NO_INTERRUPT);
    uint16_t event = ring_load(q->avail, 4 + 2u * q->size);
    return (uint16_t)(q->next_used - event - 1) < (uint16_t)(q->next_used - before);
}

bool virtqueue_rearm(struct virtqueue *q)
{
    if (q->packed)
        return packed_rearm(q);
    if (q->event_idx)
        ring_store(q->used, 4 + 8u * q->size, q->next_avail);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* our wish first, the driver's index after it */
    return ring_load(q->avail, 2) != q->next_avail;
}

uint32_t virtqueue_position(const struct virtqueue *q)
{
    return q->packed ? packed_position(q) : q->next_avail;
}

void virtqueue_set_position(struct virtqueue *q, uint32_t position)
{
    if (q->packed) {
        packed_set_position(q, position);
        return;
    }
    q->next_avail = (uint16_t)position;
    q->next_used = q->signalled = ring_load(q->used, 2);
}

unsigned chain_slice(const struct queue_chain *chain, bool writable, uint64_t offset, uint64_t len,
                     struct iovec out[QUEUE_CHAIN_MAX])
{
    const struct iovec *iov = chain->iov + (writable ? chain->readable : 0);
    unsigned count = writable ? chain->writable : chain->readable, n = 0;
    for (unsigned i = 0; i < count && len; i++) {
        if (offset >= iov[i].iov_len) {
            offset -= iov[i].iov_len;
            continue;
        }
        uint64_t part = iov[i].iov_len - offset < len ? iov[i].iov_len - offset : len;
        out[n++] = (struct iovec){(uint8_t *)iov[i].iov_base + offset, part};
        len -= part;
        offset = 0;
    }
    return n;
}

size_t chain_read(const struct queue_chain *chain, uint64_t offset, void *out, size_t len)
{
    struct iovec iov[QUEUE_CHAIN_MAX];
    unsigned count = chain_slice(chain, false, offset, len, iov);
    size_t done = 0;
    for (unsigned i = 0; i < count; done += iov[i++].iov_len)
        guest_copy((uint8_t *)out + done, iov[i].iov_base, iov[i].iov_len);
    return done;
}

size_t chain_write(const struct queue_chain *chain, uint64_t offset, const void *data, size_t len)
{
    struct iovec iov[QUEUE_CHAIN_MAX];
    unsigned count = chain_slice(chain, true, offset, len, iov);
    size_t done = 0;
    for (unsigned i = 0; i < count; done += iov[i++].iov_len)
        guest_copy(iov[i].iov_base, (const uint8_t *)data + done, iov[i].iov_len);
    return done;
}
