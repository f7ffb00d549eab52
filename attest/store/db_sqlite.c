/* SQLite: a write-ahead log, synchronised at each commit, and written back when it has 4000 pages (16 MiB): what many transactions changed is
 * written back once. */
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attest/store/db_kind.h"
#include "vmm/base/cleanup.h"

struct prepared {
    const char *sql; /* by its address */
    sqlite3_stmt *statement;
};

struct sqlite {
    struct db db;
    sqlite3 *handle;
    struct prepared prepared[DB_STATEMENTS];
    size_t count;
    bool again;
};

static int failed(struct sqlite *s, struct cofre_err *err)
{
    int code = s->handle ? sqlite3_errcode(s->handle) : SQLITE_NOMEM;
    const char *why = s->handle ? sqlite3_errmsg(s->handle) : sqlite3_errstr(code);
    bool busy = (code & 0xff) == SQLITE_BUSY || (code & 0xff) == SQLITE_LOCKED;
    s->again = busy;
    if (busy)
        return cofre_fail(err, COFRE_LACKING, "the database is kept locked by another program: %s", why);
    return cofre_fail(err, COFRE_FAILED, "the database: %s", why);
}

static void close_sqlite(struct db *db)
{
    struct sqlite *s = (struct sqlite *)db;
    for (size_t i = 0; i < s->count; i++)
        sqlite3_finalize(s->prepared[i].statement);
    sqlite3_close(s->handle);
    free(s);
}

static int script(struct db *db, const char *sql, struct cofre_err *err)
{
    struct sqlite *s = (struct sqlite *)db;
    s->again = false;
    return sqlite3_exec(s->handle, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : failed(s, err);
}

/* The file has its mode before it has content. One that is there is not touched: closing it would give up the locks that this
 * process has on it by other connections, and who came next would take its log for nobody's, and delete it. */
static int make_file(const char *path, struct cofre_err *err)
{
    CLEAN_FD fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return fd >= 0 || (errno == EEXIST && access(path, R_OK | W_OK) == 0)
               ? 0
               : cofre_fail(err, COFRE_LACKING, "the database %s cannot be opened: %m", path);
}

static int open_sqlite(struct db **out, const char *path, struct cofre_err *err)
{
    struct sqlite *s = calloc(1, sizeof *s);
    if (!s)
        return cofre_fail(err, COFRE_FAILED, "the database: out of memory");
    s->db.kind = &db_sqlite;
    int rc = make_file(path, err);
    if (rc == 0 &&
        sqlite3_open_v2(path, &s->handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                        NULL) != SQLITE_OK)
        rc = failed(s, err);
    if (rc == 0) {
        (void)sqlite3_busy_timeout(s->handle, DB_SECONDS * 1000);
        /* What is taken back to a savepoint is kept in memory: the caller may have no other folder to write to. */
        rc = script(&s->db,
                    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
                    "PRAGMA secure_delete = ON; PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY;"
                    "PRAGMA wal_autocheckpoint = 4000",
                    err);
    }
    if (rc < 0) {
        close_sqlite(&s->db);
        return cofre_within(err, rc, "%s", path);
    }
    *out = &s->db;
    return 0;
}

static int prepare(struct sqlite *s, const char *sql, sqlite3_stmt **out, struct cofre_err *err)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->prepared[i].sql == sql) {
            *out = s->prepared[i].statement;
            return 0;
        }
    if (s->count == DB_STATEMENTS)
        return cofre_fail(err, COFRE_FAILED, "the database: more than %d different statements",
                          DB_STATEMENTS);
    if (sqlite3_prepare_v3(s->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL) != SQLITE_OK)
        return failed(s, err);
    s->prepared[s->count++] = (struct prepared){sql, *out};
    return 0;
}

/* "$1" is a name to SQLite, and a name that stands twice is one parameter. */
static int bind(struct sqlite *s, sqlite3_stmt *statement, const struct db_value *value, size_t values,
                struct cofre_err *err)
{
    if ((size_t)sqlite3_bind_parameter_count(statement) != values)
        return cofre_fail(err, COFRE_FAILED, "the database: %zu values for %d parameters", values,
                          sqlite3_bind_parameter_count(statement));
    for (size_t i = 0; i < values; i++) {
        char name[16];
        const struct db_value *v = &value[i];
        const void *data = v->bytes.len ? (const void *)v->bytes.data : "";
        (void)snprintf(name, sizeof name, "$%zu", i + 1);
        int at = sqlite3_bind_parameter_index(statement, name);
        int rc = v->type == DB_INTEGER ? sqlite3_bind_int64(statement, at, v->integer)
                 : v->type == DB_TEXT
                     ? sqlite3_bind_text64(statement, at, data, v->bytes.len, SQLITE_STATIC, SQLITE_UTF8)
                 : v->type == DB_BYTES ? sqlite3_bind_blob64(statement, at, data, v->bytes.len, SQLITE_STATIC)
                                       : sqlite3_bind_null(statement, at);
        if (rc != SQLITE_OK)
            return failed(s, err);
    }
    return 0;
}

static struct db_value column(sqlite3_stmt *statement, int i)
{
    switch (sqlite3_column_type(statement, i)) {
    case SQLITE_INTEGER:
        return db_integer(sqlite3_column_int64(statement, i));
    case SQLITE_TEXT: {
        const uint8_t *text = sqlite3_column_text(statement, i);
        return (struct db_value){.type = DB_TEXT,
                                 .bytes = {text, (size_t)sqlite3_column_bytes(statement, i)}};
    }
    case SQLITE_BLOB: {
        const uint8_t *data = sqlite3_column_blob(statement, i);
        return db_bytes((struct view){data, (size_t)sqlite3_column_bytes(statement, i)});
    }
    default:
        return (struct db_value){.type = DB_NULL};
    }
}

