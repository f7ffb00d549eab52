/* cofre log verify: what can be known of a log without asking who keeps it. */
#include <inttypes.h>
#include <string.h>

#include "vmm/base/file.h"
#include "vmm/cli/log.h"

#define RECEIPT_MAX 65536

/* The log began with what the other head is over, as far as it goes. */
static int check_other_head(struct log_file *f, const struct log_checker *c, const char *path,
                            struct cofre_err *err)
{
    struct log_head other;
    struct log_hash root;
    int rc = log_read_head(&other, path, &c->keys, err);
    if (rc < 0)
        return rc;
    if (!log_hash_equal(&other.state.id, &c->last.state.id))
        return cofre_fail(err, COFRE_NEGATIVE, "%s: it is the head of another log", path);
    if (other.state.size > log_file_state(f)->size)
        return cofre_fail(err, COFRE_NEGATIVE,
                          "%s: it is over %" PRIu64 " entries, of which the log has only %" PRIu64, path,
                          other.state.size, log_file_state(f)->size);
    rc = log_tree_root(log_file_tree(f), other.state.size, &root, err);
    if (rc == 0 && !log_hash_equal(&root, &other.state.root))
        rc = cofre_fail(err, COFRE_NEGATIVE,
                        "%s: its %" PRIu64 " entries are others than the log's: the log's keeper signed both",
                        path, other.state.size);
    return rc;
}

int log_verify_copy(struct log_file **out, struct log_checker *c, const struct log_call *call, bool check_all,
                    json_t *result, struct cofre_err *err)
{
    int rc = log_open_to_read(out, c, call, check_all, err);
    if (rc == 0 && call->option[LOG_OPT_HEAD])
        rc = check_other_head(*out, c, call->option[LOG_OPT_HEAD], err);
    if (rc == 0)
        rc = log_check_witnesses(call, &c->last, log_file_tree(*out), &c->keys, result, err);
    if (rc == 0)
        rc = log_check_clock(call, &c->last, *out, result, err);
    if (rc == 0)
        log_put_head(result, &c->last);
    return rc;
}

static int verify_log(const struct log_call *call, json_t *result, struct cofre_err *err)
{
    CLEAN_LOG_CHECKER c = {0};
    CLEAN_LOG_FILE *f = NULL;
    return log_verify_copy(&f, &c, call, true, result, err);
}

static int verify_entry(struct log_receipt *proof, struct view receipt, const struct cose_keys *keys,
                        const struct log_call *call, json_t *result, struct cofre_err *err)
{
    CLEAN_BYTES entry = {0};
    int rc = file_read(&entry, call->option[LOG_OPT_ENTRY], LOG_ENTRY_MAX, err);
    if (rc < 0)
        return rc;
    rc = log_receipt_verify_inclusion(proof, receipt, bytes_view(&entry), keys, err);
    if (rc == 0)
        json_object_set_new(result, "index", json_integer((json_int_t)proof->inclusion.index));
    return rc < 0 ? cofre_within(err, rc, "%s", call->option[LOG_OPT_RECEIPT]) : 0;
}

static int verify_growth(struct log_receipt *proof, struct view receipt, const struct cose_keys *keys,
                         const struct log_call *call, json_t *result, struct cofre_err *err)
{
    struct log_head older;
    int rc = log_read_head(&older, call->option[LOG_OPT_FROM], keys, err);
    if (rc < 0)
        return rc;
    rc = log_receipt_verify_consistency(proof, receipt, &older, keys, err);
    if (rc == 0)
        json_object_set_new(result, "from", json_integer((json_int_t)older.state.size));
    return rc < 0 ? cofre_within(err, rc, "%s", call->option[LOG_OPT_RECEIPT]) : 0;
}

static int verify_receipt(const struct log_call *call, json_t *result, struct cofre_err *err)
{
    CLEAN_COSE_KEYS keys = {0};
    CLEAN_BYTES receipt = {0};
    struct log_receipt proof;
    int rc = log_read_keys(&keys, call->option[LOG_OPT_KEYS], err);
    if (rc == 0)
        rc = file_read(&receipt, call->option[LOG_OPT_RECEIPT], RECEIPT_MAX, err);
    if (rc < 0)
        return rc;
    rc = call->option[LOG_OPT_ENTRY] ? verify_entry(&proof, bytes_view(&receipt), &keys, call, result, err)
                                     : verify_growth(&proof, bytes_view(&receipt), &keys, call, result, err);
    if (rc == 0)
        rc = log_check_id(&proof.head, call->option[LOG_OPT_ID], err);
    if (rc == 0)
        rc = log_check_witnesses(call, &proof.head, NULL, &keys, result, err);
    if (rc == 0)
        log_put_head(result, &proof.head);
    return rc;
}

int log_verify(const struct log_call *call, json_t *result, struct cofre_err *err)
{
    const char *const *given = call->option;
    if (given[LOG_OPT_LOG] && !given[LOG_OPT_RECEIPT] && !given[LOG_OPT_ENTRY] && !given[LOG_OPT_FROM])
        return verify_log(call, result, err);
    if (given[LOG_OPT_RECEIPT] && !given[LOG_OPT_LOG] && !given[LOG_OPT_HEAD] && !given[LOG_OPT_TPM_KEYS] &&
        !given[LOG_OPT_ENTRY] != !given[LOG_OPT_FROM])
        return verify_receipt(call, result, err);
    return cofre_fail(
        err, COFRE_USAGE,
        "verify: either --log, or --receipt with one of --entry and --from; --tpm-keys goes with --log");
}
