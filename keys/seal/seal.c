#include "keys/seal/seal.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <string.h>

#include "keys/seal/recovery.h"
#include "keys/seal/root_file.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"

#define SCRYPT_R 8
#define SCRYPT_P 1

static int scrypt(uint8_t out[static 32], struct view passphrase, const struct root_slot *slot,
                  struct cofre_err *err)
{
    uint64_t n = UINT64_C(1) << slot->cost, room = 2 * n * 128 * SCRYPT_R;
    uint32_t r = SCRYPT_R, p = SCRYPT_P;
    OSSL_PARAM params[] = {
        OSSL_PARAM_octet_string(OSSL_KDF_PARAM_PASSWORD, (void *)passphrase.data, passphrase.len),
        OSSL_PARAM_octet_string(OSSL_KDF_PARAM_SALT, (void *)slot->salt, sizeof slot->salt),
        OSSL_PARAM_uint64(OSSL_KDF_PARAM_SCRYPT_N, &n),
        OSSL_PARAM_uint32(OSSL_KDF_PARAM_SCRYPT_R, &r),
        OSSL_PARAM_uint32(OSSL_KDF_PARAM_SCRYPT_P, &p),
        OSSL_PARAM_uint64(OSSL_KDF_PARAM_SCRYPT_MAXMEM, &room),
        OSSL_PARAM_END};
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "SCRYPT", NULL);
    EVP_KDF_CTX *c = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
    const bool good = c && EVP_KDF_derive(c, out, 32, params) == 1;
    EVP_KDF_CTX_free(c);
    EVP_KDF_free(kdf);
    return good ? 0
                : cofre_fail(err, COFRE_FAILED, "scrypt failed; it takes %llu MiB of memory",
                             (unsigned long long)(n * 128 * SCRYPT_R >> 20));
}

/* Whose slot it is, of what kind, and made how. */
struct about {
    uint8_t data[96];
    size_t len;
};

static struct about about(const struct root_file *file, enum seal_kind kind)
{
    static const char purpose[] = "cofre root 1";
    struct about a = {.len = 0};
    const uint8_t cost[3] = {(uint8_t)file->slot[kind].cost, SCRYPT_R, SCRYPT_P};
    const struct view parts[] = {{(const uint8_t *)purpose, sizeof purpose},
                                 {file->id, sizeof file->id},
                                 {(const uint8_t *)seal_kind_names[kind], strlen(seal_kind_names[kind]) + 1},
                                 {cost, sizeof cost},
                                 {file->slot[kind].salt, ROOT_SALT_SIZE}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        memcpy(a.data + a.len, parts[i].data, parts[i].len);
        a.len += parts[i].len;
    }
    return a;
}

/* text: a passphrase, or a recovery passphrase's letters. */
static int fill_slot(struct root_file *file, enum seal_kind kind, struct view text, unsigned cost,
                     const struct secret *root, struct cofre_err *err)
{
    struct root_slot *slot = &file->slot[kind];
    CLEAN_SECRET key = {0};
    *slot = (struct root_slot){.there = true, .cost = cost};
    if (cost < SEAL_COST_MIN || cost > SEAL_COST_MAX)
        return cofre_fail(err, COFRE_USAGE, "a cost of %u is none of %d to %d", cost, SEAL_COST_MIN,
                          SEAL_COST_MAX);
    if (RAND_bytes(slot->salt, sizeof slot->salt) != 1 || RAND_bytes(slot->nonce, sizeof slot->nonce) != 1)
        return cofre_fail(err, COFRE_FAILED, "there are no random bytes");
    int rc = secret_alloc(&key, 32, err);
    if (rc == 0)
        rc = scrypt(key.data, text, slot, err);
    if (rc < 0)
        return rc;
    const struct about a = about(file, kind);
    const struct gcm gcm = {{key.data, key.len}, slot->nonce, {a.data, a.len}};
    return gcm_seal(slot->sealed, &gcm, (struct view){root->data, root->len}, err);
}

static int fill_passphrase(struct root_file *file, struct view passphrase, unsigned cost,
                           const struct secret *root, struct cofre_err *err)
{
    if (passphrase.len < SEAL_PASSPHRASE_MIN || passphrase.len > SEAL_PASSPHRASE_MAX)
        return cofre_fail(err, COFRE_USAGE, "a passphrase has %d to %d bytes, and this one %zu",
                          SEAL_PASSPHRASE_MIN, SEAL_PASSPHRASE_MAX, passphrase.len);
    return fill_slot(file, SEAL_PASSPHRASE, passphrase, cost, root, err);
}

static int fill_recovery(struct root_file *file, char *recovery, unsigned cost, const struct secret *root,
                         struct cofre_err *err)
{
    char letters[RECOVERY_LETTERS];
    int rc = recovery_make(recovery, err);
    if (rc == 0)
        rc = recovery_read(letters, (struct view){(const uint8_t *)recovery, RECOVERY_SIZE - 1}, err);
    if (rc == 0)
        rc = fill_slot(file, SEAL_RECOVERY, (struct view){(const uint8_t *)letters, sizeof letters}, cost,
                       root, err);
    OPENSSL_cleanse(letters, sizeof letters);
    return rc;
}

