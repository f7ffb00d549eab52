/* One vCPU of a TD: the state it starts in, its ioctls, and what the plain KVM's exits mean. */
#define LOG_ROOM "emu"
#include <errno.h>
#include <string.h>

#include "vmm/base/log.h"
#include "vmm/emu/caller.h"
#include "vmm/emu/host.h"
#include "vmm/emu/module/cofre_ud.h"
#include "vmm/emu/tdx/tdx.h"

#define APIC_BASE        0xfee00000ull
#define APIC_BASE_BSP    (1ull << 8)
#define APIC_BASE_X2APIC (3ull << 10) /* enabled, and in x2APIC mode */
#define CR0_PE_NE        0x21ull
#define CR4_MCE          0x40ull
/* The module leaves PAE clear. QEMU's software CPU does not come back from a guest that has LME set without PAE: it takes
 * the host's CR0 for the guest's entering long mode, and refuses it. */
#define CR4_PAE          0x20ull
#define EFER_SCE_LME_NXE 0x901ull
#define MSR_FMASK        0xc0000084u
#define FMASK_RESET      0x20200ull
#define RFLAGS_RESET     2ull
#define DR7_RESET        0x400ull
#define MSRS_MOST        256u /* Linux: MAX_IO_MSRS */

int tdx_vcpu_init(struct emu_vcpu *vcpu)
{
    /* Without this the plain KVM answers MSRs of paravirtual features that KVM does not give TDs. */
    struct kvm_enable_cap cap = {.cap = KVM_CAP_ENFORCE_PV_FEATURE_CPUID, .args = {1}};
    return host_ioctl(vcpu->fd, KVM_ENABLE_CAP, &cap);
}

void tdx_vcpu_free(struct emu_vcpu *vcpu)
{
    (void)vcpu;
}

static struct kvm_segment flat_segment(uint8_t type)
{
    return (struct kvm_segment){.limit = UINT32_MAX, .type = type, .present = 1, .s = 1, .db = 1, .g = 1};
}

static int reset_system(struct tdx_vcpu *vcpu)
{
    struct kvm_sregs s;
    int rc = host_ioctl(vcpu->emu.fd, KVM_GET_SREGS, &s);
    if (rc)
        return rc;
    s.cs = flat_segment(11);
    s.ds = s.es = s.fs = s.gs = s.ss = flat_segment(3);
    s.ldt = (struct kvm_segment){.limit = 0xffff, .type = 2, .unusable = 1};
    s.tr = (struct kvm_segment){.limit = 0xffff, .type = 11, .present = 1};
    s.gdt = (struct kvm_dtable){.limit = 0xffff};
    s.idt = (struct kvm_dtable){0};
    s.cr0 = CR0_PE_NE;
    s.cr2 = s.cr3 = s.cr8 = 0;
    s.cr4 = CR4_MCE | CR4_PAE;
    s.efer = EFER_SCE_LME_NXE;
    s.apic_base = APIC_BASE | APIC_BASE_X2APIC | (vcpu->emu.id == 0 ? APIC_BASE_BSP : 0);
    return host_ioctl(vcpu->emu.fd, KVM_SET_SREGS, &s);
}

/* The module's initial state (td_vmcs_init.c and tdh_vp_init.c of its published source). */
int tdx_vcpu_reset(struct tdx_vcpu *vcpu, uint64_t rcx)
{
    struct kvm_regs r = {
        .rip = TDX_RESET_VECTOR,
        .rflags = RFLAGS_RESET,
        .rbx = TDX_GPAW,
        .rcx = rcx,
        .r8 = rcx,
        .rdx = TDX_CPUID_FMS,
        .rsi = vcpu->index,
    };
    struct kvm_debugregs debug = {.dr6 = 0xffff0ff0, .dr7 = DR7_RESET};
    struct kvm_mp_state runnable = {KVM_MP_STATE_RUNNABLE};
    int rc = reset_system(vcpu);
    if (!rc)
        rc = host_ioctl(vcpu->emu.fd, KVM_SET_REGS, &r);
    if (!rc)
        rc = host_ioctl(vcpu->emu.fd, KVM_SET_DEBUGREGS, &debug);
    if (!rc)
        rc = emu_vcpu_set_msr(&vcpu->emu, MSR_FMASK, FMASK_RESET);
    return rc ? rc : host_ioctl(vcpu->emu.fd, KVM_SET_MP_STATE, &runnable);
}

