/*
 * The Secure EPT of one TD: the state of each of its private pages, by guest frame number, and KVM's memory attributes
 * beside it (348549, "Secure EPT management"; accepting: 348551, TDG.MEM.PAGE.ACCEPT).
 *
 * A page that is neither present nor pending is free. KVM maps a free page (TDH.MEM.PAGE.AUG) when it is first touched or
 * accepted, so "free" and "pending" differ only in the size that was mapped: a touch maps 4 KiB, accepting maps what the
 * guest asks for.
 */
#ifndef COFRE_EMU_TDX_SEPT_H
#define COFRE_EMU_TDX_SEPT_H

#include "vmm/emu/gfn_set.h"

struct sept {
    struct gfn_set private; /* KVM_MEMORY_ATTRIBUTE_PRIVATE */
    struct gfn_set present; /* added, or accepted: the guest may touch it */
    struct gfn_set large;   /* of these, what is mapped as 2 MiB */
    struct gfn_set pending; /* mapped as 4 KiB, not accepted */
    struct gfn_set used;    /* was present at some time: its memory may hold something */
};

void sept_free(struct sept *sept);

/* A change of the attribute: pages that become shared are removed. 0 or -ENOMEM. */
int sept_set_private(struct sept *sept, uint64_t start, uint64_t end, bool private);
/* TDH.MEM.PAGE.ADD. 0, -EEXIST where the page is mapped, or -ENOMEM. */
int sept_add(struct sept *sept, uint64_t gfn);
/* The guest touched a private page that is not present: pending from now on. 0 or -ENOMEM. */
int sept_touch(struct sept *sept, uint64_t gfn);
/* A host that removes a present page and maps another in its place: pending again. 0 or -ENOMEM. */
int sept_replace(struct sept *sept, uint64_t gfn);

#define SEPT_LEVEL_4K 0u
#define SEPT_LEVEL_2M 1u
enum sept_result {
    SEPT_ACCEPTED,
    SEPT_ALREADY_ACCEPTED,
    SEPT_SIZE_MISMATCH,
    SEPT_VIOLATION, /* some page is not private: KVM's affair */
    SEPT_NO_MEMORY, /* the emulation's own failure */
};
/* TDG.MEM.PAGE.ACCEPT; gfn is aligned to the level. *level becomes that of the entry which was found. */
enum sept_result sept_accept(struct sept *sept, uint64_t gfn, unsigned *level);
static inline uint64_t sept_pages(unsigned level)
{
    return level == SEPT_LEVEL_2M ? 512 : 1;
}

#endif
