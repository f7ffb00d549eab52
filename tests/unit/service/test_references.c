/* Reference values through the interface: brought in, named by a policy, retired, given out again. */
#include "tests/unit/service/fixture.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "attest/corim/corim.h"
#include "attest/evidence.h"
#include "attest/log/entry.h"
#include "attest/service/access.h"
#include "attest/token/key_set.h"
#include "sev/cert_table.h"
#include "tests/unit/model/fixture.h"
#include "vmm/base/file.h"
#include "vmm/base/json.h"
#include "vmm/base/timestamp.h"

static int64_t skew; /* of the service's clock: chains are made by the real one */
static int64_t clock_of_service(void)
{
    return time(NULL) + skew;
}

static struct psp *psp;
static EVP_PKEY *builder, *stranger;
static char root_file[128], crl_file[128], signers_file[128];

static void write_file(const char *path, struct view data)
{
    struct cofre_err err = {""};
    if (file_write(path, data, 0600, &err) < 0)
        fail_msg("%s", err.text);
}

static void write_files(const struct fixture *f)
{
    CLEAN_BYTES root = {0}, certificates = {0};
    struct snp_cert_table table;
    snprintf(root_file, sizeof root_file, "%s/root", f->folder);
    snprintf(crl_file, sizeof crl_file, "%s/crl", f->folder);
    snprintf(signers_file, sizeof signers_file, "%s/signers", f->folder);
    assert_int_equal(psp_root(psp, &root, NULL), 0);
    write_file(root_file, bytes_view(&root));
    assert_int_equal(psp_cert_table(psp, &certificates, NULL), 0);
    assert_int_equal(snp_cert_table_parse(&table, bytes_view(&certificates), NULL), 0);
    for (size_t i = 0; i < table.count; i++)
        if (table.entry[i].kind == SNP_CERT_CRL)
            write_file(crl_file, table.entry[i].data);
    FILE *to = fopen(signers_file, "we");
    assert_non_null(to);
    assert_int_equal(PEM_write_PUBKEY(to, builder), 1);
    fclose(to);
}

static int setup(void **state)
{
    struct fixture *f = fixture_new(clock_of_service);
    *state = f;
    skew = 0;
    psp = open_platform((struct psp_options){.product = SNP_PRODUCT_MILAN});
    builder = EVP_EC_gen("P-384");
    stranger = EVP_EC_gen("P-384");
    write_files(f);
    f->config.trust_roots.path[0] = root_file;
    f->config.crls.path[0] = crl_file;
    f->config.reference_signers.path[0] = signers_file;
    f->config.anybody = ROLE_VALUES;
    fixture_start(f);
    assert_int_equal(
        ask(f, "POST", "/v1/policies/web", "policies", "{\"snp\": {\"reference\": [\"web\", \"web next\"]}}"),
        201);
    assert_int_equal(ask(f, "PUT", "/v1/policies/web/active", "policies", "{\"version\": 1}"), 200);
    return 0;
}

static int teardown(void **state)
{
    fixture_free(*state);
    psp_close(psp);
    EVP_PKEY_free(builder);
    EVP_PKEY_free(stranger);
    return 0;
}

#define OWN "00112233445566778899aabbccddeeff"

static struct snp_report report(void)
{
    struct snp_report_req request = {0};
    struct snp_secrets_page secrets;
    assert_true(hex_decode(request.report_data, strlen(OWN) / 2, OWN));
    struct psp_guest *guest = launch_guest(psp, &secrets, NULL);
    struct snp_report_rsp response = ask_report(guest, &secrets, 0, 1, &request);
    psp_guest_free(guest);
    struct snp_report out;
    memcpy(&out, &response.report, sizeof out);
    return out;
}

