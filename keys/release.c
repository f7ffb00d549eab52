#include "keys/release.h"

#include <openssl/crypto.h>
#include <string.h>

int key_release_keep(struct db *db, const struct key_release *r, struct cofre_err *err)
{
    int rc = DB_RUN(db,
                    "INSERT INTO guest_key_release (result, name, version, guest, policy, policy_version, at)"
                    " VALUES ($1, $2, $3, $4, $5, $6, $7)",
                    NULL, NULL, err, db_text(r->result), db_text(r->name), db_integer(r->version),
                    db_bytes(r->guest), db_text(r->policy), db_integer(r->policy_version), db_integer(r->at));
    return rc < 0 ? rc : 0;
}

int64_t key_release_count(struct db *db, const char *name, struct view guest, int64_t since, int64_t most,
                          struct cofre_err *err)
{
    int64_t count = 0;
    int rc =
        guest.len
            ? DB_RUN(db,
                     "SELECT COUNT(*) FROM (SELECT 1 FROM guest_key_release WHERE name = $1 AND guest = $2"
                     " AND at > $3 LIMIT $4) AS some",
                     db_take_integer, &count, err, db_text(name), db_bytes(guest), db_integer(since),
                     db_integer(most))
            : DB_RUN(db,
                     "SELECT COUNT(*) FROM (SELECT 1 FROM guest_key_release WHERE name = $1 AND at > $2"
                     " LIMIT $3) AS some",
                     db_take_integer, &count, err, db_text(name), db_integer(since), db_integer(most));
    return rc < 0 ? rc : count;
}

struct taker {
    key_release_take take;
    void *context;
    const char *name;
};

static int take_holder(void *context, const struct db_value *c, size_t columns, struct cofre_err *err)
{
    const struct taker *taker = context;
    (void)columns;
    const struct key_release r = {.name = taker->name,
                                  .guest = c[0].bytes,
                                  .version = c[1].integer,
                                  .at = c[2].integer,
                                  .count = c[3].integer};
    return taker->take(taker->context, &r, err);
}

int key_release_holders(struct db *db, const char *name, int64_t limit, key_release_take take, void *context,
                        struct cofre_err *err)
{
    struct taker taker = {take, context, name};
    return DB_RUN(db,
                  "SELECT guest, version, MAX(at), COUNT(*) FROM guest_key_release WHERE name = $1"
                  " GROUP BY guest, version ORDER BY MAX(at) DESC LIMIT $2",
                  take_holder, &taker, err, db_text(name), db_integer(limit));
}

/* Requests */

int key_request_keep(struct db *db, const struct key_release *r, int64_t since, struct cofre_err *err)
{
    int rc = DB_RUN(db, "DELETE FROM guest_key_request WHERE name = $1 AND at < $2", NULL, NULL, err,
                    db_text(r->name), db_integer(since));
    if (rc >= 0)
        rc = DB_RUN(db,
                    "INSERT INTO guest_key_request (name, guest, result, at) VALUES ($1, $2, $3, $4)"
                    " ON CONFLICT (name, guest) DO UPDATE SET result = excluded.result, at = excluded.at",
                    NULL, NULL, err, db_text(r->name), db_bytes(r->guest), db_text(r->result),
                    db_integer(r->at));
    return rc < 0 ? rc : 0;
}

static int take_request(void *context, const struct db_value *c, size_t columns, struct cofre_err *err)
{
    const struct taker *taker = context;
    (void)columns;
    const struct key_release r = {
        .name = taker->name, .guest = c[0].bytes, .result = db_string(&c[1]), .at = c[2].integer};
    return taker->take(taker->context, &r, err);
}

int key_request_list(struct db *db, const char *name, key_release_take take, void *context,
                     struct cofre_err *err)
{
    struct taker taker = {take, context, name};
    return DB_RUN(db, "SELECT guest, result, at FROM guest_key_request WHERE name = $1 ORDER BY at",
                  take_request, &taker, err, db_text(name));
}

/* Approvals */

