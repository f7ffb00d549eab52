#include "tdx/event_log.h"

#include <stdlib.h>
#include <string.h>

#include "tdx/mrtd.h"

#define ALG_SHA384     0x000cu
#define ALGORITHMS_MAX 8u
static const char spec_id[16] = "Spec ID Event03";

struct algorithm {
    uint16_t id, size;
};

/* A log under way: what was read so far, and what its header says. */
struct reader {
    struct view log;
    size_t at;
    struct algorithm algorithm[ALGORITHMS_MAX];
    size_t algorithms;
};

/* The next len bytes; false where there are fewer. */
static bool take(struct reader *r, uint64_t len, struct view *out)
{
    if (!view_sub(r->log, r->at, len, out))
        return false;
    r->at += len;
    return true;
}

static bool take_number(struct reader *r, size_t width, uint32_t *out)
{
    struct view raw;
    if (!take(r, width, &raw))
        return false;
    *out = width == 1 ? raw.data[0] : width == 2 ? le16(raw.data) : le32(raw.data);
    return true;
}

static int cut(size_t at, struct cofre_err *err)
{
    return cofre_fail(err, COFRE_MALFORMED, "event log: the event at byte %zu is cut", at);
}

/* TCG_EfiSpecIDEvent: which algorithms the digests of every event are of, and how long each is. */
static int read_spec_id(struct reader *r, struct view data, struct cofre_err *err)
{
    struct reader in = {.log = data};
    struct view skipped, signature;
    uint32_t count = 0, vendor_len;
    bool has_sha384 = false;
    if (!take(&in, sizeof spec_id, &signature) || memcmp(signature.data, spec_id, sizeof spec_id) != 0)
        return cofre_fail(err, COFRE_MALFORMED, "event log: it does not begin with a \"%s\" event", spec_id);
    if (!take(&in, 8, &skipped) || !take_number(&in, 4, &count) || count == 0 || count > ALGORITHMS_MAX)
        return cofre_fail(err, COFRE_MALFORMED, "event log: its header names %u digest algorithms", count);
    for (r->algorithms = 0; r->algorithms < count; r->algorithms++) {
        uint32_t id, size;
        if (!take_number(&in, 2, &id) || !take_number(&in, 2, &size))
            return cut(0, err);
        for (size_t i = 0; i < r->algorithms; i++)
            if (r->algorithm[i].id == id)
                return cofre_fail(err, COFRE_MALFORMED, "event log: its header names algorithm %#x twice",
                                  id);
        r->algorithm[r->algorithms] = (struct algorithm){(uint16_t)id, (uint16_t)size};
        has_sha384 |= id == ALG_SHA384 && size == TDX_DIGEST_SIZE;
    }
    if (!take_number(&in, 1, &vendor_len) || !take(&in, vendor_len, &skipped) || in.at != data.len)
        return cofre_fail(err, COFRE_MALFORMED, "event log: its header has a wrong length");
    return has_sha384 ? 0
                      : cofre_fail(err, COFRE_MALFORMED, "event log: it has no SHA-384 digests of 48 bytes");
}

/* TCG_PCClientPCREvent: the first event's form is the old one, with a SHA-1 digest. */
static int read_header(struct reader *r, struct cofre_err *err)
{
    struct view digest, data;
    uint32_t mr, type, len;
    if (!take_number(r, 4, &mr) || !take_number(r, 4, &type) || !take(r, 20, &digest) ||
        !take_number(r, 4, &len) || !take(r, len, &data))
        return cut(0, err);
    if (type != TDX_EV_NO_ACTION || !bytes_are_zero(digest.data, digest.len))
        return cofre_fail(err, COFRE_MALFORMED, "event log: its first event is no header");
    return read_spec_id(r, data, err);
}

static const struct algorithm *algorithm_of(const struct reader *r, uint32_t id)
{
    for (size_t i = 0; i < r->algorithms; i++)
        if (r->algorithm[i].id == id)
            return &r->algorithm[i];
    return NULL;
}

static int read_digests(struct reader *r, struct tdx_event *e, struct cofre_err *err)
{
    uint32_t count, id;
    unsigned seen = 0;
    if (!take_number(r, 4, &count))
        return cut(e->offset, err);
    if (count != r->algorithms)
        return cofre_fail(err, COFRE_MALFORMED,
                          "event log: the event at byte %zu has %u digests where %zu are due", e->offset,
                          count, r->algorithms);
    for (uint32_t i = 0; i < count; i++) {
        struct view digest;
        if (!take_number(r, 2, &id))
            return cut(e->offset, err);
        const struct algorithm *algorithm = algorithm_of(r, id);
        if (!algorithm || seen & 1u << (algorithm - r->algorithm))
            return cofre_fail(err, COFRE_MALFORMED,
                              "event log: the event at byte %zu has a digest of algorithm %#x %s", e->offset,
                              id, algorithm ? "twice" : "that the header does not name");
        seen |= 1u << (algorithm - r->algorithm);
        if (!take(r, algorithm->size, &digest))
            return cut(e->offset, err);
        if (id == ALG_SHA384)
            memcpy(e->digest, digest.data, sizeof e->digest);
    }
    return 0;
}

