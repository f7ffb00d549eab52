/* All evidence of real hardware gets by the service, check for check and word for word, the verdict of `cofre verify`. */
#include "tests/unit/service/fixture.h"

#include <openssl/x509.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attest/evidence.h"
#include "sev/cert_table.h"
#include "tdx/quote.h"
#include "tests/unit/attest/real_file.h"
#include "tests/unit/cli/run.h"
#include "vmm/base/file.h"
#include "vmm/base/json.h"
#include "vmm/base/timestamp.h"
#include "vmm/base/x509.h"

#define AT_2023 1687219200 /* 2023-06-20: inside the windows of the files a-sample_* and a-pckcrl */
#define AT_2024 1717200000
#define AT_B    1750377600 /* 2025-06-20: inside the windows of b-collateral.json */
#define AT_2031 1924992000 /* after all of them */

static int64_t at;
static int64_t clock_of_service(void)
{
    return at;
}

static const struct {
    const char *name, *text;
} policies[] = {
    {"default", "{}"},
    {"debug", "{\"snp\": {\"guest_policy\": {\"debug\": \"any\"}},"
              " \"tdx\": {\"td_attributes\": {\"debug\": \"any\", \"sept_ve_disable\": \"any\"}}}"},
    {"strict", "{\"snp\": {\"max_vmpl\": 0, \"min_tcb\": {\"Milan\": {\"microcode\": 255}}},"
               " \"tdx\": {\"event_log\": \"required\", \"min_tcb_date\": \"2030-01-01T00:00:00Z\"}}"}};
#define POLICIES (sizeof policies / sizeof *policies)

/* When each piece is judged, and by what. */
static const struct {
    int64_t at;
    const char *policy, *nonce; /* NULL: the one that it answers */
} occasions[] = {{AT_2023, "debug", NULL},
                 {AT_2024, "strict", NULL},
                 {AT_B, "debug", NULL},
                 {AT_2031, "default", "00112233445566778899aabbccddeeff"}};
#define OCCASIONS (sizeof occasions / sizeof *occasions)

/* Collateral that the service has for the platform, of its two. */
enum { NONE, OF_B, OF_2023 };
static const struct {
    const char *evidence;
    const char *leaf, *chain; /* of SNP: a VCEK, and CAs as PEM; NULL: none comes with it */
    const char *event_log;    /* of TDX */
    int collateral;
} pieces[] = {
    {"snp/a-report.bin", "snp/a-vcek.der", NULL, NULL, NONE},
    {"snp/a-report.bin", "snp/a-vcek.der", "snp/a-milan-chain.pem", NULL, NONE},
    {"snp/a-report.bin", "snp/a-vcek.der", "snp/a-milan-vlek-chain.pem", NULL, NONE},
    {"snp/b-report.bin", "snp/b-vcek.der", NULL, NULL, NONE},
    {"snp/b-report.bin", "snp/b-vcek.der", "roots/amd-milan-ask-ark.pem", NULL, NONE},
    {"snp/b-report.bin", "snp/b-vcek.der", "roots/amd-milan-asvk-ark.pem", NULL, NONE},
    {"snp/b-report.bin", "snp/b-vcek.der", "roots/amd-genoa-ask-ark.pem", NULL, NONE},
    {"snp/b-report.bin", "snp/b-vcek.der", "roots/amd-genoa-asvk-ark.pem", NULL, NONE},
    {"snp/b-report.bin", "snp/b-vcek.der", "roots/amd-turin-ask-ark.pem", NULL, NONE},
    {"snp/b-report.bin", "snp/b-vcek.der", "roots/amd-turin-asvk-ark.pem", NULL, NONE},
    {"snp/b-report.bin", NULL, NULL, NULL, NONE},
    {"snp/b-report.bin", "snp/c-vcek-milan.der", NULL, NULL, NONE},
    {"snp/b-report.bin", "negative/b-vcek-invalid-legacy.der", NULL, NULL, NONE},
    {"snp/b-report.bin", "negative/b-vcek-invalid-new.der", NULL, NULL, NONE},
    {"snp/c-report-milan.hex", "snp/c-vcek-milan.der", NULL, NULL, NONE},
    {"tdx/a-tdx_prod_quote_SPR_E4.dat", NULL, NULL, NULL, OF_2023},
    {"tdx/a-quote_v5_sample.dat", NULL, NULL, NULL, NONE},
    {"tdx/a-ccel-cos-113-tdx-quote.dat", NULL, NULL, NULL, NONE},
    {"tdx/a-ccel-cos-113-tdx-quote.dat", NULL, NULL, "tdx/a-ccel-ccel_data.dat", NONE},
    {"tdx/b-quote.dat", NULL, NULL, NULL, OF_B},
    {"tdx/b-quote.dat", NULL, NULL, "tdx/a-ccel-ccel_data.dat", OF_B},
    {"tdx/c-quote-v4.dat", NULL, NULL, NULL, OF_2023},
};
#define PIECES (sizeof pieces / sizeof *pieces)

static char collateral_file[3][CLI_PATH_SIZE];

