/* Event logs: a real one replays to its quote's RTMRs, and what is not well formed is refused wherever it is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "tdx/event_log.h"
#include "tdx/mrtd.h"
#include "tests/unit/attest/real_file.h"
#include "tests/unit/tdx/made_log.h"

/* Offsets in the header that tests change. */
#define AT_SPEC_ID    32
#define AT_ALGORITHMS 56
#define AT_FIRST      65

static void make(struct made_log *m)
{
    m->len = 0;
    made_header(m, made_sha384, 1);
    made_event(m, 1, TDX_EV_SEPARATOR, "\0\0\0\0", 4, "\0\0\0\0", 4);
    made_event(m, 2, TDX_EV_IPL, "grub_cmd: boot", 15, "boot", 4);
    made_event(m, 4, TDX_EV_EVENT_TAG, "app", 3, "what it was", 11);
}

static void reads_events_in_order(void **state)
{
    (void)state;
    struct made_log m;
    CLEAN_EVENT_LOG log = {0};
    uint8_t rtmr[4][48], expected[48] = {0}, digest[48], zeros[48] = {0};
    make(&m);
    assert_int_equal(tdx_event_log_parse(&log, made_view(&m), NULL), 0);
    assert_int_equal(log.count, 3);
    assert_int_equal(log.len, m.len);
    assert_int_equal(log.event[1].mr, 2);
    assert_int_equal(log.event[1].type, TDX_EV_IPL);
    assert_int_equal(log.event[2].data.len, 3);
    assert_int_equal(log.event[0].offset, AT_FIRST);
    tdx_event_log_replay(&log, rtmr);
    made_digest(digest, "boot", 4);
    tdx_rtmr_extend(expected, digest);
    assert_memory_equal(rtmr[1], expected, 48);
    assert_memory_equal(rtmr[2], zeros, 48);
    assert_memory_not_equal(rtmr[3], zeros, 48);
}

static void events_that_extend_nothing_are_not_replayed(void **state)
{
    (void)state;
    struct made_log m;
    CLEAN_EVENT_LOG log = {0}, more = {0};
    uint8_t before[4][48], after[4][48];
    make(&m);
    assert_int_equal(tdx_event_log_parse(&log, made_view(&m), NULL), 0);
    tdx_event_log_replay(&log, before);
    made_event(&m, 1, TDX_EV_NO_ACTION, "x", 1, "x", 1);
    made_event(&m, TDX_EVENT_MRTD, TDX_EV_ACTION, "x", 1, "x", 1);
    assert_int_equal(tdx_event_log_parse(&more, made_view(&m), NULL), 0);
    assert_int_equal(more.count, 5);
    tdx_event_log_replay(&more, after);
    assert_memory_equal(before, after, sizeof before);
}

static void padding_of_one_value_may_follow_and_nothing_else(void **state)
{
    (void)state;
    struct made_log m;
    make(&m);
    size_t len = m.len;
    for (int i = 0; i < 2; i++) {
        CLEAN_EVENT_LOG log = {0};
        memset(m.bytes + len, i ? 0xff : 0, 300);
        m.len = len + 300;
        assert_int_equal(tdx_event_log_parse(&log, made_view(&m), NULL), 0);
        assert_int_equal(log.count, 3);
        assert_int_equal(log.len, len);
        for (size_t at = 0; at < 300; at += 7) {
            CLEAN_EVENT_LOG bad = {0};
            struct cofre_err err = {""};
            m.bytes[len + at] ^= 1;
            assert_int_equal(tdx_event_log_parse(&bad, made_view(&m), &err), -COFRE_MALFORMED);
            assert_true(*err.text);
            m.bytes[len + at] ^= 1;
        }
    }
}

static void every_cut_is_refused_or_has_fewer_events(void **state)
{
    (void)state;
    struct made_log m;
    make(&m);
    size_t whole = 0;
    for (size_t len = 0; len < m.len; len++) {
        CLEAN_EVENT_LOG log = {0};
        uint8_t *copy = malloc(len ? len : 1); /* its own block: reads past it are seen */
        memcpy(copy, m.bytes, len);
        if (tdx_event_log_parse(&log, (struct view){copy, len}, NULL) == 0) {
            assert_true(log.count < 3);
            whole++;
        }
        tdx_event_log_free(&log);
        free(copy);
    }
    /* After the header and after an event; and where the next one, of register 1, 2, 4, is cut in no byte at all. */
    assert_int_equal(whole, 3);
}

