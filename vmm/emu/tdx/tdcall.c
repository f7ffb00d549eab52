/*
 * TDCALL: the leaves that the module answers itself (348551, chapter "Guest-side interface functions"). Operands are
 * checked in the module's order, because the first to fail gives the status.
 */
#define LOG_ROOM "emu"
#include <errno.h>
#include <string.h>

#include "vmm/base/log.h"
#include "vmm/emu/host.h"
#include "vmm/emu/lies.h"
#include "vmm/emu/tdx/tdx.h"

#define VECTOR_UD 6
#define VECTOR_GP 13

#define TDX_NO_VALID_VE_INFO 0xc000070400000000ull

/* What a leaf comes to, beside EMU_EXIT and -errno of the way of KVM_RUN: the status is in RAX. */
enum { LEAF_DONE = 2 };

struct leaf_call {
    struct tdx_vcpu *vcpu;
    uint64_t gpr[GPRS]; /* in and out */
};

static tdx_status invalid(enum tdx_operand operand)
{
    return TDX_OPERAND_INVALID | operand;
}

static int done(struct leaf_call *call, tdx_status status)
{
    call->gpr[RAX] = status;
    return LEAF_DONE;
}

/* Guest memory at an operand's address, whole in a page. LEAF_DONE with *status, or where the page is not there for the
 * guest, as its own touch would end. */
static int operand(struct leaf_call *call, uint64_t gpa, void *data, size_t len, bool write)
{
    struct emu_memory *memory = &call->vcpu->emu.vm->memory;
    int rc = write ? memory_store(memory, gpa, data, len) : memory_fetch(memory, gpa, data, len);
    if (rc == 0)
        return LEAF_DONE;
    return tdx_touched(call->vcpu, memory_access(memory, gpa), gpa, 0);
}

static bool is_gpa(uint64_t gpa, bool may_be_shared)
{
    return gpa < (may_be_shared ? 2 : 1) * TDX_SHARED_BIT;
}

static int vp_info(struct leaf_call *call)
{
    struct tdx_vp_info info = {0};
    tdx_status status = tdg_vp_info(tdx_vm_of(call->vcpu)->td, call->vcpu->index, &info);
    call->gpr[RCX] = info.gpaw;
    call->gpr[RDX] = info.attributes;
    call->gpr[R8] = info.vcpus;
    call->gpr[R9] = info.vcpu_index;
    call->gpr[R10] = info.features;
    call->gpr[R11] = info.r11;
    return done(call, status);
}

static int rtmr_extend(struct leaf_call *call)
{
    uint8_t digest[TDX_DIGEST_SIZE];
    uint64_t gpa = call->gpr[RCX];
    if (gpa % 64 || !is_gpa(gpa, false))
        return done(call, invalid(TDX_OPERAND_RCX));
    int rc = operand(call, gpa, digest, sizeof(digest), false);
    return rc == LEAF_DONE ? done(call, tdg_mr_rtmr_extend(tdx_vm_of(call->vcpu)->td, call->gpr[RDX], digest))
                           : rc;
}

static int ve_info_get(struct leaf_call *call)
{
    struct tdx_ve_info *ve = &call->vcpu->ve;
    bool valid = ve->valid;
    call->gpr[RCX] = valid ? ve->reason : 0;
    call->gpr[RDX] = valid ? ve->qualification : 0;
    call->gpr[R8] = valid ? ve->gla : 0;
    call->gpr[R9] = valid ? ve->gpa : 0;
    call->gpr[R10] = valid ? ve->instruction : 0;
    ve->valid = false;
    return done(call, valid ? TDX_SUCCESS : TDX_NO_VALID_VE_INFO);
}

static int report(struct leaf_call *call)
{
    uint8_t data[TDX_REPORT_DATA_SIZE];
    struct tdx_report out;
    uint64_t gpa = call->gpr[RCX];
    if (gpa % TDX_REPORT_SIZE)
        return done(call, invalid(TDX_OPERAND_RCX));
    if (call->gpr[RDX] % TDX_REPORT_DATA_SIZE || !is_gpa(call->gpr[RDX], true))
        return done(call, invalid(TDX_OPERAND_RDX));
    int rc = operand(call, call->gpr[RDX], data, sizeof(data), false);
    if (rc != LEAF_DONE)
        return rc;
    if (call->gpr[R8] != 0)
        return done(call, invalid(TDX_OPERAND_R8));
    if (!is_gpa(gpa, true))
        return done(call, invalid(TDX_OPERAND_RCX));
    tdx_status status = tdg_mr_report(tdx_vm_of(call->vcpu)->td, data, &out);
    if (status != TDX_SUCCESS)
        return done(call, status);
    rc = operand(call, gpa, &out, sizeof(out), true);
    return rc == LEAF_DONE ? done(call, TDX_SUCCESS) : rc;
}

