#include "vmm/emu/ioevent.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct ioevent {
    struct kvm_ioeventfd what; /* its fd is the caller's number, by which it is removed again */
    int fd;                    /* our own of the same eventfd */
};

void ioevents_init(struct ioevents *events)
{
    *events = (struct ioevents){0};
    pthread_mutex_init(&events->lock, NULL);
}

void ioevents_free(struct ioevents *events)
{
    for (size_t i = 0; i < events->count; i++)
        close(events->event[i].fd);
    free(events->event);
    pthread_mutex_destroy(&events->lock);
}

static int add(struct ioevents *events, const struct kvm_ioeventfd *what)
{
    struct ioevent *array = realloc(events->event, (events->count + 1) * sizeof(*array));
    if (!array)
        return -ENOMEM;
    events->event = array;
    const int fd = fcntl(what->fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    array[events->count++] = (struct ioevent){*what, fd};
    return 0;
}

static bool same(const struct kvm_ioeventfd *a, const struct kvm_ioeventfd *b)
{
    const unsigned flags = a->flags & ~KVM_IOEVENTFD_FLAG_DEASSIGN;
    return a->addr == b->addr && a->len == b->len && a->fd == b->fd && flags == b->flags &&
           (!(flags & KVM_IOEVENTFD_FLAG_DATAMATCH) || a->datamatch == b->datamatch);
}

static void remove_one(struct ioevents *events, const struct kvm_ioeventfd *what)
{
    for (size_t i = 0; i < events->count; i++)
        if (same(what, &events->event[i].what)) {
            close(events->event[i].fd);
            events->event[i] = events->event[--events->count];
            return;
        }
}

int ioevents_change(struct ioevents *events, const struct kvm_ioeventfd *change)
{
    pthread_mutex_lock(&events->lock);
    int rc = 0;
    if (change->flags & KVM_IOEVENTFD_FLAG_DEASSIGN)
        remove_one(events, change);
    else
        rc = add(events, change);
    pthread_mutex_unlock(&events->lock);
    return rc;
}

static bool fits(const struct kvm_ioeventfd *e, bool port, uint64_t address, const uint8_t *data,
                 unsigned len)
{
    uint64_t value = 0;
    if (!!(e->flags & KVM_IOEVENTFD_FLAG_PIO) != port || e->addr != address || (e->len && e->len != len))
        return false;
    if (!(e->flags & KVM_IOEVENTFD_FLAG_DATAMATCH))
        return true;
    memcpy(&value, data, len);
    return value == e->datamatch;
}

static bool signal_one(struct ioevents *events, bool port, uint64_t address, const uint8_t *data,
                       unsigned len)
{
    static const uint64_t one = 1;
    bool found = false;
    pthread_mutex_lock(&events->lock);
    for (size_t i = 0; i < events->count && !found; i++)
        if (fits(&events->event[i].what, port, address, data, len))
            found = write(events->event[i].fd, &one, sizeof(one)) == sizeof(one) || errno == EAGAIN;
    pthread_mutex_unlock(&events->lock);
    return found;
}

bool ioevents_signal(struct ioevents *events, const struct kvm_run *run)
{
    if (run->exit_reason == KVM_EXIT_MMIO && run->mmio.is_write && run->mmio.len <= 8)
        return signal_one(events, false, run->mmio.phys_addr, run->mmio.data, run->mmio.len);
    if (run->exit_reason == KVM_EXIT_IO && run->io.direction == KVM_EXIT_IO_OUT && run->io.count == 1)
        return signal_one(events, true, run->io.port, (const uint8_t *)run + run->io.data_offset,
                          run->io.size);
    return false;
}
