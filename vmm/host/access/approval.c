#include "vmm/host/access/approval.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/json.h"
#include "vmm/host/access/constraint.h"
#include "vmm/host/access/role.h"
#include "vmm/host/access/rows.h"

/* Is one wanted? */

int approval_is_wanted(const struct access_config *config, struct db *db,
                       const struct access_request *request, struct cofre_err *err)
{
    CLEAN_JSON *document = NULL;
    const json_t *pattern;
    size_t i;
    for (i = 0; i < config->approvals; i++)
        if (role_pattern_covers(config->approval[i], request->operation->name))
            return 1;
    int rc = request->tenant ? constraint_load(&document, db, request->tenant, err) : 1;
    if (rc != 0)
        return rc < 0 ? rc : 0;
    const json_t *patterns = json_object_get(document, "approval");
    /* Whoever could change the list alone would need nobody else for anything. */
    if (json_array_size(patterns) && operation_number(request->operation) == OPERATION_CONSTRAINT_SET)
        return 1;
    json_array_foreach(patterns, i, pattern)
    {
        if (role_pattern_covers(json_string_value(pattern), request->operation->name))
            return 1;
    }
    return 0;
}

/* One request */

struct asked {
    char *text; /* the request, and who asked, in its one form */
    char *names, *principals;
    uint8_t digest[32];
    const char *subject;
};

static void asked_free(struct asked *asked)
{
    free(asked->text);
    free(asked->names);
    free(asked->principals);
}
#define CLEAN_ASKED __attribute__((cleanup(asked_free))) struct asked

static json_t *names_of(const struct access_caller *caller, size_t count)
{
    json_t *names = json_array();
    for (size_t i = 0; i < count; i++)
        (void)json_array_append_new(names, json_string(caller->principal[i].text));
    return names;
}

static json_t *parts_of(const struct operation_parts *part)
{
    json_t *list = part && part->count ? json_array() : NULL;
    for (size_t i = 0; list && i < part->count; i++)
        (void)json_array_append_new(list, json_string(part->text[i]));
    return list;
}

/* Where a request goes by its path, as the number of a grant, is as much of it as its body. */
static int describe(struct asked *out, const struct access_caller *caller, const struct access_request *r,
                    struct cofre_err *err)
{
    CLEAN_JSON *whole = json_pack("{s:s, s:s?, s:s?, s:o?, s:O?, s:O?, s:s}", "operation", r->operation->name,
                                  "tenant", r->tenant, "resource", r->resource, "parts", parts_of(r->part),
                                  "query", (json_t *)(uintptr_t)r->query, "body",
                                  (json_t *)(uintptr_t)r->body, "subject", access_caller_name(caller));
    CLEAN_JSON *names = names_of(caller, caller->own), *all = names_of(caller, caller->principals);
    out->principals = json_array_size(all) == caller->principals ? rows_text(all) : NULL;
    out->subject = access_caller_name(caller);
    out->text = whole ? rows_text(whole) : NULL;
    out->names = json_array_size(names) == caller->own ? rows_text(names) : NULL;
    if (!out->text || !out->names || !out->principals ||
        EVP_Digest(out->text, strlen(out->text), out->digest, NULL, EVP_sha256(), NULL) != 1)
        return cofre_fail(err, COFRE_FAILED, "no memory for a request that waits");
    return 0;
}

struct found {
    int64_t number;
    bool given;
};

static int take_found(void *context, const struct db_value *column, size_t columns, struct cofre_err *err)
{
    (void)columns;
    (void)err;
    *(struct found *)context = (struct found){column[0].integer, strcmp(db_string(&column[1]), "given") == 0};
    return 0;
}

/* Expired rows are of no use to anybody; the log has what became of them. */
static int make_room(struct db *db, const struct asked *asked, int64_t now, struct cofre_err *err)
{
    int64_t waiting = 0;
    int rc = DB_RUN(db, "DELETE FROM access_approval WHERE expires <= $1", NULL, NULL, err, db_integer(now));
    if (rc >= 0)
        rc = DB_RUN(db,
                    "SELECT COUNT(*) FROM access_approval WHERE subject = $1 AND state IN ('waits', 'given')",
                    db_take_integer, &waiting, err, db_text(asked->subject));
    if (rc < 0)
        return rc;
    return waiting < APPROVAL_WAITING_MAX
               ? 0
               : cofre_fail(err, COFRE_NEGATIVE, "%d requests of yours wait for a second approver already",
                            APPROVAL_WAITING_MAX);
}

static int keep(int64_t *number, struct db *db, const struct asked *asked, const struct access_request *r,
                int64_t seconds, struct cofre_err *err)
{
    int rc = make_room(db, asked, r->now, err);
    if (rc == 0)
        rc = rows_number(number, db, err);
    if (rc == 0)
        rc = DB_RUN(
            db,
            "INSERT INTO access_approval (number, digest, operation, tenant, request, subject, names, made,"
            " expires, state, by_whom, decided, reason, principals)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'waits', '', 0, '', $10)",
            NULL, NULL, err, db_integer(*number),
            db_bytes((struct view){asked->digest, sizeof asked->digest}), db_text(r->operation->name),
            db_text(r->tenant ? r->tenant : ""), db_text(asked->text), db_text(asked->subject),
            db_text(asked->names), db_integer(r->now), db_integer(r->now + seconds),
            db_text(asked->principals));
    return rc < 0 ? rc : 1;
}

