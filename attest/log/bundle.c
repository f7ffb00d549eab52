#include "attest/log/bundle.h"

#include <stdlib.h>
#include <string.h>

/* 2: one that has what a TPM said; as old readers know none. */
#define VERSION       1
#define VERSION_CLOCK 2
enum { KEY_VERSION, KEY_HEAD, KEY_RANGE, KEY_ENTRIES, KEY_OLDER, KEY_WITNESSES, KEY_FILES, KEYS };

void log_bundle_free(struct log_bundle *b)
{
    for (size_t i = 0; i < b->entries; i++) {
        bytes_free(&b->entry[i].owned_entry);
        bytes_free(&b->entry[i].owned_receipt);
        bytes_free(&b->entry[i].owned_growth);
    }
    for (size_t i = 0; i < b->witnesses; i++)
        bytes_free(&b->witness[i].owned_growth);
    for (size_t i = 0; i < b->files; i++)
        bytes_free(&b->file[i].owned_data);
    free(b->entry);
    cose_doc_free(&b->doc);
    *b = (struct log_bundle){0};
}

/* Writing */

/* [number, entry / [hash], receipt, growth, where there is one] */
static void put_entry(struct cose_writer *w, const struct log_bundle_entry *e)
{
    cose_begin(w);
    cose_put_int(w, (int64_t)e->number);
    if (e->entry.data) {
        cose_put_bytes(w, e->entry);
    } else {
        cose_begin(w);
        cose_put_bytes(w, (struct view){e->leaf.data, sizeof e->leaf});
        cose_end_array(w);
    }
    cose_put_bytes(w, e->receipt);
    if (e->growth.data)
        cose_put_bytes(w, e->growth);
    cose_end_array(w);
}

static void put_entries(struct cose_writer *w, const struct log_bundle *b)
{
    cose_put_int(w, KEY_RANGE);
    if (b->is_range) {
        cose_begin(w);
        cose_put_int(w, (int64_t)b->entry[0].number);
        cose_put_int(w, (int64_t)b->entry[b->entries - 1].number);
        cose_end_array(w);
    } else {
        cose_put_null(w);
    }
    cose_put_int(w, KEY_ENTRIES);
    cose_begin(w);
    for (size_t i = 0; i < b->entries; i++)
        put_entry(w, &b->entry[i]);
    cose_end_array(w);
}

/* Two byte strings, the second of which may be null. */
static void put_pair(struct cose_writer *w, struct view first, struct view second)
{
    cose_begin(w);
    cose_put_bytes(w, first);
    if (second.data)
        cose_put_bytes(w, second);
    else
        cose_put_null(w);
    cose_end_array(w);
}

static void put_files(struct cose_writer *w, const struct log_bundle *b)
{
    cose_put_int(w, KEY_FILES);
    cose_begin(w);
    for (size_t i = 0; i < b->files; i++)
        cose_put_bytes(w, b->file[i].data);
    cose_end_array(w);
}

static int64_t version_of(const struct log_bundle *b)
{
    for (size_t i = 0; i < b->entries; i++)
        if (b->entry[i].growth.data)
            return VERSION_CLOCK;
    return VERSION;
}

int log_bundle_write(struct bytes *out, const struct log_bundle *b, struct cofre_err *err)
{
    CLEAN_COSE_WRITER w = {0};
    if (b->entries == 0)
        return cofre_fail(err, COFRE_USAGE, "a bundle has one entry or more");
    cose_begin(&w);
    cose_put_int(&w, KEY_VERSION);
    cose_put_int(&w, version_of(b));
    cose_put_int(&w, KEY_HEAD);
    cose_put_bytes(&w, b->head);
    put_entries(&w, b);
    cose_put_int(&w, KEY_OLDER);
    if (b->older.data)
        put_pair(&w, b->older, b->growth);
    else
        cose_put_null(&w);
    cose_put_int(&w, KEY_WITNESSES);
    cose_begin(&w);
    for (size_t i = 0; i < b->witnesses; i++)
        put_pair(&w, b->witness[i].signature, b->witness[i].growth);
    cose_end_array(&w);
    put_files(&w, b);
    cose_end_map(&w);
    int rc = cose_take(out, &w, err);
    if (rc == 0 && out->len > LOG_BUNDLE_SIZE_MAX) {
        bytes_free(out);
        rc = cofre_fail(err, COFRE_USAGE, "a bundle has %u bytes at most", LOG_BUNDLE_SIZE_MAX);
    }
    return rc;
}

/* Reading */

static int no_bundle(struct cofre_err *err, const char *what)
{
    return cofre_fail(err, COFRE_MALFORMED, "the bundle's %s are not as they should be", what);
}

static bool is_array(const struct cose_item *item, uint64_t items)
{
    return item && item->kind == COSE_ARRAY && item->number == items;
}

static bool read_bytes(struct view *out, const struct cose_item *item)
{
    if (!item || item->kind != COSE_BYTES || item->data.len == 0)
        return false;
    *out = item->data;
    return true;
}

static bool read_entry(struct log_bundle_entry *out, const struct cose_item *item)
{
    struct view leaf;
    int64_t number;
    const bool grows = is_array(item, 4);
    const struct cose_item *at = grows || is_array(item, 3) ? cose_first(item) : NULL;
    if (!at || !cose_int(&number, at) || number < 0)
        return false;
    out->number = (uint64_t)number;
    at = cose_behind(at);
    if (is_array(at, 1)) {
        if (!read_bytes(&leaf, cose_first(at)) || leaf.len != sizeof out->leaf)
            return false;
        memcpy(out->leaf.data, leaf.data, sizeof out->leaf);
    } else if (!read_bytes(&out->entry, at)) {
        return false;
    }
    at = cose_behind(at);
    return read_bytes(&out->receipt, at) && (!grows || read_bytes(&out->growth, cose_behind(at)));
}

