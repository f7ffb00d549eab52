#include "tests/unit/host/access/made.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/host/access/check.h"
#include "vmm/base/json.h"
#include "vmm/host/interface/schema.h"

void made_start(struct made *made)
{
    char name[128];
    struct cofre_err err = {""};
    *made = (struct made){.folder = "/tmp/cofre-access-XXXXXX"};
    assert_non_null(mkdtemp(made->folder));
    (void)snprintf(name, sizeof name, "%s/db", made->folder);
    assert_int_equal(db_open(&made->db, name, &err), 0);
    assert_int_equal(db_script(made->db, "PRAGMA synchronous = off", &err), 0); /* no power is cut here */
    assert_int_equal(db_script(made->db, access_schema, &err), 0);
    assert_int_equal(db_script(made->db, access_approval_schema, &err), 0);
    assert_int_equal(access_new(&made->access, &made->config, &err), 0);
}

void made_end(struct made *made)
{
    static const char *const files[] = {"db", "db-wal", "db-shm"};
    access_free(made->access);
    db_close(made->db);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char name[128];
        (void)snprintf(name, sizeof name, "%s/%s", made->folder, files[i]);
        (void)unlink(name);
    }
    assert_int_equal(rmdir(made->folder), 0);
}

struct access_caller made_caller(const char *name)
{
    struct access_caller caller = {.own = 1, .principals = 1};
    assert_int_equal(access_principal_parse(&caller.principal[0], name, NULL), 0);
    return caller;
}

struct access_caller made_member(const char *name, const char *group)
{
    struct access_caller caller = made_caller(name);
    assert_int_equal(access_principal_parse(&caller.principal[1], group, NULL), 0);
    caller.principals = 2;
    return caller;
}

json_t *made_json(const char *text)
{
    char quoted[4096];
    assert_true(strlen(text) < sizeof quoted);
    for (size_t i = 0; i <= strlen(text); i++)
        quoted[i] = text[i];
    for (char *c = quoted; *c; c++)
        if (*c == '\'')
            *c = '"';
    json_t *json = json_loads(quoted, 0, NULL);
    assert_non_null(json);
    return json;
}

int64_t made_grant(struct made *made, const char *subject, const char *role, const char *tenant,
                   const char *labels, bool deny)
{
    static int64_t number = 1000000;
    struct cofre_err err = {""};
    CLEAN_JSON *json = made_json(labels);
    char *text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
    number++;
    assert_int_equal(DB_RUN(made->db,
                            "INSERT INTO access_grant (number, subject, role, tenant, labels, deny, until, "
                            "wide, made, made_by)"
                            " VALUES ($1, $2, $3, $4, $5, $6, 0, 1, 0, 'a test')",
                            NULL, NULL, &err, db_integer(number), db_text(subject), db_text(role),
                            db_text(tenant), db_text(text), db_integer(deny)),
                     1);
    free(text);
    return number;
}

enum access_outcome made_do(struct made *made, const struct access_caller *caller, const char *operation,
                            const char *args, int *rc, json_t **answer, struct cofre_err *err)
{
    CLEAN_JSON *json = made_json(args);
    json_t *got = NULL;
    struct access_decision decision;
    const struct access_request request = {.operation = operation_find(operation),
                                           .tenant = member_text(json, "tenant", NULL),
                                           .body = json,
                                           .approval = made->approval,
                                           .now = NOW};
    assert_int_equal(access_decide(&decision, made->access, made->db, caller, &request, err), 0);
    *rc = -COFRE_NEGATIVE;
    if (decision.outcome == ACCESS_ALLOWED)
        *rc = access_operation_find(operation)(&got, made->access, made->db, caller, json, NOW, err);
    else
        (void)cofre_fail(err, COFRE_NEGATIVE, "%s", decision.answer);
    if (answer)
        *answer = got;
    else
        json_decref(got);
    return decision.outcome;
}
