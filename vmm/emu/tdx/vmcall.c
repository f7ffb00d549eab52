/*
 * TDG.VP.VMCALL (348552): calls to the VMM. The module shows the host the registers that the guest exposes and no
 * others, and brings back only those. What KVM does with the calls: arch/x86/kvm/vmx/tdx.c, which function is named.
 */
#define LOG_ROOM "emu"
#include <errno.h>
#include <string.h>

#include "vmm/base/log.h"
#include "vmm/emu/host.h"
#include "vmm/emu/lies.h"
#include "vmm/emu/tdx/tdx.h"

#define EXPOSED_GPRS    0xffffull
#define EXPOSED_NEVER   (1ull << RAX | 1ull << RCX | 1ull << RSP | 1ull << RBP)
#define EXIT_TDCALL     77 /* the exit reason that TDH.VP.ENTER returns in RAX */
#define KVM_ENOSYS_CODE ((uint64_t)-1000)
#define NOTIFY_MIN      32
#define NOTIFY_MAX      255

int tdx_vmcall_return(struct emu_vcpu *emu)
{
    struct tdx_vcpu *vcpu = tdx_vcpu(emu);
    uint64_t gpr[GPRS];
    int rc = tdx_get_gprs(vcpu, gpr);
    if (rc)
        return rc;
    gpr[RAX] = TDX_SUCCESS;
    for (unsigned i = RDX; i < GPRS; i++)
        if (vcpu->call.exposed >> i & 1)
            gpr[i] = vcpu->call.gpr[i];
    return tdx_finish(vcpu, gpr);
}

/* tdx_emulate_vmcall: a hypercall of KVM's own, none of which the emulated host offers */
static int on_kvm_hypercall(struct tdx_vcpu *vcpu)
{
    return tdx_vmcall_answer(vcpu, KVM_ENOSYS_CODE);
}

/* tdx_emulate_cpuid */
static int on_cpuid(struct tdx_vcpu *vcpu)
{
    uint64_t *gpr = vcpu->call.gpr;
    struct kvm_cpuid_entry2 e = emu_vcpu_cpuid(&vcpu->emu, (uint32_t)gpr[R12], (uint32_t)gpr[R13]);
    gpr[R12] = e.eax;
    gpr[R13] = e.ebx;
    gpr[R14] = e.ecx;
    gpr[R15] = e.edx;
    return tdx_vmcall_return(&vcpu->emu);
}

static int on_rdmsr(struct tdx_vcpu *vcpu)
{
    uint64_t value;
    if (tdx_get_msr(vcpu, (uint32_t)vcpu->call.gpr[R12], &value) != 0)
        return tdx_vmcall_answer(vcpu, TDVMCALL_INVALID_OPERAND);
    vcpu->call.gpr[R11] = value;
    return tdx_vmcall_return(&vcpu->emu);
}

static int on_wrmsr(struct tdx_vcpu *vcpu)
{
    if (tdx_set_msr(vcpu, (uint32_t)vcpu->call.gpr[R12], vcpu->call.gpr[R13]) != 0)
        return tdx_vmcall_answer(vcpu, TDVMCALL_INVALID_OPERAND);
    return tdx_vmcall_return(&vcpu->emu);
}

static struct uapi_exit_tdx *start_exit(struct tdx_vcpu *vcpu, uint64_t nr)
{
    struct uapi_exit_tdx *exit = uapi_exit_tdx(vcpu->emu.run);
    memset(exit, 0, sizeof(*exit));
    exit->nr = nr;
    return exit;
}

/* tdx_complete_simple */
static int answered(struct emu_vcpu *vcpu)
{
    return tdx_vmcall_answer(tdx_vcpu(vcpu), uapi_exit_tdx(vcpu->run)->unknown.ret);
}

/* tdx_get_quote */
static int on_get_quote(struct tdx_vcpu *vcpu)
{
    uint64_t gpa = vcpu->call.gpr[R12];
    if (!(gpa & TDX_SHARED_BIT))
        return tdx_vmcall_answer(vcpu, TDVMCALL_INVALID_OPERAND);
    struct uapi_exit_tdx *exit = start_exit(vcpu, TDVMCALL_GET_QUOTE);
    exit->get_quote.ret = TDVMCALL_SUBFUNC_UNSUPPORTED;
    exit->get_quote.gpa = gpa & ~TDX_SHARED_BIT;
    exit->get_quote.size = vcpu->call.gpr[R13];
    return emu_vcpu_exit(&vcpu->emu, KVM_EXIT_TDX, answered);
}

/* tdx_setup_event_notify_interrupt */
static int on_setup_event_notify(struct tdx_vcpu *vcpu)
{
    uint64_t vector = vcpu->call.gpr[R12];
    if (vector < NOTIFY_MIN || vector > NOTIFY_MAX)
        return tdx_vmcall_answer(vcpu, TDVMCALL_INVALID_OPERAND);
    struct uapi_exit_tdx *exit = start_exit(vcpu, TDVMCALL_SETUP_EVENT_NOTIFY_INTERRUPT);
    exit->setup_event_notify.ret = TDVMCALL_SUBFUNC_UNSUPPORTED;
    exit->setup_event_notify.vector = vector;
    return emu_vcpu_exit(&vcpu->emu, KVM_EXIT_TDX, answered);
}

