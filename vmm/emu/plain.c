#include "vmm/emu/plain.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/emu/emu.h"
#include "vmm/emu/host.h"

struct emu_plain {
    unsigned refs;
    pthread_mutex_t lock;
    bool bound[EMU_SLOTS_MAX]; /* the slot has a guest_memfd, and can only be deleted */
};

int plain_new(struct emu_plain **out)
{
    struct emu_plain *plain = calloc(1, sizeof(*plain));
    if (!plain)
        return -ENOMEM;
    plain->refs = 1;
    pthread_mutex_init(&plain->lock, NULL);
    *out = plain;
    return 0;
}

void plain_get(struct emu_plain *plain)
{
    __atomic_add_fetch(&plain->refs, 1, __ATOMIC_RELAXED);
}

void plain_put(struct emu_plain *plain)
{
    if (!plain || __atomic_sub_fetch(&plain->refs, 1, __ATOMIC_ACQ_REL))
        return;
    pthread_mutex_destroy(&plain->lock);
    free(plain);
}

static int create_gmem(struct emu_plain *plain, const struct uapi_create_guest_memfd *create)
{
    struct emu_gmem *gmem;
    int fd;
    int rc = gmem_create(&gmem, create, true, &fd);
    if (rc == 0)
        rc = emu_register_gmem(fd, gmem, NULL, plain);
    return rc ? rc : fd;
}

/* This host's kernel need not know guest_memfd, nor the call's second form. */
static int set_host_region(int fd, const struct uapi_memory_region2 *region, uint64_t address)
{
    struct kvm_userspace_memory_region plain = {
        .slot = region->slot,
        .flags = region->flags & ~(uint32_t)KVM_MEM_GUEST_MEMFD,
        .guest_phys_addr = region->guest_phys_addr,
        .memory_size = region->memory_size,
        .userspace_addr = address,
    };
    return host_ioctl(fd, KVM_SET_USER_MEMORY_REGION, &plain);
}

/* Where the guest finds the slot's memory. */
static int address_of(const struct emu_plain *plain, const struct uapi_memory_region2 *region,
                      uint64_t *address)
{
    if (fcntl((int)region->guest_memfd, F_GETFD) < 0)
        return -EBADF;
    const struct emu_gmem *gmem = emu_gmem_of((int)region->guest_memfd, NULL, plain);
    if (!gmem || *address % EMU_PAGE_SIZE || gmem_check_region(gmem, region) != 0)
        return -EINVAL;
    if (gmem->flags & GUEST_MEMFD_FLAG_MMAP)
        *address = (uintptr_t)gmem->map + region->guest_memfd_offset;
    return 0;
}

/* kvm_set_memory_region */
static int set_region(struct emu_plain *plain, int fd, const struct uapi_memory_region2 *region)
{
    const bool wants = region->flags & KVM_MEM_GUEST_MEMFD && region->memory_size;
    uint64_t address = region->userspace_addr;
    if (region->slot >= EMU_SLOTS_MAX)
        return -EINVAL;
    pthread_mutex_lock(&plain->lock);
    int rc = plain->bound[region->slot] && region->memory_size ? -EINVAL : 0;
    if (rc == 0 && wants)
        rc = address_of(plain, region, &address);
    if (rc == 0)
        rc = set_host_region(fd, region, address);
    if (rc == 0)
        plain->bound[region->slot] = wants;
    pthread_mutex_unlock(&plain->lock);
    return rc;
}

static int set_old_region(struct emu_plain *plain, int fd, const struct kvm_userspace_memory_region *old)
{
    const struct uapi_memory_region2 region = {
        .slot = old->slot,
        .flags = old->flags,
        .guest_phys_addr = old->guest_phys_addr,
        .memory_size = old->memory_size,
        .userspace_addr = old->userspace_addr,
    };
    return old->flags & KVM_MEM_GUEST_MEMFD ? -EINVAL : set_region(plain, fd, &region);
}

static int check_extension(int fd, unsigned long capability)
{
    switch (capability) {
    case KVM_CAP_GUEST_MEMFD:
    case KVM_CAP_USER_MEMORY2:
        return 1;
    case KVM_CAP_GUEST_MEMFD_FLAGS:
        return (int)gmem_flags(true);
    case KVM_CAP_MEMORY_ATTRIBUTES:
        return 0;
    case KVM_CAP_NR_MEMSLOTS:
        return EMU_SLOTS_MAX;
    default:
        return host_ioctl_value(fd, KVM_CHECK_EXTENSION, capability);
    }
}

int plain_ioctl(struct emu_plain *plain, int fd, unsigned long request, void *argument)
{
    switch (request) {
    case KVM_CHECK_EXTENSION:
        return check_extension(fd, (uintptr_t)argument);
    case KVM_CREATE_GUEST_MEMFD:
        return create_gmem(plain, argument);
    case KVM_SET_USER_MEMORY_REGION:
        return set_old_region(plain, fd, argument);
    case KVM_SET_USER_MEMORY_REGION2:
        return set_region(plain, fd, argument);
    case KVM_SET_MEMORY_ATTRIBUTES:
        return -ENOTTY; /* no attribute is supported */
    default:
        return host_ioctl(fd, request, argument);
    }
}