static void set_file(json_t *to, const char *member, const char *name, bool hex)
{
    CLEAN_BYTES file = {0};
    assert_true(real_file(&file, name));
    char *text = calloc(2, file.len + 1);
    if (hex)
        hex_encode(text, file.data, file.len);
    else
        memcpy(text, file.data, file.len);
    assert_int_equal(json_object_set_new(to, member, json_string(text)), 0);
    free(text);
}

/* Intel's answers of 2023, beside the certificates of the later file. */
static void write_collateral(void)
{
    CLEAN_BYTES later = {0};
    assert_true(real_file(&later, "tdx/b-collateral.json"));
    cli_write("collateral-b", bytes_view(&later));
    CLEAN_JSON *all = json_loadb((const char *)later.data, later.len, 0, NULL);
    assert_non_null(all);
    json_object_del(all, "tcb_info_signature");
    json_object_del(all, "qe_identity_signature");
    set_file(all, "tcb_info", "tdx/a-sample_tcbInfo_response", false);
    set_file(all, "qe_identity", "tdx/a-sample_qeIdentity_response", false);
    set_file(all, "pck_crl", "tdx/a-pckcrl", true);
    set_file(all, "root_ca_crl", "tdx/a-rootcrl.der", true);
    char *text = json_dumps(all, 0);
    cli_write("collateral-2023", (struct view){(const uint8_t *)text, strlen(text)});
    free(text);
    cli_path(collateral_file[OF_B], "collateral-b");
    cli_path(collateral_file[OF_2023], "collateral-2023");
}

static int setup(void **state)
{
    CLEAN_BYTES there = {0};
    *state = NULL;
    if (cli_setup(state) < 0 || !real_file(&there, "tdx/b-collateral.json"))
        return 0;
    write_collateral();
    at = AT_2024;
    struct fixture *f = fixture_new(clock_of_service);
    *state = f;
    f->config.collateral.path[0] = collateral_file[OF_B];
    f->config.collateral.path[1] = collateral_file[OF_2023];
    fixture_start(f);
    fixture_add_credential(f, "lasting", "submit policies", "", INT32_MAX);
    for (size_t i = 0; i < POLICIES; i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "/v1/policies/%s", policies[i].name);
        assert_int_equal(ask(f, "POST", path, "lasting", policies[i].text), 201);
        strcat(path, "/active");
        assert_int_equal(ask(f, "PUT", path, "lasting", "{\"version\": 1}"), 200);
        cli_write(policies[i].name,
                  (struct view){(const uint8_t *)policies[i].text, strlen(policies[i].text)});
    }
    return 0;
}

static int teardown(void **state)
{
    if (*state)
        fixture_free(*state);
    return cli_teardown(state);
}

/* A leaf and the CAs in a PEM file (ASK or ASVK first, then ARK), as a host would hand them over. */
static void add_certificates(struct evidence *e, const char *leaf, const char *chain)
{
    CLEAN_BYTES file = {0}, pem = {0};
    CLEAN_CERTS certs = {0};
    struct snp_cert_entry entry[3];
    uint8_t *der[3] = {NULL};
    size_t count = 1;
    assert_true(real_file(&file, leaf));
    entry[0] = (struct snp_cert_entry){.kind = SNP_CERT_VCEK, .data = bytes_view(&file)};
    if (chain) {
        assert_true(real_file(&pem, chain));
        assert_int_equal(x509_certs_add(&certs, bytes_view(&pem), NULL), 0);
        assert_int_equal(certs.count, 2);
    }
    for (size_t i = 0; i < certs.count; i++, count++) {
        const int len = i2d_X509(certs.cert[i], &der[i]);
        assert_true(len > 0);
        entry[count] = (struct snp_cert_entry){.kind = i == 0 ? SNP_CERT_ASK : SNP_CERT_ARK,
                                               .data = {der[i], (size_t)len}};
    }
    assert_int_equal(snp_cert_table_build(&e->certificates, entry, count, NULL), 0);
    for (size_t i = 0; i < 3; i++)
        OPENSSL_free(der[i]);
}

/* The piece as an evidence file, and the nonce that it answers, in hexadecimal. */
static void make_evidence(size_t piece, struct bytes *file, char nonce[129])
{
    CLEAN_BYTES raw = {0}, log = {0};
    CLEAN_EVIDENCE e = {0};
    assert_true(real_file(&raw, pieces[piece].evidence));
    assert_int_equal(evidence_parse(&e, bytes_view(&raw), NULL), 0);
    if (pieces[piece].leaf)
        add_certificates(&e, pieces[piece].leaf, pieces[piece].chain);
    if (pieces[piece].event_log) {
        assert_true(real_file(&log, pieces[piece].event_log));
        while (log.len > 1 && log.data[log.len - 1] == 0xff) /* what was never written */
            log.len--;
        assert_int_equal(bytes_copy(&e.event_log, bytes_view(&log), NULL), 0);
    }
    const uint8_t *report_data = e.report.data + 0x50;
    struct tdx_quote quote;
    if (strcmp(e.tee, "tdx") == 0) {
        assert_int_equal(tdx_quote_parse(&quote, bytes_view(&e.report), NULL), 0);
        report_data = quote.body->report_data;
    }
    hex_encode(nonce, report_data, 64);
    assert_int_equal(evidence_write(file, &e, NULL), 0);
}

