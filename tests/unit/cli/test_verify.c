/* cofre verify as a user calls it: exit codes, what it prints, and the outcomes that shared/evidence's INDEX.md names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "sev/cert_table.h"
#include "tests/unit/cli/run.h"
#include "vmm/base/file.h"

#define AT " --at 2024-06-01T00:00:00Z"

/* The folder of evidence, by a name without blanks in the test's directory; skips where it is absent. */
#define NEED_EVIDENCE()                                                                                      \
    do {                                                                                                     \
        if (!link_evidence()) {                                                                              \
            print_message("# skipped: shared/evidence is not there; COFRE_EVIDENCE names the folder\n");     \
            skip();                                                                                          \
        }                                                                                                    \
    } while (0)

static bool link_evidence(void)
{
    char path[4096];
    CLEAN_BYTES file = {0};
    const char *evidence = getenv("COFRE_EVIDENCE"), *shared = getenv("COFRE_SHARED");
    if (evidence)
        (void)snprintf(path, sizeof path, "%s", evidence);
    else
        (void)snprintf(path, sizeof path, "%s/evidence", shared ? shared : "../shared");
    char index[4200], command[4300], target[CLI_PATH_SIZE];
    (void)snprintf(index, sizeof index, "%s/INDEX.md", path);
    if (file_read(&file, index, 1u << 20, NULL) < 0)
        return false;
    cli_path(target, "E");
    (void)snprintf(command, sizeof command, "ln -sfn \"$(realpath '%s')\" '%s'", path, target);
    return system(command) == 0;
}

static void expect(int code, const char *arguments, const char *said)
{
    int found = cli_run(arguments);
    if (found != code || (said && !strstr(cli_output, said)))
        fail_msg("cofre %s: exit code %d, not %d, or does not say \"%s\": %.2000s", arguments, found, code,
                 said ? said : "", cli_output);
}

static void genuine_reports_verify(void **state)
{
    (void)state;
    NEED_EVIDENCE();
    expect(0, "verify --evidence E/snp/b-report.bin --cert E/snp/b-vcek.der" AT, "PASS");
    expect(0, "verify --evidence E/snp/c-report-milan.hex --cert E/snp/c-vcek-milan.der" AT, "PASS");
    expect(0,
           "verify --evidence E/snp/b-report.bin --cert E/roots/amd-genoa-ask-ark.pem --cert "
           "E/roots/amd-milan-ask-ark.pem --cert E/snp/b-vcek.der" AT,
           "PASS");
    expect(0, "verify --evidence - --cert E/snp/b-vcek.der" AT " < E/snp/b-report.bin", "PASS");
}

/* As a guest has it from its host, in whole pages; and one whose end is cut off is told from a certificate that is none. */
static void certificates_come_in_a_host_s_table(void **state)
{
    (void)state;
    NEED_EVIDENCE();
    char path[CLI_PATH_SIZE];
    CLEAN_BYTES leaf = {0}, table = {0};
    cli_path(path, "E/snp/b-vcek.der");
    assert_int_equal(file_read(&leaf, path, 65536, NULL), 0);
    const struct snp_cert_entry entry = {.kind = SNP_CERT_VCEK, .data = bytes_view(&leaf)};
    assert_int_equal(snp_cert_table_build(&table, &entry, 1, NULL), 0);
    uint8_t pages[4096] = {0};
    assert_true(table.len < sizeof pages);
    memcpy(pages, table.data, table.len);
    cli_path(path, "table");
    assert_int_equal(file_write(path, (struct view){pages, sizeof pages}, 0644, NULL), 0);
    expect(0, "verify --evidence E/snp/b-report.bin --cert table" AT, "PASS");
    assert_int_equal(file_write(path, (struct view){pages, table.len - 1}, 0644, NULL), 0);
    expect(3, "verify --evidence E/snp/b-report.bin --cert table" AT, "table");
}

