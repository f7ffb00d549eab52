/*
 * #VC PAGE_NOT_VALIDATED (APM volume 2, 15.36.10): the guest touched a private page that it has not validated.
 */
#define LOG_ROOM "emu"
#include <stdio.h>

#include "vmm/base/log.h"
#include "vmm/emu/host.h"
#include "vmm/emu/snp/snp.h"

#define VECTOR_VC          29
#define PAGE_NOT_VALIDATED 0x404ull

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
    if (access == MEMORY_SHARED)
        return emu_vcpu_memory_fault(&vcpu->emu, gpa & ~SNP_C_MASK, true);
    report(vcpu, access, gpa, regs.rip);
    return emu_vcpu_deliver(&vcpu->emu, VECTOR_VC, &code) == 0 ? EMU_RESUME : shut_down(vcpu);
}
