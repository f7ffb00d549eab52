#include "vmm/devices/virtio.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/log.h"
#include "vmm/devices/virtio_pci.h"

#define LOG_ROOM "virtio"

#define FEATURES_RING     (1ull << FEATURE_INDIRECT | 1ull << FEATURE_EVENT_IDX | 1ull << FEATURE_RING_PACKED)
#define FEATURES_REQUIRED (1ull << FEATURE_VERSION_1 | 1ull << FEATURE_ACCESS_PLATFORM)

struct loop *virtio_loop(struct virtio_device *virtio, unsigned thread)
{
    assert(thread < virtio->threads);
    return &virtio->loop[thread];
}

void virtio_lock(struct virtio_device *virtio)
{
    for (unsigned i = 0; i < virtio->threads; i++)
        loop_lock(&virtio->loop[i]);
}

void virtio_unlock(struct virtio_device *virtio)
{
    for (unsigned i = virtio->threads; i-- > 0;)
        loop_unlock(&virtio->loop[i]);
}

bool virtio_has(const struct virtio_device *virtio, unsigned feature_bit)
{
    return virtio->driver_features >> feature_bit & 1;
}

bool virtio_live(const struct virtio_device *virtio, unsigned queue)
{
    return (virtio->status & STATUS_DRIVER_OK) && !(virtio->status & STATUS_NEEDS_RESET) &&
           virtio->queue[queue].enabled && !virtio->queue[queue].handed_over;
}

void virtio_interrupt(struct virtio_device *virtio, uint16_t vector, uint8_t isr)
{
    atomic_fetch_or(&virtio->isr, isr);
    pci_msix_raise(&virtio->pci, vector);
}

static void stop(struct virtio_device *virtio, const char *before, const struct cofre_err *why,
                 const char *after)
{
    unsigned status = atomic_fetch_or(&virtio->status, STATUS_NEEDS_RESET);
    if (status & STATUS_NEEDS_RESET)
        return;
    const char *rest = log_allow(&virtio->complaints);
    if (rest)
        log_warn("%s: %s%s; %s%s", virtio->ops->name, before, why->text, after, rest);
    if (status & STATUS_DRIVER_OK)
        virtio_interrupt(virtio, virtio->config_vector, ISR_CONFIG);
}

void virtio_break(struct virtio_device *virtio, const struct cofre_err *why)
{
    stop(virtio, "the guest's driver broke the protocol: ", why, "the device stops until it is reset");
}

void virtio_lose(struct virtio_device *virtio, const struct cofre_err *why)
{
    stop(virtio, "", why, "the guest goes on without this device");
}

void virtio_config_set(struct virtio_device *virtio, unsigned offset, const void *data, unsigned len)
{
    assert(offset <= virtio->config_len && len <= virtio->config_len - offset);
    pthread_mutex_lock(&virtio->config_lock);
    memcpy(virtio->config + offset, data, len);
    virtio->generation++;
    pthread_mutex_unlock(&virtio->config_lock);
    if (virtio->status & STATUS_DRIVER_OK)
        virtio_interrupt(virtio, virtio->config_vector, ISR_CONFIG);
}

/* A vCPU's notification takes no lock: the eventfd wakes the queue's thread. */
static void kick(struct virtio_queue *q)
{
    (void)eventfd_write(q->kick.fd, 1);
}

static struct virtio_thread *thread_of(struct virtio_device *virtio, unsigned queue)
{
    return &virtio->thread[virtio->thread_of[queue]];
}

bool virtio_next(struct virtio_device *virtio, unsigned queue, struct queue_chain *chain)
{
    struct virtio_queue *q = &virtio->queue[queue];
    struct cofre_err err;
    int rc;
    if (!virtio_live(virtio, queue))
        return false;
    if (q->budget == 0) {
        kick(q);
        return false;
    }
    rc = virtqueue_next(&q->ring, chain, &err);
    if (rc < 0)
        virtio_break(virtio, &err);
    else if (rc == 0)
        thread_of(virtio, queue)->emptied |= 1u << queue;
    q->budget--;
    return rc > 0;
}

void virtio_done_all(struct virtio_device *virtio, unsigned queue, const struct queue_used *used,
                     unsigned count)
{
    virtqueue_done_all(&virtio->queue[queue].ring, used, count);
    thread_of(virtio, queue)->given |= 1u << queue;
}

