/*
 * A guest touched a page that it may not: what is there, and the exception for it that the plain KVM does not know,
 * delivered in software through the guest's own IDT. (KVM_SET_VCPU_EVENTS is no way to give vectors 20 and 29: a
 * processor without the feature need not know which push an error code, and QEMU's software CPU does not.)
 */
#include <errno.h>

#include "vmm/emu/emu.h"
#include "vmm/emu/host.h"

#define EFER_LMA        (1ull << 10)
#define RFLAGS_TF       (1ull << 8)
#define RFLAGS_IF       (1ull << 9)
#define RFLAGS_NT_RF_VM (1ull << 14 | 1ull << 16 | 1ull << 17)
#define TSS_RSP0        4
#define TSS_IST1        0x24
#define GATE_INTERRUPT  0xe
#define GATE_TRAP       0xf
#define IN_VAIN_MOST    1000

struct gate {
    uint16_t offset_low, selector;
    uint8_t ist, type;
    uint16_t offset_middle;
    uint32_t offset_high, reserved;
} __attribute__((packed));

struct frame {
    uint64_t error_code, rip, cs, rflags, rsp, ss;
};

int emu_vcpu_touched(struct emu_vcpu *vcpu, struct cofre_ud_fault *fault, enum memory_access *access)
{
    *fault = *emu_vcpu_fault(vcpu);
    if (!fault->error_code)
        return -EFAULT;
    *access = memory_access(&vcpu->vm->memory, fault->gpa);
    return *access == MEMORY_OK && ++vcpu->in_vain > IN_VAIN_MOST ? -EFAULT : 0;
}

static int read_gate(struct emu_vcpu *vcpu, const struct kvm_sregs *s, uint8_t vector, struct gate *gate)
{
    if (s->idt.limit < (vector + 1u) * sizeof(*gate) - 1)
        return -EFAULT;
    int rc = emu_vcpu_read(vcpu, s->idt.base + vector * sizeof(*gate), gate, sizeof(*gate));
    unsigned type = gate->type & 0x1f;
    bool usable = gate->type & 0x80 && (type == GATE_INTERRUPT || type == GATE_TRAP);
    return rc ? rc : usable ? 0 : -EFAULT;
}

static int find_stack(struct emu_vcpu *vcpu, const struct kvm_regs *r, const struct kvm_sregs *s,
                      const struct gate *gate, uint64_t *rsp)
{
    unsigned ist = gate->ist & 7;
    *rsp = r->rsp;
    if (!ist && s->ss.dpl == 0)
        return 0;
    uint64_t at = s->tr.base + (ist ? TSS_IST1 + 8 * (ist - 1) : TSS_RSP0);
    return emu_vcpu_read(vcpu, at, rsp, sizeof(*rsp));
}

static int push_frame(struct emu_vcpu *vcpu, uint64_t *rsp, struct frame *frame, const uint64_t *error_code)
{
    size_t skip = error_code ? 0 : sizeof(frame->error_code);
    frame->error_code = error_code ? *error_code : 0;
    *rsp = (*rsp & ~15ull) - (sizeof(*frame) - skip);
    return emu_vcpu_write(vcpu, *rsp, (uint8_t *)frame + skip, sizeof(*frame) - skip);
}

static int enter_handler(struct emu_vcpu *vcpu, struct kvm_regs *r, struct kvm_sregs *s,
                         const struct gate *gate)
{
    r->rip = (uint64_t)gate->offset_high << 32 | (uint64_t)gate->offset_middle << 16 | gate->offset_low;
    r->rflags &= ~(RFLAGS_TF | RFLAGS_NT_RF_VM | ((gate->type & 0x1f) == GATE_INTERRUPT ? RFLAGS_IF : 0));
    if (s->ss.dpl != 0)
        s->ss = (struct kvm_segment){.type = 3, .present = 1, .s = 1, .g = 1, .db = 1, .limit = UINT32_MAX};
    s->cs = (struct kvm_segment){
        .selector = gate->selector, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1, .limit = UINT32_MAX};
    int rc = host_ioctl(vcpu->fd, KVM_SET_SREGS, s);
    return rc ? rc : host_ioctl(vcpu->fd, KVM_SET_REGS, r);
}

int emu_vcpu_deliver(struct emu_vcpu *vcpu, uint8_t vector, const uint64_t *error_code)
{
    struct kvm_regs r;
    struct kvm_sregs s;
    struct kvm_vcpu_events events;
    struct gate gate;
    uint64_t rsp;
    int rc = host_ioctl(vcpu->fd, KVM_GET_REGS, &r);
    if (!rc)
        rc = host_ioctl(vcpu->fd, KVM_GET_SREGS, &s);
    if (!rc)
        rc = host_ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events);
    if (rc)
        return rc;
    /* If it could not even take another event, its stack or IDT is what is missing. */
    bool in_event = events.exception.injected || events.interrupt.injected || events.nmi.injected;
    if (in_event || !(s.efer & EFER_LMA) || !s.cs.l)
        return -EFAULT;
    rc = read_gate(vcpu, &s, vector, &gate);
    if (!rc)
        rc = find_stack(vcpu, &r, &s, &gate, &rsp);
    if (rc)
        return rc;
    struct frame frame = {0, r.rip, s.cs.selector, r.rflags, r.rsp, s.ss.selector};
    rc = push_frame(vcpu, &rsp, &frame, error_code);
    r.rsp = rsp;
    return rc ? rc : enter_handler(vcpu, &r, &s, &gate);
}
