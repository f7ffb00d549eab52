/*
 * How each kind of database would find what requests ask for: every statement is explained by the database itself before it runs, and
 * none may go through a table that grows with requests. $COFRE_STORE_RESULTS: how many results are there (1000).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attest/log/entry.h"
#include "attest/store/challenge.h"
#include "attest/store/collateral.h"
#include "attest/store/credential.h"
#include "attest/store/db_kind.h"
#include "attest/store/db_log.h"
#include "attest/store/result.h"
#include "attest/store/schema.h"
#include "tests/unit/store/database.h"

static struct database server;
static bool there;

/* A connection that explains each statement once, and has another one run it. */
struct explaining {
    struct db db;
    struct db *real;
    struct {
        const char *sql; /* by its address, as db_run has it */
        char *explain;
    } seen[DB_STATEMENTS / 2];
    size_t count;
};

static int take_plan(void *context, const struct db_value *column, size_t columns, struct cofre_err *err)
{
    const struct db_value *words = &column[server.postgres ? 0 : columns - 1];
    char *plan = context;
    (void)err;
    assert_true(strlen(plan) + words->bytes.len + 2 < 4096);
    strcat(strcat(plan, db_string(words)), "\n");
    return 0;
}

/* SQLite goes through an index in its order for the first or the last row: that is no search where the statement asks for few. */
static bool goes_through(const char *plan, const char *table, const char *sql)
{
    char words[64];
    (void)snprintf(words, sizeof words, server.postgres ? "Seq Scan on %s " : "SCAN %s", table);
    const char *at = strstr(plan, words);
    if (!at || server.postgres)
        return at != NULL;
    const char end = at[strlen(words)];
    const bool by_index = strncmp(at + strlen(words), " USING", 6) == 0;
    return (end == '\n' || end == ' ') && !(by_index && strstr(sql, "LIMIT"));
}

static void check(const char *sql, const char *plan)
{
    static const char *const growing[] = {"challenge", "result",     "log_entry", "log_hash",
                                          "log_head",  "collateral", "credential"};
    for (size_t i = 0; i < sizeof growing / sizeof *growing; i++)
        if (goes_through(plan, growing[i], sql))
            fail_msg("%s\n%s", sql, plan);
}

static int run(struct db *db, const char *sql, const struct db_value *value, size_t values, db_row row,
               void *context, struct cofre_err *err)
{
    struct explaining *e = (struct explaining *)db;
    size_t i = 0;
    while (i < e->count && e->seen[i].sql != sql)
        i++;
    if (i == e->count) {
        char plan[4096] = "";
        assert_true(e->count < sizeof e->seen / sizeof *e->seen);
        e->seen[e->count++].sql = sql;
        assert_true(asprintf(&e->seen[i].explain, "EXPLAIN %s%s", server.postgres ? "" : "QUERY PLAN ", sql) >
                    0);
        if (db_run(e->real, e->seen[i].explain, value, values, take_plan, plan, err) < 0)
            fail_msg("%s: %s", e->seen[i].explain, err->text);
        check(sql, plan);
    }
    return db_run(e->real, sql, value, values, row, context, err);
}

static int script(struct db *db, const char *sql, struct cofre_err *err)
{
    return db_script(((struct explaining *)db)->real, sql, err);
}

static const struct db_kind explaining_kind = {.run = run, .script = script};

static struct view number(uint8_t space[static 32], int64_t i)
{
    memset(space, 0x5a, 32);
    memcpy(space, &i, sizeof i);
    return (struct view){space, 32};
}

static void keep_one(struct db *db, struct db_log *log, int64_t i)
{
    struct log_entry entry = {.kind = LOG_ENTRY_VERDICT, .time = i, .outcome = LOG_PASSED, .tee = "snp"};
    uint8_t request[32], evidence[32];
    char id[RESULT_ID_SIZE];
    struct cofre_err err = {""};
    struct result r = {.id = id,
                       .request = number(request, i),
                       .made = i,
                       .tee = "snp",
                       .outcome = "pass",
                       .policy = "web",
                       .policy_version = 1,
                       .evidence = number(evidence, i / 4),
                       .submitter = "ann",
                       .verdict = "{}",
                       .cwt = {(const uint8_t *)"\xd2", 1},
                       .jwt = "e30.e30.e30"};
    (void)snprintf(id, sizeof id, "%032llx", (unsigned long long)i * 0x9e3779b97f4a7c15u);
    if (challenge_keep(db, r.request, i, &err) < 0 || db_log_write(log, &entry, &r.log_index, &err) < 0 ||
        result_keep(db, &r, &err) < 0)
        fail_msg("%s", err.text);
}

struct range {
    int64_t from, to;
};

static int fill(struct db *db, void *context, struct cofre_err *err)
{
    CLEAN_DB_LOG log = {0};
    const struct range *range = context;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    int rc = 0;
    assert_int_equal(db_log_open_to_append(&log, db, err), 0);
    assert_int_equal(db_log_begin(&log, "log", 1, err), 0);
    for (int64_t i = range->from; i < range->to && rc == 0; i++) {
        keep_one(db, &log, i);
        if (i % 10 == 0 || i == range->to - 1)
            rc = db_log_sign(&log, "log", key, 1, err);
    }
    EVP_PKEY_free(key);
    return rc;
}

static int take_result(void *context, const struct result *r, struct cofre_err *err)
{
    (void)r;
    (void)err;
    ++*(int *)context;
    return 0;
}

