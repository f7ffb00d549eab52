/*
 * What the guest's owner wants of its launch: policy, host data, ID block, the launch digest it must have, and the
 * certificates that it gets with its reports. The options of cofre run that only SNP guests have.
 */
#ifndef COFRE_SEV_LAUNCH_OWNER_H
#define COFRE_SEV_LAUNCH_OWNER_H

#include <stdbool.h>

#include "sev/id_block.h"
#include "vmm/kvm/kvm.h"
#include "vmm/machine/tee.h"

struct snp_owner {
    uint64_t policy;
    bool policy_given;
    uint8_t host_data[32];
    bool has_id_block, has_id_auth;
    struct snp_id_block id_block;
    struct snp_id_auth id_auth;
    struct bytes certificates; /* table for extended guest requests; empty: none */
    bool has_expected;
    uint8_t expected[SNP_DIGEST_SIZE];
    bool cpu_model_given;
    uint32_t cpu_signature; /* in the VMSAs of a guest that starts in firmware, as QEMU puts it there */
};

void snp_owner_init(struct snp_owner *owner);
void snp_owner_free(struct snp_owner *owner);

extern const struct tee_option snp_owner_options[];
int snp_owner_set_option(struct snp_owner *owner, const char *name, const char *value, struct cofre_err *err);
/* The guest must have this launch digest. COFRE_NEGATIVE where the ID block vouches for another. */
int snp_owner_expect(struct snp_owner *owner, const uint8_t expected[SNP_DIGEST_SIZE], struct cofre_err *err);

/* The wishes are ones about a guest with that image. */
int snp_owner_check_image(const struct snp_owner *owner, const struct launch_image *image,
                          struct cofre_err *err);
/* The wishes fit each other. Without --policy the ID block's is taken. */
int snp_owner_check(struct snp_owner *owner, struct cofre_err *err);
/* KVM allows the policy, as far as it says so before the launch (Linux 6.19). */
int snp_owner_check_kvm(const struct snp_owner *owner, const struct kvm *kvm, struct cofre_err *err);
/* Makes an ID block for the expected digest under a key that lives only in this call: the firmware itself then refuses
 * any other launch digest. */
int snp_owner_vouch(struct snp_owner *owner, struct cofre_err *err);

#endif
