/* The packed ring (virtio 1.2, 2.8): one ring in which driver and device write, each following the other. Behind the calls of
 * queue.h, which say what these do. */
#ifndef COFRE_DEVICES_QUEUE_PACKED_H
#define COFRE_DEVICES_QUEUE_PACKED_H

#include "vmm/devices/queue.h"

int packed_next(struct virtqueue *q, struct queue_chain *chain, struct cofre_err *err);
void packed_done_all(struct virtqueue *q, const struct queue_used *used, unsigned count);
bool packed_wants_interrupt(struct virtqueue *q);
bool packed_rearm(struct virtqueue *q);
uint32_t packed_position(const struct virtqueue *q);
void packed_set_position(struct virtqueue *q, uint32_t position);

/* Of queue.c: what both formats share. */
enum desc_flags { DESC_NEXT = 1, DESC_WRITE = 2, DESC_INDIRECT = 4 };

int queue_add_buffer(const struct virtqueue *q, struct queue_chain *chain, uint64_t address, uint32_t len,
                     bool writable, struct cofre_err *err);
/* The descriptors, 16 bytes each, of an indirect table that is one; NULL otherwise. */
const uint8_t *queue_indirect_table(const struct virtqueue *q, uint64_t address, uint32_t len,
                                    struct cofre_err *err);

static inline uint16_t ring_load(const uint8_t *ring, size_t offset)
{
    return __atomic_load_n((const uint16_t *)(const void *)(ring + offset), __ATOMIC_ACQUIRE);
}
static inline void ring_store(uint8_t *ring, size_t offset, uint16_t value)
{
    __atomic_store_n((uint16_t *)(void *)(ring + offset), value, __ATOMIC_RELEASE);
}

#endif
