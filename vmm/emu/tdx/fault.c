/*
 * A TD touched a page that is not there for it. A private one that it has not accepted ends the TD, or where the TD was
 * configured without SEPT_VE_DISABLE raises #VE (348549, "Secure EPT violations"); the rest is KVM's to tell its caller.
 */
#define LOG_ROOM "emu"
#include <errno.h>

#include "vmm/base/log.h"
#include "vmm/emu/host.h"
#include "vmm/emu/tdx/tdx.h"

#define VECTOR_VE            20
#define REASON_EPT_VIOLATION 48
#define QUALIFICATION_LINEAR (1ull << 7 | 1ull << 8)

/* TDCS.TD_CTLS, which the guest may change where the module lets it. */
#define FIELD_TD_CTLS           0x1110000300000017ull
#define CTLS_PENDING_VE_DISABLE (1ull << 0)

static bool raises_ve(struct tdx_vcpu *vcpu)
{
    uint64_t controls = 0;
    struct tdx_vm *vm = tdx_vm_of(vcpu);
    if (tdg_vm_rd(vm->td, FIELD_TD_CTLS, &controls) == TDX_SUCCESS)
        return !(controls & CTLS_PENDING_VE_DISABLE);
    return !(vm->attributes & TDX_ATTR_SEPT_VE_DISABLE);
}

static int deliver_ve(struct tdx_vcpu *vcpu, uint64_t gpa, uint64_t gla)
{
    if (vcpu->ve.valid || emu_vcpu_deliver(&vcpu->emu, VECTOR_VE, NULL) != 0) {
        log_error("the guest is ended: vCPU %u has no way to take the exception (#VE) for a page that it has "
                  "not accepted",
                  vcpu->emu.id);
        return emu_vcpu_exit(&vcpu->emu, KVM_EXIT_SHUTDOWN, NULL);
    }
    vcpu->ve = (struct tdx_ve_info){.valid = true,
                                    .reason = REASON_EPT_VIOLATION,
                                    .qualification = gla ? QUALIFICATION_LINEAR : 0,
                                    .gla = gla,
                                    .gpa = gpa};
    return EMU_RESUME;
}

/* tdx_handle_ept_violation: "Guest access before accepting", and the machine is dead */
static int end_td(struct tdx_vcpu *vcpu, uint64_t gpa)
{
    struct kvm_regs regs = {0};
    host_ioctl(vcpu->emu.fd, KVM_GET_REGS, &regs);
    log_error("the TD is ended: vCPU %u touched the private page at %#llx, which it has not accepted "
              "(instruction at %#llx)",
              vcpu->emu.id, (unsigned long long)(gpa & ~(EMU_PAGE_SIZE - 1)), (unsigned long long)regs.rip);
    tdx_vm_of(vcpu)->dead = true;
    return -EIO;
}

int tdx_touched(struct tdx_vcpu *vcpu, enum memory_access access, uint64_t gpa, uint64_t gla)
{
    if (access == MEMORY_SHARED || access == MEMORY_NO_SLOT || access == MEMORY_PRIVATE)
        return emu_vcpu_memory_fault(&vcpu->emu, gpa & ~TDX_SHARED_BIT, !(gpa & TDX_SHARED_BIT));
    if (access != MEMORY_UNUSABLE)
        return end_td(vcpu, gpa);
    int rc = tdx_memory_touch(tdx_vm_of(vcpu), gpa);
    if (rc)
        return rc;
    return raises_ve(vcpu) ? deliver_ve(vcpu, gpa, gla) : end_td(vcpu, gpa);
}

int tdx_untouchable_page(struct tdx_vcpu *vcpu)
{
    struct cofre_ud_fault fault;
    enum memory_access access;
    int rc = emu_vcpu_touched(&vcpu->emu, &fault, &access);
    return rc ? rc : access == MEMORY_OK ? EMU_RESUME : tdx_touched(vcpu, access, fault.gpa, 0);
}
