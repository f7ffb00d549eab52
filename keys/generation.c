#include "keys/generation.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

#define PURPOSE "cofre key generation 1"

/* Each value with its type and length before it. */
static int add_row(void *context, const struct db_value *column, size_t columns, struct cofre_err *err)
{
    for (size_t i = 0; i < columns; i++) {
        const struct db_value *v = &column[i];
        uint8_t head[9] = {(uint8_t)v->type};
        const bool number = v->type == DB_INTEGER;
        put_le64(head + 1, number ? (uint64_t)v->integer : v->bytes.len);
        if (EVP_DigestUpdate(context, head, sizeof head) != 1 ||
            (!number && EVP_DigestUpdate(context, v->bytes.data, v->bytes.len) != 1))
            return cofre_fail(err, COFRE_FAILED, "SHA-256 failed");
    }
    return 0;
}

static int add_tables(EVP_MD_CTX *md, struct db *db, struct cofre_err *err)
{
    int rc = db_run(
        db,
        "SELECT name, state, current, quorum, per_guest, per_hour, made, maker FROM guest_key ORDER BY name",
        NULL, 0, add_row, md, err);
    if (rc >= 0)
        rc = db_run(db, "SELECT name, policy, version, digest FROM guest_key_grant ORDER BY name, policy",
                    NULL, 0, add_row, md, err);
    if (rc >= 0)
        rc = db_run(db, "SELECT name, version, made, wrapped FROM guest_key_version ORDER BY name, version",
                    NULL, 0, add_row, md, err);
    return rc < 0 ? rc : 0;
}

#define ANCHOR_SIZE (SEAL_COUNTER_ID_SIZE + 8)

/* An anchor as it lies there: the counter's id and its value, or nothing. */
struct anchor_bytes {
    size_t len;
    uint8_t data[ANCHOR_SIZE];
};

static struct anchor_bytes write_anchor(const struct key_anchor *anchor)
{
    struct anchor_bytes out = {.len = anchor->there ? ANCHOR_SIZE : 0};
    if (anchor->there) {
        memcpy(out.data, anchor->counter, SEAL_COUNTER_ID_SIZE);
        put_le64(out.data + SEAL_COUNTER_ID_SIZE, anchor->value);
    }
    return out;
}

/* The number, SHA-256 of the tables, and the anchor where there is one. */
static int authenticate(uint8_t mac[static KEY_MAC_SIZE], struct db *db,
                        const uint8_t root[static KEY_ROOT_SIZE], int64_t generation,
                        const struct key_anchor *anchor, struct cofre_err *err)
{
    uint8_t whole[8 + 32 + ANCHOR_SIZE];
    const struct anchor_bytes end = write_anchor(anchor);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    put_le64(whole, (uint64_t)generation);
    memcpy(whole + 8 + 32, end.data, end.len);
    int rc = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1
                 ? add_tables(md, db, err)
                 : cofre_fail(err, COFRE_FAILED, "SHA-256 failed");
    if (rc == 0 && EVP_DigestFinal_ex(md, whole + 8, NULL) != 1)
        rc = cofre_fail(err, COFRE_FAILED, "SHA-256 failed");
    EVP_MD_CTX_free(md);
    return rc < 0 ? rc : key_mac(mac, root, PURPOSE, (struct view){whole, 8 + 32 + end.len}, err);
}

struct kept {
    int64_t generation;
    uint8_t mac[KEY_MAC_SIZE];
    bool whole;
    struct key_anchor anchor;
};

static void read_anchor(struct key_anchor *anchor, struct view bytes)
{
    anchor->there = bytes.len == ANCHOR_SIZE;
    if (anchor->there) {
        memcpy(anchor->counter, bytes.data, SEAL_COUNTER_ID_SIZE);
        anchor->value = le64(bytes.data + SEAL_COUNTER_ID_SIZE);
    }
}

