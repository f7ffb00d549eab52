#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tdx/mrtd.h"
#include "tests/unit/tdx/service_double.h"
#include "vmm/agent/provider.h"
#include "vmm/agent/replay.h"
#include "vmm/base/file.h"

/* A log as firmware writes it (TCG PC Client Platform Firmware Profile 1.06, section 10.2), in an area of 4 KiB. */
static uint8_t area[4096];
static size_t used;
static struct tdx_td_info td;
static struct cofre_err err;

static void put(const void *data, size_t len)
{
    memcpy(area + used, data, len);
    used += len;
}

static void put_u32(uint32_t v)
{
    put(&v, sizeof v);
}

static void put_event(uint32_t mr, uint32_t type, uint8_t filled, const char *data)
{
    uint8_t digest[TDX_DIGEST_SIZE];
    memset(digest, filled, sizeof digest);
    put_u32(mr);
    put_u32(type);
    put_u32(1);
    put("\x0c", 2); /* TPM_ALG_SHA384 */
    put(digest, sizeof digest);
    put_u32((uint32_t)strlen(data));
    put(data, strlen(data));
    if (mr > 0 && type != 3)
        tdx_rtmr_extend(td.rtmr[mr - 1], digest);
}

static int set_up(void **state)
{
    (void)state;
    static const uint8_t sha1[20];
    memset(area, 0xff, sizeof area);
    memset(&td, 0, sizeof td);
    used = 0;
    put_u32(0); /* TCG_PCClientPCREvent: index, EV_NO_ACTION, SHA-1, size */
    put_u32(3);
    put(sha1, sizeof sha1);
    put_u32(33);
    put("Spec ID Event03", 16);
    put("\0\0\0\0\0\2\0\2", 8); /* class, minor, major, errata, uintn size */
    put_u32(1);
    put("\x0c\0\x30\0", 4); /* SHA-384, 48 bytes */
    put("", 1);             /* no vendor information */
    put_event(1, 4, 0x11, "layout");
    put_event(2, 0x80000003, 0x22, "kernel");
    put_event(3, 0xd, 0x33, "command line");
    put_event(3, 0xd, 0x44, "initrd");
    put_event(0, 3, 0x55, "not extended");
    return 0;
}

static int compare(char *said, size_t size)
{
    FILE *out = fmemopen(said, size, "w");
    int rc = replay_compare(out, (struct view){area, sizeof area}, &td, &err);
    fclose(out);
    return rc;
}

static void a_log_that_tells_the_registers_is_equal(void **state)
{
    (void)state;
    char said[2048] = "";
    assert_int_equal(compare(said, sizeof said), 0);
    assert_non_null(strstr(said, "RTMR0 equal, events 1: "));
    assert_non_null(strstr(said, "RTMR2 equal, events 2: "));
    assert_non_null(strstr(said, "RTMR3 equal, events 0: 0000"));
    assert_null(strstr(said, "DIFFERS"));
}

static void a_register_that_differs_is_named(void **state)
{
    (void)state;
    char said[2048] = "";
    td.rtmr[1][47] ^= 1;
    assert_int_equal(compare(said, sizeof said), -COFRE_NEGATIVE);
    assert_non_null(strstr(err.text, "RTMR1"));
    assert_non_null(strstr(said, "RTMR0 equal"));
    assert_non_null(strstr(said, "RTMR1 DIFFERS"));
    assert_non_null(strstr(said, "replayed: "));
}

static void an_event_that_is_missing_is_noticed(void **state)
{
    (void)state;
    const uint8_t another[TDX_DIGEST_SIZE] = {1};
    char said[2048] = "";
    tdx_rtmr_extend(td.rtmr[3], another);
    assert_int_equal(compare(said, sizeof said), -COFRE_NEGATIVE);
    assert_non_null(strstr(err.text, "RTMR3"));
}

static void what_is_no_log_is_malformed(void **state)
{
    (void)state;
    char said[2048] = "";
    area[32] ^= 1; /* in "Spec ID Event03" */
    assert_int_equal(compare(said, sizeof said), -COFRE_MALFORMED);
}

static void read_through_a_file(const void *data, size_t len, struct bytes *log)
{
    char path[] = "/tmp/cofre-ccel-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), len);
    close(fd);
    assert_int_equal(event_log_read(log, path, &err), 0);
    unlink(path);
}

