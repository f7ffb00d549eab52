#include "keys/backup.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "keys/backup_rows.h"
#include "keys/gcm.h"
#include "keys/generation.h"
#include "keys/hkdf.h"
#include "vmm/base/json.h"
#include "vmm/base/timestamp.h"

#define VERSION 1
#define PURPOSE "cofre keys backup 1"
#define SEALED  "sealed" /* the member that all others are authenticated with */

void key_backup_free(struct key_backup *b)
{
    json_decref(b->keys);
    b->keys = NULL;
}

/* Tells roots apart, and says nothing of them. */
static int name_root(char out[2 * KEY_MAC_SIZE + 1], const uint8_t root[static KEY_ROOT_SIZE],
                     struct cofre_err *err)
{
    uint8_t mac[KEY_MAC_SIZE];
    int rc = key_mac(mac, root, "cofre root name 1", (struct view){(const uint8_t *)"", 0}, err);
    if (rc == 0)
        hex_encode(out, mac, sizeof mac);
    return rc;
}

/* A key for this backup alone. */
static int derive(uint8_t out[static 32], const uint8_t root[static KEY_ROOT_SIZE], const char *id,
                  struct cofre_err *err)
{
    char info[sizeof PURPOSE + 2 * KEY_BACKUP_ID_SIZE + 1];
    int n = snprintf(info, sizeof info, "%s %s", PURPOSE, id);
    return hkdf_expand(out, 32, root, (struct view){(const uint8_t *)info, (size_t)n}, err);
}