static int keep(void *context, const struct db_value *c, size_t columns, struct cofre_err *err)
{
    struct kept *k = context;
    (void)columns;
    (void)err;
    k->generation = c[0].integer;
    k->whole = c[1].bytes.len == sizeof k->mac;
    if (k->whole)
        memcpy(k->mac, c[1].bytes.data, sizeof k->mac);
    read_anchor(&k->anchor, c[2].bytes);
    return 0;
}

/* A database without keys has not been authenticated by anybody; with the first one it is. */
static int count(void *context, const struct db_value *c, size_t columns, struct cofre_err *err)
{
    (void)columns;
    (void)err;
    *(int64_t *)context = c[0].integer;
    return 0;
}

static int check_new(struct db *db, struct cofre_err *err)
{
    int64_t keys = 0;
    int rc = db_run(db, "SELECT COUNT(*) FROM guest_key", NULL, 0, count, &keys, err);
    if (rc >= 0 && keys)
        return cofre_fail(err, COFRE_FAILED, "the database has %lld keys that nobody authenticated",
                          (long long)keys);
    return rc < 0 ? rc : 0;
}

int key_generation_check_anchor(struct db *db, const uint8_t root[static KEY_ROOT_SIZE], int64_t *generation,
                                struct key_anchor *anchor, struct cofre_err *err)
{
    struct kept k = {0};
    uint8_t mac[KEY_MAC_SIZE];
    int rc = db_run(db, "UPDATE guest_key_generation SET number = number RETURNING number, mac, counter",
                    NULL, 0, keep, &k, err);
    if (rc == 0)
        return cofre_fail(err, COFRE_FAILED, "the keys' generation is not in the database");
    *generation = k.generation;
    *anchor =
        (struct key_anchor){0}; /* before the first generation there is none that anybody authenticated */
    if (rc < 0 || k.generation == 0)
        return rc < 0 ? rc : check_new(db, err);
    *anchor = k.anchor;
    rc = authenticate(mac, db, root, k.generation, anchor, err);
    if (rc == 0 && (!k.whole || CRYPTO_memcmp(mac, k.mac, sizeof mac) != 0))
        return cofre_fail(
            err, COFRE_FAILED,
            "the keys in the database are not those of generation %lld: they were changed beside the "
            "service, or the root is another",
            (long long)k.generation);
    return rc;
}

int key_generation_check(struct db *db, const uint8_t root[static KEY_ROOT_SIZE], int64_t *generation,
                         struct cofre_err *err)
{
    struct key_anchor anchor;
    return key_generation_check_anchor(db, root, generation, &anchor, err);
}

int key_generation_read_anchor(struct db *db, struct key_anchor *anchor, struct cofre_err *err)
{
    struct kept k = {0};
    int rc = db_run(db, "SELECT number, mac, counter FROM guest_key_generation", NULL, 0, keep, &k, err);
    *anchor = k.anchor;
    return rc == 0  ? cofre_fail(err, COFRE_FAILED, "the keys' generation is not in the database")
           : rc < 0 ? rc
                    : 0;
}

int key_generation_anchor(struct db *db, const uint8_t root[static KEY_ROOT_SIZE], int64_t generation,
                          const struct key_anchor *anchor, struct cofre_err *err)
{
    uint8_t mac[KEY_MAC_SIZE];
    const struct anchor_bytes end = write_anchor(anchor);
    int rc = authenticate(mac, db, root, generation + 1, anchor, err);
    if (rc == 0)
        rc = DB_RUN(db, "UPDATE guest_key_generation SET number = $1, mac = $2, counter = $3", NULL, NULL,
                    err, db_integer(generation + 1), db_bytes((struct view){mac, sizeof mac}),
                    db_bytes((struct view){end.data, end.len}));
    return rc < 0 ? rc : 0;
}

int key_generation_advance(struct db *db, const uint8_t root[static KEY_ROOT_SIZE], int64_t generation,
                           struct cofre_err *err)
{
    struct key_anchor anchor = {0};
    int rc = generation ? key_generation_read_anchor(db, &anchor, err) : 0;
    anchor.value += anchor.there;
    return rc < 0 ? rc : key_generation_anchor(db, root, generation, &anchor, err);
}
