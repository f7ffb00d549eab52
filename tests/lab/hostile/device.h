/* A virtio device on PCI, as this guest's own small driver sees it: its rings are split or packed, and polled. */
#ifndef COFRE_TESTS_LAB_HOSTILE_DEVICE_H
#define COFRE_TESTS_LAB_HOSTILE_DEVICE_H

#include "tests/lab/hostile/ring.h"

#define QUEUES   2u /* that are used, at most */
#define RECEIVED 4u /* buffers that lie in a receive queue */

enum { ACKNOWLEDGE = 1, DRIVER = 2, DRIVER_OK = 4, FEATURES_OK = 8, NEEDS_RESET = 64 };
enum {
    FEATURE_INDIRECT = 28,
    FEATURE_VERSION_1 = 32,
    FEATURE_ACCESS_PLATFORM = 33,
    FEATURE_RING_PACKED = 34,
};
/* virtio 1.2, 4.1.4.3 */
enum common {
    FEATURE_SELECT = 0x00,
    FEATURE = 0x04,
    DRIVER_FEATURE_SELECT = 0x08,
    DRIVER_FEATURE = 0x0c,
    CONFIG_VECTOR = 0x10,
    STATUS = 0x14,
    QUEUE_SELECT = 0x16,
    QUEUE_SIZE = 0x18,
    QUEUE_VECTOR = 0x1a,
    QUEUE_ENABLE = 0x1c,
    QUEUE_DESC = 0x20,
    QUEUE_DRIVER = 0x28,
    QUEUE_DEVICE = 0x30,
};

struct device;
enum outcome {
    WENT_ON,
    DEAD,   /* it asks for a reset */
    SILENT, /* a device that another serves leaves a request unanswered that is none */
    WRONG,
};

struct kind {
    const char *name;
    uint16_t id;
    unsigned queues, request;                /* how many; the one that requests go to */
    int receive;                             /* the queue whose buffers the device fills unasked; -1: none */
    enum { OURS, KERNELS, PROGRAMS } by;     /* who may serve it, if it is not us: vhost, vhost-user */
    enum outcome (*right)(struct device *d); /* a request as it should be, and its answer compared */
};
#define KINDS 6
extern const struct kind kinds[KINDS];

/* From the command line. */
extern bool packed_rings;     /* are negotiated, else split ones */
extern bool served_by_others; /* is each device whose kind says by whom; nothing is done to the rest */

struct device {
    const struct kind *kind;
    unsigned slot, msix; /* the capability */
    uint32_t bar, common, doorbells;
    uint64_t offered; /* features */
    uint64_t config;  /* the first bytes of its own configuration: a card's address, a vsock's CID */
    struct ring ring[QUEUES];
    bool others;       /* it is served by its kind's "by" */
    bool impatient;    /* what was asked is none of a request's: whoever serves the device may leave it */
    bool to_fill;      /* a nonsensical buffer waits in the receive queue: the device may yet die of it */
    const char *why;   /* of the last WRONG */
    uint32_t requests; /* that were right */
};

/* The nth function of that bus and slot, if it is a virtio device of a known kind. */
bool device_find(struct device *d, unsigned slot);
/* A reset, and rings anew. DEAD: it asks for another at once. */
enum outcome device_set_up(struct device *d);
/* Its steps. */
enum outcome device_reset(struct device *d);
bool device_negotiate(struct device *d);
void device_queue_place(struct device *d, unsigned queue, uint64_t desc, uint64_t avail, uint64_t used,
                        uint16_t size);

/* PCI as the driver needs it, whatever was written there. */
void device_repair(struct device *d);
uint32_t config_read(const struct device *d, unsigned offset);
void config_write(const struct device *d, unsigned offset, unsigned len, uint32_t value);
void bar_write(const struct device *d, uint32_t offset, unsigned len, uint64_t value);
uint64_t bar_read(const struct device *d, uint32_t offset, unsigned len);
bool device_dead(struct device *d);

/* The buffers of a device, apart: of faults, of requests as they should be, of a receive queue. */
#define JUNK     (SHARED_GPA + 0x20000)
#define JUNK_LEN 0x10000u
#define PROBE    (SHARED_GPA + 0x40000)
#define ANSWERS  (SHARED_GPA + 0x50000)
#define ANSWER   0x800u

struct ring *request_ring(struct device *d);
/* A chain in that queue's ring, and a notification. */
void post(struct device *d, unsigned queue, uint16_t id, const struct buffer *buffers, unsigned count);
/* The receive queue's buffer of that id, for the device to fill. */
void post_receive(struct device *d, uint16_t id);
void notify_device(struct device *d, unsigned queue);
/* Until one comes back, or the device asks for a reset. id and written may be NULL. */
enum outcome wait_used(struct device *d, unsigned queue, uint16_t *id, uint32_t *written);
/* WRONG, and why. */
enum outcome wrong(struct device *d, const char *why);

#endif
