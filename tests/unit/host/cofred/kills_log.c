/* What must hold of cofred's log when nobody asks for anything. */
#include "tests/unit/host/cofred/kills.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "attest/cose/key.h"
#include "attest/log/head.h"
#include "attest/store/db_log.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"
#include "vmm/host/interface/schema.h"

#define SHOWN 60 /* entries */

static int copy_bytes(void *context, struct view bytes, struct cofre_err *err)
{
    bytes_free(context);
    return bytes_copy(context, bytes, err);
}

/* Where a start or an end is asked for it is done when that is on record; elsewhere the second half says so. What calls off a start that was
 * to follow is done at once. */
static bool is_done(enum kills_operation o, int64_t outcome)
{
    const bool ends = o == KILLS_STOP || o == KILLS_KILL,
               begins = ends || o == KILLS_START || o == KILLS_RESTART;
    return outcome == (begins ? LOG_OPERATION_ALLOWED : LOG_OPERATION_DONE) ||
           (ends && outcome == LOG_OPERATION_DONE);
}

static void count_entry(struct kills *k, const struct log_entry *e)
{
    if (e->kind != LOG_ENTRY_OPERATION)
        return;
    for (size_t client = 0; client < KILLS_CLIENTS; client++)
        for (size_t place = 0; place < KILLS_OBJECTS; place++)
            for (int o = 0; o < KILLS_OPERATIONS; o++)
                if (strcmp(e->object_name, k->shared->object[client][place].name) == 0 &&
                    strcmp(e->operation, kills_operation_names[o]) == 0)
                    k->done[client][place][o] += is_done((enum kills_operation)o, e->outcome);
}

static bool read_entries(struct kills *k)
{
    struct db *db = NULL;
    struct cofre_err err = {""};
    CLEAN_BYTES bytes = {0};
    struct log_entry entry;
    int rc = kills_open_database(&db, k, &err);
    for (; rc >= 0; k->entries++) {
        rc = db_log_entry(db, k->entries, copy_bytes, &bytes, &err);
        if (rc >= 0)
            rc = log_entry_read(&entry, bytes_view(&bytes), &err);
        if (rc < 0)
            break;
        count_entry(k, &entry);
    }
    db_close(db);
    return rc == -COFRE_NEGATIVE ? true : kills_wrong(k, "entry %lld: %s", (long long)k->entries, err.text);
}

void kills_show_entries(struct kills *k)
{
    struct db *db = NULL;
    struct cofre_err err = {""};
    CLEAN_BYTES bytes = {0};
    struct log_entry e;
    int64_t last = 0;
    int rc = kills_open_database(&db, k, &err);
    if (rc >= 0)
        rc = db_run(db, "SELECT size FROM log_state", NULL, 0, db_take_integer, &last, &err);
    for (int64_t i = last > SHOWN ? last - SHOWN : 0; rc >= 0 && i < last; i++) {
        rc = db_log_entry(db, i, copy_bytes, &bytes, &err);
        if (rc >= 0)
            rc = log_entry_read(&e, bytes_view(&bytes), &err);
        if (rc >= 0)
            (void)fprintf(stderr, "# %lld at %lld: %s of %.12s: %lld %s\n", (long long)i, (long long)e.time,
                          e.kind == LOG_ENTRY_LAUNCH ? "launch" : e.operation, e.object_name,
                          (long long)e.outcome, e.detail);
    }
    db_close(db);
}

bool kills_check_entries(struct kills *k)
{
    if (!read_entries(k))
        return false;
    for (size_t client = 0; client < KILLS_CLIENTS; client++)
        for (size_t place = 0; place < KILLS_OBJECTS; place++)
            for (int o = 0; o < KILLS_OPERATIONS; o++) {
                const struct kills_object *object = &k->shared->object[client][place];
                const unsigned done = k->done[client][place][o], least = object->acknowledged[o];
                if (done < least || done > least + object->cut_off[o])
                    return kills_wrong(k, "%s of %s: the log has %u, %u were acknowledged and %u cut off",
                                       kills_operation_names[o], object->name, done, least,
                                       object->cut_off[o]);
            }
    return true;
}

static int check_head(void *context, struct view head, const struct log_state *state, struct cofre_err *err)
{
    struct log_head said;
    int rc = log_head_verify(&said, head, context, err);
    if (rc == 0 && memcmp(&said.state, state, sizeof *state) != 0)
        rc = cofre_fail(err, COFRE_NEGATIVE, "a head is of other entries");
    return rc;
}

static int check_growth(const struct kills *k, struct log_file *log, struct cofre_err *err)
{
    struct log_hash root;
    int rc = 0;
    for (uint64_t i = 0; rc == 0 && i < k->heads && i < KILLS_HEADS; i++) {
        rc = log_tree_root(log_file_tree(log), k->head[i].size, &root, err);
        if (rc == 0 && memcmp(&root, &k->head[i].root, sizeof root) != 0)
            rc = cofre_fail(err, COFRE_NEGATIVE,
                            "it did not grow out of the head of %llu entries that was given out",
                            (unsigned long long)k->head[i].size);
    }
    return rc;
}

bool kills_see_head(struct kills *k)
{
    CLEAN_JSON *answer = NULL;
    struct kills_head *head = &k->head[k->heads % KILLS_HEADS];
    if (whole_ask(&k->whole, "GET", "/audit/head", NULL, &answer) != 200)
        return false;
    head->size = member_unsigned(answer, "size", 0);
    k->heads += hex_decode(head->root.data, sizeof head->root.data, member_text(answer, "root", ""));
    return true;
}

bool kills_check_log(struct kills *k)
{
    static struct cose_keys keys;
    const struct log_heads heads = {.context = &keys, .check = check_head, .check_all = true};
    char path[256], copy[256];
    struct bytes pem = {0};
    struct db *db = NULL;
    struct cofre_err err = {""};
    struct log_file *log = NULL;
    (void)snprintf(path, sizeof path, "%s/log-key.pem.pub", k->whole.state);
    (void)snprintf(copy, sizeof copy, "%s/copy-of-the-log", k->whole.state);
    keys = (struct cose_keys){.count = 0};
    int rc = file_read(&pem, path, 65536, &err);
    if (rc == 0)
        rc = cose_keys_parse_pem(&keys, bytes_view(&pem), &err);
    if (rc == 0)
        rc = kills_open_database(&db, k, &err);
    FILE *to = rc == 0 ? fopen(copy, "w+e") : NULL;
    if (rc == 0)
        rc = to ? db_log_copy(db, to, &err) : cofre_fail(&err, COFRE_FAILED, "no copy of the log");
    if (to)
        (void)fclose(to);
    if (rc >= 0)
        rc = log_file_open(&log, copy, &heads, &err);
    if (rc >= 0 && log_file_state(log)->size != (uint64_t)k->entries)
        rc = cofre_fail(&err, COFRE_NEGATIVE, "%lld entries, and a head of fewer", (long long)k->entries);
    if (rc >= 0)
        rc = check_growth(k, log, &err);
    log_file_close(log);
    cose_keys_free(&keys);
    bytes_free(&pem);
    db_close(db);
    (void)unlink(copy);
    return rc < 0 ? kills_wrong(k, "the log: %s", err.text) : true;
}
