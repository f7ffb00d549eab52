/* cofre audit --server: a copy of a running cofred's log, which grows with it. The tree is made again from the entries that come, so
 * that the signed head says of each whether it is what was logged; no word of cofred's is needed for that. */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "vmm/base/json.h"
#include "vmm/base/number.h"
#include "vmm/cli/audit.h"
#include "vmm/cli/log_fetch.h"

#define PAGE 1000

struct fetch {
    struct host_run run; /* its server */
    struct log_checker checker;
    struct bytes message; /* the head that cofred shows, */
    struct log_head head; /* verified by the keys */
};

/* Entries */

static int add_entry(struct log_file *log, const char *text, struct cofre_err *err)
{
    CLEAN_BYTES bytes = {0};
    int rc = base64_decode(&bytes, LOG_ENTRY_MAX, text, err);
    return rc < 0 ? rc : log_file_append(log, bytes_view(&bytes), NULL, err);
}

static int add_removed(struct log_file *log, const char *text, struct cofre_err *err)
{
    struct log_hash leaf;
    return hex_decode(leaf.data, sizeof leaf.data, text)
               ? log_file_append_removed(log, &leaf, err)
               : cofre_fail(err, COFRE_MALFORMED, "its hash is not %d hexadecimal digits", 2 * LOG_HASH_SIZE);
}

static int add(struct log_file *log, uint64_t number, const json_t *row, struct cofre_err *err)
{
    const json_t *index = json_object_get(row, "index");
    const char *bytes = json_string_value(json_object_get(json_object_get(row, "entry"), "bytes")),
               *leaf = json_string_value(json_object_get(row, "leaf"));
    int rc = json_is_integer(index) && (uint64_t)json_integer_value(index) == number && (bytes || leaf)
                 ? 0
                 : cofre_fail(err, COFRE_MALFORMED, "it is not what was asked for");
    if (rc == 0)
        rc = bytes ? add_entry(log, bytes, err) : add_removed(log, leaf, err);
    return rc < 0 ? cofre_within(err, rc, "entry %" PRIu64, number) : 0;
}

/* Those from *number on, as many as come at once. */
static int get_page(struct fetch *f, struct log_file *log, uint64_t *number, struct cofre_err *err)
{
    char after[24];
    (void)snprintf(after, sizeof after, "%" PRIu64, *number - 1);
    CLEAN_JSON *query = json_pack("{s:i, s:s*}", "limit", PAGE, "after", *number ? after : NULL),
               *shown = NULL;
    int rc = log_fetch(&shown, &f->run, OPERATION_AUDIT_ENTRIES, query, err);
    const json_t *rows = json_object_get(shown, "entries"), *row;
    size_t i;
    if (rc == 0 && json_array_size(rows) == 0)
        rc = cofre_fail(err, COFRE_NEGATIVE,
                        "its head is over %" PRIu64 " entries, and it has none from number %" PRIu64 " on",
                        f->head.state.size, *number);
    json_array_foreach(rows, i, row)
    {
        if (rc == 0 && *number < f->head.state.size) /* what came since is of a later head */
            rc = add(log, (*number)++, row, err);
    }
    return rc;
}

/* From the copy's end on. */
static int fill(void *context, struct log_file *log, struct cofre_err *err)
{
    struct fetch *f = context;
    uint64_t number = log_file_tree(log)->size;
    int rc = 0;
    while (rc == 0 && number < f->head.state.size)
        rc = get_page(f, log, &number, err);
    return rc < 0 ? cofre_within(err, rc, "%s", f->run.server.url) : 0;
}

/* The copy */

/* Nothing is signed here: the head is cofred's, where it is over these entries. */
static int take_head(void *context, const struct log_state *state, struct bytes *head, struct cofre_err *err)
{
    struct fetch *f = context;
    if (!log_hash_equal(&f->head.state.id, &state->id))
        return cofre_fail(err, COFRE_NEGATIVE, "%s shows another log", f->run.server.url);
    if (f->head.state.size != state->size || !log_hash_equal(&f->head.state.root, &state->root))
        return cofre_fail(
            err, COFRE_NEGATIVE,
            "%s signed a head that is not over these entries: it shows others to others, or the "
            "copy is of another past",
            f->run.server.url);
    return bytes_copy(head, bytes_view(&f->message), err);
}

static int check_head(void *context, struct view head, const struct log_state *state, struct cofre_err *err)
{
    return log_check_head(&((struct fetch *)context)->checker, head, state, err);
}

static int grow(struct fetch *f, const char *path, const struct log_heads *heads, struct cofre_err *err)
{
    CLEAN_LOG_FILE *log = NULL;
    CLEAN_BYTES unused = {0};
    int rc = log_file_open(&log, path, heads, err);
    if (rc < 0)
        return rc;
    const struct log_state *state = log_file_state(log);
    if (f->head.state.size < state->size)
        return cofre_fail(err, COFRE_NEGATIVE,
                          "%s shows %" PRIu64 " entries, and the copy has %" PRIu64 ": it was cut",
                          f->run.server.url, f->head.state.size, state->size);
    if (f->head.state.size == state->size)
        return take_head(heads->context, state, &unused, err);
    rc = fill(f, log, err);
    return rc < 0 ? rc : log_file_commit(log, err);
}

static int fetch(struct fetch *f, const struct audit_call *call, struct cofre_err *err)
{
    const char *path = call->option[AUDIT_LOG];
    const struct log_heads heads = {.context = f, .sign = take_head, .check = check_head};
    int rc = log_read_keys(&f->checker.keys, call->option[AUDIT_KEYS], err);
    if (rc == 0)
        rc = log_fetch_head(&f->message, &f->head, &f->run, &f->checker.keys, err);
    if (rc < 0)
        return rc;
    return access(path, F_OK) == 0 ? grow(f, path, &heads, err)
                                   : log_file_create_copy(path, &heads, fill, f, err);
}

int audit_fetch(const struct audit_call *call, struct cofre_err *err)
{
    struct fetch f = {.run.server = {.url = call->option[AUDIT_SERVER],
                                     .ca = call->option[AUDIT_CA],
                                     .cert = call->option[AUDIT_CERT],
                                     .key = call->option[AUDIT_KEY],
                                     .token_file = call->option[AUDIT_TOKEN_FILE]}};
    int rc = fetch(&f, call, err);
    log_checker_free(&f.checker);
    bytes_free(&f.message);
    return rc;
}
