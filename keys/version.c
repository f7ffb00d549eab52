#include "keys/version.h"

#include <openssl/crypto.h>

#define WRAPPED_MAX (KEY_VALUE_MAX + KEY_WRAP_OVERHEAD)

/* Of one key, between reading and writing: a statement must not change the rows that another one is reading. */
#define VERSIONS_MAX 1000
struct held {
    const char *name;
    int64_t version;
    uint8_t wrapped[WRAPPED_MAX];
    size_t len;
};

static int hold(void *context, const struct db_value *c, size_t columns, struct cofre_err *err)
{
    struct held *h = context;
    (void)columns;
    if (c[1].bytes.len > sizeof h->wrapped)
        return cofre_fail(err, COFRE_FAILED, "version %lld of the key \"%s\" has %zu bytes",
                          (long long)c[0].integer, h->name, c[1].bytes.len);
    h->version = c[0].integer;
    h->len = c[1].bytes.len;
    memcpy(h->wrapped, c[1].bytes.data, h->len);
    return 0;
}

int key_version_add(struct db *db, const uint8_t root[static KEY_ROOT_SIZE], const struct guest_key *key,
                    int64_t version, struct view value, int64_t now, struct cofre_err *err)
{
    uint8_t terms[KEY_TERMS_SIZE], wrapped[WRAPPED_MAX];
    const struct key_place place = {key->name, version, terms};
    if (value.len < KEY_VALUE_MIN || value.len > KEY_VALUE_MAX)
        return cofre_fail(err, COFRE_USAGE, "a key has %d to %d bytes, not %zu", KEY_VALUE_MIN, KEY_VALUE_MAX,
                          value.len);
    if (version > VERSIONS_MAX)
        return cofre_fail(err, COFRE_USAGE,
                          "the key \"%s\" was rotated %d times, which is as often as can be", key->name,
                          VERSIONS_MAX);
    int rc = guest_key_terms(terms, key, err);
    if (rc == 0)
        rc = key_wrap(wrapped, root, &place, value, err);
    const struct key_version row = {version, now, {wrapped, value.len + KEY_WRAP_OVERHEAD}};
    return rc < 0 ? rc : key_version_put(db, key->name, &row, err);
}

int key_version_put(struct db *db, const char *name, const struct key_version *v, struct cofre_err *err)
{
    int rc = DB_RUN(
        db, "INSERT INTO guest_key_version (name, version, made, wrapped) VALUES ($1, $2, $3, $4)", NULL,
        NULL, err, db_text(name), db_integer(v->version), db_integer(v->made), db_bytes(v->wrapped));
    return rc < 0 ? rc : 0;
}

int key_version_open(uint8_t *value, struct db *db, const uint8_t root[static KEY_ROOT_SIZE],
                     const struct guest_key *key, int64_t version, struct cofre_err *err)
{
    uint8_t terms[KEY_TERMS_SIZE];
    struct held h = {.name = key->name};
    const struct key_place place = {key->name, version, terms};
    int rc = DB_RUN(db, "SELECT version, wrapped FROM guest_key_version WHERE name = $1 AND version = $2",
                    hold, &h, err, db_text(key->name), db_integer(version));
    if (rc == 0)
        return cofre_fail(err, COFRE_NEGATIVE, "the key \"%s\" has no version %lld", key->name,
                          (long long)version);
    if (rc > 0)
        rc = guest_key_terms(terms, key, err);
    if (rc == 0)
        rc = key_unwrap(value, root, &place, (struct view){h.wrapped, h.len}, err);
    return rc < 0 ? rc : (int)(h.len - KEY_WRAP_OVERHEAD);
}

static int rewrap(struct db *db, const uint8_t root[static KEY_ROOT_SIZE], struct held *h,
                  const uint8_t *before, const uint8_t *after, struct cofre_err *err)
{
    uint8_t value[KEY_VALUE_MAX];
    const size_t len = h->len - KEY_WRAP_OVERHEAD;
    int rc = key_unwrap(value, root, &(struct key_place){h->name, h->version, before},
                        (struct view){h->wrapped, h->len}, err);
    if (rc == 0)
        rc = key_wrap(h->wrapped, root, &(struct key_place){h->name, h->version, after},
                      (struct view){value, len}, err);
    OPENSSL_cleanse(value, sizeof value);
    return rc < 0 ? rc
                  : DB_RUN(db, "UPDATE guest_key_version SET wrapped = $3 WHERE name = $1 AND version = $2",
                           NULL, NULL, err, db_text(h->name), db_integer(h->version),
                           db_bytes((struct view){h->wrapped, h->len}));
}

int key_versions_rewrap(struct db *db, const uint8_t root[static KEY_ROOT_SIZE],
                        const struct guest_key *before, const struct guest_key *after, struct cofre_err *err)
{
    uint8_t old[KEY_TERMS_SIZE], new[KEY_TERMS_SIZE];
    struct held h = {.name = after->name};
    int rc = guest_key_terms(old, before, err);
    if (rc == 0)
        rc = guest_key_terms(new, after, err);
    while (rc >= 0) {
        rc = DB_RUN(db,
                    "SELECT version, wrapped FROM guest_key_version WHERE name = $1 AND version > $2"
                    " ORDER BY version LIMIT 1",
                    hold, &h, err, db_text(h.name), db_integer(h.version));
        if (rc <= 0)
            break;
        rc = rewrap(db, root, &h, old, new, err);
    }
    return rc;
}

int key_version_erase(struct db *db, const char *name, int64_t version, struct cofre_err *err)
{
    int rc = DB_RUN(db, "DELETE FROM guest_key_version WHERE name = $1 AND version = $2", NULL, NULL, err,
                    db_text(name), db_integer(version));
    if (rc == 0)
        return cofre_fail(err, COFRE_NEGATIVE, "the key \"%s\" has no version %lld", name,
                          (long long)version);
    return rc < 0 ? rc : 0;
}

int key_versions_erase_all(struct db *db, const char *name, struct cofre_err *err)
{
    int rc = DB_RUN(db, "DELETE FROM guest_key_version WHERE name = $1", NULL, NULL, err, db_text(name));
    return rc < 0 ? rc : 0;
}

struct taker {
    key_version_take take;
    void *context;
};

static int take_row(void *context, const struct db_value *c, size_t columns, struct cofre_err *err)
{
    const struct taker *taker = context;
    (void)columns;
    const struct key_version v = {c[0].integer, c[1].integer, c[2].bytes};
    return taker->take(taker->context, &v, err);
}

int key_versions_list(struct db *db, const char *name, key_version_take take, void *context,
                      struct cofre_err *err)
{
    struct taker taker = {take, context};
    return DB_RUN(db, "SELECT version, made, wrapped FROM guest_key_version WHERE name = $1 ORDER BY version",
                  take_row, &taker, err, db_text(name));
}
