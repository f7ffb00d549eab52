#include "vmm/kvm/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/cleanup.h"

int kvm_vm_create(struct kvm_vm *out, const struct kvm *kvm, unsigned type, struct cofre_err *err)
{
    *out = (struct kvm_vm){.kvm = kvm, .fd = -1};
    if (type != KVM_X86_DEFAULT_VM && !(kvm_check_extension(kvm, KVM_CAP_VM_TYPES) & (1 << type)))
        return cofre_fail(
            err, COFRE_LACKING,
            "this host's KVM cannot create a virtual machine of type %u: `cofre doctor` shows what is "
            "missing; --emulated runs the guest without confidentiality",
            type);
    out->fd = kvm_call(kvm, kvm->fd, KVM_CREATE_VM, (void *)(uintptr_t)type);
    return out->fd < 0 ? kvm_call_failed(err, KVM_CREATE_VM) : 0;
}

void kvm_vm_close(struct kvm_vm *vm)
{
    if (vm->fd >= 0)
        vm->kvm->backend->close(vm->fd);
    vm->fd = -1;
}

int kvm_vm_check_extension(const struct kvm_vm *vm, unsigned capability)
{
    int rc = kvm_call(vm->kvm, vm->fd, KVM_CHECK_EXTENSION, (void *)(uintptr_t)capability);
    return rc < 0 ? 0 : rc;
}

static int vm_call(struct kvm_vm *vm, unsigned long request, void *argument, struct cofre_err *err)
{
    return kvm_call(vm->kvm, vm->fd, request, argument) < 0 ? kvm_call_failed(err, request) : 0;
}

int kvm_vm_enable_cap(struct kvm_vm *vm, unsigned capability, uint64_t argument, struct cofre_err *err)
{
    struct kvm_enable_cap cap = {.cap = capability, .args = {argument}};
    int rc = vm_call(vm, KVM_ENABLE_CAP, &cap, err);
    return rc ? cofre_within(err, rc, "capability %u", capability) : 0;
}

int kvm_vm_split_irqchip(struct kvm_vm *vm, unsigned pins, struct cofre_err *err)
{
    return kvm_vm_enable_cap(vm, KVM_CAP_SPLIT_IRQCHIP, pins, err);
}

int kvm_vm_signal_msi(struct kvm_vm *vm, uint64_t address, uint32_t data, struct cofre_err *err)
{
    struct kvm_msi msi = {
        .address_lo = (uint32_t)address, .address_hi = (uint32_t)(address >> 32), .data = data};
    return vm_call(vm, KVM_SIGNAL_MSI, &msi, err);
}

int kvm_vm_ioeventfd(struct kvm_vm *vm, uint64_t gpa, int fd, bool on, struct cofre_err *err)
{
    struct kvm_ioeventfd doorbell = {
        .addr = gpa, .fd = fd, .flags = on ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN}; /* length 0 is any */
    int rc = vm_call(vm, KVM_IOEVENTFD, &doorbell, err);
    return rc ? cofre_within(err, rc, "notifications at %#llx", (unsigned long long)gpa) : 0;
}

int kvm_vm_set_msi_routes(struct kvm_vm *vm, const struct kvm_msi_route *routes, unsigned count,
                          struct cofre_err *err)
{
    if (count > KVM_MSI_ROUTES_MAX)
        return cofre_fail(err, COFRE_FAILED, "%u interrupt routes are more than KVM's %d", count,
                          KVM_MSI_ROUTES_MAX);
    CLEAN_FREE struct kvm_irq_routing *table = calloc(1, sizeof *table + count * sizeof table->entries[0]);
    if (!table)
        return cofre_fail(err, COFRE_FAILED, "interrupt routes: out of memory");
    table->nr = count;
    for (unsigned i = 0; i < count; i++)
        table->entries[i] = (struct kvm_irq_routing_entry){
            .gsi = routes[i].gsi,
            .type = KVM_IRQ_ROUTING_MSI,
            .u.msi = {.address_lo = (uint32_t)routes[i].address,
                      .address_hi = (uint32_t)(routes[i].address >> 32),
                      .data = routes[i].data},
        };
    return vm_call(vm, KVM_SET_GSI_ROUTING, table, err);
}

