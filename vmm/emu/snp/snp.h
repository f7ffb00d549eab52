/* The SNP half of the emulation: what an SNP virtual machine and its vCPUs have beside what emu.h says of all. */
#ifndef COFRE_EMU_SNP_SNP_H
#define COFRE_EMU_SNP_SNP_H

#include "sev/abi.h"
#include "sev/model/psp.h"
#include "vmm/emu/emu.h"
#include "vmm/emu/snp/rmp.h"

#define SNP_C_BIT  EMU_HIGH_BIT
#define SNP_C_MASK EMU_HIGH_MASK

#define SNP_MSR_GHCB       0xc0010130u
#define SNP_MSR_SEV_STATUS 0xc0010131u

/* SEV_FEATURES, in VMSAs and (shifted by 2) in SEV_STATUS (APM volume 2, table B-4). */
#define SEV_FEATURE_SNP_ACTIVE (1ull << 0)
#define SEV_FEATURE_DEBUG_SWAP (1ull << 5)

/* What the emulated host supports beside SNP itself. */
#define SNP_VMSA_FEATURES    SEV_FEATURE_DEBUG_SWAP
#define SNP_HOST_POLICY_BITS (0x3ffffffull & ~SNP_POLICY_MIGRATE_MA)

enum snp_phase { PHASE_CREATED, PHASE_INITIALISED, PHASE_STARTED, PHASE_FAILED, PHASE_FINISHED };

struct snp_vm {
    struct emu_vm emu;
    struct rmp rmp; /* under the memory's lock */
    _Atomic enum snp_phase phase;
    uint64_t sev_features;
    uint64_t msr_exits; /* KVM_CAP_X86_USER_SPACE_MSR, as the caller asked */
    bool request_certificates;
    bool has_vmpls; /* vmpl.c */
    int sev_fd;     /* the caller's number, looked up again by each command */
    struct psp_guest *guest;
    struct kvm_cpuid_entry2 *supported; /* the platform's CPUID */
    unsigned supported_count;

    struct { /* the lie of the replayed request */
        bool kept;
        uint8_t response[EMU_PAGE_SIZE];
    } replay;
};

/* Page state change that waits for the caller's answer to a KVM_EXIT_HYPERCALL. */
struct snp_psc {
    uint64_t scratch; /* guest address of the list */
    unsigned limit;   /* entries that fit */
    unsigned index, in_flight;
};

struct snp_guest_request {
    uint64_t request, response; /* guest addresses */
    uint64_t pages;             /* of the certificate buffer */
};

struct snp_port_io {
    bool in, string;
    unsigned size, count;
    uint64_t scratch; /* guest address of a string */
};

struct snp_mmio {
    bool read;
    unsigned len;
    uint64_t scratch;
};

/* What a VMPL of a vCPU has beside its VMSA. */
struct snp_ghcb_msr {
    uint64_t value;
    uint64_t registered; /* UINT64_MAX: none */
};

struct snp_level {
    bool created;
    uint64_t vmsa; /* guest address */
    struct snp_ghcb_msr ghcb;
};

struct snp_vcpu {
    struct emu_vcpu emu;
    bool protected; /* its state belongs to the guest: register ioctls fail */
    bool sregs_set; /* by the caller; then this is what */
    struct kvm_sregs sregs;

    struct snp_ghcb_msr ghcb; /* of the VMPL that runs */
    unsigned vmpl;            /* it */
    struct snp_level level[RMP_VMPLS];
    struct snp_vmsa first; /* VMPL 0, while another runs: a launched VMSA is no page of the guest's */
    bool in_vmgexit;       /* the plain KVM waits for the result of the VMMCALL that VMGEXIT is to it */
    uint64_t rax;          /* that result: RAX is preserved */
    union {
        struct snp_psc psc;
        struct snp_guest_request request;
        struct snp_port_io io;
        struct snp_mmio mmio;
    };

    struct { /* AP creation; written by other vCPUs */
        pthread_mutex_t lock;
        int event; /* eventfd: something changed */
        enum {
            AP_OFF,
            AP_LAUNCHED,
            AP_RUNNING
        } state;                  /* AP_LAUNCHED: waits for INIT and SIPI, in the plain KVM */
        struct snp_vmsa launched; /* what these start it from */
        bool initialised;         /* INIT came */
        enum { AP_NOTHING, AP_CREATE, AP_CREATE_ON_INIT, AP_DESTROY } pending;
        uint64_t vmsa;
        pthread_t thread;
        bool in_run, kicked;
        bool reset_known;
        uint64_t apic_base;
        struct kvm_lapic_state lapic; /* as it was at reset */
    } ap;
};

static inline struct snp_vm *snp_vm(struct emu_vm *vm)
{
    return (struct snp_vm *)vm;
}
static inline struct snp_vcpu *snp_vcpu(struct emu_vcpu *vcpu)
{
    return (struct snp_vcpu *)vcpu;
}
static inline struct snp_vm *snp_vm_of(const struct snp_vcpu *vcpu)
{
    return (struct snp_vm *)vcpu->emu.vm;
}

extern const struct emu_type snp_type; /* vm.c */

