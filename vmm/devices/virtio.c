#include "vmm/devices/virtio.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/log.h"
#include "vmm/devices/virtio_pci.h"

#define LOG_ROOM       "virtio"
#define COMPLAINTS_MAX 16 /* log lines that one device's driver may cause */

#define FEATURES_ALWAYS                                                                                      \
    (1ull << FEATURE_INDIRECT | 1ull << FEATURE_EVENT_IDX | 1ull << FEATURE_VERSION_1 |                      \
     1ull << FEATURE_ACCESS_PLATFORM)
#define FEATURES_REQUIRED (1ull << FEATURE_VERSION_1 | 1ull << FEATURE_ACCESS_PLATFORM)

bool virtio_has(const struct virtio_device *virtio, unsigned feature_bit)
{
    return virtio->driver_features >> feature_bit & 1;
}

bool virtio_live(const struct virtio_device *virtio, unsigned queue)
{
    return (virtio->status & STATUS_DRIVER_OK) && !(virtio->status & STATUS_NEEDS_RESET) &&
           virtio->queue[queue].enabled;
}

static void interrupt(struct virtio_device *virtio, uint16_t vector, uint8_t isr)
{
    virtio->isr |= isr;
    pci_msix_raise(&virtio->pci, vector);
}

void virtio_break(struct virtio_device *virtio, const struct cofre_err *why)
{
    if (virtio->complaints < COMPLAINTS_MAX) {
        virtio->complaints++;
        log_warn("%s: the guest's driver broke the protocol: %s; the device stops until it is reset%s",
                 virtio->ops->name, why->text,
                 virtio->complaints == COMPLAINTS_MAX ? " (more such lines are left out)" : "");
    }
    virtio->status |= STATUS_NEEDS_RESET;
    if (virtio->status & STATUS_DRIVER_OK)
        interrupt(virtio, virtio->config_vector, ISR_CONFIG);
}

static void kick(struct virtio_device *virtio, uint32_t queues)
{
    __atomic_fetch_or(&virtio->kicked, queues, __ATOMIC_RELEASE);
    (void)eventfd_write(virtio->kick.fd, 1);
}

bool virtio_next(struct virtio_device *virtio, unsigned queue, struct queue_chain *chain)
{
    struct virtqueue *ring = &virtio->queue[queue].ring;
    struct cofre_err err;
    int rc;
    if (!virtio_live(virtio, queue))
        return false;
    if (virtio->budget == 0) {
        kick(virtio, 1u << queue);
        return false;
    }
    rc = virtqueue_next(ring, chain, &err);
    if (rc == 0 && virtqueue_rearm(ring))
        rc = virtqueue_next(ring, chain, &err);
    if (rc < 0)
        virtio_break(virtio, &err);
    virtio->budget--;
    return rc > 0;
}

void virtio_done(struct virtio_device *virtio, unsigned queue, const struct queue_chain *chain,
                 uint64_t written)
{
    struct virtio_queue *q = &virtio->queue[queue];
    virtqueue_done(&q->ring, chain->head, (uint32_t)written);
    if (virtqueue_wants_interrupt(&q->ring))
        interrupt(virtio, q->vector, ISR_QUEUE);
}

/* The device's thread: notifications are gathered in a word of bits, so that a vCPU's notification takes no
 * lock. */
static void kicked(void *context, uint32_t events)
{
    struct virtio_device *virtio = context;
    eventfd_t count;
    (void)events;
    (void)eventfd_read(virtio->kick.fd, &count);
    uint32_t queues = __atomic_exchange_n(&virtio->kicked, 0, __ATOMIC_ACQUIRE);
    virtio->budget = QUEUE_SIZE_MAX;
    for (unsigned i = 0; i < virtio->ops->queues; i++)
        if ((queues & 1u << i) && virtio_live(virtio, i))
            virtio->ops->queue(virtio->device, i);
}

void virtio_notify(struct virtio_device *virtio, unsigned queue)
{
    if (queue < virtio->ops->queues)
        kick(virtio, 1u << queue);
}

