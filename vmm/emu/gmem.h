/*
 * A guest_memfd, as Linux 6.18 and later have it: in truth an ordinary memfd, which the caller holds too. A host's process maps it only
 * where it was made for that (GUEST_MEMFD_FLAG_MMAP), and finds something there only where it began as shared
 * (GUEST_MEMFD_FLAG_INIT_SHARED, in plain machines alone: virt/kvm/guest_memfd.c).
 */
#ifndef COFRE_EMU_GMEM_H
#define COFRE_EMU_GMEM_H

#include <stdbool.h>
#include <sys/types.h>

#include "vmm/kvm/uapi.h"

struct emu_gmem {
    int fd;
    uint64_t size, flags;
    uint8_t *map; /* all of it, whatever the guest's views show */
    unsigned refs;
};

/* KVM_CAP_GUEST_MEMFD_FLAGS of such a machine. */
uint64_t gmem_flags(bool plain);

int gmem_create(struct emu_gmem **out, const struct uapi_create_guest_memfd *create, bool plain, int *fd);
void gmem_get(struct emu_gmem *gmem);
void gmem_put(struct emu_gmem *gmem);

/* A slot's part of it, from region->guest_memfd_offset on: 0 or -EINVAL. */
int gmem_check_region(const struct emu_gmem *gmem, const struct uapi_memory_region2 *region);

/* By the caller, as the system call: MAP_FAILED and errno. */
void *gmem_mmap(const struct emu_gmem *gmem, void *address, size_t len, int protection, int flags,
                off_t offset);

#endif
