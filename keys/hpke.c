#include "keys/hpke.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <string.h>

#include "keys/gcm.h"
#include "keys/hkdf.h"
#include "vmm/base/clean_openssl.h"

#define SECRET_SIZE 32 /* Nsecret and Ndh of both KEMs */
#define KDF_ID      1  /* HKDF-SHA256 */
#define MODE_BASE   0

static const struct {
    uint8_t id;
    size_t public_size;
    const char *type, *group;
} kems[] = {[HPKE_P256] = {0x10, 65, "EC", "prime256v1"}, [HPKE_X25519] = {0x20, 32, "X25519", NULL}};
static const struct {
    uint8_t id;
    size_t key_size;
} aeads[] = {[HPKE_AES_128_GCM] = {1, 16}, [HPKE_AES_256_GCM] = {2, 32}};

const char *const hpke_kem_names[HPKE_KEMS] = {[HPKE_P256] = "P-256", [HPKE_X25519] = "X25519"};

/* Keys */

int hpke_key_new(EVP_PKEY **out, enum hpke_kem kem, struct cofre_err *err)
{
    *out = kems[kem].group ? EVP_EC_gen(kems[kem].group) : EVP_PKEY_Q_keygen(NULL, NULL, kems[kem].type);
    return *out ? 0 : cofre_fail(err, COFRE_FAILED, "no %s key could be made", hpke_kem_names[kem]);
}

int hpke_public_of(struct hpke_public *out, enum hpke_kem kem, EVP_PKEY *key, struct cofre_err *err)
{
    char group[32] = "";
    const bool is = EVP_PKEY_is_a(key, kems[kem].type) &&
                    (!kems[kem].group || (EVP_PKEY_get_group_name(key, group, sizeof group, NULL) == 1 &&
                                          strcmp(group, kems[kem].group) == 0));
    if (!is ||
        EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, out->data, sizeof out->data,
                                        &out->len) != 1 ||
        out->len != kems[kem].public_size)
        return cofre_fail(err, COFRE_USAGE, "it is no %s key", hpke_kem_names[kem]);
    return 0;
}

/* A point at infinity, of another curve, or compressed, is none; X25519 takes any 32 bytes, and refuses bad ones at the exchange. */
static int read_public(EVP_PKEY **out, enum hpke_kem kem, struct view key, struct cofre_err *err)
{
    char group[16] = "";
    OSSL_PARAM params[] = {OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)key.data, key.len),
                           OSSL_PARAM_END, OSSL_PARAM_END};
    if (kems[kem].group) {
        strcpy(group, kems[kem].group);
        params[1] = OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0);
    }
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(NULL, kems[kem].type, NULL);
    *out = NULL;
    bool good = key.len == kems[kem].public_size && (!kems[kem].group || key.data[0] == 4) && c &&
                EVP_PKEY_fromdata_init(c) == 1 && EVP_PKEY_fromdata(c, out, EVP_PKEY_PUBLIC_KEY, params) == 1;
    EVP_PKEY_CTX_free(c);
    if (good) {
        c = EVP_PKEY_CTX_new(*out, NULL);
        good = c && EVP_PKEY_public_check(c) == 1;
        EVP_PKEY_CTX_free(c);
    }
    if (good)
        return 0;
    EVP_PKEY_free(*out);
    *out = NULL;
    return cofre_fail(err, COFRE_MALFORMED, "it is no public key of %s", hpke_kem_names[kem]);
}

int hpke_public_check(enum hpke_kem kem, struct view key, struct cofre_err *err)
{
    CLEAN(pkey) EVP_PKEY *read = NULL;
    return read_public(&read, kem, key, err);
}

/* Key derivation, section 4 */

struct labels {
    uint8_t suite[10];
    size_t len;
};

static struct labels kem_labels(enum hpke_kem kem)
{
    return (struct labels){{'K', 'E', 'M', 0, kems[kem].id}, 5};
}

static struct labels suite_labels(struct hpke_suite s)
{
    return (struct labels){{'H', 'P', 'K', 'E', 0, kems[s.kem].id, 0, KDF_ID, 0, aeads[s.aead].id}, 10};
}

