/*
 * Inside the emulation: one SNP virtual machine and its vCPUs on a plain KVM. Functions return 0, or -errno as the
 * kernel would; those on the way of KVM_RUN return as KVM's own exit handlers do: EMU_RESUME, EMU_EXIT or -errno.
 */
#ifndef COFRE_EMU_EMU_H
#define COFRE_EMU_EMU_H

#include <stdatomic.h>

#include "sev/abi.h"
#include "sev/model/psp.h"
#include "vmm/emu/insn.h"
#include "vmm/emu/memory.h"
#include "vmm/kvm/uapi.h"

enum { EMU_EXIT = 0, EMU_RESUME = 1 };

#define EMU_MSR_GHCB       0xc0010130u
#define EMU_MSR_SEV_STATUS 0xc0010131u

/* SEV_FEATURES, in VMSAs and (shifted by 2) in SEV_STATUS (APM volume 2, table B-4). */
#define SEV_FEATURE_SNP_ACTIVE (1ull << 0)
#define SEV_FEATURE_DEBUG_SWAP (1ull << 5)

enum emu_phase { PHASE_CREATED, PHASE_INITIALISED, PHASE_STARTED, PHASE_FAILED, PHASE_FINISHED };

struct emu_vcpu;

#define EMU_VCPUS_MAX 512

/* What the emulated host supports beside SNP itself. */
#define EMU_VMSA_FEATURES SEV_FEATURE_DEBUG_SWAP
#define EMU_POLICY_BITS   (0x3ffffffull & ~SNP_POLICY_MIGRATE_MA)

struct emu_vm {
    atomic_uint refs;
    int fd;
    int kvm_fd; /* a /dev/kvm of our own */
    int ud_fd;
    struct emu_memory memory;

    pthread_mutex_t lock; /* all below; taken before the memory's */
    _Atomic enum emu_phase phase;
    uint64_t sev_features;
    uint64_t hypercall_exits; /* KVM_CAP_EXIT_HYPERCALL */
    uint64_t msr_exits;       /* KVM_CAP_X86_USER_SPACE_MSR, as the caller asked */
    bool request_certificates;
    int sev_fd; /* the caller's number, looked up again by each command */
    struct psp_guest *guest;
    struct kvm_cpuid_entry2 *supported; /* the platform's CPUID */
    unsigned supported_count;
    struct emu_vcpu *vcpu[EMU_VCPUS_MAX]; /* in creation order */
    unsigned vcpu_count;

    struct { /* the lie of the replayed request */
        bool kept;
        uint8_t response[EMU_PAGE_SIZE];
    } replay;
};

/* Page state change that waits for the caller's answer to a KVM_EXIT_HYPERCALL. */
struct emu_psc {
    uint64_t scratch; /* guest address of the list */
    unsigned limit;   /* entries that fit */
    unsigned index, in_flight;
};

struct emu_guest_request {
    uint64_t request, response; /* guest addresses */
    uint64_t pages;             /* of the certificate buffer */
};

struct emu_port_io {
    bool in, string;
    unsigned size, count;
    uint64_t scratch; /* guest address of a string */
};

struct emu_mmio {
    bool read;
    unsigned len;
    uint64_t scratch;
};

struct emu_vcpu {
    struct emu_vm *vm;
    int fd;
    uint32_t id;
    struct kvm_run *run;
    size_t run_size;
    struct kvm_cpuid_entry2 *cpuid;
    unsigned cpuid_count;
    bool protected; /* its state belongs to the guest: register ioctls fail */
    bool sregs_set; /* by the caller; then this is what */
    struct kvm_sregs sregs;

    uint64_t ghcb_msr;
    uint64_t ghcb_registered; /* UINT64_MAX: none */
    bool in_vmgexit;          /* the plain KVM waits for the result of the VMMCALL that VMGEXIT is to it */
    uint64_t rax;             /* that result: RAX is preserved */
    int (*complete)(struct emu_vcpu *vcpu); /* what to do with the caller's answer */
    union {
        struct emu_psc psc;
        struct emu_guest_request request;
        struct emu_port_io io;
        struct emu_mmio mmio;
    };

    struct { /* AP creation; written by other vCPUs */
        pthread_mutex_t lock;
        int event; /* eventfd: something changed */
        enum { AP_OFF, AP_RUNNING } state;
        enum { AP_NOTHING, AP_CREATE, AP_CREATE_ON_INIT, AP_DESTROY } pending;
        uint64_t vmsa;
        pthread_t thread;
        bool in_run, kicked;
        bool reset_known;
        uint64_t apic_base;
        struct kvm_lapic_state lapic; /* as it was at reset */
    } ap;
};

/* vm.c */
int emu_vm_create(struct emu_vm **out, int kvm_fd, int *fd);
void emu_vm_get(struct emu_vm *vm);
void emu_vm_put(struct emu_vm *vm);
int emu_vm_ioctl(struct emu_vm *vm, unsigned long request, void *argument);
int emu_vm_check_extension(struct emu_vm *vm, int kvm_fd, unsigned long capability);

