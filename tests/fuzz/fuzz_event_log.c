/* Event logs from a guest, and the tables that point at them. */
#include <string.h>

#include "tdx/event_log.h"
#include "tdx/mrtd.h"
#include "tests/fuzz/fuzz.h"

static void check_event(const struct tdx_event *event, const struct tdx_event_log *log, struct view raw)
{
    char room[16];
    FUZZ_CHECK(event->mr <= TDX_EVENT_RTMR0 + TDX_RTMRS - 1 && event->offset < log->len);
    if (event->data.len)
        FUZZ_CHECK(event->data.data > raw.data + event->offset &&
                   event->data.len <= log->len - (size_t)(event->data.data - raw.data));
    FUZZ_CHECK(*tdx_event_type_name(event->type, room));
    int rc = tdx_event_check_data(event, NULL);
    FUZZ_CHECK(rc == 0 || rc == 1 || rc == -COFRE_NEGATIVE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view raw = {data, size};
    CLEAN_EVENT_LOG log = {0};
    struct tdx_ccel ccel;
    struct cofre_err err = {""};
    uint8_t rtmr[TDX_RTMRS][TDX_DIGEST_SIZE], want[TDX_RTMRS][TDX_DIGEST_SIZE] = {{0}};
    if (tdx_ccel_parse(&ccel, raw, &err) == 0)
        FUZZ_CHECK(size >= 56);
    if (tdx_event_log_parse(&log, raw, &err) < 0) {
        FUZZ_CHECK(*err.text && !log.event);
        return 0;
    }
    FUZZ_CHECK(log.len <= size && log.count <= log.len);
    for (size_t i = 0; i < log.count; i++) {
        check_event(&log.event[i], &log, raw);
        if (log.event[i].mr >= TDX_EVENT_RTMR0 && log.event[i].type != TDX_EV_NO_ACTION)
            tdx_rtmr_extend(want[log.event[i].mr - TDX_EVENT_RTMR0], log.event[i].digest);
    }
    for (size_t i = log.len; i < size; i++) /* padding hides nothing */
        FUZZ_CHECK(data[i] == data[log.len]);
    tdx_event_log_replay(&log, rtmr);
    FUZZ_CHECK(memcmp(rtmr, want, sizeof rtmr) == 0);
    return 0;
}

static size_t put_event(uint8_t *out, size_t at, uint32_t mr, uint32_t type, const char *data)
{
    put_le32(out + at, mr);
    put_le32(out + at + 4, type);
    put_le32(out + at + 8, 1);
    put_le16(out + at + 12, 0xc);
    memset(out + at + 14, (int)type, TDX_DIGEST_SIZE);
    put_le32(out + at + 14 + TDX_DIGEST_SIZE, (uint32_t)strlen(data));
    memcpy(out + at + 18 + TDX_DIGEST_SIZE, data, strlen(data));
    return at + 18 + TDX_DIGEST_SIZE + strlen(data);
}

static size_t put_header(uint8_t *out)
{
    memset(out, 0, 65);
    put_le32(out + 4, TDX_EV_NO_ACTION);
    put_le32(out + 28, 33);
    memcpy(out + 32, "Spec ID Event03", 16);
    memcpy(out + 48, "\0\0\0\0\0\2\0\2", 8);
    put_le32(out + 56, 1);
    put_le16(out + 60, 0xc);
    put_le16(out + 62, TDX_DIGEST_SIZE);
    return 65;
}

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    CLEAN_EVENT_LOG log = {0};
    struct tdx_ccel ccel;
    size_t at;
    switch (index) {
    case 0:
        at = put_header(out);
        at = put_event(out, at, 1, TDX_EV_EFI_HANDOFF_TABLES2, "the layout");
        at = put_event(out, at, 1, TDX_EV_SEPARATOR, "");
        at = put_event(out, at, 2, TDX_EV_IPL, "kernel");
        at = put_event(out, at, 0, TDX_EV_NO_ACTION, "StartupLocality");
        at = put_event(out, at, 4, TDX_EV_EVENT_TAG, "app");
        FUZZ_CHECK(tdx_event_log_parse(&log, (struct view){out, at}, NULL) == 0 && log.count == 5);
        return at;
    case 1:
        at = put_event(out, put_header(out), 3, TDX_EV_IPL, "initrd");
        memset(out + at, 0xff, 100);
        return at + 100;
    case 2:
        memset(out, 0, 56);
        memcpy(out, "CCEL", 4);
        put_le32(out + 4, 56);
        out[8] = 1;
        out[36] = 2;
        put_le64(out + 40, 0x10000);
        put_le64(out + 48, 0x7f000000);
        for (int i = 0; i < 56; i++) /* the checksum, at 9 */
            out[9] = (uint8_t)(out[9] - (i == 9 ? 0 : out[i]));
        FUZZ_CHECK(tdx_ccel_parse(&ccel, (struct view){out, 56}, NULL) == 0 && ccel.length == 0x10000);
        return 56;
    default:
        return 0;
    }
}
