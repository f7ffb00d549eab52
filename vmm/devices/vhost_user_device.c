#include "vmm/devices/vhost_user_device.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "vmm/base/cleanup.h"
#include "vmm/devices/virtio_vring.h"

#define LOG_ROOM "vhost-user"
#include "vmm/base/log.h"

/* No call reaches the back end any more. */
static void forget(struct vhost_user_device *d)
{
    (void)loop_watch(virtio_loop(&d->virtio, 0), &d->speaks, 0);
    vhost_user_close(&d->back_end);
    d->started = 0;
}

static void lose(struct vhost_user_device *d, const struct cofre_err *why)
{
    forget(d);
    virtio_lose(&d->virtio, why);
}

/* Between two exchanges there is nothing to hear from it. */
static void back_end_speaks(void *context, uint32_t events)
{
    struct vhost_user_device *d = context;
    struct cofre_err err;
    char byte;
    (void)events;
    ssize_t n = recv(d->speaks.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    (void)cofre_fail(&err, COFRE_FAILED, "back end %s: %s", d->spec.path,
                     n > 0 ? "it says what nobody asked for" : "it closed the connection");
    lose(d, &err);
}

/* What a driver wrote is, as a rule, what a back end cannot go on with. A reset helps. */
static void back_end_errs(void *context, uint32_t events)
{
    struct vhost_user_device *d = context;
    struct cofre_err err;
    eventfd_t count;
    (void)events;
    (void)eventfd_read(d->errors.fd, &count);
    (void)cofre_fail(&err, COFRE_FAILED, "back end %s cannot go on with a ring", d->spec.path);
    virtio_break(&d->virtio, &err);
}

/* The one region of guest memory without a file is the launch's, and no driver's. */
static bool is_handed_over(const struct guest_memory *mem, uint64_t gpa)
{
    for (size_t i = 0; i < mem->count; i++)
        if (gpa >= mem->region[i].gpa && gpa - mem->region[i].gpa < mem->region[i].len)
            return mem->region[i].fd >= 0;
    return false;
}

static bool all_handed_over(const struct virtio_device *virtio)
{
    for (unsigned i = 0; i < virtio->queues; i++) {
        const struct queue_rings *r = &virtio->queue[i].rings;
        if (virtio->queue[i].enabled &&
            !(is_handed_over(virtio->mem, r->desc) && is_handed_over(virtio->mem, r->avail) &&
              is_handed_over(virtio->mem, r->used)))
            return false;
    }
    return true;
}

static int start_ring(struct vhost_user_device *d, unsigned index, struct cofre_err *err)
{
    struct virtio_vring vring;
    int rc = virtio_hand_over(&d->virtio, index, &vring, err);
    if (rc)
        return rc;
    d->started |= 1u << index;
    const struct vhost_user_ring ring = {d->virtio.queue[index].rings, vring.base, vring.kick, vring.call,
                                         d->errors.fd};
    return vhost_user_start_ring(&d->back_end, index, &ring, err);
}

/* Never VIRTIO_F_ACCESS_PLATFORM: a back end would ask for translations. */
static uint64_t agreed(const struct vhost_user_device *d)
{
    return d->virtio.driver_features & d->back_end.features &
           (d->spec.kind->features | d->virtio.ring_features | 1ull << FEATURE_VERSION_1);
}

static int start_all(struct vhost_user_device *d, struct cofre_err *err)
{
    int rc = vhost_user_set_features(&d->back_end, agreed(d), err);
    if (rc == 0)
        rc = vhost_user_set_memory(&d->back_end, d->virtio.mem, err);
    for (unsigned i = 0; i < d->virtio.queues && rc == 0; i++)
        if (d->virtio.queue[i].enabled)
            rc = start_ring(d, i, err);
    return rc;
}

static void device_start(void *device)
{
    struct vhost_user_device *d = device;
    struct cofre_err err;
    if (!all_handed_over(&d->virtio))
        virtio_break(&d->virtio, &(struct cofre_err){"a ring in memory that no back end can have"});
    else if (start_all(d, &err))
        lose(d, &err);
}

/* A device that was reset must look so to the driver, which waits for it, even where its back end is lost by now. */
static void device_reset(void *device)
{
    struct vhost_user_device *d = device;
    struct cofre_err err;
    for (unsigned i = 0; d->started; i++) {
        if (d->started & 1u << i && vhost_user_stop_ring(&d->back_end, i, &err)) {
            log_warn("%s: %s; the device does not come back", d->ops.name, err.text);
            forget(d);
        }
        d->started &= ~(1u << i);
    }
}

static void device_queue(void *device, unsigned index)
{
    (void)device;
    (void)index;
}

static void device_free(void *device)
{
    struct vhost_user_device *d = device;
    vhost_user_close(&d->back_end);
    cleanup_close(&d->errors.fd);
    free(d->spec.text);
    free(d);
}

/* What the guest is offered: what the kind knows, and the back end can. */
static int offer(struct vhost_user_device *d, struct cofre_err *err)
{
    struct virtio_device *virtio = &d->virtio;
    struct vhost_user *b = &d->back_end;
    virtio->queues = d->spec.kind->queues_beside + d->spec.kind->queues_each * d->spec.queues;
    if (!(b->features >> FEATURE_VERSION_1 & 1))
        return cofre_fail(err, COFRE_LACKING, "back end %s: it does not know virtio 1", b->path);
    if (virtio->queues > b->queues)
        return cofre_fail(err, COFRE_LACKING, "back end %s: it serves %" PRIu32 " queues, and %u are needed",
                          b->path, b->queues, virtio->queues);
    virtio->features = b->features & d->spec.kind->features;
    virtio->ring_features &= b->features;
    return d->spec.kind->configure(virtio, b, &d->spec, err);
}

static int watch(struct vhost_user_device *d, struct cofre_err *err)
{
    struct loop *loop = virtio_loop(&d->virtio, 0);
    d->speaks = (struct loop_source){.fd = d->back_end.fd, .ready = back_end_speaks, .context = d};
    if (!loop_watch(loop, &d->speaks, EPOLLIN) || !loop_watch(loop, &d->errors, EPOLLIN))
        return cofre_fail(err, COFRE_FAILED, "back end %s: %s", d->spec.path, strerror(errno));
    return 0;
}

static int open_device(struct vhost_user_device *d, const char *spec, struct cofre_err *err)
{
    int rc = vhost_user_spec_parse(&d->spec, spec, err);
    const struct vhost_user_kind *kind = d->spec.kind;
    if (rc)
        return rc;
    d->ops = kind->ops;
    d->ops.queue_size = QUEUE_SIZE_MAX;
    d->ops.queue = device_queue;
    d->ops.start = device_start;
    d->ops.reset = device_reset;
    d->ops.free = device_free;
    d->errors = (struct loop_source){
        .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .ready = back_end_errs, .context = d};
    rc = d->errors.fd < 0 ? cofre_fail(err, COFRE_FAILED, "eventfd: %s", strerror(errno))
                          : vhost_user_connect(&d->back_end, d->spec.path, err);
    return rc ? rc : vhost_user_greet(&d->back_end, err);
}

int virtio_vhost_user_new(struct virtio_device **out, const char *spec, struct cofre_err *err)
{
    struct vhost_user_device *d = calloc(1, sizeof *d);
    if (!d)
        return cofre_fail(err, COFRE_FAILED, "--vhost-user %s: out of memory", spec);
    d->errors.fd = d->back_end.fd = -1;
    int rc = open_device(d, spec, err);
    if (rc == 0)
        rc = virtio_init(&d->virtio, &d->ops, d, err);
    if (rc) {
        device_free(d);
        return rc;
    }
    rc = offer(d, err);
    if (rc == 0)
        rc = watch(d, err);
    if (rc) {
        virtio_free(&d->virtio);
        return rc;
    }
    *out = &d->virtio;
    return 0;
}
