/* What both kinds of database promise alike, and what a PostgreSQL that goes away and comes back does to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attest/store/db.h"
#include "attest/store/schema.h"
#include "tests/unit/store/database.h"

static struct database server;
static bool there;

/* Before anything is there that a skip would leave behind. */
static void needs(bool postgres)
{
    if (there && server.postgres != postgres)
        skip();
}

static struct db *connect(void)
{
    struct db *db = NULL;
    struct cofre_err err = {""};
    if (!there)
        skip();
    if (db_open(&db, server.name, &err) < 0)
        fail_msg("%s", err.text);
    return db;
}

static void close_db(struct db **db)
{
    db_close(*db);
}
#define CLEAN_DB __attribute__((cleanup(close_db))) struct db

static void do_script(struct db *db, const char *sql)
{
    struct cofre_err err = {""};
    if (db_script(db, sql, &err) < 0)
        fail_msg("%s: %s", sql, err.text);
}

/* A table of one number in each row. */
static void new_numbers(struct db *db)
{
    do_script(db,
              "DROP TABLE IF EXISTS number; CREATE TABLE number (id BIGINT NOT NULL PRIMARY KEY, n BIGINT)");
}

static int64_t count_numbers(struct db *db)
{
    int64_t n = -1;
    struct cofre_err err;
    assert_int_equal(
        db_run(db, "SELECT CAST(COUNT(*) AS BIGINT) FROM number", NULL, 0, db_take_integer, &n, &err), 1);
    return n;
}

static int insert(struct db *db, int64_t id, int64_t n, struct cofre_err *err)
{
    return DB_RUN(db, "INSERT INTO number (id, n) VALUES ($1, $2)", NULL, NULL, err, db_integer(id),
                  db_integer(n));
}

struct row {
    int64_t n;
    char text[32], bytes[32];
    size_t text_len, bytes_len;
    enum db_type type[4];
};

static int take_values(void *context, const struct db_value *column, size_t columns, struct cofre_err *err)
{
    struct row *row = context;
    (void)err;
    assert_int_equal(columns, 4);
    for (size_t i = 0; i < 4; i++)
        row->type[i] = column[i].type;
    row->n = column[0].integer;
    row->text_len = column[1].bytes.len;
    memcpy(row->text, column[1].bytes.data, column[1].bytes.len + 1);
    row->bytes_len = column[2].bytes.len;
    if (row->bytes_len)
        memcpy(row->bytes, column[2].bytes.data, row->bytes_len);
    return 0;
}

static void values_come_back_as_they_went_in(void **state)
{
    static const struct {
        int64_t n;
        const char *text;
        struct view bytes;
    } rows[] = {{0, "", {NULL, 0}},
                {INT64_MIN, "a 'quote'; --", {(const uint8_t *)"\0\xff\0", 3}},
                {INT64_MAX, "\xe2\x82\xac \xf0\x9f\x94\x92", {(const uint8_t *)"text", 4}}};
    (void)state;
    CLEAN_DB *db = connect();
    struct cofre_err err = {""};
    do_script(db, "DROP TABLE IF EXISTS v; CREATE TABLE v (n BIGINT, t TEXT, b BYTEA, absent TEXT)");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct row row = {0};
        assert_int_equal(DB_RUN(db, "INSERT INTO v (n, t, b, absent) VALUES ($1, $2, $3, $4)", NULL, NULL,
                                &err, db_integer(rows[i].n), db_text(rows[i].text), db_bytes(rows[i].bytes),
                                db_text(NULL)),
                         1);
        assert_int_equal(DB_RUN(db, "SELECT n, t, b, absent FROM v WHERE n = $1", take_values, &row, &err,
                                db_integer(rows[i].n)),
                         1);
        assert_int_equal(row.type[0], DB_INTEGER);
        assert_int_equal(row.type[1], DB_TEXT);
        assert_int_equal(row.type[2], DB_BYTES);
        assert_int_equal(row.type[3], DB_NULL);
        assert_true(row.n == rows[i].n);
        assert_string_equal(row.text, rows[i].text);
        assert_int_equal(row.bytes_len, rows[i].bytes.len);
        if (row.bytes_len)
            assert_memory_equal(row.bytes, rows[i].bytes.data, row.bytes_len);
    }
}

static void rows_and_changes_are_counted(void **state)
{
    (void)state;
    CLEAN_DB *db = connect();
    struct cofre_err err = {""};
    new_numbers(db);
    for (int i = 0; i < 5; i++)
        assert_int_equal(insert(db, i, 10 * i, &err), 1);
    assert_int_equal(DB_RUN(db, "SELECT n FROM number WHERE id >= $1", NULL, NULL, &err, db_integer(2)), 3);
    assert_int_equal(DB_RUN(db, "UPDATE number SET n = n + $1", NULL, NULL, &err, db_integer(1)), 5);
    assert_int_equal(DB_RUN(db, "DELETE FROM number WHERE n > $1", NULL, NULL, &err, db_integer(11)), 3);
    assert_int_equal(
        DB_RUN(db, "DELETE FROM number WHERE id = $1 RETURNING n", NULL, NULL, &err, db_integer(9)), 0);
    assert_int_equal(count_numbers(db), 2);
}

