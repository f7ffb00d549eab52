/*
 * VMGEXIT: the MSR protocol, and the events of the GHCB page that need no more than a few lines. The page is read once,
 * whole, into our own memory; only the answers' fields are written back.
 */
#define LOG_ROOM "emu"
#include "vmm/emu/snp/ghcb.h"

#include <errno.h>
#include <string.h>

#include "vmm/base/log.h"
#include "vmm/emu/host.h"
#include "vmm/emu/snp/event.h"

#define KVM_ENOSYS_RESULT ((uint64_t)-1000)
#define MSR_TSC           0x10

int event_put(struct snp_vcpu *vcpu, size_t offset, uint64_t value)
{
    uint8_t bit;
    uint64_t gpa = vcpu->ghcb.value;
    size_t valid = offsetof(struct ghcb, valid) + offset / 64;
    if (memory_write_shared(&vcpu->emu.vm->memory, gpa + offset, &value, sizeof(value)) != 0 ||
        memory_read_shared(&vcpu->emu.vm->memory, gpa + valid, &bit, 1) != 0)
        return -EFAULT;
    bit |= (uint8_t)(1u << (offset / 8 % 8));
    return memory_write_shared(&vcpu->emu.vm->memory, gpa + valid, &bit, 1);
}

int event_answer(struct snp_vcpu *vcpu, uint64_t info_1, uint64_t info_2)
{
    int rc = EVENT_PUT(vcpu, exit_info_1, info_1);
    if (!rc)
        rc = EVENT_PUT(vcpu, exit_info_2, info_2);
    return rc ? rc : EMU_RESUME;
}

int event_refuse(struct snp_vcpu *vcpu, enum ghcb_refusal why)
{
    log_debug("vCPU %u: the request in its GHCB is refused (%d)", vcpu->emu.id, (int)why);
    return event_answer(vcpu, GHCB_REFUSED, why);
}

static int terminate(struct snp_vcpu *vcpu, unsigned set, unsigned code)
{
    log_error("the guest ended itself on vCPU %u: %s (reason set %u, code %u)", vcpu->emu.id,
              ghcb_termination_reason(set, code), set, code);
    vcpu->emu.run->system_event.type = KVM_SYSTEM_EVENT_SEV_TERM;
    vcpu->emu.run->system_event.ndata = 1;
    vcpu->emu.run->system_event.data[0] = vcpu->ghcb.value;
    return emu_vcpu_exit(&vcpu->emu, KVM_EXIT_SYSTEM_EVENT, NULL);
}

int event_exit_map_gpa(struct snp_vcpu *vcpu, uint64_t gfn, uint64_t pages, bool private, bool large,
                       int (*complete)(struct emu_vcpu *))
{
    return emu_vcpu_exit_map_gpa(&vcpu->emu, gfn * EMU_PAGE_SIZE, pages,
                                 (private ? UAPI_MAP_GPA_PRIVATE : 0) | (large ? 1 : 0), complete);
}

/* The caller's answer: 0, or -errno where KVM_RUN must fail. */
int event_map_gpa_result(struct snp_vcpu *vcpu, bool *converted)
{
    uint64_t ret;
    int rc = emu_vcpu_map_gpa_result(&vcpu->emu, &ret);
    *converted = ret == 0;
    return rc;
}

static int psc_msr_complete(struct emu_vcpu *emu)
{
    struct snp_vcpu *vcpu = snp_vcpu(emu);
    bool converted;
    int rc = event_map_gpa_result(vcpu, &converted);
    if (rc)
        return rc;
    vcpu->ghcb.value = converted ? GHCB_MSR_PSC : GHCB_MSR_PSC_ERROR;
    return EMU_RESUME;
}

static int psc_msr(struct snp_vcpu *vcpu)
{
    uint64_t gfn = vcpu->ghcb.value >> 12 & 0xffffffffffull;
    unsigned operation = vcpu->ghcb.value >> 52 & 0xf;
    bool known = operation == GHCB_PAGE_PRIVATE || operation == GHCB_PAGE_SHARED;
    if (!known || !(vcpu->emu.vm->hypercall_exits & 1ull << KVM_HC_MAP_GPA_RANGE)) {
        vcpu->ghcb.value = GHCB_MSR_PSC_ERROR;
        return EMU_RESUME;
    }
    return event_exit_map_gpa(vcpu, gfn, 1, operation == GHCB_PAGE_PRIVATE, false, psc_msr_complete);
}

