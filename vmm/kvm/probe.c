#include "vmm/kvm/probe.h"

#include <stdlib.h>
#include <string.h>

#include "vmm/kvm/vcpu.h"

#define PAGE   4096
#define LOADED 0x1000 /* guest physical address of the page */

/* FSIN, HLT. KVM's instruction emulator does not know the first, so that only a CPU that runs guests gets to the second. */
static const uint8_t program[] = {0xd9, 0xfe, 0xf4};

static int set_flat_protected_mode(struct kvm_vcpu *vcpu, struct cofre_err *err)
{
    struct kvm_sregs sregs;
    int rc = kvm_vcpu_get_sregs(vcpu, &sregs, err);
    if (rc < 0)
        return rc;
    struct kvm_segment flat = {
        .limit = 0xffffffff, .selector = 0x18, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1};
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = flat;
    flat.selector = 0x10;
    flat.type = 11;
    sregs.cs = flat;
    sregs.cr0 |= 1;
    const struct kvm_regs regs = {.rip = LOADED, .rflags = 2};
    rc = kvm_vcpu_set_sregs(vcpu, &sregs, err);
    return rc < 0 ? rc : kvm_vcpu_set_regs(vcpu, &regs, err);
}

static int run_one(struct kvm_vm *vm, void *page, struct cofre_err *err)
{
    const struct kvm_slot slot = {.gpa = LOADED, .size = PAGE, .host = page, .memfd = -1};
    int rc = kvm_vm_slot_set(vm, &slot, err);
    struct kvm_vcpu vcpu;
    if (rc == 0)
        rc = kvm_vcpu_create(&vcpu, vm, 0, err);
    if (rc < 0)
        return rc;
    rc = set_flat_protected_mode(&vcpu, err);
    if (rc == 0) {
        int error = kvm_vcpu_run(&vcpu);
        if (error || vcpu.run->exit_reason != KVM_EXIT_HLT)
            rc = cofre_fail(
                err, COFRE_LACKING,
                "/dev/kvm answers, but the CPU runs no guest: two instructions ended with %s (exit %u)",
                error ? strerror(error) : "another exit than its own", vcpu.run->exit_reason);
    }
    kvm_vcpu_close(&vcpu);
    return rc;
}

int kvm_probe(const struct kvm *kvm, struct cofre_err *err)
{
    uint8_t *page = aligned_alloc(PAGE, PAGE);
    if (!page)
        return cofre_fail(err, COFRE_FAILED, "no memory");
    memcpy(page, program, sizeof program);
    struct kvm_vm vm;
    int rc = kvm_vm_create(&vm, kvm, KVM_X86_DEFAULT_VM, err);
    if (rc == 0) {
        rc = run_one(&vm, page, err);
        kvm_vm_close(&vm);
    }
    free(page);
    return rc;
}
