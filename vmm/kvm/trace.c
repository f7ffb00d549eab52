#include "vmm/kvm/trace.h"

#include <stdio.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

typedef unsigned long long ull;

static void number(char *out, size_t size, const void *argument)
{
    snprintf(out, size, "%#zx", (size_t)argument);
}

static void enable_cap(char *out, size_t size, const void *argument)
{
    const struct kvm_enable_cap *c = argument;
    snprintf(out, size, "capability %u, %#llx", c->cap, (ull)c->args[0]);
}

static void region(char *out, size_t size, const void *argument)
{
    const struct kvm_userspace_memory_region *r = argument;
    snprintf(out, size, "slot %u, gpa %#llx, %#llx bytes at %#llx, flags %#x", r->slot,
             (ull)r->guest_phys_addr, (ull)r->memory_size, (ull)r->userspace_addr, r->flags);
}

static void region2(char *out, size_t size, const void *argument)
{
    const struct uapi_memory_region2 *r = argument;
    snprintf(out, size, "slot %u, gpa %#llx, %#llx bytes at %#llx, flags %#x, guest_memfd %u+%#llx", r->slot,
             (ull)r->guest_phys_addr, (ull)r->memory_size, (ull)r->userspace_addr, r->flags, r->guest_memfd,
             (ull)r->guest_memfd_offset);
}

static void attributes(char *out, size_t size, const void *argument)
{
    const struct uapi_memory_attributes *a = argument;
    snprintf(out, size, "gpa %#llx, %#llx bytes %s", (ull)a->address, (ull)a->size,
             a->attributes & KVM_MEMORY_ATTRIBUTE_PRIVATE ? "private" : "shared");
}

static void guest_memfd(char *out, size_t size, const void *argument)
{
    const struct uapi_create_guest_memfd *c = argument;
    snprintf(out, size, "%#llx bytes, flags %#llx", (ull)c->size, (ull)c->flags);
}

static void sev_command(char *out, size_t size, const void *argument)
{
    const struct uapi_sev_cmd *c = argument;
    if (c->id == UAPI_SEV_SNP_LAUNCH_UPDATE) {
        const struct uapi_snp_launch_update *u = (const void *)(uintptr_t)c->data;
        snprintf(out, size, "SNP_LAUNCH_UPDATE, now gfn %#llx, %#llx bytes left, type %u, firmware error %#x",
                 (ull)u->gfn_start, (ull)u->len, u->type, c->error);
        return;
    }
    snprintf(out, size, "command %u, firmware error %#x", c->id, c->error);
}

static void device_attr(char *out, size_t size, const void *argument)
{
    const struct kvm_device_attr *a = argument;
    snprintf(out, size, "group %u, attribute %llu", a->group, (ull)a->attr);
}

static void msi(char *out, size_t size, const void *argument)
{
    const struct kvm_msi *m = argument;
    snprintf(out, size, "address %#x:%08x, data %#x", m->address_hi, m->address_lo, m->data);
}

static void ioeventfd(char *out, size_t size, const void *argument)
{
    const struct kvm_ioeventfd *e = argument;
    snprintf(out, size, "gpa %#llx, fd %d, flags %#x", (ull)e->addr, e->fd, e->flags);
}

static void irqfd(char *out, size_t size, const void *argument)
{
    const struct kvm_irqfd *i = argument;
    snprintf(out, size, "interrupt %u, fd %u, flags %#x", i->gsi, i->fd, i->flags);
}

static void routing(char *out, size_t size, const void *argument)
{
    snprintf(out, size, "%u routes", ((const struct kvm_irq_routing *)argument)->nr);
}

static void cpuid(char *out, size_t size, const void *argument)
{
    snprintf(out, size, "%u entries", ((const struct kvm_cpuid2 *)argument)->nent);
}

static void regs(char *out, size_t size, const void *argument)
{
    const struct kvm_regs *r = argument;
    snprintf(out, size, "rip %#llx, rsp %#llx, rflags %#llx", (ull)r->rip, (ull)r->rsp, (ull)r->rflags);
}

