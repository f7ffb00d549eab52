/*
 * A confidential guest's memory on plain KVM. A slot with a guest_memfd becomes two slots of the plain KVM: one at its
 * address, one at the address with the C-bit. Both show the guest_memfd where a page is private and validated, nothing
 * where it is private and not validated; where it is shared, the first shows the caller's memory and the second nothing.
 * (The first must show private pages too: page-table walks and instruction fetches are private without a C-bit.)
 * A slot without guest_memfd is shared memory at its address only.
 *
 * Every call takes the lock itself; results are 0 or -errno as the kernel would give.
 */
#ifndef COFRE_EMU_MEMORY_H
#define COFRE_EMU_MEMORY_H

#include <pthread.h>

#include "vmm/emu/rmp.h"
#include "vmm/kvm/uapi.h"

#define EMU_C_BIT     47
#define EMU_C_MASK    (1ull << EMU_C_BIT)
#define EMU_PAGE_SIZE 4096ull
#define EMU_SLOTS_MAX 0x2000u /* slots of the caller's; the plain KVM has more than twice as many */

/* A guest_memfd: in truth an ordinary memfd, which the caller holds too. */
struct emu_gmem {
    int fd;
    uint64_t size;
    uint8_t *map; /* all of it, whatever the guest's views show */
    unsigned refs;
};

int gmem_create(struct emu_gmem **out, uint64_t size, int *fd);
void gmem_put(struct emu_gmem *gmem);

struct emu_slot {
    uint32_t id;
    uint32_t flags;
    uint64_t gpa, size;
    uint8_t *hva; /* the caller's: shared memory */
    struct emu_gmem *gmem;
    uint64_t gmem_offset;
    uint8_t *plain, *cbit; /* the guest's two views; NULL without gmem */
};

struct emu_memory {
    pthread_mutex_t lock;
    int vm_fd;
    struct emu_slot *slot;
    size_t count;
    struct rmp rmp;
};

void memory_init(struct emu_memory *memory, int vm_fd);
void memory_free(struct emu_memory *memory);

/* KVM_SET_USER_MEMORY_REGION2; gmem is what region->guest_memfd names, or NULL. */
int memory_set_region(struct emu_memory *memory, const struct uapi_memory_region2 *region,
                      struct emu_gmem *gmem);
/* KVM_SET_MEMORY_ATTRIBUTES */
int memory_set_attributes(struct emu_memory *memory, const struct uapi_memory_attributes *attributes);

enum rmp_status memory_pvalidate(struct emu_memory *memory, uint64_t gfn, bool large, bool validate,
                                 bool *unchanged);
enum rmp_status memory_rmpadjust(struct emu_memory *memory, uint64_t gfn, bool large, uint64_t attributes);

/* Why the guest may not touch a page. */
enum memory_access { MEMORY_OK, MEMORY_NO_SLOT, MEMORY_SHARED, MEMORY_NOT_VALIDATED };
/* gpa with or without the C-bit. MEMORY_SHARED: private access, by the C-bit, to a shared page. */
enum memory_access memory_access(struct emu_memory *memory, uint64_t gpa);

/* Shared memory, copied; -EFAULT where it has no slot or is private. */
int memory_read_shared(struct emu_memory *memory, uint64_t gpa, void *out, size_t len);
int memory_write_shared(struct emu_memory *memory, uint64_t gpa, const void *data, size_t len);
/* Bytes of one page as the guest's instruction fetches see them: private where the page is (and validated). */
int memory_fetch(struct emu_memory *memory, uint64_t gpa, void *out, size_t len);
int memory_store(struct emu_memory *memory, uint64_t gpa, void *data, size_t len);
/* One whole page that RMPADJUST made a VMSA. */
int memory_read_vmsa(struct emu_memory *memory, uint64_t gpa, void *out);

/* SNP_LAUNCH_UPDATE's part on one page: fill gets the private page, already holding source's bytes if there is one,
 * and returns 0 to launch it. A page that is not private, or is assigned already, gives -EINVAL or -EEXIST. */
typedef int (*memory_fill)(void *context, uint64_t gpa, uint8_t *page);
int memory_launch_page(struct emu_memory *memory, uint64_t gpa, const uint8_t *source, memory_fill fill,
                       void *context);
/* The end of the slot with guest_memfd that holds gpa; 0 where there is none. */
uint64_t memory_gmem_slot_end(struct emu_memory *memory, uint64_t gpa);

#endif