static int open_slot(const struct root_file *file, enum seal_kind kind, struct view text, struct secret *root,
                     struct cofre_err *err)
{
    const struct root_slot *slot = &file->slot[kind];
    CLEAN_SECRET key = {0};
    int rc = secret_alloc(&key, 32, err);
    if (rc == 0)
        rc = scrypt(key.data, text, slot, err);
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
                     seal_kind_names[kind])
               : rc;
}

static int open_file(const struct root_file *file, const struct seal_secret *by, struct secret *root,
                     struct cofre_err *err)
{
    char letters[RECOVERY_LETTERS];
    struct view text = by->text;
    int rc = 0;
    if (!file->slot[by->kind].there)
        return cofre_fail(err, COFRE_USAGE, "there is no slot \"%s\"", seal_kind_names[by->kind]);
    if (text.len > SEAL_PASSPHRASE_MAX)
        return cofre_fail(err, COFRE_USAGE, "a passphrase has at most %d bytes", SEAL_PASSPHRASE_MAX);
    if (by->kind == SEAL_RECOVERY) {
        rc = recovery_read(letters, text, err);
        text = (struct view){(const uint8_t *)letters, sizeof letters};
    }
    if (rc == 0)
        rc = open_slot(file, by->kind, text, root, err);
    OPENSSL_cleanse(letters, sizeof letters);
    return rc;
}

int seal_open(const char *file, const struct seal_secret *by, struct secret *root, struct cofre_err *err)
{
    struct root_file content;
    *root = (struct secret){0};
    int rc = root_file_read(&content, file, err);
    if (rc < 0)
        return rc;
    rc = open_file(&content, by, root, err);
    return rc < 0 ? cofre_within(err, rc, "%s", file) : 0;
}

static int make(struct root_file *file, struct view passphrase, unsigned cost, struct secret *root,
                char *recovery, struct cofre_err *err)
{
    int rc = secret_alloc(root, KEY_ROOT_SIZE, err);
    if (rc == 0 &&
        (RAND_priv_bytes(root->data, KEY_ROOT_SIZE) != 1 || RAND_bytes(file->id, sizeof file->id) != 1))
        rc = cofre_fail(err, COFRE_FAILED, "there are no random bytes");
    if (rc == 0 && passphrase.len)
        rc = fill_passphrase(file, passphrase, cost, root, err);
    return rc < 0 ? rc : fill_recovery(file, recovery, cost, root, err);
}

int seal_make(const char *file, struct view passphrase, unsigned cost, struct secret *root, char *recovery,
              struct cofre_err *err)
{
    struct root_file content = {0};
    *root = (struct secret){0};
    memset(recovery, 0, RECOVERY_SIZE);
    CLEAN_FD directory = root_file_lock(file, err);
    if (directory < 0)
        return directory;
    int rc = make(&content, passphrase, cost, root, recovery, err);
    if (rc == 0)
        rc = root_file_write(&content, file, directory, true, err);
    if (rc < 0) {
        OPENSSL_cleanse(recovery, RECOVERY_SIZE);
        secret_free(root);
    }
    return rc;
}

/* recovery: another one is made; NULL: the passphrase is set. */
static int change(const char *file, const struct seal_secret *by, struct view passphrase, unsigned cost,
                  char *recovery, struct cofre_err *err)
{
    struct root_file content;
    CLEAN_SECRET root = {0};
    CLEAN_FD directory = root_file_lock(file, err);
    if (directory < 0)
        return directory;
    int rc = root_file_read(&content, file, err);
    if (rc == 0 && (rc = open_file(&content, by, &root, err)) < 0)
        return cofre_within(err, rc, "%s", file);
    if (rc == 0)
        rc = recovery ? fill_recovery(&content, recovery, cost, &root, err)
                      : fill_passphrase(&content, passphrase, cost, &root, err);
    return rc < 0 ? rc : root_file_write(&content, file, directory, false, err);
}

int seal_set_passphrase(const char *file, const struct seal_secret *by, struct view passphrase, unsigned cost,
                        struct cofre_err *err)
{
    return change(file, by, passphrase, cost, NULL, err);
}

int seal_renew_recovery(const char *file, const struct seal_secret *by, unsigned cost, char *recovery,
                        struct cofre_err *err)
{
    memset(recovery, 0, RECOVERY_SIZE);
    int rc = change(file, by, (struct view){0}, cost, recovery, err);
    if (rc < 0)
        OPENSSL_cleanse(recovery, RECOVERY_SIZE);
    return rc;
}

int seal_read_passphrase(struct bytes *out, const char *file, struct cofre_err *err)
{
    int rc = file_read(out, file, SEAL_PASSPHRASE_MAX + 1, err);
    if (rc < 0)
        return rc;
    const uint8_t *end = out->len ? memchr(out->data, '\n', out->len) : NULL;
    if (end && end + 1 != out->data + out->len)
        return cofre_fail(err, COFRE_MALFORMED, "%s: is to be one line", file);
    out->len -= end ? 1 : 0;
    return out->len ? 0 : cofre_fail(err, COFRE_MALFORMED, "%s: has no passphrase", file);
}
