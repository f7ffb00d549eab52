/* Port I/O and MMIO by TDG.VP.VMCALL: the same exits that the instructions themselves would give on a plain guest. */
#include <string.h>

#include "vmm/emu/tdx/tdx.h"

/* tdx_complete_pio_in, tdx_complete_mmio_read */
static int read_done(struct tdx_vcpu *vcpu, const uint8_t *data)
{
    uint64_t value = 0;
    memcpy(&value, data, vcpu->call.gpr[R12]);
    vcpu->call.gpr[R11] = value;
    return tdx_vmcall_return(&vcpu->emu);
}

static int port_read(struct emu_vcpu *vcpu)
{
    return read_done(tdx_vcpu(vcpu), emu_vcpu_port_data(vcpu));
}

static int mmio_read(struct emu_vcpu *vcpu)
{
    return read_done(tdx_vcpu(vcpu), vcpu->run->mmio.data);
}

/* tdx_emulate_io */
int tdx_vmcall_io(struct tdx_vcpu *vcpu)
{
    const uint64_t *gpr = vcpu->call.gpr;
    uint64_t size = gpr[R12];
    if (gpr[R13] > 1 || (size != 1 && size != 2 && size != 4))
        return tdx_vmcall_answer(vcpu, TDVMCALL_INVALID_OPERAND);
    bool in = gpr[R13] == 0;
    if (!in)
        memcpy(emu_vcpu_port_data(&vcpu->emu), &gpr[R15], size);
    return emu_vcpu_exit_io(&vcpu->emu, in, (uint16_t)gpr[R14], (unsigned)size, 1,
                            in ? port_read : tdx_vmcall_return);
}

/* tdx_emulate_mmio */
int tdx_vmcall_mmio(struct tdx_vcpu *vcpu)
{
    const uint64_t *gpr = vcpu->call.gpr;
    uint64_t size = gpr[R12];
    uint64_t gpa = gpr[R14];
    bool whole = size == 1 || size == 2 || size == 4 || size == 8;
    if (!whole || gpr[R13] > 1 || !(gpa & TDX_SHARED_BIT) || !((gpa + size - 1) & TDX_SHARED_BIT))
        return tdx_vmcall_answer(vcpu, TDVMCALL_INVALID_OPERAND);
    bool write = gpr[R13] == 1;
    return emu_vcpu_exit_mmio(&vcpu->emu, gpa & ~TDX_SHARED_BIT, write ? &gpr[R15] : NULL, (unsigned)size,
                              write ? tdx_vmcall_return : mmio_read);
}
