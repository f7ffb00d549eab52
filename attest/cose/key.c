#include "attest/cose/key.h"

#include <openssl/evp.h>
#include <string.h>

/* Labels and values of the registries "COSE Key Common Parameters", "COSE Key Type Parameters", "COSE Key Types". */
enum { KTY = 1, KID = 2, ALG = 3, KEY_OPS = 4, CRV = -1, X = -2, Y = -3, D = -4 };
#define KTY_EC2   2
#define OP_VERIFY 2
#define CRV_P256  1
#define CRV_P384  2

/* In the order in which they are looked for by curve. */
static const struct cose_alg algs[] = {
    {-7, "ES256", CRV_P256, &ecdsa_p256},
    {-35, "ES384", CRV_P384, &ecdsa_p384},
    {-9, "ESP256", CRV_P256, &ecdsa_p256},
    {-51, "ESP384", CRV_P384, &ecdsa_p384},
};
#define ALGS (sizeof algs / sizeof *algs)

const struct cose_alg *cose_alg_find(int64_t id)
{
    for (size_t i = 0; i < ALGS; i++)
        if (algs[i].id == id)
            return &algs[i];
    return NULL;
}

const struct cose_alg *cose_alg_of_key(const EVP_PKEY *key)
{
    for (size_t i = 0; i < ALGS; i++)
        if (ecdsa_is_key(algs[i].curve, key))
            return &algs[i];
    return NULL;
}

void cose_keys_free(struct cose_keys *keys)
{
    for (size_t i = 0; i < keys->count; i++)
        EVP_PKEY_free(keys->key[i].key);
    *keys = (struct cose_keys){0};
}

/* The algorithm that a key names, or that its curve has where it names none. NULL: nothing to verify with here. */
static const struct cose_alg *alg_of_map(const struct cose_item *map)
{
    const struct cose_item *named = cose_at(map, ALG);
    int64_t kty, crv, id;
    if (!cose_int(&kty, cose_at(map, KTY)) || kty != KTY_EC2 || !cose_int(&crv, cose_at(map, CRV)))
        return NULL;
    if (named)
        return cose_int(&id, named) ? cose_alg_find(id) : NULL;
    for (size_t i = 0; i < ALGS; i++)
        if (algs[i].crv == crv)
            return &algs[i];
    return NULL;
}

static bool may_verify(const struct cose_item *map)
{
    const struct cose_item *ops = cose_at(map, KEY_OPS);
    int64_t op;
    if (!ops)
        return true;
    const struct cose_item *at = ops->kind == COSE_ARRAY ? cose_first(ops) : NULL;
    for (uint64_t i = 0; at && i < ops->number; i++, at = cose_behind(at))
        if (cose_int(&op, at) && op == OP_VERIFY)
            return true;
    return false;
}

static int read_point(EVP_PKEY **out, const struct cose_item *map, const struct ecdsa_curve *curve,
                      struct cofre_err *err)
{
    const struct cose_item *x = cose_at(map, X), *y = cose_at(map, Y);
    uint8_t point[2 * ECDSA_SIZE_MAX];
    if (!x || x->kind != COSE_BYTES || x->data.len != curve->size || !y || y->kind != COSE_BYTES ||
        y->data.len != curve->size)
        return cofre_fail(err, COFRE_MALFORMED, "x or y is not %zu bytes, as a point of %s has them",
                          curve->size, curve->name);
    memcpy(point, x->data.data, curve->size);
    memcpy(point + curve->size, y->data.data, curve->size);
    return ecdsa_key_import(out, curve, point, err);
}

/* 0; 1 where it is not for us. */
static int read_key(struct cose_key *out, const struct cose_item *map, struct cofre_err *err)
{
    const struct cose_item *kid = cose_at(map, KID);
    int64_t kty, crv;
    if (map->kind != COSE_MAP || !cose_int(&kty, cose_at(map, KTY)))
        return cofre_fail(err, COFRE_MALFORMED, "it is no COSE_Key with a key type that is a number");
    if (cose_at(map, D))
        return cofre_fail(err, COFRE_MALFORMED, "it holds a private key, which nobody should be given");
    *out = (struct cose_key){.alg = alg_of_map(map)};
    if (!out->alg || !may_verify(map))
        return 1;
    if (!cose_int(&crv, cose_at(map, CRV)) || crv != out->alg->crv)
        return cofre_fail(err, COFRE_MALFORMED, "its curve is not that of %s", out->alg->name);
    if (kid && (kid->kind != COSE_BYTES || kid->data.len > COSE_KID_MAX))
        return cofre_fail(err, COFRE_MALFORMED, "its kid is no byte string of at most %d bytes",
                          COSE_KID_MAX);
    if (kid) {
        memcpy(out->kid, kid->data.data, kid->data.len);
        out->kid_len = kid->data.len;
    }
    return read_point(&out->key, map, out->alg->curve, err);
}

