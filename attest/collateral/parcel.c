#include "attest/collateral/parcel.h"

#include <stdlib.h>
#include <string.h>

#include "attest/collateral/backoff.h"
#include "attest/store/collateral.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/json.h"

#define VERSION   1
#define CHAIN_MAX (64u << 10)
#define PAGE      500

/* ---- export ---- */

static int append_item(void *context, const struct stored_collateral *c, struct cofre_err *err)
{
    CLEAN_FREE char *body = NULL;
    if (c->body.len == 0)
        return 0;
    int rc = base64_encode(&body, c->body, err);
    if (rc < 0)
        return rc;
    json_t *item = json_pack("{s:s, s:s}", "name", c->name, "body", body);
    if (c->chain.len)
        json_object_set_new(item, "chain", json_stringn((const char *)c->chain.data, c->chain.len));
    return json_array_append_new(context, item) == 0 ? 0 : cofre_fail(err, COFRE_FAILED, "out of memory");
}

static int append_name(void *context, const struct stored_collateral *c, struct cofre_err *err)
{
    return json_array_append_new(context, json_string(c->name)) == 0
               ? 0
               : cofre_fail(err, COFRE_FAILED, "out of memory");
}

static int collect(json_t *items, struct db *db, struct cofre_err *err)
{
    CLEAN_FREE char *after = strdup("");
    int rc = PAGE;
    while (after && rc == PAGE) {
        CLEAN_JSON *names = json_array();
        size_t i;
        json_t *name;
        rc = stored_collateral_list(db, after, PAGE, append_name, names, err);
        json_array_foreach(names, i, name)
        {
            int found = stored_collateral_find(db, json_string_value(name), append_item, items, err);
            if (found < 0)
                return found;
        }
        if (rc > 0) {
            free(after);
            after = strdup(json_string_value(json_array_get(names, json_array_size(names) - 1)));
        }
    }
    return after ? (rc < 0 ? rc : 0) : cofre_fail(err, COFRE_FAILED, "out of memory");
}

int parcel_export(struct bytes *out, size_t *count, struct db *db, struct cofre_err *err)
{
    CLEAN_JSON *items = json_array();
    int rc = collect(items, db, err);
    if (rc < 0)
        return rc;
    *count = json_array_size(items);
    CLEAN_JSON *file = json_pack("{s:i, s:O}", "cofre_collateral", VERSION, "items", items);
    CLEAN_FREE char *text = file ? json_dumps(file, JSON_INDENT(1)) : NULL;
    if (!text)
        return cofre_fail(err, COFRE_FAILED, "out of memory");
    size_t len = strlen(text);
    if (len >= PARCEL_MAX)
        return cofre_fail(err, COFRE_FAILED, "the file would have more than %u bytes", PARCEL_MAX);
    text[len] = '\n'; /* in the place of the zero that ends it */
    return bytes_copy(out, (struct view){(uint8_t *)text, len + 1}, err);
}

/* ---- import ---- */

struct import {
    json_t *items;
    const struct x509_certs *roots;
    int64_t now;
    struct parcel_counts counts;
};

static int read_item(struct collateral_id *id, struct collateral_item *out, json_t *value,
                     struct cofre_err *err)
{
    const char *name = NULL, *body = NULL, *chain = NULL;
    if (json_unpack_ex(value, NULL, JSON_STRICT, "{s:s, s:s, s?s}", "name", &name, "body", &body, "chain",
                       &chain) < 0)
        return cofre_fail(err, COFRE_MALFORMED, "it has to have a name and a body, and may have a chain");
    if (!collateral_id_parse(id, name))
        return cofre_fail(err, COFRE_MALFORMED, "nothing is called \"%.191s\"", name);
    int rc = base64_decode(&out->body, COLLATERAL_BODY_MAX, body, err);
    if (rc == 0 && chain && strlen(chain) > CHAIN_MAX)
        rc = cofre_fail(err, COFRE_MALFORMED, "its chain has more than %u bytes", CHAIN_MAX);
    if (rc == 0 && chain)
        rc = bytes_copy(&out->chain, (struct view){(const uint8_t *)chain, strlen(chain)}, err);
    return rc;
}