/* What the service finds, of which the check's sentence goes to why. */
static void appraise(struct fixture *f, const struct snp_report *r, const char *outcome, const char *why)
{
    CLEAN_EVIDENCE evidence = {.tee = "snp"};
    CLEAN_BYTES file = {0};
    static char body[1 << 17];
    assert_int_equal(bytes_copy(&evidence.report, (struct view){(const uint8_t *)r, sizeof *r}, NULL), 0);
    assert_int_equal(psp_cert_table(psp, &evidence.certificates, NULL), 0);
    assert_int_equal(evidence_write(&file, &evidence, NULL), 0);
    snprintf(body, sizeof body, "{\"policy\": \"web\", \"nonce\": \"" OWN "\", \"evidence\": %.*s}",
             (int)file.len, (const char *)file.data);
    assert_int_equal(ask(f, "POST", "/v1/appraisals", "submit", body), 200);
    CLEAN_JSON *result = answer_json(f);
    json_t *check;
    size_t i;
    bool found = false;
    json_array_foreach(json_object_get(json_object_get(result, "verdict"), "checks"), i, check)
    {
        if (strcmp(json_string_value(json_object_get(check, "id")), "snp.reference") != 0)
            continue;
        const char *said = json_string_value(json_object_get(check, "why"));
        found = true;
        if (!strstr(said, why))
            fail_msg("\"%s\" and not \"%s\"", said, why);
    }
    assert_true(found);
    assert_int_equal(json_object_get(json_object_get(result, "verdict"), "reference") != NULL,
                     strcmp(outcome, "pass") == 0);
    assert_string_equal(json_string_value(json_object_get(result, "outcome")), outcome);
}

/* The report as a value, signed by the key or, NULL, not. */
static void make_corim(struct bytes *out, const struct snp_report *r, const char *name, uint64_t version,
                       int64_t from, int64_t until, EVP_PKEY *key)
{
    struct reference value = {.tee = REFERENCE_SNP, .version = version, .keys = REFERENCE_VCEK};
    struct corim corim = {
        .id = "test", .from = from, .until = until, .values = {&value, 1}, .signer = "the builder"};
    strcpy(value.name, name);
    reference_set(&value, REFERENCE_MEASUREMENT, r->measurement);
    struct cofre_err err = {""};
    if ((key ? corim_sign(out, &corim, key, &err) : corim_write(out, &corim, &err)) < 0)
        fail_msg("%s", err.text);
}

static int import(struct fixture *f, struct view file, const char *token)
{
    static char body[1 << 16];
    char *text = NULL;
    assert_int_equal(base64_encode(&text, file, NULL), 0);
    snprintf(body, sizeof body, "{\"corim\": \"%s\"}", text);
    free(text);
    return ask(f, "POST", "/v1/reference-values", token, body);
}

static int bring(struct fixture *f, const struct snp_report *r, const char *name, uint64_t version,
                 int64_t from, int64_t until)
{
    CLEAN_BYTES file = {0};
    make_corim(&file, r, name, version, from, until, builder);
    return import(f, bytes_view(&file), "values");
}

static void a_policy_names_values_that_were_brought_in(void **state)
{
    struct fixture *f = *state;
    const struct snp_report r = report();
    struct snp_report other = r;
    appraise(f, &r, "unjudged", "no reference value \"web\", nor of the policy's other names, is known");
    other.measurement[0] ^= 1;
    assert_int_equal(bring(f, &other, "web", 1, 0, INT64_MAX), 201);
    appraise(f, &r, "fail", "\"web\", version 1, has another measurement");
    assert_int_equal(bring(f, &r, "web next", 2, 0, INT64_MAX), 201);
    appraise(f, &r, "pass", "it is the reference value \"web next\", version 2");
}

static void a_retired_value_stays_with_date_and_reason(void **state)
{
    struct fixture *f = *state;
    const struct snp_report r = report();
    assert_int_equal(bring(f, &r, "web", 1, 0, INT64_MAX), 201);
    const char *path = "/v1/reference-values/1/retired";
    assert_int_equal(ask(f, "PUT", path, "values", "{\"reason\": \"\"}"), 422);
    assert_int_equal(ask(f, "PUT", path, "values", "{\"reason\": \"a hole\", \"from\": \"soon\"}"), 422);
    assert_int_equal(ask(f, "PUT", "/v1/reference-values/2/retired", "values", "{\"reason\": \"a hole\"}"),
                     404);
    assert_int_equal(
        ask(f, "PUT", path, "values", "{\"reason\": \"a hole\", \"from\": \"2999-01-01T00:00:00Z\"}"), 200);
    assert_member(f, "state", "good");
    appraise(f, &r, "pass", "it is the reference value \"web\", version 1");
    assert_int_equal(ask(f, "PUT", path, "values", "{\"reason\": \"another\"}"), 404);
    assert_int_equal(bring(f, &r, "web next", 1, 1, 4102444800), 201);
    assert_int_equal(ask(f, "PUT", "/v1/reference-values/2/retired", "values", "{\"reason\": \"a hole\"}"),
                     200);
    assert_member(f, "state", "retired");
    assert_member(f, "retired_by", "values");
    assert_member(f, "reason", "a hole");
    appraise(f, &r, "pass", "it is the reference value \"web\", version 1"); /* there is another */
}

