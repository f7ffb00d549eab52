#include "attest/store/db_log.h"

static int copy(void *context, struct view bytes, struct cofre_err *err)
{
    return bytes_copy(context, bytes, err);
}

static int no_such(struct cofre_err *err, enum log_receipt_kind kind, int64_t number, int64_t size)
{
    return cofre_fail(err, COFRE_NEGATIVE, "the log has no %s %lld; its last head is over %lld entries",
                      kind == LOG_RECEIPT_INCLUSION ? "entry" : "size", (long long)number, (long long)size);
}

int db_log_prove(struct db *db, enum log_receipt_kind kind, int64_t number, struct bytes *out,
                 struct cofre_err *err)
{
    CLEAN_BYTES head = {0};
    CLEAN_DB_LOG log = {0};
    struct log_receipt proof = {.kind = kind};
    int64_t size = 0;
    int rc = db_log_head(db, &size, copy, &head, err);
    if (rc == 0)
        rc = db_log_open(&log, db, err);
    if (rc < 0)
        return rc;
    if (kind == LOG_RECEIPT_INCLUSION) {
        proof.inclusion = (struct log_inclusion){.size = (uint64_t)size, .index = (uint64_t)number};
        rc = log_tree_prove_inclusion(&log.tree, &proof.inclusion, err);
    } else {
        proof.consistency = (struct log_consistency){.size1 = (uint64_t)number, .size2 = (uint64_t)size};
        rc = log_tree_prove_consistency(&log.tree, &proof.consistency, err);
    }
    if (rc == -COFRE_USAGE)
        return no_such(err, kind, number, size);
    return rc < 0 ? rc : log_receipt_make(out, bytes_view(&head), &proof, err);
}
