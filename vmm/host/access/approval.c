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
    char *names;
    uint8_t digest[32];
    const char *subject;
};

static void asked_free(struct asked *asked)
{
    free(asked->text);
    free(asked->names);
}
#define CLEAN_ASKED __attribute__((cleanup(asked_free))) struct asked

static json_t *own_names(const struct access_caller *caller)
{
    json_t *names = json_array();
    for (size_t i = 0; i < caller->own; i++)
        (void)json_array_append_new(names, json_string(caller->principal[i].text));
    return names;
}

static int describe(struct asked *out, const struct access_caller *caller, const struct access_request *r,
                    struct cofre_err *err)
{
    CLEAN_JSON *whole = json_pack("{s:s, s:s?, s:s?, s:O?, s:s}", "operation", r->operation->name, "tenant",
                                  r->tenant, "resource", r->resource, "body", (json_t *)(uintptr_t)r->body,
                                  "subject", access_caller_name(caller));
    CLEAN_JSON *names = own_names(caller);
    out->subject = access_caller_name(caller);
    out->text = whole ? rows_text(whole) : NULL;
    out->names = json_array_size(names) == caller->own ? rows_text(names) : NULL;
    if (!out->text || !out->names ||
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
                int64_t lifetime, struct cofre_err *err)
{
    int rc = make_room(db, asked, r->now, err);
    if (rc == 0)
        rc = rows_number(number, db, err);
    if (rc == 0)
        rc = DB_RUN(
            db,
            "INSERT INTO access_approval (number, digest, operation, tenant, request, subject, names, made,"
            " expires, state, by_whom, decided, reason)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'waits', '', 0, '')",
            NULL, NULL, err, db_integer(*number),
            db_bytes((struct view){asked->digest, sizeof asked->digest}), db_text(r->operation->name),
            db_text(r->tenant ? r->tenant : ""), db_text(asked->text), db_text(asked->subject),
            db_text(asked->names), db_integer(r->now), db_integer(r->now + lifetime));
    return rc < 0 ? rc : 1;
}

/* The text is compared beside its digest: nothing hangs on a collision. */
int approval_use(int64_t *number, const struct access_config *config, struct db *db,
                 const struct access_caller *caller, const struct access_request *request,
                 struct cofre_err *err)
{
    CLEAN_ASKED asked = {0};
    struct found found = {0};
    int rc = describe(&asked, caller, request, err);
    if (rc == 0)
        rc = DB_RUN(
            db,
            "SELECT number, state FROM access_approval WHERE digest = $1 AND request = $2 AND expires > $3"
            " AND state IN ('waits', 'given')",
            take_found, &found, err, db_bytes((struct view){asked.digest, sizeof asked.digest}),
            db_text(asked.text), db_integer(request->now));
    if (rc < 0)
        return rc;
    if (rc == 0)
        return keep(number, db, &asked, request,
                    config->approval_lifetime ? config->approval_lifetime : APPROVAL_LIFETIME, err);
    *number = found.number;
    if (!found.given)
        return 1;
    rc = DB_RUN(db, "UPDATE access_approval SET state = 'used' WHERE number = $1 AND state = 'given'", NULL,
                NULL, err, db_integer(found.number));
    return rc < 0    ? rc
           : rc == 1 ? 0
                     : cofre_fail(err, COFRE_FAILED, "approval %lld is gone", (long long)found.number);
}
