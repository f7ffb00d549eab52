/* A virtqueue as its driver sees it, polled: split (virtio 1.2, 2.7) or packed (2.8), of QUEUE places, in AREA bytes of shared memory. */
#ifndef COFRE_TESTS_LAB_HOSTILE_RING_H
#define COFRE_TESTS_LAB_HOSTILE_RING_H

#include "tests/lab/hostile/guest.h"

#define QUEUE 16u
#define AREA  0x4000ull

enum { NEXT = 1, WRITE = 2, INDIRECT = 4 };

/* In the table of a split ring, in a packed ring, or in an indirect table of either: see put_desc. */
struct desc {
    uint64_t address;
    uint32_t len;
    uint16_t tail[2];
};

struct buffer {
    uint64_t address;
    uint32_t len;
    uint16_t flags; /* WRITE, INDIRECT */
};

struct ring {
    bool packed;
    uint64_t gpa[3]; /* of descriptors, of what the driver writes, of what the device writes */
    struct desc *desc;
    struct desc *table; /* room for an indirect one */
    volatile uint16_t *driver, *device;
    uint16_t next_avail, next_used; /* split: how many; packed: how many places */
    uint16_t places[QUEUE];         /* packed: that a chain has, by its id */
};

/* The index-th area, empty. */
void ring_place(struct ring *r, unsigned index, bool packed);

/* A descriptor as it stands anywhere: next is the successor of a split one, the id of a packed one. */
void put_desc(const struct ring *r, struct desc *at, uint64_t address, uint32_t len, uint16_t flags,
              uint16_t next);

/* A chain. Split: in the table from id on, which is its head. Packed: in the next places, with that id. */
void ring_offer(struct ring *r, uint16_t id, const struct buffer *buffers, unsigned count);
/* The same of descriptors that lie in the table (split) already. */
void ring_offer_head(struct ring *r, uint16_t head);
/* The nth place from the next one on (packed), and what makes a descriptor there available: added to its flags. */
struct desc *ring_ahead(const struct ring *r, unsigned n, uint16_t *available);

/* The next chain that came back; false: none. */
bool ring_take(struct ring *r, uint16_t *id, uint32_t *written);

#endif