static uint64_t cpuid_msr(const struct snp_vcpu *vcpu)
{
    struct kvm_cpuid_entry2 e = emu_vcpu_cpuid(&vcpu->emu, (uint32_t)(vcpu->ghcb.value >> 32), 0);
    uint32_t value[4] = {e.eax, e.ebx, e.ecx, e.edx};
    unsigned reg = vcpu->ghcb.value >> 30 & 3;
    return (uint64_t)value[reg] << 32 | (uint64_t)reg << 30 | GHCB_MSR_CPUID;
}

static uint64_t features(const struct snp_vcpu *vcpu)
{
    return GHCB_FEATURES | (snp_vm_of(vcpu)->has_vmpls ? GHCB_FEATURE_VMPL : 0);
}

/* The answer is there before the other VMPL begins: this one sees it when it runs again. */
static int run_vmpl_msr(struct snp_vcpu *vcpu)
{
    const uint64_t vmpl = vcpu->ghcb.value >> 32;
    if (!snp_vm_of(vcpu)->has_vmpls)
        return EMU_RESUME; /* as any that is not known */
    if (!snp_vmpl_is_ready(vcpu, vmpl)) {
        vcpu->ghcb.value = GHCB_MSR_RUN_VMPL_ERROR;
        return EMU_RESUME;
    }
    vcpu->ghcb.value = GHCB_MSR_RUN_VMPL;
    return snp_vmpl_run(vcpu, (unsigned)vmpl);
}

static int msr_protocol(struct snp_vcpu *vcpu)
{
    uint64_t msr = vcpu->ghcb.value;
    switch (msr & GHCB_MSR_INFO_MASK) {
    case GHCB_MSR_SEV_INFO_REQ:
        vcpu->ghcb.value = (uint64_t)GHCB_PROTOCOL_MAX << 48 | (uint64_t)GHCB_PROTOCOL_MIN << 32 |
                           (uint64_t)SNP_C_BIT << 24 | GHCB_MSR_SEV_INFO;
        return EMU_RESUME;
    case GHCB_MSR_CPUID_REQ:
        vcpu->ghcb.value = cpuid_msr(vcpu);
        return EMU_RESUME;
    case GHCB_MSR_PREFERRED_GPA_REQ:
        vcpu->ghcb.value = ~GHCB_MSR_INFO_MASK | GHCB_MSR_PREFERRED_GPA; /* none */
        return EMU_RESUME;
    case GHCB_MSR_REGISTER_GPA_REQ:
        vcpu->ghcb.registered = msr & ~GHCB_MSR_INFO_MASK;
        vcpu->ghcb.value = vcpu->ghcb.registered | GHCB_MSR_REGISTER_GPA;
        return EMU_RESUME;
    case GHCB_MSR_FEATURES_REQ:
        vcpu->ghcb.value = features(vcpu) << 12 | GHCB_MSR_FEATURES;
        return EMU_RESUME;
    case GHCB_MSR_AP_RESET_HOLD_REQ:
        vcpu->ghcb.value = GHCB_MSR_AP_RESET_HOLD;
        return snp_ap_hold(vcpu);
    case GHCB_MSR_PSC_REQ:
        return psc_msr(vcpu);
    case GHCB_MSR_RUN_VMPL_REQ:
        return run_vmpl_msr(vcpu);
    case GHCB_MSR_TERMINATE:
        return terminate(vcpu, msr >> 12 & 0xf, msr >> 16 & 0xff);
    default: /* KVM leaves the MSR as it is; the guest sees that it was not answered */
        return EMU_RESUME;
    }
}

static int on_cpuid(struct snp_vcpu *vcpu, const struct ghcb *ghcb)
{
    struct kvm_cpuid_entry2 e = emu_vcpu_cpuid(&vcpu->emu, (uint32_t)ghcb->rax, (uint32_t)ghcb->rcx);
    int rc = EVENT_PUT(vcpu, rax, e.eax);
    rc = rc ? rc : EVENT_PUT(vcpu, rbx, e.ebx);
    rc = rc ? rc : EVENT_PUT(vcpu, rcx, e.ecx);
    rc = rc ? rc : EVENT_PUT(vcpu, rdx, e.edx);
    return rc ? rc : event_answer(vcpu, 0, 0);
}

