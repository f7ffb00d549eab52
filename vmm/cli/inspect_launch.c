/* cofre inspect: what goes into a launch. */
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "sev/digest.h"
#include "sev/ecdsa.h"
#include "sev/id_block.h"
#include "sev/ovmf.h"
#include "sev/policy.h"
#include "vmm/cli/inspect.h"
#include "vmm/shim/abi.h"

static void put_hex(json_t *out, const char *key, const void *data, size_t len)
{
    char text[2 * 64 + 1];
    hex_encode(text, data, len < 64 ? len : 64);
    json_object_set_new(out, key, json_string(text));
}

static void put_address(json_t *out, const char *key, uint64_t address)
{
    char text[24];
    (void)snprintf(text, sizeof text, "0x%" PRIx64, address);
    json_object_set_new(out, key, json_string(text));
}

static int put_sha256(json_t *out, struct view file, struct cofre_err *err)
{
    uint8_t hash[32];
    if (EVP_Digest(file.data, file.len, hash, NULL, EVP_sha256(), NULL) != 1)
        return cofre_fail(err, COFRE_FAILED, "SHA-256 is not available in this OpenSSL");
    json_object_set_new(out, "size", json_integer((json_int_t)file.len));
    put_hex(out, "sha256", hash, sizeof hash);
    return 0;
}

/* OVMF images */

static json_t *entries_json(const struct ovmf_table *table)
{
    json_t *list = json_array();
    for (size_t i = 0; i < table->count; i++) {
        char guid[GUID_TEXT_SIZE];
        const char *name = ovmf_entry_name(table->entry[i].guid);
        guid_format(guid, table->entry[i].guid);
        json_array_append_new(list, json_pack("{s:s, s:s*, s:I}", "guid", guid, "name", name, "size",
                                              (json_int_t)table->entry[i].data.len));
    }
    return list;
}

static json_t *sections_json(const struct snp_ovmf *ovmf)
{
    json_t *list = json_array();
    for (size_t i = 0; i < ovmf->section_count; i++) {
        const struct snp_ovmf_section *s = &ovmf->section[i];
        json_t *section =
            json_pack("{s:I, s:s*}", "type", (json_int_t)s->type, "name", snp_ovmf_section_name(s->type));
        put_address(section, "address", s->gpa);
        put_address(section, "size", s->size);
        json_array_append_new(list, section);
    }
    return list;
}

static int describe_ovmf(json_t **out, struct view file, struct cofre_err *err)
{
    json_t *description = *out = json_object();
    struct snp_ovmf ovmf;
    int rc = snp_ovmf_parse(&ovmf, file, err);
    if (rc == 0)
        rc = put_sha256(description, file, err);
    if (rc < 0)
        return rc;
    put_address(description, "address", ovmf.table.gpa);
    json_object_set_new(description, "table", entries_json(&ovmf.table));
    json_object_set_new(description, "sev_sections", sections_json(&ovmf));
    if (ovmf.has_reset_eip)
        put_address(description, "sev_es_reset_address", ovmf.reset_eip);
    if (ovmf.has_hash_table && ovmf.hash_table_size)
        put_address(description, "kernel_hashes_address", ovmf.hash_table_gpa);
    json_object_set_new(description, "starts_snp_guests", json_boolean(ovmf.section_count > 0));
    json_object_set_new(
        description, "checks_kernel_hashes",
        json_boolean(ovmf.has_hash_table && snp_ovmf_section_find(&ovmf, SNP_OVMF_KERNEL_HASHES)));
    return 0;
}

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
    put_hex(description, "launch_digest", block.launch_digest, sizeof block.launch_digest);
    put_hex(description, "family_id", block.family_id, sizeof block.family_id);
    put_hex(description, "image_id", block.image_id, sizeof block.image_id);
    json_object_set_new(description, "guest_svn", json_integer(block.guest_svn));
    put_address(description, "policy", block.policy);
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
    put_hex(description, "id_key_digest", digest, sizeof digest);
    json_object_set_new(description, "author_key", json_boolean(snp_id_auth_has_author(&auth)));
    if (!snp_id_auth_has_author(&auth))
        return 0;
    rc = snp_ecdsa_key_digest(digest, &auth.author_key, err);
    put_hex(description, "author_key_digest", digest, sizeof digest);
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
    int rc = put_sha256(description, file, err);
    if (rc == 0)
        rc = snp_digest_pages(&digest, SNP_PAGE_NORMAL, SHIM_BASE, image, sizeof image, err);
    if (rc < 0)
        return rc;
    put_address(description, "address", SHIM_BASE);
    json_object_set_new(description, "measured_pages", json_integer(SHIM_MAX_SIZE / SNP_PAGE_SIZE));
    put_hex(description, "digest_after_shim", digest.value, sizeof digest.value);
    return 0;
}

const struct artefact_kind inspect_ovmf = {"OVMF firmware image", ovmf_table_is, describe_ovmf};
const struct artefact_kind inspect_id_block = {"SEV-SNP ID block", is_id_block, describe_id_block};
const struct artefact_kind inspect_id_auth = {"SEV-SNP ID authentication", is_id_auth, describe_id_auth};
const struct artefact_kind inspect_shim = {"boot shim", is_shim, describe_shim};
