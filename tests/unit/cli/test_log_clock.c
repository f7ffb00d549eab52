/* --tpm-keys of cofre log and cofre audit: a record that a TPM vouches for, and what a host can do to it with the log's key alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "attest/log/bundle.h"
#include "attest/log/file.h"
#include "tests/unit/cli/run.h"
#include "tests/unit/log/made_tpm.h"
#include "vmm/base/cleanup.h"

#define START 1800000000

static EVP_PKEY *key, *tpm, *another_tpm;

static void must(int rc, const struct cofre_err *err)
{
    if (rc < 0)
        fail_msg("%s", err->text);
}

static void says(const char *arguments, int code, const char *sentence)
{
    const int is = cli_run(arguments);
    if (is != code || !strstr(cli_output, sentence))
        fail_msg("cofre %s: exit code %d, %s", arguments, is, cli_output);
}

static void write_public(EVP_PKEY *of, const char *name)
{
    char path[CLI_PATH_SIZE];
    cli_path(path, name);
    CLEAN_FILE *to = fopen(path, "we");
    assert_true(to && PEM_write_PUBKEY(to, of) == 1);
}

/* Records */

static int64_t now; /* when heads are signed */

static int sign(void *context, const struct log_state *state, struct bytes *out, struct cofre_err *err)
{
    uint8_t kid[COSE_THUMBPRINT_SIZE];
    struct log_head head = {.state = *state, .time = now, .name = "a host"};
    (void)context;
    assert_int_equal(cose_key_thumbprint(kid, key, NULL), 0);
    return log_head_sign(out, &head, key, (struct view){kid, sizeof kid}, err);
}

static int check(void *context, struct view head, const struct log_state *state, struct cofre_err *err)
{
    (void)context, (void)head, (void)state, (void)err;
    return 0; /* the program under test does that */
}

static const struct log_heads heads = {.sign = sign, .check = check};

static struct log_file *begin(const char *name)
{
    char path[CLI_PATH_SIZE];
    struct log_file *f = NULL;
    CLEAN_BYTES bytes = {0};
    struct cofre_err err;
    const struct log_entry first = {
        .kind = LOG_ENTRY_GENESIS, .time = START, .name = "a host", .random = {7}};
    now = START;
    cli_path(path, name);
    must(log_entry_write(&bytes, &first, &err), &err);
    must(log_file_create(path, bytes_view(&bytes), &heads, &err), &err);
    must(log_file_open(&f, path, &heads, &err), &err);
    return f;
}

static void append(struct log_file *f, const struct log_entry *e)
{
    CLEAN_BYTES bytes = {0};
    struct cofre_err err;
    now = e->time > now ? e->time : now;
    must(log_entry_write(&bytes, e, &err), &err);
    must(log_file_append(f, bytes_view(&bytes), NULL, &err), &err);
    must(log_file_commit(f, &err), &err);
}

static void start_of(struct log_file *f, int64_t time, const char *who)
{
    struct log_entry e = {
        .kind = LOG_ENTRY_OPERATION, .time = time, .outcome = LOG_OPERATION_DONE, .count = 1};
    strcpy(e.operation, "guest.start");
    strcpy(e.subject, who);
    strcpy(e.identity, "socket");
    append(f, &e);
}

/* What the TPM says of the log as it is. */
static struct log_entry word(struct log_file *f, EVP_PKEY *by, int64_t time, uint64_t milliseconds,
                             uint32_t resets)
{
    struct log_entry e;
    const struct log_clock clock = {
        .milliseconds = milliseconds, .since_start = milliseconds, .resets = resets, .safe = true};
    const TPMS_ATTEST said = made_tpm_says(log_file_state(f), &clock);
    assert_true(made_tpm_entry(&e, log_file_state(f), &said, by, time));
    return e;
}

/* 1 a start; 2 a word of it; 3 a start; 4 another, behind a reset. */
static struct log_file *record(const char *name, const char *who, struct log_entry words[2])
{
    struct log_file *f = begin(name);
    start_of(f, START + 1, who);
    if (who[4] == '1') /* who has the TPM */
        words[0] = word(f, tpm, START + 60, 5000000, 3);
    append(f, &words[0]);
    start_of(f, START + 100, "uid:7");
    if (who[4] == '1')
        words[1] = word(f, tpm, START + 160, 5050000, 4);
    append(f, &words[1]);
    return f;
}

static int keep_record(void **state)
{
    static struct log_entry words[2];
    if (cli_setup(state) != 0)
        return -1;
    key = EVP_EC_gen("P-256");
    tpm = EVP_EC_gen("P-256");
    another_tpm = EVP_EC_gen("P-256");
    write_public(key, "log.pub");
    write_public(tpm, "tpm.pub");
    write_public(another_tpm, "another.pub");
    log_file_close(record("record", "uid:1", words));
    log_file_close(record("written-anew", "uid:2", words)); /* with the log's key, and the TPM's old words */
    return 0;
}

static int drop_record(void **state)
{
    EVP_PKEY_free(key);
    EVP_PKEY_free(tpm);
    EVP_PKEY_free(another_tpm);
    return cli_teardown(state);
}

#define VERIFY(LOG) "log verify --json --keys log.pub --tpm-keys tpm.pub --log " LOG

static struct log_file *grown(const char *name)
{
    char path[CLI_PATH_SIZE];
    struct log_file *f = NULL;
    struct cofre_err err;
    CLEAN_BYTES bytes = {0};
    cli_read(&bytes, "record");
    cli_write(name, bytes_view(&bytes));
    cli_path(path, name);
    must(log_file_open(&f, path, &heads, &err), &err);
    now = START + 160;
    return f;
}

