/* One virtual machine: memory slots, attributes, interrupts, and the calls of its TEE. */
#ifndef COFRE_KVM_VM_H
#define COFRE_KVM_VM_H

#include "vmm/kvm/kvm.h"

struct kvm_vm {
    const struct kvm *kvm;
    int fd;
};

/* type is KVM_X86_DEFAULT_VM, KVM_X86_SNP_VM...; COFRE_LACKING where the host does not have it. kvm must
 * outlive it. */
int kvm_vm_create(struct kvm_vm *out, const struct kvm *kvm, unsigned type, struct cofre_err *err);
void kvm_vm_close(struct kvm_vm *vm);

int kvm_vm_check_extension(const struct kvm_vm *vm, unsigned capability);
int kvm_vm_enable_cap(struct kvm_vm *vm, unsigned capability, uint64_t argument, struct cofre_err *err);
/* Local APICs in the kernel, the IOAPIC ours. pins are the interrupt routes kept for it. Before the first
 * vCPU. */
int kvm_vm_split_irqchip(struct kvm_vm *vm, unsigned pins, struct cofre_err *err);
/* KVM_SIGNAL_MSI: delivers one message. No destination that accepts it is no error. Any thread. */
int kvm_vm_signal_msi(struct kvm_vm *vm, uint64_t address, uint32_t data, struct cofre_err *err);

/* KVM_IOEVENTFD: the guest's write to gpa, of any length, makes the eventfd fd readable instead of leaving KVM_RUN; on
 * false: no longer. */
int kvm_vm_ioeventfd(struct kvm_vm *vm, uint64_t gpa, int fd, bool on, struct cofre_err *err);
/* KVM_SET_GSI_ROUTING: which message each interrupt number stands for; the whole table, instead of the one before. */
struct kvm_msi_route {
    uint32_t gsi;
    uint64_t address;
    uint32_t data;
};
#define KVM_MSI_ROUTES_MAX 4096 /* of KVM's own */
int kvm_vm_set_msi_routes(struct kvm_vm *vm, const struct kvm_msi_route *routes, unsigned count,
                          struct cofre_err *err);
/* KVM_IRQFD: when the eventfd fd is written, KVM reads it and sends the message of gsi; on false: no longer. */
int kvm_vm_irqfd(struct kvm_vm *vm, int fd, uint32_t gsi, bool on, struct cofre_err *err);

/* KVM_CREATE_GUEST_MEMFD: *fd is the caller's, and keeps the virtual machine alive. size in bytes, whole
 * pages. */
int kvm_vm_guest_memfd(struct kvm_vm *vm, uint64_t size, int *fd, struct cofre_err *err);

struct kvm_slot {
    uint32_t slot;
    bool read_only;
    uint64_t gpa;
    uint64_t size; /* bytes, whole pages; 0 removes the slot */
    void *host;    /* the shared side */
    int memfd;     /* the private side, a guest_memfd, or -1 */
    uint64_t memfd_offset;
};
/* KVM_SET_USER_MEMORY_REGION, or ..._REGION2 where there is a private side. */
int kvm_vm_slot_set(struct kvm_vm *vm, const struct kvm_slot *slot, struct cofre_err *err);
/* KVM_SET_MEMORY_ATTRIBUTES: the pages show their private or their shared side. Frees neither. */
int kvm_vm_set_private(struct kvm_vm *vm, uint64_t gpa, uint64_t size, bool is_private,
                       struct cofre_err *err);

/*
 * KVM_MEMORY_ENCRYPT_OP with an SEV command (enum uapi_sev_cmd_id). data is the command's structure, read and
 * written. sev_fd is an open /dev/sev, or -1 for commands without one. Returns 0 or the errno of the call, a
 * positive number, for the caller to decode together with *fw_error (0 where the firmware was not reached;
 * may be NULL).
 */
int kvm_vm_sev_command(struct kvm_vm *vm, uint32_t id, void *data, int sev_fd, uint32_t *fw_error);
/*
 * The same call with a TDX command (enum uapi_tdx_cmd_id): of the virtual machine, and (vcpu.h) of a vCPU. data is the
 * command's structure or its immediate value. Returns 0 or the errno of the call, a positive number; *hw_error is the
 * TDX module's completion status, 0 where it was not reached.
 */
int kvm_vm_tdx_command(struct kvm_vm *vm, uint32_t id, uint32_t flags, uint64_t data, uint64_t *hw_error);

#endif
