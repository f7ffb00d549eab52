#include "vmm/host/store/guest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/json.h"

#define COLUMNS                                                                                              \
    "number, tenant, name, state, version, started_version, run, launches, asked, again, why, labels, made," \
    " started, ended, expected, measurement, request, tee, cpus, memory, networks, early,"                   \
    " huge_page"

void guest_row_free(struct guest_row *guest)
{
    json_decref(guest->labels);
    guest->labels = NULL;
}

static void copy(char *out, size_t room, const struct db_value *column)
{
    (void)snprintf(out, room, "%s", db_string(column));
}

static int read_row(struct guest_row *out, const struct db_value *c, struct cofre_err *err)
{
    *out = (struct guest_row){.number = (uint32_t)c[0].integer,
                              .version = c[4].integer,
                              .started_version = c[5].integer,
                              .run = (uint32_t)c[6].integer,
                              .launches = c[7].integer,
                              .asked = c[8].integer,
                              .again = c[9].integer,
                              .made = c[12].integer,
                              .started = c[13].integer,
                              .ended = c[14].integer,
                              .cpus = c[19].integer,
                              .memory = c[20].integer,
                              .networks = c[21].integer,
                              .early = c[22].integer,
                              .huge_page = c[23].integer};
    copy(out->tenant, sizeof out->tenant, &c[1]);
    copy(out->name, sizeof out->name, &c[2]);
    copy(out->why, sizeof out->why, &c[10]);
    copy(out->expected, sizeof out->expected, &c[15]);
    copy(out->measurement, sizeof out->measurement, &c[16]);
    copy(out->request, sizeof out->request, &c[17]);
    copy(out->tee, sizeof out->tee, &c[18]);
    int rc = guest_state_parse(&out->state, db_string(&c[3]), err);
    if (rc < 0)
        return rc;
    out->labels = json_loads(db_string(&c[11]), 0, NULL);
    return out->labels
               ? 0
               : cofre_fail(err, COFRE_FAILED, "guest %s of tenant %s cannot be read from the database",
                            out->name, out->tenant);
}

static int take_one(void *context, const struct db_value *column, size_t columns, struct cofre_err *err)
{
    (void)columns;
    guest_row_free(context);
    return read_row(context, column, err);
}

static int found(struct guest_row *out, int rc)
{
    if (rc < 0)
        guest_row_free(out);
    return rc < 0 ? rc : rc == 0;
}

int guest_row_find(struct guest_row *out, struct db *db, const char *tenant, const char *name,
                   struct cofre_err *err)
{
    *out = (struct guest_row){.number = 0};
    return found(out, DB_RUN(db, "SELECT " COLUMNS " FROM guest WHERE tenant = $1 AND name = $2", take_one,
                             out, err, db_text(tenant), db_text(name)));
}

int guest_row_find_run(struct guest_row *out, struct db *db, uint32_t run, struct cofre_err *err)
{
    *out = (struct guest_row){.number = 0};
    return found(
        out, DB_RUN(db, "SELECT " COLUMNS " FROM guest WHERE run = $1", take_one, out, err, db_integer(run)));
}

static int drawn(uint32_t *out, int rc, int64_t number, struct cofre_err *err)
{
    if (rc == 1 && number > 0 && number < UINT32_MAX) {
        *out = (uint32_t)number;
        return 0;
    }
    return rc < 0 ? rc : cofre_fail(err, COFRE_FAILED, "the database has no number left for another guest");
}

int guest_draw_run(uint32_t *out, struct db *db, struct cofre_err *err)
{
    int64_t number = 0;
    int rc = DB_RUN(db, "UPDATE host_number SET run = run + 1 WHERE one = $1 RETURNING run - 1",
                    db_take_integer, &number, err, db_integer(1));
    return drawn(out, rc, number, err);
}

static int draw_number(uint32_t *out, struct db *db, struct cofre_err *err)
{
    int64_t number = 0;
    int rc = DB_RUN(db, "UPDATE host_number SET guest = guest + 1 WHERE one = $1 RETURNING guest - 1",
                    db_take_integer, &number, err, db_integer(1));
    return drawn(out, rc, number, err);
}

