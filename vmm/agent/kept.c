#include "vmm/agent/kept.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <string.h>

#include "keys/gcm.h"
#include "keys/hkdf.h"
#include "vmm/base/json.h"
#include "vmm/base/timestamp.h"

#define LABEL      "cofre kept 1"
#define SEALED_MAX (GCM_NONCE_SIZE + KEY_VALUE_MAX + GCM_TAG_SIZE)

/* What is authenticated with each value: all that decides whether it is the one that is asked for, and good. */
struct about {
    uint8_t data[sizeof LABEL + 4 * 8 + KEPT_NAME_MAX];
    size_t len;
};

static struct about about(const struct kept_root *root, const struct kept_secret *s)
{
    struct about a = {.len = sizeof LABEL};
    const uint64_t numbers[] = {root->tcb, root->vmpl, (uint64_t)s->version, (uint64_t)s->until};
    memcpy(a.data, LABEL, sizeof LABEL);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++, a.len += 8)
        put_le64(a.data + a.len, numbers[i]);
    memcpy(a.data + a.len, s->name, strlen(s->name));
    a.len += strlen(s->name);
    return a;
}

static int sealing_key(uint8_t out[32], const uint8_t key[32], struct cofre_err *err)
{
    return hkdf_expand(out, 32, key, (struct view){(const uint8_t *)LABEL, sizeof LABEL - 1}, err);
}

/* Sealing */

static int seal_one(json_t *list, const struct kept_root *root, const uint8_t key[32],
                    const struct kept_secret *s, struct cofre_err *err)
{
    uint8_t sealed[SEALED_MAX];
    char hex[2 * SEALED_MAX + 1];
    const struct about what = about(root, s);
    const struct gcm gcm = {{key, 32}, sealed, {what.data, what.len}};
    if (s->value.len > KEY_VALUE_MAX || RAND_bytes(sealed, GCM_NONCE_SIZE) != 1)
        return cofre_fail(err, COFRE_FAILED, "there are no random bytes");
    int rc = gcm_seal(sealed + GCM_NONCE_SIZE, &gcm, s->value, err);
    if (rc < 0)
        return rc;
    hex_encode(hex, sealed, GCM_NONCE_SIZE + s->value.len + GCM_TAG_SIZE);
    return json_array_append_new(list, json_pack("{s:s, s:I, s:o, s:s}", "name", s->name, "version",
                                                 (json_int_t)s->version, "until", json_time(s->until),
                                                 "sealed", hex)) == 0
               ? 0
               : cofre_fail(err, COFRE_FAILED, "out of memory");
}

int kept_seal(struct bytes *file, const struct kept_root *root, const uint8_t key[32],
              const struct kept_secret *secrets, size_t count, struct cofre_err *err)
{
    uint8_t sealing[32], tcb[8];
    char tcb_hex[17];
    json_t *list = json_array();
    for (int i = 0; i < 8; i++)
        tcb[i] = (uint8_t)(root->tcb >> (56 - 8 * i));
    hex_encode(tcb_hex, tcb, sizeof tcb);
    CLEAN_JSON *object = json_pack("{s:i, s:s, s:i, s:o}", "kept", 1, "tcb", tcb_hex, "vmpl", (int)root->vmpl,
                                   "secrets", list);
    int rc = object ? sealing_key(sealing, key, err) : cofre_fail(err, COFRE_FAILED, "out of memory");
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = seal_one(list, root, sealing, &secrets[i], err);
    OPENSSL_cleanse(sealing, sizeof sealing);
    if (rc < 0)
        return rc;
    char *text = json_dumps(object, JSON_INDENT(1));
    rc = text ? bytes_copy(file, (struct view){(const uint8_t *)text, strlen(text)}, err)
              : cofre_fail(err, COFRE_FAILED, "out of memory");
    free(text);
    return rc;
}

/* Opening */

