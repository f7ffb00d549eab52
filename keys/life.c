#include "keys/life.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <string.h>

#include "keys/generation.h"
#include "keys/version.h"

/* One change of a key that is there: what it was, what it becomes. */
struct turn {
    int64_t generation;
    struct guest_key before, after;
};

static int begin(struct turn *t, const struct key_change *c, const char *name, enum key_event event,
                 struct cofre_err *err)
{
    int rc = key_generation_check(c->db, c->root, &t->generation, err);
    if (rc == 0)
        rc = guest_key_find(&t->before, c->db, name, err);
    t->after = t->before;
    return rc < 0 ? rc : guest_key_state_after(&t->after.state, event, name, err);
}

static int finish(const struct turn *t, const struct key_change *c, struct cofre_err *err)
{
    int rc = guest_key_update(c->db, c->root, &t->before, &t->after, err);
    return rc < 0 ? rc : key_generation_advance(c->db, c->root, t->generation, err);
}

/* Random bytes where no value was given. */
static int add_value(const struct key_change *c, const struct guest_key *key, struct view value, size_t size,
                     struct cofre_err *err)
{
    uint8_t random[KEY_VALUE_MAX];
    if (value.len)
        return key_version_add(c->db, c->root, key, key->current, value, c->now, err);
    if (size > sizeof random || RAND_priv_bytes(random, (int)size) != 1)
        return cofre_fail(err, COFRE_FAILED, "there are no %zu random bytes", size);
    int rc = key_version_add(c->db, c->root, key, key->current, (struct view){random, size}, c->now, err);
    OPENSSL_cleanse(random, sizeof random);
    return rc;
}

static int check_number(const char *name, int64_t value, int64_t max, struct cofre_err *err)
{
    return value >= 0 && value <= max
               ? 0
               : cofre_fail(err, COFRE_USAGE, "%s: it is to be a number from 0 to %lld", name,
                            (long long)max);
}

int key_create(const struct key_change *c, const struct guest_key *wish, struct view value, size_t size,
               struct cofre_err *err)
{
    int64_t generation;
    struct guest_key key = *wish;
    key.state = GUEST_KEY_CREATED;
    key.current = 1;
    key.made = c->now;
    key.grants = 0;
    key.per_guest = wish->per_guest ? wish->per_guest : GUEST_KEY_RATE_MAX;
    key.per_hour = wish->per_hour ? wish->per_hour : GUEST_KEY_RATE_MAX;
    int rc = check_number("quorum", key.quorum, GUEST_KEY_QUORUM_MAX, err);
    if (rc == 0)
        rc = check_number("per_guest", key.per_guest, GUEST_KEY_RATE_MAX, err);
    if (rc == 0)
        rc = check_number("per_hour", key.per_hour, GUEST_KEY_RATE_MAX, err);
    if (rc == 0)
        rc = key_generation_check(c->db, c->root, &generation, err);
    if (rc == 0)
        rc = guest_key_insert(c->db, &key, err);
    if (rc == 0)
        rc = add_value(c, &key, value, size ? size : KEY_SIZE_DEFAULT, err);
    return rc < 0 ? rc : key_generation_advance(c->db, c->root, generation, err);
}

static int size_of_current(const struct key_change *c, const struct guest_key *key, struct cofre_err *err)
{
    uint8_t value[KEY_VALUE_MAX];
    int size = key_version_open(value, c->db, c->root, key, key->current, err);
    OPENSSL_cleanse(value, sizeof value);
    return size;
}

int key_rotate(const struct key_change *c, const char *name, struct view value, struct cofre_err *err)
{
    struct turn t;
    int size = 0, rc = begin(&t, c, name, KEY_EVENT_ROTATE, err);
    if (rc == 0 && (size = size_of_current(c, &t.before, err)) < 0)
        rc = size;
    t.after.current++;
    if (rc == 0)
        rc = guest_key_update(c->db, c->root, &t.before, &t.after, err);
    if (rc == 0)
        rc = add_value(c, &t.after, value, (size_t)size, err);
    if (rc == 0)
        rc = key_generation_advance(c->db, c->root, t.generation, err);
    return rc < 0 ? rc : (int)t.after.current;
}

int key_retire(const struct key_change *c, const char *name, int64_t version, struct cofre_err *err)
{
    struct turn t;
    int rc = begin(&t, c, name, KEY_EVENT_RETIRE, err);
    if (rc == 0 && version == t.before.current)
        rc = cofre_fail(err, COFRE_USAGE,
                        "version %lld of the key \"%s\" is the current one: rotate the key first",
                        (long long)version, name);
    if (rc == 0)
        rc = key_version_erase(c->db, name, version, err);
    return rc < 0 ? rc : finish(&t, c, err);
}

static int move(const struct key_change *c, const char *name, enum key_event event, struct cofre_err *err)
{
    struct turn t;
    int rc = begin(&t, c, name, event, err);
    return rc < 0 ? rc : finish(&t, c, err);
}

int key_disable(const struct key_change *c, const char *name, struct cofre_err *err)
{
    return move(c, name, KEY_EVENT_DISABLE, err);
}

int key_enable(const struct key_change *c, const char *name, struct cofre_err *err)
{
    return move(c, name, KEY_EVENT_ENABLE, err);
}

int key_destroy(const struct key_change *c, const char *name, struct cofre_err *err)
{
    struct turn t;
    int rc = begin(&t, c, name, KEY_EVENT_DESTROY, err);
    t.after.grants = 0;
    if (rc == 0)
        rc = key_versions_erase_all(c->db, name, err);
    return rc < 0 ? rc : finish(&t, c, err);
}

int key_give_grant(const struct key_change *c, const char *name, const struct key_grant *grant,
                   struct cofre_err *err)
{
    struct turn t;
    int rc = begin(&t, c, name, KEY_EVENT_GRANT, err);
    if (rc == 0)
        rc = guest_key_put_grant(&t.after, grant, err);
    return rc < 0 ? rc : finish(&t, c, err);
}

int key_revoke(const struct key_change *c, const char *name, const char *policy, struct cofre_err *err)
{
    struct turn t;
    int rc = begin(&t, c, name, KEY_EVENT_REVOKE, err);
    if (rc == 0)
        rc = guest_key_drop_grant(&t.after, policy, err);
    return rc < 0 ? rc : finish(&t, c, err);
}