static int read_entries(struct log_bundle *out, const struct cose_item *map, struct cofre_err *err)
{
    const struct cose_item *list = cose_at(map, KEY_ENTRIES), *range = cose_at(map, KEY_RANGE);
    int64_t first, last;
    if (!list || list->kind != COSE_ARRAY || list->number == 0 || list->number > LOG_BUNDLE_ENTRIES_MAX)
        return no_bundle(err, "entries");
    out->entry = calloc(list->number, sizeof *out->entry);
    if (!out->entry)
        return cofre_fail(err, COFRE_FAILED, "out of memory");
    const struct cose_item *at = cose_first(list);
    for (; out->entries < list->number; out->entries++, at = cose_behind(at)) {
        struct log_bundle_entry *e = &out->entry[out->entries];
        if (!read_entry(e, at) || (out->entries && e->number <= e[-1].number))
            return no_bundle(err, "entries");
    }
    out->is_range = range && range->kind != COSE_NULL;
    if (!out->is_range)
        return range ? 0 : no_bundle(err, "numbers");
    if (!is_array(range, 2) || !cose_int(&first, cose_first(range)) ||
        !cose_int(&last, cose_behind(cose_first(range))))
        return no_bundle(err, "numbers");
    const struct log_bundle_entry *end = &out->entry[out->entries - 1];
    if ((uint64_t)first != out->entry[0].number || (uint64_t)last != end->number ||
        end->number - out->entry[0].number != out->entries - 1)
        return cofre_fail(err, COFRE_MALFORMED,
                          "of the entries %lld to %lld, which the bundle claims to have, one is missing",
                          (long long)first, (long long)last);
    return 0;
}

static bool read_pair(struct view *first, struct view *second, const struct cose_item *item)
{
    const struct cose_item *at = is_array(item, 2) ? cose_first(item) : NULL;
    if (!at || !read_bytes(first, at))
        return false;
    at = cose_behind(at);
    return at->kind == COSE_NULL || read_bytes(second, at);
}

static int read_heads(struct log_bundle *out, const struct cose_item *map, struct cofre_err *err)
{
    const struct cose_item *older = cose_at(map, KEY_OLDER), *list = cose_at(map, KEY_WITNESSES);
    if (!read_bytes(&out->head, cose_at(map, KEY_HEAD)) || !older)
        return no_bundle(err, "heads");
    if (older->kind != COSE_NULL && (!read_pair(&out->older, &out->growth, older) || !out->growth.data))
        return no_bundle(err, "heads");
    if (!list || list->kind != COSE_ARRAY || list->number > COSE_KEYS_MAX)
        return no_bundle(err, "witnesses");
    const struct cose_item *at = cose_first(list);
    for (; out->witnesses < list->number; out->witnesses++, at = cose_behind(at)) {
        struct log_bundle_witness *w = &out->witness[out->witnesses];
        if (!read_pair(&w->signature, &w->growth, at))
            return no_bundle(err, "witnesses");
    }
    return 0;
}

static int read_files(struct log_bundle *out, const struct cose_item *map, struct cofre_err *err)
{
    const struct cose_item *list = cose_at(map, KEY_FILES);
    if (!list || list->kind != COSE_ARRAY || list->number > LOG_BUNDLE_FILES_MAX)
        return no_bundle(err, "files");
    const struct cose_item *at = cose_first(list);
    for (; out->files < list->number; out->files++, at = cose_behind(at)) {
        if (!read_bytes(&out->file[out->files].data, at))
            return no_bundle(err, "files");
        for (size_t i = 0; i < out->files; i++)
            if (view_equal(out->file[i].data, out->file[out->files].data))
                return no_bundle(err, "files");
    }
    return 0;
}

/* There is one encoding of each bundle, and no place in it that nobody looks at. */
static int check_encoding(const struct log_bundle *b, struct view in, struct cofre_err *err)
{
    CLEAN_BYTES same = {0};
    int rc = log_bundle_write(&same, b, err);
    if (rc == 0 && !view_equal(bytes_view(&same), in))
        rc = cofre_fail(err, COFRE_MALFORMED, "the bundle is not encoded as bundles are");
    return rc;
}

int log_bundle_read(struct log_bundle *out, struct view in, struct cofre_err *err)
{
    int64_t version;
    *out = (struct log_bundle){0};
    int rc = in.len > LOG_BUNDLE_SIZE_MAX
                 ? cofre_fail(err, COFRE_MALFORMED, "it is longer than a bundle may be")
                 : cose_read(&out->doc, in, err);
    if (rc < 0)
        return rc;
    const struct cose_item *map = out->doc.item;
    if (!cose_int(&version, cose_at(map, KEY_VERSION)) || version < VERSION || version > VERSION_CLOCK ||
        map->number != KEYS)
        rc = cofre_fail(err, COFRE_MALFORMED, "it is no bundle of version %d or %d", VERSION, VERSION_CLOCK);
    if (rc == 0)
        rc = read_entries(out, map, err);
    if (rc == 0)
        rc = read_heads(out, map, err);
    if (rc == 0)
        rc = read_files(out, map, err);
    if (rc == 0)
        rc = check_encoding(out, in, err);
    if (rc < 0)
        log_bundle_free(out);
    return rc;
}