static int answer_edx_eax(struct snp_vcpu *vcpu, uint64_t value)
{
    int rc = EVENT_PUT(vcpu, rax, (uint32_t)value);
    rc = rc ? rc : EVENT_PUT(vcpu, rdx, value >> 32);
    return rc ? rc : event_answer(vcpu, 0, 0);
}

static int on_msr(struct snp_vcpu *vcpu, const struct ghcb *ghcb)
{
    const uint64_t general_protection = 1ull << 31 | 1ull << 11 | 3ull << 8 | 13; /* as EVENTINJ */
    uint32_t index = (uint32_t)ghcb->rcx;
    uint64_t value = ghcb->rdx << 32 | (uint32_t)ghcb->rax;
    int rc = ghcb->exit_info_1 ? emu_vcpu_set_msr(&vcpu->emu, index, value)
                               : emu_vcpu_get_msr(&vcpu->emu, index, &value);
    if (rc)
        return event_answer(vcpu, GHCB_EXCEPTION, general_protection);
    return ghcb->exit_info_1 ? event_answer(vcpu, 0, 0) : answer_edx_eax(vcpu, value);
}

static int on_rdtsc(struct snp_vcpu *vcpu, const struct ghcb *ghcb)
{
    uint64_t tsc = 0;
    int rc = emu_vcpu_get_msr(&vcpu->emu, MSR_TSC, &tsc);
    if (!rc && ghcb->exit_code == GHCB_RDTSCP)
        rc = EVENT_PUT(vcpu, rcx, vcpu->emu.id);
    return rc ? rc : answer_edx_eax(vcpu, tsc);
}

static int on_dr7(struct snp_vcpu *vcpu, const struct ghcb *ghcb)
{
    struct kvm_debugregs debug;
    int rc = host_ioctl(vcpu->emu.fd, KVM_GET_DEBUGREGS, &debug);
    if (!rc && ghcb->exit_code == GHCB_READ_DR7)
        rc = EVENT_PUT(vcpu, rax, debug.dr7);
    if (!rc && ghcb->exit_code == GHCB_WRITE_DR7) {
        debug.dr7 = (uint32_t)ghcb->rax;
        if (host_ioctl(vcpu->emu.fd, KVM_SET_DEBUGREGS, &debug) != 0)
            return event_refuse(vcpu, GHCB_INVALID_INPUT);
    }
    return rc ? rc : event_answer(vcpu, 0, 0);
}

static int on_no_operation(struct snp_vcpu *vcpu, const struct ghcb *ghcb)
{
    (void)ghcb;
    return event_answer(vcpu, 0, 0);
}

static int on_vmmcall(struct snp_vcpu *vcpu, const struct ghcb *ghcb)
{
    (void)ghcb;
    int rc = EVENT_PUT(vcpu, rax, KVM_ENOSYS_RESULT);
    return rc ? rc : event_answer(vcpu, 0, 0);
}

static int on_features(struct snp_vcpu *vcpu, const struct ghcb *ghcb)
{
    (void)ghcb;
    return event_answer(vcpu, 0, features(vcpu));
}

static int on_run_vmpl(struct snp_vcpu *vcpu, const struct ghcb *ghcb)
{
    if (!snp_vm_of(vcpu)->has_vmpls)
        return event_refuse(vcpu, GHCB_INVALID_EVENT);
    if (!snp_vmpl_is_ready(vcpu, ghcb->exit_info_1))
        return event_refuse(vcpu, GHCB_INVALID_INPUT);
    const int rc = event_answer(vcpu, 0, 0);
    return rc == EMU_RESUME ? snp_vmpl_run(vcpu, (unsigned)ghcb->exit_info_1) : rc;
}

static int on_ap_hold(struct snp_vcpu *vcpu, const struct ghcb *ghcb)
{
    (void)ghcb;
    int rc = event_answer(vcpu, 0, 0);
    return rc < 0 ? rc : snp_ap_hold(vcpu);
}

