/*
 * Inside the emulation: one confidential virtual machine and its vCPUs on a plain KVM, as far as every TEE has them
 * alike. What a TEE adds is behind one table (struct emu_type): snp/ and tdx/ fill in one each.
 *
 * Functions return 0, or -errno as the kernel would; those on the way of KVM_RUN return as KVM's own exit handlers do:
 * EMU_RESUME, EMU_EXIT or -errno.
 */
#ifndef COFRE_EMU_EMU_H
#define COFRE_EMU_EMU_H

#include <limits.h>
#include <stdatomic.h>

#include "vmm/emu/insn.h"
#include "vmm/emu/ioevent.h"
#include "vmm/emu/memory.h"
#include "vmm/emu/module/cofre_ud.h"
#include "vmm/kvm/uapi.h"

enum { EMU_EXIT = 0, EMU_RESUME = 1 };
enum { EMU_COMMON = INT_MIN }; /* what a type's ioctl returns for a call that is the same for all */

#define EMU_VCPUS_MAX 512
#define EMU_CPUID_MAX 256

#define EMU_HYPERCALL_EXITS (1ull << KVM_HC_MAP_GPA_RANGE)

/* KVM_MEMORY_ENCRYPT_OP's argument, read from the caller and written back. */
union emu_command {
    struct uapi_sev_cmd sev;
    struct uapi_tdx_cmd tdx;
};

struct emu_plain; /* plain.h */

struct emu_vm {
    const struct emu_type *type;
    atomic_uint refs;
    int fd;     /* ours of the plain one: the caller may close its own at any time */
    int kvm_fd; /* a /dev/kvm of our own */
    int ud_fd;
    struct emu_memory memory;
    struct ioevents ioevents;

    pthread_mutex_t lock;                 /* all below, and the type's own; taken before the memory's */
    uint64_t hypercall_exits;             /* KVM_CAP_EXIT_HYPERCALL */
    struct emu_vcpu *vcpu[EMU_VCPUS_MAX]; /* in creation order */
    unsigned vcpu_count;
};

struct emu_vcpu {
    struct emu_vm *vm;
    int fd; /* as the machine's */
    uint32_t id;
    struct kvm_run *run;
    size_t run_size;
    struct kvm_cpuid_entry2 *cpuid; /* as the caller set it */
    unsigned cpuid_count;
    unsigned in_vain; /* accesses in a row that KVM could not serve though nothing stands against them */
    int (*complete)(
        struct emu_vcpu
            *vcpu); /* what to do with the caller's answer to an exit, when KVM_RUN is called again */
};

/* What a TEE adds to a plain virtual machine. NULL stands for "nothing" in all but the sizes, vcpu_ioctl and enter. */
struct emu_type {
    unsigned vm_type;          /* KVM_CREATE_VM's argument */
    const char *title;         /* "SEV-SNP" */
    const char *device;        /* a device of its own beside /dev/kvm */
    size_t vm_size, vcpu_size; /* of the structures that begin with struct emu_vm and struct emu_vcpu */

    int (*device_ioctl)(unsigned long request, void *argument); /* NULL: there is none that it knows */
    /* Called on /dev/kvm; EMU_COMMON where it is not the type's affair. */
    int (*system_ioctl)(int kvm_fd, unsigned long request, void *argument);

    int (*vm_init)(
        struct emu_vm *vm); /* vm is zeros but for the members above; vm_free follows a failure, too */
    void (*vm_free)(struct emu_vm *vm);
    /* With the lock held, before the code for all types looks at it: EMU_COMMON lets it. Of ioctls' arguments, what
     * the request names the size of is a copy (backend.c); the rest are the caller's addresses (caller.h). */
    int (*vm_ioctl)(struct emu_vm *vm, unsigned long request, void *argument);

    int (*vcpu_init)(struct emu_vcpu *vcpu); /* as vm_init */
    void (*vcpu_free)(struct emu_vcpu *vcpu);
    int (*vcpu_ioctl)(struct emu_vcpu *vcpu, unsigned long request, void *argument);
    /* KVM_RUN of the plain KVM, once, and what its exit means. */
    int (*enter)(struct emu_vcpu *vcpu);
};

/* backend.c: what the caller's descriptors are */
int emu_check_extension(int fd, unsigned long capability); /* of a virtual machine, or of /dev/kvm */
bool emu_is_device(int fd, const struct emu_type *type);   /* an open type->device */
/* A guest_memfd is of a confidential machine or of a plain one; the other is NULL. Takes over the caller's reference to it and the
 * descriptor, which are gone where it fails. */
int emu_register_gmem(int fd, struct emu_gmem *gmem, struct emu_vm *vm, struct emu_plain *plain);
int emu_register_vcpu(int fd, struct emu_vcpu *vcpu);
/* The one behind a descriptor of this machine, or NULL. */
struct emu_gmem *emu_gmem_of(int fd, const struct emu_vm *vm, const struct emu_plain *plain);

/* vm.c */
int emu_vm_create(struct emu_vm **out, const struct emu_type *type, int kvm_fd, int *fd);
void emu_vm_get(struct emu_vm *vm);
void emu_vm_put(struct emu_vm *vm);
int emu_vm_ioctl(struct emu_vm *vm, unsigned long request, void *argument);
int emu_vm_enable_cap(struct emu_vm *vm, uint32_t cap, uint64_t argument); /* the plain one's */
/* The #UD of this machine come to KVM_RUN as COFRE_UD_EXIT. */
int emu_vm_leave_on_ud(struct emu_vm *vm);

