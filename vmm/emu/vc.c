/*
 * #VC PAGE_NOT_VALIDATED (APM volume 2, 15.36.10): the guest touched a private page that it has not validated.
 *
 * The exception is delivered in software, through the guest's own IDT. A processor without SEV-ES need not know that
 * vector 29 pushes an error code (QEMU's software CPU does not), so KVM_SET_VCPU_EVENTS is no way to give it.
 */
#define LOG_ROOM "emu"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vmm/base/log.h"
#include "vmm/emu/emu.h"
#include "vmm/emu/host.h"

#define VECTOR_VC          29
#define PAGE_NOT_VALIDATED 0x404

#define EFER_LMA        (1ull << 10)
#define RFLAGS_TF       (1ull << 8)
#define RFLAGS_IF       (1ull << 9)
#define RFLAGS_NT_RF_VM (1ull << 14 | 1ull << 16 | 1ull << 17)
#define TSS_RSP0        4
#define TSS_IST1        0x24
#define GATE_INTERRUPT  0xe
#define GATE_TRAP       0xf

struct gate {
    uint16_t offset_low, selector;
    uint8_t ist, type;
    uint16_t offset_middle;
    uint32_t offset_high, reserved;
} __attribute__((packed));

struct frame {
    uint64_t error_code, rip, cs, rflags, rsp, ss;
};

/* The plain KVM does not say which page the guest could not touch: look where its registers point. */
static enum memory_access find_untouchable(struct emu_vcpu *vcpu, const struct kvm_regs *r,
                                           const struct kvm_sregs *s, uint64_t *gpa)
{
    const uint64_t linear[] = {s->cs.base + r->rip,
                               r->rsp,
                               r->rsp - 8,
                               r->rdi,
                               r->rsi,
                               r->rax,
                               r->rbx,
                               r->rcx,
                               r->rdx,
                               r->rbp,
                               r->r8,
                               r->r9,
                               r->r10,
                               r->r11,
                               r->r12,
                               r->r13,
                               r->r14,
                               r->r15};
    for (size_t i = 0; i < sizeof(linear) / sizeof(linear[0]); i++) {
        if (emu_vcpu_translate(vcpu, linear[i], gpa) != 0)
            continue;
        enum memory_access access = memory_access(&vcpu->vm->memory, *gpa);
        if (access == MEMORY_NOT_VALIDATED || access == MEMORY_SHARED)
            return access;
    }
    *gpa = s->cr3 & ~(EMU_PAGE_SIZE - 1);
    return memory_access(&vcpu->vm->memory, *gpa | EMU_C_MASK);
}

static int read_gate(struct emu_vcpu *vcpu, const struct kvm_sregs *s, struct gate *gate)
{
    if (s->idt.limit < (VECTOR_VC + 1) * sizeof(*gate) - 1)
        return -EFAULT;
    int rc = emu_vcpu_read(vcpu, s->idt.base + VECTOR_VC * sizeof(*gate), gate, sizeof(*gate));
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

static int deliver(struct emu_vcpu *vcpu, struct kvm_regs *r, struct kvm_sregs *s)
{
    struct gate gate;
    uint64_t rsp;
    if (!(s->efer & EFER_LMA) || !s->cs.l)
        return -EFAULT;
    int rc = read_gate(vcpu, s, &gate);
    if (!rc)
        rc = find_stack(vcpu, r, s, &gate, &rsp);
    if (rc)
        return rc;
    struct frame frame = {PAGE_NOT_VALIDATED, r->rip, s->cs.selector, r->rflags, r->rsp, s->ss.selector};
    rsp = (rsp & ~15ull) - sizeof(frame);
    rc = emu_vcpu_write(vcpu, rsp, &frame, sizeof(frame));
    if (rc)
        return rc;
    r->rsp = rsp;
    r->rip = (uint64_t)gate.offset_high << 32 | (uint64_t)gate.offset_middle << 16 | gate.offset_low;
    r->rflags &= ~(RFLAGS_TF | RFLAGS_NT_RF_VM | ((gate.type & 0x1f) == GATE_INTERRUPT ? RFLAGS_IF : 0));
    if (s->ss.dpl != 0)
        s->ss = (struct kvm_segment){.type = 3, .present = 1, .s = 1, .g = 1, .db = 1, .limit = UINT32_MAX};
    s->cs = (struct kvm_segment){
        .selector = gate.selector, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1, .limit = UINT32_MAX};
    rc = host_ioctl(vcpu->fd, KVM_SET_SREGS, s);
    return rc ? rc : host_ioctl(vcpu->fd, KVM_SET_REGS, r);
}

static int shut_down(struct emu_vcpu *vcpu)
{
    log_error("the guest is ended: vCPU %u has no way to take the exception (#VC) for a page that it has not "
              "validated",
              vcpu->id);
    vcpu->run->exit_reason = KVM_EXIT_SHUTDOWN;
    return EMU_EXIT;
}

static void report(const struct emu_vcpu *vcpu, enum memory_access access, uint64_t gpa, uint64_t rip)
{
    static atomic_bool reported; /* once loudly; a guest can do this as often as it likes */
    char page[40] = "a page";
    if (access == MEMORY_NOT_VALIDATED)
        snprintf(page, sizeof(page), "the page at %#llx",
                 (unsigned long long)(gpa & ~EMU_C_MASK & ~0xfffull));
    log_line(LOG_ROOM, atomic_exchange(&reported, true) ? LOG_DEBUG : LOG_ERROR,
             "vCPU %u touched %s, which it has not validated (instruction at %#llx): it gets a #VC "
             "exception, as on "
             "hardware",
             vcpu->id, page, (unsigned long long)rip);
}

int emu_untouchable_page(struct emu_vcpu *vcpu)
{
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    struct kvm_vcpu_events events;
    uint64_t gpa;
    int rc = host_ioctl(vcpu->fd, KVM_GET_REGS, &regs);
    if (!rc)
        rc = host_ioctl(vcpu->fd, KVM_GET_SREGS, &sregs);
    if (!rc)
        rc = host_ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events);
    if (rc)
        return rc;
    enum memory_access access = find_untouchable(vcpu, &regs, &sregs, &gpa);
    if (access == MEMORY_SHARED)
        return emu_exit_memory_fault(vcpu, gpa & ~EMU_C_MASK);
    report(vcpu, access, gpa, regs.rip);
    if (events.exception.injected || events.interrupt.injected || events.nmi.injected)
        return shut_down(
            vcpu); /* it could not even take another event: its stack or IDT is what is missing */
    return deliver(vcpu, &regs, &sregs) == 0 ? EMU_RESUME : shut_down(vcpu);
}
