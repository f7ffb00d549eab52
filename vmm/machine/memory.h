/*
 * The guest's memory: RAM below 3 GiB and from 4 GiB on, pages of the launch image beside it (a reset vector), the
 * staging window and the shim's GHCB page (map: vmm/shim/abi.h). RAM lies in a memfd, so that whoever stands behind KVM can map it too. A confidential guest's RAM
 * has a private side besides, which the host never maps; each page shows one of them, and the copy that it does not
 * show is given back to the host.
 */
#ifndef COFRE_MACHINE_MEMORY_H
#define COFRE_MACHINE_MEMORY_H

#include <pthread.h>
#include <stdbool.h>

#include "vmm/devices/memory.h"
#include "vmm/kvm/vm.h"
#include "vmm/machine/boot.h"

/* How the host backs it. Huge pages are of its pool (hugetlbfs), all of them taken at the launch, and never swapped: a plain guest's only,
 * since a guest_memfd has none (Linux 7.3). Locked: nothing of it is ever swapped, and what the guest begins with is
 * taken at the launch: a plain guest's whole RAM, a confidential guest's private side; its shared side follows page by page. */
struct memory_kind {
    uint64_t
        huge; /* bytes of a huge page, MEMORY_HUGE_2M or MEMORY_HUGE_1G; 0: pages as the host gives them */
    bool locked;
};
#define MEMORY_HUGE_2M (2ull << 20)
#define MEMORY_HUGE_1G (1ull << 30)

struct machine_memory {
    struct kvm_vm *vm;
    struct memory_kind kind;
    bool is_private;   /* RAM has a private side */
    int shared, guest; /* memfd, and guest_memfd or -1: RAM's ranges lie in both one after the other */
    struct shim_ram ram[2];
    unsigned ram_count;
    uint8_t *host; /* all of the memfd */
    uint64_t size;
    struct {
        uint64_t gpa, size;
        uint8_t *host;
        int guest;           /* guest_memfd, or -1 */
    } beside;                /* what the launch image has outside RAM; size 0: nothing */
    uint8_t *staging, *ghcb; /* NULL where there is none (any more) */
    uint64_t staging_size;
    struct guest_memory view; /* what devices and a TEE may touch: RAM's shared side and the GHCB page */
    pthread_mutex_t lock;     /* conversions and the window's removal come from any vCPU's thread */
};

/* Slots for RAM. is_private is asked for by a TEE. machine_memory_free in any case. A plain guest's RAM is of huge pages
 * where the host gives them to who asks (shmem_enabled is "advise"); a guest_memfd has none to give (Linux 7.3). */
int machine_memory_init(struct machine_memory *mem, struct kvm_vm *vm, uint64_t size, bool is_private,
                        const struct memory_kind *kind, struct cofre_err *err);
/* Takes and locks what its kind says, from the nodes that it is bound to by now. COFRE_LACKING where the host has not got it. */
int machine_memory_take(struct machine_memory *mem, struct cofre_err *err);
/* After this nothing may run. */
void machine_memory_free(struct machine_memory *mem);

/* The slot for what the launch image has outside RAM: from the first of these ranges to the end of the last. */
int machine_memory_add_beside(struct machine_memory *mem, const struct launch_image *image,
                              struct cofre_err *err);
/* The slots beside RAM that are shared: the staging window, which is the config's and this memory's to unmap from here on, and
 * for a TEE the shim's GHCB page. */
int machine_memory_stage(struct machine_memory *mem, const struct boot_config *config, struct cofre_err *err);
/* Takes the staging window away; nothing when it is gone already. */
int machine_memory_unstage(struct machine_memory *mem, struct cofre_err *err);

/* Writes a launch image into the shared side of RAM and of what is beside it: how a guest without a TEE is loaded. */
int machine_memory_load(struct machine_memory *mem, const struct launch_image *image, struct cofre_err *err);

/* All of RAM, and what the image has beside it, shows its private side: before a TEE loads its image. */
int machine_memory_all_private(struct machine_memory *mem, struct cofre_err *err);

/*
 * The guest asks for pages to be private or shared. COFRE_MALFORMED, and nothing done, for what no guest of this size
 * can ask for: a range that is not of whole pages, wraps, or ends above RAM; private where there is no private side.
 * Shared succeeds for addresses that are no RAM: devices.
 */
int machine_memory_convert(struct machine_memory *mem, uint64_t gpa, uint64_t size, bool to_private,
                           struct cofre_err *err);

#endif
