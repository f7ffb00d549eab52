#include "attest/service/keys/keyring.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "keys/generation.h"
#include "keys/seal/seal.h"
#include "vmm/base/cleanup.h"

struct keyring {
    struct secret root;
    EVP_PKEY *import_key;
};

static int check(struct db *db, void *context, struct cofre_err *err)
{
    int64_t generation;
    return key_generation_check(db, context, &generation, err);
}

static int make_import_key(struct keyring *k, struct cofre_err *err)
{
    uint8_t private[32];
    int rc = key_derive(private, k->root.data, "cofre key import 1", err);
    if (rc == 0)
        k->import_key = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, private, sizeof private);
    OPENSSL_cleanse(private, sizeof private);
    return rc < 0 || k->import_key ? rc : cofre_fail(err, COFRE_FAILED, "no key for imports could be made");
}

int keyring_new(struct keyring **out, struct db *db, const uint8_t root[static KEY_ROOT_SIZE],
                struct cofre_err *err)
{
    struct keyring *k = calloc(1, sizeof *k);
    if (!k)
        return cofre_fail(err, COFRE_FAILED, "the root key: out of memory");
    int rc = secret_alloc(&k->root, KEY_ROOT_SIZE, err);
    if (rc == 0) {
        memcpy(k->root.data, root, KEY_ROOT_SIZE);
        rc = db_atomically(db, check, k->root.data, err);
    }
    if (rc == 0)
        rc = make_import_key(k, err);
    if (rc < 0) {
        keyring_free(k);
        return rc;
    }
    *out = k;
    return 0;
}

int keyring_open(struct keyring **out, struct db *db, const char *file, struct cofre_err *err)
{
    uint8_t root[KEY_ROOT_SIZE + 1];
    struct stat st;
    CLEAN_FD fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) < 0)
        return cofre_fail(err, COFRE_LACKING, "the root key %s cannot be read: %m", file);
    if (!S_ISREG(st.st_mode) || st.st_mode & 077)
        return cofre_fail(err, COFRE_USAGE, "the root key %s is to be a file that its owner alone may read",
                          file);
    const ssize_t n = read(fd, root, sizeof root);
    int rc = n == KEY_ROOT_SIZE && !bytes_are_zero(root, KEY_ROOT_SIZE)
                 ? keyring_new(out, db, root, err)
                 : cofre_fail(err, COFRE_MALFORMED, "the root key %s is to be %d bytes", file, KEY_ROOT_SIZE);
    OPENSSL_cleanse(root, sizeof root);
    return rc;
}

int keyring_unseal(struct keyring **out, struct db *db, const char *file, const char *passphrase,
                   struct cofre_err *err)
{
    CLEAN_BYTES text = {0};
    CLEAN_SECRET root = {0};
    int rc = seal_read_passphrase(&text, passphrase, err);
    const struct seal_secret by = {.kind = SEAL_PASSPHRASE, .text = bytes_view(&text)};
    if (rc == 0)
        rc = seal_open(file, &by, &root, err);
    return rc < 0 ? cofre_within(err, rc, "the root key") : keyring_new(out, db, root.data, err);
}

void keyring_free(struct keyring *k)
{
    if (!k)
        return;
    secret_free(&k->root);
    EVP_PKEY_free(k->import_key);
    free(k);
}

const uint8_t *keyring_root(const struct keyring *k)
{
    return k->root.data;
}

EVP_PKEY *keyring_import_key(const struct keyring *k)
{
    return k->import_key;
}

struct keyring *call_keyring(struct call *call)
{
    if (!call->trust->keyring)
        request_problem(call->request, 503, "no-root",
                        "this service has no root key, and so keeps no keys for guests");
    return call->trust->keyring;
}