void virtio_reset(struct virtio_device *virtio)
{
    virtio->status = virtio->isr = 0;
    virtio->driver_features = 0;
    virtio->device_feature_select = virtio->driver_feature_select = 0;
    virtio->queue_select = 0;
    virtio->config_vector = NO_VECTOR;
    memset(virtio->queue, 0, sizeof virtio->queue);
    for (unsigned i = 0; i < virtio->ops->queues; i++) {
        virtio->queue[i].rings.size = virtio->ops->queue_size;
        virtio->queue[i].vector = NO_VECTOR;
    }
    if (virtio->ops->reset)
        virtio->ops->reset(virtio->device);
}

uint64_t virtio_offered(const struct virtio_device *virtio)
{
    return virtio->features | FEATURES_ALWAYS;
}

/* Status bits are only ever added; what the driver adds must be acceptable (virtio 1.2, 2.1, 3.1.1). */
void virtio_set_status(struct virtio_device *virtio, uint8_t status)
{
    uint8_t added = status & (uint8_t)~virtio->status;
    if (status == 0) {
        virtio_reset(virtio);
        return;
    }
    bool acceptable = (virtio->driver_features & ~virtio_offered(virtio)) == 0 &&
                      (virtio->driver_features & FEATURES_REQUIRED) == FEATURES_REQUIRED;
    if ((added & STATUS_FEATURES_OK) && !acceptable)
        added &= (uint8_t)~STATUS_FEATURES_OK;
    if (!((virtio->status | added) & STATUS_FEATURES_OK))
        added &= (uint8_t)~STATUS_DRIVER_OK;
    virtio->status |= added & (uint8_t)~STATUS_NEEDS_RESET;
    if (added & STATUS_DRIVER_OK)
        kick(virtio, (1u << virtio->ops->queues) - 1);
}

/* Queues are set up between FEATURES_OK and DRIVER_OK. */
void virtio_enable_queue(struct virtio_device *virtio, struct virtio_queue *q)
{
    struct cofre_err err;
    bool now = (virtio->status & STATUS_FEATURES_OK) && !(virtio->status & STATUS_DRIVER_OK);
    if (q->enabled || !now)
        return;
    if (virtqueue_setup(&q->ring, virtio->mem, &q->rings, virtio_has(virtio, FEATURE_EVENT_IDX),
                        virtio_has(virtio, FEATURE_INDIRECT), &err))
        virtio_break(virtio, &err);
    else
        q->enabled = true;
}

int virtio_init(struct virtio_device *virtio, const struct virtio_ops *ops, void *device,
                struct cofre_err *err)
{
    *virtio = (struct virtio_device){.ops = ops, .device = device, .kick.fd = -1, .loop.epoll = -1};
    virtio_pci_init(virtio);
    CLEAN_FD event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (event < 0)
        return cofre_fail(err, COFRE_FAILED, "%s device: %s", ops->name, strerror(errno));
    int rc = loop_init(&virtio->loop, err);
    if (rc)
        return cofre_within(err, rc, "%s device", ops->name);
    virtio->kick = (struct loop_source){.fd = TAKE_FD(event), .ready = kicked, .context = virtio};
    return 0;
}

int virtio_attach(struct virtio_device *virtio, struct pci_bus *pci, const struct guest_memory *mem,
                  struct cofre_err *err)
{
    virtio->mem = mem;
    virtio_reset(virtio);
    int rc = pci_bus_add(pci, &virtio->pci, err);
    if (rc)
        return rc;
    if (!loop_watch(&virtio->loop, &virtio->kick, EPOLLIN))
        return cofre_fail(err, COFRE_FAILED, "%s device: %s", virtio->ops->name, strerror(errno));
    return loop_start(&virtio->loop, virtio->ops->name, err);
}

void virtio_free(struct virtio_device *virtio)
{
    if (!virtio)
        return;
    loop_destroy(&virtio->loop);
    cleanup_close(&virtio->kick.fd);
    pci_function_destroy(&virtio->pci);
    virtio->ops->free(virtio->device);
}