/* vcpu.c */
int emu_vcpu_create(struct emu_vm *vm, uint32_t id, struct emu_vcpu **out, int *fd);
void emu_vcpu_free(struct emu_vcpu *vcpu);
/* The plain KVM's KVM_RUN, once: 0 or -errno. */
int emu_vcpu_enter(struct emu_vcpu *vcpu);
/* KVM_RUN: what was left to complete, then type->enter until the caller is needed. */
int emu_vcpu_run(struct emu_vcpu *vcpu);
/* Out of KVM_RUN with this reason; complete (or NULL) runs when KVM_RUN is called again. */
int emu_vcpu_exit(struct emu_vcpu *vcpu, uint32_t reason, int (*complete)(struct emu_vcpu *));
/* KVM_EXIT_HYPERCALL of a conversion of pages, and the caller's answer to it: 0, or -errno where KVM_RUN must fail. */
int emu_vcpu_exit_map_gpa(struct emu_vcpu *vcpu, uint64_t gpa, uint64_t pages, uint64_t attributes,
                          int (*complete)(struct emu_vcpu *));
int emu_vcpu_map_gpa_result(struct emu_vcpu *vcpu, uint64_t *result);
/* KVM_EXIT_IO; the bytes are at emu_vcpu_port_data, before or after. */
int emu_vcpu_exit_io(struct emu_vcpu *vcpu, bool in, uint16_t port, unsigned size, unsigned count,
                     int (*complete)(struct emu_vcpu *));
uint8_t *emu_vcpu_port_data(struct emu_vcpu *vcpu);
/* KVM_EXIT_MMIO: a write of len bytes, or where data is NULL a read. */
int emu_vcpu_exit_mmio(struct emu_vcpu *vcpu, uint64_t gpa, const void *data, unsigned len,
                       int (*complete)(struct emu_vcpu *));
/* KVM_EXIT_MEMORY_FAULT, for which KVM_RUN fails: -EFAULT. */
int emu_vcpu_memory_fault(struct emu_vcpu *vcpu, uint64_t gpa, bool private);
int emu_vcpu_inject(struct emu_vcpu *vcpu, uint8_t vector, bool has_error_code, uint32_t error_code);
/* An exception for which the plain KVM has no vector with that meaning, delivered through the guest's own IDT, or
 * -EFAULT where the guest has no way to take it. 64-bit mode only. */
int emu_vcpu_deliver(struct emu_vcpu *vcpu, uint8_t vector, const uint64_t *error_code);
/* Guest address of a linear address, or -EFAULT. */
int emu_vcpu_translate(struct emu_vcpu *vcpu, uint64_t linear, uint64_t *gpa);
/* Bytes at a linear address, as the guest has them: private or shared. -EFAULT where some are neither. */
int emu_vcpu_read(struct emu_vcpu *vcpu, uint64_t linear, void *out, size_t len);
int emu_vcpu_write(struct emu_vcpu *vcpu, uint64_t linear, void *data, size_t len);
static inline struct cofre_ud_fault *emu_vcpu_fault(const struct emu_vcpu *vcpu)
{
    return (struct cofre_ud_fault *)((uint8_t *)vcpu->run + COFRE_UD_FAULT_OFFSET);
}
static inline bool emu_is_long_mode(const struct kvm_sregs *sregs)
{
    return (sregs->efer & 1ull << 10) && sregs->cs.l;
}
/* The instruction at RIP. */
enum insn emu_vcpu_instruction(struct emu_vcpu *vcpu, const struct kvm_regs *regs,
                               const struct kvm_sregs *sregs);
/* After an EFAULT of emu_vcpu_enter: what the guest touched, and what is there now. MEMORY_OK: another vCPU has changed it since, and the
 * guest is to try again; so many times in a row, and it is an EFAULT for good (-EFAULT), as where the module saw no access at all. */
int emu_vcpu_touched(struct emu_vcpu *vcpu, struct cofre_ud_fault *fault, enum memory_access *access);
int emu_vcpu_get_msr(struct emu_vcpu *vcpu, uint32_t index, uint64_t *value);
int emu_vcpu_set_msr(struct emu_vcpu *vcpu, uint32_t index, uint64_t value);
/* KVM_SET_CPUID2: the caller's table is kept, and the plain KVM gets own, an array of *n with room for EMU_CPUID_MAX,
 * which adapt made of it. */
int emu_vcpu_set_cpuid(struct emu_vcpu *vcpu, const struct kvm_cpuid2 *table,
                       int (*adapt)(struct emu_vcpu *vcpu, struct kvm_cpuid_entry2 *own, unsigned *n));
/* What CPUID answers on this vCPU; zeros for an unknown function. */
struct kvm_cpuid_entry2 emu_vcpu_cpuid(const struct emu_vcpu *vcpu, uint32_t function, uint32_t index);
/* Does the host have these registers of the guest no longer, once they are protected? */
bool emu_is_register_ioctl(unsigned long request);

/* cpuid.c: KVM_GET_SUPPORTED_CPUID of the plain KVM; entry has room for EMU_CPUID_MAX. */
int emu_cpuid_supported(int kvm_fd, struct kvm_cpuid_entry2 *entry, unsigned *n);
struct kvm_cpuid_entry2 *emu_cpuid_find(struct kvm_cpuid_entry2 *entry, unsigned n, uint32_t function,
                                        uint32_t index);

#endif
