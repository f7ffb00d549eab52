#include "attest/log/entry.h"

#include <stddef.h>
#include <string.h>

enum { KEY_VERSION, KEY_KIND, KEY_TIME, KEYS_COMMON };

/* The members of each kind: key, and where the value is. Texts are of text_max bytes at most, hashes have none. */
struct member {
    int64_t key;
    size_t offset;
    size_t text_max;
};
static const struct member genesis[] = {
    {3, offsetof(struct log_entry, name), LOG_NAME_MAX},
    {4, offsetof(struct log_entry, random), 0},
};
static const struct member verdict[] = {
    {6, offsetof(struct log_entry, tee), LOG_TEE_MAX},
    {7, offsetof(struct log_entry, evidence), 0},
    {8, offsetof(struct log_entry, policy), 0},
    {9, offsetof(struct log_entry, token), 0},
};
#define KEY_OUTCOME 5

static const struct {
    const struct member *member;
    size_t count;
    bool has_outcome;
} kinds[] = {
    [LOG_ENTRY_GENESIS] = {genesis, sizeof genesis / sizeof *genesis, false},
    [LOG_ENTRY_VERDICT] = {verdict, sizeof verdict / sizeof *verdict, true},
};

static void put_number(struct cose_writer *w, int64_t key, int64_t value)
{
    cose_put_int(w, key);
    cose_put_int(w, value);
}

int log_entry_write(struct bytes *out, const struct log_entry *entry, struct cofre_err *err)
{
    CLEAN_COSE_WRITER w = {0};
    cose_begin(&w);
    put_number(&w, KEY_VERSION, LOG_ENTRY_VERSION);
    put_number(&w, KEY_KIND, entry->kind);
    put_number(&w, KEY_TIME, entry->time);
    if (kinds[entry->kind].has_outcome)
        put_number(&w, KEY_OUTCOME, entry->outcome);
    for (size_t i = 0; i < kinds[entry->kind].count; i++) {
        const struct member *m = &kinds[entry->kind].member[i];
        const void *value = (const char *)entry + m->offset;
        cose_put_int(&w, m->key);
        if (m->text_max)
            cose_put_text(&w, value);
        else
            cose_put_bytes(&w, (struct view){value, LOG_HASH_SIZE});
    }
    cose_end_map(&w);
    return cose_take(out, &w, err);
}

static bool read_member(struct log_entry *out, const struct member *m, const struct cose_item *item)
{
    char *value = (char *)out + m->offset;
    if (!item || item->kind != (m->text_max ? COSE_TEXT : COSE_BYTES))
        return false;
    if (m->text_max ? item->data.len > m->text_max : item->data.len != LOG_HASH_SIZE)
        return false;
    if (item->data.len)
        memcpy(value, item->data.data, item->data.len);
    return true;
}

static bool read_small(int64_t *out, const struct cose_item *map, int64_t key, int64_t max)
{
    return cose_int(out, cose_at(map, key)) && *out >= 0 && *out <= max;
}

static bool read_map(struct log_entry *out, const struct cose_item *map)
{
    int64_t kind, outcome = 0;
    if (!read_small(&kind, map, KEY_KIND, LOG_ENTRY_VERDICT) ||
        !read_small(&out->time, map, KEY_TIME, INT64_MAX))
        return false;
    out->kind = (enum log_entry_kind)kind;
    bool has_outcome = kinds[kind].has_outcome;
    if (map->number != KEYS_COMMON + kinds[kind].count + has_outcome ||
        (has_outcome && !read_small(&outcome, map, KEY_OUTCOME, LOG_UNJUDGED)))
        return false;
    out->outcome = (enum log_outcome)outcome;
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
