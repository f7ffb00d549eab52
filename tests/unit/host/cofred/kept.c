#include "tests/unit/host/cofred/kept.h"

#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static sqlite3_stmt *prepare(struct kept *kept, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(kept->db, sql, -1, &statement, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(kept->db));
    return statement;
}

void kept_open(struct kept *kept, const char *state)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/cofred.db", state);
    assert_int_equal(sqlite3_open_v2(path, &kept->db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_busy_timeout(kept->db, 10000), SQLITE_OK);
}

void kept_close(struct kept *kept)
{
    (void)sqlite3_close(kept->db);
    kept->db = NULL;
}

/* A type and a length before each, so that no two rows are the same bytes. */
static void digest_row(EVP_MD_CTX *md, sqlite3_stmt *row)
{
    for (int i = 0; i < sqlite3_column_count(row); i++) {
        const int type = sqlite3_column_type(row, i);
        const void *bytes = sqlite3_column_blob(row, i);
        const int head[2] = {type, sqlite3_column_bytes(row, i)};
        assert_int_equal(EVP_DigestUpdate(md, head, sizeof head), 1);
        assert_int_equal(EVP_DigestUpdate(md, bytes, (size_t)head[1]), 1);
    }
}

struct kept_digest kept_digest(struct kept *kept)
{
    struct kept_digest out;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestInit(md, EVP_sha256()), 1);
    sqlite3_stmt *tables =
        prepare(kept, "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT IN"
                      " ('log_state', 'log_entry', 'log_hash', 'log_head', 'log_about') ORDER BY name");
    while (sqlite3_step(tables) == SQLITE_ROW) {
        char sql[128];
        (void)snprintf(sql, sizeof sql, "SELECT * FROM \"%s\"", (const char *)sqlite3_column_text(tables, 0));
        sqlite3_stmt *rows = prepare(kept, sql);
        int rc;
        while ((rc = sqlite3_step(rows)) == SQLITE_ROW)
            digest_row(md, rows);
        assert_int_equal(rc, SQLITE_DONE);
        (void)sqlite3_finalize(rows);
        assert_int_equal(EVP_DigestUpdate(md, sql, strlen(sql)), 1);
    }
    (void)sqlite3_finalize(tables);
    assert_int_equal(EVP_DigestFinal(md, out.sha256, NULL), 1);
    EVP_MD_CTX_free(md);
    return out;
}

bool kept_equal(const struct kept_digest *a, const struct kept_digest *b)
{
    return memcmp(a->sha256, b->sha256, sizeof a->sha256) == 0;
}

void kept_entries(struct kept *kept, int64_t *after, kept_take take, void *context)
{
    sqlite3_stmt *rows =
        prepare(kept, "SELECT number, entry FROM log_entry WHERE number > ?1 ORDER BY number");
    int rc;
    assert_int_equal(sqlite3_bind_int64(rows, 1, *after), SQLITE_OK);
    while ((rc = sqlite3_step(rows)) == SQLITE_ROW) {
        struct log_entry entry;
        struct cofre_err err = {""};
        const struct view bytes = {sqlite3_column_blob(rows, 1), (size_t)sqlite3_column_bytes(rows, 1)};
        *after = sqlite3_column_int64(rows, 0);
        if (log_entry_read(&entry, bytes, &err) < 0)
            fail_msg("entry %lld: %s", (long long)*after, err.text);
        take(context, &entry);
    }
    assert_int_equal(rc, SQLITE_DONE);
    (void)sqlite3_finalize(rows);
}
