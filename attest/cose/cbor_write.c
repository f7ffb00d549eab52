#include <cbor.h>
#include <stdlib.h>
#include <string.h>

#include "attest/cose/cbor.h"
#include "vmm/base/cleanup.h"

#define HEAD_MAX 9

void cose_writer_free(struct cose_writer *w)
{
    free(w->data);
    *w = (struct cose_writer){0};
}

/* There is a buffer afterwards, whatever the length. */
static uint8_t *make_room(struct cose_writer *w, size_t len)
{
    if (!w->failed && len >= w->capacity - w->len) {
        size_t capacity = 2 * w->capacity + len + 64;
        uint8_t *bigger = realloc(w->data, capacity);
        w->failed = !bigger;
        if (bigger) {
            w->data = bigger;
            w->capacity = capacity;
        }
    }
    return w->failed ? NULL : w->data + w->len;
}

void cose_put_encoded(struct cose_writer *w, struct view items)
{
    uint8_t *to = make_room(w, items.len);
    if (to && items.len) {
        memcpy(to, items.data, items.len);
        w->len += items.len;
    }
}

static void put_head(struct cose_writer *w, size_t (*encode)(uint64_t, unsigned char *, size_t),
                     uint64_t number)
{
    uint8_t *to = make_room(w, HEAD_MAX);
    if (to)
        w->len += encode(number, to, HEAD_MAX);
}

void cose_put_int(struct cose_writer *w, int64_t value)
{
    if (value < 0)
        put_head(w, cbor_encode_negint, (uint64_t)(-1 - value));
    else
        put_head(w, cbor_encode_uint, (uint64_t)value);
}

void cose_put_uint(struct cose_writer *w, uint64_t value)
{
    put_head(w, cbor_encode_uint, value);
}

void cose_put_bytes(struct cose_writer *w, struct view value)
{
    put_head(w, cbor_encode_bytestring_start, value.len);
    cose_put_encoded(w, value);
}

void cose_put_text(struct cose_writer *w, const char *value)
{
    put_head(w, cbor_encode_string_start, strlen(value));
    cose_put_encoded(w, (struct view){(const uint8_t *)value, strlen(value)});
}

void cose_put_bool(struct cose_writer *w, bool value)
{
    uint8_t *to = make_room(w, HEAD_MAX);
    if (to)
        w->len += cbor_encode_bool(value, to, HEAD_MAX);
}

void cose_put_null(struct cose_writer *w)
{
    uint8_t *to = make_room(w, HEAD_MAX);
    if (to)
        w->len += cbor_encode_null(to, HEAD_MAX);
}

void cose_put_tag(struct cose_writer *w, uint64_t tag)
{
    put_head(w, cbor_encode_tag, tag);
}

void cose_begin(struct cose_writer *w)
{
    if (w->depth == COSE_DEPTH_MAX)
        w->failed = true;
    if (make_room(w, 0))
        w->begun[w->depth++] = w->len;
}

/* Whole items, as they were put since the container was begun; they are taken out of the writer. */
static void take_content(struct cose_writer *w, struct bytes *content, struct cose_doc *items)
{
    if (w->depth == 0)
        w->failed = true;
    if (w->failed)
        return;
    size_t from = w->begun[--w->depth];
    w->failed = bytes_copy(content, (struct view){w->data + from, w->len - from}, NULL) < 0 ||
                cose_read_sequence(items, bytes_view(content), NULL) < 0;
    w->len = from;
}

void cose_end_array(struct cose_writer *w)
{
    CLEAN_BYTES content = {0};
    CLEAN_COSE_DOC items = {0};
    size_t count = 0;
    take_content(w, &content, &items);
    for (size_t i = 0; i < items.count; i += items.item[i].span)
        count++;
    put_head(w, cbor_encode_array_start, count);
    cose_put_encoded(w, bytes_view(&content));
}

void cose_end_map(struct cose_writer *w)
{
    CLEAN_BYTES content = {0};
    CLEAN_COSE_DOC items = {0};
    take_content(w, &content, &items);
    CLEAN_FREE const struct cose_item **keys = calloc(items.count + 1, sizeof *keys);
    size_t count = 0;
    if (!keys)
        w->failed = true;
    for (size_t i = 0; !w->failed && i < items.count; i += 1 + items.item[i + 1].span) {
        w->failed =
            items.item[i].span != 1 || i + 1 == items.count; /* a container as a key; a key without a value */
        if (w->failed)
            return;
        keys[count++] = &items.item[i];
    }
    if (w->failed)
        return;
    qsort(keys, count, sizeof *keys, cose_order);
    put_head(w, cbor_encode_map_start, count);
    for (size_t i = 0; i < count; i++) {
        w->failed |= i > 0 && cose_order(&keys[i - 1], &keys[i]) == 0;
        cose_put_encoded(w, keys[i]->whole);
        cose_put_encoded(w, keys[i][1].whole);
    }
}

int cose_take(struct bytes *out, struct cose_writer *w, struct cofre_err *err)
{
    *out = (struct bytes){0};
    bool whole = !w->failed && w->depth == 0;
    if (whole)
        *out = (struct bytes){TAKE_PTR(w->data), w->len};
    cose_writer_free(w);
    return whole ? 0 : cofre_fail(err, COFRE_FAILED, "the CBOR could not be written");
}