/* All other members, in one form of their text. The caller frees it. */
static char *head_text(json_t *document)
{
    CLEAN_JSON *head = json_copy(document);
    json_object_del(head, SEALED);
    return head ? json_dumps(head, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
}

static int note_digest(struct key_backup *b, struct view sealed, struct cofre_err *err)
{
    return EVP_Digest(sealed.data, sealed.len, b->digest, NULL, EVP_sha256(), NULL) == 1
               ? 0
               : cofre_fail(err, COFRE_FAILED, "SHA-256 failed");
}

/* Making */

static int seal_text(struct key_backup *b, json_t *document, const uint8_t root[static KEY_ROOT_SIZE],
                     const char *head, struct view text, struct cofre_err *err)
{
    uint8_t key[32];
    char *encoded = NULL;
    CLEAN_BYTES sealed = {0};
    const struct view about = {(const uint8_t *)head, strlen(head)};
    if (text.len > GCM_TEXT_MAX)
        return cofre_fail(err, COFRE_USAGE, "the keys have %zu bytes, and a backup has %u at most", text.len,
                          GCM_TEXT_MAX);
    int rc = bytes_alloc(&sealed, GCM_NONCE_SIZE + text.len + GCM_TAG_SIZE, err);
    if (rc == 0 && RAND_bytes(sealed.data, GCM_NONCE_SIZE) != 1)
        rc = cofre_fail(err, COFRE_FAILED, "there are no random bytes");
    if (rc == 0)
        rc = derive(key, root, b->id, err);
    if (rc == 0)
        rc = gcm_seal(sealed.data + GCM_NONCE_SIZE, &(struct gcm){{key, sizeof key}, sealed.data, about},
                      text, err);
    OPENSSL_cleanse(key, sizeof key);
    if (rc == 0)
        rc = note_digest(b, bytes_view(&sealed), err);
    if (rc == 0)
        rc = base64_encode(&encoded, bytes_view(&sealed), err);
    if (rc == 0 && json_object_set_new(document, SEALED, json_string(encoded)) < 0)
        rc = cofre_fail(err, COFRE_FAILED, "out of memory");
    free(encoded);
    return rc;
}

static int seal(struct key_backup *b, json_t *document, const uint8_t root[static KEY_ROOT_SIZE],
                struct cofre_err *err)
{
    CLEAN_JSON *content = json_pack("{s:O}", "keys", b->keys);
    char *head = head_text(document), *text = content ? json_dumps(content, JSON_COMPACT) : NULL;
    int rc = head && text
                 ? seal_text(b, document, root, head, (struct view){(const uint8_t *)text, strlen(text)}, err)
                 : cofre_fail(err, COFRE_FAILED, "out of memory");
    free(head);
    free(text);
    return rc;
}

static int write_head(json_t **out, struct key_backup *b, const uint8_t root[static KEY_ROOT_SIZE],
                      const char *service, json_t *file, struct cofre_err *err)
{
    uint8_t id[KEY_BACKUP_ID_SIZE];
    char name[2 * KEY_MAC_SIZE + 1];
    if (RAND_bytes(id, sizeof id) != 1)
        return cofre_fail(err, COFRE_FAILED, "there are no random bytes");
    hex_encode(b->id, id, sizeof id);
    int rc = name_root(name, root, err);
    if (rc < 0)
        return rc;
    *out = json_pack("{s:i, s:s, s:s, s:s, s:I, s:o, s:I}", "cofre_keys_backup", VERSION, "id", b->id,
                     "service", service, "root_name", name, "generation", (json_int_t)b->generation, "made",
                     json_time(b->made), "count", (json_int_t)json_array_size(b->keys));
    if (*out && (!file || json_object_set(*out, "root", file) == 0))
        return 0;
    return cofre_fail(err, COFRE_FAILED, "out of memory");
}

int key_backup_make(struct key_backup *out, json_t **document, const struct key_change *c,
                    const char *service, json_t *root, struct cofre_err *err)
{
    *out = (struct key_backup){.made = c->now};
    *document = NULL;
    int rc = key_generation_check(c->db, c->root, &out->generation, err);
    if (rc == 0)
        rc = key_rows_write(&out->keys, c->db, err);
    if (rc == 0)
        rc = write_head(document, out, c->root, service, root, err);
    if (rc == 0)
        rc = seal(out, *document, c->root, err);
    if (rc < 0) {
        json_decref(*document);
        *document = NULL;
        key_backup_free(out);
    }
    return rc;
}

/* Reading */

static int read_head(struct key_backup *b, const char **name, const char **sealed, json_t *document,
                     struct cofre_err *err)
{
    json_error_t why;
    json_t *root = NULL;
    const char *id, *service, *made;
    int version;
    json_int_t generation, count;
    uint8_t raw[KEY_BACKUP_ID_SIZE];
    const json_t *given = json_object_get(document, "cofre_keys_backup");
    if (json_integer_value(given) != VERSION)
        return cofre_fail(err, COFRE_USAGE, "it is no backup of keys of version %d", VERSION);
    if (json_unpack_ex(document, &why, JSON_STRICT, "{s:i, s:s, s:s, s:s, s:I, s:s, s:I, s?o, s:s}",
                       "cofre_keys_backup", &version, "id", &id, "service", &service, "root_name", name,
                       "generation", &generation, "made", &made, "count", &count, "root", &root, SEALED,
                       sealed) < 0)
        return cofre_fail(err, COFRE_USAGE, "the backup is not whole: %s", why.text);
    if (!hex_decode(raw, sizeof raw, id) || generation < 0)
        return cofre_fail(err, COFRE_USAGE, "the backup is not whole: id and generation are none");
    hex_encode(b->id, raw, sizeof raw);
    b->generation = generation;
    int rc = time_parse(&b->made, made, "made", err);
    return rc < 0 ? cofre_within(err, -COFRE_USAGE, "the backup is not whole") : 0;
}

static int check_root(const char *name, const uint8_t root[static KEY_ROOT_SIZE], struct cofre_err *err)
{
    char ours[2 * KEY_MAC_SIZE + 1];
    int rc = name_root(ours, root, err);
    return rc < 0 || strcmp(name, ours) == 0
               ? rc
               : cofre_fail(err, COFRE_USAGE, "the backup was made under another root than this service has");
}

static int open_text(struct bytes *text, const struct key_backup *b, const uint8_t root[static KEY_ROOT_SIZE],
                     const char *head, struct view sealed, struct cofre_err *err)
{
    uint8_t key[32];
    const struct view about = {(const uint8_t *)head, strlen(head)};
    if (sealed.len < GCM_NONCE_SIZE + GCM_TAG_SIZE)
        return cofre_fail(err, COFRE_USAGE, "the backup was changed, or is not whole");
    int rc = bytes_alloc(text, sealed.len - GCM_NONCE_SIZE - GCM_TAG_SIZE, err);
    if (rc == 0)
        rc = derive(key, root, b->id, err);
    if (rc == 0)
        rc = gcm_open(text->data, &(struct gcm){{key, sizeof key}, sealed.data, about},
                      (struct view){sealed.data + GCM_NONCE_SIZE, sealed.len - GCM_NONCE_SIZE}, err);
    OPENSSL_cleanse(key, sizeof key);
    return rc == -COFRE_NEGATIVE ? cofre_fail(err, COFRE_USAGE, "the backup was changed, or is not whole")
                                 : rc;
}

static int open_sealed(struct key_backup *b, json_t *document, const char *encoded,
                       const uint8_t root[static KEY_ROOT_SIZE], struct cofre_err *err)
{
    CLEAN_BYTES sealed = {0}, text = {0};
    CLEAN_JSON *content = NULL;
    char *head = head_text(document);
    int rc = head ? 0 : cofre_fail(err, COFRE_FAILED, "out of memory");
    if (rc == 0 && base64_decode(&sealed, GCM_NONCE_SIZE + GCM_TEXT_MAX + GCM_TAG_SIZE, encoded, err) < 0)
        rc = cofre_fail(err, COFRE_USAGE, "the backup was changed, or is not whole");
    if (rc == 0)
        rc = open_text(&text, b, root, head, bytes_view(&sealed), err);
    free(head);
    if (rc == 0)
        rc = note_digest(b, bytes_view(&sealed), err);
    if (rc == 0)
        rc = json_read(&content, bytes_view(&text), COFRE_FAILED, err);
    json_t *keys = json_object_get(content, "keys");
    if (rc == 0 && !json_is_array(keys))
        rc = cofre_fail(err, COFRE_FAILED, "what is in the backup are no keys");
    if (rc == 0)
        b->keys = json_incref(keys);
    return rc;
}

int key_backup_read(struct key_backup *out, json_t *document, const uint8_t root[static KEY_ROOT_SIZE],
                    struct cofre_err *err)
{
    const char *name, *sealed;
    *out = (struct key_backup){.generation = 0};
    int rc = read_head(out, &name, &sealed, document, err);
    if (rc == 0)
        rc = check_root(name, root, err);
    return rc < 0 ? rc : open_sealed(out, document, sealed, root, err);
}
