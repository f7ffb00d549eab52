/* The log as its readers get it: entries as they are, heads, proofs. Whoever reads them needs to believe nobody. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attest/log/head.h"
#include "vmm/base/timestamp.h"
#include "vmm/host/decide/parts.h"

#define PAGE    100
#define LOOK_AT 4096 /* entries that one request looks at: others wait meanwhile */

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
    int rc = newest(&said, &head, call->db, err);
    if (rc == 0)
        rc = db_log_open(&log, call->db, err);
    if (rc == 0)
        rc = log_tree_root(&log.tree, said.state.size, &root, err);
    if (rc == 0)
        rc = base64_encode(&text, bytes_view(&head), err);
    if (rc < 0)
        return rc;
    call->answer =
        json_pack("{s:I, s:o, s:o, s:s}", "size", (json_int_t)said.state.size, "root",
                  hex_text(root.data, sizeof root.data), "time", json_time(said.time), "head", text);
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

struct reader {
    struct call *call;
    json_t *rows;
    int64_t from, to;
    const char *tenant, *operation, *guest;
};

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
    }
    put(out, "tenant", e->tenant);
    put(out, "object", e->object_name);
    put(out, "request", e->request);
    put(out, "detail", e->detail);
    return out;
}

static bool matches(const char *pattern, const char *operation)
{
    const size_t len = strlen(pattern);
    return len && pattern[len - 1] == '*' ? strncmp(pattern, operation, len - 1) == 0
                                          : strcmp(pattern, operation) == 0;
}

static bool is_wanted(const struct reader *r, const struct log_entry *e)
{
    return e->time >= r->from && e->time < r->to && (!r->tenant || strcmp(r->tenant, e->tenant) == 0) &&
           (!r->guest || strcmp(r->guest, e->object_name) == 0) &&
           (!r->operation || matches(r->operation, e->operation));
}

static int add(struct reader *r, int64_t number, struct view bytes, struct cofre_err *err)
{
    struct log_entry entry;
    CLEAN_FREE char *text = NULL;
    int rc = log_entry_read(&entry, bytes, err);
    if (rc < 0 || !is_wanted(r, &entry))
        return rc;
    rc = base64_encode(&text, bytes, err);
    if (rc < 0)
        return rc;
    json_t *words = in_words(&entry);
    if (!words || json_object_set_new(words, "bytes", json_string(text)) < 0 ||
        json_array_append_new(r->rows, json_pack("{s:I, s:o}", "index", (json_int_t)number, "entry", words)) <
            0)
        return no_memory(err);
    return 0;
}

static int read_time(int64_t *out, const struct call *call, const char *name, int64_t otherwise,
                     struct cofre_err *err)
{
    const char *text = member_text(call->request.query, name, NULL);
    *out = otherwise;
    int rc = text ? time_parse(out, text, name, err) : 0;
    return rc < 0 ? -COFRE_MALFORMED : 0;
}

int work_audit_entries(struct call *call, struct cofre_err *err)
{
    const json_t *query = call->request.query;
    CLEAN_BYTES head = {0}, bytes = {0};
    struct log_head said;
    struct reader r = {.call = call,
                       .tenant = call_tenant(call),
                       .operation = member_text(query, "operation", NULL),
                       .guest = member_text(query, "guest", NULL)};
    const size_t limit = call_query(call, "limit", PAGE);
    const char *after = member_text(query, "after", NULL);
    const int64_t first = after ? strtoll(after, NULL, 10) + 1 : 0;
    int64_t number = first;
    int rc = newest(&said, &head, call->db, err);
    if (rc == 0)
        rc = read_time(&r.from, call, "from", 0, err);
    if (rc == 0)
        rc = read_time(&r.to, call, "to", INT64_MAX, err);
    if (rc < 0)
        return rc;
    call->answer = json_pack("{s:o}", "entries", r.rows = json_array());
    for (; rc >= 0 && number < (int64_t)said.state.size && json_array_size(r.rows) < limit &&
           number - first < LOOK_AT;
         number++) {
        rc = db_log_entry(call->db, number, copy_bytes, &bytes, err);
        if (rc >= 0)
            rc = add(&r, number, bytes_view(&bytes), err);
        else if (rc == -COFRE_NEGATIVE)
            rc = 0; /* removed */
    }
    if (rc >= 0 && number < (int64_t)said.state.size) {
        char next[24];
        (void)snprintf(next, sizeof next, "%lld", (long long)(number - 1));
        json_object_set_new(call->answer, "next", json_string(next));
    }
    return rc < 0 ? rc : 0;
}
