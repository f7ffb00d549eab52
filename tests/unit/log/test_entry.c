/* Entries that Cofre writes: what goes in comes out, and nothing else is taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "attest/log/entry.h"

static struct log_entry a_verdict(void)
{
    struct log_entry entry = {
        .kind = LOG_ENTRY_VERDICT, .time = 1717200000, .outcome = LOG_UNJUDGED, .tee = "tdx"};
    memset(&entry.evidence, 0xe1, sizeof entry.evidence);
    memset(&entry.policy, 0x90, sizeof entry.policy);
    memset(&entry.token, 0x70, sizeof entry.token);
    return entry;
}

static struct log_entry a_change(void)
{
    return (struct log_entry){.kind = LOG_ENTRY_CHANGE,
                              .time = 1717200000,
                              .action = "activated",
                              .object = "policy",
                              .object_name = "web",
                              .object_version = 3,
                              .actor = "alice",
                              .digest = {{0x90}},
                              .detail = "for the new kernel"};
}

static struct log_entry an_operation(void)
{
    return (struct log_entry){.kind = LOG_ENTRY_OPERATION,
                              .time = 1717200000,
                              .outcome = LOG_OPERATION_REFUSED,
                              .object_name = "guest/web",
                              .subject = "uid:1000",
                              .detail = "nothing grants guest.start in acme",
                              .request = "7c1d",
                              .tenant = "acme",
                              .identity = "socket",
                              .from = "pid 812",
                              .operation = "guest.start",
                              .before = {LOG_HASH_SIZE, {0xbe}},
                              .count = 3};
}

static struct log_entry a_launch(void)
{
    return (struct log_entry){.kind = LOG_ENTRY_LAUNCH,
                              .time = 1717200000,
                              .outcome = LOG_LAUNCH_STOPPED,
                              .tee = "snp",
                              .object_name = "web",
                              .detail = "it was measured as something else",
                              .request = "7c1d",
                              .tenant = "acme",
                              .guest = UINT32_MAX,
                              .emulated = 1,
                              .expected = {LOG_MEASUREMENT_SIZE, {1}},
                              .predicted = {LOG_MEASUREMENT_SIZE, {1}},
                              .reported = {LOG_MEASUREMENT_SIZE, {2}},
                              .kernel = {LOG_HASH_SIZE, {0x4e}},
                              .guest_policy = UINT64_MAX,
                              .host_data = {32, {5}}};
}

static struct log_entry a_clock(void)
{
    return (struct log_entry){.kind = LOG_ENTRY_CLOCK,
                              .time = 1717200000,
                              .size = 17,
                              .root = {{0x40}},
                              .tpm_key = {{0x71}},
                              .attest = {134, {0xff, 'T', 'C', 'G'}},
                              .signature = {72, {0, 0x18}}};
}

static void each_kind_comes_back(void **state)
{
    (void)state;
    struct log_entry entries[] = {
        a_verdict(), {.kind = LOG_ENTRY_GENESIS, .time = 0, .name = "verdicts of example.org", .random = {7}},
        a_change(),  an_operation(),
        a_launch(),  a_clock()};
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        CLEAN_BYTES bytes = {0};
        struct log_entry again;
        struct cofre_err err;
        assert_int_equal(log_entry_write(&bytes, &entries[i], NULL), 0);
        if (log_entry_read(&again, bytes_view(&bytes), &err) < 0)
            fail_msg("%s", err.text);
        assert_memory_equal(&again, &entries[i], sizeof again);
    }
}

static void the_bytes_are_as_documented(void **state)
{
    (void)state;
    CLEAN_BYTES bytes = {0};
    struct log_entry entry = a_verdict();
    assert_int_equal(log_entry_write(&bytes, &entry, NULL), 0);
    static const uint8_t start[] = {0xa8, 0, 1, 1,    1,   2,   0x1a, 0x66, 0x5a, 0x64, 0x80,
                                    5,    2, 6, 0x63, 't', 'd', 'x',  7,    0x58, 0x20, 0xe1};
    assert_int_equal(bytes.len, sizeof start - 1 + 3 * 35 - 3);
    assert_memory_equal(bytes.data, start, sizeof start);
}

static void check_changed(struct log_entry entry)
{
    CLEAN_BYTES bytes = {0};
    struct log_entry again;
    assert_int_equal(log_entry_write(&bytes, &entry, NULL), 0);
    for (size_t bit = 0; bit < 8 * bytes.len; bit++) {
        bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (log_entry_read(&again, bytes_view(&bytes), NULL) == 0)
            assert_memory_not_equal(&again, &entry, sizeof again);
        bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t len = 0; len < bytes.len; len++)
        assert_int_equal(log_entry_read(&again, (struct view){bytes.data, len}, NULL), -COFRE_MALFORMED);
}

static void what_is_changed_is_refused_or_says_something_else(void **state)
{
    (void)state;
    check_changed(a_verdict());
    check_changed(a_change());
    check_changed(an_operation());
    check_changed(a_launch());
    check_changed(a_clock());
}

static void what_would_not_be_read_is_not_written(void **state)
{
    (void)state;
    struct log_entry cases[] = {an_operation(), an_operation(), an_operation(), a_launch(),
                                a_launch(),     a_launch(),     a_launch()};
    static const int member[] = {16, 12, 5, 28, 26, 25, 38};
    strcpy(cases[0].detail, "a line\nand another");
    strcpy(cases[1].object_name, "caf\xc3\xa9");
    cases[2].outcome = LOG_OPERATION_OUTCOMES;
    cases[3].predicted.len = 47;
    cases[4].emulated = 2;
    cases[5].guest = -1;
    cases[6].host_data.len = LOG_MEASUREMENT_SIZE + 1;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CLEAN_BYTES bytes = {0};
        struct cofre_err err;
        char name[32];
        (void)snprintf(name, sizeof name, "member %d of", member[i]);
        assert_int_equal(log_entry_write(&bytes, &cases[i], &err), -COFRE_USAGE);
        assert_non_null(strstr(err.text, name));
    }
}

static void what_others_wrote_becomes_printable_and_stays_apart(void **state)
{
    (void)state;
    static const struct {
        const char *text, *in_12_bytes;
    } cases[] = {
        {"", ""},
        {"eleven long", "eleven long"},
        {"twelve bytes", "twelve b..."},
        {"a\nb", "a\\x0ab"},
        {"a\\x0ab", "a\\x5cx0ab"},
        {"\xc3\xa9", "\\xc3\\xa9"},
        {"a\xc3\xa9zzz", "a\\xc3..."},
        {"\x1b[2J\x7f", "\\x1b[2J\\x7f"},
        {"\x1b[2J\x7f.", "\\x1b[2J..."},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[12];
        log_entry_text(out, sizeof out, cases[i].text);
        assert_string_equal(out, cases[i].in_12_bytes);
    }
}

static void other_versions_kinds_and_members_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
    } cases[] = {
        {"\xa0", 1},                         /* nothing */
        {"\x80", 1},                         /* no map */
        {"\xa3\x00\x04\x01\x00\x02\x00", 7}, /* version 4 */
        {"\xa3\x00\x02\x01\x05\x02\x00", 7}, /* a kind that is not there */
        {"\xa3\x00\x01\x01\x00\x02\x00", 7}, /* a first entry without its members */
        {"\xa3\x00\x01\x01\x01\x02\x20", 7}, /* a time before 1970 */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct log_entry entry;
        struct view bytes = {(const uint8_t *)cases[i].bytes, cases[i].len};
        assert_int_equal(log_entry_read(&entry, bytes, NULL), -COFRE_MALFORMED);
    }
    CLEAN_BYTES bytes = {0}, more = {0}, other = {0};
    struct log_entry entry = an_operation();
    assert_int_equal(log_entry_write(&other, &entry, NULL), 0);
    assert_int_equal(other.data[2], 2);
    other.data[2] = 1; /* an operation in version 1 */
    assert_int_equal(log_entry_read(&entry, bytes_view(&other), NULL), -COFRE_MALFORMED);
    entry = a_verdict();
    assert_int_equal(log_entry_write(&bytes, &entry, NULL), 0);
    assert_int_equal(bytes.data[2], 1);
    assert_int_equal(bytes_alloc(&more, bytes.len + 2, NULL), 0);
    memcpy(more.data, bytes.data, bytes.len);
    more.data[0]++; /* one member more: 10 => 0 */
    more.data[bytes.len] = 10;
    assert_int_equal(log_entry_read(&entry, bytes_view(&more), NULL), -COFRE_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_comes_back),
        cmocka_unit_test(the_bytes_are_as_documented),
        cmocka_unit_test(what_is_changed_is_refused_or_says_something_else),
        cmocka_unit_test(what_would_not_be_read_is_not_written),
        cmocka_unit_test(what_others_wrote_becomes_printable_and_stays_apart),
        cmocka_unit_test(other_versions_kinds_and_members_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