/* length (where there is one), "HPKE-v1", the suite, the label, and what is labelled */
static int label(struct bytes *out, int length, const struct labels *l, const char *name, struct view what,
                 struct cofre_err *err)
{
    const size_t prefix = length >= 0 ? 2 : 0;
    int rc = bytes_alloc(out, prefix + 7 + l->len + strlen(name) + what.len, err);
    if (rc < 0)
        return rc;
    uint8_t *p = out->data;
    if (prefix) {
        *p++ = (uint8_t)(length >> 8);
        *p++ = (uint8_t)length;
    }
    p = (uint8_t *)mempcpy(p, "HPKE-v1", 7);
    p = (uint8_t *)mempcpy(p, l->suite, l->len);
    p = (uint8_t *)mempcpy(p, name, strlen(name));
    if (what.len)
        memcpy(p, what.data, what.len);
    return 0;
}

static int extract(uint8_t out[static HKDF_SIZE], const struct labels *l, struct view salt, const char *name,
                   struct view secret, struct cofre_err *err)
{
    CLEAN_BYTES labelled = {0};
    int rc = label(&labelled, -1, l, name, secret, err);
    return rc < 0 ? rc : hkdf_extract(out, salt, bytes_view(&labelled), err);
}

static int expand(uint8_t *out, size_t len, const struct labels *l, const uint8_t key[static HKDF_SIZE],
                  const char *name, struct view info, struct cofre_err *err)
{
    CLEAN_BYTES labelled = {0};
    int rc = label(&labelled, (int)len, l, name, info, err);
    return rc < 0 ? rc : hkdf_expand(out, len, key, bytes_view(&labelled), err);
}

/* The shared secret, section 4.1: the exchange, and both public keys. */

static int exchange(uint8_t out[static SECRET_SIZE], EVP_PKEY *own, EVP_PKEY *theirs, struct cofre_err *err)
{
    size_t len = SECRET_SIZE;
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(own, NULL);
    const bool good = c && EVP_PKEY_derive_init(c) == 1 && EVP_PKEY_derive_set_peer(c, theirs) == 1 &&
                      EVP_PKEY_derive(c, out, &len) == 1 && len == SECRET_SIZE &&
                      !bytes_are_zero(out, SECRET_SIZE);
    EVP_PKEY_CTX_free(c);
    return good ? 0 : cofre_fail(err, COFRE_MALFORMED, "the other end's key gives no shared secret");
}

static int share(uint8_t out[static SECRET_SIZE], enum hpke_kem kem, EVP_PKEY *own, struct view theirs,
                 struct view enc, struct view recipient, struct cofre_err *err)
{
    const struct labels l = kem_labels(kem);
    uint8_t secret[SECRET_SIZE], key[HKDF_SIZE], context[2 * HPKE_PUBLIC_MAX];
    CLEAN(pkey) EVP_PKEY *peer = NULL;
    int rc = read_public(&peer, kem, theirs, err);
    if (rc == 0)
        rc = exchange(secret, own, peer, err);
    if (rc < 0)
        return rc;
    memcpy(context, enc.data, enc.len);
    memcpy(context + enc.len, recipient.data, recipient.len);
    rc = extract(key, &l, (struct view){0}, "eae_prk", (struct view){secret, sizeof secret}, err);
    if (rc == 0)
        rc = expand(out, SECRET_SIZE, &l, key, "shared_secret",
                    (struct view){context, enc.len + recipient.len}, err);
    OPENSSL_cleanse(secret, sizeof secret);
    OPENSSL_cleanse(key, sizeof key);
    return rc;
}

/* Key and nonce of the first message, section 5.1. */

struct schedule {
    uint8_t key[32], nonce[GCM_NONCE_SIZE];
};

