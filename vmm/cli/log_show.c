/* cofre log head, show, prove: what who can read a log can give to others. */
#include <string.h>

#include "vmm/base/file.h"
#include "vmm/base/number.h"
#include "vmm/base/timestamp.h"
#include "vmm/cli/inspect.h"
#include "vmm/cli/log.h"

void log_put_head(json_t *result, const struct log_head *head)
{
    char time[TIME_TEXT_SIZE];
    time_format(time, head->time);
    json_object_set_new(result, "name", json_string(head->name));
    inspect_put_hex(result, "id", head->state.id.data, LOG_HASH_SIZE);
    json_object_set_new(result, "size", json_integer((json_int_t)head->state.size));
    inspect_put_hex(result, "root", head->state.root.data, LOG_HASH_SIZE);
    json_object_set_new(result, "time", json_string(time));
}

void log_checker_free(struct log_checker *c)
{
    cose_keys_free(&c->keys);
}

int log_check_head(void *context, struct view head, const struct log_state *state, struct cofre_err *err)
{
    struct log_checker *c = context;
    int rc = log_head_verify(&c->last, head, &c->keys, err);
    if (rc < 0)
        return rc;
    if (!log_hash_equal(&c->last.state.id, &state->id))
        return cofre_fail(err, COFRE_NEGATIVE, "it is the head of another log");
    if (c->last.state.size != state->size || !log_hash_equal(&c->last.state.root, &state->root))
        return cofre_fail(err, COFRE_NEGATIVE, "the entries are not those that were signed");
    return 0;
}

int log_check_id(const struct log_head *head, const char *id, struct cofre_err *err)
{
    struct log_hash wanted;
    if (!id)
        return 0;
    if (!hex_decode(wanted.data, LOG_HASH_SIZE, id))
        return cofre_fail(err, COFRE_USAGE, "--id is not %d hexadecimal digits", 2 * LOG_HASH_SIZE);
    return log_hash_equal(&wanted, &head->state.id)
               ? 0
               : cofre_fail(err, COFRE_NEGATIVE, "it is another log than the one of --id");
}

int log_open_to_read(struct log_file **out, struct log_checker *c, const struct log_call *call,
                     bool check_all, struct cofre_err *err)
{
    struct log_heads heads = {.context = c, .check = log_check_head, .check_all = check_all};
    int rc = log_read_keys(&c->keys, call->option[LOG_OPT_KEYS], err);
    if (rc == 0)
        rc = log_file_open(out, call->option[LOG_OPT_LOG], &heads, err);
    return rc < 0 ? rc : log_check_id(&c->last, call->option[LOG_OPT_ID], err);
}

int log_read_head(struct log_head *out, const char *path, const struct cose_keys *keys, struct cofre_err *err)
{
    CLEAN_BYTES message = {0};
    int rc = file_read(&message, path, LOG_HEAD_MAX, err);
    if (rc < 0)
        return rc;
    rc = log_head_verify(out, bytes_view(&message), keys, err);
    return rc < 0 ? cofre_within(err, rc, "%s", path) : 0;
}

int log_print_head(const struct log_call *call, json_t *result, struct cofre_err *err)
{
    CLEAN_LOG_CHECKER c = {0};
    CLEAN_LOG_FILE *f = NULL;
    int rc = log_open_to_read(&f, &c, call, false, err);
    if (rc < 0)
        return rc;
    log_put_head(result, &c.last);
    const char *out = call->option[LOG_OPT_OUT];
    return out ? file_write(out, log_file_head(f), 0644, err) : 0;
}

/* show */

static int add(json_t *entries, uint64_t number, json_t *said, struct cofre_err *err)
{
    return json_object_set_new(said, "number", json_integer((json_int_t)number)) == 0 &&
                   json_array_append_new(entries, said) == 0
               ? 0
               : cofre_fail(err, COFRE_FAILED, "out of memory");
}

