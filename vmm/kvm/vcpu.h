/* One virtual CPU: its registers, and running it. Calls come from one thread at a time. */
#ifndef COFRE_KVM_VCPU_H
#define COFRE_KVM_VCPU_H

#include "vmm/kvm/vm.h"

struct kvm_vcpu {
    struct kvm_vm *vm;
    int fd;
    unsigned id; /* also its APIC id */
    struct kvm_run *run;
};

/* vm must outlive it. */
int kvm_vcpu_create(struct kvm_vcpu *out, struct kvm_vm *vm, unsigned id, struct cofre_err *err);
void kvm_vcpu_close(struct kvm_vcpu *vcpu);

/*
 * KVM_RUN. Returns 0 with an exit in vcpu->run (a memory fault too, for which the kernel's call fails), else
 * a positive errno: EINTR after a signal or immediate_exit, EAGAIN where it is to be called again.
 */
int kvm_vcpu_run(struct kvm_vcpu *vcpu);

/* A TDX command of a vCPU: as kvm_vm_tdx_command. */
int kvm_vcpu_tdx_command(struct kvm_vcpu *vcpu, uint32_t id, uint32_t flags, uint64_t data,
                         uint64_t *hw_error);

/* After KVM_RUN neither CPUID nor, for a TEE, registers can be set: EINVAL. */
int kvm_vcpu_set_cpuid(struct kvm_vcpu *vcpu, const struct kvm_cpuid2 *cpuid, struct cofre_err *err);
int kvm_vcpu_get_regs(struct kvm_vcpu *vcpu, struct kvm_regs *out, struct cofre_err *err);
int kvm_vcpu_set_regs(struct kvm_vcpu *vcpu, const struct kvm_regs *regs, struct cofre_err *err);
int kvm_vcpu_get_sregs(struct kvm_vcpu *vcpu, struct kvm_sregs *out, struct cofre_err *err);
int kvm_vcpu_set_sregs(struct kvm_vcpu *vcpu, const struct kvm_sregs *sregs, struct cofre_err *err);
int kvm_vcpu_set_fpu(struct kvm_vcpu *vcpu, const struct kvm_fpu *fpu, struct cofre_err *err);
int kvm_vcpu_set_xcr0(struct kvm_vcpu *vcpu, uint64_t value, struct cofre_err *err);
/* Fails where KVM does not take the register or the value. */
int kvm_vcpu_set_msr(struct kvm_vcpu *vcpu, uint32_t index, uint64_t value, struct cofre_err *err);
int kvm_vcpu_get_mp_state(struct kvm_vcpu *vcpu, uint32_t *state, struct cofre_err *err);
int kvm_vcpu_set_mp_state(struct kvm_vcpu *vcpu, uint32_t state, struct cofre_err *err);

#endif
