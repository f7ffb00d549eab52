/* The log as its readers get it: entries as they are, heads, proofs. Whoever reads them needs to believe nobody. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attest/log/head.h"
#include "vmm/base/timestamp.h"
#include "vmm/host/audit/about.h"
#include "vmm/host/decide/parts.h"

#define LOG_ROOM "decide"
#include "vmm/base/log.h"

#define PAGE 100

static int no_memory(struct cofre_err *err)
{
    return cofre_fail(err, COFRE_FAILED, "no memory for an answer");
}

static int copy_bytes(void *context, struct view bytes, struct cofre_err *err)
{
    bytes_free(context);
    return bytes_copy(context, bytes, err);
}

static json_t *hex_text(const void *data, size_t len)
{
    char text[2 * 64 + 1];
    hex_encode(text, data, len);
    return json_string(text);
}

/* Heads and proofs */

static int newest(struct log_head *out, struct bytes *head, struct db *db, struct cofre_err *err)
{
    int64_t size = 0;
    int rc = db_log_head(db, &size, copy_bytes, head, err);
    return rc < 0 ? rc : log_head_read(out, bytes_view(head), err);
}

int work_audit_head(struct call *call, struct cofre_err *err)
{
    CLEAN_BYTES head = {0};
    CLEAN_DB_LOG log = {0};
    CLEAN_FREE char *text = NULL;
    struct log_head said;
    struct log_hash root;
    int64_t first;
    int rc = newest(&said, &head, call->db, err);
    if (rc == 0)
        rc = db_log_open(&log, call->db, err);
    if (rc == 0)
        rc = log_tree_root(&log.tree, said.state.size, &root, err);
    if (rc == 0)
        rc = base64_encode(&text, bytes_view(&head), err);
    if (rc < 0)
        return rc;
    rc = db_log_first(&first, call->db, err);
    if (rc < 0)
        return rc;
    call->answer = json_pack("{s:I, s:o, s:o, s:s, s:I}", "size", (json_int_t)said.state.size, "root",
                             hex_text(root.data, sizeof root.data), "time", json_time(said.time), "head",
                             text, "first", (json_int_t)first);
    return call->answer ? 0 : no_memory(err);
}

static json_t *path_of(const struct log_path *path)
{
    json_t *list = json_array();
    for (size_t i = 0; i < path->count; i++)
        json_array_append_new(list, hex_text(path->hash[i].data, sizeof path->hash[i].data));
    return list;
}

static int receipt_of(json_t *answer, struct db *db, enum log_receipt_kind kind, int64_t number,
                      struct cofre_err *err)
{
    CLEAN_BYTES receipt = {0};
    CLEAN_FREE char *text = NULL;
    int rc = db_log_prove(db, kind, number, &receipt, err);
    if (rc == 0)
        rc = base64_encode(&text, bytes_view(&receipt), err);
    if (rc == 0 && json_object_set_new(answer, "receipt", json_string(text)) < 0)
        rc = no_memory(err);
    return rc;
}

int work_audit_proof(struct call *call, struct cofre_err *err)
{
    CLEAN_BYTES head = {0};
    CLEAN_DB_LOG log = {0};
    struct log_head said;
    struct log_inclusion proof = {.index = strtoull(call_part(call, 0), NULL, 10)};
    int rc = newest(&said, &head, call->db, err);
    if (rc == 0)
        rc = db_log_open(&log, call->db, err);
    if (rc < 0)
        return rc;
    proof.size = call_query(call, "size", said.state.size);
    if (proof.index >= proof.size || proof.size > said.state.size)
        return cofre_fail(err, COFRE_NEGATIVE,
                          "no entry %llu is under a head of %llu entries of this log, which has %llu",
                          (unsigned long long)proof.index, (unsigned long long)proof.size,
                          (unsigned long long)said.state.size);
    rc = log_tree_prove_inclusion(&log.tree, &proof, err);
    if (rc < 0)
        return rc;
    call->answer = json_pack("{s:I, s:I, s:o}", "index", (json_int_t)proof.index, "size",
                             (json_int_t)proof.size, "path", path_of(&proof.path));
    if (!call->answer)
        return no_memory(err);
    return proof.size == said.state.size
               ? receipt_of(call->answer, call->db, LOG_RECEIPT_INCLUSION, (int64_t)proof.index, err)
               : 0;
}

