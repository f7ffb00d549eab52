/*
 * The guest touched a page that it may not. A private one that it has not validated, as private: #VC PAGE_NOT_VALIDATED (APM
 * volume 2, 15.36.10). One as what it is not: the processor leaves the guest, and KVM asks its caller for the other kind
 * (KVM_EXIT_MEMORY_FAULT).
 */
#define LOG_ROOM "emu"
#include <stdio.h>

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

static void report(const struct snp_vcpu *vcpu, enum memory_access access, uint64_t gpa, uint64_t rip)
{
    static atomic_bool reported; /* once loudly; a guest can do this as often as it likes */
    char page[40] = "a page";
    if (access == MEMORY_UNUSABLE)
        snprintf(page, sizeof(page), "the page at %#llx",
                 (unsigned long long)(gpa & ~SNP_C_MASK & ~0xfffull));
    log_line(LOG_ROOM, atomic_exchange(&reported, true) ? LOG_DEBUG : LOG_ERROR,
             "vCPU %u touched %s, which it has not validated (instruction at %#llx): it gets a #VC "
             "exception, as on "
             "hardware",
             vcpu->emu.id, page, (unsigned long long)rip);
}

/* Data is shared where the guest's page tables have no C-bit, which they can have since PAE; instructions and the tables
 * themselves are private whatever they say (APM volume 2, 15.34.4 and 15.34.5). */
static bool touched_as_shared(struct snp_vcpu *vcpu, const struct kvm_regs *regs,
                              const struct kvm_sregs *sregs, uint64_t gpa)
{
    uint64_t code;
    const uint64_t page = gpa / EMU_PAGE_SIZE;
    if (gpa & SNP_C_MASK || !(sregs->cr0 & CR0_PG) || !(sregs->cr4 & CR4_PAE))
        return false;
    if (page == (sregs->cr3 & ~SNP_C_MASK) / EMU_PAGE_SIZE)
        return false;
    return emu_vcpu_translate(&vcpu->emu, sregs->cs.base + regs->rip, &code) != 0 ||
           page != (code & ~SNP_C_MASK) / EMU_PAGE_SIZE;
}

int snp_untouchable_page(struct snp_vcpu *vcpu)
{
    static const uint64_t code = PAGE_NOT_VALIDATED;
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    uint64_t gpa;
    int rc = host_ioctl(vcpu->emu.fd, KVM_GET_REGS, &regs);
    if (!rc)
        rc = host_ioctl(vcpu->emu.fd, KVM_GET_SREGS, &sregs);
    if (rc)
        return rc;
    enum memory_access access = emu_vcpu_find_untouchable(&vcpu->emu, &regs, &sregs, &gpa);
    if (access == MEMORY_UNUSABLE && touched_as_shared(vcpu, &regs, &sregs, gpa))
        return emu_vcpu_memory_fault(&vcpu->emu, gpa, false);
    if (access == MEMORY_SHARED)
        return emu_vcpu_memory_fault(&vcpu->emu, gpa & ~SNP_C_MASK, true);
    report(vcpu, access, gpa, regs.rip);
    return emu_vcpu_deliver(&vcpu->emu, VECTOR_VC, &code) == 0 ? EMU_RESUME : shut_down(vcpu);
}
