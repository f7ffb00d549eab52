#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <string.h>

#include "keys/seal/slot.h"
#include "keys/seal/stretch.h"
#include "vmm/base/ecdsa.h"

/* What the TPM seals: the root, and its counter, so that who writes to the file cannot name another. Numbers are little-endian. */
enum {
    AT_ROOT = 0,
    AT_ID = AT_ROOT + KEY_ROOT_SIZE,
    AT_FIRST = AT_ID + SEAL_COUNTER_ID_SIZE,
    AT_INDEX = AT_FIRST + 8,
    CONTENT_SIZE = AT_INDEX + 4,
};

static unsigned limit(unsigned milliseconds, unsigned otherwise)
{
    return milliseconds ? milliseconds : otherwise;
}

/* The authorisation value is stretched for whoever stands on the bus in the TPM's place and has an HMAC by it, to try words on. */
static int derive_auth(struct secret *out, struct view text, unsigned cost,
                       const uint8_t salt[static ROOT_SALT_SIZE], struct cofre_err *err)
{
    int rc = secret_alloc(out, TPM_AUTH_SIZE, err);
    if (rc == 0)
        rc = stretch(out->data, text, cost, (struct view){salt, ROOT_SALT_SIZE}, err);
    if (rc == 0)
        out->data[TPM_AUTH_SIZE - 1] |= 1;
    return rc;
}

static int seal(struct root_tpm *slot, struct tpm *tpm, const struct secret *auth, const struct secret *root,
                const struct seal_counter *counter, struct cofre_err *err)
{
    CLEAN_SECRET content = {0};
    int rc = secret_alloc(&content, CONTENT_SIZE, err);
    if (rc < 0)
        return rc;
    memcpy(content.data + AT_ROOT, root->data, KEY_ROOT_SIZE);
    memcpy(content.data + AT_ID, counter->id, SEAL_COUNTER_ID_SIZE);
    put_le64(content.data + AT_FIRST, counter->first);
    put_le32(content.data + AT_INDEX, counter->index);
    return tpm_object_seal(&slot->object, tpm, auth->data, (struct view){content.data, content.len}, err);
}

static int begin(struct root_tpm *slot, const struct seal_tpm_wish *wish, struct cofre_err *err)
{
    int rc = slot_check_cost(wish->cost, err);
    if (rc == 0)
        rc = slot_check_passphrase(wish->authorisation, err);
    if (rc == 0 && !ecdsa_is_key(&ecdsa_p256, wish->owner))
        rc = cofre_fail(err, COFRE_USAGE, "the states of a machine are approved by a key of P-256");
    if (rc < 0)
        return rc;
    *slot = (struct root_tpm){.there = true, .cost = wish->cost};
    if (RAND_bytes(slot->salt, sizeof slot->salt) != 1)
        return cofre_fail(err, COFRE_FAILED, "there are no random bytes");
    return ecdsa_key_export(slot->object.owner, &ecdsa_p256, wish->owner, err);
}

int slot_tpm_fill(struct root_file *file, const struct seal_tpm_wish *wish, const struct secret *root,
                  struct tpm *tpm, struct seal_tpm_made *made, struct cofre_err *err)
{
    struct root_tpm *slot = &file->tpm;
    CLEAN_SECRET auth = {0};
    *tpm = (struct tpm){0};
    int rc = begin(slot, wish, err);
    if (rc == 0)
        rc = derive_auth(&auth, wish->authorisation, slot->cost, slot->salt, err);
    if (rc == 0)
        rc = tpm_open(tpm, wish->device, wish->password, limit(wish->milliseconds, SEAL_TPM_MS), err);
    if (rc == 0)
        rc = tpm_find_parent(tpm, err);
    if (rc == 0)
        rc = tpm_counter_make(&made->counter, tpm, root->data, err);
    if (rc == 0)
        rc = seal(slot, tpm, &auth, root, &made->counter, err);
    if (rc == 0)
        memcpy(made->parent, tpm->parent_name, SEAL_PARENT_SIZE);
    return rc;
}
_Static_assert(SEAL_PARENT_SIZE == TPM_PARENT_SIZE, "one name");

static int unseal(struct secret *content, const struct root_tpm *slot, const struct seal_secret *by,
                  const struct pcr_policy *policy, const struct secret *auth, struct cofre_err *err)
{
    CLEAN_TPM tpm = {0};
    int rc = tpm_open(&tpm, by->tpm.device, (struct view){0}, limit(by->tpm.milliseconds, SEAL_TPM_MS), err);
    if (rc == 0)
        rc = tpm_find_parent(&tpm, err);
    if (rc == 0)
        rc = secret_alloc(content, CONTENT_SIZE, err);
    return rc < 0 ? rc
                  : tpm_object_unseal(content->data, CONTENT_SIZE, &tpm, &slot->object, auth->data, policy,
                                      by->tpm.policies, err);
}

int slot_tpm_open(const struct root_file *file, const struct seal_secret *by, struct secret *root,
                  struct seal_counter *counter, struct cofre_err *err)
{
    struct pcr_policy policy;
    CLEAN_SECRET auth = {0}, content = {0};
    int rc = pcr_policy_read(&policy, by->tpm.policies, err);
    if (rc == 0)
        rc = derive_auth(&auth, by->text, file->tpm.cost, file->tpm.salt, err);
    if (rc == 0)
        rc = unseal(&content, &file->tpm, by, &policy, &auth, err);
    if (rc == 0)
        rc = secret_alloc(root, KEY_ROOT_SIZE, err);
    if (rc < 0)
        return rc;
    memcpy(root->data, content.data + AT_ROOT, KEY_ROOT_SIZE);
    memcpy(counter->id, content.data + AT_ID, SEAL_COUNTER_ID_SIZE);
    counter->first = le64(content.data + AT_FIRST);
    counter->index = le32(content.data + AT_INDEX);
    return 0;
}

/* The counter needs no storage key: its own authorisation value, which is the root's, is proved by the session. */

int seal_counter_read(uint64_t *value, const struct seal_tpm *at, const struct seal_counter *counter,
                      const uint8_t root[static KEY_ROOT_SIZE], struct cofre_err *err)
{
    CLEAN_TPM tpm = {0};
    int rc = tpm_open(&tpm, at->device, (struct view){0}, limit(at->milliseconds, SEAL_COUNTER_MS), err);
    return rc < 0 ? rc : tpm_counter_read(value, &tpm, counter, root, err);
}

int seal_counter_advance(uint64_t *value, const struct seal_tpm *at, const struct seal_counter *counter,
                         const uint8_t root[static KEY_ROOT_SIZE], struct cofre_err *err)
{
    CLEAN_TPM tpm = {0};
    int rc = tpm_open(&tpm, at->device, (struct view){0}, limit(at->milliseconds, SEAL_COUNTER_MS), err);
    return rc < 0 ? rc : tpm_counter_advance(value, &tpm, counter, root, err);
}
