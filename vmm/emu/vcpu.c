/* One vCPU: its ioctls, and the loop of KVM_RUN around the plain KVM's. */
#define LOG_ROOM "emu"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/log.h"
#include "vmm/emu/caller.h"
#include "vmm/emu/emu.h"
#include "vmm/emu/host.h"

#define PIO_DATA_OFFSET EMU_PAGE_SIZE /* in the vCPU's mapping, where KVM too has its port data */

int emu_vcpu_create(struct emu_vm *vm, uint32_t id, struct emu_vcpu **out, int *theirs)
{
    CLEAN_FREE struct emu_vcpu *vcpu = calloc(1, vm->type->vcpu_size);
    if (!vcpu)
        return -ENOMEM;
    int size = host_ioctl_value(vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (size < (int)(2 * EMU_PAGE_SIZE))
        return size < 0 ? size : -EINVAL;
    CLEAN_FD given = host_ioctl_value(vm->fd, KVM_CREATE_VCPU, id);
    if (given < 0)
        return given;
    CLEAN_FD fd = fcntl(given, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    vcpu->run = emu_host->mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (vcpu->run == MAP_FAILED)
        return -ENOMEM;
    vcpu->run_size = (size_t)size;
    vcpu->vm = vm;
    vcpu->id = id;
    vcpu->fd = TAKE_FD(fd);
    int rc = vm->type->vcpu_init(vcpu);
    if (rc) {
        emu_vcpu_free(TAKE_PTR(vcpu));
        return rc;
    }
    emu_vm_get(vm);
    *theirs = TAKE_FD(given);
    *out = TAKE_PTR(vcpu);
    return 0;
}

void emu_vcpu_free(struct emu_vcpu *vcpu)
{
    vcpu->vm->type->vcpu_free(vcpu);
    emu_host->munmap(vcpu->run, vcpu->run_size);
    emu_host->close(vcpu->fd);
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
    const struct kvm_cpuid_entry2 *e = emu_cpuid_find(vcpu->cpuid, vcpu->cpuid_count, function, index);
    return e ? *e : (struct kvm_cpuid_entry2){.function = function, .index = index};
}

int emu_vcpu_set_cpuid(struct emu_vcpu *vcpu, const struct kvm_cpuid2 *table,
                       int (*adapt)(struct emu_vcpu *, struct kvm_cpuid_entry2 *, unsigned *))
{
    struct kvm_cpuid2 head;
    if (caller_read(&head, table, sizeof(head)) != 0)
        return -EFAULT;
    if (head.nent > EMU_CPUID_MAX)
        return -E2BIG;
    size_t len = head.nent * sizeof(table->entries[0]);
    CLEAN_FREE struct kvm_cpuid2 *host = calloc(1, sizeof(*host) + EMU_CPUID_MAX * sizeof(table->entries[0]));
    CLEAN_FREE struct kvm_cpuid_entry2 *own = malloc(len + 1);
    if (!host || !own)
        return -ENOMEM;
    if (caller_read(own, CALLER_AT(table, entries), len) != 0)
        return -EFAULT;
    unsigned n = head.nent;
    memcpy(host->entries, own, len);
    int rc = adapt(vcpu, host->entries, &n);
    host->nent = n;
    if (!rc)
        rc = host_ioctl(vcpu->fd, KVM_SET_CPUID2, host);
    if (rc)
        return rc;
    free(vcpu->cpuid);
    vcpu->cpuid_count = head.nent;
    vcpu->cpuid = TAKE_PTR(own);
    return 0;
}

int emu_vcpu_memory_fault(struct emu_vcpu *vcpu, uint64_t gpa, bool private)
{
    struct uapi_exit_memory_fault *fault = uapi_exit_memory_fault(vcpu->run);
    *fault = (struct uapi_exit_memory_fault){.flags = private ? KVM_MEMORY_EXIT_FLAG_PRIVATE : 0,
                                             .gpa = gpa & ~(EMU_PAGE_SIZE - 1),
                                             .size = EMU_PAGE_SIZE};
    vcpu->run->exit_reason = KVM_EXIT_MEMORY_FAULT;
    return -EFAULT;
}

int emu_vcpu_exit(struct emu_vcpu *vcpu, uint32_t reason, int (*next)(struct emu_vcpu *))
{
    vcpu->run->exit_reason = reason;
    vcpu->complete = next;
    return EMU_EXIT;
}

uint8_t *emu_vcpu_port_data(struct emu_vcpu *vcpu)
{
    return (uint8_t *)vcpu->run + PIO_DATA_OFFSET;
}

int emu_vcpu_exit_io(struct emu_vcpu *vcpu, bool in, uint16_t port, unsigned size, unsigned count,
                     int (*next)(struct emu_vcpu *))
{
    struct kvm_run *run = vcpu->run;
    run->io.direction = in ? KVM_EXIT_IO_IN : KVM_EXIT_IO_OUT;
    run->io.size = (uint8_t)size;
    run->io.port = port;
    run->io.count = count;
    run->io.data_offset = PIO_DATA_OFFSET;
    return emu_vcpu_exit(vcpu, KVM_EXIT_IO, next);
}

int emu_vcpu_exit_mmio(struct emu_vcpu *vcpu, uint64_t gpa, const void *data, unsigned len,
                       int (*next)(struct emu_vcpu *))
{
    struct kvm_run *run = vcpu->run;
    memset(&run->mmio, 0, sizeof(run->mmio));
    run->mmio.phys_addr = gpa;
    run->mmio.len = len;
    run->mmio.is_write = data != NULL;
    if (data)
        memcpy(run->mmio.data, data, len);
    return emu_vcpu_exit(vcpu, KVM_EXIT_MMIO, next);
}

int emu_vcpu_exit_map_gpa(struct emu_vcpu *vcpu, uint64_t gpa, uint64_t pages, uint64_t attributes,
                          int (*next)(struct emu_vcpu *))
{
    struct kvm_run *run = vcpu->run;
    memset(&run->hypercall, 0, sizeof(run->hypercall));
    run->hypercall.nr = KVM_HC_MAP_GPA_RANGE;
    run->hypercall.args[0] = gpa;
    run->hypercall.args[1] = pages;
    run->hypercall.args[2] = attributes;
    return emu_vcpu_exit(vcpu, KVM_EXIT_HYPERCALL, next);
}

int emu_vcpu_map_gpa_result(struct emu_vcpu *vcpu, uint64_t *result)
{
    *result = vcpu->run->hypercall.ret;
    return *result == 0 || *result == EINVAL || *result == EAGAIN ? 0 : -EINVAL;
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

int emu_vcpu_enter(struct emu_vcpu *vcpu)
{
    *emu_vcpu_fault(vcpu) = (struct cofre_ud_fault){0};
    const int rc = host_ioctl_value(vcpu->fd, KVM_RUN, 0);
    if (rc != -EFAULT)
        vcpu->in_vain = 0;
    return rc;
}

int emu_vcpu_run(struct emu_vcpu *vcpu)
{
    if (vcpu->run->kvm_valid_regs || vcpu->run->kvm_dirty_regs)
        return -EINVAL;
    int rc = complete(vcpu);
    while (rc == EMU_RESUME) {
        rc = vcpu->vm->type->enter(vcpu);
        if (rc == EMU_EXIT && ioevents_signal(&vcpu->vm->ioevents, vcpu->run))
            rc = complete(vcpu);
    }
    return rc;
}

/* The guest's registers, which the host can neither read nor write once they are encrypted. */
bool emu_is_register_ioctl(unsigned long request)
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
