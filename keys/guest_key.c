#include "keys/guest_key.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "keys/version.h"

/* Terms: each text with its length before it, each number as eight octets, so that no two keys have the same. */

static bool put(EVP_MD_CTX *md, const void *data, size_t len)
{
    uint8_t size[8];
    put_le64(size, len);
    return EVP_DigestUpdate(md, size, sizeof size) == 1 && EVP_DigestUpdate(md, data, len) == 1;
}

static bool put_text(EVP_MD_CTX *md, const char *text)
{
    return put(md, text, strlen(text));
}

static bool put_number(EVP_MD_CTX *md, int64_t number)
{
    uint8_t data[8];
    put_le64(data, (uint64_t)number);
    return EVP_DigestUpdate(md, data, sizeof data) == 1;
}

/* Keys of before there was such a thing as offline have terms of their own form. */
static bool any_offline(const struct guest_key *k)
{
    for (size_t i = 0; i < k->grants; i++)
        if (k->grant[i].offline)
            return true;
    return false;
}

static bool put_key(EVP_MD_CTX *md, const struct guest_key *k)
{
    const bool offline = any_offline(k);
    bool good = put_text(md, offline ? "cofre key terms 2" : "cofre key terms 1") && put_text(md, k->name) &&
                put_text(md, guest_key_state_names[k->state]) && put_number(md, k->current) &&
                put_number(md, k->quorum) && put_number(md, k->per_guest) && put_number(md, k->per_hour) &&
                put_number(md, k->made) && put_text(md, k->maker) && put_number(md, (int64_t)k->grants);
    for (size_t i = 0; i < k->grants && good; i++)
        good = put_text(md, k->grant[i].policy) && put_number(md, k->grant[i].version) &&
               put(md, k->grant[i].digest, sizeof k->grant[i].digest) &&
               (!offline || put_number(md, k->grant[i].offline));
    return good;
}

int guest_key_terms(uint8_t out[static KEY_TERMS_SIZE], const struct guest_key *key, struct cofre_err *err)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    const bool good = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 && put_key(md, key) &&
                      EVP_DigestFinal_ex(md, out, NULL) == 1;
    EVP_MD_CTX_free(md);
    return good ? 0 : cofre_fail(err, COFRE_FAILED, "SHA-256 failed");
}

/* Grants */

static size_t place_of(const struct guest_key *key, const char *policy)
{
    size_t i = 0;
    while (i < key->grants && strcmp(key->grant[i].policy, policy) < 0)
        i++;
    return i;
}

const struct key_grant *guest_key_grant_to(const struct guest_key *key, const char *policy)
{
    const size_t i = place_of(key, policy);
    return i < key->grants && strcmp(key->grant[i].policy, policy) == 0 ? &key->grant[i] : NULL;
}

int guest_key_put_grant(struct guest_key *key, const struct key_grant *grant, struct cofre_err *err)
{
    const size_t i = place_of(key, grant->policy);
    if (!guest_key_grant_to(key, grant->policy)) {
        if (key->grants == GUEST_KEY_GRANTS_MAX)
            return cofre_fail(err, COFRE_USAGE,
                              "the key \"%s\" is granted to %d policies, which is as many as can be",
                              key->name, GUEST_KEY_GRANTS_MAX);
        memmove(&key->grant[i + 1], &key->grant[i], (key->grants - i) * sizeof *grant);
        key->grants++;
    }
    key->grant[i] = *grant;
    return 0;
}

int guest_key_drop_grant(struct guest_key *key, const char *policy, struct cofre_err *err)
{
    const size_t i = place_of(key, policy);
    if (!guest_key_grant_to(key, policy))
        return cofre_fail(err, COFRE_NEGATIVE, "the key \"%s\" is not granted to the policy \"%s\"",
                          key->name, policy);
    key->grants--;
    memmove(&key->grant[i], &key->grant[i + 1], (key->grants - i) * sizeof *key->grant);
    return 0;
}

/* Reading */

struct taker {
    guest_key_take take;
    void *context;
};

static bool copy_name(char to[GUEST_KEY_NAME_MAX + 1], const struct db_value *column)
{
    return column->bytes.len <= GUEST_KEY_NAME_MAX &&
           snprintf(to, GUEST_KEY_NAME_MAX + 1, "%s", db_string(column) ? db_string(column) : "") > 0;
}

