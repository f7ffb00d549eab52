#include "sev/launch/owner.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <string.h>

#include "sev/launch/certificates.h"
#include "sev/layout.h"
#include "sev/policy.h"
#include "vmm/base/file.h"

#define CERTIFICATES_MAX (64u << 10)

void snp_owner_init(struct snp_owner *owner)
{
    *owner = (struct snp_owner){.policy = SNP_POLICY_DEFAULT, .cpu_signature = SNP_CPU_SIGNATURE_DEFAULT};
}

void snp_owner_free(struct snp_owner *owner)
{
    bytes_free(&owner->certificates);
}

static int option_policy(struct snp_owner *owner, const char *value, struct cofre_err *err)
{
    owner->policy_given = true;
    return snp_policy_parse(&owner->policy, value, err);
}

static int option_host_data(struct snp_owner *owner, const char *value, struct cofre_err *err)
{
    if (!hex_decode(owner->host_data, sizeof owner->host_data, value))
        return cofre_fail(err, COFRE_USAGE, "must be %zu hexadecimal digits", 2 * sizeof owner->host_data);
    return 0;
}

static int option_id_block(struct snp_owner *owner, const char *path, struct cofre_err *err)
{
    CLEAN_BYTES file = {0};
    int rc = file_read(&file, path, sizeof owner->id_block, err);
    if (rc == 0)
        rc = snp_id_block_parse(&owner->id_block, bytes_view(&file), err);
    owner->has_id_block = rc == 0;
    return rc;
}

static int option_id_auth(struct snp_owner *owner, const char *path, struct cofre_err *err)
{
    CLEAN_BYTES file = {0};
    int rc = file_read(&file, path, sizeof owner->id_auth, err);
    if (rc == 0)
        rc = snp_id_auth_parse(&owner->id_auth, bytes_view(&file), err);
    owner->has_id_auth = rc == 0;
    return rc;
}

static int option_certificates(struct snp_owner *owner, const char *path, struct cofre_err *err)
{
    CLEAN_BYTES file = {0};
    int rc = file_read(&file, path, CERTIFICATES_MAX, err);
    bytes_free(&owner->certificates);
    return rc < 0 ? rc : snp_certificates_load(&owner->certificates, bytes_view(&file), err);
}

static int option_cpu_model(struct snp_owner *owner, const char *value, struct cofre_err *err)
{
    owner->cpu_model_given = true;
    return snp_cpu_signature(&owner->cpu_signature, value, err);
}

const struct tee_option snp_owner_options[] = {
    {"policy", "FLAGS", "guest policy: names (smt,debug,single-socket,...) or a number; default smt"},
    {"host-data", "HEX", "32 bytes that the report carries"},
    {"id-block", "F", "the owner's ID block, with --id-auth"},
    {"id-auth", "F", "its signatures and keys"},
    {"certificates", "F",
     "VCEK or VLEK with its chain (PEM, DER or a table), which the guest gets with its report"},
    {
        "cpu-model",
        "MODEL",
        "with --firmware, whose CPUID signature its measured registers have, as QEMU's -cpu;\n"
        "                             default EPYC-v4; the vCPUs are the host's whatever it says",
    },
    {0},
};

static int (*const option_setters[])(struct snp_owner *, const char *, struct cofre_err *) = {
    option_policy, option_host_data, option_id_block, option_id_auth, option_certificates, option_cpu_model,
};

int snp_owner_set_option(struct snp_owner *owner, const char *name, const char *value, struct cofre_err *err)
{
    for (size_t i = 0; snp_owner_options[i].name; i++)
        if (strcmp(snp_owner_options[i].name, name) == 0) {
            int rc = option_setters[i](owner, value, err);
            return rc < 0 ? cofre_within(err, rc, "--%s %s", name, value) : 0;
        }
    return cofre_fail(err, COFRE_USAGE, "--%s is no option of an SNP guest", name);
}

int snp_owner_expect(struct snp_owner *owner, const uint8_t expected[SNP_DIGEST_SIZE], struct cofre_err *err)
{
    if (owner->has_id_block && memcmp(owner->id_block.launch_digest, expected, SNP_DIGEST_SIZE) != 0)
        return cofre_fail(err, COFRE_NEGATIVE,
                          "the ID block vouches for another launch digest than --expect-measurement");
    owner->has_expected = true;
    memcpy(owner->expected, expected, sizeof owner->expected);
    return 0;
}

int snp_owner_check_image(const struct snp_owner *owner, const struct launch_image *image,
                          struct cofre_err *err)
{
    if (!owner->cpu_model_given || image->at_reset)
        return 0;
    return cofre_fail(err, COFRE_USAGE, "--cpu-model goes with --firmware: nothing else measures it");
}

int snp_owner_check(struct snp_owner *owner, struct cofre_err *err)
{
    if (owner->has_id_block != owner->has_id_auth)
        return cofre_fail(err, COFRE_USAGE, "--id-block and --id-auth belong together: one is missing");
    if (!owner->has_id_block)
        return 0;
    if (!owner->policy_given)
        owner->policy = owner->id_block.policy;
    if (owner->policy == owner->id_block.policy)
        return 0;
    return cofre_fail(err, COFRE_USAGE, "--policy 0x%llx is not the policy in the ID block, 0x%llx",
                      (unsigned long long)owner->policy, (unsigned long long)owner->id_block.policy);
}

int snp_owner_check_kvm(const struct snp_owner *owner, const struct kvm *kvm, struct cofre_err *err)
{
    uint64_t allowed;
    if (!kvm_device_attr(kvm, UAPI_X86_GRP_SEV, UAPI_X86_SEV_POLICY_BITS, &allowed))
        return 0; /* before Linux 6.19: LAUNCH_START will say */
    uint64_t refused = owner->policy & ~(allowed | 0xffff);
    if (refused == 0)
        return 0;
    char names[SNP_POLICY_TEXT_SIZE];
    snp_policy_format(names, refused | SNP_POLICY_RESERVED_ONE);
    return cofre_fail(err, COFRE_LACKING, "--policy: this kernel's KVM does not allow %s", names);
}

int snp_owner_vouch(struct snp_owner *owner, struct cofre_err *err)
{
    owner->id_block = (struct snp_id_block){.version = SNP_ID_BLOCK_VERSION, .policy = owner->policy};
    memcpy(owner->id_block.launch_digest, owner->expected, sizeof owner->expected);
    EVP_PKEY *key = EVP_EC_gen("P-384");
    if (!key)
        return cofre_fail(err, COFRE_FAILED, "no key could be made for the ID block");
    int rc = snp_id_auth_sign(&owner->id_auth, &owner->id_block, key, NULL, err);
    EVP_PKEY_free(key);
    owner->has_id_block = owner->has_id_auth = rc == 0;
    return rc;
}
