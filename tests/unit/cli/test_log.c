/* cofre log as a user calls it: a log is kept, proved from and verified; and each lie ends with its exit code and sentence. */
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

#include "attest/cose/key.h"
#include "attest/log/item.h"
#include "tests/unit/cli/run.h"
#include "vmm/base/clean_openssl.h"
#include "vmm/base/cleanup.h"

static int write_keys(const char *curve, const char *private_name, const char *public_name)
{
    char path[CLI_PATH_SIZE];
    CLEAN(pkey) EVP_PKEY *key = EVP_EC_gen(curve);
    cli_path(path, private_name);
    CLEAN_FILE *f = fopen(path, "w");
    cli_path(path, public_name);
    CLEAN_FILE *g = fopen(path, "w");
    return f && g && PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) && PEM_write_PUBKEY(g, key) ? 0
                                                                                                         : -1;
}

static void ok(const char *arguments)
{
    int rc = cli_run(arguments);
    if (rc != 0)
        fail_msg("cofre %s: exit code %d, %s", arguments, rc, cli_output);
}

static void write_text(const char *name, const char *text)
{
    cli_write(name, (struct view){(const uint8_t *)text, strlen(text)});
}

/* Logs l (8 entries) and other (2) of two keys, with what is known of them. */
static int keep_logs(void **state)
{
    if (cli_setup(state) != 0 || write_keys("P-256", "log.pem", "log.pub") != 0 ||
        write_keys("P-384", "other.pem", "other.pub") != 0)
        return -1;
    ok("log create --log l --key log.pem --name 'a log'");
    ok("log head --log l --keys log.pub --out head1");
    for (int i = 1; i < 8; i++) {
        char text[16], arguments[128];
        (void)snprintf(text, sizeof text, "entry %d", i);
        write_text("entry", text);
        (void)snprintf(arguments, sizeof arguments,
                       "log append --log l --key log.pem --entry entry --out receipt%d", i);
        ok(arguments);
        if (i == 4)
            ok("log head --log l --keys log.pub --out head5");
    }
    ok("log head --log l --keys log.pub --out head8");
    ok("log create --log other --key other.pem --name other");
    ok("log append --log other --key other.pem --entry entry");
    ok("log head --log other --keys other.pub --out other2");
    write_text("entry3", "entry 3");
    return 0;
}

static void a_log_verifies_as_a_whole(void **state)
{
    (void)state;
    ok("log verify --keys log.pub --log l --json");
    json_t *result = json_loads(cli_output, 0, NULL);
    assert_string_equal(cli_text(result, "verdict"), "pass");
    assert_string_equal(cli_text(result, "name"), "a log");
    assert_int_equal(json_integer_value(json_object_get(result, "size")), 8);
    json_decref(result);
    ok("log verify --keys log.pub --log l --head head1");
    ok("log verify --keys log.pub --log l --head head8");
}

static void an_entry_verifies_by_its_receipt_alone(void **state)
{
    (void)state;
    ok("log verify --keys log.pub --receipt receipt3 --entry entry3");
    ok("log prove --log l --keys log.pub --index 3 --out later --entry-out again");
    ok("log verify --keys log.pub --receipt later --entry again");
    ok("--help > /dev/null; cmp again entry3");
    ok("log prove --log l --keys log.pub --index 0 --out first --entry-out genesis");
    ok("log verify --keys log.pub --receipt first --entry genesis");
}

static void growth_verifies_from_a_head_that_is_known(void **state)
{
    (void)state;
    ok("log prove --log l --keys log.pub --from head5 --out growth");
    ok("log verify --keys log.pub --receipt growth --from head5");
    assert_int_equal(cli_run("log verify --keys log.pub --receipt growth --from head1"), 1);
    assert_non_null(strstr(cli_output, "it starts from 5 entries, and the older head has 1"));
}

/* What was before the third entry, and from then on others: by who has the key. */
static void make_fork(const char *name, unsigned more)
{
    char line[128];
    CLEAN_BYTES file = {0};
    cli_read(&file, "l");
    uint8_t *third = memmem(file.data, file.len, "entry 3", 7);
    assert_non_null(third);
    size_t kept = (size_t)(third - file.data) - 1;
    log_header_write(file.data, kept);
    cli_write(name, (struct view){file.data, kept});
    write_text("entry", "another entry 3");
    (void)snprintf(line, sizeof line, "log append --log %s --key log.pem --entry entry", name);
    while (more-- > 0)
        ok(line);
}