static void sregs(char *out, size_t size, const void *argument)
{
    const struct kvm_sregs *s = argument;
    snprintf(out, size, "cs %#x base %#llx, cr0 %#llx, cr3 %#llx, cr4 %#llx, efer %#llx", s->cs.selector,
             (ull)s->cs.base, (ull)s->cr0, (ull)s->cr3, (ull)s->cr4, (ull)s->efer);
}

static void xcrs(char *out, size_t size, const void *argument)
{
    snprintf(out, size, "xcr0 %#llx", (ull)((const struct kvm_xcrs *)argument)->xcrs[0].value);
}

static void msrs(char *out, size_t size, const void *argument)
{
    const struct kvm_msrs *m = argument;
    snprintf(out, size, "register %#x, %#llx", m->entries[0].index, (ull)m->entries[0].data);
}

static void mp_state(char *out, size_t size, const void *argument)
{
    snprintf(out, size, "%u", ((const struct kvm_mp_state *)argument)->mp_state);
}

static const struct request {
    unsigned long request;
    const char *name;
    void (*describe)(char *out, size_t size, const void *argument);
} requests[] = {
    {KVM_GET_API_VERSION, "KVM_GET_API_VERSION", NULL},
    {KVM_CREATE_VM, "KVM_CREATE_VM", number},
    {KVM_CHECK_EXTENSION, "KVM_CHECK_EXTENSION", number},
    {KVM_GET_VCPU_MMAP_SIZE, "KVM_GET_VCPU_MMAP_SIZE", NULL},
    {KVM_GET_SUPPORTED_CPUID, "KVM_GET_SUPPORTED_CPUID", cpuid},
    {KVM_GET_DEVICE_ATTR, "KVM_GET_DEVICE_ATTR", device_attr},
    {KVM_ENABLE_CAP, "KVM_ENABLE_CAP", enable_cap},
    {KVM_SET_USER_MEMORY_REGION, "KVM_SET_USER_MEMORY_REGION", region},
    {KVM_SET_USER_MEMORY_REGION2, "KVM_SET_USER_MEMORY_REGION2", region2},
    {KVM_SET_MEMORY_ATTRIBUTES, "KVM_SET_MEMORY_ATTRIBUTES", attributes},
    {KVM_CREATE_GUEST_MEMFD, "KVM_CREATE_GUEST_MEMFD", guest_memfd},
    {KVM_MEMORY_ENCRYPT_OP, "KVM_MEMORY_ENCRYPT_OP", sev_command},
    {KVM_SIGNAL_MSI, "KVM_SIGNAL_MSI", msi},
    {KVM_IOEVENTFD, "KVM_IOEVENTFD", ioeventfd},
    {KVM_IRQFD, "KVM_IRQFD", irqfd},
    {KVM_SET_GSI_ROUTING, "KVM_SET_GSI_ROUTING", routing},
    {KVM_CREATE_VCPU, "KVM_CREATE_VCPU", number},
    {KVM_RUN, "KVM_RUN", NULL},
    {KVM_SET_CPUID2, "KVM_SET_CPUID2", cpuid},
    {KVM_GET_REGS, "KVM_GET_REGS", regs},
    {KVM_SET_REGS, "KVM_SET_REGS", regs},
    {KVM_GET_SREGS, "KVM_GET_SREGS", sregs},
    {KVM_SET_SREGS, "KVM_SET_SREGS", sregs},
    {KVM_SET_FPU, "KVM_SET_FPU", NULL},
    {KVM_SET_XCRS, "KVM_SET_XCRS", xcrs},
    {KVM_SET_MSRS, "KVM_SET_MSRS", msrs},
    {KVM_GET_MP_STATE, "KVM_GET_MP_STATE", mp_state},
    {KVM_SET_MP_STATE, "KVM_SET_MP_STATE", mp_state},
};

static const struct request *request_of(unsigned long request)
{
    for (size_t i = 0; i < COUNT(requests); i++)
        if (requests[i].request == request)
            return &requests[i];
    return NULL;
}

const char *kvm_request_name(unsigned long request)
{
    const struct request *r = request_of(request);
    return r ? r->name : "an unknown ioctl";
}

