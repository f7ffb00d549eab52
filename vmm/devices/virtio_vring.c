#include "vmm/devices/virtio_vring.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "vmm/base/cleanup.h"
#include "vmm/devices/virtio_pci.h"

static struct loop *loop_of(struct virtio_queue *q)
{
    struct virtio_device *virtio = q->virtio;
    return virtio_loop(virtio, virtio->thread_of[q - virtio->queue]);
}

/* The way by this process: also while the vector is masked, which keeps the interrupt pending. */
static void called(void *context, uint32_t events)
{
    struct virtio_queue *q = context;
    eventfd_t count;
    (void)events;
    if (eventfd_read(q->call.fd, &count) == 0)
        virtio_interrupt(q->virtio, q->vector, ISR_QUEUE);
}

static int watch_calls(struct virtio_queue *q)
{
    CLEAN_FD fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    q->call = (struct loop_source){.fd = fd, .ready = called, .context = q};
    if (fd < 0 || !loop_watch(loop_of(q), &q->call, EPOLLIN))
        return -1;
    (void)TAKE_FD(fd);
    return 0;
}

int virtio_hand_over(struct virtio_device *virtio, unsigned queue, struct virtio_vring *out,
                     struct cofre_err *err)
{
    struct virtio_queue *q = &virtio->queue[queue];
    assert(q->enabled && !q->handed_over);
    if (watch_calls(q))
        return cofre_fail(err, COFRE_FAILED, "%s device: queue %u: %s", virtio->ops->name, queue,
                          strerror(errno));
    (void)loop_watch(loop_of(q), &q->kick, 0);
    q->handed_over = true;
    pci_call_set(&virtio->pci, q->call.fd, q->vector);
    *out = (struct virtio_vring){.size = q->ring.size,
                                 .packed = q->ring.packed,
                                 .desc = q->ring.desc,
                                 .avail = q->ring.avail,
                                 .used = q->ring.used,
                                 .base = virtqueue_position(&q->ring),
                                 .kick = q->kick.fd,
                                 .call = q->call.fd};
    return 0;
}

/* The last calls are passed on here: whoever made them thinks the driver knows. */
void virtio_vring_end(struct virtio_queue *q)
{
    if (!q->handed_over)
        return;
    pci_call_clear(&q->virtio->pci, q->call.fd);
    called(q, 0);
    (void)loop_watch(loop_of(q), &q->call, 0);
    cleanup_close(&q->call.fd);
    q->handed_over = false;
    (void)loop_watch(loop_of(q), &q->kick, EPOLLIN);
}

void virtio_take_back(struct virtio_device *virtio, unsigned queue, uint32_t base)
{
    struct virtio_queue *q = &virtio->queue[queue];
    assert(q->handed_over);
    virtio_vring_end(q);
    virtqueue_set_position(&q->ring, base);
    virtio_notify(virtio, queue);
}