static int on_ap_creation(struct snp_vcpu *vcpu, const struct ghcb *ghcb)
{
    int rc = snp_ap_creation(vcpu, (uint32_t)ghcb->exit_info_1, (uint32_t)(ghcb->exit_info_1 >> 32),
                             ghcb->rax, ghcb->exit_info_2);
    return rc ? event_refuse(vcpu, GHCB_INVALID_INPUT) : event_answer(vcpu, 0, 0);
}

static int on_terminate(struct snp_vcpu *vcpu, const struct ghcb *ghcb)
{
    return terminate(vcpu, ghcb->exit_info_1 & 0xf, ghcb->exit_info_1 >> 4 & 0xff);
}

static int on_unsupported(struct snp_vcpu *vcpu, const struct ghcb *ghcb)
{
    log_error("the guest met a #VC that it cannot handle on vCPU %u: exit code %#llx", vcpu->emu.id,
              (unsigned long long)ghcb->exit_info_1);
    return -EINVAL;
}

static const struct {
    uint32_t event;
    int (*serve)(struct snp_vcpu *vcpu, const struct ghcb *ghcb);
} services[] = {
    {GHCB_READ_DR7, on_dr7},
    {GHCB_WRITE_DR7, on_dr7},
    {GHCB_RDTSC, on_rdtsc},
    {GHCB_CPUID, on_cpuid},
    {GHCB_INVD, on_no_operation},
    {GHCB_IOIO, event_port_io},
    {GHCB_MSR, on_msr},
    {GHCB_VMMCALL, on_vmmcall},
    {GHCB_RDTSCP, on_rdtsc},
    {GHCB_WBINVD, on_no_operation},
    {GHCB_MONITOR, on_no_operation},
    {GHCB_MWAIT, on_no_operation},
    {GHCB_MMIO_READ, event_mmio},
    {GHCB_MMIO_WRITE, event_mmio},
    {GHCB_NMI_COMPLETE, on_no_operation},
    {GHCB_AP_RESET_HOLD, on_ap_hold},
    {GHCB_PSC, event_page_state_change},
    {GHCB_GUEST_REQUEST, event_guest_request},
    {GHCB_EXT_GUEST_REQUEST, event_guest_request},
    {GHCB_AP_CREATION, on_ap_creation},
    {GHCB_RUN_VMPL, on_run_vmpl},
    {GHCB_HV_FEATURES, on_features},
    {GHCB_TERMINATE, on_terminate},
    {GHCB_UNSUPPORTED_EVENT, on_unsupported},
};

static int page_protocol(struct snp_vcpu *vcpu)
{
    static const uint8_t nothing_valid[16];
    struct ghcb ghcb;
    uint64_t gpa = vcpu->ghcb.value;
    if (memory_read_shared(&vcpu->emu.vm->memory, gpa, &ghcb, sizeof(ghcb)) != 0) {
        log_error("the guest is ended: vCPU %u names a GHCB at %#llx, which is not shared memory",
                  vcpu->emu.id, (unsigned long long)gpa);
        return -EINVAL;
    }
    if (gpa != vcpu->ghcb.registered) {
        log_error("the guest is ended: vCPU %u uses a GHCB at %#llx that it has not registered", vcpu->emu.id,
                  (unsigned long long)gpa);
        return -EINVAL;
    }
    if (memory_write_shared(&vcpu->emu.vm->memory, gpa + offsetof(struct ghcb, valid), nothing_valid, 16) !=
        0)
        return -EFAULT;
    enum ghcb_refusal refusal = ghcb_check(&ghcb);
    if (refusal)
        return event_refuse(vcpu, refusal);
    for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++)
        if (services[i].event == ghcb.exit_code)
            return services[i].serve(vcpu, &ghcb);
    return event_refuse(vcpu, GHCB_INVALID_EVENT);
}

int snp_vmgexit(struct snp_vcpu *vcpu)
{
    log_debug("vCPU %u: VMGEXIT %#llx", vcpu->emu.id, (unsigned long long)vcpu->ghcb.value);
    return vcpu->ghcb.value & GHCB_MSR_INFO_MASK ? msr_protocol(vcpu) : page_protocol(vcpu);
}
