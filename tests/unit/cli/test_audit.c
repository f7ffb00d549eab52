/* cofre audit as an auditor calls it: a record is asked, bundled and verified; and each lie ends with its exit code and sentence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>

#include "attest/log/entry.h"
#include "attest/log/file.h"
#include "tests/unit/cli/run.h"
#include "vmm/base/clean_openssl.h"
#include "vmm/base/cleanup.h"

#define DAY   86400
#define START 1764288000 /* 2025-11-28T00:00:00Z */

static EVP_PKEY *key;

static void must(int rc, const struct cofre_err *err)
{
    if (rc < 0)
        fail_msg("%s", err->text);
}

static void ok(const char *arguments)
{
    int rc = cli_run(arguments);
    if (rc != 0)
        fail_msg("cofre %s: exit code %d, %s", arguments, rc, cli_output);
}

static void refused(const char *arguments, int rc, const char *sentence)
{
    assert_int_equal(cli_run(arguments), rc);
    if (!strstr(cli_output, sentence))
        fail_msg("cofre %s: %s", arguments, cli_output);
}

/* What it prints as JSON; the caller frees it. */
static json_t *asked(const char *arguments)
{
    ok(arguments);
    json_t *result = json_loads(cli_output, 0, NULL);
    assert_non_null(result);
    return result;
}

static json_int_t count(const json_t *result, const char *member)
{
    const json_t *value = json_object_get(result, member);
    return json_is_array(value) ? (json_int_t)json_array_size(value) : json_integer_value(value);
}

static const json_t *row(const json_t *result, size_t n)
{
    return json_array_get(json_object_get(result, "entries"), n);
}

static int write_key(EVP_PKEY *to_write, const char *private_name, const char *public_name)
{
    char path[CLI_PATH_SIZE];
    cli_path(path, private_name);
    CLEAN_FILE *f = fopen(path, "w");
    cli_path(path, public_name);
    CLEAN_FILE *g = fopen(path, "w");
    return f && g && PEM_write_PrivateKey(f, to_write, NULL, NULL, 0, NULL, NULL) && PEM_write_PUBKEY(g, to_write)
               ? 0
               : -1;
}

/* The record */

static int sign(void *context, const struct log_state *state, struct bytes *out, struct cofre_err *err)
{
    uint8_t kid[COSE_THUMBPRINT_SIZE];
    struct log_head head = {.state = *state, .time = START + 3 * DAY, .name = "a host"};
    (void)context;
    assert_int_equal(cose_key_thumbprint(kid, key, NULL), 0);
    return log_head_sign(out, &head, key, (struct view){kid, sizeof kid}, err);
}

static int check(void *context, struct view head, const struct log_state *state, struct cofre_err *err)
{
    (void)context, (void)head, (void)state, (void)err;
    return 0; /* the program under test does that */
}

static void append(struct log_file *f, const struct log_entry *entry)
{
    CLEAN_BYTES bytes = {0};
    struct cofre_err err;
    must(log_entry_write(&bytes, entry, &err), &err);
    must(log_file_append(f, bytes_view(&bytes), NULL, &err), &err);
}

static struct log_entry operation(int64_t time, const char *name, const char *request, const char *object,
                                  enum log_operation_outcome outcome)
{
    struct log_entry e = {.kind = LOG_ENTRY_OPERATION, .time = time, .outcome = outcome, .count = 1};
    strcpy(e.operation, name);
    strcpy(e.request, request);
    strcpy(e.object_name, object);
    strcpy(e.subject, strcmp(name, "constraint.set") == 0 ? "uid:1007" : "uid:1000");
    strcpy(e.identity, "socket");
    strcpy(e.tenant, "acme");
    return e;
}

static struct log_entry launch(int64_t time, const char *name, int64_t guest, uint8_t reported, const char *kernel)
{
    struct log_entry e = {.kind = LOG_ENTRY_LAUNCH, .time = time, .tee = "snp", .tenant = "acme", .guest = guest};
    strcpy(e.object_name, name);
    e.predicted = (struct log_measurement){LOG_MEASUREMENT_SIZE, {0xaa}};
    e.reported = (struct log_measurement){LOG_MEASUREMENT_SIZE, {reported}};
    e.outcome = reported == 0xaa ? LOG_LAUNCH_RUNS : LOG_LAUNCH_STOPPED;
    strcpy(e.detail, reported == 0xaa ? "" : "it was measured as something else");
    e.kernel.len = e.launch_evidence.len = LOG_HASH_SIZE;
    SHA256((const uint8_t *)kernel, strlen(kernel), e.kernel.data);
    SHA256((const uint8_t *)name, strlen(name), e.launch_evidence.data);
    return e;
}