static void a_verdict_says_that_a_value_was_retired_or_is_not_of_now(void **state)
{
    struct fixture *f = *state;
    const struct snp_report r = report();
    const int64_t now = time(NULL);
    assert_int_equal(bring(f, &r, "web", 1, now + 1000, now + 2000), 201);
    appraise(f, &r, "fail", "version 1, which is not valid before ");
    skew = 1500;
    appraise(f, &r, "pass", "it is the reference value \"web\", version 1");
    skew = 2500;
    appraise(f, &r, "fail", "version 1, whose validity ended at ");
    skew = 1500;
    assert_int_equal(ask(f, "PUT", "/v1/reference-values/1/retired", "values", "{\"reason\": \"a hole\"}"),
                     200);
    appraise(f, &r, "fail", ": a hole");
}

static void provenance_is_kept(void **state)
{
    struct fixture *f = *state;
    const struct snp_report r = report();
    uint8_t thumbprint[COSE_THUMBPRINT_SIZE], digest[32];
    char hex[65];
    CLEAN_BYTES file = {0};
    make_corim(&file, &r, "web", 5, 0, INT64_MAX, builder);
    assert_int_equal(import(f, bytes_view(&file), "values"), 201);
    assert_int_equal(import(f, bytes_view(&file), "values"), 409);
    assert_member(f, "detail", "that file was imported before");
    assert_int_equal(ask(f, "GET", "/v1/reference-values/1", "audit", NULL), 200);
    CLEAN_JSON *value = answer_json(f);
    json_t *from = json_object_get(value, "file");
    assert_int_equal(cose_key_thumbprint(thumbprint, builder, NULL), 0);
    hex_encode(hex, thumbprint, 32);
    assert_string_equal(json_string_value(json_object_get(from, "signer")), hex);
    assert_string_equal(json_string_value(json_object_get(from, "issuer")), "the builder");
    assert_string_equal(json_string_value(json_object_get(from, "imported_by")), "values");
    assert_int_equal(EVP_Digest(file.data, file.len, digest, NULL, EVP_sha256(), NULL), 1);
    hex_encode(hex, digest, 32);
    assert_string_equal(json_string_value(json_object_get(from, "sha256")), hex);
    assert_int_equal(json_integer_value(json_object_get(value, "version")), 5);
    assert_int_equal(ask(f, "GET", "/v1/reference-values", "policies", NULL), 200);
    CLEAN_JSON *list = answer_json(f);
    assert_true(json_equal(json_array_get(json_object_get(list, "reference_values"), 0), value));
    assert_int_equal(ask(f, "GET", "/v1/reference-values/1/file", "audit", NULL), 200);
    assert_memory_equal(answer_body(f), file.data, file.len);
    assert_non_null(strstr(f->answer, "application/rim+cose"));
    assert_int_equal(ask(f, "GET", "/v1/reference-values/2", "audit", NULL), 404);
    assert_int_equal(ask(f, "GET", "/v1/reference-values/x", "audit", NULL), 404);
}