static int verify_report(struct leaf_call *call)
{
    struct tdx_report_mac mac;
    uint64_t gpa = call->gpr[RCX];
    if (gpa % sizeof(mac) || !is_gpa(gpa, false))
        return done(call, invalid(TDX_OPERAND_RCX));
    int rc = operand(call, gpa, &mac, sizeof(mac), false);
    return rc == LEAF_DONE ? done(call, tdg_mr_verifyreport(tdx_vm_of(call->vcpu)->td, &mac)) : rc;
}

/* Whether CPUID raises #VE. Here it never does: the plain KVM answers as the guest's handler would. */
static int cpuid_ve_set(struct leaf_call *call)
{
    return done(call, call->gpr[RCX] & ~3ull ? invalid(TDX_OPERAND_RCX) : TDX_SUCCESS);
}

/* A host that gives the guest a page which it says the guest has already accepted. */
static void accept_before_the_guest(struct tdx_vm *vm, uint64_t gpa, unsigned level)
{
    static atomic_bool told;
    if (lie_is(LIE_ADDED_PAGE) && level == SEPT_LEVEL_4K && !atomic_exchange(&told, true))
        tdx_memory_accept(vm, &gpa, &level);
}

static int page_accept(struct leaf_call *call)
{
    struct tdx_vm *vm = tdx_vm_of(call->vcpu);
    unsigned level = call->gpr[RCX] & 7;
    uint64_t gpa = call->gpr[RCX] & ~0xfffull;
    if (call->gpr[RCX] & 0xff8 || level > SEPT_LEVEL_2M || !is_gpa(gpa, false) ||
        gpa % (sept_pages(level) * EMU_PAGE_SIZE))
        return done(call, invalid(TDX_OPERAND_RCX));
    accept_before_the_guest(vm, gpa, level);
    switch (tdx_memory_accept(vm, &gpa, &level)) {
    case SEPT_ACCEPTED:
        return done(call, TDX_SUCCESS);
    case SEPT_ALREADY_ACCEPTED:
        return done(call, TDX_PAGE_ALREADY_ACCEPTED | level);
    case SEPT_SIZE_MISMATCH:
        return done(call, TDX_PAGE_SIZE_MISMATCH | level);
    case SEPT_VIOLATION: /* to KVM, which has nothing to map there */
        return emu_vcpu_memory_fault(&call->vcpu->emu, gpa, true);
    default:
        return -ENOMEM;
    }
}

static int vm_rd(struct leaf_call *call)
{
    uint64_t value = 0;
    tdx_status status = tdg_vm_rd(tdx_vm_of(call->vcpu)->td, call->gpr[RDX], &value);
    call->gpr[R8] = value;
    return done(call, status);
}

static int vm_wr(struct leaf_call *call)
{
    uint64_t old = 0;
    tdx_status status =
        tdg_vm_wr(tdx_vm_of(call->vcpu)->td, call->gpr[RDX], call->gpr[R8], call->gpr[R9], &old);
    call->gpr[R8] = old;
    return done(call, status);
}

static int vp_vmcall(struct leaf_call *call)
{
    tdx_status status = TDX_SUCCESS;
    int rc = tdx_vmcall(call->vcpu, call->gpr, &status);
    return status == TDX_SUCCESS ? rc : done(call, status);
}

static int (*const leaves[])(struct leaf_call *call) = {
    [TDG_VP_VMCALL] = vp_vmcall,           [TDG_VP_INFO] = vp_info,  [TDG_MR_RTMR_EXTEND] = rtmr_extend,
    [TDG_VP_VEINFO_GET] = ve_info_get,     [TDG_MR_REPORT] = report, [TDG_VP_CPUIDVE_SET] = cpuid_ve_set,
    [TDG_MEM_PAGE_ACCEPT] = page_accept,   [TDG_VM_RD] = vm_rd,      [TDG_VM_WR] = vm_wr,
    [TDG_MR_VERIFYREPORT] = verify_report,
};
#define LEAVES (sizeof(leaves) / sizeof(leaves[0]))

