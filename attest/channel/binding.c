#include "attest/channel/binding.h"

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <string.h>

#define LABEL_SIZE sizeof CHANNEL_LABEL
_Static_assert(LABEL_SIZE + 48 == CHANNEL_REPORT_DATA, "the label and SHA-384");
_Static_assert(sizeof CHANNEL_RELEASE_LABEL == LABEL_SIZE, "labels are alike");

static bool add(EVP_MD_CTX *md, const void *data, size_t len)
{
    return EVP_DigestUpdate(md, data, len) == 1;
}

static bool add_with_length(EVP_MD_CTX *md, struct view v)
{
    const uint8_t length[4] = {(uint8_t)(v.len >> 24), (uint8_t)(v.len >> 16), (uint8_t)(v.len >> 8),
                               (uint8_t)v.len};
    return add(md, length, sizeof length) && add(md, v.data, v.len);
}

/* The label, and SHA-384 of the binding's parts and of what more there is. */
static int bind(uint8_t out[static CHANNEL_REPORT_DATA], const char *name, const struct channel_binding *b,
                const struct view *more, size_t count, struct cofre_err *err)
{
    if (b->nonce.len == 0 || b->nonce.len > CHANNEL_NONCE_MAX || b->key.len == 0 ||
        b->key.len > CHANNEL_KEY_MAX)
        return cofre_fail(err, COFRE_USAGE,
                          "a channel cannot be bound by a nonce of %zu bytes and a key of %zu", b->nonce.len,
                          b->key.len);
    const uint8_t end = (uint8_t)b->end;
    memcpy(out, name, LABEL_SIZE);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool good = md && EVP_DigestInit_ex(md, EVP_sha384(), NULL) == 1 && add(md, &end, 1) &&
                add_with_length(md, b->nonce) && add(md, b->exporter, sizeof b->exporter) &&
                add_with_length(md, b->key);
    for (size_t i = 0; i < count && good; i++)
        good = add_with_length(md, more[i]);
    good = good && EVP_DigestFinal_ex(md, out + LABEL_SIZE, NULL) == 1;
    EVP_MD_CTX_free(md);
    return good ? 0 : cofre_fail(err, COFRE_FAILED, "SHA-384 failed");
}

int channel_report_data(uint8_t out[static CHANNEL_REPORT_DATA], const struct channel_binding *b,
                        struct cofre_err *err)
{
    return bind(out, CHANNEL_LABEL, b, NULL, 0, err);
}

int channel_release_report_data(uint8_t out[static CHANNEL_REPORT_DATA], const struct channel_binding *b,
                                struct view recipient, struct view name, struct cofre_err *err)
{
    const struct view more[] = {recipient, name};
    if (recipient.len == 0 || recipient.len > CHANNEL_KEY_MAX || name.len == 0 || name.len > CHANNEL_KEY_MAX)
        return cofre_fail(err, COFRE_USAGE,
                          "a release cannot be bound by a key of %zu bytes and a name of %zu", recipient.len,
                          name.len);
    return bind(out, CHANNEL_RELEASE_LABEL, b, more, sizeof more / sizeof *more, err);
}

bool channel_label_is_in(const uint8_t report_data[static CHANNEL_REPORT_DATA])
{
    static const char *const any_version[] = {"cofre channel ", "cofre release "};
    for (size_t i = 0; i < sizeof any_version / sizeof *any_version; i++)
        if (memcmp(report_data, any_version[i], strlen(any_version[i])) == 0)
            return true;
    return false;
}

int channel_exporter(uint8_t out[static CHANNEL_EXPORTER_SIZE], SSL *tls, struct cofre_err *err)
{
    static const char label[] = "EXPORTER-Channel-Binding";
    if (SSL_version(tls) != TLS1_3_VERSION)
        return cofre_fail(err, COFRE_NEGATIVE, "the channel is %s, not TLS 1.3", SSL_get_version(tls));
    if (SSL_export_keying_material(tls, out, CHANNEL_EXPORTER_SIZE, label, sizeof label - 1, NULL, 0, 0) != 1)
        return cofre_fail(err, COFRE_FAILED, "TLS gives no exporter value");
    return 0;
}

int channel_key_of(struct bytes *out, X509 *certificate, struct cofre_err *err)
{
    uint8_t *der = NULL;
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
    if (len <= 0 || len > CHANNEL_KEY_MAX) {
        OPENSSL_free(der);
        return cofre_fail(err, COFRE_MALFORMED, "a certificate's key cannot be written down");
    }
    int rc = bytes_copy(out, (struct view){der, (size_t)len}, err);
    OPENSSL_free(der);
    return rc;
}
