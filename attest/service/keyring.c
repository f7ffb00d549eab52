#include "attest/service/keyring.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "keys/generation.h"
#include "vmm/base/cleanup.h"

#define PAGE 4096

struct keyring {
    uint8_t *root; /* a page of its own */
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
    int rc = key_derive(private, k->root, "cofre key import 1", err);
    if (rc == 0)
        k->import_key = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, private, sizeof private);
    OPENSSL_cleanse(private, sizeof private);
    return rc < 0 || k->import_key ? rc : cofre_fail(err, COFRE_FAILED, "no key for imports could be made");
}

int keyring_new(struct keyring **out, struct db *db, const uint8_t root[static KEY_ROOT_SIZE],
                struct cofre_err *err)
{
    struct keyring *k = calloc(1, sizeof *k);
    void *page =
        k ? mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) : MAP_FAILED;
    if (page == MAP_FAILED) {
        free(k);
        return cofre_fail(err, COFRE_FAILED, "the root key: out of memory");
    }
    k->root = page;
    int rc =
        mlock(page, PAGE) == 0 && madvise(page, PAGE, MADV_DONTDUMP) == 0
            ? 0
            : cofre_fail(err, COFRE_LACKING,
                         "the root key's memory cannot be locked: %m; LimitMEMLOCK= of the unit bounds it");
    if (rc == 0) {
        memcpy(k->root, root, KEY_ROOT_SIZE);
        rc = db_atomically(db, check, k->root, err);
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

void keyring_free(struct keyring *k)
{
    if (!k)
        return;
    OPENSSL_cleanse(k->root, PAGE);
    munmap(k->root, PAGE);
    EVP_PKEY_free(k->import_key);
    free(k);
}

const uint8_t *keyring_root(const struct keyring *k)
{
    return k->root;
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
