/* One TD on a stand-in for the plain KVM: every descriptor is an empty file, the vCPU's registers are variables. */
#ifndef COFRE_TESTS_UNIT_EMU_TD_H
#define COFRE_TESTS_UNIT_EMU_TD_H

#include <stdbool.h>
#include <stdint.h>

#include "tdx/abi.h"
#include "tdx/status.h"
#include "vmm/emu/module/cofre_ud.h"
#include "vmm/kvm/backend.h"
#include "vmm/kvm/uapi.h"

#define TD_RAM      (8u << 20)  /* slot 0, with a guest_memfd */
#define TD_CODE     0x1000u     /* a page that go_to(TD_RUNS) adds and measures: a TDCALL, then zeros */
#define TD_DATA     0x2000u     /* a page of zeros, added, not measured */
#define TD_HOST_FMS 0x00800f12u /* what CPUID names the processor below */

extern const struct kvm_backend *const kvm;
extern struct plain { /* the plain vCPU, and what happened to it */
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    struct kvm_guest_debug debug;
    struct kvm_vcpu_events events;
    struct kvm_mp_state mp;
    struct kvm_run *run;
    uint64_t msr; /* every MSR's value */
    unsigned runs;
    unsigned exits; /* KVM_RUN still to leave with exit_reason; afterwards it is interrupted */
    uint32_t exit_reason;
    int run_error;                      /* of the next KVM_RUN */
    struct cofre_ud_fault fault;        /* ... and what the module has seen in it */
    struct kvm_cpuid_entry2 cpuid[256]; /* as set */
    unsigned cpuid_count;
} plain;

struct td {
    int kvm, vm, vcpu, gmem;
    uint8_t *ram;
    uint64_t hw_error; /* of the last command */
};
extern struct td td;

int td_set_up(void **state);
int td_tear_down(void **state);
#define ON_A_TD(test) cmocka_unit_test_setup_teardown(test, td_set_up, td_tear_down)

/* All 0 or errno. */
int vm_ioctl(unsigned long request, void *argument);
int vcpu_ioctl(unsigned long request, void *argument);
int vm_command(uint32_t id, uint32_t flags, const void *data);
int vcpu_command(uint32_t id, uint32_t flags, uint64_t data);
int init_vm_with(const struct kvm_cpuid_entry2 *entry, uint32_t n, uint64_t attributes, uint64_t xfam);
int init_vm(void);
int split_irqchip(void);
int add_vcpu(void);
int set_cpuid(uint32_t leaf_1_ecx);
int init_vcpu(void);
int set_private(uint64_t gpa, uint64_t size, bool is_private);
int add_pages(uint64_t gpa, const void *source, uint64_t pages, bool measure);
int finalize(void);
int run(void);

enum td_phase { TD_CREATED, TD_INITIALISED, TD_RUNS };
/* TD_INITIALISED with a vCPU that INIT_VCPU initialised, where there is to be one. */
void go_to(enum td_phase phase, bool with_vcpu);

/* The guest executes TDCALL with the registers as they are in plain.regs; then it is interrupted. What KVM_RUN gave. */
int tdcall(void);
/* The same with these operands. */
int leaf(uint64_t number, uint64_t rcx, uint64_t rdx, uint64_t r8);
/* TDG.VP.VMCALL that exposes all registers. */
int vmcall(uint64_t function, uint64_t r12, uint64_t r13, uint64_t r14, uint64_t r15);
#define ALL_EXPOSED 0xffccull

#endif
