#include "keys/restore.h"

#include <openssl/crypto.h>
#include <string.h>

#include "keys/backup_rows.h"
#include "keys/generation.h"
#include "keys/version.h"
#include "vmm/base/json.h"
#include "vmm/base/timestamp.h"

/* One key of the backup, as it is there. */
struct entry {
    const json_t *row;
    struct guest_key key;
};

static int find_row(struct entry *out, const struct key_backup *b, const char *name, struct cofre_err *err)
{
    size_t i;
    json_t *row;
    *out = (struct entry){.row = NULL};
    json_array_foreach(b->keys, i, row)
    {
        const char *is = json_string_value(json_object_get(row, "name"));
        if (is && strcmp(is, name) == 0)
            out->row = row;
    }
    return out->row ? key_row_read(&out->key, out->row, err) : 0;
}

/* The key's row is there: values, grants and limits become the backup's. Each value is opened under the backup's terms on the way. */
static int bring(const struct key_change *c, const struct entry *e, enum guest_key_state state,
                 struct cofre_err *err)
{
    struct guest_key after = e->key;
    after.state = state;
    int rc = key_versions_erase_all(c->db, e->key.name, err);
    if (rc == 0)
        rc = key_row_put_versions(c->db, &e->key, e->row, err);
    return rc < 0 ? rc : guest_key_update(c->db, c->root, &e->key, &after, err);
}

static enum guest_key_state state_here(const struct entry *e, const struct key_restore *how)
{
    return how->as_they_were || e->key.state == GUEST_KEY_DESTROYED ? e->key.state : GUEST_KEY_DISABLED;
}

/* Whether the database's history of a key is a part of the backup's, so that nothing is lost by the latter. */

static int parted(const char *name, struct cofre_err *err)
{
    return cofre_fail(err, COFRE_USAGE,
                      "the key \"%s\" is another here than in the backup: since their histories parted, a "
                      "restore would lose a value",
                      name);
}

static int take_number(void *context, const struct key_version *v, struct cofre_err *err)
{
    return json_array_append_new(context, json_integer(v->version)) == 0
               ? 0
               : cofre_fail(err, COFRE_FAILED, "out of memory");
}

/* A value that is there no more was retired since. */
static int compare_value(const struct key_change *c, const struct entry *e, const struct guest_key *here,
                         int64_t version, struct cofre_err *err)
{
    uint8_t ours[KEY_VALUE_MAX], theirs[KEY_VALUE_MAX];
    int of_ours = key_version_open(ours, c->db, c->root, here, version, err);
    int of_theirs = of_ours < 0 ? of_ours : key_row_open(theirs, c->root, &e->key, version, e->row, err);
    const bool differ =
        of_theirs > 0 && (of_ours != of_theirs || CRYPTO_memcmp(ours, theirs, (size_t)of_ours) != 0);
    OPENSSL_cleanse(ours, sizeof ours);
    OPENSSL_cleanse(theirs, sizeof theirs);
    return of_theirs < 0 ? of_theirs : differ ? parted(here->name, err) : 0;
}

static int check_history(const struct key_change *c, const struct entry *e, const struct guest_key *here,
                         struct cofre_err *err)
{
    CLEAN_JSON *versions = json_array();
    size_t i;
    json_t *version;
    if (!e->row || e->key.made != here->made || strcmp(e->key.maker, here->maker) != 0 ||
        e->key.current < here->current)
        return parted(here->name, err);
    int rc = key_versions_list(c->db, here->name, take_number, versions, err);
    json_array_foreach(versions, i, version)
    {
        if (rc >= 0)
            rc = compare_value(c, e, here, json_integer_value(version), err);
    }
    return rc < 0 ? rc : 0;
}

/* All of it */

static int take_name(void *context, const struct guest_key *key, struct cofre_err *err)
{
    return json_object_set_new(context, key->name, json_integer(key->state)) == 0
               ? 0
               : cofre_fail(err, COFRE_FAILED, "out of memory");
}