static int refuse_row(void *context, const struct db_value *column, size_t columns, struct cofre_err *err)
{
    (void)column;
    (void)columns;
    ++*(int *)context;
    return cofre_fail(err, COFRE_MALFORMED, "enough");
}

static void a_row_that_is_refused_ends_the_statement(void **state)
{
    (void)state;
    CLEAN_DB *db = connect();
    struct cofre_err err = {""};
    int seen = 0;
    new_numbers(db);
    insert(db, 1, 1, &err);
    insert(db, 2, 2, &err);
    assert_int_equal(db_run(db, "SELECT n FROM number", NULL, 0, refuse_row, &seen, &err), -COFRE_MALFORMED);
    assert_int_equal(seen, 1);
    assert_int_equal(count_numbers(db), 2); /* and the connection is of use */
}

static void wrong_statements_fail_with_the_reason(void **state)
{
    (void)state;
    CLEAN_DB *db = connect();
    struct cofre_err err = {""};
    new_numbers(db);
    assert_int_equal(db_script(db, "CREATE NONSENSE", &err), -COFRE_FAILED);
    assert_non_null(strstr(err.text, "syntax error"));
    assert_int_equal(db_run(db, "SELECT n FROM nowhere", NULL, 0, NULL, NULL, &err), -COFRE_FAILED);
    assert_non_null(strstr(err.text, "nowhere"));
    assert_int_equal(insert(db, 1, 1, &err), 1);
    assert_int_equal(insert(db, 1, 1, &err), -COFRE_FAILED); /* the key is taken */
    assert_int_equal(count_numbers(db), 1);
}

static int insert_and_fail(struct db *db, void *context, struct cofre_err *err)
{
    (void)context;
    assert_int_equal(insert(db, 1, 1, err), 1);
    return cofre_fail(err, COFRE_NEGATIVE, "not this time");
}

static int insert_two(struct db *db, void *context, struct cofre_err *err)
{
    int rc = insert(db, *(int *)context, 0, err);
    return rc < 0 ? rc : insert(db, *(int *)context + 1, 0, err);
}

static void work_that_fails_leaves_nothing(void **state)
{
    (void)state;
    CLEAN_DB *db = connect();
    struct cofre_err err = {""};
    int from = 1;
    new_numbers(db);
    assert_int_equal(db_atomically(db, insert_and_fail, NULL, &err), -COFRE_NEGATIVE);
    assert_string_equal(err.text, "not this time");
    assert_int_equal(count_numbers(db), 0);
    assert_int_equal(insert(db, 2, 0, &err), 1);
    assert_int_equal(db_atomically(db, insert_two, &from, &err), -COFRE_FAILED); /* 2 is there */
    assert_int_equal(count_numbers(db), 1);
    from = 3;
    assert_true(db_atomically(db, insert_two, &from, &err) >= 0);
    assert_int_equal(count_numbers(db), 3);
}

static int change_many(struct db *db, void *context, struct cofre_err *err)
{
    (void)context;
    int rc = db_script(db, "SAVEPOINT one; UPDATE number SET n = n + 1; ROLLBACK TO one; RELEASE one", err);
    return rc < 0 ? rc : db_run(db, "UPDATE number SET n = n + 2", NULL, 0, NULL, NULL, err);
}

/* Who has the database may write to its folder alone, and have no other to put aside what a savepoint takes back. */
static void much_is_taken_back_without_another_file(void **state)
{
    (void)state;
    needs(false);
    CLEAN_DB *db = connect();
    struct cofre_err err = {""};
    struct rlimit all, no_more;
    int64_t sum = 0;
    new_numbers(db);
    do_script(db, "INSERT INTO number (id, n) WITH RECURSIVE row (id) AS (SELECT 1 UNION ALL SELECT id + 1 "
                  "FROM row WHERE id < 50000)"
                  " SELECT id, 0 FROM row");
    const int next = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
    no_more = (struct rlimit){(rlim_t)next, all.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &no_more), 0);
    const int rc = db_atomically(db, change_many, NULL, &err);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
    if (rc < 0)
        fail_msg("%s", err.text);
    assert_int_equal(db_run(db, "SELECT SUM(n) FROM number", NULL, 0, db_take_integer, &sum, &err), 1);
    assert_int_equal(sum, 100000);
}