void kvm_request_describe(char *out, size_t size, unsigned long request, const void *argument)
{
    const struct request *r = request_of(request);
    out[0] = 0;
    if (r && r->describe)
        r->describe(out, size, argument);
}

static const struct {
    uint32_t reason;
    const char *name;
} exits[] = {
    {KVM_EXIT_UNKNOWN, "KVM_EXIT_UNKNOWN"},
    {KVM_EXIT_IO, "KVM_EXIT_IO"},
    {KVM_EXIT_HYPERCALL, "KVM_EXIT_HYPERCALL"},
    {KVM_EXIT_HLT, "KVM_EXIT_HLT"},
    {KVM_EXIT_MMIO, "KVM_EXIT_MMIO"},
    {KVM_EXIT_SHUTDOWN, "KVM_EXIT_SHUTDOWN"},
    {KVM_EXIT_FAIL_ENTRY, "KVM_EXIT_FAIL_ENTRY"},
    {KVM_EXIT_INTR, "KVM_EXIT_INTR"},
    {KVM_EXIT_INTERNAL_ERROR, "KVM_EXIT_INTERNAL_ERROR"},
    {KVM_EXIT_SYSTEM_EVENT, "KVM_EXIT_SYSTEM_EVENT"},
    {KVM_EXIT_IOAPIC_EOI, "KVM_EXIT_IOAPIC_EOI"},
    {KVM_EXIT_X86_RDMSR, "KVM_EXIT_X86_RDMSR"},
    {KVM_EXIT_X86_WRMSR, "KVM_EXIT_X86_WRMSR"},
    {KVM_EXIT_XEN, "KVM_EXIT_XEN"},
    {KVM_EXIT_MEMORY_FAULT, "KVM_EXIT_MEMORY_FAULT"},
    {KVM_EXIT_TDX, "KVM_EXIT_TDX"},
    {KVM_EXIT_SNP_REQ_CERTS, "KVM_EXIT_SNP_REQ_CERTS"},
};

const char *kvm_exit_name(uint32_t reason)
{
    for (size_t i = 0; i < COUNT(exits); i++)
        if (exits[i].reason == reason)
            return exits[i].name;
    return "an unknown exit";
}

static int exit_details(char *out, size_t size, const struct kvm_run *run)
{
    switch (run->exit_reason) {
    case KVM_EXIT_IO:
        return snprintf(out, size, " %s port %#x, %u x %u bytes",
                        run->io.direction == KVM_EXIT_IO_OUT ? "out" : "in", run->io.port, run->io.count,
                        run->io.size);
    case KVM_EXIT_MMIO:
        return snprintf(out, size, " %s %#llx, %u bytes", run->mmio.is_write ? "write" : "read",
                        (ull)run->mmio.phys_addr, run->mmio.len);
    case KVM_EXIT_HYPERCALL:
        return snprintf(out, size, " %llu: %#llx, %#llx, %#llx", (ull)run->hypercall.nr,
                        (ull)run->hypercall.args[0], (ull)run->hypercall.args[1],
                        (ull)run->hypercall.args[2]);
    case KVM_EXIT_MEMORY_FAULT: {
        const struct uapi_exit_memory_fault *f = uapi_exit_memory_fault((struct kvm_run *)run);
        return snprintf(out, size, " %s access to %#llx",
                        f->flags & KVM_MEMORY_EXIT_FLAG_PRIVATE ? "private" : "shared", (ull)f->gpa);
    }
    case KVM_EXIT_SYSTEM_EVENT:
        return snprintf(out, size, " type %u, data %#llx", run->system_event.type,
                        (ull)run->system_event.data[0]);
    case KVM_EXIT_INTERNAL_ERROR:
        return snprintf(out, size, " suberror %u", run->internal.suberror);
    case KVM_EXIT_FAIL_ENTRY:
        return snprintf(out, size, " hardware reason %#llx",
                        (ull)run->fail_entry.hardware_entry_failure_reason);
    default:
        return 0;
    }
}

void kvm_exit_describe(char *out, size_t size, const struct kvm_run *run)
{
    int used = snprintf(out, size, "%s", kvm_exit_name(run->exit_reason));
    if (used > 0 && (size_t)used < size)
        exit_details(out + used, size - (size_t)used, run);
}
