/* cofre inspect: what goes into a launch, beside firmware. */
#include <string.h>

#include "sev/digest.h"
#include "sev/ecdsa.h"
#include "sev/id_block.h"
#include "sev/policy.h"
#include "vmm/cli/inspect.h"
#include "vmm/shim/abi.h"

/* ID block and ID authentication: recognised by being one, since they have no mark */

static bool is_id_block(struct view file)
{
    struct snp_id_block block;
    return snp_id_block_parse(&block, file, NULL) == 0;
}

static int describe_id_block(json_t **out, struct view file, struct cofre_err *err)
{
    json_t *description = *out = json_object();
    struct snp_id_block block;
    char policy[SNP_POLICY_TEXT_SIZE];
    int rc = snp_id_block_parse(&block, file, err);
    if (rc < 0)
        return rc;
    snp_policy_format(policy, block.policy);
    inspect_put_hex(description, "launch_digest", block.launch_digest, sizeof block.launch_digest);
    inspect_put_hex(description, "family_id", block.family_id, sizeof block.family_id);
    inspect_put_hex(description, "image_id", block.image_id, sizeof block.image_id);
    json_object_set_new(description, "guest_svn", json_integer(block.guest_svn));
    inspect_put_address(description, "policy", block.policy);
    json_object_set_new(description, "policy_flags", json_string(policy));
    return 0;
}

static bool is_id_auth(struct view file)
{
    struct snp_id_auth auth;
    return snp_id_auth_parse(&auth, file, NULL) == 0;
}

static int describe_id_auth(json_t **out, struct view file, struct cofre_err *err)
{
    json_t *description = *out = json_object();
    struct snp_id_auth auth;
    uint8_t digest[SNP_DIGEST_SIZE];
    int rc = snp_id_auth_parse(&auth, file, err);
    if (rc == 0)
        rc = snp_ecdsa_key_digest(digest, &auth.id_key, err);
    if (rc < 0)
        return rc;
    inspect_put_hex(description, "id_key_digest", digest, sizeof digest);
    json_object_set_new(description, "author_key", json_boolean(snp_id_auth_has_author(&auth)));
    if (!snp_id_auth_has_author(&auth))
        return 0;
    rc = snp_ecdsa_key_digest(digest, &auth.author_key, err);
    inspect_put_hex(description, "author_key_digest", digest, sizeof digest);
    json_object_set_new(description, "author_signed_id_key",
                        json_boolean(snp_id_auth_verify_author(&auth, NULL) == 0));
    return rc;
}

/* cofre-shim: begins with cli and cld, and has the boot page's magic in it, which it compares */

static bool is_shim(struct view file)
{
    uint8_t magic[8];
    put_le64(magic, SHIM_BOOT_MAGIC);
    return file.len >= 2 && file.len <= SHIM_MAX_SIZE && memcmp(file.data, "\xfa\xfc", 2) == 0 &&
           memmem(file.data, file.len, magic, sizeof magic) != NULL;
}

/* The first pages of every launch: the digest after them is the same for all guests of this shim. */
static int describe_shim(json_t **out, struct view file, struct cofre_err *err)
{
    json_t *description = *out = json_object();
    uint8_t image[SHIM_MAX_SIZE] = {0};
    struct snp_digest digest;
    memcpy(image, file.data, file.len);
    snp_digest_init(&digest);
    int rc = inspect_put_sha256(description, file, err);
    if (rc == 0)
        rc = snp_digest_pages(&digest, SNP_PAGE_NORMAL, SHIM_BASE, image, sizeof image, err);
    if (rc < 0)
        return rc;
    inspect_put_address(description, "address", SHIM_BASE);
    json_object_set_new(description, "measured_pages", json_integer(SHIM_MAX_SIZE / SNP_PAGE_SIZE));
    inspect_put_hex(description, "digest_after_shim", digest.value, sizeof digest.value);
    return 0;
}

const struct artefact_kind inspect_id_block = {"SEV-SNP ID block", is_id_block, describe_id_block};
const struct artefact_kind inspect_id_auth = {"SEV-SNP ID authentication", is_id_auth, describe_id_auth};
const struct artefact_kind inspect_shim = {"boot shim", is_shim, describe_shim};