static json_t *by_service(struct fixture *f, const char *policy, const char *nonce, const struct bytes *file)
{
    const size_t size = file->len + 512;
    char *body = malloc(size);
    assert_non_null(body);
    (void)snprintf(body, size, "{\"policy\": \"%s\", \"nonce\": \"%s\", \"evidence\": %.*s}", policy, nonce,
                   (int)file->len, (const char *)file->data);
    const int status = ask(f, "POST", "/v1/appraisals", "lasting", body);
    free(body);
    if (status != 200)
        fail_msg("%s", f->answer);
    CLEAN_JSON *result = answer_json(f);
    json_t *verdict = json_object_get(result, "verdict");
    assert_string_equal(json_string_value(json_object_get(result, "outcome")),
                        json_string_value(json_object_get(verdict, "outcome")));
    return json_incref(verdict);
}

static json_t *by_command(const char *policy, const char *nonce, int collateral)
{
    char line[1024], when[TIME_TEXT_SIZE];
    time_format(when, at);
    (void)snprintf(line, sizeof line,
                   "verify --evidence evidence --policy %s --nonce %s --at %s --json %s %s", policy, nonce,
                   when, collateral ? "--collateral" : "", collateral_file[collateral]);
    const int code = cli_run(line);
    json_t *verdict = json_loads(cli_output, 0, NULL);
    if (!verdict || code > 1)
        fail_msg("%s: %s", line, cli_output);
    return verdict;
}

static void compare(struct fixture *f, size_t piece, const struct bytes *file, const char *policy,
                    const char *nonce)
{
    CLEAN_JSON *service = by_service(f, policy, nonce, file);
    CLEAN_JSON *command = by_command(policy, nonce, pieces[piece].collateral);
    if (json_equal(service, command))
        return;
    char *one = json_dumps(service, JSON_COMPACT), *other = json_dumps(command, JSON_COMPACT);
    fail_msg("%s with %s at %lld under %s\nservice: %s\ncommand: %s", pieces[piece].evidence,
             pieces[piece].leaf ? pieces[piece].leaf : "nothing", (long long)at, policy, one, other);
}

/* Which of the outcomes a run of all saw: a comparison of nothing but failures would say little. */
static unsigned seen(struct fixture *f)
{
    CLEAN_JSON *result = answer_json(f);
    const char *outcome = json_string_value(json_object_get(result, "outcome"));
    return strcmp(outcome, "pass") == 0 ? 1 : strcmp(outcome, "fail") == 0 ? 2 : 4;
}

static void all_evidence_gets_the_verdict_of_the_command(void **state)
{
    struct fixture *f = *state;
    unsigned outcomes = 0;
    CLEAN_BYTES there = {0};
    NEED_REAL(&there, "tdx/b-collateral.json");
    for (size_t piece = 0; piece < PIECES; piece++) {
        CLEAN_BYTES file = {0};
        char nonce[129];
        make_evidence(piece, &file, nonce);
        cli_write("evidence", bytes_view(&file));
        for (size_t i = 0; i < OCCASIONS; i++) {
            at = occasions[i].at;
            compare(f, piece, &file, occasions[i].policy, occasions[i].nonce ? occasions[i].nonce : nonce);
            outcomes |= seen(f);
        }
    }
    assert_int_equal(outcomes, 7);
}

/* What is no evidence is none for either. */
static void what_the_command_cannot_read_the_service_cannot(void **state)
{
    struct fixture *f = *state;
    static const char *const files[] = {"tdx/a-report.dat", "tdx/a-ccel-ccel_table.dat", "snp/b-vcek.der"};
    CLEAN_BYTES there = {0};
    NEED_REAL(&there, "tdx/b-collateral.json");
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        CLEAN_BYTES file = {0};
        char *encoded, body[8192];
        assert_true(real_file(&file, files[i]));
        assert_int_equal(base64_encode(&encoded, bytes_view(&file), NULL), 0);
        for (const char *const *tee = (const char *const[]){"snp", "tdx", NULL}; *tee; tee++) {
            const int n = snprintf(body, sizeof body,
                                   "{\"policy\": \"default\", \"nonce\": \"0011223344556677\", \"evidence\": "
                                   "{\"cofre_evidence\": 1, \"tee\": \"%s\", \"report\": \"%s\"}}",
                                   *tee, encoded);
            assert_true(n > 0 && (size_t)n < sizeof body);
            assert_int_equal(ask(f, "POST", "/v1/appraisals", "lasting", body), 400);
            const char *evidence = strstr(body, "{\"cofre_evidence");
            cli_write("evidence", (struct view){(const uint8_t *)evidence, strlen(evidence) - 1});
            assert_int_equal(cli_run("verify --evidence evidence"), COFRE_MALFORMED);
        }
        free(encoded);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_evidence_gets_the_verdict_of_the_command),
        cmocka_unit_test(what_the_command_cannot_read_the_service_cannot),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, setup, teardown);
}