void virtio_done(struct virtio_device *virtio, unsigned queue, const struct queue_chain *chain,
                 uint64_t written)
{
    virtio_done_all(virtio, queue, &(struct queue_used){chain->head, (uint32_t)written}, 1);
}

/* The lowest bit of a set that is not empty, which loses it. */
static unsigned take_bit(uint32_t *set)
{
    unsigned bit = (unsigned)__builtin_ctz(*set);
    *set &= *set - 1;
    return bit;
}

static void interrupt_for(struct virtio_device *virtio, uint32_t given)
{
    while (given) {
        unsigned queue = take_bit(&given);
        struct virtio_queue *q = &virtio->queue[queue];
        if (virtio_live(virtio, queue) && virtqueue_wants_interrupt(&q->ring))
            virtio_interrupt(virtio, q->vector, ISR_QUEUE);
    }
}

/* A request that came before the driver was asked to notify is served now. A queue's budget bounds that. */
static void rearm(struct virtio_device *virtio, uint32_t emptied)
{
    while (emptied) {
        unsigned queue = take_bit(&emptied);
        if (virtio_live(virtio, queue) && virtqueue_rearm(&virtio->queue[queue].ring))
            virtio->ops->queue(virtio->device, queue);
    }
}

static void after_callback(void *context)
{
    struct virtio_thread *t = context;
    while (t->given || t->emptied) {
        uint32_t given = t->given, emptied = t->emptied;
        t->given = t->emptied = 0;
        interrupt_for(t->virtio, given);
        rearm(t->virtio, emptied);
    }
}

static void kicked(void *context, uint32_t events)
{
    struct virtio_queue *q = context;
    struct virtio_device *virtio = q->virtio;
    unsigned index = (unsigned)(q - virtio->queue);
    eventfd_t count;
    (void)events;
    (void)eventfd_read(q->kick.fd, &count);
    q->budget = QUEUE_SIZE_MAX;
    if (virtio_live(virtio, index))
        virtio->ops->queue(virtio->device, index);
}

void virtio_notify(struct virtio_device *virtio, unsigned queue)
{
    if (queue < virtio->queues)
        kick(&virtio->queue[queue]);
}

static void reset_queue(struct virtio_device *virtio, struct virtio_queue *q)
{
    virtio_vring_end(q);
    q->ring = (struct virtqueue){0};
    q->rings = (struct queue_rings){.size = virtio->ops->queue_size};
    q->vector = NO_VECTOR;
    q->enabled = false;
}

void virtio_reset(struct virtio_device *virtio)
{
    virtio->status = virtio->isr = 0;
    virtio->driver_features = 0;
    virtio->device_feature_select = virtio->driver_feature_select = 0;
    virtio->queue_select = 0;
    virtio->config_vector = NO_VECTOR;
    if (virtio->ops->reset)
        virtio->ops->reset(virtio->device);
    pci_doorbells_clear(&virtio->pci);
    for (unsigned i = 0; i < virtio->queues; i++)
        reset_queue(virtio, &virtio->queue[i]);
    for (unsigned i = 0; i < virtio->threads; i++)
        virtio->thread[i].given = virtio->thread[i].emptied = 0;
}

uint64_t virtio_offered(const struct virtio_device *virtio)
{
    return virtio->features | (virtio->ring_features & FEATURES_RING) | FEATURES_REQUIRED;
}

static void start(struct virtio_device *virtio)
{
    if (virtio->ops->start)
        virtio->ops->start(virtio->device);
    for (unsigned i = 0; i < virtio->queues; i++) {
        if (!virtio->queue[i].enabled)
            continue;
        pci_doorbell_add(&virtio->pci, BAR_NOTIFY + i * NOTIFY_MULTIPLIER, virtio->queue[i].kick.fd);
        kick(&virtio->queue[i]);
    }
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
        start(virtio);
}

