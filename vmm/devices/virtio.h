/*
 * A virtio 1.2 device behind PCI (4.1): the modern transport only. A device fills a struct virtio_device,
 * gives a table of functions, and is served by threads of its own. VIRTIO_F_VERSION_1 and
 * VIRTIO_F_ACCESS_PLATFORM are always offered and must be accepted: a confidential guest shares its buffers
 * because of the latter, a plain one loses nothing. What a hostile ring does to a device is
 * DEVICE_NEEDS_RESET and a log line, nothing more.
 *
 * Threads. Each queue is served by one of the device's threads (thread 0 unless thread_of says otherwise);
 * queues that share one never run at the same time. Every call of a device's comes with a thread's lock
 * held, and while any one of them is held, the driver changes nothing: what it sets (status, features,
 * queues) changes only with the locks of all threads held, so that then no queue function runs.
 *
 * Interrupts and the wish for notifications go out when a thread's callback has ended, once for each queue: whatever
 * the callback gave back costs one interrupt at most, and a driver that adds requests while it runs notifies of none.
 */
#ifndef COFRE_DEVICES_VIRTIO_H
#define COFRE_DEVICES_VIRTIO_H

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/base/log.h"
#include "vmm/devices/loop.h"
#include "vmm/devices/memory.h"
#include "vmm/devices/pci.h"
#include "vmm/devices/queue.h"
#include "vmm/devices/rates.h"

#define VIRTIO_QUEUES_MAX  17 /* a network device's: eight pairs and one for control */
#define VIRTIO_THREADS_MAX 8
#define VIRTIO_CONFIG_MAX  64
static_assert(PCI_MSIX_VECTORS > VIRTIO_QUEUES_MAX, "a vector for each queue, and one for configuration");

enum virtio_id {
    VIRTIO_ID_NET = 1,
    VIRTIO_ID_BLOCK = 2,
    VIRTIO_ID_CONSOLE = 3,
    VIRTIO_ID_ENTROPY = 4,
    VIRTIO_ID_VSOCK = 19,
    VIRTIO_ID_FS = 26,
};

/* virtio 1.2, 6: bits of features that belong to no kind of device */
enum virtio_feature {
    FEATURE_INDIRECT = 28,
    FEATURE_EVENT_IDX = 29,
    FEATURE_VERSION_1 = 32,
    FEATURE_ACCESS_PLATFORM = 33,
    FEATURE_RING_PACKED = 34,
};

struct virtio_ops {
    const char *name; /* "block" */
    enum virtio_id id;
    uint32_t class_code; /* of PCI */
    unsigned queues;     /* unless the device sets another number */
    uint16_t queue_size;
    /* The queue's thread, its lock held: the driver has put requests into that queue, or set the device
     * going. */
    void (*queue)(void *device, unsigned index);
    /* A vCPU's thread, all locks held: the driver sets the device going (DRIVER_OK); what it negotiated and
     * which queues it enabled is known. Queue functions come after it. May be NULL. */
    void (*start)(void *device);
    /* A vCPU's thread, all locks held: forget all the driver gave, after which no queue is touched. Also
     * without a start before. May be NULL. */
    void (*reset)(void *device);
    /* After the threads have ended: finish what is open (flush, close) and free the device itself. */
    void (*free)(void *device);
};

struct virtio_queue {
    struct virtio_device *virtio;
    struct virtqueue ring;
    struct queue_rings rings; /* as the driver writes them, before it enables the queue */
    uint16_t vector;
    bool enabled, handed_over; /* to another: virtio_vring.h */
    unsigned budget;
    struct loop_source kick; /* an eventfd: the driver's notifications, and our own */
    struct loop_source call; /* an eventfd, while handed over: the other's interrupts */
};

/* What a callback has left to be done when it has ended: a bit for each queue. */
struct virtio_thread {
    struct virtio_device *virtio;
    uint32_t given;   /* requests were given back, and the driver was not interrupted */
    uint32_t emptied; /* no more requests were found, and the driver was not asked to notify */
};
static_assert(VIRTIO_QUEUES_MAX <= 32, "a bit for each queue");