static void a_guest_that_may_be_debugged_needs_a_policy_that_says_so(void **state)
{
    (void)state;
    NEED_EVIDENCE();
    static const char policy[] = "{\"snp\": {\"guest_policy\": {\"debug\": \"any\"}}}";
    cli_write("debug.json", (struct view){(const uint8_t *)policy, strlen(policy)});
    expect(1,
           "verify --evidence E/snp/a-report.bin --cert E/snp/a-vcek.der --cert E/snp/a-milan-chain.pem" AT,
           "FAILED    snp.guest_policy.debug");
    expect(0,
           "verify --evidence E/snp/a-report.bin --cert E/snp/a-vcek.der --cert E/snp/a-milan-chain.pem "
           "--policy "
           "debug.json" AT,
           "PASS");
}

static void vceks_of_other_chips_do_not_verify(void **state)
{
    (void)state;
    NEED_EVIDENCE();
    expect(1, "verify --evidence E/snp/b-report.bin --cert E/negative/b-vcek-invalid-legacy.der" AT,
           "FAILED    snp.signature ");
    expect(1, "verify --evidence E/snp/b-report.bin --cert E/negative/b-vcek-invalid-new.der" AT,
           "FAILED    snp.signature ");
}

static void what_cannot_be_judged_is_told_apart(void **state)
{
    (void)state;
    NEED_EVIDENCE();
    expect(1, "verify --evidence E/snp/b-report.bin" AT, "COULD NOT BE JUDGED");
    expect(1, "verify --evidence E/snp/b-report.bin" AT " --json", "\"outcome\": \"unjudged\"");
}

static void expectations_are_compared(void **state)
{
    (void)state;
    NEED_EVIDENCE();
#define B       "verify --evidence E/snp/b-report.bin --cert E/snp/b-vcek.der" AT
#define B_NONCE "ec6c52d7533cc2c4f45be7849cf112ab82b2009fe7bd43e71ed08c14400ad7e2"
#define B_ZEROS "0000000000000000000000000000000000000000000000000000000000000000"
#define B_DIGEST                                                                                             \
    "a1f3930413247bb38cfc171579ea3c12d5fe4901f0c792f63fd75d98f1ef827c23500644e0e692e6be917f9050d3d38c"
    expect(0, B " --nonce " B_NONCE " --report-data " B_NONCE B_ZEROS " --measurement " B_DIGEST, "PASS");
    expect(1, B " --nonce " B_NONCE "01", "FAILED    snp.nonce");
    expect(0, B " --nonce " B_NONCE "00", "PASS"); /* zeros follow a nonce anyway */
    expect(1, B " --nonce ec6c52d7", "FAILED    snp.nonce");
    expect(1, B " --report-data " B_ZEROS B_ZEROS, "FAILED    snp.report_data");
    expect(1, B " --measurement " B_ZEROS "00000000000000000000000000000000", "FAILED    snp.measurement");
}

static void json_is_one_object_with_all_checks(void **state)
{
    (void)state;
    NEED_EVIDENCE();
    assert_int_equal(cli_run(B " --json 2>/dev/null"), 0);
    json_error_t why;
    json_t *json = json_loads(cli_output, JSON_REJECT_DUPLICATES, &why);
    assert_non_null(json);
    assert_string_equal(json_string_value(json_object_get(json, "verdict")), "pass");
    assert_string_equal(json_string_value(json_object_get(json, "tee")), "snp");
    assert_int_equal(json_integer_value(json_object_get(json, "version")), 2);
    assert_string_equal(json_string_value(json_object_get(json, "product")), "Milan");
    assert_true(json_array_size(json_object_get(json, "checks")) > 50);
    assert_string_equal(json_string_value(json_object_get(json_object_get(json, "claims"), "measurement")),
                        B_DIGEST);
    json_decref(json);
}

static void genuine_quotes_verify_with_their_collateral(void **state)
{
    (void)state;
    NEED_EVIDENCE();
#define B_QUOTE      "verify --evidence E/tdx/b-quote.dat --at 2025-06-20T00:00:00Z"
#define B_COLLATERAL " --collateral E/tdx/b-collateral.json"
#define B_BOTH       B_QUOTE B_COLLATERAL
    expect(0, B_BOTH, "PASS");
    expect(0, B_BOTH, "Intel TDX quote, version 4, product b0c06f000000, root Intel");
    expect(0, B_BOTH, "TCB status: UpToDate");
    expect(1, B_QUOTE, "COULD NOT BE JUDGED");
    expect(1, "verify --evidence E/tdx/b-quote.dat --at 2025-08-01T00:00:00Z" B_COLLATERAL,
           "COULD NOT BE JUDGED");
    expect(1, B_BOTH " --nonce 00", "FAILED    tdx.nonce");
    expect(1,
           "verify --evidence E/tdx/a-tdx_prod_quote_SPR_E4.dat --collateral E/tdx/b-collateral.json --at "
           "2025-06-20T00:00:00Z",
           "FAILED    tdx.trailing");
    expect(1, "verify --evidence E/tdx/c-quote-v4.dat --at 2025-06-20T00:00:00Z",
           "FAILED    tdx.td_attributes.debug");
    expect(2, B_BOTH " --collateral E/tdx/b-collateral.json", "--collateral");
}