/* One byte, or four, changed in the log of make(). */
static void what_is_not_well_formed_is_refused(void **state)
{
    (void)state;
    static const struct {
        size_t at, width;
        uint32_t value;
        const char *word;
    } changes[] = {
        {4, 4, TDX_EV_ACTION, "no header"},
        {8, 1, 1, "no header"},
        {28, 4, 4, "Spec ID"},
        {28, 4, 0xffffffff, "cut"},
        {AT_SPEC_ID, 1, 's', "Spec ID"},
        {AT_SPEC_ID + 14, 1, '2', "Spec ID"},
        {AT_ALGORITHMS, 4, 0, "0 digest"},
        {AT_ALGORITHMS, 4, 9, "9 digest"},
        {AT_ALGORITHMS, 4, 0xffffffff, "digest algorithms"},
        {AT_ALGORITHMS + 4, 1, 0xb, "SHA-384"},
        {AT_ALGORITHMS + 6, 1, 32, "SHA-384"},
        {AT_ALGORITHMS + 8, 1, 1, "length"},
        {AT_FIRST, 4, 5, "register 5"},
        {AT_FIRST, 4, 0xffffffff, "register"},
        {AT_FIRST + 8, 4, 0, "0 digests"},
        {AT_FIRST + 8, 4, 2, "2 digests"},
        {AT_FIRST + 12, 1, 0xb, "algorithm 0xb"},
        {AT_FIRST + 62, 4, 0xffffffff, "cut"},
        {AT_FIRST + 62, 4, 4000, "cut"},
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        CLEAN_EVENT_LOG log = {0};
        struct cofre_err err = {""};
        struct made_log m;
        uint8_t raw[4];
        make(&m);
        put_le32(raw, changes[i].value);
        memcpy(m.bytes + changes[i].at, raw, changes[i].width);
        int rc = tdx_event_log_parse(&log, made_view(&m), &err);
        if (rc != -COFRE_MALFORMED || !strstr(err.text, changes[i].word))
            fail_msg("change %zu: %d, %s", i, rc, err.text);
    }
}

static void digests_of_several_algorithms_are_read(void **state)
{
    (void)state;
    static const uint16_t both[][2] = {{0xb, 32}, {0xc, 48}}, twice[][2] = {{0xc, 48}, {0xc, 48}};
    static const uint8_t sha256[32];
    uint8_t digest[48];
    struct made_log m = {.len = 0};
    CLEAN_EVENT_LOG log = {0}, bad = {0};
    struct cofre_err err = {""};
    memset(digest, 7, sizeof digest);
    made_header(&m, both, 2);
    made_number(&m, 3, 4);
    made_number(&m, TDX_EV_EVENT_TAG, 4);
    made_number(&m, 2, 4);
    made_number(&m, 0xc, 2);
    made_bytes(&m, digest, 48);
    size_t second = m.len;
    made_number(&m, 0xb, 2);
    made_bytes(&m, sha256, 32);
    made_number(&m, 0, 4);
    assert_int_equal(tdx_event_log_parse(&log, made_view(&m), NULL), 0);
    assert_memory_equal(log.event[0].digest, digest, 48);
    m.bytes[second] = 0xc;
    assert_int_equal(tdx_event_log_parse(&bad, made_view(&m), &err), -COFRE_MALFORMED);
    assert_non_null(strstr(err.text, "twice"));
    m.len = 0;
    made_header(&m, twice, 2);
    assert_int_equal(tdx_event_log_parse(&bad, made_view(&m), &err), -COFRE_MALFORMED);
    assert_non_null(strstr(err.text, "twice"));
}

/* UEFI_VARIABLE_DATA of a variable "V" with the value 123. */
static const uint8_t variable[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,  15, 16,  1,   0,  0,
                                   0, 0, 0, 0, 0, 3, 0, 0, 0, 0,  0,  0,  0,  'V', 0,  '1', '2', '3'};

