/* An SNP guest, launched, on a stand-in for the plain KVM: every descriptor is an empty file, what vCPUs have are variables, and page
 * tables map every address to itself, with the C-bit where the address has it. */
#ifndef COFRE_TESTS_UNIT_EMU_SNP_GUEST_H
#define COFRE_TESTS_UNIT_EMU_SNP_GUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/emu/memory.h"
#include "vmm/emu/module/cofre_ud.h"
#include "vmm/kvm/uapi.h"

#define RAM       (16u << 12)
#define VMSA      0x0000ull /* launched, as all below UNUSABLE is: with snp_guest_first_page */
#define USABLE    0x1000ull
#define VMGEXIT   0x1000ull /* the instructions that lie there */
#define RMPADJUST 0x1010ull
#define TABLES    0x2000ull
#define UNUSABLE  0x3000ull
#define SHARED    0x8000ull /* from here on */
#define C         EMU_HIGH_MASK

/* How a run of the plain vCPU ends; the last of the plan's goes on. */
struct plain_run {
    int error;
    uint32_t mp_state;  /* after it */
    void (*exit)(void); /* where there is no error: makes the exit of it */
};

extern const struct kvm_backend *const kvm;
extern struct plain_vcpu {
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    struct kvm_xsave xsave;
    struct kvm_xcrs xcrs;
    struct cofre_ud_fault seen; /* by the module, in each run */
    const struct plain_run *plan;
    unsigned runs;
    uint32_t mp_state, entered; /* entered: mp_state as the last run began */
    bool loaded;                /* registers were set since the launch */
} plain;
extern struct kvm_run *run;              /* of the vCPU in use */
extern int vcpu;                         /* it: the last, or what snp_guest_use says */
extern const void *snp_guest_first_page; /* 4 KiB, or NULL for zeros */
extern uint8_t *snp_guest_shared;        /* at SHARED */

/* With so many vCPUs. */
void snp_guest_launch(unsigned vcpus);
void snp_guest_use(unsigned index);
void snp_guest_free(void);
void set_private(uint64_t gpa, uint64_t size, bool private);

#endif