/* Witnesses a and b have seen five entries, a has seen all. */
static void witness(void)
{
    json_t *head = NULL;
    char line[512];
    ok("--help > /dev/null; rm -f a.state b.state");
    if (write_keys("P-256", "a.pem", "a.pub") != 0 || write_keys("P-384", "b.pem", "b.pub") != 0)
        fail();
    ok("log head --log l --keys log.pub --json");
    head = json_loads(cli_output, 0, NULL);
    for (char name = 'a'; name <= 'b'; name++) {
        (void)snprintf(line, sizeof line,
                       "log witness --state %c.state --key %c.pem --name %c --keys log.pub --head head5 "
                       "--out %c5 --id %s",
                       name, name, name, name, cli_text(head, "id"));
        ok(line);
    }
    json_decref(head);
    ok("log prove --log l --keys log.pub --from head5 --out growth58");
    ok("log witness --state a.state --key a.pem --name a --keys log.pub --head head8 --receipt growth58 "
       "--out a8");
    ok("--help > /dev/null; cat a.pub b.pub > witnesses.pub; cat a8 b5 > signatures; cat a8 a5 > twice");
}

static void a_log_that_witnesses_saw_verifies_by_as_many_as_are_asked_for(void **state)
{
    (void)state;
    witness();
    ok("log verify --keys log.pub --log l --witnesses signatures --witness-keys witnesses.pub --minimum 2 "
       "--json");
    json_t *result = json_loads(cli_output, 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(result, "witnessed")), 5);
    json_decref(result);
    ok("log verify --keys log.pub --log l --witnesses signatures --witness-keys witnesses.pub --json");
    result = json_loads(cli_output, 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(result, "witnessed")), 8);
    json_decref(result);
    ok("log prove --log l --keys log.pub --index 3 --out later");
    ok("log verify --keys log.pub --receipt later --entry entry3 --witnesses a8 --witness-keys a.pub");
    static const struct {
        const char *arguments, *sentence;
    } cases[] = {
        {"--log l --witnesses twice --witness-keys witnesses.pub --minimum 2",
         "1 witnesses have signed it, of the 2"},
        {"--log l --witnesses a8 --witness-keys b.pub", "signed by none of the keys"},
        {"--log l --witnesses head8 --witness-keys log.pub", "whose keeper is no witness"},
        {"--receipt later --entry entry3 --witnesses b5 --witness-keys b.pub", "b has seen 5 entries"},
        {"--log short --witnesses a8 --witness-keys a.pub",
         "a has seen 8 entries, of which the log has only 5"},
    };
    /* A copy whose header says that less was committed. */
    CLEAN_BYTES file = {0};
    cli_read(&file, "l");
    ok("log head --log l --keys log.pub --out h");
    uint64_t committed = 0;
    struct log_item item;
    unsigned entries = 0;
    for (size_t at = LOG_HEADER_SIZE; at < file.len; at += item.prefix + item.len) {
        assert_int_equal(log_item_read(&item, (struct view){file.data + at, file.len - at}, NULL), 1);
        entries += item.kind == LOG_ITEM_ENTRY;
        if (item.kind == LOG_ITEM_HEAD && entries == 5)
            committed = at + item.prefix + item.len;
    }
    log_header_write(file.data, committed);
    cli_write("short", (struct view){file.data, committed});
    ok("log verify --keys log.pub --log short");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[256];
        (void)snprintf(line, sizeof line, "log verify --keys log.pub %s", cases[i].arguments);
        assert_int_equal(cli_run(line), 1);
        if (!strstr(cli_output, cases[i].sentence))
            fail_msg("%s: %s", cases[i].arguments, cli_output);
    }
}

