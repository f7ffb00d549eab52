#include "vmm/devices/net_vhost.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

#include "vmm/base/cleanup.h"

#define VHOST_PATH "/dev/vhost-net"

/* VIRTIO_F_ACCESS_PLATFORM is not passed on: to vhost it would mean addresses to be translated, and ours are physical. */
#define KNOWN_FEATURES (NET_VHOST_RING_FEATURES | 1ull << FEATURE_VERSION_1 | NET_BIT(NET_MRG_RXBUF))

static int call(struct net_vhost *vhost, unsigned long request, const void *argument, const char *name,
                struct cofre_err *err)
{
    if (ioctl(vhost->fd, request, argument) == 0)
        return 0;
    return cofre_fail(err, COFRE_FAILED, VHOST_PATH ": %s: %s", name, strerror(errno));
}

int net_vhost_open(struct net_vhost *out, struct cofre_err *err)
{
    *out = (struct net_vhost){.fd = -1, .fault = -1};
    CLEAN_FD fd = open(VHOST_PATH, O_RDWR | O_CLOEXEC);
    if (fd < 0 && (errno == EACCES || errno == EPERM))
        return cofre_fail(err, COFRE_LACKING, VHOST_PATH ": this user may not open it; root can allow it");
    if (fd < 0)
        return cofre_fail(err, COFRE_LACKING,
                          VHOST_PATH ": %s; the kernel's module vhost_net gives it: modprobe vhost_net",
                          strerror(errno));
    CLEAN_FD fault = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fault < 0)
        return cofre_fail(err, COFRE_FAILED, "vhost-net: %s", strerror(errno));
    out->fd = TAKE_FD(fd);
    out->fault = TAKE_FD(fault);
    return 0;
}

void net_vhost_close(struct net_vhost *vhost)
{
    cleanup_close(&vhost->fd);
    cleanup_close(&vhost->fault);
    vhost->fd = vhost->fault = -1;
}

static int own(struct net_vhost *vhost, struct cofre_err *err)
{
    int rc = vhost->owned ? 0 : call(vhost, VHOST_SET_OWNER, NULL, "VHOST_SET_OWNER", err);
    vhost->owned = rc == 0;
    return rc;
}

static int set_memory(struct net_vhost *vhost, const struct guest_memory *mem, struct cofre_err *err)
{
    struct {
        struct vhost_memory head;
        struct vhost_memory_region region[GUEST_REGIONS_MAX];
    } table = {.head.nregions = (uint32_t)mem->count};
    for (size_t i = 0; i < mem->count; i++)
        table.region[i] = (struct vhost_memory_region){.guest_phys_addr = mem->region[i].gpa,
                                                       .memory_size = mem->region[i].len,
                                                       .userspace_addr = (uintptr_t)mem->region[i].host};
    int rc = vhost->knows_memory ? 0 : call(vhost, VHOST_SET_MEM_TABLE, &table, "VHOST_SET_MEM_TABLE", err);
    vhost->knows_memory = rc == 0;
    return rc;
}

static int set_ring(struct net_vhost *vhost, unsigned index, const struct virtio_vring *v,
                    struct cofre_err *err)
{
    const struct vhost_vring_state num = {index, v->size}, base = {index, v->base};
    const struct vhost_vring_addr addr = {.index = index,
                                          .desc_user_addr = (uintptr_t)v->desc,
                                          .avail_user_addr = (uintptr_t)v->avail,
                                          .used_user_addr = (uintptr_t)v->used};
    const struct vhost_vring_file kick = {index, v->kick}, calls = {index, v->call},
                                  fault = {index, vhost->fault};
    const struct {
        unsigned long request;
        const void *argument;
        const char *name;
    } steps[] = {
        {VHOST_SET_VRING_NUM, &num, "VHOST_SET_VRING_NUM"},
        {VHOST_SET_VRING_BASE, &base, "VHOST_SET_VRING_BASE"},
        {VHOST_SET_VRING_ADDR, &addr, "VHOST_SET_VRING_ADDR"},
        {VHOST_SET_VRING_KICK, &kick, "VHOST_SET_VRING_KICK"},
        {VHOST_SET_VRING_CALL, &calls, "VHOST_SET_VRING_CALL"},
        {VHOST_SET_VRING_ERR, &fault, "VHOST_SET_VRING_ERR"},
    };
    int rc = 0;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0] && rc == 0; i++)
        rc = call(vhost, steps[i].request, steps[i].argument, steps[i].name, err);
    return rc;
}

static int set_backend(struct net_vhost *vhost, unsigned index, int fd, struct cofre_err *err)
{
    const struct vhost_vring_file file = {index, fd};
    return call(vhost, VHOST_NET_SET_BACKEND, &file, "VHOST_NET_SET_BACKEND", err);
}

int net_vhost_start(struct net_vhost *vhost, const struct guest_memory *mem, uint64_t features,
                    const struct virtio_vring vring[2], int tap, struct cofre_err *err)
{
    const uint64_t known = features & KNOWN_FEATURES;
    int rc = own(vhost, err);
    if (rc == 0)
        rc = call(vhost, VHOST_SET_FEATURES, &known, "VHOST_SET_FEATURES", err);
    if (rc == 0)
        rc = set_memory(vhost, mem, err);
    for (unsigned i = 0; i < 2 && rc == 0; i++)
        rc = set_ring(vhost, i, &vring[i], err);
    vhost->started = rc == 0;
    for (unsigned i = 0; i < 2 && rc == 0; i++)
        rc = set_backend(vhost, i, tap, err);
    if (rc)
        net_vhost_stop(vhost);
    return rc;
}

void net_vhost_stop(struct net_vhost *vhost)
{
    if (!vhost->started)
        return;
    for (unsigned i = 0; i < 2; i++)
        (void)set_backend(vhost, i, -1, NULL);
    vhost->started = false;
}