int work_audit_consistency(struct call *call, struct cofre_err *err)
{
    CLEAN_BYTES head = {0};
    CLEAN_DB_LOG log = {0};
    struct log_head said;
    struct log_consistency proof = {.size1 = call_query(call, "first", 1)};
    int rc = newest(&said, &head, call->db, err);
    if (rc == 0)
        rc = db_log_open(&log, call->db, err);
    if (rc < 0)
        return rc;
    proof.size2 = call_query(call, "second", said.state.size);
    if (proof.size1 > proof.size2 || proof.size2 > said.state.size)
        return cofre_fail(err, COFRE_NEGATIVE, "this log has %llu entries, and no heads of %llu and %llu",
                          (unsigned long long)said.state.size, (unsigned long long)proof.size1,
                          (unsigned long long)proof.size2);
    rc = log_tree_prove_consistency(&log.tree, &proof, err);
    if (rc < 0)
        return rc;
    call->answer = json_pack("{s:I, s:I, s:o}", "first", (json_int_t)proof.size1, "second",
                             (json_int_t)proof.size2, "path", path_of(&proof.path));
    return call->answer ? 0 : no_memory(err);
}

/* Entries */

static void put(json_t *object, const char *name, const char *text)
{
    if (*text)
        json_object_set_new(object, name, json_string(text));
}

/* What a person wants to see; the bytes stand beside it. */
static json_t *in_words(const struct log_entry *e)
{
    static const char *const outcomes[] = {"allowed", "refused", "failed", "done"}, *const launches[] = {
                                                                                        "runs", "stopped",
                                                                                        "failed"};
    json_t *out = json_pack("{s:o}", "time", json_time(e->time));
    if (e->kind == LOG_ENTRY_OPERATION) {
        put(out, "operation", e->operation);
        put(out, "outcome", outcomes[e->outcome]);
        put(out, "who", e->subject);
        put(out, "from", e->from);
    } else if (e->kind == LOG_ENTRY_LAUNCH) {
        put(out, "launch", launches[e->outcome]);
        put(out, "tee", e->tee);
        json_object_set_new(out, "emulated", json_boolean(e->emulated));
        if (e->reported.len)
            json_object_set_new(out, "measurement", hex_text(e->reported.data, e->reported.len));
        if (e->predicted.len)
            json_object_set_new(out, "predicted", hex_text(e->predicted.data, e->predicted.len));
    } else if (e->kind == LOG_ENTRY_CLOCK) {
        json_object_set_new(out, "attested", json_integer(e->size));
    }
    put(out, "tenant", e->tenant);
    put(out, "object", e->object_name);
    put(out, "request", e->request);
    put(out, "detail", e->detail);
    return out;
}

struct reader {
    struct call *call;
    json_t *rows;
    struct about_query query;
    size_t limit;
    int64_t last; /* that is in it */
    bool more;
};

static json_t *row_of(int64_t number, const char *name, json_t *value)
{
    return json_pack("{s:I, s:o}", "index", (json_int_t)number, name, value);
}

static int add_entry(struct reader *r, int64_t number, struct view bytes, struct cofre_err *err)
{
    struct log_entry entry;
    CLEAN_FREE char *text = NULL;
    int rc = log_entry_read(&entry, bytes, err);
    if (rc == 0)
        rc = base64_encode(&text, bytes, err);
    if (rc < 0)
        return rc;
    json_t *words = in_words(&entry);
    if (!words || json_object_set_new(words, "bytes", json_string(text)) < 0 ||
        json_array_append_new(r->rows, row_of(number, "entry", words)) < 0)
        return no_memory(err);
    return 0;
}

/* Of which its hash is left. */
static int add_removed(struct reader *r, int64_t number, struct cofre_err *err)
{
    struct log_hash leaf;
    int rc = db_log_leaf(r->call->db, number, &leaf, err);
    if (rc == 0 &&
        json_array_append_new(r->rows, row_of(number, "leaf", hex_text(leaf.data, sizeof leaf.data))) < 0)
        rc = no_memory(err);
    return rc;
}