/* Reads, then writes what it read and one: lost where two do it at once without being told of each other. */
static int increment(struct db *db, void *context, struct cofre_err *err)
{
    int64_t n = 0;
    (void)context;
    int rc = DB_RUN(db, "UPDATE number SET n = n WHERE id = $1 RETURNING n", db_take_integer, &n, err,
                    db_integer(1));
    return rc < 0 ? rc
                  : DB_RUN(db, "UPDATE number SET n = $1 WHERE id = $2", NULL, NULL, err, db_integer(n + 1),
                           db_integer(1));
}

#define THREADS 6
#define TIMES   25

static void *increment_often(void *context)
{
    struct db *db = NULL;
    struct cofre_err err = {""};
    (void)context;
    if (db_open(&db, server.name, &err) < 0)
        return "it did not open";
    for (int i = 0; i < TIMES; i++)
        if (db_atomically(db, increment, NULL, &err) < 0) {
            fprintf(stderr, "%s\n", err.text);
            return "a transaction failed";
        }
    db_close(db);
    return NULL;
}

static void transactions_at_once_follow_each_other(void **state)
{
    (void)state;
    CLEAN_DB *db = connect();
    struct cofre_err err = {""};
    pthread_t thread[THREADS];
    int64_t n = 0;
    new_numbers(db);
    insert(db, 1, 0, &err);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, increment_often, NULL), 0);
    for (int i = 0; i < THREADS; i++) {
        void *why;
        pthread_join(thread[i], &why);
        assert_null(why);
    }
    assert_int_equal(db_run(db, "SELECT n FROM number", NULL, 0, db_take_integer, &n, &err), 1);
    assert_int_equal(n, THREADS * TIMES);
}

static int insert_and_die(struct db *db, void *context, struct cofre_err *err)
{
    (void)context;
    insert(db, 7, 7, err);
    raise(SIGKILL);
    return 0;
}

