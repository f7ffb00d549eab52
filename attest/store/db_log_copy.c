#include <errno.h>
#include <string.h>

#include "attest/log/item.h"
#include "attest/store/db_log.h"

struct copy {
    FILE *to;
    enum log_item_kind kind;
    uint64_t length;
};

static int put(void *context, struct view content, struct cofre_err *err)
{
    struct copy *c = context;
    uint8_t prefix[LOG_ITEM_PREFIX_MAX];
    const size_t len = log_item_prefix(prefix, c->kind, content.len);
    c->length += len + content.len;
    return fwrite(prefix, 1, len, c->to) == len && fwrite(content.data, 1, content.len, c->to) == content.len
               ? 0
               : cofre_fail(err, COFRE_FAILED, "the copy cannot be written: %s", strerror(errno));
}

static int put_header(struct copy *c, uint64_t committed, struct cofre_err *err)
{
    uint8_t header[LOG_HEADER_SIZE];
    log_header_write(header, committed);
    return fseeko(c->to, 0, SEEK_SET) == 0 && fwrite(header, 1, sizeof header, c->to) == sizeof header
               ? 0
               : cofre_fail(err, COFRE_FAILED, "the copy cannot be written: %s", strerror(errno));
}

static int keep(void *context, struct view bytes, struct cofre_err *err)
{
    return bytes_copy(context, bytes, err);
}

/* The entry, or its hash where it was removed. */
static int put_entry(struct copy *c, struct db *db, int64_t number, struct cofre_err *err)
{
    struct log_hash leaf;
    c->kind = LOG_ITEM_ENTRY;
    int rc = db_log_entry(db, number, put, c, err);
    if (rc != -COFRE_NEGATIVE)
        return rc;
    c->kind = LOG_ITEM_REMOVED;
    rc = db_log_leaf(db, number, &leaf, err);
    return rc < 0 ? rc : put(c, (struct view){leaf.data, sizeof leaf.data}, err);
}

/* Each head behind the entries that it is over. What is appended meanwhile may come along or not. */
static int put_all(struct copy *c, struct db *db, struct cofre_err *err)
{
    int64_t entries = 0, size;
    int rc;
    for (;;) {
        CLEAN_BYTES head = {0};
        rc = db_log_next_head(db, entries, &size, keep, &head, err);
        if (rc < 0)
            break;
        for (; entries < size && rc == 0; entries++)
            rc = put_entry(c, db, entries, err);
        c->kind = LOG_ITEM_HEAD;
        if (rc == 0)
            rc = put(c, bytes_view(&head), err);
        if (rc < 0)
            return rc;
    }
    return rc == -COFRE_NEGATIVE && entries ? 0 : rc;
}

int db_log_copy(struct db *db, FILE *to, struct cofre_err *err)
{
    struct copy copy = {.to = to, .length = LOG_HEADER_SIZE};
    int rc = put_header(&copy, 0, err);
    if (rc == 0)
        rc = put_all(&copy, db, err);
    return rc < 0 ? rc : put_header(&copy, copy.length, err);
}