static int step(struct sqlite *s, sqlite3_stmt *statement, db_row row, void *context, struct cofre_err *err)
{
    const size_t columns = (size_t)sqlite3_column_count(statement);
    struct db_value value[DB_VALUES];
    int rows = 0, rc;
    while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
        rows++;
        if (!row)
            continue;
        for (size_t i = 0; i < columns && i < DB_VALUES; i++)
            value[i] = column(statement, (int)i);
        int taken = row(context, value, columns, err);
        if (taken < 0)
            return taken;
    }
    if (rc != SQLITE_DONE)
        return failed(s, err);
    return columns ? rows : sqlite3_changes(s->handle);
}

static int run(struct db *db, const char *sql, const struct db_value *value, size_t values, db_row row,
               void *context, struct cofre_err *err)
{
    struct sqlite *s = (struct sqlite *)db;
    sqlite3_stmt *statement;
    s->again = false;
    int rc = prepare(s, sql, &statement, err);
    if (rc == 0)
        rc = bind(s, statement, value, values, err);
    else
        return rc;
    if (rc == 0)
        rc = step(s, statement, row, context, err);
    (void)sqlite3_reset(statement);
    (void)sqlite3_clear_bindings(statement);
    return rc;
}

static bool again(struct db *db)
{
    return ((struct sqlite *)db)->again;
}

/* That the log was cut is on the disk, too: SQLite leaves that to the next transaction. */
static int sync_log(struct sqlite *s, struct cofre_err *err)
{
    sqlite3_file *log = NULL;
    if (sqlite3_file_control(s->handle, NULL, SQLITE_FCNTL_JOURNAL_POINTER, &log) != SQLITE_OK)
        return failed(s, err);
    return !log || !log->pMethods || log->pMethods->xSync(log, SQLITE_SYNC_NORMAL) == SQLITE_OK
               ? 0
               : cofre_fail(err, COFRE_FAILED, "the database's log could not be synced");
}

/* Waits for readers as long as for locks, which the busy timeout says. */
static int forget(struct db *db, struct cofre_err *err)
{
    struct sqlite *s = (struct sqlite *)db;
    int left = -1, moved;
    s->again = false;
    if (sqlite3_wal_checkpoint_v2(s->handle, NULL, SQLITE_CHECKPOINT_TRUNCATE, &left, &moved) != SQLITE_OK)
        return failed(s, err);
    return left == 0
               ? sync_log(s, err)
               : cofre_fail(err, COFRE_LACKING, "the database's log could not be emptied: it is being read");
}

/* One read of the whole: who writes meanwhile writes to the log, of which this sees nothing. */
static int copy_to(struct sqlite *s, sqlite3 *to, struct cofre_err *err)
{
    sqlite3_backup *copy = sqlite3_backup_init(to, "main", s->handle, "main");
    const int rc = copy ? sqlite3_backup_step(copy, -1) : sqlite3_errcode(to);
    if (sqlite3_backup_finish(copy) != SQLITE_OK || rc != SQLITE_DONE)
        return cofre_fail(err, COFRE_FAILED, "the database cannot be copied: %s", sqlite3_errstr(rc));
    return sqlite3_exec(to, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL) == SQLITE_OK
               ? 0
               : cofre_fail(err, COFRE_FAILED, "the database's copy: %s", sqlite3_errmsg(to));
}

static int copy(struct db *db, const char *path, struct cofre_err *err)
{
    sqlite3 *to = NULL;
    if (unlink(path) < 0 && errno != ENOENT)
        return cofre_fail(err, COFRE_LACKING, "%s: %s", path, strerror(errno));
    int rc = make_file(path, err);
    if (rc < 0)
        return rc;
    rc = sqlite3_open_v2(path, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK
             ? copy_to((struct sqlite *)db, to, err)
             : cofre_fail(err, COFRE_FAILED, "%s: %s", path, sqlite3_errmsg(to));
    sqlite3_close(to);
    return rc;
}

static int take_good(void *context, const struct db_value *column, size_t columns, struct cofre_err *err)
{
    const char *said = db_string(&column[0]);
    (void)context;
    return columns == 1 && said && strcmp(said, "ok") == 0
               ? 0
               : cofre_fail(err, COFRE_NEGATIVE, "the database is damaged: %.160s", said ? said : "");
}

static int take_bad(void *context, const struct db_value *column, size_t columns, struct cofre_err *err)
{
    (void)context, (void)columns;
    return cofre_fail(err, COFRE_NEGATIVE,
                      "the database is damaged: a row of %.80s names one that is not there",
                      db_string(&column[0]));
}

static int check(struct db *db, struct cofre_err *err)
{
    int rc = run(db, "PRAGMA integrity_check(1)", NULL, 0, take_good, NULL, err);
    if (rc >= 0)
        rc = run(db, "PRAGMA foreign_key_check", NULL, 0, take_bad, NULL, err);
    return rc < 0 ? rc : 0;
}

const struct db_kind db_sqlite = {
    .begin = "BEGIN IMMEDIATE",
    .open = open_sqlite,
    .run = run,
    .script = script,
    .again = again,
    .close = close_sqlite,
    .forget = forget,
    .copy = copy,
    .check = check,
};