static int add_version(struct db *db, uint32_t number, int64_t version, const json_t *definition, int64_t now,
                       const char *by, struct cofre_err *err)
{
    CLEAN_FREE char *text = json_dumps(definition, JSON_COMPACT | JSON_SORT_KEYS);
    if (!text)
        return cofre_fail(err, COFRE_FAILED, "no memory for a guest's definition");
    int rc = DB_RUN(db,
                    "INSERT INTO guest_version (guest, version, definition, made, made_by)"
                    " VALUES ($1, $2, $3, $4, $5)",
                    NULL, NULL, err, db_integer(number), db_integer(version), db_text(text), db_integer(now),
                    db_text(by));
    return rc < 0 ? rc : 0;
}

int guest_row_add(struct guest_row *guest, struct db *db, const json_t *definition, const char *by,
                  struct cofre_err *err)
{
    CLEAN_FREE char *labels = json_dumps(guest->labels, JSON_COMPACT | JSON_SORT_KEYS);
    if (!labels)
        return cofre_fail(err, COFRE_FAILED, "no memory for a guest");
    guest->version = 1;
    int rc = draw_number(&guest->number, db, err);
    if (rc == 0)
        rc = DB_RUN(db,
                    "INSERT INTO guest (number, tenant, name, state, version, labels, made, made_by)"
                    " VALUES ($1, $2, $3, $4, 1, $5, $6, $7) ON CONFLICT DO NOTHING",
                    NULL, NULL, err, db_integer(guest->number), db_text(guest->tenant), db_text(guest->name),
                    db_text(guest_state_names[guest->state]), db_text(labels), db_integer(guest->made),
                    db_text(by));
    else
        return rc;
    if (rc == 0)
        return cofre_fail(err, COFRE_USAGE, "tenant %s has a guest \"%s\" already", guest->tenant,
                          guest->name);
    return rc < 0 ? rc : add_version(db, guest->number, 1, definition, guest->made, by, err);
}

int guest_row_change(struct db *db, const struct guest_row *g, struct cofre_err *err)
{
    CLEAN_FREE char *labels = json_dumps(g->labels, JSON_COMPACT | JSON_SORT_KEYS);
    if (!labels)
        return cofre_fail(err, COFRE_FAILED, "no memory for a guest");
    int rc = DB_RUN(
        db,
        "UPDATE guest SET state = $2, version = $3, started_version = $4, run = $5, launches = $6,"
        " asked = $7, again = $8, why = $9, labels = $10, started = $11, ended = $12,"
        " expected = $13, measurement = $14, request = $15, tee = $16, cpus = $17, memory = $18,"
        " networks = $19, early = $20, huge_page = $21 WHERE number = $1",
        NULL, NULL, err, db_integer(g->number), db_text(guest_state_names[g->state]), db_integer(g->version),
        db_integer(g->started_version), db_integer(g->run), db_integer(g->launches), db_integer(g->asked),
        db_integer(g->again), db_text(g->why), db_text(labels), db_integer(g->started), db_integer(g->ended),
        db_text(g->expected), db_text(g->measurement), db_text(g->request), db_text(g->tee),
        db_integer(g->cpus), db_integer(g->memory), db_integer(g->networks), db_integer(g->early),
        db_integer(g->huge_page));
    if (rc == 0)
        return cofre_fail(err, COFRE_FAILED, "guest %s of tenant %s is not in the database", g->name,
                          g->tenant);
    return rc < 0 ? rc : 0;
}

int guest_row_remove(struct db *db, uint32_t number, struct cofre_err *err)
{
    int rc = DB_RUN(db, "DELETE FROM guest_version WHERE guest = $1", NULL, NULL, err, db_integer(number));
    if (rc >= 0)
        rc = DB_RUN(db, "DELETE FROM guest WHERE number = $1", NULL, NULL, err, db_integer(number));
    return rc < 0 ? rc : 0;
}

int guest_redefine(struct guest_row *guest, struct db *db, const json_t *definition, int64_t now,
                   const char *by, struct cofre_err *err)
{
    return add_version(db, guest->number, ++guest->version, definition, now, by, err);
}

static int take_document(void *context, const struct db_value *column, size_t columns, struct cofre_err *err)
{
    (void)columns;
    (void)err;
    json_decref(*(json_t **)context);
    *(json_t **)context = json_loads(db_string(&column[0]), 0, NULL);
    return 0;
}

int guest_definition(json_t **out, struct db *db, uint32_t number, int64_t version, struct cofre_err *err)
{
    *out = NULL;
    int rc = DB_RUN(db, "SELECT definition FROM guest_version WHERE guest = $1 AND version = $2",
                    take_document, out, err, db_integer(number), db_integer(version));
    if (rc >= 0 && !*out)
        rc = cofre_fail(err, COFRE_FAILED, "version %lld of guest %u's definition is not in the database",
                        (long long)version, number);
    return rc < 0 ? rc : 0;
}

