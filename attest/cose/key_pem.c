/* Public keys from PEM, named by their thumbprints. */
#include <openssl/pem.h>
#include <string.h>

#include "attest/cose/key.h"
#include "vmm/base/clean_openssl.h"

static const char pem_mark[] = "-----BEGIN ";

bool cose_keys_are_pem(struct view file)
{
    return file.data && memmem(file.data, file.len, pem_mark, sizeof pem_mark - 1) != NULL;
}

/* Nobody is asked for a passphrase. */
static int no_passphrase(char *buffer, int size, int writing, void *context)
{
    (void)buffer, (void)size, (void)writing, (void)context;
    return -1;
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

int cose_keys_parse_pem(struct cose_keys *keys, struct view pem, struct cofre_err *err)
{
    CLEAN(bio) BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    const size_t before = keys->count;
    int rc = 0;
    for (EVP_PKEY *key; rc == 0 && bio && (key = PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL));)
        rc = add_pem_key(keys, key, err);
    return rc == 0 && keys->count == before ? cofre_fail(err, COFRE_MALFORMED, "no public key in PEM") : rc;
}