static int take_body(void *context, const struct stored_collateral *c, struct cofre_err *err)
{
    struct collateral_item *item = context;
    int rc = bytes_copy(&item->body, c->body, err);
    return rc < 0 ? rc : bytes_copy(&item->chain, c->chain, err);
}

/* -COFRE_LACKING with until in the past: it is genuine, and has run out. */
static int check(const struct import *in, struct db *db, const struct collateral_id *id,
                 struct collateral_item *item, struct cofre_err *err)
{
    struct collateral_id of;
    char name[COLLATERAL_NAME_MAX];
    CLEAN_ITEM base = {.issued = 0};
    int rc = 0;
    if (collateral_base(&of, id)) {
        collateral_name(name, &of);
        rc = stored_collateral_find(db, name, take_body, &base, err);
    }
    return rc < 0 ? rc : collateral_check(id, item, base.body.len ? &base : NULL, in->roots, in->now, err);
}

static int import_item(struct import *in, struct db *db, const struct collateral_id *id,
                       struct collateral_item *item, struct cofre_err *err)
{
    char name[COLLATERAL_NAME_MAX];
    int rc = check(in, db, id, item, err);
    if (rc == -COFRE_LACKING && item->until && item->until <= in->now) {
        in->counts.ran_out++;
        return 0;
    }
    if (rc < 0)
        return rc;
    collateral_name(name, id);
    const struct stored_collateral row = {.name = name,
                                          .body = bytes_view(&item->body),
                                          .chain = bytes_view(&item->chain),
                                          .issued = item->issued,
                                          .until = item->until,
                                          .fetched = in->now,
                                          .next_try = backoff_refresh(item->until, in->now, 0)};
    rc = stored_collateral_keep(db, &row, err);
    if (rc < 0)
        return rc;
    in->counts.kept += rc > 0;
    in->counts.older += rc == 0;
    return 0;
}

/* Those that others are checked with go first. */
static int import_round(struct import *in, struct db *db, bool with_base, struct cofre_err *err)
{
    size_t i;
    json_t *value;
    json_array_foreach(in->items, i, value)
    {
        struct collateral_id id, of;
        CLEAN_ITEM item = {.issued = 0};
        int rc = read_item(&id, &item, value, err);
        if (rc == 0 && collateral_base(&of, &id) == with_base)
            rc = import_item(in, db, &id, &item, err);
        if (rc < 0) {
            const char *name = json_string_value(json_object_get(value, "name"));
            return cofre_within(err, rc, "item %zu (%.191s)", i + 1, name ? name : "without a name");
        }
    }
    return 0;
}

static int import_all(struct db *db, void *context, struct cofre_err *err)
{
    struct import *in = context;
    in->counts = (struct parcel_counts){0};
    int rc = import_round(in, db, false, err);
    return rc < 0 ? rc : import_round(in, db, true, err);
}

int parcel_import(struct parcel_counts *out, struct db *db, struct view file, const struct x509_certs *roots,
                  int64_t now, struct cofre_err *err)
{
    CLEAN_JSON *object = NULL;
    struct import in = {.roots = roots, .now = now};
    int version;
    int rc = json_read(&object, file, COFRE_MALFORMED, err);
    if (rc < 0)
        return rc;
    if (json_unpack_ex(object, NULL, JSON_STRICT, "{s:i, s:o}", "cofre_collateral", &version, "items",
                       &in.items) < 0 ||
        !json_is_array(in.items))
        return cofre_fail(err, COFRE_MALFORMED, "it is no file that cofre collateral export made");
    if (version != VERSION)
        return cofre_fail(err, COFRE_MALFORMED, "version %d is not known here", version);
    rc = db_atomically(db, import_all, &in, err);
    *out = in.counts;
    return rc;
}
