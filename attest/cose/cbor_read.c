#include <cbor.h>
#include <stdlib.h>
#include <string.h>

#include "attest/cose/cbor.h"
#include "vmm/base/cleanup.h"

void cose_doc_free(struct cose_doc *doc)
{
    free(doc->item);
    *doc = (struct cose_doc){0};
}

/* libcbor tells one head, and of a string its content too, by a call. */

static void on_number(struct cose_item *item, enum cose_kind kind, uint64_t number)
{
    item->kind = kind;
    item->number = number;
}

#define ON_NUMBER(name, type, kind)                                                                          \
    static void name(void *item, type number)                                                                \
    {                                                                                                        \
        on_number(item, kind, number);                                                                       \
    }
ON_NUMBER(on_uint8, uint8_t, COSE_UINT)
ON_NUMBER(on_uint16, uint16_t, COSE_UINT)
ON_NUMBER(on_uint32, uint32_t, COSE_UINT)
ON_NUMBER(on_uint64, uint64_t, COSE_UINT)
ON_NUMBER(on_negative8, uint8_t, COSE_NEGATIVE)
ON_NUMBER(on_negative16, uint16_t, COSE_NEGATIVE)
ON_NUMBER(on_negative32, uint32_t, COSE_NEGATIVE)
ON_NUMBER(on_negative64, uint64_t, COSE_NEGATIVE)
ON_NUMBER(on_array, size_t, COSE_ARRAY)
ON_NUMBER(on_map, size_t, COSE_MAP)
ON_NUMBER(on_tag, uint64_t, COSE_TAG)
ON_NUMBER(on_bool, bool, COSE_BOOL)

static void on_bytes(void *item, cbor_data data, size_t len)
{
    on_number(item, COSE_BYTES, len);
    ((struct cose_item *)item)->data = (struct view){data, len};
}

static void on_text(void *item, cbor_data data, size_t len)
{
    on_number(item, COSE_TEXT, len);
    ((struct cose_item *)item)->data = (struct view){data, len};
}

static void on_null(void *item)
{
    on_number(item, COSE_NULL, 0);
}

static void on_undefined(void *item)
{
    on_number(item, COSE_OTHER, 0);
}

static void on_float(void *item, float value)
{
    (void)value;
    on_undefined(item);
}

static void on_double(void *item, double value)
{
    (void)value;
    on_undefined(item);
}

#define INDEFINITE ((enum cose_kind)(COSE_OTHER + 1))

static void on_indefinite(void *item)
{
    on_number(item, INDEFINITE, 0);
}

static const struct cbor_callbacks callbacks = {
    .uint8 = on_uint8,
    .uint16 = on_uint16,
    .uint32 = on_uint32,
    .uint64 = on_uint64,
    .negint64 = on_negative64,
    .negint32 = on_negative32,
    .negint16 = on_negative16,
    .negint8 = on_negative8,
    .byte_string_start = on_indefinite,
    .byte_string = on_bytes,
    .string = on_text,
    .string_start = on_indefinite,
    .indef_array_start = on_indefinite,
    .array_start = on_array,
    .indef_map_start = on_indefinite,
    .map_start = on_map,
    .tag = on_tag,
    .float2 = on_float,
    .float4 = on_float,
    .float8 = on_double,
    .undefined = on_undefined,
    .null = on_null,
    .boolean = on_bool,
    .indef_break = on_indefinite,
};

/* What is being read: containers that are not full yet, and how many items each still lacks. */
struct reading {
    struct cose_doc doc;
    size_t capacity;
    struct view in;
    size_t at;
    struct {
        size_t item;
        uint64_t missing;
    } open[COSE_DEPTH_MAX];
    size_t depth;
};

static size_t head_size(uint64_t number)
{
    return number < 24            ? 1
           : number <= UINT8_MAX  ? 2
           : number <= UINT16_MAX ? 3
           : number <= UINT32_MAX ? 5
                                  : 9;
}

/* libcbor loads no text that is not UTF-8. */
static int check_text(const struct cose_item *text, struct cofre_err *err)
{
    struct cbor_load_result result;
    cbor_item_t *loaded = cbor_load(text->whole.data, text->whole.len, &result);
    if (loaded)
        cbor_decref(&loaded);
    if (result.error.code == CBOR_ERR_MEMERROR)
        return cofre_fail(err, COFRE_FAILED, "no memory for a text of CBOR");
    return result.error.code == CBOR_ERR_NONE && !memchr(text->data.data, 0, text->data.len)
               ? 0
               : cofre_fail(err, COFRE_MALFORMED, "a text is not UTF-8, or has a zero in it");
}