/* What was acknowledged is there, what was not is not. */
static void a_process_that_dies_in_between_leaves_what_it_had_finished(void **state)
{
    (void)state;
    CLEAN_DB *db = connect();
    int status;
    new_numbers(db);
    pid_t pid = fork();
    if (pid == 0) {
        struct db *own = NULL;
        struct cofre_err err;
        int from = 1;
        if (db_open(&own, server.name, &err) == 0 && db_atomically(own, insert_two, &from, &err) >= 0)
            (void)db_atomically(own, insert_and_die, NULL, &err);
        _exit(1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_int_equal(count_numbers(db), 2);
}

static void a_new_file_is_the_owners_alone(void **state)
{
    struct stat s;
    (void)state;
    needs(false); /* PostgreSQL's files are the server's */
    CLEAN_DB *db = connect();
    new_numbers(db);
    assert_int_equal(stat(server.name, &s), 0);
    assert_int_equal(s.st_mode & 0777, 0600);
}

/* It may not take the write-ahead log for nobody's, and delete it under those who go on writing to it. */
static void another_process_that_comes_and_goes_takes_nothing_away(void **state)
{
    (void)state;
    CLEAN_DB *db = connect(), *second = NULL, *later = NULL;
    struct cofre_err err;
    int status;
    new_numbers(db);
    assert_int_equal(db_open(&second, server.name, &err), 0); /* of this process, too */
    pid_t pid = fork();
    if (pid == 0) {
        execl("/proc/self/exe", "test_db", "come-and-go", server.name, NULL);
        _exit(126);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(insert(db, 1, 1, &err), 1);
    assert_int_equal(db_open(&later, server.name, &err), 0);
    assert_int_equal(count_numbers(later), 1);
    pid = fork();
    if (pid == 0) {
        execl("/proc/self/exe", "test_db", "count", server.name, NULL);
        _exit(126);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) &&
                WEXITSTATUS(status) == 1); /* number of them, as a process of its own sees them */
}

/* The other process of that test. */
static int come_and_go(const char *name, bool count)
{
    struct db *db = NULL;
    struct cofre_err err;
    if (db_open(&db, name, &err) < 0)
        return 100;
    const int64_t n = count_numbers(db);
    db_close(db);
    return count ? (int)n : 0;
}

static void what_cannot_be_opened_is_named(void **state)
{
    struct db *db = NULL;
    struct cofre_err err = {""};
    (void)state;
    if (!there)
        skip();
    const char *name =
        server.postgres ? "postgresql:///postgres?host=/tmp/no-server-here" : "/no/such/folder/store";
    assert_int_equal(db_open(&db, name, &err), -COFRE_LACKING);
    assert_non_null(strstr(err.text, server.postgres ? "/tmp/no-server-here" : name));
}

static void *bring(void *context)
{
    struct db *db = NULL;
    struct cofre_err *err = context;
    int rc = db_open(&db, server.name, err);
    if (rc == 0)
        rc = schema_bring(db, err);
    db_close(db);
    return rc < 0 ? err : NULL;
}

static void several_may_bring_the_tables_at_once(void **state)
{
    struct cofre_err err[THREADS] = {{""}};
    pthread_t thread[THREADS];
    int64_t version = 0;
    (void)state;
    CLEAN_DB *db = connect();
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, bring, &err[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        void *failed;
        pthread_join(thread[i], &failed);
        if (failed)
            fail_msg("%s", err[i].text);
    }
    assert_int_equal(
        db_run(db, "SELECT version FROM schema_version", NULL, 0, db_take_integer, &version, &err[0]), 1);
    assert_int_equal(version, schema_version());
}

static void tables_of_a_later_version_are_left_alone(void **state)
{
    struct cofre_err err = {""};
    int64_t version = 0;
    (void)state;
    CLEAN_DB *db = connect();
    assert_int_equal(schema_bring(db, &err), 0);
    do_script(db, "UPDATE schema_version SET version = version + 1");
    assert_int_equal(schema_bring(db, &err), -COFRE_LACKING);
    assert_non_null(strstr(err.text, "use a newer one"));
    assert_int_equal(
        db_run(db, "SELECT version FROM schema_version", NULL, 0, db_take_integer, &version, &err), 1);
    assert_int_equal(version, schema_version() + 1);
    do_script(db, "UPDATE schema_version SET version = version - 1");
}

/* PostgreSQL alone */

static void a_server_that_was_started_anew_is_used_again(void **state)
{
    (void)state;
    needs(true);
    CLEAN_DB *db = connect();
    struct cofre_err err = {""};
    new_numbers(db);
    insert(db, 1, 1, &err);
    database_stop(&server, "immediate");
    assert_int_equal(insert(db, 2, 2, &err), -COFRE_LACKING);
    assert_int_equal(insert(db, 2, 2, &err), -COFRE_LACKING);
    assert_non_null(strstr(err.text, "cannot be reached"));
    database_start_again(&server);
    assert_int_equal(insert(db, 2, 2, &err), 1);
    assert_int_equal(count_numbers(db), 2);
}

/* Between two statements: the second one finds the new server. */
static void a_restart_between_statements_costs_none(void **state)
{
    static const char *const modes[] = {"fast", "immediate"};
    (void)state;
    needs(true);
    CLEAN_DB *db = connect();
    struct cofre_err err = {""};
    new_numbers(db);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(insert(db, 2 * i, 1, &err), 1);
        database_stop(&server, modes[i]);
        database_start_again(&server);
        if (insert(db, 2 * i + 1, 1, &err) != 1)
            fail_msg("%s", err.text);
    }
    assert_int_equal(count_numbers(db), 4);
}

struct outage {
    int calls;
};

/* The server goes away in the middle of the first call. */
static int insert_through_outage(struct db *db, void *context, struct cofre_err *err)
{
    struct outage *outage = context;
    int rc = insert(db, 1, 1, err);
    if (rc >= 0 && outage->calls++ == 0) {
        database_stop(&server, "immediate");
        database_start_again(&server);
    }
    return rc < 0 ? rc : insert(db, 2, 2, err);
}

static void work_is_done_again_where_the_server_went_away(void **state)
{
    struct outage outage = {0};
    (void)state;
    needs(true);
    CLEAN_DB *db = connect();
    struct cofre_err err = {""};
    new_numbers(db);
    assert_true(db_atomically(db, insert_through_outage, &outage, &err) >= 0);
    assert_int_equal(outage.calls, 2);
    assert_int_equal(count_numbers(db), 2);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_come_back_as_they_went_in),
        cmocka_unit_test(rows_and_changes_are_counted),
        cmocka_unit_test(a_row_that_is_refused_ends_the_statement),
        cmocka_unit_test(wrong_statements_fail_with_the_reason),
        cmocka_unit_test(work_that_fails_leaves_nothing),
        cmocka_unit_test(much_is_taken_back_without_another_file),
        cmocka_unit_test(transactions_at_once_follow_each_other),
        cmocka_unit_test(a_process_that_dies_in_between_leaves_what_it_had_finished),
        cmocka_unit_test(another_process_that_comes_and_goes_takes_nothing_away),
        cmocka_unit_test(a_new_file_is_the_owners_alone),
        cmocka_unit_test(what_cannot_be_opened_is_named),
        cmocka_unit_test(several_may_bring_the_tables_at_once),
        cmocka_unit_test(tables_of_a_later_version_are_left_alone),
        cmocka_unit_test(a_server_that_was_started_anew_is_used_again),
        cmocka_unit_test(a_restart_between_statements_costs_none),
        cmocka_unit_test(work_is_done_again_where_the_server_went_away),
    };
    if (argc > 2)
        return come_and_go(argv[2], strcmp(argv[1], "count") == 0);
    there = database_start(&server, argc > 1 ? argv[1] : "sqlite");
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    database_remove(&server);
    return failed;
}