static void create(const char *name, const char *path_of)
{
    char path[CLI_PATH_SIZE];
    CLEAN_BYTES genesis = {0};
    struct cofre_err err;
    const struct log_heads heads = {.sign = sign, .check = check};
    struct log_entry first = {.kind = LOG_ENTRY_GENESIS, .time = START, .random = {7}};
    strcpy(first.name, name);
    cli_path(path, path_of);
    must(log_entry_write(&genesis, &first, &err), &err);
    must(log_file_create(path, bytes_view(&genesis), &heads, &err), &err);
}

static struct log_file *open_record(const char *name)
{
    char path[CLI_PATH_SIZE];
    struct log_file *f = NULL;
    struct cofre_err err;
    const struct log_heads heads = {.sign = sign, .check = check};
    cli_path(path, name);
    must(log_file_open(&f, path, &heads, &err), &err);
    return f;
}

/* Number: 1 and 2 a start, 3 its launch, 4 a constraint, 5 a launch that differs on the next day, 6 refusals that were counted. */
static void fill(struct log_file *f)
{
    struct log_entry e = operation(START + 10, "guest.start", "r1", "web", LOG_OPERATION_ALLOWED);
    append(f, &e);
    e = operation(START + 12, "guest.start", "r1", "web", LOG_OPERATION_DONE);
    append(f, &e);
    e = launch(START + 12, "web", 1, 0xaa, "a kernel");
    append(f, &e);
    assert_int_equal(log_file_commit(f, NULL), 0);
    e = operation(START + 20, "constraint.set", "r2", "acme", LOG_OPERATION_DONE);
    append(f, &e);
    e = launch(START + DAY + 1, "db", 2, 0xbb, "another kernel");
    append(f, &e);
    e = operation(START + DAY + 2, "", "", "", LOG_OPERATION_REFUSED);
    strcpy(e.identity, "none");
    strcpy(e.detail, "=cmd|' /C calc'!A0, \"quoted\"");
    e.count = 40;
    append(f, &e);
    assert_int_equal(log_file_commit(f, NULL), 0);
}

static int keep_record(void **state)
{
    key = EVP_EC_gen("P-256");
    CLEAN(pkey) EVP_PKEY *witness = EVP_EC_gen("P-256");
    if (cli_setup(state) != 0 || write_key(key, "log.pem", "log.pub") != 0 ||
        write_key(witness, "w.pem", "w.pub") != 0)
        return -1;
    create("operations on a host", "record");
    ok("log head --log record --keys log.pub --out head1");
    struct log_file *f = open_record("record");
    fill(f);
    log_file_close(f);
    ok("log head --log record --keys log.pub --out head7 --json");
    json_t *head = json_loads(cli_output, 0, NULL);
    char line[256];
    (void)snprintf(line, sizeof line,
                   "log witness --state s --key w.pem --name w --keys log.pub --log record --out w7 --id %s",
                   cli_text(head, "id"));
    json_decref(head);
    ok(line);
    cli_write("evidence", (struct view){(const uint8_t *)"web", 3});
    cli_write("collateral", (struct view){(const uint8_t *)"a list", 6});
    return 0;
}

static int drop_record(void **state)
{
    EVP_PKEY_free(key);
    return cli_teardown(state);
}

/* Questions */

#define LOG " --log record --keys log.pub "

static void launches_of_a_day_have_their_measurements(void **state)
{
    (void)state;
    json_t *r = asked("audit launches" LOG "--on 2025-11-28 --json");
    assert_int_equal(count(r, "entries"), 1);
    assert_string_equal(cli_text(row(r, 0), "name"), "web");
    assert_int_equal(strncmp(cli_text(row(r, 0), "reported"), "aa00", 4), 0);
    assert_true(json_is_false(json_object_get(row(r, 0), "differs")));
    json_decref(r);
    r = asked("audit launches" LOG "--since 2025-11-28T00:00:12Z --until 2025-11-29T00:00:01Z --json");
    assert_int_equal(count(r, "entries"), 2);
    json_decref(r);
    r = asked("audit launches" LOG "--on 2025-11-27 --json");
    assert_int_equal(count(r, "entries"), 0);
    json_decref(r);
}

static void launches_that_differ_say_what_happened(void **state)
{
    (void)state;
    json_t *r = asked("audit launches" LOG "--differing --json");
    assert_int_equal(count(r, "entries"), 1);
    assert_string_equal(cli_text(row(r, 0), "name"), "db");
    assert_string_equal(cli_text(row(r, 0), "outcome"), "stopped");
    assert_string_equal(cli_text(row(r, 0), "detail"), "it was measured as something else");
    json_decref(r);
}

