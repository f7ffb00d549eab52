#include "attest/store/db_log.h"

#include <openssl/rand.h>
#include <stdio.h>

static int take_hash(void *context, const struct db_value *column, size_t columns, struct cofre_err *err)
{
    (void)columns;
    if (column[0].bytes.len != LOG_HASH_SIZE)
        return cofre_fail(err, COFRE_FAILED, "a hash of the log has %zu bytes", column[0].bytes.len);
    memcpy(context, column[0].bytes.data, LOG_HASH_SIZE);
    return 0;
}

static int find_hash(struct db *db, uint64_t position, struct log_hash *out, struct cofre_err *err)
{
    int rc = DB_RUN(db, "SELECT hash FROM log_hash WHERE position = $1", take_hash, out, err,
                    db_integer((int64_t)position));
    if (rc == 0)
        return cofre_fail(err, COFRE_FAILED, "hash %llu of the log is missing", (unsigned long long)position);
    return rc < 0 ? rc : 0;
}

static int read_hash(void *context, uint64_t position, struct log_hash *out, struct cofre_err *err)
{
    return find_hash(((const struct db_log *)context)->db, position, out, err);
}

int db_log_leaf(struct db *db, int64_t number, struct log_hash *out, struct cofre_err *err)
{
    return find_hash(db, log_tree_leaf((uint64_t)number), out, err);
}

static int append_hashes(void *context, uint64_t position, const struct log_hash *hash, size_t count,
                         struct cofre_err *err)
{
    const struct db_log *log = context;
    int rc = 0;
    for (size_t i = 0; i < count && rc >= 0; i++)
        rc =
            DB_RUN(log->db, "INSERT INTO log_hash (position, hash) VALUES ($1, $2)", NULL, NULL, err,
                   db_integer((int64_t)(position + i)), db_bytes((struct view){hash[i].data, LOG_HASH_SIZE}));
    return rc < 0 ? rc : 0;
}

static int open_tree(struct db_log *out, struct db *db, int rc, int64_t size, struct cofre_err *err)
{
    if (rc < 0)
        return rc;
    if (rc == 0)
        return cofre_fail(err, COFRE_FAILED, "the log is not in the database");
    out->db = db;
    const struct log_hash_list list = {out, read_hash, append_hashes};
    return log_tree_open(&out->tree, &list, (uint64_t)size, err);
}

static const char SIZE[] = "SELECT size FROM log_state";

int db_log_open(struct db_log *out, struct db *db, struct cofre_err *err)
{
    int64_t size = 0;
    *out = (struct db_log){0};
    int rc = db_run(db, SIZE, NULL, 0, db_take_integer, &size, err);
    return open_tree(out, db, rc, size, err);
}

int db_log_open_to_append(struct db_log *out, struct db *db, struct cofre_err *err)
{
    int64_t size = 0;
    *out = (struct db_log){0};
    int rc =
        db_run(db, "UPDATE log_state SET size = size", NULL, 0, NULL, NULL, err); /* whoever holds the row */
    if (rc >= 0)
        rc = db_run(db, SIZE, NULL, 0, db_take_integer, &size, err);
    return open_tree(out, db, rc, size, err);
}

void db_log_close(struct db_log *log)
{
    if (log->db)
        log_tree_close(&log->tree);
}

int db_log_append(struct db_log *log, struct view entry, int64_t *number, struct cofre_err *err)
{
    *number = (int64_t)log->tree.size;
    int rc = DB_RUN(log->db, "INSERT INTO log_entry (number, entry) VALUES ($1, $2)", NULL, NULL, err,
                    db_integer(*number), db_bytes(entry));
    return rc < 0 ? rc : log_tree_append(&log->tree, entry, err);
}

int db_log_write(struct db_log *log, const struct log_entry *entry, int64_t *number, struct cofre_err *err)
{
    CLEAN_BYTES bytes = {0};
    int rc = log_entry_write(&bytes, entry, err);
    return rc < 0 ? rc : db_log_append(log, bytes_view(&bytes), number, err);
}

int db_log_begin(struct db_log *log, const char *name, int64_t now, struct cofre_err *err)
{
    struct log_entry genesis = {.kind = LOG_ENTRY_GENESIS, .time = now};
    int64_t number;
    if (log->tree.size)
        return 0;
    (void)snprintf(genesis.name, sizeof genesis.name, "%s", name);
    if (RAND_bytes(genesis.random, sizeof genesis.random) != 1)
        return cofre_fail(err, COFRE_FAILED, "there are no random bytes");
    return db_log_write(log, &genesis, &number, err);
}

