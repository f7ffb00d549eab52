#include "keys/backup_rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keys/version.h"
#include "vmm/base/json.h"

#define WRAPPED_MAX (KEY_VALUE_MAX + KEY_WRAP_OVERHEAD)

static int append(json_t *list, json_t *object, struct cofre_err *err)
{
    return json_array_append_new(list, object) == 0 ? 0 : cofre_fail(err, COFRE_FAILED, "out of memory");
}

/* Out */

static int take_name(void *context, const struct guest_key *key, struct cofre_err *err)
{
    return append(context, json_string(key->name), err);
}

static int take_version(void *context, const struct key_version *v, struct cofre_err *err)
{
    char *text;
    int rc = base64_encode(&text, v->wrapped, err);
    if (rc == 0)
        rc = append(context,
                    json_pack("{s:I, s:I, s:s}", "version", (json_int_t)v->version, "made",
                              (json_int_t)v->made, "wrapped", text),
                    err);
    free(text);
    return rc;
}

static int write_grants(json_t *list, const struct guest_key *k, struct cofre_err *err)
{
    int rc = 0;
    for (size_t i = 0; i < k->grants && rc == 0; i++) {
        char digest[2 * sizeof k->grant[i].digest + 1];
        hex_encode(digest, k->grant[i].digest, sizeof k->grant[i].digest);
        rc = append(list,
                    json_pack("{s:s, s:I, s:s, s:I}", "policy", k->grant[i].policy, "version",
                              (json_int_t)k->grant[i].version, "digest", digest, "offline",
                              (json_int_t)k->grant[i].offline),
                    err);
    }
    return rc;
}

static int write_row(json_t *rows, struct db *db, const char *name, struct cofre_err *err)
{
    struct guest_key k;
    CLEAN_JSON *grants = json_array(), *versions = json_array();
    int rc = guest_key_find(&k, db, name, err);
    if (rc == 0)
        rc = write_grants(grants, &k, err);
    if (rc == 0)
        rc = key_versions_list(db, name, take_version, versions, err);
    if (rc < 0)
        return rc;
    return append(rows,
                  json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:s, s:O, s:O}", "name", k.name, "state",
                            guest_key_state_names[k.state], "current", (json_int_t)k.current, "quorum",
                            (json_int_t)k.quorum, "per_guest", (json_int_t)k.per_guest, "per_hour",
                            (json_int_t)k.per_hour, "made", (json_int_t)k.made, "maker", k.maker, "grants",
                            grants, "versions", versions),
                  err);
}

int key_rows_write(json_t **out, struct db *db, struct cofre_err *err)
{
    CLEAN_JSON *names = json_array();
    size_t i;
    json_t *name;
    *out = json_array();
    int rc =
        *out ? guest_key_list(db, take_name, names, err) : cofre_fail(err, COFRE_FAILED, "out of memory");
    json_array_foreach(names, i, name)
    {
        if (rc >= 0)
            rc = write_row(*out, db, json_string_value(name), err);
    }
    if (rc < 0) {
        json_decref(*out);
        *out = NULL;
    }
    return rc < 0 ? rc : 0;
}

/* In: it is authenticated, so what is wrong with it is a fault of ours. Its bounds are checked all the same. */

static int none(struct cofre_err *err)
{
    return cofre_fail(err, COFRE_FAILED, "what is in the backup is no key");
}

static bool copy_name(char to[GUEST_KEY_NAME_MAX + 1], const char *name)
{
    return *name && snprintf(to, GUEST_KEY_NAME_MAX + 1, "%s", name) <= GUEST_KEY_NAME_MAX;
}

static int read_grant(struct guest_key *key, json_t *row, struct cofre_err *err)
{
    struct key_grant grant = {.version = 0};
    const char *policy, *digest;
    json_int_t version, offline = 0;
    if (json_unpack_ex(row, NULL, JSON_STRICT, "{s:s, s:I, s:s, s?I}", "policy", &policy, "version", &version,
                       "digest", &digest, "offline", &offline) < 0 ||
        !copy_name(grant.policy, policy) || !hex_decode(grant.digest, sizeof grant.digest, digest))
        return none(err);
    grant.version = version;
    grant.offline = offline;
    return guest_key_put_grant(key, &grant, err);
}

