#include "tdx/event_log.h"

#include <openssl/evp.h>
#include <stdio.h>
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

/* What of the data was measured. */
enum measured {
    DESCRIBED,   /* none: the data says what was measured */
    DATA,        /* all */
    VARIABLE,    /* UEFI_VARIABLE_DATA: all, or as edk2 does the variable's value alone */
    BOOT_STRING, /* GRUB's "grub_cmd: text": the text; other strings describe */
};

static const struct {
    uint32_t type;
    const char *name;
    enum measured measured;
} types[] = {
    {0x0, "EV_PREBOOT_CERT", DESCRIBED},
    {0x1, "EV_POST_CODE", DESCRIBED},
    {TDX_EV_NO_ACTION, "EV_NO_ACTION", DESCRIBED},
    {TDX_EV_SEPARATOR, "EV_SEPARATOR", DATA},
    {TDX_EV_ACTION, "EV_ACTION", DATA},
    {TDX_EV_EVENT_TAG, "EV_EVENT_TAG", DESCRIBED},
    {TDX_EV_S_CRTM_CONTENTS, "EV_S_CRTM_CONTENTS", DESCRIBED},
    {TDX_EV_S_CRTM_VERSION, "EV_S_CRTM_VERSION", DATA},
    {0x9, "EV_CPU_MICROCODE", DESCRIBED},
    {TDX_EV_PLATFORM_CONFIG_FLAGS, "EV_PLATFORM_CONFIG_FLAGS", DESCRIBED},
    {0xb, "EV_TABLE_OF_DEVICES", DESCRIBED},
    {0xc, "EV_COMPACT_HASH", DESCRIBED},
    {TDX_EV_IPL, "EV_IPL", BOOT_STRING},
    {0xe, "EV_IPL_PARTITION_DATA", DESCRIBED},
    {TDX_EV_EFI_VARIABLE_DRIVER_CONFIG, "EV_EFI_VARIABLE_DRIVER_CONFIG", DATA},
    {TDX_EV_EFI_VARIABLE_BOOT, "EV_EFI_VARIABLE_BOOT", VARIABLE},
    {TDX_EV_EFI_BOOT_SERVICES_APPLICATION, "EV_EFI_BOOT_SERVICES_APPLICATION", DESCRIBED},
    {0x80000004, "EV_EFI_BOOT_SERVICES_DRIVER", DESCRIBED},
    {0x80000005, "EV_EFI_RUNTIME_SERVICES_DRIVER", DESCRIBED},
    {TDX_EV_EFI_GPT_EVENT, "EV_EFI_GPT_EVENT", DATA},
    {TDX_EV_EFI_ACTION, "EV_EFI_ACTION", DATA},
    {0x80000008, "EV_EFI_PLATFORM_FIRMWARE_BLOB", DESCRIBED},
    {0x80000009, "EV_EFI_HANDOFF_TABLES", DESCRIBED},
    {TDX_EV_EFI_PLATFORM_FIRMWARE_BLOB2, "EV_EFI_PLATFORM_FIRMWARE_BLOB2", DESCRIBED},
    {TDX_EV_EFI_HANDOFF_TABLES2, "EV_EFI_HANDOFF_TABLES2", DESCRIBED},
    {TDX_EV_EFI_VARIABLE_BOOT2, "EV_EFI_VARIABLE_BOOT2", DATA},
    {TDX_EV_EFI_VARIABLE_AUTHORITY, "EV_EFI_VARIABLE_AUTHORITY", DATA},
};

const char *tdx_event_type_name(uint32_t type, char room[16])
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].type == type)
            return types[i].name;
    (void)snprintf(room, 16, "0x%x", type);
    return room;
}

static bool is_digest_of(const struct tdx_event *event, struct view data)
{
    uint8_t digest[TDX_DIGEST_SIZE];
    return EVP_Digest(data.data, data.len, digest, NULL, EVP_sha384(), NULL) == 1 &&
           memcmp(digest, event->digest, sizeof digest) == 0;
}

/* UEFI_VARIABLE_DATA: GUID, two 64-bit lengths (characters of the name, bytes of the value), the name, the value. */
static bool value_of(struct view variable, struct view *out)
{
    struct view lengths;
    if (!view_sub(variable, 16, 16, &lengths) || le64(lengths.data) > variable.len)
        return false;
    uint64_t at = 32 + 2 * le64(lengths.data), len = le64(lengths.data + 8);
    return view_sub(variable, at, len, out) && at + len == variable.len;
}

static bool text_of(struct view data, struct view *out)
{
    static const char *const prefixes[] = {"grub_cmd: ", "kernel_cmdline: ", "module_cmdline: "};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        size_t len = strlen(prefixes[i]);
        if (data.len > len && memcmp(data.data, prefixes[i], len) == 0)
            return view_sub(data, len, data.len - len - (data.data[data.len - 1] == 0), out);
    }
    return false;
}

int tdx_event_check_data(const struct tdx_event *event, struct cofre_err *err)
{
    enum measured measured = DESCRIBED;
    struct view part;
    char room[16];
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].type == event->type)
            measured = types[i].measured;
    if (measured == DESCRIBED || (measured == BOOT_STRING && !text_of(event->data, &part)))
        return 1;
    if ((measured != BOOT_STRING && is_digest_of(event, event->data)) ||
        (measured == BOOT_STRING && is_digest_of(event, part)) ||
        (measured == VARIABLE && value_of(event->data, &part) && is_digest_of(event, part)))
        return 0;
    return cofre_fail(err, COFRE_NEGATIVE, "the data of the %s event at byte %zu is not what was measured",
                      tdx_event_type_name(event->type, room), event->offset);
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