static void a_witness_signs_no_fork_and_nothing_shorter(void **state)
{
    (void)state;
    witness();
    ok("--help > /dev/null; cp a.state before");
    make_fork("equal", 5);
    make_fork("longer", 6);
    ok("log create --log another --key log.pem --name 'a log'");
    static const struct {
        const char *arguments, *sentence;
        int rc;
    } cases[] = {
        {"--head head5", "the log has become shorter. Seen before: 8 entries, root ", 1},
        {"--log equal", "the log is forked: its keeper signed two", 1},
        {"--log longer", "the log is forked: its keeper signed two", 1},
        {"--log longer", "Shown now: 9 entries, root ", 1},
        {"--log another", "it is the head of another log. Seen before: 8 entries", 1},
        {"--log other", "signed by none of the keys", 1},
        {"--head head8 --id 00", "--id is not 64", 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[256];
        (void)snprintf(line, sizeof line,
                       "log witness --state a.state --key a.pem --name a --keys log.pub --out no %s",
                       cases[i].arguments);
        assert_int_equal(cli_run(line), cases[i].rc);
        if (!strstr(cli_output, cases[i].sentence))
            fail_msg("%s: %s", cases[i].arguments, cli_output);
    }
    ok("--help > /dev/null; cmp a.state before && ! test -e no");
    assert_int_equal(
        cli_run("log witness --state none.state --key a.pem --name a --keys log.pub --log l --out no"), 2);
    assert_int_equal(
        cli_run("log witness --state a.state --key log.pem --name a --keys log.pub --log l --out no"), 2);
    ok("log witness --state a.state --key a.pem --name a --keys log.pub --log l --out again");
}

static void a_copy_is_the_log(void **state)
{
    (void)state;
    ok("--help > /dev/null; cp l copy && printf more >> copy");
    ok("log verify --keys log.pub --log copy --head head8");
    ok("log prove --log copy --keys log.pub --index 2 --out r");
}

static void two_views_that_were_signed_are_told_apart(void **state)
{
    (void)state;
    make_fork("fork", 2);
    ok("log verify --keys log.pub --log fork");
    assert_int_equal(cli_run("log verify --keys log.pub --log fork --head head5"), 1);
    assert_non_null(strstr(cli_output, "head5: its 5 entries are others than the log's"));
    assert_int_equal(cli_run("log verify --keys log.pub --log fork --head head8"), 1);
    assert_non_null(strstr(cli_output, "over 8 entries, of which the log has only 5"));
    ok("log prove --log fork --keys log.pub --from head1 --out growth");
    assert_int_equal(cli_run("log prove --log fork --keys log.pub --from head8 --out x"), 2);
}

static void an_entry_that_was_changed_in_the_file_is_noticed(void **state)
{
    (void)state;
    CLEAN_BYTES file = {0};
    cli_read(&file, "l");
    uint8_t *third = memmem(file.data, file.len, "entry 3", 7);
    third[6] = '9';
    cli_write("changed", bytes_view(&file));
    assert_int_equal(cli_run("log verify --keys log.pub --log changed --json"), 1);
    assert_non_null(strstr(cli_output, "\"verdict\": \"fail\""));
    assert_non_null(strstr(cli_output, "the entries are not those that were signed"));
    assert_int_equal(cli_run("log append --log changed --key log.pem --entry entry"), 1);
    cli_write("shorter", (struct view){file.data, file.len - 1});
    assert_int_equal(cli_run("log verify --keys log.pub --log shorter"), 1);
    file.data[third - file.data + 6] = '3';
    cli_write("shorter", (struct view){file.data, file.len - 1});
    assert_int_equal(cli_run("log verify --keys log.pub --log shorter"), 3);
    assert_non_null(strstr(cli_output, "it is damaged at byte"));
}

static void id_and_keys_are_compared(void **state)
{
    (void)state;
    char arguments[256];
    ok("log head --log l --keys log.pub --json");
    json_t *head = json_loads(cli_output, 0, NULL);
    (void)snprintf(arguments, sizeof arguments, "log verify --keys log.pub --log l --id %s",
                   cli_text(head, "id"));
    json_decref(head);
    ok(arguments);
    assert_int_equal(cli_run("log verify --keys log.pub --log l --id "
                             "0000000000000000000000000000000000000000000000000000000000000000"),
                     1);
    assert_int_equal(cli_run("log verify --keys log.pub --log l --id 00"), 2);
    assert_int_equal(cli_run("log verify --keys other.pub --log l"), 1);
    assert_non_null(strstr(cli_output, "it is signed by none of the keys given"));
    assert_int_equal(cli_run("log append --log l --key other.pem --entry entry"), 1);
    ok("--help > /dev/null; cat log.pub other.pub > both.pub");
    ok("log verify --keys both.pub --log other --head other2");
    assert_int_equal(cli_run("log verify --keys both.pub --log l --head other2"), 1);
    assert_non_null(strstr(cli_output, "other2: it is the head of another log"));
}

/* With the key's id as it stands in the heads, which cofre inspect tells. */
static void a_cose_key_serves_as_well_as_pem(void **state)
{
    (void)state;
    CLEAN_COSE_WRITER w = {0};
    CLEAN_BYTES kid = {0}, file = {0}, pem = {0};
    json_t *head = cli_inspected("head1");
    assert_int_equal(hex_decode_some(&kid, COSE_KID_MAX, cli_text(head, "kid"), NULL), 0);
    json_decref(head);
    cli_read(&pem, "log.pub");
    CLEAN(bio) BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    CLEAN(pkey) EVP_PKEY *key = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
    assert_non_null(key);
    cose_put_key(&w, key, bytes_view(&kid));
    assert_int_equal(cose_take(&file, &w, NULL), 0);
    cli_write("log.cose", bytes_view(&file));
    ok("log verify --keys log.cose --log l --head head5");
    assert_int_equal(cli_run("log verify --keys log.cose --log other"), 1);
}

static void inspect_says_what_they_are(void **state)
{
    (void)state;
    ok("log prove --log l --keys log.pub --from head1 --out growth");
    ok("log prove --log l --keys log.pub --index 0 --out first --entry-out genesis");
    static const struct {
        const char *file, *kind, *member, *value;
    } cases[] = {
        {"l", "log", "name", "a log"},
        {"head5", "log head", "algorithm", "ES256"},
        {"other2", "log head", "algorithm", "ES384"},
        {"receipt3", "log receipt", "proves", "inclusion"},
        {"growth", "log receipt", "proves", "consistency"},
        {"genesis", "log entry", "entry", "genesis"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *said = cli_inspected(cases[i].file);
        assert_string_equal(cli_text(said, "kind"), cases[i].kind);
        assert_string_equal(cli_text(said, cases[i].member), cases[i].value);
        json_decref(said);
    }
}

static void a_wrong_call_says_why(void **state)
{
    (void)state;
    static const struct {
        const char *arguments;
        int rc;
        const char *sentence;
    } cases[] = {
        {"log", 2, "usage"},
        {"log grow", 2, "usage"},
        {"log create --log x --key log.pem", 2, "create: --name is missing"},
        {"log create --log x --key log.pem --name ''", 2, "--name has 1 to 128 bytes"},
        {"log create --log x --key log.pem --name x --index 1", 2, "create takes no --index"},
        {"log create --log x --key nowhere --name x", 2, "nowhere"},
        {"log create --log x --key log.pub --name x", 3, "no private key in PEM"},
        {"log create --log l --key log.pem --name x", 5, "File exists"},
        {"log append --log nowhere --key log.pem --entry entry", 2, "nowhere: No such file"},
        {"log append --log entry --key log.pem --entry entry", 3, "it is no log"},
        {"log head --log l --keys entry", 3, "entry"},
        {"log head --log l --log l --keys log.pub", 2, "--log is given twice"},
        {"log prove --log l --keys log.pub --out r", 2, "either --index or --from"},
        {"log prove --log l --keys log.pub --out r --index 8", 2, "--index"},
        {"log prove --log l --keys log.pub --out r --from head8", 2, "a proof without a hash has no receipt"},
        {"log prove --log l --keys log.pub --out r --from entry", 3, "entry"},
        {"log verify --keys log.pub", 2, "verify: either --log, or --receipt"},
        {"log verify --keys log.pub --log l --receipt receipt3", 2, "verify: either --log, or --receipt"},
        {"log verify --keys log.pub --receipt receipt3", 2, "one of --entry and --from"},
        {"log verify --keys log.pub --receipt receipt3 --entry head1", 1, "not the one that was signed"},
        {"log verify --keys log.pub --receipt head1 --entry entry", 3, "head1"},
        {"log verify --keys log.pub --receipt receipt3 --from head1", 1, "it is a receipt of inclusion"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int rc = cli_run(cases[i].arguments);
        if (rc != cases[i].rc || !strstr(cli_output, cases[i].sentence))
            fail_msg("cofre %s: exit code %d, %s", cases[i].arguments, rc, cli_output);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_log_verifies_as_a_whole),
        cmocka_unit_test(an_entry_verifies_by_its_receipt_alone),
        cmocka_unit_test(growth_verifies_from_a_head_that_is_known),
        cmocka_unit_test(a_copy_is_the_log),
        cmocka_unit_test(a_log_that_witnesses_saw_verifies_by_as_many_as_are_asked_for),
        cmocka_unit_test(a_witness_signs_no_fork_and_nothing_shorter),
        cmocka_unit_test(two_views_that_were_signed_are_told_apart),
        cmocka_unit_test(an_entry_that_was_changed_in_the_file_is_noticed),
        cmocka_unit_test(id_and_keys_are_compared),
        cmocka_unit_test(a_cose_key_serves_as_well_as_pem),
        cmocka_unit_test(inspect_says_what_they_are),
        cmocka_unit_test(a_wrong_call_says_why),
    };
    return cmocka_run_group_tests(tests, keep_logs, cli_teardown);
}
