/* One vCPU: its ioctls, and the loop of KVM_RUN around the plain KVM's. */
#define LOG_ROOM "emu"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/log.h"
#include "vmm/emu/emu.h"
#include "vmm/emu/host.h"
#include "vmm/emu/insn.h"
#include "vmm/emu/module/cofre_ud.h"

#ifndef KVM_EXIT_XEN
#error "linux/kvm.h is older than Linux 5.12"
#endif

int emu_vcpu_create(struct emu_vm *vm, uint32_t id, struct emu_vcpu **out)
{
    CLEAN_FREE struct emu_vcpu *vcpu = calloc(1, sizeof(*vcpu));
    if (!vcpu)
        return -ENOMEM;
    int size = host_ioctl_value(vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (size < (int)(2 * EMU_PAGE_SIZE))
        return size < 0 ? size : -EINVAL;
    CLEAN_FD fd = host_ioctl_value(vm->fd, KVM_CREATE_VCPU, id);
    if (fd < 0)
        return fd;
    vcpu->run = emu_host->mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (vcpu->run == MAP_FAILED)
        return -ENOMEM;
    vcpu->run_size = (size_t)size;
    vcpu->vm = vm;
    vcpu->id = id;
    vcpu->ghcb_registered = UINT64_MAX;
    vcpu->fd = TAKE_FD(fd);
    emu_ap_init(vcpu);
    emu_vm_get(vm);
    *out = TAKE_PTR(vcpu);
    return 0;
}

void emu_vcpu_free(struct emu_vcpu *vcpu)
{
    emu_ap_free(vcpu);
    emu_host->munmap(vcpu->run, vcpu->run_size);
    free(vcpu->cpuid);
    free(vcpu);
}

int emu_vcpu_translate(struct emu_vcpu *vcpu, uint64_t linear, uint64_t *gpa)
{
    struct kvm_translation translation = {.linear_address = linear};
    int rc = host_ioctl(vcpu->fd, KVM_TRANSLATE, &translation);
    if (rc || !translation.valid)
        return -EFAULT;
    *gpa = translation.physical_address;
    return 0;
}

/* One piece for each page that [linear, linear + len) lies in. */
static int each_page(struct emu_vcpu *vcpu, uint64_t linear, uint8_t *data, size_t len,
                     int (*access)(struct emu_memory *, uint64_t, void *, size_t))
{
    while (len) {
        size_t n = EMU_PAGE_SIZE - linear % EMU_PAGE_SIZE;
        n = n < len ? n : len;
        uint64_t gpa;
        int rc = emu_vcpu_translate(vcpu, linear, &gpa);
        if (!rc)
            rc = access(&vcpu->vm->memory, gpa, data, n);
        if (rc)
            return rc;
        linear += n;
        data += n;
        len -= n;
    }
    return 0;
}

int emu_vcpu_read(struct emu_vcpu *vcpu, uint64_t linear, void *out, size_t len)
{
    return each_page(vcpu, linear, out, len, memory_fetch);
}

int emu_vcpu_write(struct emu_vcpu *vcpu, uint64_t linear, void *data, size_t len)
{
    return each_page(vcpu, linear, data, len, memory_store);
}

enum insn emu_vcpu_instruction(struct emu_vcpu *vcpu, const struct kvm_regs *regs,
                               const struct kvm_sregs *sregs)
{
    uint64_t linear = emu_is_long_mode(sregs) ? regs->rip : (uint32_t)(sregs->cs.base + regs->rip);
    uint8_t bytes[INSN_LENGTH_MAX];
    size_t here = EMU_PAGE_SIZE - linear % EMU_PAGE_SIZE; /* in this page; the next one may not be there */
    size_t len = 0;
    here = here < sizeof(bytes) ? here : sizeof(bytes);
    if (emu_vcpu_read(vcpu, linear, bytes, here) == 0)
        len = here;
    if (len < sizeof(bytes) && len &&
        emu_vcpu_read(vcpu, linear + len, bytes + len, sizeof(bytes) - len) == 0)
        len = sizeof(bytes);
    return insn_decode(bytes, len);
}

int emu_vcpu_stack(struct emu_vcpu *vcpu, uint64_t *linear)
{
    struct kvm_regs regs;
    int rc = host_ioctl(vcpu->fd, KVM_GET_REGS, &regs);
    *linear = rc ? 0 : regs.rsp;
    return rc;
}

int emu_vcpu_inject(struct emu_vcpu *vcpu, uint8_t vector, bool has_error_code, uint32_t error_code)
{
    struct kvm_vcpu_events events;
    int rc = host_ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events);
    if (rc)
        return rc;
    events.exception.injected = 1;
    events.exception.nr = vector;
    events.exception.has_error_code = has_error_code;
    events.exception.error_code = error_code;
    events.flags = 0;
    rc = host_ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events);
    return rc ? rc : EMU_RESUME;
}

