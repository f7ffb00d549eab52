#include "keys/wrap.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <string.h>

#include "keys/gcm.h"
#include "keys/hkdf.h"

#define NAME_MAX_BYTES 64
_Static_assert(GCM_NONCE_SIZE + GCM_TAG_SIZE == KEY_WRAP_OVERHEAD, "nonce, text, tag");

int key_derive(uint8_t out[static 32], const uint8_t root[static KEY_ROOT_SIZE], const char *purpose,
               struct cofre_err *err)
{
    return hkdf_expand(out, 32, root, (struct view){(const uint8_t *)purpose, strlen(purpose)}, err);
}

/* A purpose, the name, which has no zero in it, and the version. */
struct label {
    uint8_t data[32 + NAME_MAX_BYTES + 1 + 8 + KEY_TERMS_SIZE];
    size_t len;
};

static int label(struct label *out, const char *purpose, const struct key_place *place, struct cofre_err *err)
{
    const size_t words = strlen(purpose) + 1, name = strlen(place->name) + 1;
    if (name > NAME_MAX_BYTES + 1)
        return cofre_fail(err, COFRE_USAGE, "a key's name has more than %d bytes", NAME_MAX_BYTES);
    memcpy(out->data, purpose, words);
    memcpy(out->data + words, place->name, name);
    put_le64(out->data + words + name, (uint64_t)place->version);
    out->len = words + name + 8;
    return 0;
}

static int kek(uint8_t out[static 32], const uint8_t root[static KEY_ROOT_SIZE],
               const struct key_place *place, struct cofre_err *err)
{
    struct label l;
    int rc = label(&l, "cofre key wrap 1", place, err);
    return rc < 0 ? rc : hkdf_expand(out, 32, root, (struct view){l.data, l.len}, err);
}

static int aad(struct label *out, const struct key_place *place, struct cofre_err *err)
{
    int rc = label(out, "cofre key 1", place, err);
    if (rc < 0)
        return rc;
    memcpy(out->data + out->len, place->terms, KEY_TERMS_SIZE);
    out->len += KEY_TERMS_SIZE;
    return 0;
}

int key_wrap(uint8_t *out, const uint8_t root[static KEY_ROOT_SIZE], const struct key_place *place,
             struct view value, struct cofre_err *err)
{
    uint8_t key[32];
    struct label about;
    int rc = aad(&about, place, err);
    if (rc == 0 && RAND_bytes(out, GCM_NONCE_SIZE) != 1)
        rc = cofre_fail(err, COFRE_FAILED, "there are no random bytes");
    if (rc == 0)
        rc = kek(key, root, place, err);
    if (rc < 0)
        return rc;
    const struct gcm gcm = {{key, sizeof key}, out, {about.data, about.len}};
    rc = gcm_seal(out + GCM_NONCE_SIZE, &gcm, value, err);
    OPENSSL_cleanse(key, sizeof key);
    return rc;
}

int key_unwrap(uint8_t *out, const uint8_t root[static KEY_ROOT_SIZE], const struct key_place *place,
               struct view wrapped, struct cofre_err *err)
{
    uint8_t key[32];
    struct label about;
    if (wrapped.len < KEY_WRAP_OVERHEAD)
        return cofre_fail(err, COFRE_FAILED, "version %lld of the key \"%s\" has %zu bytes",
                          (long long)place->version, place->name, wrapped.len);
    int rc = aad(&about, place, err);
    if (rc == 0)
        rc = kek(key, root, place, err);
    if (rc < 0)
        return rc;
    const struct gcm gcm = {{key, sizeof key}, wrapped.data, {about.data, about.len}};
    rc = gcm_open(out, &gcm, (struct view){wrapped.data + GCM_NONCE_SIZE, wrapped.len - GCM_NONCE_SIZE}, err);
    OPENSSL_cleanse(key, sizeof key);
    return rc == -COFRE_NEGATIVE
               ? cofre_fail(
                     err, COFRE_FAILED,
                     "version %lld of the key \"%s\" does not open: it, or the key's terms, were changed in "
                     "the database, or the root is another",
                     (long long)place->version, place->name)
               : rc;
}

int key_mac(uint8_t out[static KEY_MAC_SIZE], const uint8_t root[static KEY_ROOT_SIZE], const char *purpose,
            struct view data, struct cofre_err *err)
{
    uint8_t key[32];
    unsigned len = 0;
    int rc = key_derive(key, root, purpose, err);
    if (rc == 0 &&
        (!HMAC(EVP_sha256(), key, sizeof key, data.data, data.len, out, &len) || len != KEY_MAC_SIZE))
        rc = cofre_fail(err, COFRE_FAILED, "HMAC failed");
    OPENSSL_cleanse(key, sizeof key);
    return rc;
}