static void the_measurement_of_a_quote_is_mrtd(void **state)
{
    (void)state;
    NEED_EVIDENCE();
#define B_MRTD                                                                                               \
    "91eb2b44d141d4ece09f0c75c2c53d247a3c68edd7fafe8a3520c942a604a407de03ae6dc5f87f27428b2538873118b7"
    expect(0, B_BOTH " --measurement " B_MRTD, "PASS");
    expect(1, B_BOTH " --measurement " B_ZEROS "00000000000000000000000000000000", "FAILED    tdx.mrtd");
    static const char policy[] = "{\"tdx\": {\"mrtd\": [\"" B_MRTD "\"]}}";
    cli_write("mrtd.json", (struct view){(const uint8_t *)policy, strlen(policy)});
    expect(0, B_BOTH " --policy mrtd.json", "ok        tdx.mrtd");
    assert_int_equal(cli_run(B_BOTH " --json 2>/dev/null"), 0);
    json_t *json = json_loads(cli_output, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(json);
    assert_string_equal(json_string_value(json_object_get(json, "tee")), "tdx");
    assert_int_equal(json_integer_value(json_object_get(json, "version")), 4);
    assert_string_equal(json_string_value(json_object_get(json, "product")), "b0c06f000000");
    assert_string_equal(json_string_value(json_object_get(json, "root")), "Intel");
    assert_string_equal(json_string_value(json_object_get(json, "tcb_status")), "UpToDate");
    assert_true(json_is_array(json_object_get(json, "advisories")));
    assert_true(json_array_size(json_object_get(json, "checks")) > 60);
    assert_string_equal(json_string_value(json_object_get(json_object_get(json, "claims"), "measurement")),
                        B_MRTD);
    json_decref(json);
}

/* Of two values one would be lost, and a script that meant both would not learn of it. */
static void what_decides_is_given_once(void **state)
{
    (void)state;
    NEED_EVIDENCE();
    cli_write("good.json", (struct view){(const uint8_t *)"{\"snp\": {}}", 11});
    expect(2, B " --evidence E/snp/b-report.bin", "--evidence is given twice");
    expect(2, B AT, "--at is given twice");
    expect(2, B " --policy good.json --policy good.json", "--policy is given twice");
    expect(2, B " --nonce 00 --nonce 00", "--nonce is given twice");
    expect(2, B " --report-data " B_ZEROS B_ZEROS " --report-data " B_ZEROS B_ZEROS,
           "--report-data is given twice");
    expect(2, B " --measurement " B_DIGEST " --measurement " B_DIGEST, "--measurement is given twice");
    expect(2, B " --collateral E/tdx/b-collateral.json --collateral E/tdx/b-collateral.json",
           "--collateral is given twice");
}

static void wrong_usage_is_2(void **state)
{
    (void)state;
    NEED_EVIDENCE();
    cli_write("bad.json", (struct view){(const uint8_t *)"{\"snp\": {\"max_vmlp\": 0}}", 24});
    expect(2, "verify", "--evidence");
    expect(2, "verify --evidence", NULL);
    expect(2, "verify --evidence nowhere.bin", "nowhere.bin");
    expect(2, "verify --bogus", "--bogus");
    expect(2, B " rest", "rest");
    expect(2, B " --policy bad.json", "max_vmlp");
    expect(2, B " --policy nowhere.json", "nowhere.json");
    expect(2, B " --nonce xyz", "--nonce");
    expect(2, B " --nonce ''", "--nonce");
    expect(2, B " --nonce " B_ZEROS B_ZEROS "00", "--nonce");
    expect(2, B " --report-data 00", "--report-data");
    expect(2, B " --measurement 00", "--measurement");
    expect(2, B " --collateral E/tdx/b-collateral.json", "--collateral");
    static const char *const times[] = {"2024",
                                        "2024-06-01",
                                        "2024-06-01T00:00:00",
                                        "2024-06-01T00:00:00+00:00",
                                        "2024-13-01T00:00:00Z",
                                        "2024-02-30T00:00:00Z",
                                        "2024-06-01T00:00:00Zx",
                                        "yesterday",
                                        "''"};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        char arguments[256];
        (void)snprintf(arguments, sizeof arguments,
                       "verify --evidence E/snp/b-report.bin --cert E/snp/b-vcek.der --at %s", times[i]);
        expect(2, arguments, "--at");
    }
}