static int read_event(struct reader *r, struct tdx_event *e, struct cofre_err *err)
{
    uint32_t len;
    e->offset = r->at;
    if (!take_number(r, 4, &e->mr) || !take_number(r, 4, &e->type))
        return cut(e->offset, err);
    if (e->mr > TDX_RTMRS)
        return cofre_fail(err, COFRE_MALFORMED,
                          "event log: the event at byte %zu is of register %u; the last is %u", e->offset,
                          e->mr, TDX_RTMRS);
    int rc = read_digests(r, e, err);
    if (rc < 0)
        return rc;
    return take_number(r, 4, &len) && take(r, len, &e->data) ? 0 : cut(e->offset, err);
}

/* Nothing but 0xff or nothing but 0x00 up to the end of the area. */
static bool is_padding(const struct reader *r)
{
    uint8_t value = r->at < r->log.len ? r->log.data[r->at] : 0;
    for (size_t i = r->at; i < r->log.len; i++)
        if (r->log.data[i] != value)
            return false;
    return value == 0 || value == 0xff;
}

/* An event of register 0 and type 0 begins like padding, and 48 zeros as a digest are possible: whole padding wins. */
static int read_events(struct tdx_event_log *out, struct reader *r, struct cofre_err *err)
{
    size_t room = 0;
    while (!is_padding(r)) {
        if (out->count == room) {
            room = room ? 2 * room : 64;
            struct tdx_event *grown = reallocarray(out->event, room, sizeof *grown);
            if (!grown)
                return cofre_fail(err, COFRE_FAILED, "no memory for %zu events", room);
            out->event = grown;
        }
        out->event[out->count] = (struct tdx_event){0};
        int rc = read_event(r, &out->event[out->count], err);
        if (rc < 0)
            return rc;
        out->count++;
    }
    out->len = r->at;
    return 0;
}

int tdx_event_log_parse(struct tdx_event_log *out, struct view log, struct cofre_err *err)
{
    struct reader r = {.log = log};
    *out = (struct tdx_event_log){0};
    if (log.len > TDX_EVENT_LOG_MAX)
        return cofre_fail(err, COFRE_MALFORMED, "event log: %zu bytes are more than %u", log.len,
                          TDX_EVENT_LOG_MAX);
    int rc = read_header(&r, err);
    if (rc == 0)
        rc = read_events(out, &r, err);
    if (rc < 0)
        tdx_event_log_free(out);
    return rc;
}

void tdx_event_log_free(struct tdx_event_log *log)
{
    free(log->event);
    *log = (struct tdx_event_log){0};
}

void tdx_event_log_replay(const struct tdx_event_log *log, uint8_t rtmr[TDX_RTMRS][TDX_DIGEST_SIZE])
{
    memset(rtmr, 0, TDX_RTMRS * TDX_DIGEST_SIZE);
    for (size_t i = 0; i < log->count; i++)
        if (log->event[i].mr >= TDX_EVENT_RTMR0 && log->event[i].type != TDX_EV_NO_ACTION)
            tdx_rtmr_extend(rtmr[log->event[i].mr - TDX_EVENT_RTMR0], log->event[i].digest);
}

/* ACPI 6.5, section 5.2.34: the header of 36 bytes, type, subtype, 2 reserved, length and address of the log. */
#define CCEL_SIZE 56u
int tdx_ccel_parse(struct tdx_ccel *out, struct view table, struct cofre_err *err)
{
    uint8_t sum = 0;
    if (table.len != CCEL_SIZE || memcmp(table.data, "CCEL", 4) != 0 || le32(table.data + 4) != CCEL_SIZE)
        return cofre_fail(err, COFRE_MALFORMED, "CCEL table: not a table \"CCEL\" of %u bytes", CCEL_SIZE);
    for (size_t i = 0; i < table.len; i++)
        sum = (uint8_t)(sum + table.data[i]);
    if (sum != 0)
        return cofre_fail(err, COFRE_MALFORMED, "CCEL table: its checksum is wrong");
    *out = (struct tdx_ccel){.type = table.data[36],
                             .subtype = table.data[37],
                             .length = le64(table.data + 40),
                             .address = le64(table.data + 48)};
    return 0;
}
