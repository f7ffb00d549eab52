/* The operations on constraints, and on who one is. */
#include <stdlib.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/json.h"
#include "vmm/host/access/constraint.h"
#include "vmm/host/access/operations.h"
#include "vmm/host/access/rows.h"
#include "vmm/host/interface/schema.h"

/* The body is the document; the tenant, which is the path's, is no part of it. */
static json_t *document_of(const json_t *args)
{
    json_t *document = json_copy((json_t *)(uintptr_t)args);
    (void)json_object_del(document, "tenant");
    return document;
}

int constraint_set(json_t **answer, struct access *access, struct db *db, const struct access_caller *caller,
                   const json_t *args, int64_t now, struct cofre_err *err)
{
    CLEAN_JSON *document = document_of(args);
    CLEAN_FREE char *text = document ? rows_text(document) : NULL;
    (void)access;
    *answer = NULL;
    int rc = text ? constraint_check_document(document, err)
                  : cofre_fail(err, COFRE_FAILED, "no memory for a constraint");
    if (rc == 0)
        rc = DB_RUN(
            db,
            "INSERT INTO access_constraint (tenant, document, version, made, made_by) VALUES ($1, $2, 1, $3, "
            "$4)"
            " ON CONFLICT (tenant) DO UPDATE SET document = $2, version = access_constraint.version + 1,"
            " made = $3, made_by = $4",
            NULL, NULL, err, db_text(member_text(args, "tenant", "")), db_text(text), db_integer(now),
            db_text(access_caller_name(caller)));
    if (rc >= 0)
        *answer = json_pack("{s:O}", "constraints", document);
    return rc < 0 ? rc : 0;
}

int constraint_show(json_t **answer, struct access *access, struct db *db, const struct access_caller *caller,
                    const json_t *args, int64_t now, struct cofre_err *err)
{
    CLEAN_JSON *document = NULL;
    (void)access, (void)caller, (void)now;
    *answer = NULL;
    int rc = constraint_load(&document, db, member_text(args, "tenant", ""), err);
    if (rc >= 0)
        *answer = rc == 0 ? json_pack("{s:O}", "constraints", document) : json_pack("{s:{}}", "constraints");
    return rc < 0 ? rc : 0;
}