int db_log_sign(struct db_log *log, const char *name, EVP_PKEY *key, int64_t now, struct cofre_err *err)
{
    CLEAN_BYTES message = {0};
    uint8_t kid[COSE_THUMBPRINT_SIZE];
    struct log_head head = {.state = {.size = log->tree.size}, .time = now};
    (void)snprintf(head.name, sizeof head.name, "%s", name);
    int rc = log_tree_root(&log->tree, log->tree.size, &head.state.root, err);
    if (rc == 0)
        rc = read_hash(log, 0, &head.state.id, err); /* the first entry's leaf: the log's name for ever */
    if (rc == 0)
        rc = cose_key_thumbprint(kid, key, err);
    if (rc == 0)
        rc = log_head_sign(&message, &head, key, (struct view){kid, sizeof kid}, err);
    if (rc == 0)
        rc = DB_RUN(log->db, "UPDATE log_state SET size = $1", NULL, NULL, err,
                    db_integer((int64_t)log->tree.size));
    if (rc >= 0)
        rc = DB_RUN(log->db, "INSERT INTO log_head (size, head) VALUES ($1, $2)", NULL, NULL, err,
                    db_integer((int64_t)log->tree.size), db_bytes(bytes_view(&message)));
    return rc < 0 ? rc : 0;
}

struct taker {
    db_log_take take;
    void *context;
    int64_t size;
};

static int take_bytes(void *context, const struct db_value *column, size_t columns, struct cofre_err *err)
{
    struct taker *taker = context;
    if (columns > 1)
        taker->size = column[1].integer;
    return taker->take(taker->context, column[0].bytes, err);
}

int db_log_entry(struct db *db, int64_t number, db_log_take take, void *context, struct cofre_err *err)
{
    struct taker taker = {take, context, 0};
    int rc = DB_RUN(db, "SELECT entry FROM log_entry WHERE number = $1", take_bytes, &taker, err,
                    db_integer(number));
    if (rc == 0)
        return cofre_fail(err, COFRE_NEGATIVE, "the log has no entry %lld, or not any more",
                          (long long)number);
    return rc < 0 ? rc : 0;
}

int db_log_first(int64_t *out, struct db *db, struct cofre_err *err)
{
    *out = 0;
    int rc = db_run(db, "SELECT number FROM log_entry WHERE number >= 1 ORDER BY number LIMIT 1", NULL, 0,
                    db_take_integer, out, err);
    if (rc == 0)
        rc = db_run(db, SIZE, NULL, 0, db_take_integer, out, err);
    return rc < 0 ? rc : 0;
}

int64_t db_log_remove(struct db *db, int64_t before, struct cofre_err *err)
{
    return DB_RUN(db, "DELETE FROM log_entry WHERE number >= 1 AND number < $1", NULL, NULL, err,
                  db_integer(before));
}

int db_log_end(struct db *db, struct cofre_err *err)
{
    return db_script(
        db,
        "DELETE FROM log_entry; DELETE FROM log_hash; DELETE FROM log_head; UPDATE log_state SET size = 0",
        err);
}

int db_log_head(struct db *db, int64_t *size, db_log_take take, void *context, struct cofre_err *err)
{
    struct taker taker = {take, context, 0};
    int rc = db_run(db, "SELECT head, size FROM log_head ORDER BY size DESC LIMIT 1", NULL, 0, take_bytes,
                    &taker, err);
    *size = taker.size;
    if (rc == 0)
        return cofre_fail(err, COFRE_NEGATIVE, "the log has no entry yet, and so no head");
    return rc < 0 ? rc : 0;
}

int db_log_next_head(struct db *db, int64_t after, int64_t *size, db_log_take take, void *context,
                     struct cofre_err *err)
{
    struct taker taker = {take, context, 0};
    int rc = DB_RUN(db, "SELECT head, size FROM log_head WHERE size > $1 ORDER BY size LIMIT 1", take_bytes,
                    &taker, err, db_integer(after));
    *size = taker.size;
    if (rc == 0)
        return cofre_fail(err, COFRE_NEGATIVE, "the log has no head over more than %lld entries",
                          (long long)after);
    return rc < 0 ? rc : 0;
}