static void data_is_compared_with_what_was_measured(void **state)
{
    (void)state;
    static const struct {
        uint32_t type;
        const void *data;
        size_t len;
        const void *measured;
        size_t measured_len;
        int rc;
    } cases[] = {
        {TDX_EV_SEPARATOR, "\0\0\0\0", 4, "\0\0\0\0", 4, 0},
        {TDX_EV_SEPARATOR, "\0\0\0\1", 4, "\0\0\0\0", 4, -COFRE_NEGATIVE},
        {TDX_EV_EFI_ACTION, "Exit", 4, "Exit", 4, 0},
        {TDX_EV_EFI_ACTION, "exit", 4, "Exit", 4, -COFRE_NEGATIVE},
        {TDX_EV_EFI_VARIABLE_DRIVER_CONFIG, variable, sizeof variable, variable, sizeof variable, 0},
        {TDX_EV_EFI_VARIABLE_DRIVER_CONFIG, variable, sizeof variable, "123", 3, -COFRE_NEGATIVE},
        {TDX_EV_EFI_VARIABLE_AUTHORITY, variable, sizeof variable, "123", 3, -COFRE_NEGATIVE},
        {TDX_EV_EFI_VARIABLE_BOOT2, variable, sizeof variable, "123", 3, -COFRE_NEGATIVE},
        {TDX_EV_EFI_VARIABLE_BOOT, variable, sizeof variable, variable, sizeof variable, 0},
        {TDX_EV_EFI_VARIABLE_BOOT, variable, sizeof variable, "123", 3, 0},
        {TDX_EV_EFI_VARIABLE_BOOT, variable, sizeof variable, "124", 3, -COFRE_NEGATIVE},
        {TDX_EV_EFI_VARIABLE_BOOT, variable, sizeof variable - 1, "12", 2, -COFRE_NEGATIVE},
        {TDX_EV_EFI_VARIABLE_BOOT, variable, 20, "", 0, -COFRE_NEGATIVE},
        {TDX_EV_EFI_GPT_EVENT, "gpt", 3, "gpt", 3, 0},
        {TDX_EV_EFI_GPT_EVENT, "gpt", 3, "gpu", 3, -COFRE_NEGATIVE},
        {TDX_EV_S_CRTM_VERSION, "1", 1, "2", 1, -COFRE_NEGATIVE},
        {TDX_EV_ACTION, "a", 1, "b", 1, -COFRE_NEGATIVE},
        {TDX_EV_IPL, "grub_cmd: boot", 15, "boot", 4, 0},
        {TDX_EV_IPL, "grub_cmd: boot", 14, "boot", 4, 0},
        {TDX_EV_IPL, "grub_cmd: root", 15, "boot", 4, -COFRE_NEGATIVE},
        {TDX_EV_IPL, "kernel_cmdline: quiet", 22, "quiet", 5, 0},
        {TDX_EV_IPL, "kernel_cmdline: quiet debug", 28, "quiet", 5, -COFRE_NEGATIVE},
        {TDX_EV_IPL, "/boot/vmlinuz", 14, "the file", 8, 1},
        {TDX_EV_EVENT_TAG, "x", 1, "y", 1, 1},
        {TDX_EV_EFI_PLATFORM_FIRMWARE_BLOB2, "x", 1, "y", 1, 1},
        {0x12345678, "x", 1, "y", 1, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cofre_err err = {""};
        struct tdx_event event = {.mr = 1, .type = cases[i].type, .data = {cases[i].data, cases[i].len}};
        made_digest(event.digest, cases[i].measured, cases[i].measured_len);
        int rc = tdx_event_check_data(&event, &err);
        if (rc != cases[i].rc)
            fail_msg("case %zu: %d, %s", i, rc, err.text);
    }
}

static void types_have_names(void **state)
{
    (void)state;
    char room[16];
    assert_string_equal(tdx_event_type_name(TDX_EV_SEPARATOR, room), "EV_SEPARATOR");
    assert_string_equal(tdx_event_type_name(0xdeadbeef, room), "0xdeadbeef");
}

static void a_real_log_replays_to_its_quotes_rtmrs(void **state)
{
    (void)state;
    CLEAN_BYTES data = {0}, quote = {0};
    CLEAN_EVENT_LOG log = {0};
    struct cofre_err err = {""};
    uint8_t rtmr[4][48];
    size_t checked = 0;
    NEED_REAL(&data, "tdx/a-ccel-ccel_data.dat");
    NEED_REAL(&quote, "tdx/a-ccel-cos-113-tdx-quote.dat");
    if (tdx_event_log_parse(&log, bytes_view(&data), &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(log.count, 43);
    tdx_event_log_replay(&log, rtmr);
    assert_memory_equal(rtmr, quote.data + 48 + 328, sizeof rtmr); /* the header, then RTMR0 in the body */
    for (size_t i = 0; i < log.count; i++) {
        int rc = tdx_event_check_data(&log.event[i], &err);
        assert_true(rc >= 0);
        checked += rc == 0;
    }
    assert_int_equal(checked, 31);
}

static void a_real_ccel_table_is_read(void **state)
{
    (void)state;
    CLEAN_BYTES table = {0};
    struct tdx_ccel ccel;
    NEED_REAL(&table, "tdx/a-ccel-ccel_table.dat");
    assert_int_equal(tdx_ccel_parse(&ccel, bytes_view(&table), NULL), 0);
    assert_int_equal(ccel.type, 2);
    assert_int_equal(ccel.subtype, 0);
    assert_int_equal(ccel.length, 0x40000);
    assert_int_equal(ccel.address, 0xbedbf000);
    table.data[40] ^= 1;
    assert_int_equal(tdx_ccel_parse(&ccel, bytes_view(&table), NULL), -COFRE_MALFORMED);
    table.data[40] ^= 1;
    assert_int_equal(tdx_ccel_parse(&ccel, (struct view){table.data, 55}, NULL), -COFRE_MALFORMED);
    table.data[0] = 'c';
    assert_int_equal(tdx_ccel_parse(&ccel, bytes_view(&table), NULL), -COFRE_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_events_in_order),
        cmocka_unit_test(events_that_extend_nothing_are_not_replayed),
        cmocka_unit_test(padding_of_one_value_may_follow_and_nothing_else),
        cmocka_unit_test(every_cut_is_refused_or_has_fewer_events),
        cmocka_unit_test(what_is_not_well_formed_is_refused),
        cmocka_unit_test(digests_of_several_algorithms_are_read),
        cmocka_unit_test(data_is_compared_with_what_was_measured),
        cmocka_unit_test(types_have_names),
        cmocka_unit_test(a_real_log_replays_to_its_quotes_rtmrs),
        cmocka_unit_test(a_real_ccel_table_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
