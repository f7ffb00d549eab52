#include "keys/seal/slot.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <string.h>

#include "keys/seal/recovery.h"
#include "keys/seal/stretch.h"

int slot_check_cost(unsigned cost, struct cofre_err *err)
{
    return cost >= SEAL_COST_MIN && cost <= SEAL_COST_MAX
               ? 0
               : cofre_fail(err, COFRE_USAGE, "a cost of %u is none of %d to %d", cost, SEAL_COST_MIN,
                            SEAL_COST_MAX);
}

int slot_check_passphrase(struct view passphrase, struct cofre_err *err)
{
    return passphrase.len >= SEAL_PASSPHRASE_MIN && passphrase.len <= SEAL_PASSPHRASE_MAX
               ? 0
               : cofre_fail(err, COFRE_USAGE, "a passphrase has %d to %d bytes, and this one %zu",
                            SEAL_PASSPHRASE_MIN, SEAL_PASSPHRASE_MAX, passphrase.len);
}

/* Whose slot it is, of what kind, and made how. */
struct about {
    uint8_t data[96];
    size_t len;
};

static struct about about(const struct root_file *file, enum seal_kind kind)
{
    static const char purpose[] = "cofre root 1";
    const char *name = seal_kind_name(kind);
    struct about a = {.len = 0};
    const uint8_t cost[3] = {(uint8_t)file->slot[kind].cost, STRETCH_R, STRETCH_P};
    const struct view parts[] = {{(const uint8_t *)purpose, sizeof purpose},
                                 {file->id, sizeof file->id},
                                 {(const uint8_t *)name, strlen(name) + 1},
                                 {cost, sizeof cost},
                                 {file->slot[kind].salt, ROOT_SALT_SIZE}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        memcpy(a.data + a.len, parts[i].data, parts[i].len);
        a.len += parts[i].len;
    }
    return a;
}

int slot_fill(struct root_file *file, enum seal_kind kind, struct view text, unsigned cost,
              const struct secret *root, struct cofre_err *err)
{
    struct root_slot *slot = &file->slot[kind];
    CLEAN_SECRET key = {0};
    int rc = slot_check_cost(cost, err);
    if (rc < 0)
        return rc;
    *slot = (struct root_slot){.there = true, .cost = cost};
    if (RAND_bytes(slot->salt, sizeof slot->salt) != 1 || RAND_bytes(slot->nonce, sizeof slot->nonce) != 1)
        return cofre_fail(err, COFRE_FAILED, "there are no random bytes");
    rc = secret_alloc(&key, STRETCH_SIZE, err);
    if (rc == 0)
        rc = stretch(key.data, text, cost, (struct view){slot->salt, sizeof slot->salt}, err);
    if (rc < 0)
        return rc;
    const struct about a = about(file, kind);
    const struct gcm gcm = {{key.data, key.len}, slot->nonce, {a.data, a.len}};
    return gcm_seal(slot->sealed, &gcm, (struct view){root->data, root->len}, err);
}

static int open_by(const struct root_file *file, enum seal_kind kind, struct view text, struct secret *root,
                   struct cofre_err *err)
{
    const struct root_slot *slot = &file->slot[kind];
    CLEAN_SECRET key = {0};
    int rc = secret_alloc(&key, STRETCH_SIZE, err);
    if (rc == 0)
        rc = stretch(key.data, text, slot->cost, (struct view){slot->salt, sizeof slot->salt}, err);
    if (rc == 0)
        rc = secret_alloc(root, KEY_ROOT_SIZE, err);
    if (rc < 0)
        return rc;
    const struct about a = about(file, kind);
    const struct gcm gcm = {{key.data, key.len}, slot->nonce, {a.data, a.len}};
    rc = gcm_open(root->data, &gcm, (struct view){slot->sealed, sizeof slot->sealed}, err);
    if (rc < 0)
        secret_free(root);
    return rc == -COFRE_NEGATIVE
               ? cofre_fail(
                     err, COFRE_NEGATIVE,
                     "the slot \"%s\" does not open: the passphrase is another, or the slot was changed",
                     seal_kind_name(kind))
               : rc;
}

int slot_open(const struct root_file *file, const struct seal_secret *by, struct secret *root,
              struct seal_counter *counter, struct cofre_err *err)
{
    char letters[RECOVERY_LETTERS];
    struct view text = by->text;
    int rc = 0;
    (void)counter;
    if (by->kind == SEAL_RECOVERY) {
        rc = recovery_read(letters, text, err);
        text = (struct view){(const uint8_t *)letters, sizeof letters};
    }
    if (rc == 0)
        rc = open_by(file, by->kind, text, root, err);
    OPENSSL_cleanse(letters, sizeof letters);
    return rc;
}
