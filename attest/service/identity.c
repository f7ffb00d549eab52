#include "attest/service/identity.h"

#include <arpa/inet.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>

#include "vmm/base/bytes.h"
#include "vmm/base/file.h"

static int failed(struct cofre_err *err, const char *what)
{
    return cofre_fail(err, COFRE_FAILED, "%s cannot be made: OpenSSL refuses", what);
}

static int write_pem(const char *path, EVP_PKEY *key, X509 *cert, struct cofre_err *err)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    const bool good = bio && (key ? PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL)
                                  : PEM_write_bio_X509(bio, cert)) == 1;
    const long len = good ? BIO_get_mem_data(bio, &text) : 0;
    int rc = len > 0
                 ? file_write(path, (struct view){(const uint8_t *)text, (size_t)len}, key ? 0600 : 0644, err)
                 : failed(err, path);
    if (text && key)
        OPENSSL_cleanse(text, (size_t)len);
    BIO_free(bio);
    return rc;
}

int identity_write_key(const char *path, struct cofre_err *err)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    int rc = key ? write_pem(path, key, NULL, err) : failed(err, path);
    EVP_PKEY_free(key);
    return rc;
}

/* What a certificate says beside names and keys; by: who signs. */
struct kind {
    const char *name;
    int days;
    const char *constraints, *usage, *extended_usage,
        *hosts; /* as OpenSSL's configuration has them, or NULL */
};

static bool add_extensions(X509 *cert, X509 *by, const struct kind *kind)
{
    const struct {
        int nid;
        const char *value;
    } extensions[] = {{NID_basic_constraints, kind->constraints},
                      {NID_key_usage, kind->usage},
                      {NID_ext_key_usage, kind->extended_usage},
                      {NID_subject_alt_name, kind->hosts},
                      {NID_subject_key_identifier, "hash"},
                      {NID_authority_key_identifier, by == cert ? NULL : "keyid"}};
    X509V3_CTX context;
    X509V3_set_ctx(&context, by, cert, NULL, NULL, 0);
    for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++) {
        if (!extensions[i].value)
            continue;
        X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &context, extensions[i].nid, extensions[i].value);
        const bool added = e && X509_add_ext(cert, e, -1) == 1;
        X509_EXTENSION_free(e);
        if (!added)
            return false;
    }
    return true;
}

static bool fill(X509 *cert, EVP_PKEY *key, X509 *by, EVP_PKEY *by_key, const struct kind *kind)
{
    uint8_t serial[16];
    BIGNUM *number = NULL;
    X509_NAME *name = X509_get_subject_name(cert);
    bool good = RAND_bytes(serial, sizeof serial) == 1;
    serial[0] = (serial[0] & 0x7f) | 0x40; /* positive, and of that length */
    good =
        good && (number = BN_bin2bn(serial, sizeof serial, NULL)) &&
        BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) &&
        X509_set_version(cert, X509_VERSION_3) == 1 &&
        X509_gmtime_adj(X509_getm_notBefore(cert), -300) && /* clocks differ */
        X509_gmtime_adj(X509_getm_notAfter(cert), (long)kind->days * 24 * 3600) &&
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const uint8_t *)kind->name, -1, -1, 0) == 1 &&
        X509_set_issuer_name(cert, X509_get_subject_name(by)) == 1 && X509_set_pubkey(cert, key) == 1 &&
        add_extensions(cert, by, kind) && X509_sign(cert, by_key, EVP_sha256()) > 0;
    BN_free(number);
    return good;
}

/* "DNS:trust.example, DNS:localhost, IP:127.0.0.1, IP:::1" */
static int name_hosts(char *out, size_t size, const char *host, struct cofre_err *err)
{
    uint8_t address[16];
    const bool numeric = inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-";
    const size_t len = strlen(host);
    if (len == 0 || len > 63 || (!numeric && strspn(host, letters) != len))
        return cofre_fail(err, COFRE_USAGE, "--host: \"%.80s\" is no name of a host, nor an address", host);
    (void)snprintf(out, size, "%s:%s%s, IP:127.0.0.1, IP:::1", numeric ? "IP" : "DNS", host,
                   strcmp(host, "localhost") == 0 ? "" : ", DNS:localhost");
    return 0;
}

int identity_write(const struct identity_files *files, const char *host, struct cofre_err *err)
{
    char hosts[160];
    int rc = name_hosts(hosts, sizeof hosts, host, err);
    if (rc < 0)
        return rc;
    const struct kind authority = {"cofre-trust authority",
                                   IDENTITY_CA_DAYS,
                                   "critical,CA:TRUE,pathlen:0",
                                   "critical,keyCertSign,cRLSign",
                                   NULL,
                                   NULL},
                      server = {host,
                                IDENTITY_SERVER_DAYS,
                                "critical,CA:FALSE",
                                "critical,digitalSignature",
                                "serverAuth",
                                hosts};
    EVP_PKEY *ca_key = EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256");
    X509 *ca = X509_new(), *cert = X509_new();
    rc = ca_key && key && ca && cert && fill(ca, ca_key, ca, ca_key, &authority) &&
                 fill(cert, key, ca, ca_key, &server)
             ? 0
             : failed(err, "the server's certificate");
    if (rc == 0)
        rc = write_pem(files->ca_key, ca_key, NULL, err);
    if (rc == 0)
        rc = write_pem(files->ca, NULL, ca, err);
    if (rc == 0)
        rc = write_pem(files->key, key, NULL, err);
    if (rc == 0)
        rc = write_pem(files->certificate, NULL, cert, err);
    EVP_PKEY_free(ca_key);
    EVP_PKEY_free(key);
    X509_free(ca);
    X509_free(cert);
    return rc;
}