int guest_forget_versions(struct db *db, const struct guest_row *guest, struct cofre_err *err)
{
    int rc = DB_RUN(db, "DELETE FROM guest_version WHERE guest = $1 AND version <> $2 AND version <> $3",
                    NULL, NULL, err, db_integer(guest->number), db_integer(guest->version),
                    db_integer(guest->started_version));
    return rc < 0 ? rc : 0;
}

/* Rows come by the page, so that who wants few of many does not have all of them read. */
#define PAGE 128

struct listing {
    guest_take take;
    void *context;
    char name[64]; /* the last one's, and its number */
    uint32_t number;
    bool enough;
};

static int take_listed(void *context, const struct db_value *column, size_t columns, struct cofre_err *err)
{
    struct listing *listing = context;
    CLEAN_GUEST_ROW guest = {.number = 0};
    (void)columns;
    if (listing->enough)
        return 0;
    int rc = read_row(&guest, column, err);
    if (rc == 0)
        rc = listing->take(listing->context, &guest, err);
    listing->enough = rc == 1;
    listing->number = guest.number;
    (void)snprintf(listing->name, sizeof listing->name, "%s", guest.name);
    return rc < 0 ? rc : 0;
}

int guests_list(struct db *db, const char *tenant, const char *after, const char *state, guest_take take,
                void *context, struct cofre_err *err)
{
    struct listing listing = {.take = take, .context = context};
    (void)snprintf(listing.name, sizeof listing.name, "%s", after);
    int rc;
    do {
        rc = DB_RUN(db,
                    "SELECT " COLUMNS " FROM guest WHERE tenant = $1 AND name > $2"
                    " AND ($3 = '' OR state = $3) ORDER BY name LIMIT $4",
                    take_listed, &listing, err, db_text(tenant), db_text(listing.name),
                    db_text(state ? state : ""), db_integer(PAGE));
    } while (rc == PAGE && !listing.enough);
    return rc < 0 ? rc : 0;
}

int guests_all(struct db *db, guest_take take, void *context, struct cofre_err *err)
{
    struct listing listing = {.take = take, .context = context};
    int rc;
    do {
        rc = DB_RUN(db, "SELECT " COLUMNS " FROM guest WHERE number > $1 ORDER BY number LIMIT $2",
                    take_listed, &listing, err, db_integer(listing.number), db_integer(PAGE));
    } while (rc == PAGE && !listing.enough);
    return rc < 0 ? rc : 0;
}

int guests_count(int64_t *out, struct db *db, const char *tenant, struct cofre_err *err)
{
    int rc = DB_RUN(db, "SELECT COUNT(*) FROM guest WHERE tenant = $1", db_take_integer, out, err,
                    db_text(tenant));
    return rc < 0 ? rc : 0;
}

static void put_text(json_t *object, const char *name, const char *text)
{
    if (*text)
        json_object_set_new(object, name, json_string(text));
}

static void put_time(json_t *object, const char *name, int64_t time)
{
    if (time)
        json_object_set_new(object, name, json_time(time));
}

bool guest_waits(const struct guest_row *g)
{
    return g->again && (g->state == GUEST_STOPPED || g->state == GUEST_FAILED);
}

json_t *guest_show(const struct guest_row *g, const json_t *definition)
{
    json_t *out = json_pack("{s:s, s:s, s:I, s:s, s:I, s:O}", "name", g->name, "tenant", g->tenant, "number",
                            (json_int_t)g->number, "state", guest_state_names[g->state], "version",
                            (json_int_t)g->version, "labels", g->labels);
    if (!out)
        return NULL;
    if (g->started_version)
        json_object_set_new(out, "started_version", json_integer(g->started_version));
    put_text(out, "why", g->why);
    if (guest_waits(g))
        json_object_set_new(out, "starts_again", json_true());
    put_time(out, "created", g->made);
    put_time(out, "started", g->started);
    put_time(out, "ended", g->ended);
    put_text(out, "tee", g->tee);
    put_text(out, "expected", g->expected);
    put_text(out, "measurement", g->measurement);
    if (definition)
        json_object_set_new(out, "definition", json_deep_copy(definition));
    return out;
}