/* Part of a device. */
struct virtio_device {
    /* The device sets these between virtio_init, which gives them their usual values, and virtio_attach. */
    uint64_t features; /* offered, of the device's own kind; none */
    uint64_t
        ring_features; /* offered of what the rings here can do: a back end may take away what it cannot */
    unsigned queues;   /* at most VIRTIO_QUEUES_MAX; ops->queues */
    uint8_t thread_of[VIRTIO_QUEUES_MAX]; /* which thread serves a queue; 0 */
    uint8_t config[VIRTIO_CONFIG_MAX];    /* from virtio_attach on only virtio_config_set changes it */
    unsigned config_len;
    struct rates *rates; /* NULL: as fast as it goes */

    /* The rest is private to virtio.c and virtio_pci.c. */
    const struct virtio_ops *ops;
    void *device;
    struct pci_function pci;
    struct loop loop[VIRTIO_THREADS_MAX]; /* one a thread; its lock is the thread's, also of the next */
    struct virtio_thread thread[VIRTIO_THREADS_MAX];
    unsigned threads;
    bool plugged;
    const struct guest_memory *mem;
    pthread_mutex_t config_lock; /* a leaf: of config, while the guest runs */
    _Atomic uint8_t generation;  /* of config */
    uint64_t driver_features;
    uint32_t device_feature_select, driver_feature_select;
    uint16_t queue_select, config_vector;
    _Atomic uint8_t status, isr;     /* also queue functions, of several threads, add bits */
    struct log_allowance complaints; /* about the driver */
    unsigned window;                 /* offset of the capability that gives access to the BAR */
    struct virtio_queue queue[VIRTIO_QUEUES_MAX];
};

int virtio_init(struct virtio_device *virtio, const struct virtio_ops *ops, void *device,
                struct cofre_err *err);
/* Before virtio_attach: this many threads (1 to VIRTIO_THREADS_MAX) instead of one; thread_of spreads the queues over them. */
int virtio_set_threads(struct virtio_device *virtio, unsigned threads, struct cofre_err *err);
/* The loop of a thread, to watch further descriptors there: from virtio_set_threads on. Its callbacks run
 * with that thread's lock held; virtio_next and virtio_done are for queues of that thread. */
struct loop *virtio_loop(struct virtio_device *virtio, unsigned thread);

/* Puts the device on the bus. mem is filled already and outlives the device, as the bus does. */
int virtio_attach(struct virtio_device *virtio, struct pci_bus *pci, const struct guest_memory *mem,
                  struct cofre_err *err);
/* After virtio_attach, and before the driver: all that the device needs is open by now. */
int virtio_start_threads(struct virtio_device *virtio, struct cofre_err *err);
/* Ends the threads, finishes what is open and frees the device, attached or not. No vCPU runs any more. NULL
 * is fine. */
void virtio_free(struct virtio_device *virtio);

/* For devices, with a thread's lock held; those that name a queue, with its thread's. */
bool virtio_has(const struct virtio_device *virtio, unsigned feature_bit); /* negotiated */
bool virtio_live(const struct virtio_device *virtio, unsigned queue);      /* may take requests from it */
/* The next request; false when there is none now, the device is broken, or others should have their turn
 * first: the device's queue function is then called again when there is one. */
bool virtio_next(struct virtio_device *virtio, unsigned queue, struct queue_chain *chain);
/* Gives it back, and interrupts the driver, where it wants that, when this callback has ended. Not from a vCPU's thread. */
void virtio_done(struct virtio_device *virtio, unsigned queue, const struct queue_chain *chain,
                 uint64_t written);
/* The same for several, which the driver sees all at once. */
void virtio_done_all(struct virtio_device *virtio, unsigned queue, const struct queue_used *used,
                     unsigned count);
/* The driver, or a back end, broke the protocol: the device needs a reset. The sentence goes to the log. */
void virtio_break(struct virtio_device *virtio, const struct cofre_err *why);
/* The same where what serves the device on the host is gone. */
void virtio_lose(struct virtio_device *virtio, const struct cofre_err *why);
/* Changes bytes of the configuration (a link's state, a disk's size) and tells the driver: a new generation
 * and the interrupt for configuration. The range lies in config_len. */
void virtio_config_set(struct virtio_device *virtio, unsigned offset, const void *data, unsigned len);

#endif