int kvm_vm_irqfd(struct kvm_vm *vm, int fd, uint32_t gsi, bool on, struct cofre_err *err)
{
    struct kvm_irqfd irqfd = {.fd = (uint32_t)fd, .gsi = gsi, .flags = on ? 0 : KVM_IRQFD_FLAG_DEASSIGN};
    int rc = vm_call(vm, KVM_IRQFD, &irqfd, err);
    return rc ? cofre_within(err, rc, "interrupt %u", gsi) : 0;
}

int kvm_vm_guest_memfd(struct kvm_vm *vm, uint64_t size, int *fd, struct cofre_err *err)
{
    struct uapi_create_guest_memfd create = {.size = size};
    *fd = kvm_call(vm->kvm, vm->fd, KVM_CREATE_GUEST_MEMFD, &create);
    if (*fd < 0)
        return kvm_call_failed(err, KVM_CREATE_GUEST_MEMFD);
    (void)fcntl(*fd, F_SETFD, FD_CLOEXEC); /* as of all other descriptors of KVM */
    return 0;
}

static int slot_set_shared(struct kvm_vm *vm, const struct kvm_slot *slot, struct cofre_err *err)
{
    struct kvm_userspace_memory_region region = {
        .slot = slot->slot,
        .flags = slot->read_only ? KVM_MEM_READONLY : 0,
        .guest_phys_addr = slot->gpa,
        .memory_size = slot->size,
        .userspace_addr = (uintptr_t)slot->host,
    };
    return vm_call(vm, KVM_SET_USER_MEMORY_REGION, &region, err);
}

static int slot_set_private(struct kvm_vm *vm, const struct kvm_slot *slot, struct cofre_err *err)
{
    struct uapi_memory_region2 region = {
        .slot = slot->slot,
        .flags = KVM_MEM_GUEST_MEMFD,
        .guest_phys_addr = slot->gpa,
        .memory_size = slot->size,
        .userspace_addr = (uintptr_t)slot->host,
        .guest_memfd = (uint32_t)slot->memfd,
        .guest_memfd_offset = slot->memfd_offset,
    };
    return vm_call(vm, KVM_SET_USER_MEMORY_REGION2, &region, err);
}

int kvm_vm_slot_set(struct kvm_vm *vm, const struct kvm_slot *slot, struct cofre_err *err)
{
    int rc = slot->memfd >= 0 ? slot_set_private(vm, slot, err) : slot_set_shared(vm, slot, err);
    return rc ? cofre_within(err, rc, "memory slot %u at %#llx", slot->slot, (unsigned long long)slot->gpa)
              : 0;
}

int kvm_vm_set_private(struct kvm_vm *vm, uint64_t gpa, uint64_t size, bool is_private, struct cofre_err *err)
{
    struct uapi_memory_attributes attributes = {
        .address = gpa,
        .size = size,
        .attributes = is_private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
    };
    int rc = vm_call(vm, KVM_SET_MEMORY_ATTRIBUTES, &attributes, err);
    return rc ? cofre_within(err, rc, "%#llx bytes at %#llx", (unsigned long long)size,
                             (unsigned long long)gpa)
              : 0;
}

int kvm_tdx_command(const struct kvm *kvm, int fd, uint32_t id, uint32_t flags, uint64_t data,
                    uint64_t *hw_error)
{
    struct uapi_tdx_cmd cmd = {.id = id, .flags = flags, .data = data};
    int rc = kvm_call(kvm, fd, KVM_MEMORY_ENCRYPT_OP, &cmd);
    *hw_error = cmd.hw_error;
    return rc < 0 ? errno : 0;
}

int kvm_vm_tdx_command(struct kvm_vm *vm, uint32_t id, uint32_t flags, uint64_t data, uint64_t *hw_error)
{
    return kvm_tdx_command(vm->kvm, vm->fd, id, flags, data, hw_error);
}

int kvm_vm_sev_command(struct kvm_vm *vm, uint32_t id, void *data, int sev_fd, uint32_t *fw_error)
{
    struct uapi_sev_cmd cmd = {
        .id = id, .data = (uintptr_t)data, .sev_fd = sev_fd < 0 ? 0 : (uint32_t)sev_fd};
    int rc = kvm_call(vm->kvm, vm->fd, KVM_MEMORY_ENCRYPT_OP, &cmd);
    if (fw_error)
        *fw_error = cmd.error;
    return rc < 0 ? errno : 0;
}
