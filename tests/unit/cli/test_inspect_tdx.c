/* cofre inspect of what TDX guests and their hosts bring: real evidence, and the emulated platform's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <openssl/sha.h>

#include "attest/evidence.h"
#include "tdx/model/platform.h"
#include "tests/unit/cli/run.h"

static void unpack_evidence(const char *name)
{
    const char *evidence = getenv("COFRE_EVIDENCE"), *shared = getenv("COFRE_SHARED");
    char command[4200];
    (void)snprintf(command, sizeof command, "--help > /dev/null; cp '%s%s/tdx/%s' .",
                   evidence ? evidence
                   : shared ? shared
                            : "../shared",
                   evidence ? "" : "/evidence", name);
    if (cli_run(command) != 0) {
        print_message("# skipped: ../shared/evidence/tdx/%s is not here\n", name);
        skip();
    }
}

static void a_tdreport_is_described_whatever_its_bytes(void **state)
{
    (void)state;
    struct tdx_report report = {.mac = {.type = TDX_TEE_TYPE, .version = 1}};
    report.td.rtmr[2][0] = 0xab;
    SHA384((const uint8_t *)&report.tcb, sizeof report.tcb, report.mac.tee_tcb_info_hash);
    SHA384((const uint8_t *)&report.td, sizeof report.td, report.mac.tee_info_hash);
    cli_write("report", (struct view){(const uint8_t *)&report, sizeof report});
    json_t *all = cli_inspected("report");
    assert_string_equal(cli_text(all, "kind"), "TDREPORT");
    assert_true(json_is_true(json_object_get(all, "well_formed")));
    assert_memory_equal(cli_text(json_object_get(all, "td_info"), "rtmr2"), "ab00", 4);
    json_decref(all);
    report.td.mrtd[0] ^= 1;
    cli_write("report", (struct view){(const uint8_t *)&report, sizeof report});
    all = cli_inspected("report");
    assert_true(json_is_false(json_object_get(all, "well_formed")));
    assert_non_null(strstr(cli_text(all, "but"), "hash"));
    json_decref(all);
}

/* The log of a machine whose quote lies beside it, at these offsets (version 4). */
static void an_event_log_says_what_it_replays_to(void **state)
{
    (void)state;
    struct bytes quote = {0};
    char want[2 * 48 + 1], key[] = "rtmr0";
    unpack_evidence("a-ccel-ccel_data.dat");
    unpack_evidence("a-ccel-cos-113-tdx-quote.dat");
    cli_read(&quote, "a-ccel-cos-113-tdx-quote.dat");
    json_t *all = cli_inspected("a-ccel-ccel_data.dat");
    assert_string_equal(cli_text(all, "kind"), "TD event log");
    for (unsigned i = 0; i < 4; i++) {
        hex_encode(want, quote.data + 48 + 328 + 48 * i, 48);
        key[4] = (char)('0' + i);
        assert_string_equal(cli_text(json_object_get(all, "replays_to"), key), want);
    }
    const json_t *first = json_array_get(json_object_get(all, "events"), 0);
    assert_string_equal(cli_text(first, "register"), "RTMR0");
    assert_string_equal(cli_text(first, "type"), "EV_EFI_HANDOFF_TABLES2");
    json_decref(all);
    bytes_free(&quote);
    assert_int_equal(cli_run("--help > /dev/null; head -c 200 a-ccel-ccel_data.dat > cut"), 0);
    assert_int_equal(cli_run("inspect cut"), 3);
    assert_non_null(strstr(cli_output, "looks like a TD event log"));
}

static void a_ccel_table_says_where_the_log_lies(void **state)
{
    (void)state;
    unpack_evidence("a-ccel-ccel_table.dat");
    json_t *all = cli_inspected("a-ccel-ccel_table.dat");
    assert_string_equal(cli_text(all, "kind"), "CCEL table");
    assert_string_equal(cli_text(all, "tee"), "Intel TDX");
    assert_string_equal(cli_text(all, "log_size"), "0x40000");
    assert_string_equal(cli_text(all, "log_address"), "0xbedbf000");
    json_decref(all);
}

static void a_quote_says_what_it_claims_and_by_whom(void **state)
{
    (void)state;
    unpack_evidence("a-quote_v5_sample.dat");
    json_t *all = cli_inspected("a-quote_v5_sample.dat");
    assert_string_equal(cli_text(all, "kind"), "attestation evidence");
    assert_string_equal(cli_text(all, "tee"), "Intel TDX");
    assert_int_equal(json_integer_value(json_object_get(all, "version")), 5);
    const json_t *claims = json_object_get(all, "claims");
    assert_int_equal(json_integer_value(json_object_get(claims, "body_type")), 3);
    assert_memory_equal(cli_text(claims, "measurement"), "7348651a34b2", 12);
    assert_string_equal(cli_text(json_object_get(claims, "platform"), "fmspc"), "90c06f000000");
    const json_t *pck = json_array_get(json_object_get(all, "certificates"), 0);
    assert_string_equal(cli_text(pck, "role"), "Intel SGX PCK Certificate");
    assert_null(json_object_get(pck, "emulated"));
    json_decref(all);
    assert_int_equal(cli_run("--help > /dev/null; head -c 4000 a-quote_v5_sample.dat > cut"), 0);
    assert_int_equal(cli_run("inspect cut"), 3);
}

