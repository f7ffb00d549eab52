/*
 * Several VMPLs on one vCPU: what an SVSM at VMPL 0 and its guest need (56421, SNP_RUN_VMPL; 58019), and what KVM of Linux 7.3 has not.
 * So it is here for tests alone, where COFRE_EMULATED_VMPLS asks for it. A VMPL has a VMSA of its own, in a page of the guest's that AP
 * creation names; where another is to run, the registers of the first go there, and the other's come from its page, which the SVSM
 * may have written to in between.
 *
 * Guest memory has one view, not one for each vCPU. So machines with more than one vCPU run at VMPL 0 only. Of registers, TSC_AUX, PKRU
 * and DR0 to DR3 are not exchanged: no SVSM has its own.
 */
#define LOG_ROOM "emu"
#include <errno.h>
#include <stdlib.h>

#include "vmm/base/log.h"
#include "vmm/emu/insn.h"
#include "vmm/emu/snp/snp.h"

#define EFER_SVME (1ull << 12)

bool snp_vmpl_wanted(void)
{
    const char *wanted = getenv("COFRE_EMULATED_VMPLS");
    if (!wanted || !*wanted)
        return false;
    log_warn("THIS KVM RUNS A GUEST AT SEVERAL VMPLs, for a test: no KVM of Linux does");
    return true;
}

static bool may_have(const struct snp_vcpu *vcpu, uint32_t apic_id, unsigned vmpl)
{
    return vmpl > vcpu->vmpl && vmpl < RMP_VMPLS && apic_id == vcpu->emu.id && vcpu->emu.vm->vcpu_count == 1;
}

int snp_vmpl_create(struct snp_vcpu *vcpu, uint32_t apic_id, unsigned vmpl, uint64_t sev_features,
                    uint64_t vmsa)
{
    if (!may_have(vcpu, apic_id, vmpl) || sev_features != snp_vm_of(vcpu)->sev_features ||
        vmsa % EMU_PAGE_SIZE)
        return -EINVAL;
    vcpu->level[vmpl] = (struct snp_level){.created = true, .vmsa = vmsa, .ghcb = {.registered = UINT64_MAX}};
    return 0;
}

int snp_vmpl_destroy(struct snp_vcpu *vcpu, uint32_t apic_id, unsigned vmpl)
{
    if (!may_have(vcpu, apic_id, vmpl))
        return -EINVAL;
    vcpu->level[vmpl].created = false;
    return 0;
}

int snp_vmpl_reset(struct snp_vcpu *vcpu)
{
    for (unsigned i = 1; i < RMP_VMPLS; i++)
        vcpu->level[i].created = false;
    if (!vcpu->vmpl)
        return 0;
    vcpu->vmpl = 0;
    return snp_memory_show(snp_vm_of(vcpu), 0);
}

bool snp_vmpl_is_ready(const struct snp_vcpu *vcpu, uint64_t vmpl)
{
    return vmpl != vcpu->vmpl && (vmpl == 0 || (vmpl < RMP_VMPLS && vcpu->level[vmpl].created));
}

static int leave(struct snp_vcpu *vcpu)
{
    const struct snp_level *from = &vcpu->level[vcpu->vmpl];
    struct snp_vmsa vmsa = vcpu->first;
    int rc = vcpu->vmpl ? snp_read_vmsa(snp_vm_of(vcpu), from->vmsa, &vmsa) : 0;
    if (!rc)
        rc = snp_vmsa_store(vcpu, &vmsa);
    vmsa.rip += INSN_LENGTH_MAX;
    if (vcpu->vmpl)
        return rc ? rc : snp_write_vmsa(snp_vm_of(vcpu), from->vmsa, &vmsa);
    vcpu->first = vmsa;
    return rc;
}

/* As VMRUN would refuse it. */
static bool can_run(const struct snp_vcpu *vcpu, const struct snp_vmsa *vmsa, unsigned vmpl)
{
    return vmsa->vmpl == vmpl && vmsa->sev_features == snp_vm_of(vcpu)->sev_features &&
           vmsa->efer & EFER_SVME;
}

static int enter(struct snp_vcpu *vcpu, unsigned vmpl)
{
    struct snp_vmsa vmsa = vcpu->first;
    int rc = vmpl ? snp_read_vmsa(snp_vm_of(vcpu), vcpu->level[vmpl].vmsa, &vmsa) : 0;
    if (!rc && vmpl && !can_run(vcpu, &vmsa, vmpl))
        rc = -EINVAL;
    if (!rc)
        rc = snp_memory_show(snp_vm_of(vcpu), vmpl);
    return rc ? rc : snp_vmsa_load(vcpu, &vmsa);
}

int snp_vmpl_run(struct snp_vcpu *vcpu, unsigned vmpl)
{
    int rc = leave(vcpu);
    if (!rc)
        rc = enter(vcpu, vmpl);
    if (rc) {
        log_error("the guest is ended: vCPU %u cannot go from VMPL %u to %u: the VMSA at %#llx is no "
                  "validated page that RMPADJUST "
                  "made one, or not of this VMPL and guest, or no state of a processor (%d)",
                  vcpu->emu.id, vcpu->vmpl, vmpl, (unsigned long long)vcpu->level[vmpl].vmsa, rc);
        vcpu->emu.run->fail_entry.hardware_entry_failure_reason = UINT64_MAX;
        vcpu->emu.run->exit_reason = KVM_EXIT_FAIL_ENTRY;
        return EMU_EXIT;
    }
    vcpu->level[vcpu->vmpl].ghcb = vcpu->ghcb;
    vcpu->ghcb = vcpu->level[vmpl].ghcb;
    vcpu->vmpl = vmpl;
    vcpu->in_vmgexit = false; /* of who asked; the plain KVM forgets it, since another instruction is next */
    return EMU_RESUME;
}