static int describe(json_t *entries, uint64_t number, struct view bytes, struct cofre_err *err)
{
    json_t *said = NULL;
    if (!inspect_log_entry.recognises(bytes))
        said = json_pack("{s:I}", "bytes", (json_int_t)bytes.len); /* somebody else's */
    else if (inspect_log_entry.describe(&said, bytes, err) < 0)
        return -COFRE_MALFORMED;
    return add(entries, number, said, err);
}

int log_show(const struct log_call *call, json_t *result, struct cofre_err *err)
{
    CLEAN_LOG_CHECKER c = {0};
    CLEAN_LOG_FILE *f = NULL;
    json_t *entries = json_array();
    uint64_t number = 0;
    json_object_set_new(result, "entries", entries);
    int rc = log_open_to_read(&f, &c, call, false, err);
    if (rc == 0 && call->option[LOG_OPT_INDEX])
        rc = number_parse(&number, call->option[LOG_OPT_INDEX], "--index", 0, log_file_state(f)->size - 1,
                          err);
    for (; rc == 0 && number < log_file_state(f)->size; number++) {
        CLEAN_BYTES entry = {0};
        rc = log_file_entry(f, number, &entry, err);
        if (rc == -COFRE_NEGATIVE)
            rc = add(entries, number, json_pack("{s:s}", "entry", "removed"), err);
        else if (rc == 0)
            rc = describe(entries, number, bytes_view(&entry), err);
    }
    return rc;
}

/* prove */

static int prove_entry(struct log_receipt *proof, struct log_file *f, const struct log_call *call,
                       json_t *result, struct cofre_err *err)
{
    CLEAN_BYTES entry = {0};
    struct log_inclusion *in = &proof->inclusion;
    const char *out = call->option[LOG_OPT_ENTRY_OUT];
    proof->kind = LOG_RECEIPT_INCLUSION;
    in->size = log_file_state(f)->size;
    int rc = number_parse(&in->index, call->option[LOG_OPT_INDEX], "--index", 0, in->size - 1, err);
    if (rc == 0)
        rc = log_tree_prove_inclusion(log_file_tree(f), in, err);
    if (rc == 0)
        rc = log_file_entry(f, in->index, &entry, err);
    if (rc == 0 && out)
        rc = file_write(out, bytes_view(&entry), 0644, err);
    if (rc == 0)
        json_object_set_new(result, "index", json_integer((json_int_t)in->index));
    return rc;
}

static int prove_growth(struct log_receipt *proof, struct log_file *f, const struct log_checker *c,
                        const struct log_call *call, json_t *result, struct cofre_err *err)
{
    struct log_head older;
    struct log_consistency *con = &proof->consistency;
    if (call->option[LOG_OPT_ENTRY_OUT])
        return cofre_fail(err, COFRE_USAGE, "--entry-out goes with --index");
    int rc = log_read_head(&older, call->option[LOG_OPT_FROM], &c->keys, err);
    if (rc < 0)
        return rc;
    proof->kind = LOG_RECEIPT_CONSISTENCY;
    con->size1 = older.state.size;
    con->size2 = log_file_state(f)->size;
    json_object_set_new(result, "from", json_integer((json_int_t)con->size1));
    return log_tree_prove_consistency(log_file_tree(f), con, err);
}

int log_prove(const struct log_call *call, json_t *result, struct cofre_err *err)
{
    CLEAN_LOG_CHECKER c = {0};
    CLEAN_LOG_FILE *f = NULL;
    CLEAN_BYTES receipt = {0};
    struct log_receipt proof = {0};
    if (!call->option[LOG_OPT_INDEX] == !call->option[LOG_OPT_FROM])
        return cofre_fail(err, COFRE_USAGE, "prove: either --index or --from");
    int rc = log_open_to_read(&f, &c, call, false, err);
    if (rc < 0)
        return rc;
    rc = call->option[LOG_OPT_INDEX] ? prove_entry(&proof, f, call, result, err)
                                     : prove_growth(&proof, f, &c, call, result, err);
    if (rc == 0)
        rc = log_receipt_make(&receipt, log_file_head(f), &proof, err);
    if (rc == 0)
        log_put_head(result, &c.last);
    return rc < 0 ? rc : file_write(call->option[LOG_OPT_OUT], bytes_view(&receipt), 0644, err);
}
