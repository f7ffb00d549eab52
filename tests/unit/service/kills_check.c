#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attest/log/file.h"
#include "keys/release.h"
#include "keys/version.h"
#include "tests/unit/service/kills.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"

#define OLD 4 /* rounds after which bytes that were gone are not searched for any more */

void kills_complain(struct kills *k, const char *format, ...)
{
    va_list args;
    if (k->complaint[0])
        return;
    va_start(args, format);
    (void)vsnprintf(k->complaint, sizeof k->complaint, format, args);
    va_end(args);
}

static void close_db(struct db **db)
{
    db_close(*db);
}
#define CLEAN_DB __attribute__((cleanup(close_db))) struct db

static struct db *connect(struct kills *k)
{
    struct db *db = NULL;
    struct cofre_err err = {""};
    if (db_open(&db, k->f->config.database, &err) < 0)
        kills_complain(k, "%s", err.text);
    return db;
}

/* What is there */

struct reading {
    struct kills *k;
    unsigned key;
    struct kept *seen;
};

static bool traced(const struct kills *k, unsigned key, int64_t version, const uint8_t *bytes)
{
    for (size_t i = 0; i < k->traces; i++)
        if (k->trace[i].key == key && k->trace[i].version == version &&
            memcmp(k->trace[i].bytes, bytes, sizeof k->trace[i].bytes) == 0)
            return true;
    return false;
}

static int take_version(void *context, const struct key_version *v, struct cofre_err *err)
{
    const struct reading *r = context;
    struct kills *k = r->k;
    (void)err;
    assert_true(v->version <= KILLS_VERSIONS && v->wrapped.len > sizeof k->trace->bytes);
    r->seen->version[v->version].there = true;
    if (traced(k, r->key, v->version, v->wrapped.data))
        return 0;
    if (k->traces == k->room) {
        k->room = k->room ? 2 * k->room : 256;
        k->trace = realloc(k->trace, k->room * sizeof *k->trace);
        assert_non_null(k->trace);
    }
    struct trace *t = &k->trace[k->traces++];
    *t = (struct trace){.key = r->key, .version = v->version};
    memcpy(t->bytes, v->wrapped.data, sizeof t->bytes);
    return 0;
}

static void read_key(struct kills *k, struct db *db, unsigned key, struct kept *seen)
{
    struct guest_key g;
    struct cofre_err err = {""};
    struct reading r = {k, key, seen};
    uint8_t value[KEY_VALUE_MAX];
    *seen = (struct kept){.there = false};
    snprintf(seen->name, sizeof seen->name, "%s", k->key[key].name);
    int rc = guest_key_find(&g, db, seen->name, &err);
    if (rc == -COFRE_NEGATIVE)
        return;
    if (rc < 0 || key_versions_list(db, seen->name, take_version, &r, &err) < 0) {
        kills_complain(k, "%s", err.text);
        return;
    }
    seen->there = true;
    seen->state = g.state;
    seen->current = g.current;
    seen->granted = g.grants > 0;
    seen->releases = key_release_count(db, seen->name, (struct view){0}, 0, INT64_MAX, &err);
    for (int64_t v = 1; v <= KILLS_VERSIONS; v++) {
        if (!seen->version[v].there)
            continue;
        if (key_version_open(value, db, fixture_root, &g, v, &err) != KILLS_VALUE) {
            kills_complain(k, "%s", err.text);
            continue;
        }
        seen->version[v].known = true;
        memcpy(seen->version[v].value, value, KILLS_VALUE);
    }
}

/* As it was to be; NULL, or in which point it is not. */
static const char *differs(const struct kept *want, const struct kept *seen)
{
    if (want->there != seen->there)
        return want->there ? "it is lost" : "it is there";
    if (!want->there)
        return NULL;
    if (want->state != seen->state)
        return seen->state == GUEST_KEY_DESTROYED   ? "it is destroyed"
               : want->state == GUEST_KEY_DESTROYED ? "it was destroyed, and lives"
                                                    : "its state is another";
    if (want->current != seen->current || want->granted != seen->granted)
        return "its terms are others";
    if (want->releases != seen->releases)
        return want->releases < seen->releases ? "a release is counted twice" : "a release is not counted";
    for (size_t v = 1; v <= KILLS_VERSIONS; v++) {
        if (want->version[v].there != seen->version[v].there)
            return want->version[v].there ? "a version is lost" : "a version was retired, and is there";
        if (want->version[v].there && want->version[v].known &&
            memcmp(want->version[v].value, seen->version[v].value, KILLS_VALUE) != 0)
            return "a value is another";
    }
    return NULL;
}