static int64_t lifetime(const struct access_config *config)
{
    return config->approval_lifetime ? config->approval_lifetime : APPROVAL_LIFETIME;
}

/* The text is compared beside its digest: nothing hangs on a collision. */
static int find(struct found *out, struct db *db, const struct asked *asked, int64_t now,
                struct cofre_err *err)
{
    return DB_RUN(
        db,
        "SELECT number, state FROM access_approval WHERE digest = $1 AND request = $2 AND expires > $3"
        " AND state IN ('waits', 'given')",
        take_found, out, err, db_bytes((struct view){asked->digest, sizeof asked->digest}),
        db_text(asked->text), db_integer(now));
}

static int use_up(struct db *db, const struct found *found, int64_t number, struct cofre_err *err)
{
    int rc =
        found->given && found->number == number
            ? DB_RUN(db, "UPDATE access_approval SET state = 'used' WHERE number = $1 AND state = 'given'",
                     NULL, NULL, err, db_integer(number))
            : 0;
    return rc < 0 ? rc
           : rc == 1
               ? 0
               : cofre_fail(err, COFRE_NEGATIVE, "approval %lld is not good any more", (long long)number);
}

int approval_use(int64_t *number, const struct access_config *config, struct db *db,
                 const struct access_caller *caller, const struct access_request *request,
                 struct cofre_err *err)
{
    CLEAN_ASKED asked = {0};
    struct found found = {0};
    int rc = describe(&asked, caller, request, err);
    if (rc == 0)
        rc = find(&found, db, &asked, request->now, err);
    if (rc < 0)
        return rc;
    *number = request->approval ? request->approval : found.number;
    if (request->approval)
        return use_up(db, &found, request->approval, err);
    return rc == 0 ? keep(number, db, &asked, request, lifetime(config), err) : 1;
}

/* Carrying out */

void approval_given_free(struct approval_given *given)
{
    json_decref(given->query);
    json_decref(given->body);
    *given = (struct approval_given){0};
}

static bool read_caller(struct access_caller *out, const json_t *names, const json_t *principals)
{
    const json_t *name;
    size_t i;
    const size_t count = json_array_size(principals);
    out->own = json_array_size(names);
    if (out->own == 0 || out->own > ACCESS_OWN_MAX || count < out->own ||
        count > sizeof out->principal / sizeof *out->principal)
        return false;
    json_array_foreach(principals, i, name)
    {
        if (!json_is_string(name) ||
            access_principal_parse(&out->principal[i], json_string_value(name), NULL) < 0)
            return false;
    }
    out->principals = count;
    return true;
}

static json_t *object_of(const json_t *request, const char *name)
{
    json_t *value = json_object_get(request, name);
    return json_is_object(value) ? json_incref(value) : NULL;
}

static bool read_request(struct approval_given *out, const json_t *request)
{
    const json_t *part, *parts = json_object_get(request, "parts");
    size_t i;
    out->operation = operation_find(member_text(request, "operation", ""));
    if (!out->operation || json_array_size(parts) != operation_part_count(out->operation))
        return false;
    json_array_foreach(parts, i, part)(void)
        snprintf(out->part.text[i], sizeof out->part.text[i], "%s", json_string_value(part));
    out->part.count = json_array_size(parts);
    out->query = object_of(request, "query");
    out->body = object_of(request, "body");
    return true;
}

static int take_given(void *context, const struct db_value *c, size_t columns, struct cofre_err *err)
{
    struct approval_given *out = context;
    (void)columns;
    CLEAN_JSON *request = json_loads(db_string(&c[1]), 0, NULL),
               *names = json_loads(db_string(&c[2]), 0, NULL),
               *principals = json_loads(db_string(&c[3]), 0, NULL);
    out->number = c[0].integer;
    (void)snprintf(out->by, sizeof out->by, "%s", db_string(&c[4]));
    (void)snprintf(out->who.from, sizeof out->who.from, "approval %lld", (long long)out->number);
    return read_caller(&out->who, names, principals) && read_request(out, request)
               ? 0
               : cofre_fail(err, COFRE_FAILED, "approval %lld cannot be read", (long long)out->number);
}

int approval_given_next(struct approval_given *out, struct db *db, int64_t after, struct cofre_err *err)
{
    *out = (struct approval_given){0};
    int rc = DB_RUN(db,
                    "SELECT number, request, names, principals, by_whom FROM access_approval"
                    " WHERE state = 'given' AND number > $1 ORDER BY number LIMIT 1",
                    take_given, out, err, db_integer(after));
    return rows_one(rc);
}

int approval_settle(struct db *db, const struct access_config *config, int64_t number, bool done,
                    const json_t *result, int64_t now, struct cofre_err *err)
{
    CLEAN_FREE char *text = rows_text(result);
    if (!text)
        return cofre_fail(err, COFRE_FAILED, "no memory for what became of a request");
    int rc = DB_RUN(db, "UPDATE access_approval SET state = $2, result = $3, expires = $4 WHERE number = $1",
                    NULL, NULL, err, db_integer(number), db_text(done ? "used" : "failed"), db_text(text),
                    db_integer(now + lifetime(config)));
    return rc < 0 ? rc : 0;
}
