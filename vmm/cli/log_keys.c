/* cofre log: keys from files. */
#include <openssl/pem.h>

#include "vmm/base/clean_openssl.h"
#include "vmm/base/file.h"
#include "vmm/cli/log.h"

#define KEYS_MAX 65536

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

int log_read_keys(struct cose_keys *out, const char *path, struct cofre_err *err)
{
    CLEAN_BYTES file = {0};
    *out = (struct cose_keys){0};
    int rc = file_read(&file, path, KEYS_MAX, err);
    if (rc < 0)
        return rc;
    rc = cose_keys_are_pem(bytes_view(&file)) ? cose_keys_parse_pem(out, bytes_view(&file), err)
                                              : cose_keys_parse(out, bytes_view(&file), err);
    return rc < 0 ? cofre_within(err, rc, "%s", path) : 0;
}