static int check_head(const struct cose_item *item, struct cofre_err *err)
{
    size_t content = item->kind == COSE_BYTES || item->kind == COSE_TEXT ? item->data.len : 0;
    if (item->kind == INDEFINITE)
        return cofre_fail(err, COFRE_MALFORMED, "an item has no definite length");
    if (item->kind <= COSE_TAG && item->whole.len != head_size(item->number) + content)
        return cofre_fail(err, COFRE_MALFORMED, "a number or length is not in its shortest form");
    return item->kind == COSE_TEXT ? check_text(item, err) : 0;
}

/* libcbor 0.8, Debian 12's, takes the tags 6 to 20 for errors, COSE_Sign1's among them. Their heads are one byte. */
#define TAG_HEAD       0xc0
#define is_tag_6_20(b) ((b) >= (TAG_HEAD | 6) && (b) <= (TAG_HEAD | 20))

static struct cbor_decoder_result decode_head(struct view rest, struct cose_item *out)
{
    if (rest.len == 0 || !is_tag_6_20(*rest.data))
        return cbor_stream_decode(rest.data, rest.len, &callbacks, out);
    on_tag(out, *rest.data & ~TAG_HEAD);
    return (struct cbor_decoder_result){.read = 1, .status = CBOR_DECODER_FINISHED};
}

static int read_head(struct reading *r, struct cose_item *out, struct cofre_err *err)
{
    *out = (struct cose_item){.kind = COSE_OTHER, .span = 1};
    struct view rest = {r->in.data + r->at, r->in.len - r->at};
    struct cbor_decoder_result got = decode_head(rest, out);
    if (got.status == CBOR_DECODER_NEDATA)
        return cofre_fail(err, COFRE_MALFORMED, "the CBOR ends within an item");
    if (got.status != CBOR_DECODER_FINISHED || got.read == 0)
        return cofre_fail(err, COFRE_MALFORMED, "byte %zu begins no item of CBOR", r->at);
    out->whole = (struct view){rest.data, got.read};
    r->at += got.read;
    return check_head(out, err);
}

static int add(struct reading *r, const struct cose_item *item, struct cofre_err *err)
{
    if (r->doc.count == COSE_ITEMS_MAX)
        return cofre_fail(err, COFRE_MALFORMED, "the CBOR has more than %u items", COSE_ITEMS_MAX);
    if (r->doc.count == r->capacity) {
        size_t capacity = r->capacity ? 2 * r->capacity : 32;
        struct cose_item *bigger = realloc(r->doc.item, capacity * sizeof *bigger);
        if (!bigger)
            return cofre_fail(err, COFRE_FAILED, "no memory for %zu items of CBOR", capacity);
        r->doc.item = bigger;
        r->capacity = capacity;
    }
    r->doc.item[r->doc.count++] = *item;
    return 0;
}

/* Each item has a byte at least, so a count that the rest cannot hold is known before anything is stored for it. */
static int open_container(struct reading *r, const struct cose_item *item, struct cofre_err *err)
{
    uint64_t each = item->kind == COSE_MAP ? 2 : 1, count = item->kind == COSE_TAG ? 1 : item->number;
    if (count > (r->in.len - r->at) / each)
        return cofre_fail(err, COFRE_MALFORMED, "the CBOR ends within an item");
    if (count && r->depth == COSE_DEPTH_MAX)
        return cofre_fail(err, COFRE_MALFORMED, "the CBOR is nested deeper than %d", COSE_DEPTH_MAX);
    if (count) {
        r->open[r->depth].item = r->doc.count - 1;
        r->open[r->depth++].missing = each * count;
    }
    return 0;
}

int cose_order(const void *a, const void *b)
{
    struct view x = (*(const struct cose_item *const *)a)->whole,
                y = (*(const struct cose_item *const *)b)->whole;
    int order = memcmp(x.data, y.data, x.len < y.len ? x.len : y.len);
    return order ? order : (x.len > y.len) - (x.len < y.len);
}

