/*
 * A TEE as the machine sees it: a table of functions. The machine knows this table and never a vendor; sev/launch and
 * tdx/launch fill one each, and the programs' main files pick one by name. A plain guest has none (NULL).
 *
 * Order of calls of one launch:
 *   new, set_option..., adopt, measure (prediction; also all that `cofre measure` calls), [compare with --expect-measurement],
 *   (machine: split irqchip), vm_init, (machine: slots, guest_memfd, vCPUs), vcpu_init for each vCPU,
 *   (machine: memory attributes private), load for the image, finish, (machine: jailed), start, (machine: runs vCPUs),
 *   exit..., free.
 * connect_service is called in another process, which stays outside of the jail.
 */
#ifndef COFRE_MACHINE_TEE_H
#define COFRE_MACHINE_TEE_H

#include <linux/kvm.h>
#include <stdbool.h>

#include "vmm/base/bytes.h"
#include "vmm/machine/image.h"

struct kvm; /* vmm/kvm/kvm.h */
struct kvm_backend;
struct kvm_vm;
struct kvm_vcpu;
struct boot_config;  /* vmm/machine/boot.h */
struct igvm_file;    /* vmm/igvm/file.h */
struct igvm_machine; /* vmm/igvm/guest.h */
struct tee;          /* one guest's TEE state, the implementation's own */
struct guest_memory; /* vmm/devices/memory.h: the shared view */

struct tee_option {
    const char *name; /* "policy": the long option --policy */
    const char *argument;
    const char *help;
};

struct tee_measurement {
    const char *name; /* "launch digest", "MRTD" */
    uint8_t value[48];
};
#define TEE_REGISTERS_MAX 4

/* What the machine does after an exit that it gave to the TEE. */
enum tee_exit_action {
    TEE_EXIT_CONTINUE, /* handled: run again */
    TEE_EXIT_UNKNOWN,  /* not the TEE's */
    TEE_EXIT_STOP,     /* the guest ended; err says why, rc in *code */
};

struct tee_ops {
    const char *name;  /* "snp" */
    const char *title; /* "AMD SEV-SNP" */
    unsigned vm_type;  /* KVM_X86_SNP_VM */
    uint32_t boot_tee; /* enum boot_tee of vmm/shim/abi.h: what the shim finds in its boot page */
    const struct tee_option *options; /* ended by a NULL name */

    /* The launch image of a guest that starts in config's firmware, which has been checked but for what the TEE wants of
     * it. It keeps views of the config's. Pure. */
    int (*firmware_image)(const struct boot_config *config, struct launch_image *image,
                          struct cofre_err *err);
    /* The same of an IGVM file, the config's firmware, for a machine as it says. NULL where the TEE starts none. */
    int (*igvm_image)(const struct igvm_file *file, const struct igvm_machine *machine,
                      const struct boot_config *config, struct launch_image *image, struct cofre_err *err);

    int (*new)(struct tee **out, struct cofre_err *err);
    int (*set_option)(struct tee *tee, const char *name, const char *value, struct cofre_err *err);
    void (*free)(struct tee *tee);

    /* What the image itself wants of its launch, after all options: where one of them says otherwise, COFRE_USAGE. NULL where
     * no image says anything. */
    int (*adopt)(struct tee *tee, const struct launch_image *image, struct cofre_err *err);

    /* Pure: no KVM, no host. Called before anything else touches KVM, and by `cofre measure`. */
    int (*measure)(struct tee *tee, const struct launch_image *image, struct tee_measurement *out,
                   struct cofre_err *err);
    /* Pure, too: the run-time registers as the guest's boot software will have left them when Linux is entered, at most
     * TEE_REGISTERS_MAX; returns how many. NULL where the TEE has none. */
    int (*registers)(struct tee *tee, const struct launch_image *image, struct tee_measurement *out,
                     struct cofre_err *err);
    /* The launch must have exactly this digest; the firmware enforces it where it can. Before vm_init. */
    int (*expect)(struct tee *tee, const struct tee_measurement *expected, struct cofre_err *err);

    /* cpuid is vCPU 0's table, as vcpu_init gets it. The split interrupt controller is there. */
    int (*vm_init)(struct tee *tee, struct kvm *kvm, struct kvm_vm *vm, const struct kvm_cpuid2 *cpuid,
                   unsigned cpus, struct cofre_err *err);
    /* cpuid is the host's supported table with the machine's topology in it and room for KVM_CPUID_MAX entries; the
     * TEE corrects it, sets it and the vCPU's registers (image.h's entry state). The vCPU outlives the launch. */
    int (*vcpu_init)(struct tee *tee, struct kvm_vcpu *vcpu, unsigned index, struct kvm_cpuid2 *cpuid,
                     const struct launch_image *image, struct cofre_err *err);
    int (*load)(struct tee *tee, const struct launch_image *image, struct cofre_err *err);
    /* After this returns 0 the launch digest is final and equals what was measured here; *out is what was given. */
    int (*finish)(struct tee *tee, struct tee_measurement *out, struct cofre_err *err);
    /* Starts the threads that the TEE needs while the guest runs; NULL where it needs none. The memory is the machine's
     * and stays until the TEE is freed. */
    int (*start)(struct tee *tee, const struct guest_memory *memory, struct cofre_err *err);
    /* An exit, in vcpu->run, that the machine does not know itself; any vCPU's thread. */
    enum tee_exit_action (*exit)(struct tee *tee, const struct guest_memory *memory, struct kvm_vcpu *vcpu,
                                 int *code, struct cofre_err *err);
    /* What backend->quote_service gives for this guest; NULL where the TEE has no such service. */
    int (*connect_service)(const struct tee *tee, const struct kvm_backend *backend);
};

#endif
