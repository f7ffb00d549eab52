/* Keys on their way to and from a cofre-trust: only sealed. */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

#include "keys/message.h"
#include "keys/wrap.h"
#include "vmm/base/file.h"
#include "vmm/base/json.h"
#include "vmm/base/number.h"
#include "vmm/cli/keys.h"

#define SEALED_MAX (KEY_VALUE_MAX + HPKE_OVERHEAD)
#define FILE_MAX   65536

/* Hexadecimal members of an object. */

static int read_hex(struct bytes *out, size_t max, const json_t *object, const char *name,
                    struct cofre_err *err)
{
    const char *text = json_string_value(json_object_get(object, name));
    int rc =
        text ? hex_decode_some(out, max, text, err) : cofre_fail(err, COFRE_MALFORMED, "it is not there");
    return rc < 0 ? cofre_within(err, -COFRE_MALFORMED, "%s", name) : 0;
}

static json_t *sealed_json(const struct hpke_public *enc, const uint8_t *sealed, size_t len)
{
    char enc_hex[2 * HPKE_PUBLIC_MAX + 1], sealed_hex[2 * SEALED_MAX + 1];
    hex_encode(enc_hex, enc->data, enc->len);
    hex_encode(sealed_hex, sealed, len);
    return json_pack("{s:s, s:s}", "enc", enc_hex, "sealed", sealed_hex);
}

int keys_put_import(const struct keys_call *call, json_t *body, struct cofre_err *err)
{
    CLEAN_BYTES value = {0}, to = {0};
    CLEAN_JSON *import_key = NULL;
    struct hpke_public enc;
    uint8_t sealed[SEALED_MAX];
    const struct hpke_about what = key_message_named(HPKE_X25519, KEY_IMPORT_INFO, call->option[KEYS_NAME]);
    int rc = file_read(&value, call->option[KEYS_IN], KEY_VALUE_MAX, err);
    if (rc == 0 && value.len < KEY_VALUE_MIN)
        rc = cofre_fail(err, COFRE_USAGE, "%s: a key has %d to %d bytes", call->option[KEYS_IN],
                        KEY_VALUE_MIN, KEY_VALUE_MAX);
    if (rc == 0)
        rc = trust_call(&import_key, &call->service, "GET", "/v1/import-key", NULL, err);
    if (rc == 0)
        rc = read_hex(&to, HPKE_PUBLIC_MAX, import_key, "public", err);
    if (rc == 0)
        rc = hpke_seal(&enc, sealed, &what, bytes_view(&to), bytes_view(&value), err);
    if (rc < 0)
        return rc;
    return json_object_set_new(body, "import", sealed_json(&enc, sealed, value.len + HPKE_OVERHEAD)) == 0
               ? 0
               : cofre_fail(err, COFRE_FAILED, "out of memory");
}

/* A PEM file's key; its kind says which KEM. */

static int read_pem(EVP_PKEY **out, enum hpke_kem *kem, const char *path, bool private, struct cofre_err *err)
{
    CLEAN_BYTES file = {0};
    struct hpke_public public;
    int rc = file_read(&file, path, FILE_MAX, err);
    if (rc < 0)
        return rc;
    BIO *bio = BIO_new_mem_buf(file.data, (int)file.len);
    *out = !bio      ? NULL
           : private ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL)
                     : PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
    BIO_free(bio);
    for (int i = 0; *out && i < HPKE_KEMS; i++)
        if (hpke_public_of(&public, (enum hpke_kem)i, *out, NULL) == 0) {
            *kem = (enum hpke_kem)i;
            return 0;
        }
    EVP_PKEY_free(*out);
    return cofre_fail(err, COFRE_MALFORMED, "%s is no %s key of P-256 or X25519 in PEM", path,
                      private ? "private" : "public");
}

int keys_export(const struct keys_call *call, json_t **answer, struct cofre_err *err)
{
    EVP_PKEY *key;
    enum hpke_kem kem;
    struct hpke_public public;
    uint64_t version = 0;
    char path[128], hex[2 * HPKE_PUBLIC_MAX + 1];
    CLEAN_JSON *sealed = NULL;
    int rc = read_pem(&key, &kem, call->option[KEYS_KEY], false, err);
    if (rc < 0)
        return rc;
    rc = hpke_public_of(&public, kem, key, err);
    EVP_PKEY_free(key);
    if (rc == 0 && call->option[KEYS_VERSION])
        rc = number_parse(&version, call->option[KEYS_VERSION], "--version", 1, INT32_MAX, err);
    if (rc < 0)
        return rc;
    hex_encode(hex, public.data, public.len);
    CLEAN_JSON *body = json_pack("{s:s, s:s}", "recipient", hex, "kem", hpke_kem_names[kem]);
    if (version)
        json_object_set_new(body, "version", json_integer((json_int_t)version));
    (void)snprintf(path, sizeof path, "/v1/keys/%s/export", call->option[KEYS_NAME]);
    rc = trust_call(&sealed, &call->service, "POST", path, body, err);
    if (rc < 0)
        return rc;
    char *text = json_dumps(sealed, JSON_INDENT(2));
    rc = text ? file_write(call->option[KEYS_OUT], key_message_text(text), 0600, err)
              : cofre_fail(err, COFRE_FAILED, "out of memory");
    free(text);
    *answer = json_pack("{s:O, s:O}", "name", json_object_get(sealed, "name"), "version",
                        json_object_get(sealed, "version"));
    return rc;
}

int keys_open(const struct keys_call *call, json_t **answer, struct cofre_err *err)
{
    CLEAN_BYTES file = {0}, enc = {0}, sealed = {0};
    CLEAN_JSON *object = NULL;
    EVP_PKEY *key;
    enum hpke_kem kem;
    uint8_t value[KEY_VALUE_MAX];
    int rc = file_read(&file, call->option[KEYS_IN], FILE_MAX, err);
    if (rc == 0)
        rc = json_read(&object, bytes_view(&file), COFRE_MALFORMED, err);
    if (rc == 0)
        rc = read_hex(&enc, HPKE_PUBLIC_MAX, object, "enc", err);
    if (rc == 0)
        rc = read_hex(&sealed, SEALED_MAX, object, "sealed", err);
    const char *name = json_string_value(json_object_get(object, "name"));
    if (rc == 0 && (!name || sealed.len < HPKE_OVERHEAD))
        rc = cofre_fail(err, COFRE_MALFORMED, "name: it is not there");
    if (rc < 0)
        return cofre_within(err, rc, "%s", call->option[KEYS_IN]);
    rc = read_pem(&key, &kem, call->option[KEYS_KEY], true, err);
    if (rc < 0)
        return rc;
    const struct hpke_about what = key_message_named(kem, KEY_EXPORT_INFO, name);
    rc = hpke_open(value, &what, key, bytes_view(&enc), bytes_view(&sealed), err);
    EVP_PKEY_free(key);
    if (rc == 0)
        rc = file_write(call->option[KEYS_OUT], (struct view){value, sealed.len - HPKE_OVERHEAD}, 0600, err);
    OPENSSL_cleanse(value, sizeof value);
    *answer =
        rc < 0 ? NULL : json_pack("{s:s, s:O}", "name", name, "version", json_object_get(object, "version"));
    return rc;
}