static int add(void *context, int64_t number, struct cofre_err *err)
{
    struct reader *r = context;
    CLEAN_BYTES bytes = {0};
    r->last = number;
    int rc = db_log_entry(r->call->db, number, copy_bytes, &bytes, err);
    return rc == 0                 ? add_entry(r, number, bytes_view(&bytes), err)
           : rc == -COFRE_NEGATIVE ? add_removed(r, number, err)
                                   : rc;
}

static int read_time(int64_t *out, const struct call *call, const char *name, int64_t otherwise,
                     struct cofre_err *err)
{
    const char *text = member_text(call->request.query, name, NULL);
    *out = otherwise;
    int rc = text ? time_parse(out, text, name, err) : 0;
    return rc < 0 ? -COFRE_MALFORMED : 0;
}

/* Whoever asks for nothing in particular gets the whole log, of which nothing is left out: the tree can be made again from it. */
static bool is_all(const struct about_query *q)
{
    return !q->tenant && !q->who && !q->object && !q->operation && !q->launches && !q->operations &&
           !q->differing && !q->newest && q->from == 0 && q->to == INT64_MAX;
}

static int read_query(struct reader *r, struct cofre_err *err)
{
    const json_t *query = r->call->request.query;
    const char *after = member_text(query, "after", NULL), *kind = member_text(query, "kind", "");
    r->limit = call_query(r->call, "limit", PAGE);
    r->query = (struct about_query){.tenant = call_tenant(r->call),
                                    .who = member_text(query, "who", NULL),
                                    .object = member_text(query, "guest", NULL),
                                    .operation = member_text(query, "operation", NULL),
                                    .launches = strcmp(kind, "launch") == 0,
                                    .operations = strcmp(kind, "operation") == 0,
                                    .differing = member_boolean(query, "differing", false),
                                    .newest = member_boolean(query, "newest", false),
                                    .after = after ? strtoll(after, NULL, 10) : -1,
                                    .limit = (int64_t)r->limit + 1};
    int rc = read_time(&r->query.from, r->call, "from", 0, err);
    return rc < 0 ? rc : read_time(&r->query.to, r->call, "to", INT64_MAX, err);
}

/* One more than the page has was asked for: that there is a next page is known without another question. */
static int add_if_room(void *context, int64_t number, struct cofre_err *err)
{
    struct reader *r = context;
    if (json_array_size(r->rows) < r->limit)
        return add(r, number, err);
    r->more = true;
    return 0;
}

static int add_all(struct reader *r, int64_t size, struct cofre_err *err)
{
    int64_t number = r->query.after + 1;
    int rc = 0;
    for (; rc == 0 && number < size && json_array_size(r->rows) < r->limit; number++)
        rc = add(r, number, err);
    r->more = number < size;
    return rc;
}

int work_audit_entries(struct call *call, struct cofre_err *err)
{
    CLEAN_BYTES head = {0};
    struct log_head said;
    struct reader r = {.call = call};
    int rc = newest(&said, &head, call->db, err);
    if (rc == 0)
        rc = read_query(&r, err);
    if (rc < 0)
        return rc;
    call->answer = json_pack("{s:o}", "entries", r.rows = json_array());
    rc = is_all(&r.query) ? add_all(&r, (int64_t)said.state.size, err)
                          : about_find(call->db, &r.query, add_if_room, &r, err);
    if (rc == 0 && r.more) {
        char next[24];
        (void)snprintf(next, sizeof next, "%lld", (long long)r.last);
        json_object_set_new(call->answer, "next", json_string(next));
    }
    return rc;
}

/* Retention */

/* What was deleted is in the database's files until the write-ahead log is written back. */
static void forget(struct call *call)
{
    struct cofre_err err;
    if (db_forget(call->decider->db, &err) < 0)
        log_warn("what was removed of the log is not gone from the disk yet: %s", err.text);
}

int work_audit_retain(struct call *call, struct cofre_err *err)
{
    const int64_t before = (int64_t)member_unsigned(call->request.body, "before", 0);
    const int64_t removed = audit_retain(call->turn, before, call->object, err);
    if (removed < 0)
        return (int)removed;
    call->then = forget;
    call->answer = json_pack("{s:I}", "removed", (json_int_t)removed);
    return call->answer ? 0 : no_memory(err);
}
