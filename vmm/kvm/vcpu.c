#include "vmm/kvm/vcpu.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "vmm/base/log.h"
#include "vmm/kvm/trace.h"

#define LOG_ROOM "kvm"

int kvm_vcpu_create(struct kvm_vcpu *out, struct kvm_vm *vm, unsigned id, struct cofre_err *err)
{
    const struct kvm *kvm = vm->kvm;
    *out = (struct kvm_vcpu){.vm = vm, .id = id};
    out->fd = kvm_call(kvm, vm->fd, KVM_CREATE_VCPU, (void *)(uintptr_t)id);
    if (out->fd < 0)
        return cofre_within(err, kvm_call_failed(err, KVM_CREATE_VCPU), "vCPU %u", id);
    void *run = kvm->backend->mmap(NULL, kvm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, out->fd, 0);
    if (run == MAP_FAILED) {
        int saved = errno;
        kvm_vcpu_close(out);
        return cofre_fail(err, COFRE_FAILED, "vCPU %u: mapping its run area: %s", id, strerror(saved));
    }
    out->run = run;
    return 0;
}

void kvm_vcpu_close(struct kvm_vcpu *vcpu)
{
    if (!vcpu->vm)
        return;
    const struct kvm *kvm = vcpu->vm->kvm;
    if (vcpu->run)
        kvm->backend->munmap(vcpu->run, kvm->run_size);
    if (vcpu->fd >= 0)
        kvm->backend->close(vcpu->fd);
    vcpu->run = NULL;
    vcpu->fd = -1;
}

int kvm_vcpu_tdx_command(struct kvm_vcpu *vcpu, uint32_t id, uint32_t flags, uint64_t data,
                         uint64_t *hw_error)
{
    return kvm_tdx_command(vcpu->vm->kvm, vcpu->fd, id, flags, data, hw_error);
}

/* The kernel reports a memory fault both ways: an exit reason, and a call that fails. */
static bool is_memory_fault(int error, const struct kvm_run *run)
{
    return (error == EFAULT || error == EHWPOISON) && run->exit_reason == KVM_EXIT_MEMORY_FAULT;
}

int kvm_vcpu_run(struct kvm_vcpu *vcpu)
{
    const struct kvm *kvm = vcpu->vm->kvm;
    vcpu->run->exit_reason = KVM_EXIT_UNKNOWN;
    int rc = kvm->backend->ioctl(vcpu->fd, KVM_RUN, NULL);
    int error = rc < 0 ? errno : 0;
    if (is_memory_fault(error, vcpu->run))
        error = 0;
    if (kvm->traced) {
        char words[256];
        kvm_exit_describe(words, sizeof words, vcpu->run);
        log_debug("[%d] vCPU %u: KVM_RUN: %s", vcpu->fd, vcpu->id, error ? strerrorname_np(error) : words);
    }
    return error;
}

/* The structures are only read by the calls that set something. */
static int vcpu_call(struct kvm_vcpu *vcpu, unsigned long request, const void *argument,
                     struct cofre_err *err)
{
    if (kvm_call(vcpu->vm->kvm, vcpu->fd, request, (void *)(uintptr_t)argument) >= 0)
        return 0;
    return cofre_within(err, kvm_call_failed(err, request), "vCPU %u", vcpu->id);
}

int kvm_vcpu_set_cpuid(struct kvm_vcpu *vcpu, const struct kvm_cpuid2 *cpuid, struct cofre_err *err)
{
    return vcpu_call(vcpu, KVM_SET_CPUID2, cpuid, err);
}

int kvm_vcpu_get_regs(struct kvm_vcpu *vcpu, struct kvm_regs *out, struct cofre_err *err)
{
    return vcpu_call(vcpu, KVM_GET_REGS, out, err);
}

int kvm_vcpu_set_regs(struct kvm_vcpu *vcpu, const struct kvm_regs *regs, struct cofre_err *err)
{
    return vcpu_call(vcpu, KVM_SET_REGS, regs, err);
}

int kvm_vcpu_get_sregs(struct kvm_vcpu *vcpu, struct kvm_sregs *out, struct cofre_err *err)
{
    return vcpu_call(vcpu, KVM_GET_SREGS, out, err);
}

int kvm_vcpu_set_sregs(struct kvm_vcpu *vcpu, const struct kvm_sregs *sregs, struct cofre_err *err)
{
    return vcpu_call(vcpu, KVM_SET_SREGS, sregs, err);
}

int kvm_vcpu_set_fpu(struct kvm_vcpu *vcpu, const struct kvm_fpu *fpu, struct cofre_err *err)
{
    return vcpu_call(vcpu, KVM_SET_FPU, fpu, err);
}

int kvm_vcpu_set_xcr0(struct kvm_vcpu *vcpu, uint64_t value, struct cofre_err *err)
{
    struct kvm_xcrs xcrs = {.nr_xcrs = 1, .xcrs = {{.xcr = 0, .value = value}}};
    return vcpu_call(vcpu, KVM_SET_XCRS, &xcrs, err);
}

int kvm_vcpu_set_msr(struct kvm_vcpu *vcpu, uint32_t index, uint64_t value, struct cofre_err *err)
{
    struct {
        struct kvm_msrs head;
        struct kvm_msr_entry entry;
    } msrs = {.head.nmsrs = 1, .entry = {.index = index, .data = value}};
    int rc = kvm_call(vcpu->vm->kvm, vcpu->fd, KVM_SET_MSRS, &msrs);
    if (rc == 1)
        return 0;
    if (rc < 0)
        return cofre_within(err, kvm_call_failed(err, KVM_SET_MSRS), "vCPU %u", vcpu->id);
    return cofre_fail(err, COFRE_FAILED, "vCPU %u: KVM_SET_MSRS: KVM refuses %#llx for register %#x",
                      vcpu->id, (unsigned long long)value, index);
}

int kvm_vcpu_get_mp_state(struct kvm_vcpu *vcpu, uint32_t *state, struct cofre_err *err)
{
    struct kvm_mp_state mp = {0};
    int rc = vcpu_call(vcpu, KVM_GET_MP_STATE, &mp, err);
    *state = mp.mp_state;
    return rc;
}

int kvm_vcpu_set_mp_state(struct kvm_vcpu *vcpu, uint32_t state, struct cofre_err *err)
{
    struct kvm_mp_state mp = {.mp_state = state};
    return vcpu_call(vcpu, KVM_SET_MP_STATE, &mp, err);
}