static int check_histories(const struct key_change *c, const struct key_backup *b, json_t *here,
                           struct cofre_err *err)
{
    const char *name;
    json_t *state;
    json_object_foreach(here, name, state)
    {
        struct entry e;
        struct guest_key key;
        if (json_integer_value(state) == GUEST_KEY_DESTROYED)
            continue;
        int rc = find_row(&e, b, name, err);
        if (rc == 0)
            rc = guest_key_find(&key, c->db, name, err);
        if (rc == 0)
            rc = check_history(c, &e, &key, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int restore_one(const struct key_change *c, const json_t *row, const json_t *here,
                       struct key_restore *how, struct cofre_err *err)
{
    struct entry e = {.row = row};
    int rc = key_row_read(&e.key, row, err);
    if (rc < 0)
        return rc;
    const json_t *state = json_object_get(here, e.key.name);
    if (state && json_integer_value(state) == GUEST_KEY_DESTROYED) {
        if (e.key.state != GUEST_KEY_DESTROYED &&
            json_array_append_new(how->left, json_string(e.key.name)) < 0)
            return cofre_fail(err, COFRE_FAILED, "out of memory");
        return 0;
    }
    if (!state)
        rc = guest_key_insert(c->db, &e.key, err);
    if (rc == 0)
        rc = bring(c, &e, state_here(&e, how), err);
    how->brought += rc == 0;
    return rc;
}

static int restore_all(const struct key_change *c, const struct key_backup *b, struct key_restore *how,
                       struct cofre_err *err)
{
    CLEAN_JSON *here = json_object();
    size_t i;
    json_t *row;
    int rc = guest_key_list(c->db, take_name, here, err);
    if (rc >= 0)
        rc = check_histories(c, b, here, err);
    json_array_foreach(b->keys, i, row)
    {
        if (rc >= 0)
            rc = restore_one(c, row, here, how, err);
    }
    return rc;
}

/* An older one would bring back what was revoked, disabled and retired since. */
static int check_age(const struct key_backup *b, int64_t generation, struct cofre_err *err)
{
    char made[TIME_TEXT_SIZE];
    if (generation < b->generation)
        return 0;
    time_format(made, b->made);
    return cofre_fail(
        err, COFRE_USAGE,
        "the backup of %s has the keys of generation %lld, and here they are of generation %lld: "
        "there is nothing to bring, and what happened since would be undone",
        made, (long long)b->generation, (long long)generation);
}

/* The one */

static int revive(const struct key_change *c, const struct key_backup *b, struct key_restore *how,
                  struct cofre_err *err)
{
    struct entry e;
    struct guest_key here;
    int rc = guest_key_find(&here, c->db, how->revive, err);
    if (rc == 0)
        rc = find_row(&e, b, how->revive, err);
    if (rc < 0)
        return rc;
    if (here.state != GUEST_KEY_DESTROYED)
        return cofre_fail(err, COFRE_USAGE, "the key \"%s\" is %s here: only a destroyed one is revived",
                          here.name, guest_key_state_names[here.state]);
    if (!e.row || e.key.state == GUEST_KEY_DESTROYED)
        return cofre_fail(err, COFRE_USAGE, "the backup has no value of the key \"%s\"", here.name);
    if (e.key.made != here.made || strcmp(e.key.maker, here.maker) != 0)
        return parted(here.name, err);
    how->brought = 1;
    return bring(c, &e, GUEST_KEY_DISABLED, err);
}

int key_restore(const struct key_change *c, const struct key_backup *b, struct key_restore *how,
                struct cofre_err *err)
{
    int64_t generation;
    how->brought = 0;
    json_array_clear(how->left);
    int rc = key_generation_check(c->db, c->root, &generation, err);
    if (rc == 0 && !how->revive)
        rc = check_age(b, generation, err);
    if (rc == 0)
        rc = how->revive ? revive(c, b, how, err) : restore_all(c, b, how, err);
    if (rc < 0)
        return rc;
    if (!how->revive)
        generation = b->generation;
    how->generation = generation + 1;
    return key_generation_advance(c->db, c->root, generation, err);
}
