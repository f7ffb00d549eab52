/*
 * A confidential guest's memory on plain KVM. A slot with a guest_memfd becomes two slots of the plain KVM: one at its
 * address (the low view) and one at the address with EMU_HIGH_BIT (the high view), which is SNP's C-bit and TDX's shared
 * bit. What each view shows of a page depends on the page's kind, by a table of the TEE. A slot without guest_memfd is
 * shared memory, in the view where the TEE has that.
 *
 * Which pages are private, and which of those the guest may touch, is the TEE's to say (struct memory_pages). Every
 * call takes the lock itself, but those named _locked; results are 0 or -errno as the kernel would give.
 */
#ifndef COFRE_EMU_MEMORY_H
#define COFRE_EMU_MEMORY_H

#include <pthread.h>

#include "vmm/emu/gfn_set.h"
#include "vmm/emu/gmem.h"
#include "vmm/kvm/uapi.h"

#define EMU_HIGH_BIT  47
#define EMU_HIGH_MASK (1ull << EMU_HIGH_BIT)
#define EMU_PAGE_SIZE 4096ull
#define EMU_SLOTS_MAX 0x2000u /* slots of the caller's; the plain KVM has more than twice as many */

enum page_kind { PAGE_SHARED, PAGE_UNUSABLE, PAGE_USABLE, PAGE_KINDS }; /* the last two are private */
enum page_shows { SHOW_NOTHING, SHOW_CALLER, SHOW_GMEM };
enum memory_view { VIEW_LOW, VIEW_HIGH, VIEWS };

/* What the TEE knows of pages, called with the memory's lock held. */
struct memory_pages {
    void *state;
    const struct gfn_set *private;    /* KVM_MEMORY_ATTRIBUTE_PRIVATE */
    const struct gfn_set *usable;     /* of these, what the guest may touch */
    uint8_t shows[VIEWS][PAGE_KINDS]; /* enum page_shows */
    enum memory_view shared_view;     /* of a slot without guest_memfd */
    /* The attribute changes: all that was known of pages that become shared is forgotten. 0 or -errno. */
    int (*set_private)(void *state, uint64_t start, uint64_t end, bool private);
    /* May the launch still give this page? 0 or -errno; then that it has given it. */
    int (*may_launch)(void *state, uint64_t gfn);
    int (*launched)(void *state, uint64_t gfn);
};

struct emu_slot {
    uint32_t id;
    uint32_t flags;
    uint64_t gpa, size;
    uint8_t *hva; /* the caller's: shared memory */
    struct emu_gmem *gmem;
    uint64_t gmem_offset;
    uint8_t *view[VIEWS]; /* the guest's; NULL without gmem */
};

struct emu_memory {
    pthread_mutex_t lock;
    int vm_fd;
    struct emu_slot *slot;
    size_t count;
    struct memory_pages pages;
};

void memory_init(struct emu_memory *memory, int vm_fd);
void memory_free(struct emu_memory *memory);

/* KVM_SET_USER_MEMORY_REGION2; gmem is what region->guest_memfd names, or NULL. */
int memory_set_region(struct emu_memory *memory, const struct uapi_memory_region2 *region,
                      struct emu_gmem *gmem);
/* KVM_SET_MEMORY_ATTRIBUTES */
int memory_set_attributes(struct emu_memory *memory, const struct uapi_memory_attributes *attributes);

/* Why the guest may not touch a page. */
enum memory_access { MEMORY_OK, MEMORY_NO_SLOT, MEMORY_SHARED, MEMORY_PRIVATE, MEMORY_UNUSABLE };
/* gpa with or without the high bit. MEMORY_SHARED, MEMORY_PRIVATE: the page is that, and this view does not show it. */
enum memory_access memory_access(struct emu_memory *memory, uint64_t gpa);

/* Shared memory, copied; -EFAULT where it has no slot or is private. */
int memory_read_shared(struct emu_memory *memory, uint64_t gpa, void *out, size_t len);
int memory_write_shared(struct emu_memory *memory, uint64_t gpa, const void *data, size_t len);
/* Bytes of one page as the guest has them there: private where the page is (and usable), else shared. */
int memory_fetch(struct emu_memory *memory, uint64_t gpa, void *out, size_t len);
int memory_store(struct emu_memory *memory, uint64_t gpa, void *data, size_t len);

/* The launch's part on one page: fill gets the private page, already holding source's bytes if there is one, and
 * returns 0 to launch it. A page that is not private gives -EINVAL. */
typedef int (*memory_fill)(void *context, uint64_t gpa, uint8_t *page);
int memory_launch_page(struct emu_memory *memory, uint64_t gpa, const uint8_t *source, memory_fill fill,
                       void *context);
/* The end of the slot with guest_memfd that holds gpa; 0 where there is none. */
uint64_t memory_gmem_slot_end(struct emu_memory *memory, uint64_t gpa);

/* For what a TEE does with its pages: the lock, until the scope ends; the page, private and in a guest_memfd, or NULL;
 * and the views brought up to date after pages' kinds changed. */
void memory_unlock(pthread_mutex_t **lock);
#define MEMORY_LOCKED(memory)                                                                                \
    __attribute__((cleanup(memory_unlock), unused)) pthread_mutex_t *locked = &(memory)->lock;               \
    pthread_mutex_lock(locked)
uint8_t *memory_private_locked(struct emu_memory *memory, uint64_t gpa);
int memory_refresh_locked(struct emu_memory *memory, uint64_t start, uint64_t end);
/* Private memory is all zeros again. */
int memory_zero_locked(struct emu_memory *memory, uint64_t start, uint64_t end);

#endif