static int add_key(struct cose_keys *keys, const struct cose_item *map, struct cofre_err *err)
{
    struct cose_key key;
    int rc = read_key(&key, map, err);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    if (keys->count == COSE_KEYS_MAX) {
        EVP_PKEY_free(key.key);
        return cofre_fail(err, COFRE_MALFORMED, "there are more than %d keys", COSE_KEYS_MAX);
    }
    keys->key[keys->count++] = key;
    return 0;
}

int cose_keys_parse(struct cose_keys *keys, struct view file, struct cofre_err *err)
{
    CLEAN_COSE_DOC doc = {0};
    struct cose_keys read = {0};
    int rc = cose_read(&doc, file, err);
    if (rc < 0)
        return rc;
    bool set = doc.item->kind == COSE_ARRAY;
    const struct cose_item *at = set ? cose_first(doc.item) : doc.item;
    for (uint64_t i = 0; rc == 0 && at && i < (set ? doc.item->number : 1); i++, at = cose_behind(at)) {
        rc = add_key(&read, at, err);
        if (rc < 0)
            (void)cofre_within(err, rc, "key %zu", (size_t)i);
    }
    if (rc == 0 && read.count == 0)
        rc = cofre_fail(err, COFRE_MALFORMED, "there is no key to verify ECDSA on P-256 or P-384 with");
    if (rc == 0 && keys->count + read.count > COSE_KEYS_MAX)
        rc = cofre_fail(err, COFRE_MALFORMED, "there are more than %d keys", COSE_KEYS_MAX);
    if (rc < 0) {
        cose_keys_free(&read);
        return rc;
    }
    memcpy(keys->key + keys->count, read.key, read.count * sizeof *read.key);
    keys->count += read.count;
    return 0;
}

const struct cose_key *cose_keys_find(const struct cose_keys *keys, struct view kid)
{
    for (size_t i = 0; kid.len && i < keys->count; i++)
        if (view_equal((struct view){keys->key[i].kid, keys->key[i].kid_len}, kid))
            return &keys->key[i];
    return NULL;
}

/* What identifies the key, and is hashed for its thumbprint. False for a key of another kind. */
static bool put_essence(struct cose_writer *w, const EVP_PKEY *key)
{
    const struct cose_alg *alg = cose_alg_of_key(key);
    uint8_t point[2 * ECDSA_SIZE_MAX];
    if (!alg || ecdsa_key_export(point, alg->curve, key, NULL) < 0)
        return false;
    cose_put_int(w, KTY);
    cose_put_int(w, KTY_EC2);
    cose_put_int(w, CRV);
    cose_put_int(w, alg->crv);
    cose_put_int(w, X);
    cose_put_bytes(w, (struct view){point, alg->curve->size});
    cose_put_int(w, Y);
    cose_put_bytes(w, (struct view){point + alg->curve->size, alg->curve->size});
    return true;
}

void cose_put_key(struct cose_writer *w, const EVP_PKEY *key, struct view kid)
{
    cose_begin(w);
    if (!put_essence(w, key)) {
        w->failed = true;
        return;
    }
    if (kid.len) {
        cose_put_int(w, KID);
        cose_put_bytes(w, kid);
    }
    cose_put_int(w, ALG);
    cose_put_int(w, cose_alg_of_key(key)->id);
    cose_put_int(w, KEY_OPS);
    cose_begin(w);
    cose_put_int(w, OP_VERIFY);
    cose_end_array(w);
    cose_end_map(w);
}

int cose_key_thumbprint(uint8_t out[COSE_THUMBPRINT_SIZE], const EVP_PKEY *key, struct cofre_err *err)
{
    CLEAN_COSE_WRITER w = {0};
    CLEAN_BYTES essence = {0};
    cose_begin(&w);
    if (!put_essence(&w, key))
        return cofre_fail(err, COFRE_MALFORMED, "the key is not an EC key of P-256 or P-384");
    cose_end_map(&w);
    int rc = cose_take(&essence, &w, err);
    if (rc < 0)
        return rc;
    return EVP_Digest(essence.data, essence.len, out, NULL, EVP_sha256(), NULL) == 1
               ? 0
               : cofre_fail(err, COFRE_FAILED, "SHA-256 is not available in this OpenSSL");
}