static int read_file(json_t **out, struct kept_root *root, json_t **list, struct view file,
                     struct cofre_err *err)
{
    json_error_t why;
    uint8_t tcb[8];
    const char *tcb_hex;
    int kept, vmpl, rc = json_read(out, file, COFRE_MALFORMED, err);
    if (rc < 0)
        return rc;
    if (json_unpack_ex(*out, &why, JSON_STRICT, "{s:i, s:s, s:i, s:o}", "kept", &kept, "tcb", &tcb_hex,
                       "vmpl", &vmpl, "secrets", list) < 0 ||
        kept != 1 || vmpl < 0 || vmpl > 3 || !hex_decode(tcb, sizeof tcb, tcb_hex) ||
        json_array_size(*list) > KEPT_SECRETS_MAX)
        return cofre_fail(err, COFRE_MALFORMED, "it is no file of kept secrets");
    *root = (struct kept_root){.vmpl = (uint32_t)vmpl};
    for (size_t i = 0; i < sizeof tcb; i++)
        root->tcb = root->tcb << 8 | tcb[i];
    return 0;
}

int kept_read_root(struct kept_root *root, struct view file, struct cofre_err *err)
{
    CLEAN_JSON *object = NULL;
    json_t *list;
    return read_file(&object, root, &list, file, err);
}

static int read_secret(struct kept_secret *out, struct bytes *sealed, json_t *object, struct cofre_err *err)
{
    json_error_t why;
    json_int_t version;
    const char *name, *until, *hex;
    if (json_unpack_ex(object, &why, JSON_STRICT, "{s:s, s:I, s:s, s:s}", "name", &name, "version", &version,
                       "until", &until, "sealed", &hex) < 0 ||
        strlen(name) > KEPT_NAME_MAX)
        return cofre_fail(err, COFRE_MALFORMED, "one of the secrets in it is none");
    *out = (struct kept_secret){.version = version};
    memcpy(out->name, name, strlen(name) + 1);
    int rc = time_parse(&out->until, until, "until", err);
    if (rc == 0)
        rc = hex_decode_some(sealed, SEALED_MAX, hex, err);
    if (rc == 0 && sealed->len < GCM_NONCE_SIZE + GCM_TAG_SIZE)
        rc = cofre_fail(err, COFRE_MALFORMED, "one of the secrets in it is too short");
    return rc < 0 ? cofre_within(err, -COFRE_MALFORMED, "\"%s\"", out->name) : 0;
}

static int open_one(uint8_t *value, const struct kept_root *root, const uint8_t key[32],
                    const struct kept_secret *s, struct view sealed, int64_t now, struct cofre_err *err)
{
    uint8_t sealing[32];
    char until[TIME_TEXT_SIZE];
    const struct about what = about(root, s);
    const struct gcm gcm = {{sealing, sizeof sealing}, sealed.data, {what.data, what.len}};
    int rc = sealing_key(sealing, key, err);
    if (rc == 0)
        rc = gcm_open(value, &gcm, (struct view){sealed.data + GCM_NONCE_SIZE, sealed.len - GCM_NONCE_SIZE},
                      err);
    OPENSSL_cleanse(sealing, sizeof sealing);
    if (rc == -COFRE_NEGATIVE)
        return cofre_fail(err, COFRE_NEGATIVE,
                          "what is kept of \"%s\" does not open: another guest kept it, or on another "
                          "machine, or it was changed",
                          s->name);
    if (rc == 0 && now >= s->until) {
        OPENSSL_cleanse(value, KEY_VALUE_MAX);
        time_format(until, s->until);
        return cofre_fail(err, COFRE_NEGATIVE, "what is kept of \"%s\" was good until %s", s->name, until);
    }
    return rc < 0 ? rc : (int)(sealed.len - GCM_NONCE_SIZE - GCM_TAG_SIZE);
}

int kept_open(uint8_t *value, struct view file, const uint8_t key[32], const char *name, int64_t now,
              struct cofre_err *err)
{
    CLEAN_JSON *object = NULL;
    struct kept_root root;
    json_t *list, *one;
    size_t i;
    memset(value, 0, KEY_VALUE_MAX);
    int rc = read_file(&object, &root, &list, file, err);
    if (rc < 0)
        return rc;
    json_array_foreach(list, i, one)
    {
        CLEAN_BYTES sealed = {0};
        struct kept_secret s;
        rc = read_secret(&s, &sealed, one, err);
        if (rc < 0)
            return rc;
        if (strcmp(s.name, name) == 0)
            return open_one(value, &root, key, &s, bytes_view(&sealed), now, err);
    }
    return cofre_fail(err, COFRE_NEGATIVE, "nothing is kept of \"%s\"", name);
}
