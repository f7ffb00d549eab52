/* PostgreSQL, by libpq. A connection that broke is made anew by the next statement outside of a transaction, which itself loses
 * nothing where the server went away, and came back, since the last one. */
#include <endian.h>
#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "attest/store/db_kind.h"

/* pg_type.dat: the types that statements and rows have here. */
enum { OID_BOOL = 16, OID_BYTEA = 17, OID_INT8 = 20, OID_INT4 = 23, OID_TEXT = 25 };

struct postgres {
    struct db db;
    PGconn *connection;
    const char *prepared[DB_STATEMENTS]; /* by their addresses; the server knows them as s0, s1 ... */
    size_t count;
    bool again;
};

static void quiet(void *context, const char *message)
{
    (void)context;
    (void)message;
}

static void close_postgres(struct db *db)
{
    struct postgres *p = (struct postgres *)db;
    PQfinish(p->connection);
    free(p);
}

/* libpq's sentences end with a newline, and some have several. */
static int unreachable(struct postgres *p, struct cofre_err *err)
{
    const char *why = PQerrorMessage(p->connection);
    p->again = p->db.inside;
    return cofre_fail(err, COFRE_LACKING, "the database cannot be reached: %.*s", (int)strcspn(why, "\n"),
                      why);
}

static int failed(struct postgres *p, const PGresult *result, struct cofre_err *err)
{
    /* Appendix A of PostgreSQL's manual: serialization_failure, deadlock_detected; lock_not_available; admin_shutdown and
     * what else has to do with the server's end or its limits. */
    static const char *const later[] = {"40001", "40P01", "55P03", "57P01",
                                        "57P02", "57P03", "53300", "25P03"};
    if (PQstatus(p->connection) != CONNECTION_OK)
        return unreachable(p, err);
    const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    const char *why = result ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    for (size_t i = 0; state && i < sizeof later / sizeof *later; i++)
        if (strcmp(state, later[i]) == 0) {
            p->again = true;
            return cofre_fail(err, COFRE_LACKING, "the database cannot do it now: %s", why ? why : state);
        }
    return cofre_fail(err, COFRE_FAILED, "the database: %s", why ? why : "out of memory");
}

static int reach(struct postgres *p, const char *name, struct cofre_err *err)
{
    char timeout[16], idle[16];
    (void)snprintf(timeout, sizeof timeout, "%d", DB_SECONDS);
    (void)snprintf(idle, sizeof idle, "%d", DB_SECONDS * 1000);
    const char *const key[] = {
        "dbname", "connect_timeout", "tcp_user_timeout", "client_encoding", "application_name", "options",
        NULL};
    const char *const value[] = {name,
                                 timeout,
                                 idle,
                                 "UTF8",
                                 "cofre-trust",
                                 "-c statement_timeout=10s -c lock_timeout=5s "
                                 "-c idle_in_transaction_session_timeout=30s",
                                 NULL};
    p->connection = PQconnectdbParams(key, value, 1);
    if (!p->connection)
        return cofre_fail(err, COFRE_FAILED, "the database: out of memory");
    (void)PQsetNoticeProcessor(p->connection, quiet, NULL);
    (void)PQsetnonblocking(p->connection, 1);
    return PQstatus(p->connection) == CONNECTION_OK ? 0 : unreachable(p, err);
}

static int open_postgres(struct db **out, const char *name, struct cofre_err *err)
{
    struct postgres *p = calloc(1, sizeof *p);
    if (!p)
        return cofre_fail(err, COFRE_FAILED, "the database: out of memory");
    p->db.kind = &db_postgres;
    int rc = reach(p, name, err);
    if (rc < 0) {
        close_postgres(&p->db);
        return rc;
    }
    *out = &p->db;
    return 0;
}

