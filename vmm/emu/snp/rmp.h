/*
 * The shadow RMP: what the reverse map table would hold for one guest, by guest frame number, and KVM's memory
 * attributes beside it. PVALIDATE and RMPADJUST are AMD64 Architecture Programmer's Manual volume 3 (24594), with the VMPL at
 * which they are executed.
 *
 * Of a lower VMPL's four permissions two are kept, as one: a page is open to it with reading and writing, else closed. The plain
 * KVM could not tell execution from reading, and nobody opens pages for reading alone. They go with the page's validation,
 * so that who validates it again must open it again.
 *
 * KVM assigns a page to the guest when it is first touched as private, so once the launch is finished "assigned" and
 * "has the private attribute" are the same here; before, only the launched pages are assigned.
 */
#ifndef COFRE_EMU_SNP_RMP_H
#define COFRE_EMU_SNP_RMP_H

#include "vmm/emu/gfn_set.h"

struct rmp {
    struct gfn_set private;   /* KVM_MEMORY_ATTRIBUTE_PRIVATE */
    struct gfn_set launched;  /* assigned by the launch commands */
    struct gfn_set validated; /* private and validated by the guest, or by the launch */
    struct gfn_set vmsa;      /* RMPADJUST made it a VMSA page */
    struct gfn_set open[3];   /* to VMPL 1, 2 and 3; validated, too */
};

#define RMP_VMPLS 4
/* What software at this VMPL may touch of private memory. */
const struct gfn_set *rmp_usable(const struct rmp *rmp, unsigned vmpl);

void rmp_free(struct rmp *rmp);

/* A change of the attribute; a page that becomes shared loses everything. 0 or -ENOMEM. */
int rmp_set_private(struct rmp *rmp, uint64_t start, uint64_t end, bool private);
/* A page given by the launch: assigned and validated. 0 or -ENOMEM. */
int rmp_launch(struct rmp *rmp, uint64_t gfn);

/* What EAX holds after PVALIDATE and RMPADJUST; negative values never reach it. */
enum rmp_status {
    RMP_SUCCESS = 0,
    RMP_FAIL_INPUT = 1,
    RMP_FAIL_PERMISSION = 2,
    RMP_FAIL_SIZEMISMATCH = 6,
    RMP_NOT_ASSIGNED = -1,  /* nested page fault: not private memory of this guest */
    RMP_NOT_VALIDATED = -2, /* #VC PAGE_NOT_VALIDATED to the guest */
    RMP_NO_MEMORY = -3,     /* the emulation's own failure */
};

#define RMP_LARGE_PAGES 512 /* 4 KiB pages of a 2 MiB page */

/* *unchanged becomes the carry flag: the page already was in that state. */
enum rmp_status rmp_pvalidate(struct rmp *rmp, unsigned vmpl, uint64_t gfn, bool large, bool validate,
                              bool *unchanged);

#define RMPADJUST_READ  (1ull << 8)
#define RMPADJUST_WRITE (1ull << 9)
#define RMPADJUST_VMSA  (1ull << 16)
enum rmp_status rmp_adjust(struct rmp *rmp, unsigned vmpl, uint64_t gfn, bool large, uint64_t attributes);

#endif