static void a_record_that_a_tpm_vouches_for_verifies_with_its_clock_and_resets(void **state)
{
    (void)state;
    says(VERIFY("record"), 0, "\"tpm_vouches_for\": 4");
    json_t *r = json_loads(cli_output, 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(r, "tpm_words")), 2);
    assert_int_equal(json_integer_value(json_object_get(r, "tpm_milliseconds")), 5050000);
    assert_int_equal(json_integer_value(json_object_get(r, "tpm_resets_seen")), 1);
    json_decref(r);
    says("log show --log record --keys log.pub --json --index 4", 0, "\"milliseconds\": 5050000");
    says("audit complete --log record --keys log.pub --tpm-keys tpm.pub --json", 0, "\"tpm_vouches_for\": 4");
}

static void a_record_that_was_written_anew_with_the_logs_key_is_named(void **state)
{
    (void)state;
    says("log verify --log written-anew --keys log.pub", 0, "size"); /* nobody else notices */
    says(VERIFY("written-anew"), 1,
         "entry 2, a TPM's word: its first 2 entries were others when the TPM was told");
}

static void a_record_without_a_tpms_word_or_with_an_old_one_is_named(void **state)
{
    struct log_file *f = begin("bare");
    (void)state;
    start_of(f, START + 1, "uid:1");
    log_file_close(f);
    says(VERIFY("bare"), 1, "no entry of it is a TPM's word");
    f = grown("young");
    start_of(f, START + 200, "uid:1");
    start_of(f, START + 799, "uid:1");
    log_file_close(f);
    says(VERIFY("young"), 0, "\"tpm_vouches_for\": 4");
    f = grown("silent");
    start_of(f, START + 200, "uid:1");
    start_of(f, START + 801, "uid:1");
    log_file_close(f);
    says(VERIFY("silent"), 1,
         "its first 4 entries alone, and the next one is older than its end by 601 seconds");
}

static void words_of_another_tpm_another_time_and_another_place_are_named(void **state)
{
    (void)state;
    says("log verify --log record --keys log.pub --tpm-keys another.pub", 1,
         "entry 2, a TPM's word: it is by another");
    struct log_file *f = grown("back");
    struct log_entry e = word(f, tpm, START + 200, 5040000, 4);
    append(f, &e);
    log_file_close(f);
    says(VERIFY("back"), 1, "entry 5, a TPM's word: the TPM's clock goes back");
    f = grown("forged");
    e = word(f, another_tpm, START + 200, 5090000, 4);
    assert_int_equal(cose_key_thumbprint(e.tpm_key.data, tpm, NULL), 0);
    append(f, &e);
    log_file_close(f);
    says(VERIFY("forged"), 1, "entry 5, a TPM's word: ");
    f = grown("again");
    e = word(f, tpm, START + 200, 5090000, 4);
    append(f, &e);
    append(f, &e);
    log_file_close(f);
    says(VERIFY("again"), 1, "entry 6, a TPM's word: it is of a head that does not have entry 5");
    f = grown("later");
    e = word(f, tpm, START + 90000, 5090000, 4);
    append(f, &e);
    log_file_close(f);
    says(VERIFY("later"), 0, "up to entry 5: 89840 seconds by the host, 40 by the TPM");
}

/* Bundles */

static void a_bundle_has_the_word_that_covers_it(void **state)
{
    (void)state;
    says("audit bundle --log record --keys log.pub --operation guest.start --first 1 --last 1 --out b", 0,
         "");
    says("audit verify b --keys log.pub --tpm-keys tpm.pub --json", 0, "\"tpm_vouches_for\": 2");
    says("audit verify b --keys log.pub --json", 0, "\"entry\": \"clock\"");
    says("audit verify b --keys log.pub --tpm-keys another.pub", 1,
         "entry 2, a TPM's word: it is by another");
    says("audit bundle --log record --keys log.pub --first 1 --last 1 --out without", 0, "");
    says("audit verify without --keys log.pub --tpm-keys tpm.pub", 1, "no entry of it is a TPM's word");
    says("audit bundle --log written-anew --keys log.pub --first 1 --last 2 --out anew", 1,
         "the head of which a TPM was told");
}

static void a_changed_bundle_with_a_tpms_word_is_none(void **state)
{
    CLEAN_BYTES file = {0};
    CLEAN_COSE_KEYS keys = {.count = 1, .key = {{.key = key, .alg = cose_alg_of_key(key)}}};
    (void)state;
    assert_int_equal(EVP_PKEY_up_ref(key), 1);
    keys.key[0].kid_len = COSE_THUMBPRINT_SIZE;
    assert_int_equal(cose_key_thumbprint(keys.key[0].kid, key, NULL), 0);
    cli_read(&file, "b");
    for (size_t i = 0; i < file.len; i += 1 + i % 7) {
        CLEAN_LOG_BUNDLE b = {0};
        struct log_bundle_proven p;
        file.data[i] ^= (uint8_t)(1u << i % 8);
        if (log_bundle_read(&b, bytes_view(&file), NULL) == 0 &&
            log_bundle_verify(&p, &b, &keys, NULL, 0, NULL) == 0)
            fail_msg("byte %zu can be another", i);
        file.data[i] ^= (uint8_t)(1u << i % 8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_that_a_tpm_vouches_for_verifies_with_its_clock_and_resets),
        cmocka_unit_test(a_record_that_was_written_anew_with_the_logs_key_is_named),
        cmocka_unit_test(a_record_without_a_tpms_word_or_with_an_old_one_is_named),
        cmocka_unit_test(words_of_another_tpm_another_time_and_another_place_are_named),
        cmocka_unit_test(a_bundle_has_the_word_that_covers_it),
        cmocka_unit_test(a_changed_bundle_with_a_tpms_word_is_none),
    };
    return cmocka_run_group_tests(tests, keep_record, drop_record);
}
