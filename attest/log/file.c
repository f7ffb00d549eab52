#include "attest/log/file.h"

#include <inttypes.h>
#include <stdlib.h>

#include "attest/log/file_parts.h"

static int within(const struct log_file *f, int rc, struct cofre_err *err)
{
    return rc < 0 ? cofre_within(err, rc, "%s", f->path) : rc;
}

/* What goes into the file, and into what follows from it */

int log_file_note_entry(struct log_file *f, const struct log_hash *leaf, uint64_t place,
                        struct cofre_err *err)
{
    uint8_t bytes[8];
    put_le64(bytes, place);
    int rc = growing_file_append(&f->places, (struct view){bytes, sizeof bytes}, err);
    return rc < 0 ? rc : log_tree_append_leaf(&f->tree, leaf, err);
}

static int put_item(struct log_file *f, enum log_item_kind kind, struct view content, struct cofre_err *err)
{
    uint8_t prefix[LOG_ITEM_PREFIX_MAX];
    size_t len = log_item_prefix(prefix, kind, content.len);
    int rc = growing_file_append(&f->items, (struct view){prefix, len}, err);
    return rc < 0 ? rc : growing_file_append(&f->items, content, err);
}

int log_file_current(struct log_file *f, struct log_state *out, struct cofre_err *err)
{
    out->size = f->tree.size;
    int rc = log_tree_root(&f->tree, f->tree.size, &out->root, err);
    return rc < 0 ? rc : growing_file_read(&f->hashes, 0, &out->id, sizeof out->id, err);
}

static int check_usable(const struct log_file *f, struct cofre_err *err)
{
    if (f->broken)
        return cofre_fail(err, COFRE_FAILED, "a write failed before; the log must be opened again");
    return f->heads.sign ? 0 : cofre_fail(err, COFRE_FAILED, "it was opened for reading only");
}

/* After a failed write nothing is known of what the disk has, and a second fsync would not tell. */
static int noting_failure(struct log_file *f, int rc)
{
    f->broken = f->broken || rc < 0;
    return rc;
}

int log_file_note_head(struct log_file *f, struct view head, const struct log_state *state, uint64_t length,
                       struct cofre_err *err)
{
    bytes_free(&f->head);
    f->state = *state;
    f->length = length;
    return bytes_copy(&f->head, head, err);
}

int log_file_append(struct log_file *f, struct view entry, uint64_t *index, struct cofre_err *err)
{
    struct log_hash leaf;
    int rc = check_usable(f, err);
    if (rc == 0 && entry.len > LOG_ENTRY_MAX)
        rc = cofre_fail(err, COFRE_USAGE, "an entry of %zu bytes, where %u are the most", entry.len,
                        LOG_ENTRY_MAX);
    if (rc < 0)
        return within(f, rc, err);
    uint64_t place = growing_file_size(&f->items), number = f->tree.size;
    rc = log_hash_leaf(&f->tree.hasher, &leaf, entry, err);
    if (rc == 0)
        rc = put_item(f, LOG_ITEM_ENTRY, entry, err);
    if (rc == 0)
        rc = log_file_note_entry(f, &leaf, place, err);
    if (rc == 0 && index)
        *index = number;
    return within(f, noting_failure(f, rc), err);
}

int log_file_append_removed(struct log_file *f, const struct log_hash *leaf, struct cofre_err *err)
{
    int rc = check_usable(f, err);
    if (rc < 0)
        return within(f, rc, err);
    const uint64_t place = growing_file_size(&f->items);
    rc = put_item(f, LOG_ITEM_REMOVED, (struct view){leaf->data, sizeof leaf->data}, err);
    if (rc == 0)
        rc = log_file_note_entry(f, leaf, place, err);
    return within(f, noting_failure(f, rc), err);
}

int log_file_write_committed(struct log_file *f, struct cofre_err *err)
{
    uint8_t header[LOG_HEADER_SIZE];
    log_header_write(header, f->length);
    struct view number = {header + LOG_HEADER_COMMITTED, LOG_HEADER_SIZE - LOG_HEADER_COMMITTED};
    return growing_file_rewrite(&f->items, LOG_HEADER_COMMITTED, number, err);
}

/*
 * The entries first: no head is ever on the disk before what it covers. Then how far the file is good, which the next
 * commit's sync brings to the disk: until then the disk may have the number of the last commit but one, never one too high.
 */
static int write_head(struct log_file *f, struct view head, const struct log_state *state,
                      struct cofre_err *err)
{
    int rc = growing_file_sync(&f->items, err);
    if (rc == 0)
        rc = put_item(f, LOG_ITEM_HEAD, head, err);
    if (rc == 0)
        rc = growing_file_sync(&f->items, err);
    if (rc == 0)
        rc = log_file_note_head(f, head, state, growing_file_size(&f->items), err);
    return rc < 0 ? rc : log_file_write_committed(f, err);
}

int log_file_commit(struct log_file *f, struct cofre_err *err)
{
    CLEAN_BYTES head = {0};
    struct log_state state;
    int rc = check_usable(f, err);
    if (rc == 0)
        rc = log_file_current(f, &state, err);
    if (rc == 0)
        rc = f->heads.sign(f->heads.context, &state, &head, err);
    if (rc == 0 && head.len > LOG_HEAD_MAX)
        rc = cofre_fail(err, COFRE_FAILED, "a head of %zu bytes, where %d are the most", head.len,
                        LOG_HEAD_MAX);
    if (rc < 0)
        return within(f, rc, err);
    return within(f, noting_failure(f, write_head(f, bytes_view(&head), &state, err)), err);
}

struct view log_file_head(const struct log_file *f)
{
    return bytes_view(&f->head);
}

const struct log_state *log_file_state(const struct log_file *f)
{
    return &f->state;
}

struct log_tree *log_file_tree(struct log_file *f)
{
    return &f->tree;
}

uint64_t log_file_length(const struct log_file *f)
{
    return f->length;
}

static int read_entry(struct log_file *f, uint64_t index, struct bytes *out, struct cofre_err *err)
{
    uint8_t place[8], prefix[LOG_ITEM_PREFIX_MAX];
    struct log_item item;
    size_t len = sizeof prefix;
    if (index >= f->state.size)
        return cofre_fail(err, COFRE_USAGE, "it has %" PRIu64 " entries, and none with number %" PRIu64,
                          f->state.size, index);
    int rc = growing_file_read(&f->places, 8 * index, place, sizeof place, err);
    if (rc == 0 && len > f->length - le64(place))
        len = (size_t)(f->length - le64(place));
    if (rc == 0)
        rc = growing_file_read(&f->items, le64(place), prefix, len, err);
    if (rc == 0)
        rc = log_item_read(&item, (struct view){prefix, len}, err);
    if (rc > 0 && item.kind == LOG_ITEM_REMOVED)
        rc = cofre_fail(err, COFRE_NEGATIVE, "entry %" PRIu64 " was removed, and only its hash is left",
                        index);
    if (rc < 0)
        return rc;
    rc = bytes_alloc(out, item.len, err);
    return rc < 0 ? rc : growing_file_read(&f->items, le64(place) + item.prefix, out->data, out->len, err);
}

int log_file_entry(struct log_file *f, uint64_t index, struct bytes *out, struct cofre_err *err)
{
    *out = (struct bytes){0};
    int rc = read_entry(f, index, out, err);
    if (rc < 0)
        bytes_free(out);
    return within(f, rc, err);
}