static bool is_rate(json_int_t n)
{
    return n >= 1 && n <= GUEST_KEY_RATE_MAX;
}

int key_row_read(struct guest_key *out, const json_t *row, struct cofre_err *err)
{
    const char *name, *state, *maker;
    json_int_t current, quorum, per_guest, per_hour, made;
    json_t *grants, *versions, *one;
    size_t i;
    *out = (struct guest_key){.grants = 0};
    if (json_unpack_ex((json_t *)row, NULL, JSON_STRICT, "{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:s, s:o, s:o}",
                       "name", &name, "state", &state, "current", &current, "quorum", &quorum, "per_guest",
                       &per_guest, "per_hour", &per_hour, "made", &made, "maker", &maker, "grants", &grants,
                       "versions", &versions) < 0 ||
        !copy_name(out->name, name) || !copy_name(out->maker, maker) || current < 1 ||
        !json_is_array(versions))
        return none(err);
    if (quorum < 0 || quorum > GUEST_KEY_QUORUM_MAX || !is_rate(per_guest) || !is_rate(per_hour))
        return none(err);
    out->current = current;
    out->quorum = quorum;
    out->per_guest = per_guest;
    out->per_hour = per_hour;
    out->made = made;
    int rc = guest_key_state_parse(&out->state, state, err);
    json_array_foreach(grants, i, one)
    {
        if (rc == 0)
            rc = read_grant(out, one, err);
    }
    return rc;
}

static int read_version(struct key_version *out, struct bytes *wrapped, const struct guest_key *key,
                        const json_t *row, struct cofre_err *err)
{
    const char *text;
    json_int_t version, made;
    if (json_unpack_ex((json_t *)row, NULL, JSON_STRICT, "{s:I, s:I, s:s}", "version", &version, "made",
                       &made, "wrapped", &text) < 0 ||
        version < 1 || version > key->current)
        return none(err);
    int rc = base64_decode(wrapped, WRAPPED_MAX, text, err);
    *out = (struct key_version){version, made, bytes_view(wrapped)};
    return rc < 0 ? none(err) : 0;
}

int key_row_put_versions(struct db *db, const struct guest_key *key, const json_t *row, struct cofre_err *err)
{
    size_t i;
    json_t *one;
    bool has_current = false;
    int rc = 0;
    json_array_foreach(json_object_get(row, "versions"), i, one)
    {
        CLEAN_BYTES wrapped = {0};
        struct key_version v;
        if (rc == 0)
            rc = read_version(&v, &wrapped, key, one, err);
        if (rc == 0)
            rc = key_version_put(db, key->name, &v, err);
        has_current |= rc == 0 && v.version == key->current;
    }
    const bool fits = key->state == GUEST_KEY_DESTROYED ? i == 0 : has_current;
    return rc == 0 && !fits ? none(err) : rc;
}

int key_row_open(uint8_t *value, const uint8_t root[static KEY_ROOT_SIZE], const struct guest_key *key,
                 int64_t version, const json_t *row, struct cofre_err *err)
{
    uint8_t terms[KEY_TERMS_SIZE];
    size_t i;
    json_t *one;
    int rc = guest_key_terms(terms, key, err);
    if (rc < 0)
        return rc;
    json_array_foreach(json_object_get(row, "versions"), i, one)
    {
        CLEAN_BYTES wrapped = {0};
        struct key_version v;
        if (json_integer_value(json_object_get(one, "version")) != version)
            continue;
        rc = read_version(&v, &wrapped, key, one, err);
        if (rc == 0)
            rc = key_unwrap(value, root, &(struct key_place){key->name, version, terms}, v.wrapped, err);
        return rc < 0 ? rc : (int)(v.wrapped.len - KEY_WRAP_OVERHEAD);
    }
    return 0;
}
