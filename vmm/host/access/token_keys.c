#include <errno.h>
#include <jose/openssl.h>
#include <string.h>

#include "attest/token/jwk.h"
#include "vmm/base/clean_openssl.h"
#include "vmm/base/file.h"
#include "vmm/base/json.h"
#include "vmm/host/access/token.h"

#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 8192

/* One key */

static bool may_verify(const json_t *jwk)
{
    const json_t *use = json_object_get(jwk, "use"), *ops = json_object_get(jwk, "key_ops"), *op;
    size_t i;
    bool found = !ops;
    json_array_foreach(ops, i, op)
    {
        found |= json_is_string(op) && strcmp(json_string_value(op), "verify") == 0;
    }
    return found && (!use || (json_is_string(use) && strcmp(json_string_value(use), "sig") == 0));
}

static json_t *members(const json_t *jwk)
{
    static const char *const taken[] = {"kty", "crv", "x", "y", "n", "e", "alg", "kid"};
    json_t *out = json_object();
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
        json_t *value = json_object_get(jwk, taken[i]);
        if (value && json_object_set(out, taken[i], value) < 0) {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

/* As OpenSSL has it: what libjose would verify with. */
static int check_key(const json_t *jwk, struct cofre_err *err)
{
    CLEAN_JOSE *cfg = quiet_jose();
    CLEAN(pkey) EVP_PKEY *key = cfg ? jose_openssl_jwk_to_EVP_PKEY(cfg, jwk) : NULL;
    EVP_PKEY_CTX *ctx = key ? EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL) : NULL;
    const bool valid = ctx && EVP_PKEY_public_check(ctx) == 1;
    EVP_PKEY_CTX_free(ctx);
    if (!valid)
        return cofre_fail(err, COFRE_MALFORMED, "a key of the set is none");
    if (!EVP_PKEY_is_a(key, "RSA"))
        return 0;
    BIGNUM *e = NULL;
    const bool small = EVP_PKEY_get_bn_param(key, "e", &e) == 1 && BN_num_bits(e) <= 32;
    BN_free(e);
    const int bits = EVP_PKEY_get_bits(key);
    return small && bits >= RSA_BITS_MIN && bits <= RSA_BITS_MAX
               ? 0
               : cofre_fail(
                     err, COFRE_MALFORMED,
                     "an RSA key of the set has %d bits, or its exponent more than 32; %d to %d are accepted",
                     bits, RSA_BITS_MIN, RSA_BITS_MAX);
}

static bool is_text_or_absent(const json_t *value)
{
    return !value || json_is_string(value);
}

static int add(struct token_keys *out, const json_t *jwk, struct cofre_err *err)
{
    const char *type = json_string_value(json_object_get(jwk, "kty"));
    if (!type || !is_text_or_absent(json_object_get(jwk, "alg")) ||
        !is_text_or_absent(json_object_get(jwk, "kid")))
        return cofre_fail(err, COFRE_MALFORMED, "a member of the set is no JWK");
    if (json_object_get(jwk, "d") || json_object_get(jwk, "k"))
        return cofre_fail(err, COFRE_MALFORMED,
                          "it holds a private or secret key, which nobody should be given");
    if ((strcmp(type, "EC") != 0 && strcmp(type, "RSA") != 0) || !may_verify(jwk))
        return 0;
    if (out->count == TOKEN_KEYS_MAX)
        return cofre_fail(err, COFRE_MALFORMED, "the set has more than %d keys", TOKEN_KEYS_MAX);
    CLEAN_JSON *own = members(jwk);
    int rc = own ? check_key(own, err) : cofre_fail(err, COFRE_FAILED, "no memory for a key");
    if (rc < 0)
        return rc;
    out->key[out->count].kid = json_string_value(json_object_get(own, "kid"));
    out->key[out->count++].jwk = json_incref(own);
    return 0;
}

/* Sets */

void token_keys_free(struct token_keys *keys)
{
    for (size_t i = 0; i < keys->count; i++)
        json_decref(keys->key[i].jwk);
    *keys = (struct token_keys){0};
}

int token_keys_read(struct token_keys *out, struct view file, struct cofre_err *err)
{
    CLEAN_JSON *set = NULL;
    const json_t *jwk;
    size_t i;
    *out = (struct token_keys){0};
    int rc = json_read(&set, file, COFRE_MALFORMED, err);
    const json_t *keys = json_object_get(set, "keys");
    if (rc == 0 && !json_is_array(keys))
        rc = cofre_fail(err, COFRE_MALFORMED, "it is no JSON Web Key Set");
    json_array_foreach(keys, i, jwk)
    {
        if (rc == 0)
            rc = add(out, jwk, err);
    }
    if (rc == 0 && out->count == 0)
        rc = cofre_fail(err, COFRE_MALFORMED, "no key of the set is one of signatures");
    if (rc < 0)
        token_keys_free(out);
    return rc;
}

/* Files */

void token_key_file_free(struct token_key_file *file)
{
    token_keys_free(&file->keys);
    *file = (struct token_key_file){0};
}

static bool is_same(const struct token_key_file *file, const struct stat *now)
{
    return file->keys.count && file->inode == now->st_ino && file->size == now->st_size &&
           file->changed.tv_sec == now->st_mtim.tv_sec && file->changed.tv_nsec == now->st_mtim.tv_nsec;
}

static int read_again(struct token_key_file *file, const struct access_issuer *issuer, const struct stat *now,
                      struct cofre_err *err)
{
    CLEAN_BYTES text = {0};
    token_key_file_free(file);
    int rc = file_read(&text, issuer->key_file, TOKEN_FILE_MAX, err);
    if (rc == 0)
        rc = token_keys_read(&file->keys, bytes_view(&text), err);
    if (rc < 0) {
        (void)cofre_within(err, rc, "%s", issuer->key_file);
        return -COFRE_LACKING;
    }
    file->inode = now->st_ino;
    file->size = now->st_size;
    file->changed = now->st_mtim;
    return 0;
}

int token_key_file_renew(struct token_key_file *file, const struct access_issuer *issuer, int64_t now,
                         struct cofre_err *err)
{
    struct stat st;
    if (stat(issuer->key_file, &st) < 0) {
        token_key_file_free(file);
        return cofre_fail(err, COFRE_LACKING, "%s: %s", issuer->key_file, strerror(errno));
    }
    if (*issuer->key_url && st.st_mtim.tv_sec + TOKEN_KEYS_AGE < now) {
        token_key_file_free(file);
        return cofre_fail(err, COFRE_LACKING, "%s was fetched more than %d hours ago", issuer->key_file,
                          TOKEN_KEYS_AGE / 3600);
    }
    return is_same(file, &st) ? 0 : read_again(file, issuer, &st, err);
}