static void who_changed_something_is_found_by_its_name(void **state)
{
    (void)state;
    json_t *r = asked("audit operations" LOG "--operation constraint.set --object acme --json");
    assert_int_equal(count(r, "entries"), 1);
    assert_string_equal(cli_text(row(r, 0), "actor"), "uid:1007");
    json_decref(r);
    r = asked("audit operations" LOG "--who uid:1000 --json");
    assert_int_equal(count(r, "entries"), 3);
    json_decref(r);
}

static void launches_with_listed_digests_are_found(void **state)
{
    (void)state;
    char list[256];
    uint8_t digest[32];
    char hex[65];
    SHA256((const uint8_t *)"another kernel", 14, digest);
    hex_encode(hex, digest, sizeof digest);
    (void)snprintf(list, sizeof list, "# advisories\n\n%s  CVE-2025-1\n", hex);
    cli_write("list", (struct view){(const uint8_t *)list, strlen(list)});
    json_t *r = asked("audit launches" LOG "--digests list --json");
    assert_int_equal(count(r, "entries"), 1);
    assert_string_equal(cli_text(row(r, 0), "listed"), "kernel CVE-2025-1");
    assert_string_equal(cli_text(row(r, 0), "name"), "db");
    json_decref(r);
    r = asked("audit launches" LOG "--evidence evidence --json");
    assert_int_equal(count(r, "entries"), 1);
    assert_string_equal(cli_text(row(r, 0), "name"), "web");
    json_decref(r);
    r = asked("audit launches" LOG "--guest 2 --json");
    assert_int_equal(count(r, "entries"), 1);
    json_decref(r);
    cli_write("list", (struct view){(const uint8_t *)"abc\n", 4});
    refused("audit launches" LOG "--digests list", 2, "line 1 does not begin with 64 hexadecimal digits");
}

static void tables_and_csv_have_a_line_for_each(void **state)
{
    (void)state;
    ok("audit launches" LOG);
    assert_non_null(strstr(cli_output, "number  time"));
    assert_non_null(strstr(cli_output, "2 entries"));
    ok("audit operations" LOG "--csv");
    assert_int_equal(strncmp(cli_output, "number,time,", 12), 0);
    assert_non_null(strstr(cli_output, ",\"'=cmd|' /C calc'!A0, \"\"quoted\"\"\"\r\n"));
    unsigned lines = 0;
    for (const char *c = cli_output; (c = strstr(c, "\r\n")); c += 2)
        lines++;
    assert_int_equal(lines, 1 + 4);
}

/* Complete */

static void a_whole_record_is_complete(void **state)
{
    (void)state;
    json_t *r = asked("audit complete" LOG "--head head7 --witnesses w7 --witness-keys w.pub --json");
    assert_string_equal(cli_text(r, "verdict"), "pass");
    assert_int_equal(count(r, "entries"), 7);
    assert_int_equal(count(r, "removed"), 0);
    assert_int_equal(count(r, "unfinished"), 0);
    assert_int_equal(count(r, "refusals_only_counted"), 40);
    assert_int_equal(count(r, "witnessed"), 7);
    json_decref(r);
    r = asked("audit complete" LOG "--first 1 --last 1 --json");
    assert_int_equal(count(r, "entries"), 1);
    assert_int_equal(count(r, "unfinished"), 1);
    json_decref(r);
}

/* The record with entries 1 to 3 as their hashes. */
static void remove_entries(const char *name)
{
    CLEAN_BYTES in = {0}, out = {0};
    cli_read(&in, "record");
    assert_int_equal(bytes_alloc(&out, in.len + 64, NULL), 0);
    size_t len = LOG_HEADER_SIZE, number = 0;
    struct log_item item;
    for (size_t at = LOG_HEADER_SIZE; at < in.len; at += item.prefix + item.len) {
        assert_int_equal(log_item_read(&item, (struct view){in.data + at, in.len - at}, NULL), 1);
        const bool removed = item.kind == LOG_ITEM_ENTRY && number >= 1 && number <= 3;
        number += item.kind == LOG_ITEM_ENTRY;
        if (removed) {
            CLEAN_HASHER h = {0};
            struct log_hash leaf;
            assert_int_equal(log_hasher_init(&h, NULL), 0);
            assert_int_equal(log_hash_leaf(&h, &leaf, (struct view){in.data + at + item.prefix, item.len}, NULL), 0);
            len += log_item_prefix(out.data + len, LOG_ITEM_REMOVED, sizeof leaf);
            memcpy(out.data + len, &leaf, sizeof leaf);
            len += sizeof leaf;
        } else {
            memcpy(out.data + len, in.data + at, item.prefix + item.len);
            len += item.prefix + item.len;
        }
    }
    log_header_write(out.data, len);
    cli_write(name, (struct view){out.data, len});
}