static int schedule(struct schedule *out, const struct hpke_about *about,
                    const uint8_t shared[static SECRET_SIZE], struct cofre_err *err)
{
    const struct labels l = suite_labels(about->suite);
    uint8_t secret[HKDF_SIZE], context[1 + 2 * HKDF_SIZE] = {MODE_BASE};
    const struct view none = {0}, whole = {context, sizeof context};
    int rc = extract(context + 1, &l, none, "psk_id_hash", none, err);
    if (rc == 0)
        rc = extract(context + 1 + HKDF_SIZE, &l, none, "info_hash", about->info, err);
    if (rc == 0)
        rc = extract(secret, &l, (struct view){shared, SECRET_SIZE}, "secret", none, err);
    if (rc == 0)
        rc = expand(out->key, aeads[about->suite.aead].key_size, &l, secret, "key", whole, err);
    if (rc == 0)
        rc = expand(out->nonce, sizeof out->nonce, &l, secret, "base_nonce", whole, err);
    OPENSSL_cleanse(secret, sizeof secret);
    return rc;
}

static struct gcm gcm_of(const struct schedule *s, const struct hpke_about *about)
{
    return (struct gcm){{s->key, aeads[about->suite.aead].key_size}, s->nonce, about->aad};
}

/* Messages */

static int check_sizes(const struct hpke_about *about, size_t text, struct cofre_err *err)
{
    return about->info.len <= HPKE_INFO_MAX && about->aad.len <= HPKE_INFO_MAX && text <= HPKE_TEXT_MAX
               ? 0
               : cofre_fail(err, COFRE_USAGE, "it is too long to be sealed: %zu bytes about %zu and %zu",
                            text, about->info.len, about->aad.len);
}

int hpke_seal_by(EVP_PKEY *ephemeral, uint8_t *sealed, const struct hpke_about *about, struct view to,
                 struct view text, struct cofre_err *err)
{
    uint8_t shared[SECRET_SIZE];
    struct schedule s = {0};
    struct hpke_public enc;
    int rc = check_sizes(about, text.len, err);
    if (rc == 0)
        rc = hpke_public_of(&enc, about->suite.kem, ephemeral, err);
    if (rc == 0)
        rc = share(shared, about->suite.kem, ephemeral, to, (struct view){enc.data, enc.len}, to, err);
    if (rc < 0)
        return rc;
    const struct gcm gcm = gcm_of(&s, about);
    rc = schedule(&s, about, shared, err);
    if (rc == 0)
        rc = gcm_seal(sealed, &gcm, text, err);
    OPENSSL_cleanse(shared, sizeof shared);
    OPENSSL_cleanse(&s, sizeof s);
    return rc;
}

int hpke_seal(struct hpke_public *enc, uint8_t *sealed, const struct hpke_about *about, struct view to,
              struct view text, struct cofre_err *err)
{
    CLEAN(pkey) EVP_PKEY *ephemeral = NULL;
    int rc = hpke_key_new(&ephemeral, about->suite.kem, err);
    if (rc == 0)
        rc = hpke_public_of(enc, about->suite.kem, ephemeral, err);
    return rc < 0 ? rc : hpke_seal_by(ephemeral, sealed, about, to, text, err);
}

int hpke_open(uint8_t *text, const struct hpke_about *about, EVP_PKEY *key, struct view enc,
              struct view sealed, struct cofre_err *err)
{
    uint8_t shared[SECRET_SIZE];
    struct schedule s = {0};
    struct hpke_public own;
    if (sealed.len < HPKE_OVERHEAD)
        return cofre_fail(err, COFRE_NEGATIVE, "%zu bytes are nothing that was sealed", sealed.len);
    memset(text, 0, sealed.len - HPKE_OVERHEAD);
    int rc = check_sizes(about, sealed.len - HPKE_OVERHEAD, err);
    if (rc == 0)
        rc = hpke_public_of(&own, about->suite.kem, key, err);
    if (rc == 0)
        rc = share(shared, about->suite.kem, key, enc, enc, (struct view){own.data, own.len}, err);
    if (rc < 0)
        return rc;
    const struct gcm gcm = gcm_of(&s, about);
    rc = schedule(&s, about, shared, err);
    if (rc == 0)
        rc = gcm_open(text, &gcm, sealed, err);
    OPENSSL_cleanse(shared, sizeof shared);
    OPENSSL_cleanse(&s, sizeof s);
    return rc;
}
