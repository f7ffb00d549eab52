#include "vmm/host/cofred/log_key.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <unistd.h>

#include "vmm/base/bytes.h"
#include "vmm/base/file.h"

static int write_pem(const char *file, BIO *bio, mode_t mode, struct cofre_err *err)
{
    char *data = NULL;
    const long len = BIO_get_mem_data(bio, &data);
    return file_write(file, (struct view){(const uint8_t *)data, (size_t)len}, mode, err);
}

/* The public half first: whoever finds a key finds that, too. */
static int make(const char *file, const char *public, EVP_PKEY *key, BIO *of_key, BIO *of_public,
                struct cofre_err *err)
{
    if (!key || !of_key || !of_public || PEM_write_bio_PUBKEY(of_public, key) != 1 ||
        PEM_write_bio_PrivateKey(of_key, key, NULL, NULL, 0, NULL, NULL) != 1)
        return cofre_fail(err, COFRE_FAILED, "%s: no key can be made", file);
    int rc = write_pem(public, of_public, 0644, err);
    return rc < 0 ? rc : write_pem(file, of_key, 0600, err);
}

int log_key_make(const char *file, struct cofre_err *err)
{
    char public[4300];
    if (access(file, F_OK) == 0)
        return 0;
    (void)snprintf(public, sizeof public, "%s.pub", file);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    BIO *of_key = BIO_new(BIO_s_secmem()), *of_public = BIO_new(BIO_s_mem());
    int rc = make(file, public, key, of_key, of_public, err);
    EVP_PKEY_free(key);
    BIO_free(of_key);
    BIO_free(of_public);
    return rc;
}