static int take_bytes(void *context, struct view bytes, struct cofre_err *err)
{
    (void)bytes;
    (void)err;
    ++*(int *)context;
    return 0;
}

static int take_collateral(void *context, const struct stored_collateral *c, struct cofre_err *err)
{
    (void)c;
    (void)err;
    ++*(int *)context;
    return 0;
}

static int take_credential(void *context, const struct credential *c, struct cofre_err *err)
{
    (void)c;
    (void)err;
    ++*(int *)context;
    return 0;
}

static void ask_for_results(struct db *db, int64_t last)
{
    uint8_t space[32];
    char id[RESULT_ID_SIZE];
    struct cofre_err err = {""};
    int found = 0;
    (void)snprintf(id, sizeof id, "%032llx", (unsigned long long)last * 0x9e3779b97f4a7c15u);
    assert_int_equal(result_find(db, id, take_result, &found, &err), 0);
    assert_int_equal(result_find_request(db, number(space, last), take_result, &found, &err), 0);
    assert_int_equal(result_find_evidence(db, number(space, 0), 100, take_result, &found, &err), 4);
    assert_int_equal(found, 6);
}

static void ask_for_nonces(struct db *db, int64_t last)
{
    uint8_t space[32];
    struct cofre_err err = {""};
    assert_int_equal(challenge_use(db, number(space, last), 0, &err), 0);
    assert_int_equal(challenge_use(db, number(space, last), 0, &err), -COFRE_NEGATIVE);
    assert_int_equal(challenge_drop_expired(db, 9, &err), 10);
}

static void ask_for_the_log(struct db *db, int64_t last)
{
    CLEAN_DB_LOG log = {0};
    struct cofre_err err = {""};
    struct log_inclusion proof = {.index = 1, .size = (uint64_t)last + 2};
    int64_t size;
    int found = 0;
    assert_int_equal(db_log_open(&log, db, &err), 0);
    assert_int_equal(log_tree_prove_inclusion(&log.tree, &proof, &err), 0);
    assert_int_equal(db_log_entry(db, last, take_bytes, &found, &err), 0);
    assert_int_equal(db_log_head(db, &size, take_bytes, &found, &err), 0);
    assert_int_equal(size, last + 2);
    assert_int_equal(db_log_next_head(db, 1, &size, take_bytes, &found, &err), 0);
    assert_int_equal(found, 3);
}

static void ask_for_callers(struct db *db)
{
    uint8_t space[32];
    struct cofre_err err = {""};
    int found = 0;
    const struct credential c = {.digest = number(space, 1),
                                 .name = "ann",
                                 .roles = "submit",
                                 .scope = "",
                                 .made = 1,
                                 .expires = 100,
                                 .made_by = "init"};
    assert_int_equal(credential_add(db, &c, &err), 0);
    assert_int_equal(credential_find(db, c.digest, 1, take_credential, &found, &err), 0);
    assert_int_equal(credential_remove(db, "ann", &err), 0);
    assert_int_equal(found, 1);
}

static void ask_for_collateral(struct db *db)
{
    struct cofre_err err = {""};
    int found = 0;
    const struct stored_collateral c = {
        .name = "kds/Milan", .body = {(const uint8_t *)"1", 1}, .issued = 1, .until = 9, .next_try = 5};
    assert_int_equal(stored_collateral_claim(db, c.name, 1, 2, &err), 1);
    assert_int_equal(stored_collateral_keep(db, &c, &err), 1);
    assert_true(stored_collateral_fail(db, &c, &err) >= 0);
    assert_int_equal(stored_collateral_find(db, c.name, take_collateral, &found, &err), 1);
    assert_int_equal(stored_collateral_list(db, "", 1000, take_collateral, &found, &err), 1);
    assert_int_equal(stored_collateral_due(db, "kds/%", 6, take_collateral, &found, &err), 1);
    assert_true(stored_collateral_forget(db, 1, &err) >= 0);
    assert_int_equal(found, 3);
}

static void no_request_is_answered_by_going_through_a_table(void **state)
{
    struct explaining e = {.db = {.kind = &explaining_kind}};
    struct cofre_err err = {""};
    const char *given = getenv("COFRE_STORE_RESULTS");
    const int64_t count = given ? atoll(given) : 1000;
    struct range most = {0, count - 1}, last = {count - 1, count};
    (void)state;
    if (!there)
        skip();
    if (db_open(&e.real, server.name, &err) < 0 || schema_bring(e.real, &err) < 0 ||
        db_atomically(e.real, fill, &most, &err) < 0 || db_script(e.real, "ANALYZE", &err) < 0)
        fail_msg("%s", err.text);
    /* A table of few rows PostgreSQL had rather read whole. */
    if (server.postgres &&
        db_script(e.real, "SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan", &err) < 0)
        fail_msg("%s", err.text);
    if (fill(&e.db, &last, &err) < 0)
        fail_msg("%s", err.text);
    ask_for_results(&e.db, count - 1);
    ask_for_nonces(&e.db, count - 1);
    ask_for_the_log(&e.db, count - 1);
    ask_for_callers(&e.db);
    ask_for_collateral(&e.db);
    assert_true(e.count >= 20);
    db_close(e.real);
    for (size_t i = 0; i < e.count; i++)
        free(e.seen[i].explain);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_request_is_answered_by_going_through_a_table)};
    there = database_start(&server, argc > 1 ? argv[1] : "sqlite");
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    database_remove(&server);
    return failed;
}
