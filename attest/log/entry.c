#include "attest/log/entry.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum { KEY_VERSION, KEY_KIND, KEY_TIME, KEYS_COMMON };

/* The members of each kind: key, what the value is, and where. max: bytes of a text or of what is optional, or the highest
 * number. */
struct member {
    int64_t key;
    enum {
        TEXT,
        PRINTABLE,
        HASH,
        OPTIONAL, /* max bytes, or none */
        SOME,     /* up to max bytes */
        NUMBER,
        NUMBER64, /* one that may have all 64 bits */
    } type;
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
static const struct member operation[] = {
    {5, NUMBER, AT(outcome), LOG_OPERATION_OUTCOMES - 1},
    {12, PRINTABLE, AT(object_name), LOG_NAME_MAX},
    {14, PRINTABLE, AT(subject), LOG_SUBJECT_MAX},
    {16, PRINTABLE, AT(detail), LOG_DETAIL_MAX},
    {17, PRINTABLE, AT(request), LOG_LABEL_MAX},
    {18, PRINTABLE, AT(tenant), LOG_LABEL_MAX},
    {19, PRINTABLE, AT(identity), LOG_WORD_MAX},
    {20, PRINTABLE, AT(from), LOG_FROM_MAX},
    {21, PRINTABLE, AT(operation), LOG_LABEL_MAX},
    {22, OPTIONAL, AT(before), LOG_HASH_SIZE},
    {23, OPTIONAL, AT(after), LOG_HASH_SIZE},
    {24, NUMBER, AT(count), INT64_MAX},
};
static const struct member launch[] = {
    {5, NUMBER, AT(outcome), LOG_LAUNCH_OUTCOMES - 1},
    {6, PRINTABLE, AT(tee), LOG_TEE_MAX},
    {12, PRINTABLE, AT(object_name), LOG_NAME_MAX},
    {16, PRINTABLE, AT(detail), LOG_DETAIL_MAX},
    {17, PRINTABLE, AT(request), LOG_LABEL_MAX},
    {18, PRINTABLE, AT(tenant), LOG_LABEL_MAX},
    {25, NUMBER, AT(guest), UINT32_MAX},
    {26, NUMBER, AT(emulated), 1},
    {27, OPTIONAL, AT(expected), LOG_MEASUREMENT_SIZE},
    {28, OPTIONAL, AT(predicted), LOG_MEASUREMENT_SIZE},
    {29, OPTIONAL, AT(reported), LOG_MEASUREMENT_SIZE},
    {30, OPTIONAL, AT(predicted_registers), LOG_REGISTERS_SIZE},
    {31, OPTIONAL, AT(reported_registers), LOG_REGISTERS_SIZE},
    {32, OPTIONAL, AT(kernel), LOG_HASH_SIZE},
    {33, OPTIONAL, AT(initrd), LOG_HASH_SIZE},
    {34, OPTIONAL, AT(cmdline), LOG_HASH_SIZE},
    {35, OPTIONAL, AT(firmware), LOG_HASH_SIZE},
    {36, OPTIONAL, AT(id_block), LOG_HASH_SIZE},
    {37, NUMBER64, AT(guest_policy), 0},
    {38, SOME, AT(host_data), LOG_MEASUREMENT_SIZE},
    {39, OPTIONAL, AT(launch_evidence), LOG_HASH_SIZE},
};
static const struct member clock[] = {
    {40, NUMBER, AT(size), INT64_MAX},
    {41, HASH, AT(root), 0},
    {42, HASH, AT(tpm_key), 0},
    {43, SOME, AT(attest), LOG_ATTEST_MAX},
    {44, SOME, AT(signature), LOG_TPM_SIGNATURE_MAX},
};

#define MEMBERS(LIST) LIST, sizeof LIST / sizeof *LIST
static const struct {
    const struct member *member;
    size_t count;
    int64_t version;
} kinds[LOG_ENTRY_KINDS] = {
    [LOG_ENTRY_GENESIS] = {MEMBERS(genesis), 1}, [LOG_ENTRY_VERDICT] = {MEMBERS(verdict), 1},
    [LOG_ENTRY_CHANGE] = {MEMBERS(change), 1},   [LOG_ENTRY_OPERATION] = {MEMBERS(operation), 2},
    [LOG_ENTRY_LAUNCH] = {MEMBERS(launch), 2},   [LOG_ENTRY_CLOCK] = {MEMBERS(clock), 3},
};

static bool is_printable(const char *text)
{
    while (*text >= ' ' && *text <= '~')
        text++;
    return *text == 0;
}

void log_entry_text(char *to, size_t size, const char *text)
{
    size_t len = 0, whole = 0; /* up to where "..." still has room behind it */
    for (; *text; text++) {
        char part[5] = {*text};
        if (!is_printable(part) || *text == '\\')
            (void)snprintf(part, sizeof part, "\\x%02x", (unsigned char)*text);
        if (len + strlen(part) >= size) {
            (void)snprintf(to + whole, size - whole, "...");
            return;
        }
        len += (size_t)snprintf(to + len, size - len, "%s", part);
        whole = len + sizeof "..." <= size ? len : whole;
    }
    to[len] = 0;
}

/* Writing */

static void put_number(struct cose_writer *w, int64_t key, int64_t value)
{
    cose_put_int(w, key);
    cose_put_int(w, value);
}

/* What reading would refuse is not written. value: a length and as many bytes of an optional one. */
static bool is_right(const struct member *m, const void *value)
{
    const uint8_t *bytes = value;
    const int64_t number = m->type == NUMBER ? *(const int64_t *)value : 0;
    switch (m->type) {
    case PRINTABLE:
        return strnlen(value, (size_t)m->max + 1) <= (size_t)m->max && is_printable(value);
    case OPTIONAL:
        return bytes[0] == 0 || bytes[0] == m->max;
    case SOME:
        return bytes[0] <= m->max;
    case NUMBER:
        return number >= 0 && number <= m->max;
    default:
        return true;
    }
}

static void put_member(struct cose_writer *w, const struct member *m, const void *value)
{
    const uint8_t *bytes = value;
    cose_put_int(w, m->key);
    switch (m->type) {
    case TEXT:
    case PRINTABLE:
        cose_put_text(w, value);
        break;
    case HASH:
        cose_put_bytes(w, (struct view){bytes, LOG_HASH_SIZE});
        break;
    case OPTIONAL:
    case SOME:
        cose_put_bytes(w, (struct view){bytes + 1, bytes[0]});
        break;
    case NUMBER:
        cose_put_int(w, *(const int64_t *)value);
        break;
    case NUMBER64:
        cose_put_uint(w, *(const uint64_t *)value);
        break;
    }
}

int log_entry_write(struct bytes *out, const struct log_entry *entry, struct cofre_err *err)
{
    CLEAN_COSE_WRITER w = {0};
    cose_begin(&w);
    put_number(&w, KEY_VERSION, kinds[entry->kind].version);
    put_number(&w, KEY_KIND, entry->kind);
    put_number(&w, KEY_TIME, entry->time);
    for (size_t i = 0; i < kinds[entry->kind].count; i++) {
        const struct member *m = &kinds[entry->kind].member[i];
        const void *value = (const char *)entry + m->offset;
        if (!is_right(m, value))
            return cofre_fail(err, COFRE_USAGE, "member %d of the log entry is not as it should be",
                              (int)m->key);
        put_member(&w, m, value);
    }
    cose_end_map(&w);
    return cose_take(out, &w, err);
}

/* Reading */

static bool read_small(int64_t *out, const struct cose_item *item, int64_t max)
{
    return cose_int(out, item) && *out >= 0 && *out <= max;
}

static bool read_text(char *out, const struct member *m, const struct cose_item *item)
{
    if (item->kind != COSE_TEXT || item->data.len > (size_t)m->max)
        return false;
    if (item->data.len)
        memcpy(out, item->data.data, item->data.len);
    return m->type == TEXT || is_printable(out);
}

static bool read_optional(uint8_t *out, const struct member *m, const struct cose_item *item)
{
    if (item->kind != COSE_BYTES || item->data.len > (size_t)m->max)
        return false;
    out[0] = (uint8_t)item->data.len;
    if (out[0])
        memcpy(out + 1, item->data.data, out[0]);
    return m->type == SOME || out[0] == 0 || out[0] == m->max;
}

static bool read_member(struct log_entry *out, const struct member *m, const struct cose_item *item)
{
    void *value = (char *)out + m->offset;
    if (!item)
        return false;
    switch (m->type) {
    case TEXT:
    case PRINTABLE:
        return read_text(value, m, item);
    case HASH:
        if (item->kind != COSE_BYTES || item->data.len != LOG_HASH_SIZE)
            return false;
        memcpy(value, item->data.data, LOG_HASH_SIZE);
        return true;
    case OPTIONAL:
    case SOME:
        return read_optional(value, m, item);
    case NUMBER:
        return read_small(value, item, m->max);
    case NUMBER64:
        *(uint64_t *)value = item->number;
        return item->kind == COSE_UINT;
    }
    return false;
}

static bool read_map(struct log_entry *out, const struct cose_item *map, int64_t version)
{
    int64_t kind;
    if (!read_small(&kind, cose_at(map, KEY_KIND), LOG_ENTRY_KINDS - 1) ||
        !read_small(&out->time, cose_at(map, KEY_TIME), INT64_MAX))
        return false;
    out->kind = (enum log_entry_kind)kind;
    if (version != kinds[kind].version || map->number != KEYS_COMMON + kinds[kind].count)
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
    if (!cose_int(&version, cose_at(doc.item, KEY_VERSION)) || version < 1 || version > LOG_ENTRY_VERSION)
        return cofre_fail(err, COFRE_MALFORMED, "it is no log entry of version 1 to %d", LOG_ENTRY_VERSION);
    if (!read_map(out, doc.item, version))
        return cofre_fail(err, COFRE_MALFORMED,
                          "a member of the log entry is missing, or is not as it should be");
    return 0;
}