/* launch.c: KVM_MEMORY_ENCRYPT_OP */
int snp_launch_command(struct snp_vm *vm, struct uapi_sev_cmd *cmd);
bool snp_is_sev_fd(int fd);
/* The host's, opened at first use; NULL with the reason logged. */
struct psp *snp_firmware(void);

/* device.c: /dev/sev */
int snp_device_ioctl(unsigned long request, void *argument);

/* memory.c: the RMP's instructions on a guest's memory */
void snp_memory_init(struct snp_vm *vm);
enum rmp_status snp_pvalidate(struct snp_vm *vm, unsigned vmpl, uint64_t gfn, bool large, bool validate,
                              bool *unchanged);
enum rmp_status snp_rmpadjust(struct snp_vm *vm, unsigned vmpl, uint64_t gfn, bool large,
                              uint64_t attributes);
/* One whole page that RMPADJUST made a VMSA. */
int snp_read_vmsa(struct snp_vm *vm, uint64_t gpa, void *out);
int snp_write_vmsa(struct snp_vm *vm, uint64_t gpa, const void *vmsa);
/* From now on the guest has what this VMPL may touch. */
int snp_memory_show(struct snp_vm *vm, unsigned vmpl);
/* Is this page the guest's, but not this VMPL's? */
bool snp_is_closed(struct snp_vm *vm, unsigned vmpl, uint64_t gpa);

/* vcpu.c */
int snp_vcpu_init(struct emu_vcpu *vcpu);
void snp_vcpu_free(struct emu_vcpu *vcpu);
int snp_vcpu_ioctl(struct emu_vcpu *vcpu, unsigned long request, void *argument);
int snp_vcpu_enter(struct emu_vcpu *vcpu);

/* vc.c: a page that the guest touched is not there: not validated, or shared and touched as private */
int snp_untouchable_page(struct snp_vcpu *vcpu);

/* ud.c: KVM_RUN left with an undefined opcode */
int snp_undefined_opcode(struct snp_vcpu *vcpu);

/* ghcb.c: VMGEXIT */
int snp_vmgexit(struct snp_vcpu *vcpu);

/* ap.c */
void snp_ap_init(struct snp_vcpu *vcpu);
void snp_ap_free(struct snp_vcpu *vcpu);
/* Before KVM_RUN enters the guest: waits until the vCPU may run. EMU_RESUME, EMU_EXIT, or -EINTR. */
int snp_ap_ready(struct snp_vcpu *vcpu);
/* The plain KVM_RUN came back with -EAGAIN: INIT or SIPI came to a vCPU that does not run. */
int snp_ap_on_event(struct snp_vcpu *vcpu);
/* The launch measured this VMSA of it. */
void snp_ap_launched(struct snp_vcpu *vcpu, const struct snp_vmsa *vmsa);
/* After KVM_RUN of the plain KVM, whatever it returned. */
void snp_ap_left(struct snp_vcpu *vcpu);
/* request: SW_EXITINFO1's lower half. */
int snp_ap_creation(struct snp_vcpu *by, uint32_t request, uint32_t apic_id, uint64_t sev_features,
                    uint64_t vmsa);
/* The guest has nothing to do for this vCPU until it is created again. */
int snp_ap_hold(struct snp_vcpu *vcpu);

/* vmpl.c: several VMPLs on one vCPU */
bool snp_vmpl_wanted(void);
/* AP creation of a VMPL other than 0, and its end. */
int snp_vmpl_create(struct snp_vcpu *vcpu, uint32_t apic_id, unsigned vmpl, uint64_t sev_features,
                    uint64_t vmsa);
int snp_vmpl_destroy(struct snp_vcpu *vcpu, uint32_t apic_id, unsigned vmpl);
/* Can this vCPU go on at that VMPL? Then does, at the instruction after the VMGEXIT that asked for it. */
bool snp_vmpl_is_ready(const struct snp_vcpu *vcpu, uint64_t vmpl);
int snp_vmpl_run(struct snp_vcpu *vcpu, unsigned vmpl);
/* VMPL 0 alone is left. */
int snp_vmpl_reset(struct snp_vcpu *vcpu);

/* vmsa.c: a vCPU's registers to and from a VMSA */
int snp_vmsa_save(struct snp_vcpu *vcpu, struct snp_vmsa *out);
/* As the processor leaves a guest: into a VMSA that it was loaded from. */
int snp_vmsa_store(struct snp_vcpu *vcpu, struct snp_vmsa *vmsa);
int snp_vmsa_load(struct snp_vcpu *vcpu, const struct snp_vmsa *vmsa);

/* cpuid.c */
/* The entries of a plain host as an SNP host would show them; n of at most max. -E2BIG. */
int snp_cpuid_as_host(struct kvm_cpuid_entry2 *entry, unsigned *n, unsigned max);
/* A guest's entries as the plain KVM needs them for the emulation. */
void snp_cpuid_for_plain(struct kvm_cpuid_entry2 *entry, unsigned n);
/* KVM_GET_SUPPORTED_CPUID of an SNP host; entry has room for EMU_CPUID_MAX. */
int snp_cpuid_supported(int kvm_fd, struct kvm_cpuid_entry2 *entry, unsigned *n);

#endif