/* Queues are set up between FEATURES_OK and DRIVER_OK. */
void virtio_enable_queue(struct virtio_device *virtio, struct virtio_queue *q)
{
    struct cofre_err err;
    bool now = (virtio->status & STATUS_FEATURES_OK) && !(virtio->status & STATUS_DRIVER_OK);
    if (q->enabled || !now)
        return;
    if ((virtio_has(virtio, FEATURE_RING_PACKED) ? virtqueue_setup_packed : virtqueue_setup)(
            &q->ring, virtio->mem, &q->rings, virtio_has(virtio, FEATURE_EVENT_IDX),
            virtio_has(virtio, FEATURE_INDIRECT), &err))
        virtio_break(virtio, &err);
    else
        q->enabled = true;
}

void virtio_set_vector(struct virtio_device *virtio, struct virtio_queue *q, uint16_t vector)
{
    q->vector = vector;
    if (q->handed_over)
        pci_call_set(&virtio->pci, q->call.fd, vector);
}

int virtio_init(struct virtio_device *virtio, const struct virtio_ops *ops, void *device,
                struct cofre_err *err)
{
    *virtio = (struct virtio_device){
        .ops = ops, .device = device, .ring_features = FEATURES_RING, .queues = ops->queues};
    for (unsigned i = 0; i < VIRTIO_QUEUES_MAX; i++)
        virtio->queue[i] = (struct virtio_queue){.virtio = virtio, .kick.fd = -1, .call.fd = -1};
    pthread_mutex_init(&virtio->config_lock, NULL);
    int rc = virtio_set_threads(virtio, 1, err);
    if (rc)
        pthread_mutex_destroy(&virtio->config_lock);
    return rc;
}

static int add_thread(struct virtio_device *virtio, unsigned index, struct cofre_err *err)
{
    struct loop *loop = &virtio->loop[index];
    int rc = loop_init(loop, err);
    if (rc)
        return rc;
    virtio->thread[index] = (struct virtio_thread){.virtio = virtio};
    loop->after = after_callback;
    loop->context = &virtio->thread[index];
    return 0;
}

int virtio_set_threads(struct virtio_device *virtio, unsigned threads, struct cofre_err *err)
{
    assert(threads <= VIRTIO_THREADS_MAX);
    int rc = 0;
    for (; virtio->threads < threads && rc == 0; virtio->threads += rc == 0)
        rc = add_thread(virtio, virtio->threads, err);
    return rc ? cofre_within(err, rc, "%s device", virtio->ops->name) : 0;
}

static int watch_queue(struct virtio_device *virtio, unsigned index, struct cofre_err *err)
{
    struct virtio_queue *q = &virtio->queue[index];
    q->kick =
        (struct loop_source){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .ready = kicked, .context = q};
    if (q->kick.fd < 0 || !loop_watch(virtio_loop(virtio, virtio->thread_of[index]), &q->kick, EPOLLIN))
        return cofre_fail(err, COFRE_FAILED, "%s device: queue %u: %s", virtio->ops->name, index,
                          strerror(errno));
    return 0;
}

int virtio_attach(struct virtio_device *virtio, struct pci_bus *pci, const struct guest_memory *mem,
                  struct cofre_err *err)
{
    assert(virtio->queues <= VIRTIO_QUEUES_MAX && virtio->config_len <= VIRTIO_CONFIG_MAX);
    virtio->mem = mem;
    virtio_pci_init(virtio);
    virtio->plugged = true;
    int rc = 0;
    for (unsigned i = 0; i < virtio->queues && rc == 0; i++)
        rc = watch_queue(virtio, i, err);
    if (rc)
        return rc;
    virtio_reset(virtio);
    return pci_bus_add(pci, &virtio->pci, err);
}

int virtio_start_threads(struct virtio_device *virtio, struct cofre_err *err)
{
    int rc = 0;
    for (unsigned i = 0; i < virtio->threads && rc == 0; i++)
        rc = loop_start(&virtio->loop[i], virtio->ops->name, err);
    return rc;
}

void virtio_free(struct virtio_device *virtio)
{
    if (!virtio)
        return;
    for (unsigned i = 0; i < virtio->threads; i++)
        loop_destroy(&virtio->loop[i]);
    for (unsigned i = 0; i < virtio->queues; i++) {
        cleanup_close(&virtio->queue[i].kick.fd);
        cleanup_close(&virtio->queue[i].call.fd);
    }
    if (virtio->plugged)
        pci_function_destroy(&virtio->pci);
    pthread_mutex_destroy(&virtio->config_lock);
    virtio->ops->free(virtio->device);
}
