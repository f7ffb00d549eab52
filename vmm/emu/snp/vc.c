/*
 * The guest touched a page that it may not. A private one that it has not validated, as private: #VC PAGE_NOT_VALIDATED (APM
 * volume 2, 15.36.10). One as what it is not: the processor leaves the guest, and KVM asks its caller for the other kind
 * (KVM_EXIT_MEMORY_FAULT).
 */
#define LOG_ROOM "emu"
#include "vmm/base/log.h"
#include "vmm/emu/host.h"
#include "vmm/emu/snp/snp.h"

#define VECTOR_VC          29
#define PAGE_NOT_VALIDATED 0x404ull
#define CR0_PG             (1ull << 31)
#define CR4_PAE            (1ull << 5)

static int shut_down(struct snp_vcpu *vcpu)
{
    log_error("the guest is ended: vCPU %u has no way to take the exception (#VC) for a page that it has not "
              "validated",
              vcpu->emu.id);
    vcpu->emu.run->exit_reason = KVM_EXIT_SHUTDOWN;
    return EMU_EXIT;
}

/* A nested page fault by which no guest can go on. */
static int no_permission(struct snp_vcpu *vcpu, uint64_t gpa, uint64_t rip)
{
    log_error("the guest is ended: VMPL %u on vCPU %u touched the page at %#llx, which no RMPADJUST has "
              "opened to it (instruction at "
              "%#llx)",
              vcpu->vmpl, vcpu->emu.id, (unsigned long long)(gpa & ~(EMU_PAGE_SIZE - 1)),
              (unsigned long long)rip);
    vcpu->emu.run->exit_reason = KVM_EXIT_SHUTDOWN;
    return EMU_EXIT;
}

static void report(const struct snp_vcpu *vcpu, uint64_t gpa, uint64_t rip)
{
    static atomic_bool reported; /* once loudly; a guest can do this as often as it likes */
    log_line(LOG_ROOM, atomic_exchange(&reported, true) ? LOG_DEBUG : LOG_ERROR,
             "vCPU %u touched the page at %#llx, which it has not validated (instruction at %#llx): it gets "
             "a #VC exception, as on "
             "hardware",
             vcpu->emu.id, (unsigned long long)(gpa & ~(EMU_PAGE_SIZE - 1)), (unsigned long long)rip);
}

/* Data is shared where the guest's page tables have no C-bit, which they can have since PAE; instructions and the tables
 * themselves are private whatever they say (APM volume 2, 15.34.4 and 15.34.5). */
static bool touched_as_shared(const struct cofre_ud_fault *fault, const struct kvm_sregs *sregs)
{
    return !(fault->gpa & SNP_C_MASK) && sregs->cr0 & CR0_PG && sregs->cr4 & CR4_PAE &&
           !(fault->error_code & (COFRE_UD_FAULT_FETCH | COFRE_UD_FAULT_TABLES));
}

int snp_untouchable_page(struct snp_vcpu *vcpu)
{
    static const uint64_t code = PAGE_NOT_VALIDATED;
    struct cofre_ud_fault fault;
    enum memory_access access;
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    int rc = emu_vcpu_touched(&vcpu->emu, &fault, &access);
    if (!rc)
        rc = host_ioctl(vcpu->emu.fd, KVM_GET_REGS, &regs);
    if (!rc)
        rc = host_ioctl(vcpu->emu.fd, KVM_GET_SREGS, &sregs);
    if (rc)
        return rc;
    const uint64_t gpa = fault.gpa & ~SNP_C_MASK;
    switch (access) {
    case MEMORY_OK:
        return EMU_RESUME;
    case MEMORY_SHARED:
        return emu_vcpu_memory_fault(&vcpu->emu, gpa, true);
    case MEMORY_NO_SLOT:
        return emu_vcpu_memory_fault(&vcpu->emu, gpa, fault.gpa & SNP_C_MASK);
    default:
        if (touched_as_shared(&fault, &sregs))
            return emu_vcpu_memory_fault(&vcpu->emu, gpa, false);
        if (snp_is_closed(snp_vm_of(vcpu), vcpu->vmpl, gpa))
            return no_permission(vcpu, gpa, regs.rip);
        report(vcpu, gpa, regs.rip);
        return emu_vcpu_deliver(&vcpu->emu, VECTOR_VC, &code) == 0 ? EMU_RESUME : shut_down(vcpu);
    }
}