static void malformed_input_is_3(void **state)
{
    (void)state;
    NEED_EVIDENCE();
    expect(3, "verify --evidence E/INDEX.md", "INDEX.md");
    expect(3, "verify --evidence /dev/null", "/dev/null");
    expect(3, "verify --evidence E/tdx/a-report.dat", "a-report.dat");
    expect(3, B_QUOTE " --collateral E/tdx/b-quote.dat", "b-quote.dat");
    expect(3, B_QUOTE " --collateral /dev/null", "/dev/null");
    expect(3, "verify --evidence E/snp/b-report.bin --cert E/snp/b-report.bin" AT, "b-report.bin");
    expect(3, "verify --evidence E/snp/b-report.bin --cert /dev/null" AT, "/dev/null");
    expect(3, B " --crl E/snp/b-vcek.der", "b-vcek.der");
    expect(3, B " --trust-root E/INDEX.md", "INDEX.md");
    expect(3, "verify --evidence /dev/zero", "/dev/zero");
}

static void help_has_an_example(void **state)
{
    (void)state;
    expect(0, "verify --help", "example: cofre verify --evidence");
    expect(0, "inspect --help", "example: cofre inspect");
}

static void inspect_tells_what_files_are(void **state)
{
    (void)state;
    NEED_EVIDENCE();
    expect(0, "inspect E/snp/b-report.bin", "attestation evidence");
    expect(0, "inspect E/snp/c-report-milan.hex", "hexadecimal text");
    expect(0, "inspect E/snp/b-vcek.der", "Milan-B0");
    expect(0, "inspect E/roots/amd-turin-asvk-ark.pem", "amd_root_key");
    expect(0, "inspect E/tdx/a-rootcrl.der --json", "\"next_update\": \"2024-04-02T10:22:51Z\"");
    expect(3, "inspect E/INDEX.md", "no kind");
    expect(3, "inspect /dev/null", "no kind");
    expect(2, "inspect", "usage");
    expect(2, "inspect nowhere", "nowhere");
    static const char good[] = "{\"snp\": {\"max_vmpl\": 1}}", bad[] = "{\"snp\": {\"max_vmpl\": 9}}";
    cli_write("good.json", (struct view){(const uint8_t *)good, strlen(good)});
    cli_write("bad.json", (struct view){(const uint8_t *)bad, strlen(bad)});
    expect(0, "inspect good.json", "policy");
    expect(3, "inspect bad.json", "max_vmpl");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(genuine_reports_verify),
        cmocka_unit_test(certificates_come_in_a_host_s_table),
        cmocka_unit_test(a_guest_that_may_be_debugged_needs_a_policy_that_says_so),
        cmocka_unit_test(vceks_of_other_chips_do_not_verify),
        cmocka_unit_test(what_cannot_be_judged_is_told_apart),
        cmocka_unit_test(expectations_are_compared),
        cmocka_unit_test(json_is_one_object_with_all_checks),
        cmocka_unit_test(genuine_quotes_verify_with_their_collateral),
        cmocka_unit_test(the_measurement_of_a_quote_is_mrtd),
        cmocka_unit_test(what_decides_is_given_once),
        cmocka_unit_test(wrong_usage_is_2),
        cmocka_unit_test(malformed_input_is_3),
        cmocka_unit_test(help_has_an_example),
        cmocka_unit_test(inspect_tells_what_files_are),
    };
    return cmocka_run_group_tests(tests, cli_setup, cli_teardown);
}