static void read_entry(struct fixture *f, int number, struct log_entry *out)
{
    char path[64];
    struct cofre_err err = {""};
    snprintf(path, sizeof path, "/v1/log/entries/%d", number);
    assert_int_equal(ask(f, "GET", path, "audit", NULL), 200);
    const struct view body = {(const uint8_t *)answer_body(f),
                              strtoul(strstr(f->answer, "Content-Length: ") + 16, NULL, 10)};
    if (log_entry_read(out, body, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(out->kind, LOG_ENTRY_CHANGE);
    assert_string_equal(out->object, "value");
    assert_string_equal(out->object_name, "web");
    assert_string_equal(out->actor, "values");
}

/* Behind the log's first entry and the two of the policy. */
static void each_change_of_a_value_is_in_the_log(void **state)
{
    struct fixture *f = *state;
    const struct snp_report r = report();
    struct log_entry entry;
    assert_int_equal(bring(f, &r, "web", 6, 0, INT64_MAX), 201);
    assert_int_equal(ask(f, "PUT", "/v1/reference-values/1/retired", "values", "{\"reason\": \"a hole\"}"),
                     200);
    read_entry(f, 3, &entry);
    assert_string_equal(entry.action, "added");
    assert_int_equal(entry.object_version, 6);
    assert_string_equal(entry.detail, "test");
    read_entry(f, 4, &entry);
    assert_string_equal(entry.action, "retired");
    assert_string_equal(entry.detail, "a hole");
}

static void only_those_who_are_trusted_bring_values(void **state)
{
    struct fixture *f = *state;
    const struct snp_report r = report();
    CLEAN_BYTES plain = {0}, strange = {0}, good = {0};
    make_corim(&plain, &r, "web", 1, 0, INT64_MAX, NULL);
    make_corim(&strange, &r, "web", 2, 0, INT64_MAX, stranger);
    make_corim(&good, &r, "web", 3, 0, INT64_MAX, builder);
    assert_int_equal(import(f, bytes_view(&strange), "values"), 422);
    assert_member(f, "detail", "the CoRIM: it is signed by none of the keys that are trusted for it");
    assert_int_equal(import(f, bytes_view(&plain), NULL), 422);
    assert_member(f, "detail", "the CoRIM is not signed, and whoever brings it has not shown who it is");
    assert_int_equal(import(f, bytes_view(&good), NULL), 201);
    assert_int_equal(import(f, bytes_view(&plain), "values"), 201);
    plain.data[0] = 0xd8;
    assert_int_equal(import(f, bytes_view(&plain), "values"), 400);
    assert_int_equal(ask(f, "POST", "/v1/reference-values", "values", "{\"corim\": \"?\"}"), 400);
    assert_int_equal(ask(f, "POST", "/v1/reference-values", "values", "{}"), 422);
}

static void what_is_good_is_given_out_as_a_corim(void **state)
{
    struct fixture *f = *state;
    const struct snp_report r = report();
    CLEAN_COSE_KEYS keys = {0};
    CLEAN_CORIM corim = {0};
    uint8_t signer[COSE_THUMBPRINT_SIZE];
    struct cofre_err err = {""};
    assert_int_equal(ask(f, "GET", "/v1/reference-values.cose?tee=snp", "audit", NULL), 404);
    assert_int_equal(ask(f, "GET", "/v1/reference-values.cose", "audit", NULL), 422);
    assert_int_equal(bring(f, &r, "web", 1, 1, 4102444800), 201);
    assert_int_equal(bring(f, &r, "web", 2, 0, INT64_MAX), 201);
    assert_int_equal(bring(f, &r, "db", 3, 0, INT64_MAX), 201);
    assert_int_equal(ask(f, "PUT", "/v1/reference-values/2/retired", "values", "{\"reason\": \"a hole\"}"),
                     200);
    assert_int_equal(ask(f, "GET", "/v1/keys.cose", NULL, NULL), 200);
    struct view body = {(const uint8_t *)answer_body(f),
                        strtoul(strstr(f->answer, "Content-Length: ") + 16, NULL, 10)};
    assert_int_equal(keys_read(&keys, body, &err), 0);
    assert_int_equal(ask(f, "GET", "/v1/reference-values.cose?tee=snp", "audit", NULL), 200);
    body.len = strtoul(strstr(f->answer, "Content-Length: ") + 16, NULL, 10);
    body.data = (const uint8_t *)answer_body(f);
    if (corim_verify(&corim, signer, body, &keys, &err) < 0)
        fail_msg("%s", err.text);
    assert_string_equal(corim.signer, FIXTURE_NAME);
    assert_int_equal(corim.values.count, 2);
    assert_string_equal(corim.values.item[0].name, "web");
    assert_string_equal(corim.values.item[1].name, "db");
    assert_int_equal(corim.until, 4102444800);
    assert_memory_equal(corim.values.item[0].field[REFERENCE_MEASUREMENT].value, r.measurement, 48);
    assert_int_equal(ask(f, "GET", "/v1/reference-values.cose?tee=tdx", "audit", NULL), 404);
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, setup, teardown)

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        TEST(a_policy_names_values_that_were_brought_in),
        TEST(a_retired_value_stays_with_date_and_reason),
        TEST(a_verdict_says_that_a_value_was_retired_or_is_not_of_now),
        TEST(provenance_is_kept),
        TEST(each_change_of_a_value_is_in_the_log),
        TEST(only_those_who_are_trusted_bring_values),
        TEST(what_is_good_is_given_out_as_a_corim),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