static void adopt(struct kills *k, unsigned key, const struct kept *seen)
{
    const bool for_good = k->key[key].gone_for_good && seen->state == GUEST_KEY_DESTROYED;
    k->key[key] = *seen;
    k->key[key].gone_for_good = for_good;
}

static void check_key(struct kills *k, struct db *db, unsigned key)
{
    struct kept seen;
    read_key(k, db, key, &seen);
    const char *why = differs(&k->key[key], &seen);
    if (why && k->doubt == (int)key)
        why = differs(&k->otherwise, &seen) ? why : NULL;
    if (why)
        kills_complain(k, "key %s: %s", seen.name, why);
    adopt(k, key, &seen);
}

void kills_look(struct kills *k, unsigned key)
{
    CLEAN_DB *db = connect(k);
    if (db)
        check_key(k, db, key);
}

/* All keys are as they were before a restore that nobody answered, which is not at all, or as the backup has them. */
static void decide_restore(struct kills *k, struct db *db)
{
    struct kept seen;
    unsigned any = 0, there = 0;
    for (unsigned i = 0; i < k->backed_up_keys; i++) {
        read_key(k, db, i, &seen);
        any += k->backed_up[i].there;
        there += seen.there;
    }
    if (there != 0 && there != any)
        kills_complain(k, "%u of %u keys were restored", there, any);
    k->restoring = there == 0;
    if (there)
        memcpy(k->key, k->backed_up, sizeof k->key);
    for (unsigned i = 0; i < k->keys; i++)
        k->key[i].releases = 0;
}

void kills_check(struct kills *k)
{
    CLEAN_DB *db = connect(k);
    if (db && k->restoring)
        decide_restore(k, db);
    for (unsigned i = 0; i < k->keys && db; i++)
        check_key(k, db, i);
    k->doubt = -1;
}

/* The files */

static size_t found_in(struct kills *k, const char *suffix, const struct trace *t, struct bytes *file)
{
    char path[128];
    snprintf(path, sizeof path, "%s%s", k->f->config.database, suffix);
    if (!file->data && access(path, F_OK) == 0)
        assert_int_equal(file_read(file, path, 256u << 20, NULL), 0);
    return file->len && memmem(file->data, file->len, t->bytes, sizeof t->bytes) != NULL;
}

void kills_search(struct kills *k, bool all)
{
    static const char *const suffixes[] = {"", "-wal"};
    struct bytes file[2] = {{0}, {0}};
    size_t left = 0;
    for (size_t i = 0; i < k->traces; i++) {
        struct trace *t = &k->trace[i];
        const struct kept *key = &k->key[t->key];
        const bool gone =
            key->there && (key->state == GUEST_KEY_DESTROYED ? all || key->gone_for_good
                                                             : all && !key->version[t->version].there);
        for (size_t s = 0; s < 2 && gone; s++)
            if (found_in(k, suffixes[s], t, &file[s]))
                kills_complain(k, "key %s, version %d: destroyed, and its bytes are in db%s", key->name,
                               (int)t->version, suffixes[s]);
        t->age += gone && all;
        if (t->age < OLD)
            k->trace[left++] = *t;
    }
    k->traces = left;
    for (size_t s = 0; s < 2; s++)
        bytes_free(&file[s]);
}

/* The log */

static int count_rows(void *context, const struct db_value *c, size_t columns, struct cofre_err *err)
{
    (void)columns;
    (void)err;
    *(int64_t *)context = c[0].integer;
    return 0;
}

static int count_released(void *context, const struct db_value *c, size_t columns, struct cofre_err *err)
{
    struct log_entry entry;
    (void)columns;
    int rc = log_entry_read(&entry, c[0].bytes, err);
    if (rc == 0)
        *(int64_t *)context += entry.kind == LOG_ENTRY_CHANGE && strcmp(entry.action, "released") == 0;
    return rc;
}

void kills_check_log(struct kills *k)
{
    CLEAN_DB *db = connect(k);
    struct cofre_err err = {""};
    int64_t rows = 0, entries = 0;
    if (!db || db_run(db, "SELECT COUNT(*) FROM guest_key_release", NULL, 0, count_rows, &rows, &err) < 0 ||
        db_run(db, "SELECT entry FROM log_entry", NULL, 0, count_released, &entries, &err) < 0)
        kills_complain(k, "the log: %s", err.text);
    else if (rows + k->wiped != entries)
        kills_complain(k, "%lld releases, and %lld in the log", (long long)rows, (long long)entries);
}