/* Encodings are the shortest, so equal keys are equal bytes. */
static int check_keys(const struct cose_item *map, struct cofre_err *err)
{
    CLEAN_FREE const struct cose_item **keys = calloc(map->number, sizeof *keys);
    const struct cose_item *key = map + 1;
    if (!keys)
        return cofre_fail(err, COFRE_FAILED, "no memory for a map's keys");
    for (size_t i = 0; i < map->number; i++, key = cose_behind(key + 1)) {
        if (key->kind != COSE_UINT && key->kind != COSE_NEGATIVE && key->kind != COSE_TEXT)
            return cofre_fail(err, COFRE_MALFORMED, "a map's key is neither an integer nor text");
        keys[i] = key;
    }
    qsort(keys, map->number, sizeof *keys, cose_order);
    for (size_t i = 1; i < map->number; i++)
        if (cose_order(&keys[i - 1], &keys[i]) == 0)
            return cofre_fail(err, COFRE_MALFORMED, "a map has a key twice");
    return 0;
}

/* After an item that is whole: so may be the containers that it was the last of. */
static int close_containers(struct reading *r, struct cofre_err *err)
{
    while (r->depth && --r->open[r->depth - 1].missing == 0) {
        struct cose_item *full = &r->doc.item[r->open[--r->depth].item];
        full->span = (size_t)(&r->doc.item[r->doc.count] - full);
        full->whole.len = (size_t)(r->in.data + r->at - full->whole.data);
        int rc = full->kind == COSE_MAP ? check_keys(full, err) : 0;
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int read_item(struct reading *r, struct cofre_err *err)
{
    struct cose_item item;
    size_t depth = r->depth;
    int rc = read_head(r, &item, err);
    if (rc == 0)
        rc = add(r, &item, err);
    if (rc == 0 && (item.kind == COSE_ARRAY || item.kind == COSE_MAP || item.kind == COSE_TAG))
        rc = open_container(r, &item, err);
    return rc < 0 || r->depth > depth ? rc : close_containers(r, err);
}

int cose_read_sequence(struct cose_doc *out, struct view in, struct cofre_err *err)
{
    struct reading r = {.in = in};
    int rc = 0;
    while (rc == 0 && r.at < in.len)
        rc = read_item(&r, err);
    if (rc == 0 && r.depth)
        rc = cofre_fail(err, COFRE_MALFORMED, "the CBOR ends within an item");
    if (rc < 0)
        cose_doc_free(&r.doc);
    *out = r.doc;
    return rc;
}

int cose_read(struct cose_doc *out, struct view in, struct cofre_err *err)
{
    int rc = cose_read_sequence(out, in, err);
    if (rc < 0)
        return rc;
    if (out->count && out->item->span == out->count)
        return 0;
    rc = out->count ? cofre_fail(err, COFRE_MALFORMED, "bytes follow the item of CBOR")
                    : cofre_fail(err, COFRE_MALFORMED, "there is no CBOR");
    cose_doc_free(out);
    return rc;
}

const struct cose_item *cose_first(const struct cose_item *container)
{
    return container->span > 1 ? container + 1 : NULL;
}

bool cose_int(int64_t *out, const struct cose_item *item)
{
    if (!item || (item->kind != COSE_UINT && item->kind != COSE_NEGATIVE) || item->number > INT64_MAX)
        return false;
    *out = item->kind == COSE_UINT ? (int64_t)item->number : -1 - (int64_t)item->number;
    return true;
}

bool cose_is_text(const struct cose_item *item, const char *text)
{
    return item && item->kind == COSE_TEXT &&
           view_equal(item->data, (struct view){(const uint8_t *)text, strlen(text)});
}

const struct cose_item *cose_at(const struct cose_item *map, int64_t key)
{
    int64_t is;
    const struct cose_item *at = map && map->kind == COSE_MAP ? map + 1 : NULL;
    for (uint64_t i = 0; at && i < map->number; i++, at = cose_behind(at + 1))
        if (cose_int(&is, at) && is == key)
            return at + 1;
    return NULL;
}

const struct cose_item *cose_at_text(const struct cose_item *map, const char *key)
{
    const struct cose_item *at = map && map->kind == COSE_MAP ? map + 1 : NULL;
    for (uint64_t i = 0; at && i < map->number; i++, at = cose_behind(at + 1))
        if (cose_is_text(at, key))
            return at + 1;
    return NULL;
}