/* tdx_complete_get_td_vm_call_info */
static int info_answered(struct emu_vcpu *emu)
{
    const struct uapi_exit_tdx *exit = uapi_exit_tdx(emu->run);
    uint64_t *gpr = tdx_vcpu(emu)->call.gpr;
    gpr[R11] = exit->get_tdvmcall_info.r11;
    gpr[R12] = exit->get_tdvmcall_info.r12;
    gpr[R13] = exit->get_tdvmcall_info.r13;
    gpr[R14] = exit->get_tdvmcall_info.r14;
    return tdx_vmcall_answer(tdx_vcpu(emu), exit->get_tdvmcall_info.ret);
}

/* tdx_get_td_vm_call_info */
static int on_get_info(struct tdx_vcpu *vcpu)
{
    uint64_t *gpr = vcpu->call.gpr;
    uint64_t leaf = gpr[R12];
    if (leaf > 1)
        return tdx_vmcall_answer(vcpu, TDVMCALL_INVALID_OPERAND);
    if (leaf == 0) {
        gpr[R11] = gpr[R12] = gpr[R13] = gpr[R14] = 0;
        return tdx_vmcall_answer(vcpu, TDVMCALL_SUCCESS);
    }
    struct uapi_exit_tdx *exit = start_exit(vcpu, TDVMCALL_GET_TD_VM_CALL_INFO);
    exit->get_tdvmcall_info.leaf = leaf;
    return emu_vcpu_exit(&vcpu->emu, KVM_EXIT_TDX, info_answered);
}

/* tdx_report_fatal_error: 16 registers by number, of which the guest exposed some. Run again, the guest goes on. */
static int on_fatal_error(struct tdx_vcpu *vcpu)
{
    struct kvm_run *run = vcpu->emu.run;
    memset(&run->system_event, 0, sizeof(run->system_event));
    run->system_event.type = KVM_SYSTEM_EVENT_TDX_FATAL;
    run->system_event.ndata = GPRS;
    for (unsigned i = 0; i < GPRS; i++)
        run->system_event.data[i] = vcpu->call.gpr[i];
    run->system_event.data[RAX] = EXIT_TDCALL;
    run->system_event.data[RCX] = vcpu->call.exposed;
    return emu_vcpu_exit(&vcpu->emu, KVM_EXIT_SYSTEM_EVENT, tdx_vmcall_return);
}

/* A page that the guest has is removed, and another comes in its place: the one that the test names, at the first call
 * after the guest has it, or at the first conversion the guest's stack. */
static void take_page_away(struct tdx_vcpu *vcpu)
{
    static atomic_bool done;
    struct kvm_regs regs;
    uint64_t gpa = lie_address();
    if (!lie_is(LIE_REMAPPED_PAGE) || done)
        return;
    if (!gpa &&
        (vcpu->call.gpr[R11] != TDVMCALL_MAP_GPA || host_ioctl(vcpu->emu.fd, KVM_GET_REGS, &regs) != 0 ||
         emu_vcpu_translate(&vcpu->emu, regs.rsp, &gpa) != 0))
        return;
    if (tdx_memory_replace(tdx_vm_of(vcpu), gpa) == 0)
        done = true;
}

static const struct {
    uint64_t function;
    int (*serve)(struct tdx_vcpu *vcpu);
} services[] = {
    {TDVMCALL_CPUID, on_cpuid},
    {TDVMCALL_HLT, tdx_vmcall_halt},
    {TDVMCALL_IO, tdx_vmcall_io},
    {TDVMCALL_RDMSR, on_rdmsr},
    {TDVMCALL_WRMSR, on_wrmsr},
    {TDVMCALL_MMIO, tdx_vmcall_mmio},
    {TDVMCALL_MAP_GPA, tdx_vmcall_map_gpa},
    {TDVMCALL_GET_QUOTE, on_get_quote},
    {TDVMCALL_REPORT_FATAL_ERROR, on_fatal_error},
    {TDVMCALL_SETUP_EVENT_NOTIFY_INTERRUPT, on_setup_event_notify},
    {TDVMCALL_GET_TD_VM_CALL_INFO, on_get_info},
};

int tdx_vmcall(struct tdx_vcpu *vcpu, const uint64_t gpr[GPRS], tdx_status *status)
{
    struct tdx_call *call = &vcpu->call;
    uint64_t exposed = gpr[RCX];
    if (exposed & EXPOSED_NEVER || exposed >> 32) {
        *status = TDX_OPERAND_INVALID | TDX_OPERAND_RCX;
        return EMU_RESUME;
    }
    *call = (struct tdx_call){.exposed = exposed};
    for (unsigned i = 0; i < GPRS; i++)
        call->gpr[i] = exposed & EXPOSED_GPRS & 1ull << i ? gpr[i] : 0;
    if (log_wanted(LOG_ROOM, LOG_DEBUG))
        log_debug("vCPU %u: TDVMCALL %#llx: %#llx %#llx %#llx %#llx", vcpu->emu.id,
                  (unsigned long long)call->gpr[R11], (unsigned long long)call->gpr[R12],
                  (unsigned long long)call->gpr[R13], (unsigned long long)call->gpr[R14],
                  (unsigned long long)call->gpr[R15]);
    take_page_away(vcpu);
    if (call->gpr[R10] != 0)
        return on_kvm_hypercall(vcpu);
    for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++)
        if (services[i].function == call->gpr[R11])
            return services[i].serve(vcpu);
    return tdx_vmcall_answer(vcpu, TDVMCALL_SUBFUNC_UNSUPPORTED);
}
