#include "attest/channel/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"

#define YEARS 20

void channel_identity_free(struct channel_identity *identity)
{
    EVP_PKEY_free(identity->key);
    X509_free(identity->certificate);
    *identity = (struct channel_identity){0};
}

/* Dates and names say nothing: the other end looks at the key alone. */
static int certify(struct channel_identity *identity, struct cofre_err *err)
{
    X509 *x = identity->certificate = X509_new();
    X509_NAME *name = x ? X509_get_subject_name(x) : NULL;
    if (!x || !X509_set_version(x, X509_VERSION_3) || !ASN1_INTEGER_set(X509_get_serialNumber(x), 1) ||
        !X509_gmtime_adj(X509_getm_notBefore(x), -3600) ||
        !X509_gmtime_adj(X509_getm_notAfter(x), YEARS * 365 * 24 * 3600L) ||
        !X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)"cofre channel", -1, -1, 0) ||
        !X509_set_issuer_name(x, name) || !X509_set_pubkey(x, identity->key) ||
        X509_sign(x, identity->key, EVP_sha256()) <= 0)
        return cofre_fail(err, COFRE_FAILED, "a certificate cannot be made around the channel's key");
    return 0;
}

int channel_identity_new(struct channel_identity *out, struct cofre_err *err)
{
    *out = (struct channel_identity){.key = EVP_EC_gen("P-256")};
    int rc = out->key ? certify(out, err) : cofre_fail(err, COFRE_FAILED, "a P-256 key cannot be made");
    if (rc < 0)
        channel_identity_free(out);
    return rc;
}

static int write_key(const char *path, EVP_PKEY *key, struct cofre_err *err)
{
    CLEAN_FD fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    CLEAN_FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!file)
        return cofre_fail(err, COFRE_FAILED, "%s cannot be made: %s", path, strerror(errno));
    fd = -1; /* the file's */
    if (PEM_write_PKCS8PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) != 1 || fflush(file) != 0)
        return cofre_fail(err, COFRE_FAILED, "%s: the key cannot be written", path);
    return 0;
}

/* An encrypted key is none: nobody is there to be asked. */
static int no_password(char *out, int size, int writing, void *context)
{
    (void)out;
    (void)size;
    (void)writing;
    (void)context;
    return -1;
}

int channel_identity_keep(struct channel_identity *out, const char *path, struct cofre_err *err)
{
    *out = (struct channel_identity){0};
    CLEAN_FILE *file = fopen(path, "re");
    if (!file && errno != ENOENT)
        return cofre_fail(err, COFRE_USAGE, "%s: %s", path, strerror(errno));
    if (!file) {
        int rc = channel_identity_new(out, err);
        rc = rc < 0 ? rc : write_key(path, out->key, err);
        if (rc < 0)
            channel_identity_free(out);
        return rc;
    }
    out->key = PEM_read_PrivateKey(file, NULL, no_password, NULL);
    int rc = out->key ? certify(out, err)
                      : cofre_fail(err, COFRE_MALFORMED, "%s: no private key in PEM, unencrypted", path);
    if (rc < 0)
        channel_identity_free(out);
    return rc;
}
