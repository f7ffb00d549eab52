/* cofre keys: a root that a TPM seals, and the states of its machine that the owner approves of. */
#include <openssl/pem.h>
#include <unistd.h>

#include "keys/seal/pcr_policy.h"
#include "keys/seal/seal.h"
#include "keys/seal/tpm_object.h"
#include "vmm/base/clean_openssl.h"
#include "vmm/base/file.h"
#include "vmm/base/json.h"
#include "vmm/cli/keys.h"

#define FILE_MAX 65536

static int read_key(EVP_PKEY **out, const char *path, bool private, struct cofre_err *err)
{
    CLEAN_BYTES file = {0};
    int rc = file_read(&file, path, FILE_MAX, err);
    if (rc < 0)
        return rc;
    CLEAN(bio) BIO *bio = BIO_new_mem_buf(file.data, (int)file.len);
    *out = !bio      ? NULL
           : private ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL)
                     : PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
    return *out ? 0
                : cofre_fail(err, COFRE_MALFORMED, "%s is no %s key in PEM", path,
                             private ? "private" : "public");
}

int keys_root_tpm(const struct keys_call *call, json_t **answer, struct cofre_err *err)
{
    CLEAN_BYTES text = {0}, authorisation = {0}, password = {0};
    CLEAN(pkey) EVP_PKEY *owner = NULL;
    const char *password_file = call->option[KEYS_OWNER_PASSWORD_FILE];
    struct seal_secret by;
    struct seal_tpm_made made;
    char parent[2 * SEAL_PARENT_SIZE + 1];
    int rc = keys_root_secret(&by, &text, call, err);
    if (rc == 0)
        rc = read_key(&owner, call->option[KEYS_POLICY_KEY], false, err);
    if (rc == 0)
        rc = seal_read_passphrase(&authorisation, call->option[KEYS_AUTHORISATION_FILE], err);
    if (rc == 0 && password_file)
        rc = seal_read_passphrase(&password, password_file, err);
    const struct seal_tpm_wish wish = {.device = call->option[KEYS_TPM],
                                       .authorisation = bytes_view(&authorisation),
                                       .password = bytes_view(&password),
                                       .owner = owner,
                                       .cost = SEAL_COST};
    if (rc == 0)
        rc = seal_set_tpm(call->option[KEYS_ROOT], &by, &wish, &made, err);
    if (rc < 0)
        return rc;
    hex_encode(parent, made.parent, sizeof made.parent);
    *answer = json_pack("{s:s, s:s, s:I}", "root", call->option[KEYS_ROOT], "storage_key", parent, "counter",
                        (json_int_t)made.counter.index);
    return *answer ? 0 : cofre_fail(err, COFRE_FAILED, "%s: is no name in UTF-8", call->option[KEYS_ROOT]);
}

/* Of the TPM as it is now, or as was said. */
static int find_digest(struct pcr_approval *approval, const struct keys_call *call, struct cofre_err *err)
{
    const char *device = call->option[KEYS_TPM], *digest = call->option[KEYS_PCR_DIGEST];
    CLEAN_TPM tpm = {0};
    if (!device == !digest)
        return cofre_fail(err, COFRE_USAGE,
                          "pcr-policy: one of --tpm and --pcr-digest is to say what is approved");
    if (digest)
        return hex_decode(approval->digest, PCR_DIGEST_SIZE, digest)
                   ? 0
                   : cofre_fail(err, COFRE_USAGE, "--pcr-digest: it is to be %d hexadecimal digits",
                                2 * PCR_DIGEST_SIZE);
    int rc = tpm_open(&tpm, device, (struct view){0}, SEAL_TPM_MS, err);
    return rc < 0 ? rc : tpm_pcr_digest(approval->digest, &tpm, approval->pcrs, err);
}

static int add(const struct pcr_approval *approval, const char *path, struct cofre_err *err)
{
    struct pcr_policy policy = {0};
    int rc = access(path, F_OK) == 0 ? pcr_policy_read(&policy, path, err) : 0;
    if (rc == 0 && (rc = pcr_policy_add(&policy, approval, err)) < 0)
        return cofre_within(err, rc, "%s", path);
    return rc < 0 ? rc : pcr_policy_write(&policy, path, err);
}

int keys_pcr_policy(const struct keys_call *call, json_t **answer, struct cofre_err *err)
{
    CLEAN(pkey) EVP_PKEY *owner = NULL;
    struct pcr_approval approval;
    char digest[2 * PCR_DIGEST_SIZE + 1];
    int rc = pcr_parse_list(&approval.pcrs, call->option[KEYS_PCRS], err);
    if (rc == 0)
        rc = read_key(&owner, call->option[KEYS_POLICY_KEY], true, err);
    if (rc == 0)
        rc = find_digest(&approval, call, err);
    if (rc == 0)
        rc = pcr_approve(&approval, owner, err);
    if (rc == 0)
        rc = add(&approval, call->option[KEYS_OUT], err);
    if (rc < 0)
        return rc;
    hex_encode(digest, approval.digest, sizeof approval.digest);
    *answer = json_pack("{s:s, s:s}", "pcrs", call->option[KEYS_PCRS], "digest", digest);
    return *answer ? 0 : cofre_fail(err, COFRE_FAILED, "out of memory");
}
