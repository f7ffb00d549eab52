/* MapGPA (348552, 3.2): pages become shared or private, 2 MiB an exit to the caller, as tdx_map_gpa does it. */
#include <errno.h>

#include "vmm/emu/tdx/tdx.h"

#define MAP_LEN_MAX (2ull << 20)

static int refuse(struct tdx_vcpu *vcpu, uint64_t status, uint64_t at)
{
    vcpu->call.gpr[R11] = at;
    return tdx_vmcall_answer(vcpu, status);
}

static int mapped(struct emu_vcpu *vcpu);

static int map_next(struct tdx_vcpu *vcpu)
{
    uint64_t gpa = vcpu->map_next;
    uint64_t len = vcpu->map_end - gpa;
    len = len < MAP_LEN_MAX ? len : MAP_LEN_MAX;
    return emu_vcpu_exit_map_gpa(&vcpu->emu, gpa & ~TDX_SHARED_BIT, len / EMU_PAGE_SIZE,
                                 gpa & TDX_SHARED_BIT ? 0 : UAPI_MAP_GPA_PRIVATE, mapped);
}

static int mapped(struct emu_vcpu *emu)
{
    struct tdx_vcpu *vcpu = tdx_vcpu(emu);
    uint64_t result;
    int rc = emu_vcpu_map_gpa_result(emu, &result);
    if (rc)
        return rc;
    if (result)
        return refuse(vcpu, result == EAGAIN ? TDVMCALL_RETRY : TDVMCALL_INVALID_OPERAND, vcpu->map_next);
    vcpu->map_next += MAP_LEN_MAX;
    return vcpu->map_next >= vcpu->map_end ? tdx_vmcall_return(emu) : map_next(vcpu);
}

int tdx_vmcall_map_gpa(struct tdx_vcpu *vcpu)
{
    uint64_t gpa = vcpu->call.gpr[R12];
    uint64_t size = vcpu->call.gpr[R13];
    uint64_t last = gpa + size - 1;
    if (!(vcpu->emu.vm->hypercall_exits & 1ull << KVM_HC_MAP_GPA_RANGE))
        return refuse(vcpu, TDVMCALL_SUBFUNC_UNSUPPORTED, gpa);
    if (gpa + size <= gpa || last >> TDX_GPAW || (gpa ^ last) & TDX_SHARED_BIT)
        return refuse(vcpu, TDVMCALL_INVALID_OPERAND, gpa);
    if ((gpa | size) % EMU_PAGE_SIZE)
        return refuse(vcpu, TDVMCALL_ALIGN_ERROR, gpa);
    vcpu->map_next = gpa;
    vcpu->map_end = gpa + size;
    return map_next(vcpu);
}
