#include "vmm/emu/gmem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/emu/memory.h"

uint64_t gmem_flags(bool plain)
{
    return GUEST_MEMFD_FLAG_MMAP | (plain ? GUEST_MEMFD_FLAG_INIT_SHARED : 0);
}

int gmem_create(struct emu_gmem **out, const struct uapi_create_guest_memfd *create, bool plain, int *fd)
{
    const uint64_t size = create->size;
    if (create->flags & ~gmem_flags(plain) || size == 0 || size % EMU_PAGE_SIZE || (int64_t)size < 0)
        return -EINVAL;
    CLEAN_FREE struct emu_gmem *gmem = calloc(1, sizeof(*gmem));
    CLEAN_FD file = memfd_create("cofre-guest-memfd", MFD_CLOEXEC);
    if (!gmem || file < 0)
        return -ENOMEM;
    CLEAN_FD own = fcntl(file, F_DUPFD_CLOEXEC, 0);
    if (own < 0 || ftruncate(file, (off_t)size) != 0)
        return -errno;
    gmem->map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, own, 0);
    if (gmem->map == MAP_FAILED)
        return -ENOMEM;
    gmem->size = size;
    gmem->flags = create->flags;
    gmem->refs = 1;
    gmem->fd = TAKE_FD(own);
    *fd = TAKE_FD(file);
    *out = TAKE_PTR(gmem);
    return 0;
}

void gmem_get(struct emu_gmem *gmem)
{
    __atomic_add_fetch(&gmem->refs, 1, __ATOMIC_RELAXED);
}

void gmem_put(struct emu_gmem *gmem)
{
    if (!gmem || __atomic_sub_fetch(&gmem->refs, 1, __ATOMIC_ACQ_REL))
        return;
    munmap(gmem->map, gmem->size);
    close(gmem->fd);
    free(gmem);
}

int gmem_check_region(const struct emu_gmem *gmem, const struct uapi_memory_region2 *region)
{
    if (region->flags & (KVM_MEM_READONLY | KVM_MEM_LOG_DIRTY_PAGES))
        return -EINVAL;
    const uint64_t offset = region->guest_memfd_offset;
    if (offset % EMU_PAGE_SIZE || offset > gmem->size || region->memory_size > gmem->size - offset)
        return -EINVAL;
    return 0;
}

/* Private pages raise SIGBUS, as what lies beyond a file's end does. */
static void *map_nothing(void *address, size_t len, int protection, int flags)
{
    CLEAN_FD empty = memfd_create("cofre-guest-memfd-private", MFD_CLOEXEC);
    return empty < 0 ? MAP_FAILED : mmap(address, len, protection, flags, empty, 0);
}

void *gmem_mmap(const struct emu_gmem *gmem, void *address, size_t len, int protection, int flags,
                off_t offset)
{
    const int type = flags & MAP_TYPE;
    if (!(gmem->flags & GUEST_MEMFD_FLAG_MMAP)) {
        errno = ENODEV;
        return MAP_FAILED;
    }
    if (type != MAP_SHARED && type != MAP_SHARED_VALIDATE) {
        errno = EINVAL;
        return MAP_FAILED;
    }
    if (!(gmem->flags & GUEST_MEMFD_FLAG_INIT_SHARED))
        return map_nothing(address, len, protection, flags);
    return mmap(address, len, protection, flags, gmem->fd, offset);
}