/* What a server that went away had said, and its end: both are there to be read before anything is asked of it. */
static void notice_end(PGconn *connection)
{
    struct pollfd fd = {.fd = PQsocket(connection), .events = POLLIN};
    for (int i = 0; i < 8 && PQstatus(connection) == CONNECTION_OK && poll(&fd, 1, 0) > 0; i++)
        (void)PQconsumeInput(connection);
}

static int connected(struct postgres *p, struct cofre_err *err)
{
    p->again = false;
    if (!p->db.inside)
        notice_end(p->connection);
    if (PQstatus(p->connection) == CONNECTION_OK)
        return 0;
    if (p->db.inside)
        return unreachable(p, err);
    p->count = 0;
    PQreset(p->connection);
    return PQstatus(p->connection) == CONNECTION_OK ? 0 : unreachable(p, err);
}

/* How long the server may be silent: a little more than it may take for a statement. */
#define SILENCE_MS ((DB_SECONDS + 5) * 1000)

/* What was sent goes out, and something comes; false where the connection is of no use any more. */
static bool wait_for_server(PGconn *connection, bool unsent)
{
    struct pollfd fd = {.fd = PQsocket(connection), .events = (short)(POLLIN | (unsent ? POLLOUT : 0))};
    int ready;
    while ((ready = poll(&fd, 1, SILENCE_MS)) < 0 && errno == EINTR)
        continue;
    if (ready <= 0)
        (void)shutdown(fd.fd, SHUT_RDWR); /* libpq then finds it closed, and says so */
    return !(fd.revents & ~POLLOUT || ready <= 0) || PQconsumeInput(connection);
}

/* The first result that is an error, else the last one. NULL where the connection broke before there was any. */
static PGresult *answer(PGconn *connection, int sent)
{
    PGresult *kept = NULL, *next;
    int unsent = 1;
    if (!sent)
        return NULL;
    while ((unsent = PQflush(connection)) > 0 || PQisBusy(connection))
        if (unsent < 0 || !wait_for_server(connection, unsent > 0))
            return NULL;
    while ((next = PQgetResult(connection))) {
        bool bad = kept && PQresultStatus(kept) == PGRES_FATAL_ERROR;
        PQclear(bad ? next : kept);
        kept = bad ? kept : next;
        while (PQisBusy(connection))
            if (!wait_for_server(connection, false))
                return kept;
    }
    return kept;
}

static int script(struct db *db, const char *sql, struct cofre_err *err)
{
    struct postgres *p = (struct postgres *)db;
    int rc = connected(p, err);
    if (rc < 0)
        return rc;
    PGresult *result = answer(p->connection, PQsendQuery(p->connection, sql));
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        rc = failed(p, result, err);
    else if (strcmp(sql, "COMMIT") == 0 && strcmp(PQcmdStatus(result), "COMMIT") != 0)
        rc = cofre_fail(err, COFRE_FAILED, "the database undid what it was to keep");
    PQclear(result);
    return rc;
}

static int prepare(struct postgres *p, const char *sql, const struct db_value *value, size_t values,
                   char name[static 16], struct cofre_err *err)
{
    static const Oid oid[] = {
        [DB_NULL] = 0, [DB_INTEGER] = OID_INT8, [DB_TEXT] = OID_TEXT, [DB_BYTES] = OID_BYTEA};
    Oid types[DB_VALUES];
    size_t i = 0;
    while (i < p->count && p->prepared[i] != sql)
        i++;
    (void)snprintf(name, 16, "s%zu", i);
    if (i < p->count)
        return 0;
    if (i == DB_STATEMENTS)
        return cofre_fail(err, COFRE_FAILED, "the database: more than %d different statements",
                          DB_STATEMENTS);
    for (size_t v = 0; v < values; v++)
        types[v] = oid[value[v].type];
    PGresult *result = answer(p->connection, PQsendPrepare(p->connection, name, sql, (int)values, types));
    int rc = PQresultStatus(result) == PGRES_COMMAND_OK ? 0 : failed(p, result, err);
    PQclear(result);
    if (rc == 0)
        p->prepared[p->count++] = sql;
    return rc;
}