static void entries_that_were_removed_are_named_where_no_entry_says_so(void **state)
{
    (void)state;
    remove_entries("pruned");
    ok("log verify --log pruned --keys log.pub --head head7");
    refused("audit complete --log pruned --keys log.pub", 1,
            "entry 3 was removed, and no entry says so: they say so up to number 0");
    struct log_file *f = open_record("pruned");
    const struct log_entry e = operation(START + 2 * DAY, "audit.retain", "r9", "entries 1 to 3", LOG_OPERATION_DONE);
    append(f, &e);
    assert_int_equal(log_file_commit(f, NULL), 0);
    log_file_close(f);
    json_t *r = asked("audit complete --log pruned --keys log.pub --json");
    assert_int_equal(count(r, "removed"), 3);
    assert_int_equal(count(r, "entries"), 5);
    json_decref(r);
    ok("audit bundle --log pruned --keys log.pub --out pruned.bundle");
    r = asked("audit verify pruned.bundle --keys log.pub --json");
    assert_string_equal(cli_text(row(r, 2), "entry"), "removed");
    assert_string_equal(cli_text(r, "proves"), "all entries of a range");
    json_decref(r);
}

/* Bundles */

static void a_bundle_is_checked_by_the_key_alone(void **state)
{
    (void)state;
    ok("audit bundle" LOG "--guest web --from head1 --witnesses w7 --witness-keys w.pub --file evidence --file collateral "
       "--out b");
    json_t *r = asked("audit verify b --keys log.pub --witness-keys w.pub --out files --json");
    assert_string_equal(cli_text(r, "verdict"), "pass");
    assert_string_equal(cli_text(r, "proves"), "some entries");
    assert_int_equal(count(r, "entries"), 1);
    assert_int_equal(count(row(r, 0), "number"), 3);
    assert_int_equal(count(r, "from"), 1);
    assert_int_equal(count(r, "witnessed"), 7);
    const json_t *files = json_object_get(r, "files");
    assert_int_equal(json_integer_value(json_object_get(json_array_get(files, 0), "named_by_entry")), 3);
    assert_true(json_is_null(json_object_get(json_array_get(files, 1), "named_by_entry")));
    json_decref(r);
    ok("--help > /dev/null; cmp files/evidence evidence && cmp files/collateral collateral");
    ok("audit bundle" LOG "--first 2 --last 5 --out range");
    r = asked("audit verify range --keys log.pub --json");
    assert_int_equal(count(r, "first"), 2);
    assert_int_equal(count(r, "last"), 5);
    json_decref(r);
}

static void a_bundle_by_the_wrong_key_or_of_too_few_witnesses_is_refused(void **state)
{
    (void)state;
    ok("audit bundle" LOG "--guest web --out plain");
    refused("audit verify plain --keys w.pub", 1, "the head: it is signed by none of the keys given");
    refused("audit verify plain --keys log.pub --witness-keys w.pub", 1,
            "0 witnesses have signed it, of the 1 that are asked for");
    refused("audit verify plain --keys log.pub --id "
            "0000000000000000000000000000000000000000000000000000000000000000",
            1, "it is another log than the one of --id");
    refused("audit verify log.pub --keys log.pub", 3, "log.pub: ");
    refused("audit bundle" LOG "--guest nobody --out none", 1, "the log has no such entry");
    refused("audit bundle" LOG "--from head7 --out none", 2, "the log has not grown since");
}

static void a_wrong_call_says_why(void **state)
{
    (void)state;
    refused("audit launches --log record", 2, "launches: --keys is missing");
    refused("audit launches" LOG "--who x", 2, "launches takes no --who");
    refused("audit operations" LOG "--differing", 2, "operations takes no --differing");
    refused("audit complete" LOG "--csv", 2, "complete takes no --csv");
    refused("audit launches" LOG "--on 2025-13-40", 2, "--on");
    refused("audit launches" LOG "--first 7", 2, "--first");
    refused("audit verify --keys log.pub", 2, "usage:");
    refused("audit something", 2, "usage:");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(launches_of_a_day_have_their_measurements),
        cmocka_unit_test(launches_that_differ_say_what_happened),
        cmocka_unit_test(who_changed_something_is_found_by_its_name),
        cmocka_unit_test(launches_with_listed_digests_are_found),
        cmocka_unit_test(tables_and_csv_have_a_line_for_each),
        cmocka_unit_test(a_whole_record_is_complete),
        cmocka_unit_test(entries_that_were_removed_are_named_where_no_entry_says_so),
        cmocka_unit_test(a_bundle_is_checked_by_the_key_alone),
        cmocka_unit_test(a_bundle_by_the_wrong_key_or_of_too_few_witnesses_is_refused),
        cmocka_unit_test(a_wrong_call_says_why),
    };
    return cmocka_run_group_tests(tests, keep_record, drop_record);
}
