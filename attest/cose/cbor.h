/*
 * CBOR (RFC 8949) as COSE's formats use it, by libcbor. Reading is strict and bounded: one item and nothing after it, definite
 * lengths and shortest heads only, map keys that are integers or text and each there once, text that is UTF-8 without zeros.
 * Other orders of map keys than the canonical one are read; what is written is deterministic (section 4.2.1).
 */
#ifndef COFRE_ATTEST_COSE_CBOR_H
#define COFRE_ATTEST_COSE_CBOR_H

#include "vmm/base/bytes.h"

#define COSE_DEPTH_MAX 24         /* containers and tags around an item */
#define COSE_ITEMS_MAX (1u << 17) /* of one document */

enum cose_kind {
    COSE_UINT,
    COSE_NEGATIVE,
    COSE_BYTES,
    COSE_TEXT,
    COSE_ARRAY,
    COSE_MAP,
    COSE_TAG,
    COSE_BOOL,
    COSE_NULL,
    COSE_OTHER, /* a float, or undefined: no format here has one */
};

/* An item; what is in it follows it: of a map key, value, key, value. */
struct cose_item {
    enum cose_kind kind;
    uint64_t
        number; /* UINT; NEGATIVE: -1 - number; BOOL: 0 or 1; TAG; of ARRAY and MAP the number of items or pairs */
    struct view data;  /* BYTES, TEXT: the content, in the document */
    struct view whole; /* its encoding, in the document */
    size_t span;       /* items, itself and what is in it: item + span is the one behind it */
};

/* A document that was read; views point into the bytes it was read from. */
struct cose_doc {
    struct cose_item *item; /* item[0] is the outermost */
    size_t count;
};

void cose_doc_free(struct cose_doc *doc);
#define CLEAN_COSE_DOC __attribute__((cleanup(cose_doc_free))) struct cose_doc

/* -COFRE_MALFORMED, and nothing to free, where it is not one item as said above. */
int cose_read(struct cose_doc *out, struct view in, struct cofre_err *err);
/* The same of any number of items, one behind the other (RFC 8742). */
int cose_read_sequence(struct cose_doc *out, struct view in, struct cofre_err *err);

/* The first item in an array or tag, the first key of a map; NULL where there is none. */
const struct cose_item *cose_first(const struct cose_item *container);
static inline const struct cose_item *cose_behind(const struct cose_item *item)
{
    return item + item->span;
}

/* An integer that fits; false for everything else. */
bool cose_int(int64_t *out, const struct cose_item *item);
bool cose_is_text(const struct cose_item *item, const char *text);
/* The value at the key; NULL where there is none, or map is no map or NULL. */
const struct cose_item *cose_at(const struct cose_item *map, int64_t key);
const struct cose_item *cose_at_text(const struct cose_item *map, const char *key);

/* For qsort, of pointers to items: by their encodings, as canonical maps have their keys. */
int cose_order(const void *a, const void *b);

/* What is being written. Zeroed is empty; a failure is kept, and told by cose_take. */
struct cose_writer {
    uint8_t *data;
    size_t len, capacity;
    size_t begun[COSE_DEPTH_MAX]; /* where the content of open containers starts */
    size_t depth;
    bool failed;
};

void cose_writer_free(struct cose_writer *w);
#define CLEAN_COSE_WRITER __attribute__((cleanup(cose_writer_free))) struct cose_writer

void cose_put_int(struct cose_writer *w, int64_t value);
void cose_put_uint(struct cose_writer *w, uint64_t value); /* also one that no int64_t holds */
void cose_put_bytes(struct cose_writer *w, struct view value);
void cose_put_text(struct cose_writer *w, const char *value);
void cose_put_bool(struct cose_writer *w, bool value);
void cose_put_null(struct cose_writer *w);
void cose_put_tag(struct cose_writer *w, uint64_t tag);          /* of what is put next */
void cose_put_encoded(struct cose_writer *w, struct view items); /* as they are */
/* What is put from here on is in a container, which one is said at its end. Keys and values of a map in turn, in any order of
 * the keys; one that is there twice is a failure. */
void cose_begin(struct cose_writer *w);
void cose_end_array(struct cose_writer *w);
void cose_end_map(struct cose_writer *w);

/* The bytes, which are the caller's; the writer is empty then. -COFRE_FAILED where something could not be written. */
int cose_take(struct bytes *out, struct cose_writer *w, struct cofre_err *err);

#endif
