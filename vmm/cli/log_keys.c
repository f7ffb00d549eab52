/* cofre log: keys from files. */
#include <openssl/pem.h>
#include <string.h>

#include "vmm/base/clean_openssl.h"
#include "vmm/base/file.h"
#include "vmm/cli/log.h"

#define KEYS_MAX 65536

static const char pem_mark[] = "-----BEGIN ";

/* Nobody is asked for a passphrase. */
static int no_passphrase(char *buffer, int size, int writing, void *context)
{
    (void)buffer, (void)size, (void)writing, (void)context;
    return -1;
}

int log_read_private_key(EVP_PKEY **out, uint8_t kid[COSE_THUMBPRINT_SIZE], const char *path,
                         struct cofre_err *err)
{
    CLEAN_BYTES pem = {0};
    int rc = file_read(&pem, path, KEYS_MAX, err);
    if (rc < 0)
        return rc;
    CLEAN(bio) BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    CLEAN(pkey) EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
    if (!key)
        return cofre_fail(err, COFRE_MALFORMED, "%s: no private key in PEM without a passphrase", path);
    rc = cose_key_thumbprint(kid, key, err);
    if (rc < 0)
        return cofre_within(err, rc, "%s", path);
    *out = key;
    key = NULL;
    return 0;
}

static int add_pem_key(struct cose_keys *out, EVP_PKEY *key, struct cofre_err *err)
{
    struct cose_key *slot = &out->key[out->count];
    int rc = out->count == COSE_KEYS_MAX
                 ? cofre_fail(err, COFRE_MALFORMED, "more than %d keys", COSE_KEYS_MAX)
                 : cose_key_thumbprint(slot->kid, key, err);
    if (rc < 0) {
        EVP_PKEY_free(key);
        return rc;
    }
    slot->kid_len = COSE_THUMBPRINT_SIZE;
    slot->key = key;
    slot->alg = cose_alg_of_key(key);
    out->count++;
    return 0;
}

static int read_pem(struct cose_keys *out, struct view pem, struct cofre_err *err)
{
    CLEAN(bio) BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    int rc = 0;
    for (EVP_PKEY *key; rc == 0 && bio && (key = PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL));)
        rc = add_pem_key(out, key, err);
    return rc == 0 && out->count == 0 ? cofre_fail(err, COFRE_MALFORMED, "no public key in PEM") : rc;
}

int log_read_keys(struct cose_keys *out, const char *path, struct cofre_err *err)
{
    CLEAN_BYTES file = {0};
    *out = (struct cose_keys){0};
    int rc = file_read(&file, path, KEYS_MAX, err);
    if (rc < 0)
        return rc;
    bool is_pem = memmem(file.data, file.len, pem_mark, sizeof pem_mark - 1) != NULL;
    rc = is_pem ? read_pem(out, bytes_view(&file), err) : cose_keys_parse(out, bytes_view(&file), err);
    return rc < 0 ? cofre_within(err, rc, "%s", path) : 0;
}