static int take_row(void *context, const struct db_value *c, size_t columns, struct cofre_err *err)
{
    const struct taker *taker = context;
    struct guest_key key = {.current = c[2].integer,
                            .quorum = c[3].integer,
                            .per_guest = c[4].integer,
                            .per_hour = c[5].integer,
                            .made = c[6].integer};
    (void)columns;
    if (!copy_name(key.name, &c[0]) || !copy_name(key.maker, &c[7]))
        return cofre_fail(err, COFRE_FAILED, "a key's name in the database is none");
    int rc = guest_key_state_parse(&key.state, db_string(&c[1]) ? db_string(&c[1]) : "", err);
    return rc < 0 ? rc : taker->take(taker->context, &key, err);
}

static int keep(void *context, const struct guest_key *key, struct cofre_err *err)
{
    (void)err;
    *(struct guest_key *)context = *key;
    return 0;
}

static int take_grant(void *context, const struct db_value *c, size_t columns, struct cofre_err *err)
{
    struct guest_key *key = context;
    struct key_grant grant = {.version = c[1].integer, .offline = c[3].integer};
    (void)columns;
    if (!copy_name(grant.policy, &c[0]) || c[2].bytes.len != sizeof grant.digest)
        return cofre_fail(err, COFRE_FAILED, "a grant of the key \"%s\" in the database is none", key->name);
    memcpy(grant.digest, c[2].bytes.data, sizeof grant.digest);
    return guest_key_put_grant(key, &grant, err);
}

#define COLUMNS "name, state, current, quorum, per_guest, per_hour, made, maker"

int guest_key_find(struct guest_key *out, struct db *db, const char *name, struct cofre_err *err)
{
    struct taker taker = {keep, out};
    int rc =
        DB_RUN(db, "SELECT " COLUMNS " FROM guest_key WHERE name = $1", take_row, &taker, err, db_text(name));
    if (rc == 0)
        return cofre_fail(err, COFRE_NEGATIVE, "there is no key \"%s\"", name);
    if (rc > 0)
        rc = DB_RUN(db, "SELECT policy, version, digest, offline FROM guest_key_grant WHERE name = $1",
                    take_grant, out, err, db_text(name));
    return rc < 0 ? rc : 0;
}

int guest_key_list(struct db *db, guest_key_take take, void *context, struct cofre_err *err)
{
    struct taker taker = {take, context};
    return db_run(db, "SELECT " COLUMNS " FROM guest_key ORDER BY name", NULL, 0, take_row, &taker, err);
}

/* Writing */

int guest_key_insert(struct db *db, const struct guest_key *k, struct cofre_err *err)
{
    int rc = DB_RUN(db,
                    "INSERT INTO guest_key (" COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
                    " ON CONFLICT (name) DO NOTHING",
                    NULL, NULL, err, db_text(k->name), db_text(guest_key_state_names[k->state]),
                    db_integer(k->current), db_integer(k->quorum), db_integer(k->per_guest),
                    db_integer(k->per_hour), db_integer(k->made), db_text(k->maker));
    if (rc == 0)
        return cofre_fail(err, COFRE_USAGE, "there is, or was, a key \"%s\": the name is taken", k->name);
    return rc < 0 ? rc : 0;
}

static int write_grants(struct db *db, const struct guest_key *k, struct cofre_err *err)
{
    int rc = DB_RUN(db, "DELETE FROM guest_key_grant WHERE name = $1", NULL, NULL, err, db_text(k->name));
    for (size_t i = 0; i < k->grants && rc >= 0; i++)
        rc = DB_RUN(db,
                    "INSERT INTO guest_key_grant (name, policy, version, digest, offline)"
                    " VALUES ($1, $2, $3, $4, $5)",
                    NULL, NULL, err, db_text(k->name), db_text(k->grant[i].policy),
                    db_integer(k->grant[i].version),
                    db_bytes((struct view){k->grant[i].digest, sizeof k->grant[i].digest}),
                    db_integer(k->grant[i].offline));
    return rc < 0 ? rc : 0;
}

int guest_key_update(struct db *db, const uint8_t root[static KEY_ROOT_SIZE], const struct guest_key *before,
                     const struct guest_key *k, struct cofre_err *err)
{
    int rc = DB_RUN(
        db,
        "UPDATE guest_key SET state = $2, current = $3, quorum = $4, per_guest = $5, per_hour = $6"
        " WHERE name = $1",
        NULL, NULL, err, db_text(k->name), db_text(guest_key_state_names[k->state]), db_integer(k->current),
        db_integer(k->quorum), db_integer(k->per_guest), db_integer(k->per_hour));
    if (rc == 0)
        return cofre_fail(err, COFRE_FAILED, "the key \"%s\" is gone from the database", k->name);
    if (rc > 0)
        rc = write_grants(db, k, err);
    return rc < 0 ? rc : key_versions_rewrap(db, root, before, k, err);
}