/* Bits 15:0 are the leaf, 23:16 its version, of which only TDG.VM.RD and its kin have more than one. */
static int dispatch(struct leaf_call *call)
{
    uint64_t rax = call->gpr[RAX];
    uint64_t leaf = rax & 0xffff;
    if (rax != leaf || leaf >= LEAVES || !leaves[leaf])
        return done(call, invalid(TDX_OPERAND_RAX));
    return leaves[leaf](call);
}

/* Where struct kvm_regs has the register of each number. */
static const uint8_t places[GPRS] = {
    [RAX] = offsetof(struct kvm_regs, rax), [RCX] = offsetof(struct kvm_regs, rcx),
    [RDX] = offsetof(struct kvm_regs, rdx), [RBX] = offsetof(struct kvm_regs, rbx),
    [RSP] = offsetof(struct kvm_regs, rsp), [RBP] = offsetof(struct kvm_regs, rbp),
    [RSI] = offsetof(struct kvm_regs, rsi), [RDI] = offsetof(struct kvm_regs, rdi),
    [R8] = offsetof(struct kvm_regs, r8),   [R9] = offsetof(struct kvm_regs, r9),
    [R10] = offsetof(struct kvm_regs, r10), [R11] = offsetof(struct kvm_regs, r11),
    [R12] = offsetof(struct kvm_regs, r12), [R13] = offsetof(struct kvm_regs, r13),
    [R14] = offsetof(struct kvm_regs, r14), [R15] = offsetof(struct kvm_regs, r15),
};

static void copy_gprs(uint64_t gpr[GPRS], const struct kvm_regs *regs)
{
    for (unsigned i = 0; i < GPRS; i++)
        memcpy(&gpr[i], (const uint8_t *)regs + places[i], sizeof(gpr[i]));
}

int tdx_get_gprs(struct tdx_vcpu *vcpu, uint64_t gpr[GPRS])
{
    struct kvm_regs regs;
    int rc = host_ioctl(vcpu->emu.fd, KVM_GET_REGS, &regs);
    if (!rc)
        copy_gprs(gpr, &regs);
    return rc;
}

int tdx_finish(struct tdx_vcpu *vcpu, const uint64_t gpr[GPRS])
{
    struct kvm_regs regs;
    int rc = host_ioctl(vcpu->emu.fd, KVM_GET_REGS, &regs);
    if (rc)
        return rc;
    for (unsigned i = 0; i < GPRS; i++)
        memcpy((uint8_t *)&regs + places[i], &gpr[i], sizeof(gpr[i]));
    regs.rip += INSN_LENGTH_MAX;
    rc = host_ioctl(vcpu->emu.fd, KVM_SET_REGS, &regs);
    return rc ? rc : EMU_RESUME;
}

static int on_tdcall(struct tdx_vcpu *vcpu, const struct kvm_regs *regs)
{
    struct leaf_call call = {.vcpu = vcpu};
    copy_gprs(call.gpr, regs);
    int rc = dispatch(&call);
    if (rc != LEAF_DONE)
        return rc;
    if (call.gpr[RAX] != TDX_SUCCESS && log_wanted(LOG_ROOM, LOG_DEBUG)) {
        char text[TDX_STATUS_TEXT_SIZE];
        log_debug("vCPU %u: TDCALL %llu, %#llx, %#llx: %s", vcpu->emu.id, (unsigned long long)regs->rax,
                  (unsigned long long)regs->rcx, (unsigned long long)regs->rdx,
                  tdx_status_text(text, call.gpr[RAX]));
    }
    return tdx_finish(vcpu, call.gpr);
}

int tdx_undefined_opcode(struct tdx_vcpu *vcpu)
{
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    if (vcpu->halted)
        return tdx_halt_end(vcpu);
    int rc = host_ioctl(vcpu->emu.fd, KVM_GET_REGS, &regs);
    if (!rc)
        rc = host_ioctl(vcpu->emu.fd, KVM_GET_SREGS, &sregs);
    if (rc)
        return rc;
    if (emu_vcpu_instruction(&vcpu->emu, &regs, &sregs) != INSN_TDCALL)
        return emu_vcpu_inject(&vcpu->emu, VECTOR_UD, false, 0);
    if (!emu_is_long_mode(&sregs) || sregs.ss.dpl != 0)
        return emu_vcpu_inject(&vcpu->emu, VECTOR_GP, true, 0);
    return on_tdcall(vcpu, &regs);
}