struct one_msr {
    struct kvm_msrs head;
    struct kvm_msr_entry entry;
};

int emu_vcpu_get_msr(struct emu_vcpu *vcpu, uint32_t index, uint64_t *value)
{
    struct one_msr msr = {.head.nmsrs = 1, .entry.index = index};
    int rc = host_ioctl(vcpu->fd, KVM_GET_MSRS, &msr);
    *value = msr.entry.data;
    return rc == 1 ? 0 : rc < 0 ? rc : -EINVAL;
}

int emu_vcpu_set_msr(struct emu_vcpu *vcpu, uint32_t index, uint64_t value)
{
    struct one_msr msr = {.head.nmsrs = 1, .entry = {.index = index, .data = value}};
    int rc = host_ioctl(vcpu->fd, KVM_SET_MSRS, &msr);
    return rc == 1 ? 0 : rc < 0 ? rc : -EINVAL;
}

struct kvm_cpuid_entry2 emu_vcpu_cpuid(const struct emu_vcpu *vcpu, uint32_t function, uint32_t index)
{
    for (unsigned i = 0; i < vcpu->cpuid_count; i++) {
        const struct kvm_cpuid_entry2 *e = &vcpu->cpuid[i];
        bool indexed = e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
        if (e->function == function && (!indexed || e->index == index))
            return *e;
    }
    return (struct kvm_cpuid_entry2){.function = function, .index = index};
}

int emu_exit_memory_fault(struct emu_vcpu *vcpu, uint64_t gpa)
{
    struct uapi_exit_memory_fault *fault = uapi_exit_memory_fault(vcpu->run);
    *fault = (struct uapi_exit_memory_fault){
        .flags = KVM_MEMORY_EXIT_FLAG_PRIVATE, .gpa = gpa & ~(EMU_PAGE_SIZE - 1), .size = EMU_PAGE_SIZE};
    vcpu->run->exit_reason = KVM_EXIT_MEMORY_FAULT;
    return -EFAULT;
}

static int on_msr(struct emu_vcpu *vcpu)
{
    struct kvm_run *run = vcpu->run;
    bool write = run->exit_reason == KVM_EXIT_X86_WRMSR;
    run->msr.error = 0;
    if (run->msr.index == EMU_MSR_GHCB && write)
        vcpu->ghcb_msr = run->msr.data;
    else if (run->msr.index == EMU_MSR_GHCB)
        run->msr.data = vcpu->ghcb_msr;
    else if (run->msr.index == EMU_MSR_SEV_STATUS && !write)
        run->msr.data = 3 | vcpu->vm->sev_features << 2; /* SEV, SEV-ES; SNP_ACTIVE becomes bit 2 */
    else if (run->msr.index == EMU_MSR_SEV_STATUS || !(vcpu->vm->msr_exits & KVM_MSR_EXIT_REASON_FILTER))
        run->msr.error = 1; /* #GP */
    else
        return EMU_EXIT; /* the caller's own filter */
    return EMU_RESUME;
}

/* VMMCALL left the plain guest: VMGEXIT if it has the repeat prefix. */
static int on_vmmcall(struct emu_vcpu *vcpu)
{
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    vcpu->in_vmgexit = true;
    vcpu->rax = vcpu->run->xen.u.hcall.input;
    int rc = host_ioctl(vcpu->fd, KVM_GET_REGS, &regs);
    if (!rc)
        rc = host_ioctl(vcpu->fd, KVM_GET_SREGS, &sregs);
    if (rc)
        return rc;
    if (vcpu->run->xen.u.hcall.cpl == 0 && emu_vcpu_instruction(vcpu, &regs, &sregs) == INSN_VMGEXIT)
        return emu_vmgexit(vcpu);
    vcpu->rax = (uint64_t)-1000; /* -KVM_ENOSYS: on hardware the guest's own #VC handler would answer */
    return EMU_RESUME;
}

static int on_failure(struct emu_vcpu *vcpu, int rc)
{
    if (rc == -EFAULT)
        return emu_untouchable_page(vcpu);
    return rc == -EAGAIN ? emu_ap_on_init(vcpu) : rc;
}