static void the_log_is_read_without_its_padding(void **state)
{
    (void)state;
    CLEAN_BYTES log = {0};
    read_through_a_file(area, sizeof area, &log);
    assert_int_equal(log.len, used);
    assert_memory_equal(log.data, area, used);
}

static void what_is_no_log_is_passed_on_for_the_verifier(void **state)
{
    (void)state;
    CLEAN_BYTES log = {0};
    read_through_a_file("nonsense", 8, &log);
    assert_int_equal(log.len, 8);
}

static void a_guest_without_a_log_has_an_empty_one(void **state)
{
    (void)state;
    CLEAN_BYTES log = {0};
    assert_int_equal(event_log_read(&log, "/nonexistent/CCEL", &err), 0);
    assert_int_equal(log.len, 0);
}

#define SOON   100   /* milliseconds, for a service from which nothing comes */
#define ENOUGH 25000 /* for one that answers, on a machine that does much else: as the agent gives it */

/* What a host's quote service makes of a TDREPORT, in which the double finds what to do. */
static int quote(struct bytes *out, struct double_order order, unsigned milliseconds)
{
    struct tdx_report report = {0};
    memcpy(&report, &order, sizeof order);
    err.text[0] = 0;
    int rc = tdx_guest_quote(out, &double_backend, &report, milliseconds, &err);
    double_join();
    return rc;
}

static void the_host_makes_a_quote_of_a_tdreport(void **state)
{
    (void)state;
    static const enum double_fault good[] = {DOUBLE_GOOD, DOUBLE_GOOD_IN_PIECES, DOUBLE_GOOD_AFTER_KILLS};
    static uint8_t expected[8192];
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        CLEAN_BYTES got = {0};
        const struct double_order order = {.fault = good[i], .seed = 5, .room = sizeof expected};
        assert_int_equal(quote(&got, order, ENOUGH), 0);
        assert_int_equal(got.len, double_quote(expected, &order));
        assert_memory_equal(got.data, expected, got.len);
    }
}

static void a_host_that_makes_none_is_told_of_in_time(void **state)
{
    (void)state;
    static const struct {
        enum double_fault fault;
        unsigned milliseconds;
        const char *says;
    } cases[] = {{DOUBLE_SILENT, SOON, "did not answer in time"},
                 {DOUBLE_STUCK, SOON, "did not answer in time"},
                 {DOUBLE_ERROR_CODE, ENOUGH, "refuses with error"},
                 {DOUBLE_CLOSED, ENOUGH, "ended the connection"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CLEAN_BYTES got = {0};
        const struct double_order order = {.fault = cases[i].fault, .seed = 5, .room = 8192};
        assert_int_equal(quote(&got, order, cases[i].milliseconds), -COFRE_LACKING);
        assert_int_equal(got.len, 0);
        assert_non_null(strstr(err.text, cases[i].says));
    }
    CLEAN_BYTES got = {0};
    double_refuse(ECONNRESET, 1000000);
    assert_int_equal(quote(&got, (struct double_order){.room = 8192}, SOON), -COFRE_LACKING);
    assert_non_null(strstr(err.text, "vsock:2:4050 cannot be reached"));
}

static void without_a_quote_both_ways_to_one_are_named(void **state)
{
    (void)state;
    const uint8_t data[REPORT_DATA_SIZE] = {0};
    struct agent_evidence evidence = {0};
    assert_int_equal(tdx_guest_get(data, &evidence, &err), -COFRE_LACKING);
    assert_non_null(strstr(err.text, "configfs"));
    assert_non_null(strstr(err.text, "vsock"));
}

int main(void)
{
#define test(name) cmocka_unit_test_setup(name, set_up)
    const struct CMUnitTest tests[] = {
        test(a_log_that_tells_the_registers_is_equal),   test(a_register_that_differs_is_named),
        test(an_event_that_is_missing_is_noticed),       test(what_is_no_log_is_malformed),
        test(the_log_is_read_without_its_padding),       test(what_is_no_log_is_passed_on_for_the_verifier),
        test(a_guest_without_a_log_has_an_empty_one),    test(the_host_makes_a_quote_of_a_tdreport),
        test(a_host_that_makes_none_is_told_of_in_time), test(without_a_quote_both_ways_to_one_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
