#include "attest/log/entry.h"

#include <stddef.h>
#include <string.h>

enum { KEY_VERSION, KEY_KIND, KEY_TIME, KEYS_COMMON };

/* The members of each kind: key, what the value is, and where. max: bytes of a text, or the highest number. */
struct member {
    int64_t key;
    enum { TEXT, HASH, NUMBER } type;
    size_t offset;
    int64_t max;
};
#define AT(NAME) offsetof(struct log_entry, NAME)
static const struct member genesis[] = {
    {3, TEXT, AT(name), LOG_NAME_MAX},
    {4, HASH, AT(random), 0},
};
static const struct member verdict[] = {
    {5, NUMBER, AT(outcome), LOG_UNJUDGED},
    {6, TEXT, AT(tee), LOG_TEE_MAX},
    {7, HASH, AT(evidence), 0},
    {8, HASH, AT(policy), 0},
    {9, HASH, AT(token), 0},
};
static const struct member change[] = {
    {10, TEXT, AT(action), LOG_WORD_MAX},      {11, TEXT, AT(object), LOG_WORD_MAX},
    {12, TEXT, AT(object_name), LOG_NAME_MAX}, {13, NUMBER, AT(object_version), INT64_MAX},
    {14, TEXT, AT(actor), LOG_NAME_MAX},       {15, HASH, AT(digest), 0},
    {16, TEXT, AT(detail), LOG_DETAIL_MAX},
};

static const struct {
    const struct member *member;
    size_t count;
} kinds[] = {
    [LOG_ENTRY_GENESIS] = {genesis, sizeof genesis / sizeof *genesis},
    [LOG_ENTRY_VERDICT] = {verdict, sizeof verdict / sizeof *verdict},
    [LOG_ENTRY_CHANGE] = {change, sizeof change / sizeof *change},
};

static void put_number(struct cose_writer *w, int64_t key, int64_t value)
{
    cose_put_int(w, key);
    cose_put_int(w, value);
}

static void put_member(struct cose_writer *w, const struct member *m, const void *value)
{
    cose_put_int(w, m->key);
    if (m->type == TEXT)
        cose_put_text(w, value);
    else if (m->type == HASH)
        cose_put_bytes(w, (struct view){value, LOG_HASH_SIZE});
    else
        cose_put_int(w, *(const int64_t *)value);
}

int log_entry_write(struct bytes *out, const struct log_entry *entry, struct cofre_err *err)
{
    CLEAN_COSE_WRITER w = {0};
    cose_begin(&w);
    put_number(&w, KEY_VERSION, LOG_ENTRY_VERSION);
    put_number(&w, KEY_KIND, entry->kind);
    put_number(&w, KEY_TIME, entry->time);
    for (size_t i = 0; i < kinds[entry->kind].count; i++)
        put_member(&w, &kinds[entry->kind].member[i],
                   (const char *)entry + kinds[entry->kind].member[i].offset);
    cose_end_map(&w);
    return cose_take(out, &w, err);
}

static bool read_small(int64_t *out, const struct cose_item *item, int64_t max)
{
    return cose_int(out, item) && *out >= 0 && *out <= max;
}

static bool read_member(struct log_entry *out, const struct member *m, const struct cose_item *item)
{
    char *value = (char *)out + m->offset;
    if (m->type == NUMBER)
        return read_small((int64_t *)(void *)value, item, m->max);
    if (!item || item->kind != (m->type == TEXT ? COSE_TEXT : COSE_BYTES))
        return false;
    if (m->type == TEXT ? item->data.len > (size_t)m->max : item->data.len != LOG_HASH_SIZE)
        return false;
    if (item->data.len)
        memcpy(value, item->data.data, item->data.len);
    return true;
}

static bool read_map(struct log_entry *out, const struct cose_item *map)
{
    int64_t kind;
    if (!read_small(&kind, cose_at(map, KEY_KIND), LOG_ENTRY_CHANGE) ||
        !read_small(&out->time, cose_at(map, KEY_TIME), INT64_MAX))
        return false;
    out->kind = (enum log_entry_kind)kind;
    if (map->number != KEYS_COMMON + kinds[kind].count)
        return false;
    for (size_t i = 0; i < kinds[kind].count; i++)
        if (!read_member(out, &kinds[kind].member[i], cose_at(map, kinds[kind].member[i].key)))
            return false;
    return true;
}

int log_entry_read(struct log_entry *out, struct view bytes, struct cofre_err *err)
{
    CLEAN_COSE_DOC doc = {0};
    int64_t version;
    *out = (struct log_entry){0};
    int rc = cose_read(&doc, bytes, err);
    if (rc < 0)
        return rc;
    if (!cose_int(&version, cose_at(doc.item, KEY_VERSION)) || version != LOG_ENTRY_VERSION)
        return cofre_fail(err, COFRE_MALFORMED, "it is no log entry of version %d", LOG_ENTRY_VERSION);
    if (!read_map(out, doc.item))
        return cofre_fail(err, COFRE_MALFORMED,
                          "a member of the log entry is missing, or is not as it should be");
    return 0;
}
