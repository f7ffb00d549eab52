/* One confidential virtual machine: a plain one, and what all TEEs add to it alike. */
#define LOG_ROOM "emu"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/log.h"
#include "vmm/emu/emu.h"
#include "vmm/emu/host.h"
#include "vmm/emu/module/cofre_ud.h"

int emu_vm_enable_cap(struct emu_vm *vm, uint32_t cap, uint64_t argument)
{
    struct kvm_enable_cap enable = {.cap = cap, .args = {argument}};
    return host_ioctl(vm->fd, KVM_ENABLE_CAP, &enable);
}

int emu_vm_leave_on_ud(struct emu_vm *vm)
{
    CLEAN_FD ud = emu_host->open(COFRE_UD_DEVICE, O_RDWR | O_CLOEXEC);
    if (ud < 0) {
        log_error("the emulated platform needs %s (%s): build and load the module in vmm/emu/module",
                  COFRE_UD_DEVICE, strerror(errno));
        return -ENODEV;
    }
    int rc = host_ioctl_value(ud, COFRE_UD_CATCH, (unsigned long)vm->fd);
    if (rc == -ENOTTY)
        log_error("%s is of another version of the module than the emulated platform needs: build and load "
                  "the one in vmm/emu/module",
                  COFRE_UD_DEVICE);
    if (!rc)
        vm->ud_fd = TAKE_FD(ud);
    return rc;
}

int emu_vm_create(struct emu_vm **out, const struct emu_type *type, int kvm_fd, int *fd)
{
    struct emu_vm *vm = calloc(1, type->vm_size);
    if (!vm)
        return -ENOMEM;
    vm->type = type;
    vm->refs = 1;
    vm->ud_fd = -1;
    vm->kvm_fd = kvm_fd;
    vm->fd = host_ioctl_value(kvm_fd, KVM_CREATE_VM, KVM_X86_DEFAULT_VM);
    int rc = vm->fd < 0 ? vm->fd : 0;
    memory_init(&vm->memory, vm->fd);
    ioevents_init(&vm->ioevents);
    pthread_mutex_init(&vm->lock, NULL);
    if (!rc)
        rc = type->vm_init(vm);
    if (!rc && (*fd = fcntl(vm->fd, F_DUPFD_CLOEXEC, 0)) < 0)
        rc = -errno;
    if (rc) {
        vm->kvm_fd = -1;
        emu_vm_put(vm);
        return rc;
    }
    *out = vm;
    return 0;
}

void emu_vm_get(struct emu_vm *vm)
{
    atomic_fetch_add(&vm->refs, 1);
}

void emu_vm_put(struct emu_vm *vm)
{
    if (atomic_fetch_sub(&vm->refs, 1) != 1)
        return;
    if (vm->ud_fd >= 0)
        emu_host->close(vm->ud_fd);
    if (vm->kvm_fd >= 0)
        emu_host->close(vm->kvm_fd);
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        emu_vcpu_free(vm->vcpu[i]);
    memory_free(&vm->memory);
    ioevents_free(&vm->ioevents);
    vm->type->vm_free(vm);
    if (vm->fd >= 0)
        emu_host->close(vm->fd);
    pthread_mutex_destroy(&vm->lock);
    free(vm);
}

static int enable_cap(struct emu_vm *vm, const struct kvm_enable_cap *cap)
{
    if (cap->cap != KVM_CAP_EXIT_HYPERCALL)
        return host_ioctl(vm->fd, KVM_ENABLE_CAP, (void *)(uintptr_t)cap);
    if (cap->flags || cap->args[0] & ~EMU_HYPERCALL_EXITS)
        return -EINVAL;
    vm->hypercall_exits = cap->args[0];
    return 0;
}

static int create_vcpu(struct emu_vm *vm, uint32_t id)
{
    struct emu_vcpu *vcpu;
    int fd;
    if (vm->vcpu_count >= EMU_VCPUS_MAX)
        return -EINVAL;
    int rc = emu_vcpu_create(vm, id, &vcpu, &fd);
    if (rc)
        return rc;
    vm->vcpu[vm->vcpu_count++] = vcpu;
    rc = emu_register_vcpu(fd, vcpu);
    return rc ? rc : fd;
}

/* The plain KVM checks it, and serves what it sees itself. */
static int set_ioevent(struct emu_vm *vm, struct kvm_ioeventfd *change)
{
    const int rc = host_ioctl(vm->fd, KVM_IOEVENTFD, change);
    return rc ? rc : ioevents_change(&vm->ioevents, change);
}

static int create_gmem(struct emu_vm *vm, const struct uapi_create_guest_memfd *create)
{
    struct emu_gmem *gmem;
    int fd;
    int rc = gmem_create(&gmem, create, false, &fd);
    if (rc == 0)
        rc = emu_register_gmem(fd, gmem, vm, NULL);
    return rc ? rc : fd;
}

static int set_region2(struct emu_vm *vm, const struct uapi_memory_region2 *region)
{
    struct emu_gmem *gmem = NULL;
    if (region->flags & KVM_MEM_GUEST_MEMFD) {
        if (region->memory_size && fcntl((int)region->guest_memfd, F_GETFD) < 0)
            return -EBADF;
        gmem = emu_gmem_of((int)region->guest_memfd, vm, NULL);
        if (region->memory_size && !gmem)
            return -EINVAL;
    }
    return memory_set_region(&vm->memory, region, gmem);
}

static int set_region(struct emu_vm *vm, const struct kvm_userspace_memory_region *old)
{
    struct uapi_memory_region2 region = {
        .slot = old->slot,
        .flags = old->flags,
        .guest_phys_addr = old->guest_phys_addr,
        .memory_size = old->memory_size,
        .userspace_addr = old->userspace_addr,
    };
    return old->flags & KVM_MEM_GUEST_MEMFD ? -EINVAL : memory_set_region(&vm->memory, &region, NULL);
}

static int common(struct emu_vm *vm, unsigned long request, void *argument)
{
    switch (request) {
    case KVM_CHECK_EXTENSION:
        return emu_check_extension(vm->fd, (uintptr_t)argument);
    case KVM_SET_USER_MEMORY_REGION:
        return set_region(vm, argument);
    case KVM_SET_USER_MEMORY_REGION2:
        return set_region2(vm, argument);
    case KVM_SET_MEMORY_ATTRIBUTES:
        return memory_set_attributes(&vm->memory, argument);
    case KVM_XEN_HVM_CONFIG:
        return -EINVAL; /* the emulation's own */
    case KVM_ENABLE_CAP:
        return enable_cap(vm, argument);
    case KVM_CREATE_VCPU:
        return create_vcpu(vm, (uint32_t)(uintptr_t)argument);
    case KVM_IOEVENTFD:
        return set_ioevent(vm, argument);
    case KVM_CREATE_GUEST_MEMFD:
        return create_gmem(vm, argument);
    default:
        return host_ioctl(vm->fd, request, argument);
    }
}

int emu_vm_ioctl(struct emu_vm *vm, unsigned long request, void *argument)
{
    pthread_mutex_lock(&vm->lock);
    int rc = vm->type->vm_ioctl(vm, request, argument);
    if (rc == EMU_COMMON)
        rc = common(vm, request, argument);
    pthread_mutex_unlock(&vm->lock);
    return rc;
}