static int column(const PGresult *result, int row, int i, struct db_value *out, struct cofre_err *err)
{
    const uint8_t *data = (const uint8_t *)PQgetvalue(result, row, i);
    const size_t len = (size_t)PQgetlength(result, row, i);
    uint64_t eight;
    uint32_t four;
    *out = (struct db_value){.type = DB_NULL};
    if (PQgetisnull(result, row, i))
        return 0;
    switch (PQftype(result, i)) {
    case OID_INT8:
        memcpy(&eight, data, sizeof eight);
        *out = db_integer((int64_t)be64toh(eight));
        return 0;
    case OID_INT4:
        memcpy(&four, data, sizeof four);
        *out = db_integer((int32_t)be32toh(four));
        return 0;
    case OID_BOOL:
        *out = db_integer(*data);
        return 0;
    case OID_TEXT:
        *out = (struct db_value){.type = DB_TEXT, .bytes = {data, len}};
        return 0;
    case OID_BYTEA:
        *out = db_bytes((struct view){data, len});
        return 0;
    default:
        return cofre_fail(err, COFRE_FAILED, "the database: column %d has a type that is not known here", i);
    }
}

static int take_rows(const PGresult *result, db_row row, void *context, struct cofre_err *err)
{
    const int rows = PQntuples(result), columns = PQnfields(result);
    struct db_value value[DB_VALUES];
    if (columns > DB_VALUES)
        return cofre_fail(err, COFRE_FAILED, "the database: %d columns", columns);
    for (int r = 0; row && r < rows; r++) {
        int rc = 0;
        for (int i = 0; i < columns && rc == 0; i++)
            rc = column(result, r, i, &value[i], err);
        if (rc == 0)
            rc = row(context, value, (size_t)columns, err);
        if (rc < 0)
            return rc;
    }
    return rows;
}

/* Integers go as text, which needs no knowledge of the type that the server has chosen for the parameter. */
static int run(struct db *db, const char *sql, const struct db_value *value, size_t values, db_row row,
               void *context, struct cofre_err *err)
{
    struct postgres *p = (struct postgres *)db;
    char name[16], number[DB_VALUES][24];
    const char *text[DB_VALUES];
    int length[DB_VALUES], format[DB_VALUES];
    int rc = connected(p, err);
    if (rc == 0)
        rc = prepare(p, sql, value, values, name, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < values; i++) {
        const struct db_value *v = &value[i];
        if (v->bytes.len > 1u << 30)
            return cofre_fail(err, COFRE_FAILED, "the database: a value of %zu bytes", v->bytes.len);
        (void)snprintf(number[i], sizeof number[i], "%lld", (long long)v->integer);
        text[i] = v->type == DB_NULL      ? NULL
                  : v->type == DB_INTEGER ? number[i]
                  : v->bytes.len          ? (const char *)v->bytes.data
                                          : "";
        length[i] = (int)v->bytes.len;
        format[i] = v->type == DB_TEXT || v->type == DB_BYTES;
    }
    PGresult *result =
        answer(p->connection, PQsendQueryPrepared(p->connection, name, (int)values, text, length, format, 1));
    const ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_TUPLES_OK)
        rc = take_rows(result, row, context, err);
    else if (status == PGRES_COMMAND_OK)
        rc = atoi(PQcmdTuples(result));
    else
        rc = failed(p, result, err);
    PQclear(result);
    return rc;
}

static bool again(struct db *db)
{
    return ((struct postgres *)db)->again;
}

/* Nothing that a client can ask for: see the header. */
static int forget(struct db *db, struct cofre_err *err)
{
    (void)db;
    (void)err;
    return 0;
}

const struct db_kind db_postgres = {
    .begin = "BEGIN",
    .open = open_postgres,
    .run = run,
    .script = script,
    .again = again,
    .close = close_postgres,
    .forget = forget,
};