/* The plain KVM sees the shared bit in the address; its caller does not. */
static int on_mmio(struct tdx_vcpu *vcpu)
{
    struct kvm_run *run = vcpu->emu.run;
    if (run->mmio.phys_addr & TDX_SHARED_BIT) {
        run->mmio.phys_addr &= ~TDX_SHARED_BIT;
        return EMU_EXIT;
    }
    vcpu->stuck = true;
    return emu_vcpu_memory_fault(&vcpu->emu, run->mmio.phys_addr, true);
}

static int on_exit_reason(struct tdx_vcpu *vcpu)
{
    switch (vcpu->emu.run->exit_reason) {
    case COFRE_UD_EXIT:
        return tdx_undefined_opcode(vcpu);
    case KVM_EXIT_MMIO:
        return on_mmio(vcpu);
    case KVM_EXIT_IOAPIC_EOI: /* the module's local APIC does not tell the host of EOIs */
        return EMU_RESUME;
    default:
        return EMU_EXIT;
    }
}

int tdx_vcpu_enter(struct emu_vcpu *emu)
{
    struct tdx_vcpu *vcpu = tdx_vcpu(emu);
    if (tdx_vm_of(vcpu)->dead)
        return -EIO;
    int rc = emu_vcpu_enter(emu);
    if (rc == -EFAULT)
        return tdx_untouchable_page(vcpu);
    return rc < 0 ? rc : on_exit_reason(vcpu);
}

static int run(struct tdx_vcpu *vcpu)
{
    if (!vcpu->initialised || tdx_vm_of(vcpu)->state != TD_RUNNABLE)
        return -EINVAL;
    if (vcpu->stuck)
        return -EFAULT; /* the access would be repeated, with the same end; the exit is there still */
    return emu_vcpu_run(&vcpu->emu);
}

/* Beside what every protected guest keeps from its host. */
static bool is_td_register_ioctl(unsigned long request)
{
    static const unsigned long registers[] = {KVM_GET_FPU,   KVM_SET_FPU,   KVM_GET_XSAVE, KVM_GET_XSAVE2,
                                              KVM_SET_XSAVE, KVM_GET_LAPIC, KVM_SET_LAPIC, KVM_SET_TSC_KHZ};
    for (size_t i = 0; i < sizeof(registers) / sizeof(registers[0]); i++)
        if (registers[i] == request)
            return true;
    return emu_is_register_ioctl(request);
}

/* KVM_GET_MSRS and KVM_SET_MSRS: how many went well, before the first that did not. */
static int access_msrs(struct tdx_vcpu *vcpu, struct kvm_msrs *msrs, bool write)
{
    struct kvm_msrs head;
    if (caller_read(&head, msrs, sizeof(head)) != 0)
        return -EFAULT;
    if (head.nmsrs >= MSRS_MOST)
        return -E2BIG;
    for (uint32_t i = 0; i < head.nmsrs; i++) {
        struct kvm_msr_entry e;
        if (caller_read(&e, CALLER_AT(msrs, entries[i]), sizeof(e)) != 0)
            return -EFAULT;
        uint64_t value = e.data;
        int rc = write ? tdx_set_msr(vcpu, e.index, value) : tdx_get_msr(vcpu, e.index, &value);
        if (rc)
            return (int)i;
        e.data = value;
        if (!write && caller_write(CALLER_AT(msrs, entries[i]), &e, sizeof(e)) != 0)
            return -EFAULT;
    }
    return (int)head.nmsrs;
}

static int command(struct tdx_vcpu *vcpu, struct uapi_tdx_cmd *cmd)
{
    pthread_mutex_lock(&vcpu->emu.vm->lock);
    int rc = tdx_vcpu_command(vcpu, cmd);
    pthread_mutex_unlock(&vcpu->emu.vm->lock);
    return rc;
}

int tdx_vcpu_ioctl(struct emu_vcpu *emu, unsigned long request, void *argument)
{
    struct tdx_vcpu *vcpu = tdx_vcpu(emu);
    if (tdx_vm_of(vcpu)->dead)
        return -EIO;
    if (is_td_register_ioctl(request))
        return -EINVAL;
    switch (request) {
    case KVM_RUN:
        return run(vcpu);
    case KVM_MEMORY_ENCRYPT_OP:
        return argument ? command(vcpu, argument) : -EFAULT;
    case KVM_SET_CPUID2:
        return emu_vcpu_set_cpuid(emu, argument, tdx_cpuid_adapt);
    case KVM_GET_MSRS:
    case KVM_SET_MSRS:
        return access_msrs(vcpu, argument, request == KVM_SET_MSRS);
    default:
        return host_ioctl(emu->fd, request, argument);
    }
}
