#include <inttypes.h>
#include <string.h>

#include "attest/log/file_parts.h"

#define WINDOW (4u << 20) /* of the file, read at once */
_Static_assert(WINDOW > LOG_ENTRY_MAX + LOG_ITEM_PREFIX_MAX, "an item fits into the window");

struct window {
    uint64_t offset;
    struct bytes room;
    size_t len;
};

/* The bytes from offset on: len of them, or as many as the file has. */
static int look(struct log_file *f, struct window *w, uint64_t offset, size_t len, struct view *out,
                struct cofre_err *err)
{
    uint64_t left = f->items.written - offset;
    if (len > left)
        len = (size_t)left;
    if (offset < w->offset || offset + len > w->offset + w->len) {
        w->offset = offset;
        w->len = left < w->room.len ? (size_t)left : w->room.len;
        int rc = growing_file_read(&f->items, offset, w->room.data, w->len, err);
        if (rc < 0)
            return rc;
    }
    *out = (struct view){w->room.data + (offset - w->offset), len};
    return 0;
}

static int replay_head(struct log_file *f, struct view head, uint64_t end, struct cofre_err *err)
{
    struct log_state state;
    if (f->tree.size == 0)
        return cofre_fail(err, COFRE_MALFORMED, "a head before the first entry");
    int rc = log_file_current(f, &state, err);
    if (rc == 0 && f->heads.check_all)
        rc = f->heads.check(f->heads.context, head, &state, err);
    return rc < 0 ? rc : log_file_note_head(f, head, &state, end, err);
}

static int replay_entry(struct log_file *f, struct view entry, uint64_t place, struct cofre_err *err)
{
    struct log_hash leaf;
    int rc = log_hash_leaf(&f->tree.hasher, &leaf, entry, err);
    return rc < 0 ? rc : log_file_note_entry(f, &leaf, place, err);
}

/* Of which the hash is left, whose length the item's reader has checked. */
static int replay_removed(struct log_file *f, struct view hash, uint64_t place, struct cofre_err *err)
{
    struct log_hash leaf;
    memcpy(leaf.data, hash.data, sizeof leaf.data);
    return log_file_note_entry(f, &leaf, place, err);
}

/* The item at *offset, which is then behind it. 0: the file ends in it, or it is none. */
static int replay_item(struct log_file *f, struct window *w, uint64_t *offset, struct cofre_err *err)
{
    struct log_item item;
    struct view bytes;
    int rc = look(f, w, *offset, LOG_ITEM_PREFIX_MAX, &bytes, err);
    if (rc < 0 || log_item_read(&item, bytes, NULL) <= 0)
        return rc;
    rc = look(f, w, *offset, item.prefix + item.len, &bytes, err);
    if (rc < 0 || bytes.len < item.prefix + item.len)
        return rc;
    struct view content = {bytes.data + item.prefix, item.len};
    uint64_t place = *offset;
    *offset += bytes.len;
    if (item.kind == LOG_ITEM_HEAD)
        rc = replay_head(f, content, *offset, err);
    else
        rc = item.kind == LOG_ITEM_ENTRY ? replay_entry(f, content, place, err)
                                         : replay_removed(f, content, place, err);
    return rc < 0 ? rc : 1;
}

/* Behind the committed bytes there may be anything, which nobody was told of. A whole head still counts, to who writes; who
 * reads must not look, since it may not be on the disk. */
static int replay_items(struct log_file *f, struct cofre_err *err)
{
    struct window w = {0};
    uint64_t offset = LOG_HEADER_SIZE;
    uint64_t end = f->heads.sign ? f->items.written : f->committed;
    int rc = bytes_alloc(&w.room, f->items.written < WINDOW ? f->items.written : WINDOW, err);
    for (bool more = true; rc == 0 && more && offset < end && offset < f->items.written;) {
        uint64_t place = offset;
        rc = replay_item(f, &w, &offset, err);
        more = rc > 0;
        rc = rc < 0 ? cofre_within(err, rc, "at byte %" PRIu64, place) : 0;
    }
    bytes_free(&w.room);
    if (rc == 0 && f->length < f->committed)
        rc = cofre_fail(err, COFRE_MALFORMED,
                        "it is damaged at byte %" PRIu64 ": when its last head was signed, %" PRIu64
                        " bytes were on the disk",
                        offset, f->committed);
    return rc;
}

/* A head that a crash left may not be on the disk yet, where it must be before anybody is told of it. */
static int settle(struct log_file *f, struct cofre_err *err)
{
    int rc = f->items.written > f->length ? growing_file_cut(&f->items, f->length, err) : 0;
    if (rc == 0 && f->committed != f->length)
        rc = growing_file_sync(&f->items, err);
    if (rc == 0 && f->committed != f->length)
        rc = log_file_write_committed(f, err);
    return rc;
}

/* Leaves nothing behind the last head in what follows from the file. */
static int cut(struct log_file *f, struct cofre_err *err)
{
    struct log_hash_list list = f->tree.list;
    int rc = growing_file_flush(&f->hashes, err);
    if (rc == 0)
        rc = growing_file_flush(&f->places, err);
    if (rc == 0)
        rc = growing_file_cut(&f->hashes, log_tree_hashes(f->state.size) * LOG_HASH_SIZE, err);
    if (rc == 0)
        rc = growing_file_cut(&f->places, f->state.size * 8, err);
    if (rc < 0)
        return rc;
    log_tree_close(&f->tree);
    return log_tree_open(&f->tree, &list, f->state.size, err);
}

int log_file_replay(struct log_file *f, struct cofre_err *err)
{
    int rc = replay_items(f, err);
    if (rc < 0)
        return rc;
    if (f->state.size == 0)
        return cofre_fail(err, COFRE_MALFORMED, "it has no signed head");
    if (!f->heads.check_all)
        rc = f->heads.check(f->heads.context, bytes_view(&f->head), &f->state, err);
    if (rc < 0)
        return cofre_within(err, rc, "its last head, over %" PRIu64 " entries", f->state.size);
    rc = cut(f, err);
    return rc == 0 && f->heads.sign ? settle(f, err) : rc;
}
