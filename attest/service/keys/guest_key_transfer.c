/* Keys on their way in and out, sealed by HPKE (RFC 9180) to whom they are for; the suite is named in docs/keys.md. */
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

#include "attest/service/handlers.h"
#include "attest/service/keys/guest_keys.h"
#include "keys/message.h"
#include "keys/version.h"
#include "vmm/base/json.h"

/* In */

void guest_key_import_key(struct call *call)
{
    struct cofre_err err;
    struct hpke_public public;
    char hex[2 * HPKE_PUBLIC_MAX + 1];
    const struct keyring *keyring = call_keyring(call);
    if (!keyring)
        return;
    int rc = hpke_public_of(&public, HPKE_X25519, keyring_import_key(keyring), &err);
    if (rc < 0) {
        call_fail(call, rc, &err);
        return;
    }
    hex_encode(hex, public.data, public.len);
    request_answer_json(call->request, 200,
                        json_pack("{s:s, s:s}", "kem", hpke_kem_names[HPKE_X25519], "public", hex));
}

int guest_key_read_import(uint8_t *value, struct call *call, const char *name, json_t *import,
                          struct cofre_err *err)
{
    json_error_t why;
    const char *enc_hex, *sealed_hex;
    CLEAN_BYTES enc = {0}, sealed = {0};
    const struct hpke_about about = key_message_named(HPKE_X25519, KEY_IMPORT_INFO, name);
    if (json_unpack_ex(import, &why, JSON_STRICT, "{s:s, s:s}", "enc", &enc_hex, "sealed", &sealed_hex) < 0)
        return cofre_fail(err, COFRE_USAGE, "import: %s", why.text);
    int rc = hex_decode_some(&enc, HPKE_PUBLIC_MAX, enc_hex, err);
    if (rc == 0)
        rc = hex_decode_some(&sealed, KEY_VALUE_MAX + HPKE_OVERHEAD, sealed_hex, err);
    if (rc < 0)
        return cofre_within(err, -COFRE_USAGE, "import");
    rc = hpke_open(value, &about, keyring_import_key(call->trust->keyring), bytes_view(&enc),
                   bytes_view(&sealed), err);
    if (rc < 0)
        return cofre_within(err, rc == -COFRE_FAILED ? rc : -COFRE_USAGE, "import");
    if (sealed.len < KEY_VALUE_MIN + HPKE_OVERHEAD)
        return cofre_fail(err, COFRE_USAGE, "import: a key has %d to %d bytes", KEY_VALUE_MIN, KEY_VALUE_MAX);
    return (int)(sealed.len - HPKE_OVERHEAD);
}

/* Out */

struct export
{
    struct hpke_about about;
    struct bytes to;
    struct hpke_public enc;
    uint8_t sealed[KEY_VALUE_MAX + HPKE_OVERHEAD];
    size_t len;
    int64_t version; /* 0: the current one */
};

static int seal(const struct key_change *c, struct key_deed *deed, struct cofre_err *err)
{
    struct export *e = deed->context;
    struct guest_key key = {0};
    uint8_t value[KEY_VALUE_MAX];
    int rc = guest_key_find(&key, c->db, deed->call->part[0], err);
    enum guest_key_state state = key.state;
    if (rc == 0)
        rc = guest_key_state_after(&state, KEY_EVENT_EXPORT, key.name, err);
    if (rc < 0)
        return rc;
    deed->version = e->version ? e->version : key.current;
    int len = key_version_open(value, c->db, c->root, &key, deed->version, err);
    if (len < 0)
        return len;
    e->len = (size_t)len + HPKE_OVERHEAD;
    rc = hpke_seal(&e->enc, e->sealed, &e->about, bytes_view(&e->to), (struct view){value, (size_t)len}, err);
    OPENSSL_cleanse(value, sizeof value);
    return rc == -COFRE_MALFORMED ? cofre_within(err, -COFRE_USAGE, "recipient") : rc;
}

static int read_export(struct export *e, json_t *body, struct cofre_err *err)
{
    json_error_t why;
    const char *recipient, *kem;
    json_int_t version = 0;
    if (json_unpack_ex(body, &why, JSON_STRICT, "{s:s, s:s, s?I}", "recipient", &recipient, "kem", &kem,
                       "version", &version) < 0)
        return cofre_fail(err, COFRE_USAGE, "the body: %s", why.text);
    e->version = version;
    for (int i = 0; i < HPKE_KEMS; i++)
        if (strcmp(kem, hpke_kem_names[i]) == 0) {
            e->about.suite.kem = (enum hpke_kem)i;
            int rc = hex_decode_some(&e->to, HPKE_PUBLIC_MAX, recipient, err);
            return rc < 0 ? cofre_within(err, -COFRE_USAGE, "recipient") : 0;
        }
    return cofre_fail(err, COFRE_USAGE, "kem: it is to be \"P-256\" or \"X25519\"");
}

void guest_key_export(struct call *call)
{
    struct cofre_err err;
    struct export e = {.about = key_message_named(HPKE_X25519, KEY_EXPORT_INFO, call->part[0])};
    struct key_deed deed = {.call = call, .action = "exported", .work = seal, .context = &e};
    char enc[2 * HPKE_PUBLIC_MAX + 1], sealed[2 * sizeof e.sealed + 1];
    CLEAN_JSON *body = call_keyring(call) ? call_body(call) : NULL;
    if (!body)
        return;
    int rc = read_export(&e, body, &err);
    if (rc == 0) {
        (void)snprintf(deed.detail, sizeof deed.detail, "to %.130s",
                       json_string_value(json_object_get(body, "recipient")));
        rc = key_deed_do(&deed, &err);
    }
    bytes_free(&e.to);
    if (rc < 0) {
        call_fail(call, rc, &err);
        return;
    }
    hex_encode(enc, e.enc.data, e.enc.len);
    hex_encode(sealed, e.sealed, e.len);
    request_answer_json(call->request, 200,
                        json_pack("{s:s, s:I, s:s, s:s}", "name", call->part[0], "version",
                                  (json_int_t)deed.version, "enc", enc, "sealed", sealed));
}