static int authenticate(uint8_t mac[static KEY_MAC_SIZE], const uint8_t root[static KEY_ROOT_SIZE],
                        const struct key_approval *a, struct cofre_err *err)
{
    uint8_t whole[KEY_GUEST_SIZE + 8 + 2 * (GUEST_KEY_NAME_MAX + 1)] = {0}, *p = whole + KEY_GUEST_SIZE + 8;
    if (a->guest.len != KEY_GUEST_SIZE || strlen(a->name) > GUEST_KEY_NAME_MAX ||
        strlen(a->approver) > GUEST_KEY_NAME_MAX)
        return cofre_fail(err, COFRE_USAGE, "a guest is named by %d bytes", KEY_GUEST_SIZE);
    memcpy(whole, a->guest.data, KEY_GUEST_SIZE);
    put_le64(whole + KEY_GUEST_SIZE, (uint64_t)a->expires);
    memcpy(p, a->name, strlen(a->name));
    memcpy(p + GUEST_KEY_NAME_MAX + 1, a->approver, strlen(a->approver));
    return key_mac(mac, root, "cofre key approval 1", (struct view){whole, sizeof whole}, err);
}

int key_approval_keep(struct db *db, const uint8_t root[static KEY_ROOT_SIZE], const struct key_approval *a,
                      struct cofre_err *err)
{
    uint8_t mac[KEY_MAC_SIZE];
    int64_t asked = 0;
    int rc = authenticate(mac, root, a, err);
    if (rc == 0)
        rc = DB_RUN(db, "SELECT COUNT(*) FROM guest_key_request WHERE name = $1 AND guest = $2",
                    db_take_integer, &asked, err, db_text(a->name), db_bytes(a->guest));
    if (rc >= 0 && !asked)
        return cofre_fail(err, COFRE_NEGATIVE, "no such guest asks for the key \"%s\"", a->name);
    if (rc >= 0)
        rc = DB_RUN(db,
                    "INSERT INTO guest_key_approval (name, guest, approver, expires, mac)"
                    " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (name, guest, approver) DO UPDATE SET"
                    " expires = excluded.expires, mac = excluded.mac",
                    NULL, NULL, err, db_text(a->name), db_bytes(a->guest), db_text(a->approver),
                    db_integer(a->expires), db_bytes((struct view){mac, sizeof mac}));
    return rc < 0 ? rc : 0;
}

struct counter {
    struct key_approval approval;
    const uint8_t *root;
    int64_t count;
};

static int count_good(void *context, const struct db_value *c, size_t columns, struct cofre_err *err)
{
    struct counter *counter = context;
    struct key_approval a = counter->approval;
    uint8_t mac[KEY_MAC_SIZE];
    (void)columns;
    a.approver = db_string(&c[0]);
    a.expires = c[1].integer;
    int rc = authenticate(mac, counter->root, &a, err);
    counter->count +=
        rc == 0 && c[2].bytes.len == sizeof mac && CRYPTO_memcmp(mac, c[2].bytes.data, sizeof mac) == 0;
    return rc;
}

int64_t key_approval_count(struct db *db, const uint8_t root[static KEY_ROOT_SIZE], const char *name,
                           struct view guest, int64_t now, struct cofre_err *err)
{
    struct counter counter = {{name, guest, NULL, 0}, root, 0};
    int rc = DB_RUN(db,
                    "SELECT approver, expires, mac FROM guest_key_approval WHERE name = $1 AND guest = $2"
                    " AND expires > $3",
                    count_good, &counter, err, db_text(name), db_bytes(guest), db_integer(now));
    return rc < 0 ? rc : counter.count;
}

int key_approval_use(struct db *db, const char *name, struct view guest, struct cofre_err *err)
{
    int rc = DB_RUN(db, "DELETE FROM guest_key_approval WHERE name = $1 AND guest = $2", NULL, NULL, err,
                    db_text(name), db_bytes(guest));
    if (rc >= 0)
        rc = DB_RUN(db, "DELETE FROM guest_key_request WHERE name = $1 AND guest = $2", NULL, NULL, err,
                    db_text(name), db_bytes(guest));
    return rc < 0 ? rc : 0;
}