static void collateral_says_whose_it_is_and_until_when(void **state)
{
    (void)state;
    unpack_evidence("b-collateral.json");
    json_t *all = cli_inspected("b-collateral.json");
    assert_string_equal(cli_text(all, "kind"), "TDX collateral");
    assert_null(json_object_get(all, "emulated"));
    const json_t *tcb = json_object_get(all, "tcb_info");
    assert_string_equal(cli_text(tcb, "fmspc"), "b0c06f000000");
    assert_string_equal(cli_text(tcb, "next_update"), "2025-07-19T10:16:03Z");
    assert_string_equal(cli_text(tcb, "signature"), "verifies");
    assert_string_equal(cli_text(json_array_get(json_object_get(tcb, "levels"), 0), "status"), "UpToDate");
    assert_string_equal(cli_text(json_object_get(all, "pck_crl"), "signed_by"), "Intel SGX PCK Platform CA");
    json_decref(all);
    struct bytes file = {0};
    cli_read(&file, "b-collateral.json");
    uint8_t *signature = memmem(file.data, file.len, "\"tcb_info_signature\"", 20);
    assert_non_null(signature);
    signature = memchr(signature + 20, '"', 8); /* its value */
    signature[1] = signature[1] == '1' ? '2' : '1';
    cli_write("changed", bytes_view(&file));
    bytes_free(&file);
    all = cli_inspected("changed");
    assert_string_not_equal(cli_text(json_object_get(all, "tcb_info"), "signature"), "verifies");
    json_decref(all);
}

static void the_service_s_answers_are_described_alone(void **state)
{
    (void)state;
    unpack_evidence("a-sample_tcbinfo_response_v5");
    unpack_evidence("a-sample_qeIdentity_response");
    json_t *all = cli_inspected("a-sample_tcbinfo_response_v5");
    assert_string_equal(cli_text(all, "kind"), "TDX TCB info");
    assert_string_equal(cli_text(all, "fmspc"), "90c06f000000");
    assert_true(json_array_size(json_object_get(all, "modules")) > 1);
    json_decref(all);
    all = cli_inspected("a-sample_qeIdentity_response");
    assert_string_equal(cli_text(all, "kind"), "TDX QE identity");
    assert_int_equal(json_integer_value(json_object_get(all, "isv_prod_id")), 2);
    json_decref(all);
}

/* Evidence, collateral and root of an emulated platform, written as the programs write them. */
static void write_emulated(void)
{
    char keys[CLI_PATH_SIZE];
    struct cofre_err err;
    struct tdx_platform *platform = NULL;
    struct tdx_report report = {.td = {.attributes = {0, 0, 0, 0x10}, .mrtd = {0xab}}};
    CLEAN_EVIDENCE evidence = {.tee = "tdx"};
    CLEAN_BYTES file = {0}, collateral = {0}, root = {0};
    cli_path(keys, "keys");
    assert_int_equal(tdx_platform_open(&platform, keys, NULL, &err), 0);
    tdx_platform_seal_report(platform, &report);
    assert_int_equal(tdx_platform_quote(platform, &report, &evidence.report, &err), 0);
    assert_int_equal(bytes_copy(&evidence.nonce, (struct view){(const uint8_t *)"nonce", 5}, &err), 0);
    assert_int_equal(evidence_write(&file, &evidence, &err), 0);
    assert_int_equal(tdx_platform_collateral(platform, (int64_t)time(NULL), &collateral, &err), 0);
    assert_int_equal(tdx_platform_root(platform, &root, &err), 0);
    tdx_platform_close(platform);
    cli_write("evidence", bytes_view(&file));
    cli_write("collateral", bytes_view(&collateral));
    cli_write("root", bytes_view(&root));
}

static void the_emulated_platform_is_called_so_everywhere(void **state)
{
    (void)state;
    write_emulated();
    json_t *all = cli_inspected("evidence");
    assert_string_equal(cli_text(all, "form"), "evidence file");
    assert_string_equal(cli_text(all, "nonce"), "6e6f6e6365");
    assert_memory_equal(cli_text(json_object_get(all, "claims"), "measurement"), "ab00", 4);
    const json_t *certs = json_object_get(all, "certificates"), *cert;
    size_t i;
    assert_int_equal(json_array_size(certs), 3);
    json_array_foreach(certs, i, cert) assert_non_null(strstr(cli_text(cert, "emulated"), "EMULATED"));
    json_decref(all);
    all = cli_inspected("collateral");
    assert_non_null(strstr(cli_text(all, "emulated"), "EMULATED"));
    assert_string_equal(cli_text(json_object_get(all, "tcb_info"), "signature"), "verifies");
    assert_string_equal(cli_text(json_object_get(all, "tcb_info"), "chain"), "verifies");
    json_decref(all);
    all = cli_inspected("root");
    cert = json_array_get(json_object_get(all, "certificates"), 0);
    assert_true(json_is_false(json_object_get(cert, "intel_root_key")));
    assert_non_null(strstr(cli_text(cert, "emulated"), "EMULATED"));
    json_decref(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tdreport_is_described_whatever_its_bytes),
        cmocka_unit_test(an_event_log_says_what_it_replays_to),
        cmocka_unit_test(a_ccel_table_says_where_the_log_lies),
        cmocka_unit_test(a_quote_says_what_it_claims_and_by_whom),
        cmocka_unit_test(collateral_says_whose_it_is_and_until_when),
        cmocka_unit_test(the_service_s_answers_are_described_alone),
        cmocka_unit_test(the_emulated_platform_is_called_so_everywhere),
    };
    return cmocka_run_group_tests(tests, cli_setup, cli_teardown);
}
