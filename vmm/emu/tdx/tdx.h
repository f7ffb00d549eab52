/*
 * The TDX half of the emulation: KVM's interface for TDs (Linux 7.3, arch/x86/kvm/vmx/tdx.c) and the half of the TDX
 * module that faces a running guest. What is measured and reported is tdx/model's.
 */
#ifndef COFRE_EMU_TDX_TDX_H
#define COFRE_EMU_TDX_TDX_H

#include "tdx/abi.h"
#include "tdx/model/cpuid.h"
#include "tdx/model/module.h"
#include "vmm/emu/emu.h"
#include "vmm/emu/tdx/sept.h"

#define TDX_HOST_CPUS 64 /* processors of the emulated host: KVM gives a TD no more vCPUs */

static_assert(TDX_SHARED_BIT == EMU_HIGH_MASK, "the shared bit is the high view");

enum tdx_state { TD_UNINITIALISED, TD_INITIALISED, TD_RUNNABLE };

struct tdx_vm {
    struct emu_vm emu;
    struct sept sept; /* under the memory's lock */
    _Atomic enum tdx_state state;
    atomic_bool dead; /* KVM's vm_dead: every call gives EIO */
    bool split_irqchip;
    uint32_t tsc_khz;
    struct tdx_td *td;
    uint64_t attributes;
    struct tdx_cpuid cpuid[TDX_CPUID_MAX]; /* what the TD sees */
    size_t cpuid_count;
};

/* Registers by their numbers in instructions: RAX 0, RCX 1, ... R15 15. */
enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15, GPRS };

/* TDG.VP.VMCALL in progress: what the guest shows the host, and what the host changed of it. */
struct tdx_call {
    uint64_t exposed; /* RCX as the guest gave it */
    uint64_t gpr[GPRS];
};

struct tdx_ve_info { /* TDG.VP.VEINFO.GET's RCX, RDX, R8, R9, R10 */
    bool valid;
    uint64_t reason, qualification, gla, gpa, instruction;
};

struct tdx_vcpu {
    struct emu_vcpu emu;
    bool initialised;
    bool halted; /* waits in HLT for an interrupt; RIP stays at the TDCALL meanwhile */
    bool stuck;  /* left with a memory fault that the plain KVM cannot repeat */
    unsigned index;
    uint64_t rflags; /* of a halted vCPU: as the guest left them */
    struct tdx_call call;
    uint64_t map_next, map_end; /* MapGPA: guest addresses, with the shared bit */
    struct tdx_ve_info ve;
};

static inline struct tdx_vm *tdx_vm(struct emu_vm *vm)
{
    return (struct tdx_vm *)vm;
}
static inline struct tdx_vcpu *tdx_vcpu(struct emu_vcpu *vcpu)
{
    return (struct tdx_vcpu *)vcpu;
}
static inline struct tdx_vm *tdx_vm_of(const struct tdx_vcpu *vcpu)
{
    return (struct tdx_vm *)vcpu->emu.vm;
}

/* vm.c: what the module came to, in words of its own; against it a prediction can be held. */
void tdx_say(const char *name, const uint8_t value[TDX_DIGEST_SIZE]);

/* launch.c: KVM_MEMORY_ENCRYPT_OP on the virtual machine, and on a vCPU (with the machine's lock held) */
int tdx_vm_command(struct tdx_vm *vm, struct uapi_tdx_cmd *cmd);
int tdx_vcpu_command(struct tdx_vcpu *vcpu, struct uapi_tdx_cmd *cmd);

/* cpuid.c */
/* KVM_TDX_CAPABILITIES' table: what may be configured. entry has room for TDX_CPUID_MAX. */
unsigned tdx_cpuid_caps(struct kvm_cpuid_entry2 *entry);
/* INIT_VM's table: 0, -EINVAL as KVM refuses, or -EINVAL with the module's *status. Fills in vm->cpuid. */
int tdx_cpuid_init(struct tdx_vm *vm, const struct kvm_cpuid2 *table, uint64_t xfam, tdx_status *status);
/* KVM_TDX_GET_CPUID's table; room for TDX_CPUID_MAX. */
unsigned tdx_cpuid_get(const struct tdx_vm *vm, struct kvm_cpuid_entry2 *entry);
/* The table with which the plain KVM's CPUID answers as the module does, and as Linux then gets from the VMM. */
int tdx_cpuid_adapt(struct emu_vcpu *vcpu, struct kvm_cpuid_entry2 *own, unsigned *n);

/* memory.c */
void tdx_memory_init(struct tdx_vm *vm);
/* TDG.MEM.PAGE.ACCEPT of what is mapped; SEPT_VIOLATION: *gpa is where. */
enum sept_result tdx_memory_accept(struct tdx_vm *vm, uint64_t *gpa, unsigned *level);
int tdx_memory_touch(struct tdx_vm *vm, uint64_t gpa);
/* What a lying host does to a page that the guest has. */
int tdx_memory_replace(struct tdx_vm *vm, uint64_t gpa);

/* vcpu.c */
int tdx_vcpu_init(struct emu_vcpu *vcpu);
void tdx_vcpu_free(struct emu_vcpu *vcpu);
int tdx_vcpu_ioctl(struct emu_vcpu *vcpu, unsigned long request, void *argument);
int tdx_vcpu_enter(struct emu_vcpu *vcpu);
/* TDH.VP.INIT: the registers with which the module starts every vCPU. */
int tdx_vcpu_reset(struct tdx_vcpu *vcpu, uint64_t rcx);

/* fault.c: the guest touched a page that it may not. */
int tdx_untouchable_page(struct tdx_vcpu *vcpu);
int tdx_touched(struct tdx_vcpu *vcpu, enum memory_access access, uint64_t gpa, uint64_t gla);

/* tdcall.c: KVM_RUN left with an undefined opcode */
int tdx_undefined_opcode(struct tdx_vcpu *vcpu);
/* The guest's registers, and RIP behind the TDCALL. */
int tdx_get_gprs(struct tdx_vcpu *vcpu, uint64_t gpr[GPRS]);
int tdx_finish(struct tdx_vcpu *vcpu, const uint64_t gpr[GPRS]);

/* vmcall.c: TDG.VP.VMCALL */
int tdx_vmcall(struct tdx_vcpu *vcpu, const uint64_t gpr[GPRS], tdx_status *status);
/* Back to the guest with what the host made of the exposed registers. */
int tdx_vmcall_return(struct emu_vcpu *vcpu);
static inline int tdx_vmcall_answer(struct tdx_vcpu *vcpu, uint64_t status)
{
    vcpu->call.gpr[R10] = status;
    return tdx_vmcall_return(&vcpu->emu);
}
int tdx_vmcall_io(struct tdx_vcpu *vcpu); /* vmcall_io.c */
int tdx_vmcall_mmio(struct tdx_vcpu *vcpu);
int tdx_vmcall_map_gpa(struct tdx_vcpu *vcpu); /* vmcall_map.c */
int tdx_vmcall_halt(struct tdx_vcpu *vcpu);    /* halt.c */
/* A halted vCPU came to its TDCALL again: an interrupt waits. */
int tdx_halt_end(struct tdx_vcpu *vcpu);

/* msr.c: the MSRs that KVM emulates for TDs. 0 or -EINVAL. */
int tdx_get_msr(struct tdx_vcpu *vcpu, uint32_t index, uint64_t *value);
int tdx_set_msr(struct tdx_vcpu *vcpu, uint32_t index, uint64_t value);

#endif
