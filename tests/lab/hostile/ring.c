#include "tests/lab/hostile/ring.h"

enum { AVAIL = 1 << 7, USED = 1 << 15 };

void ring_place(struct ring *r, unsigned index, bool packed)
{
    const uint64_t gpa = SHARED_GPA + index * AREA;
    memset(shared(gpa), 0, AREA);
    *r = (struct ring){.packed = packed,
                       .gpa = {gpa, gpa + 0x1000, gpa + 0x2000},
                       .desc = shared(gpa),
                       .table = shared(gpa + 0x3000),
                       .driver = shared(gpa + 0x1000),
                       .device = shared(gpa + 0x2000)};
}

void put_desc(const struct ring *r, struct desc *at, uint64_t address, uint32_t len, uint16_t flags,
              uint16_t next)
{
    volatile struct desc *to = at;
    to->address = address;
    to->len = len;
    to->tail[r->packed ? 0 : 1] = next;
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* a packed one is the device's from its flags on */
    to->tail[r->packed ? 1 : 0] = flags;
}

void ring_offer_head(struct ring *r, uint16_t head)
{
    r->driver[2 + r->next_avail++ % QUEUE] = head;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    r->driver[1] = r->next_avail;
}

static void offer_split(struct ring *r, uint16_t id, const struct buffer *buffers, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        put_desc(r, &r->desc[id + i], buffers[i].address, buffers[i].len,
                 (uint16_t)(buffers[i].flags | (i + 1 < count ? NEXT : 0)), (uint16_t)(id + i + 1));
    ring_offer_head(r, id);
}

/* Whether the ring's end was passed an even number of times before that place (2.8.1). */
static bool wrap(unsigned place)
{
    return place / QUEUE % 2 == 0;
}

struct desc *ring_ahead(const struct ring *r, unsigned n, uint16_t *available)
{
    const unsigned place = r->next_avail + n;
    *available = wrap(place) ? AVAIL : USED;
    return &r->desc[place % QUEUE];
}

/* The first descriptor is the last to be written: with it the device has all of them. */
static void offer_packed(struct ring *r, uint16_t id, const struct buffer *buffers, unsigned count)
{
    for (unsigned i = count; i-- > 0;) {
        uint16_t available;
        struct desc *at = ring_ahead(r, i, &available);
        put_desc(r, at, buffers[i].address, buffers[i].len,
                 (uint16_t)(buffers[i].flags | (i + 1 < count ? NEXT : 0) | available), id);
    }
    r->places[id % QUEUE] = (uint16_t)count;
    r->next_avail = (uint16_t)(r->next_avail + count);
}

void ring_offer(struct ring *r, uint16_t id, const struct buffer *buffers, unsigned count)
{
    (r->packed ? offer_packed : offer_split)(r, id, buffers, count);
}

static bool take_split(struct ring *r, uint16_t *id, uint32_t *written)
{
    if (r->device[1] == r->next_used)
        return false;
    const volatile uint32_t *element =
        (const volatile uint32_t *)(r->device + 2) + 2 * (r->next_used++ % QUEUE);
    *id = (uint16_t)element[0];
    *written = element[1];
    return true;
}

static bool take_packed(struct ring *r, uint16_t *id, uint32_t *written)
{
    const volatile struct desc *at = &r->desc[r->next_used % QUEUE];
    const uint16_t flags = at->tail[1], used = wrap(r->next_used) ? AVAIL | USED : 0;
    if ((flags & (AVAIL | USED)) != used)
        return false;
    *id = at->tail[0];
    *written = at->len;
    r->next_used = (uint16_t)(r->next_used + r->places[*id % QUEUE]);
    return true;
}

bool ring_take(struct ring *r, uint16_t *id, uint32_t *written)
{
    return (r->packed ? take_packed : take_split)(r, id, written);
}