static int on_exit_reason(struct emu_vcpu *vcpu)
{
    switch (vcpu->run->exit_reason) {
    case KVM_EXIT_X86_RDMSR:
    case KVM_EXIT_X86_WRMSR:
        return on_msr(vcpu);
    case KVM_EXIT_XEN:
        return on_vmmcall(vcpu);
    case COFRE_UD_EXIT:
        return emu_undefined_opcode(vcpu);
    default:
        return EMU_EXIT;
    }
}

/* The caller has done what the last exit asked for. */
static int complete(struct emu_vcpu *vcpu)
{
    int (*next)(struct emu_vcpu *) = vcpu->complete;
    if (!next)
        return EMU_RESUME;
    vcpu->complete = NULL;
    int rc = next(vcpu);
    if (rc < 0)
        vcpu->complete = next; /* the exit stays unanswered */
    return rc;
}

static int enter(struct emu_vcpu *vcpu)
{
    if (vcpu->in_vmgexit)
        vcpu->run->xen.u.hcall.result = vcpu->rax;
    vcpu->in_vmgexit = false;
    int rc = host_ioctl_value(vcpu->fd, KVM_RUN, 0);
    emu_ap_left(vcpu);
    return rc < 0 ? on_failure(vcpu, rc) : on_exit_reason(vcpu);
}

int emu_vcpu_run(struct emu_vcpu *vcpu)
{
    if (vcpu->vm->phase != PHASE_FINISHED || !vcpu->protected || vcpu->run->kvm_valid_regs ||
        vcpu->run->kvm_dirty_regs)
        return -EINVAL;
    int rc = complete(vcpu);
    while (rc == EMU_RESUME) {
        rc = emu_ap_ready(vcpu);
        if (rc == EMU_RESUME)
            rc = enter(vcpu);
    }
    return rc;
}

static int set_cpuid(struct emu_vcpu *vcpu, const struct kvm_cpuid2 *table)
{
    if (table->nent > EMU_CPUID_MAX)
        return -E2BIG;
    size_t len = table->nent * sizeof(table->entries[0]);
    CLEAN_FREE struct kvm_cpuid2 *host = malloc(sizeof(*host) + len);
    CLEAN_FREE struct kvm_cpuid_entry2 *own = malloc(len + 1);
    if (!host || !own)
        return -ENOMEM;
    memcpy(own, table->entries, len);
    host->nent = table->nent;
    host->padding = 0;
    memcpy(host->entries, own, len);
    emu_cpuid_for_host(host->entries, host->nent);
    int rc = host_ioctl(vcpu->fd, KVM_SET_CPUID2, host);
    if (rc)
        return rc;
    free(vcpu->cpuid);
    vcpu->cpuid_count = host->nent;
    vcpu->cpuid = TAKE_PTR(own);
    return 0;
}

static int set_sregs(struct emu_vcpu *vcpu, unsigned long request, void *argument)
{
    int rc = host_ioctl(vcpu->fd, request, argument);
    if (!rc) {
        /* struct kvm_sregs2 begins as kvm_sregs does, up to the interrupt bitmap */
        memcpy(&vcpu->sregs, argument, offsetof(struct kvm_sregs, interrupt_bitmap));
        vcpu->sregs_set = true;
    }
    return rc;
}

/* The guest's registers, which the host can neither read nor write once they are encrypted. */
static bool is_register_ioctl(unsigned long request)
{
    static const unsigned long registers[] = {
        KVM_GET_REGS,   KVM_SET_REGS,   KVM_GET_SREGS,       KVM_SET_SREGS,
        KVM_GET_SREGS2, KVM_SET_SREGS2, KVM_GET_DEBUGREGS,   KVM_SET_DEBUGREGS,
        KVM_GET_XCRS,   KVM_SET_XCRS,   KVM_SET_GUEST_DEBUG, KVM_TRANSLATE,
    };
    for (size_t i = 0; i < sizeof(registers) / sizeof(registers[0]); i++)
        if (registers[i] == request)
            return true;
    return false;
}

int emu_vcpu_ioctl(struct emu_vcpu *vcpu, unsigned long request, void *argument)
{
    if (vcpu->protected && is_register_ioctl(request))
        return -EINVAL;
    switch (request) {
    case KVM_RUN:
        return emu_vcpu_run(vcpu);
    case KVM_SET_CPUID2:
        return set_cpuid(vcpu, argument);
    case KVM_SET_SREGS:
    case KVM_SET_SREGS2:
        return set_sregs(vcpu, request, argument);
    default:
        return host_ioctl(vcpu->fd, request, argument);
    }
}