/* launch.c: KVM_MEMORY_ENCRYPT_OP */
int emu_launch_command(struct emu_vm *vm, struct uapi_sev_cmd *cmd);
void emu_launch_free(struct emu_vm *vm);
/* The platform, opened at first use; NULL with the reason logged. */
struct psp *emu_psp(void);

/* vcpu.c */
int emu_vcpu_create(struct emu_vm *vm, uint32_t id, struct emu_vcpu **out);
void emu_vcpu_free(struct emu_vcpu *vcpu);
int emu_vcpu_ioctl(struct emu_vcpu *vcpu, unsigned long request, void *argument);
int emu_vcpu_run(struct emu_vcpu *vcpu);
int emu_vcpu_inject(struct emu_vcpu *vcpu, uint8_t vector, bool has_error_code, uint32_t error_code);
/* Guest address of a linear address, or -EFAULT. */
int emu_vcpu_translate(struct emu_vcpu *vcpu, uint64_t linear, uint64_t *gpa);
/* Bytes at a linear address, as the guest has them: private or shared. -EFAULT where some are neither. */
int emu_vcpu_read(struct emu_vcpu *vcpu, uint64_t linear, void *out, size_t len);
int emu_vcpu_write(struct emu_vcpu *vcpu, uint64_t linear, void *data, size_t len);
static inline bool emu_is_long_mode(const struct kvm_sregs *sregs)
{
    return (sregs->efer & 1ull << 10) && sregs->cs.l;
}
/* The instruction at RIP. */
enum insn emu_vcpu_instruction(struct emu_vcpu *vcpu, const struct kvm_regs *regs,
                               const struct kvm_sregs *sregs);
int emu_vcpu_stack(struct emu_vcpu *vcpu, uint64_t *linear);
int emu_exit_memory_fault(struct emu_vcpu *vcpu, uint64_t gpa);
int emu_vcpu_get_msr(struct emu_vcpu *vcpu, uint32_t index, uint64_t *value);
int emu_vcpu_set_msr(struct emu_vcpu *vcpu, uint32_t index, uint64_t value);
/* What CPUID answers on this vCPU; zeros for an unknown function. */
struct kvm_cpuid_entry2 emu_vcpu_cpuid(const struct emu_vcpu *vcpu, uint32_t function, uint32_t index);

/* vc.c: a page that the guest touched is not there: not validated, or shared and touched as private */
int emu_untouchable_page(struct emu_vcpu *vcpu);

/* ud.c: KVM_RUN left with an undefined opcode */
int emu_undefined_opcode(struct emu_vcpu *vcpu);

/* ghcb.c: VMGEXIT */
int emu_vmgexit(struct emu_vcpu *vcpu);

/* ap.c */
void emu_ap_init(struct emu_vcpu *vcpu);
void emu_ap_free(struct emu_vcpu *vcpu);
/* Before KVM_RUN enters the guest: waits until the vCPU may run. EMU_RESUME, EMU_EXIT, or -EINTR. */
int emu_ap_ready(struct emu_vcpu *vcpu);
/* The plain KVM_RUN came back with -EAGAIN: the vCPU, waiting for INIT, got it. */
int emu_ap_on_init(struct emu_vcpu *vcpu);
/* After KVM_RUN of the plain KVM, whatever it returned. */
void emu_ap_left(struct emu_vcpu *vcpu);
int emu_ap_creation(struct emu_vm *vm, uint32_t request, uint32_t apic_id, uint64_t sev_features,
                    uint64_t vmsa);

/* vmsa.c: a vCPU's registers to and from a VMSA */
int emu_vmsa_save(struct emu_vcpu *vcpu, struct snp_vmsa *out);
int emu_vmsa_load(struct emu_vcpu *vcpu, const struct snp_vmsa *vmsa);

/* backend.c: what the caller's descriptors are */
bool emu_is_sev_fd(int fd);
int emu_register_gmem(int fd, struct emu_gmem *gmem, struct emu_vm *vm);
int emu_register_vcpu(int fd, struct emu_vcpu *vcpu);
/* The guest_memfd behind a descriptor of this virtual machine, or NULL. */
struct emu_gmem *emu_gmem_of(int fd, const struct emu_vm *vm);

/* cpuid.c */
#define EMU_CPUID_MAX 256
/* The entries of a plain host as an SNP host would show them; n of at most max. -E2BIG. */
int emu_cpuid_as_snp_host(struct kvm_cpuid_entry2 *entry, unsigned *n, unsigned max);
/* A guest's entries as the plain KVM needs them for the emulation. */
void emu_cpuid_for_host(struct kvm_cpuid_entry2 *entry, unsigned n);
/* KVM_GET_SUPPORTED_CPUID of the emulated host; entry has room for EMU_CPUID_MAX. */
int emu_cpuid_supported(int kvm_fd, struct kvm_cpuid_entry2 *entry, unsigned *n);

#endif
