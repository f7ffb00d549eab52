#include "vmm/host/store/tenant.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/json.h"

#define COLUMNS "name, quotas, labels, made"

void tenant_free(struct tenant *tenant)
{
    json_decref(tenant->quotas);
    json_decref(tenant->labels);
    *tenant = (struct tenant){.made = 0};
}

static int read_row(struct tenant *out, const struct db_value *column, struct cofre_err *err)
{
    *out = (struct tenant){.made = column[3].integer};
    (void)snprintf(out->name, sizeof out->name, "%s", db_string(&column[0]));
    out->quotas = json_loads(db_string(&column[1]), 0, NULL);
    out->labels = json_loads(db_string(&column[2]), 0, NULL);
    if (out->quotas && out->labels)
        return 0;
    tenant_free(out);
    return cofre_fail(err, COFRE_FAILED, "tenant %s cannot be read from the database", db_string(&column[0]));
}

static int take_one(void *context, const struct db_value *column, size_t columns, struct cofre_err *err)
{
    (void)columns;
    tenant_free(context);
    return read_row(context, column, err);
}

int tenant_find(struct tenant *out, struct db *db, const char *name, struct cofre_err *err)
{
    *out = (struct tenant){.made = 0};
    int rc = DB_RUN(db, "SELECT " COLUMNS " FROM tenant WHERE name = $1", take_one, out, err, db_text(name));
    if (rc < 0)
        tenant_free(out);
    return rc < 0 ? rc : rc == 0;
}

/* What both statements write. */
struct texts {
    char *quotas, *labels;
};
static void texts_free(struct texts *texts)
{
    free(texts->quotas);
    free(texts->labels);
}
#define CLEAN_TEXTS __attribute__((cleanup(texts_free))) struct texts

static int texts_of(struct texts *out, const struct tenant *tenant, struct cofre_err *err)
{
    out->quotas = json_dumps(tenant->quotas, JSON_COMPACT | JSON_SORT_KEYS);
    out->labels = json_dumps(tenant->labels, JSON_COMPACT | JSON_SORT_KEYS);
    return out->quotas && out->labels ? 0 : cofre_fail(err, COFRE_FAILED, "no memory for a tenant");
}

int tenant_add(struct db *db, const struct tenant *tenant, const char *by, struct cofre_err *err)
{
    CLEAN_TEXTS texts = {NULL, NULL};
    int rc = texts_of(&texts, tenant, err);
    if (rc == 0)
        rc = DB_RUN(db,
                    "INSERT INTO tenant (name, quotas, labels, made, made_by) VALUES ($1, $2, $3, $4, $5)"
                    " ON CONFLICT DO NOTHING",
                    NULL, NULL, err, db_text(tenant->name), db_text(texts.quotas), db_text(texts.labels),
                    db_integer(tenant->made), db_text(by));
    if (rc == 0)
        return cofre_fail(err, COFRE_USAGE, "there is a tenant \"%s\" already", tenant->name);
    return rc < 0 ? rc : 0;
}

int tenant_change(struct db *db, const struct tenant *tenant, struct cofre_err *err)
{
    CLEAN_TEXTS texts = {NULL, NULL};
    int rc = texts_of(&texts, tenant, err);
    if (rc == 0)
        rc = DB_RUN(db, "UPDATE tenant SET quotas = $2, labels = $3 WHERE name = $1", NULL, NULL, err,
                    db_text(tenant->name), db_text(texts.quotas), db_text(texts.labels));
    return rc < 0 ? rc : 0;
}

int tenant_remove(struct db *db, const char *name, struct cofre_err *err)
{
    int rc = DB_RUN(db, "DELETE FROM tenant WHERE name = $1", NULL, NULL, err, db_text(name));
    return rc < 0 ? rc : 0;
}

/* Rows come by the page, as guests' do. */
#define PAGE 128

struct listing {
    tenant_take take;
    void *context;
    char name[64]; /* the last one's */
    bool enough;
};

static int take_listed(void *context, const struct db_value *column, size_t columns, struct cofre_err *err)
{
    struct listing *listing = context;
    CLEAN_TENANT tenant = {.made = 0};
    (void)columns;
    if (listing->enough)
        return 0;
    int rc = read_row(&tenant, column, err);
    if (rc == 0)
        rc = listing->take(listing->context, &tenant, err);
    listing->enough = rc == 1;
    (void)snprintf(listing->name, sizeof listing->name, "%s", tenant.name);
    return rc < 0 ? rc : 0;
}

int tenants_list(struct db *db, const char *after, tenant_take take, void *context, struct cofre_err *err)
{
    struct listing listing = {.take = take, .context = context};
    (void)snprintf(listing.name, sizeof listing.name, "%s", after);
    int rc;
    do {
        rc = DB_RUN(db, "SELECT " COLUMNS " FROM tenant WHERE name > $1 ORDER BY name LIMIT $2", take_listed,
                    &listing, err, db_text(listing.name), db_integer(PAGE));
    } while (rc == PAGE && !listing.enough);
    return rc < 0 ? rc : 0;
}

json_t *tenant_show(const struct tenant *tenant)
{
    return json_pack("{s:s, s:O, s:O, s:o}", "name", tenant->name, "quotas", tenant->quotas, "labels",
                     tenant->labels, "created", json_time(tenant->made));
}
