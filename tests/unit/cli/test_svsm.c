/* cofre verify of reports on an SVSM's services, as a user calls it: an emulated SNP guest's, asked for by who is at which VMPL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/attest/made_manifest.h"
#include "tests/unit/attest/real_file.h"
#include "tests/unit/cli/run.h"
#include "tests/unit/model/fixture.h"
#include "vmm/base/file.h"

#define NONCE "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define V     "verify --evidence report --cert table --trust-root root.pem"
#define S     V " --nonce " NONCE " --service-manifest manifest"

static struct psp *psp;
static char digest[2 * 48 + 1]; /* of the guest's launch */
static struct made_manifest ek; /* also the file "manifest"; a table around it is "services" */

static void write_manifest(const char *name, const struct made_manifest *m)
{
    cli_write(name, made_view(m));
}

static int setup(void **state)
{
    CLEAN_BYTES root = {0}, table = {0};
    struct made_manifest services;
    TPMT_PUBLIC key;
    if (cli_setup(state) != 0)
        return -1;
    psp = open_platform((struct psp_options){.product = SNP_PRODUCT_MILAN});
    assert_int_equal(psp_root(psp, &root, NULL), 0);
    assert_int_equal(psp_cert_table(psp, &table, NULL), 0);
    cli_write("root.pem", bytes_view(&root));
    cli_write("table", bytes_view(&table));
    cli_write("any.json", (struct view){(const uint8_t *)"{\"snp\": {\"max_vmpl\": 3}}", 24});
    made_rsa(&key);
    made_ek(&ek, &key);
    write_manifest("manifest", &ek);
    made_table(&services, &ek, 3);
    write_manifest("services", &services);
    return 0;
}

static int teardown(void **state)
{
    psp_close(psp);
    return cli_teardown(state);
}

/* SHA-512 of the 64 bytes of configfs-tsm's inblob, which begin with the nonce, and the manifest. */
static void data_of_services(uint8_t out[64], const struct made_manifest *m)
{
    uint8_t both[64 + MADE_MANIFEST_MAX] = {0};
    assert_true(hex_decode(both, 32, NONCE));
    memcpy(both + 64, m->data, m->len);
    assert_int_equal(EVP_Digest(both, 64 + m->len, out, NULL, EVP_sha512(), NULL), 1);
}

/* Into the file "report", as configfs-tsm's outblob. */
static void ask(const uint8_t data[64], uint8_t vmpl)
{
    struct snp_report_req request = {.vmpl = vmpl};
    struct snp_secrets_page secrets;
    memcpy(request.report_data, data, 64);
    struct psp_guest *guest = launch_guest(psp, &secrets, NULL);
    struct snp_report_rsp response = ask_report(guest, &secrets, vmpl, 1, &request);
    psp_guest_free(guest);
    hex_encode(digest, response.report.measurement, 48);
    cli_write("report", (struct view){(const uint8_t *)&response.report, sizeof response.report});
}

static void ask_on(const struct made_manifest *m, uint8_t vmpl)
{
    uint8_t data[64];
    data_of_services(data, m);
    ask(data, vmpl);
}

static void expect(int code, const char *arguments, const char *said)
{
    int found = cli_run(arguments);
    if (found != code || (said && !strstr(cli_output, said)))
        fail_msg("cofre %s: exit code %d, not %d, or does not say \"%s\": %.3000s", arguments, found, code,
                 said ? said : "", cli_output);
}

/* The same of the SVSM that was launched. */
static void expect_of_it(int code, const char *arguments, const char *said)
{
    char all[1024];
    (void)snprintf(all, sizeof all, "%s --measurement %s", arguments, digest);
    expect(code, all, said);
}

static void must_not_be_there(const char *name)
{
    CLEAN_BYTES none = {0};
    char path[CLI_PATH_SIZE];
    cli_path(path, name);
    assert_int_not_equal(file_read(&none, path, 4096, NULL), 0);
}

static void reports_of_an_svsm_pass_with_their_manifest(void **state)
{
    (void)state;
    struct made_manifest services;
    ask_on(&ek, 0);
    expect(0, S, "AMD SEV-SNP report on an SVSM's services");
    expect(0, S, "ok        snp.vtpm_key");
    expect(0, S, "ok        snp.nonce");
    expect(0, S " --policy any.json", "the launch digest says what");
    expect(0, V " --nonce " NONCE "00 --service-manifest manifest", "PASS"); /* zeros follow a nonce anyway */
    expect(1, V " --nonce " NONCE " --service-manifest services", "FAILED    snp.nonce");
    made_table(&services, &ek, 3);
    ask_on(&services, 0);
    expect(0, V " --nonce " NONCE " --service-manifest services", "all services");
    expect(1, S, "FAILED    snp.nonce");
}

static void json_names_services_and_the_key(void **state)
{
    (void)state;
    struct made_manifest services;
    uint8_t hash[32];
    char name[2 * 34 + 1] = "000b";
    made_table(&services, &ek, 3);
    ask_on(&services, 0);
    assert_int_equal(cli_run(V " --nonce " NONCE " --service-manifest services --json"), 0);
    json_t *verdict = json_loads(cli_output, 0, NULL);
    json_t *service = json_object_get(json_object_get(verdict, "claims"), "service");
    assert_string_equal(cli_text(service, "manifest"), "all services");
    assert_int_equal(json_array_size(json_object_get(service, "guids")), 3);
    assert_string_equal(json_string_value(json_array_get(json_object_get(service, "guids"), 1)),
                        "c476f1eb-0123-45a5-9641-b4e7dde5bfe4");
    assert_int_equal(EVP_Digest(ek.data, ek.len, hash, NULL, EVP_sha256(), NULL), 1);
    hex_encode(name + 4, hash, sizeof hash);
    assert_string_equal(cli_text(json_object_get(service, "vtpm"), "endorsement_key_name"), name);
    json_decref(verdict);
}

static void another_question_or_another_manifest_is_refused(void **state)
{
    (void)state;
    uint8_t data[64] = {0};
    struct made_manifest other = ek;
    ask_on(&ek, 0);
    expect(1, V " --service-manifest manifest --nonce 01" NONCE, "FAILED    snp.nonce");
    expect(1, V " --nonce " NONCE, "FAILED    snp.nonce"); /* on services, and nobody says so */
    other.data[other.len - 2] ^= 1;
    write_manifest("other", &other);
    expect(1, V " --nonce " NONCE " --service-manifest other", "FAILED    snp.nonce");
    other.len = ek.len - 1;
    write_manifest("other", &other);
    expect(3, V " --nonce " NONCE " --service-manifest other", "other: ");
    expect(3, V " --nonce " NONCE " --service-manifest /dev/null", "/dev/null: ");
    assert_true(hex_decode(data, 32, NONCE)); /* what a guest at VMPL 0 without an SVSM asks */
    ask(data, 0);
    expect(0, V " --nonce " NONCE, "PASS");
    expect(1, S, "FAILED    snp.nonce");
}

/* The guest's kernel can ask for any report data at its own VMPL, so that a manifest there would be its word. */
static void what_was_asked_for_above_vmpl_0_is_no_svsm_s(void **state)
{
    (void)state;
    for (uint8_t vmpl = 1; vmpl < 4; vmpl++) {
        ask_on(&ek, vmpl);
        expect(1, S " --policy any.json", "FAILED    snp.vmpl");
        expect(1, S " --policy any.json", "ok        snp.nonce");
        expect(1, S, "FAILED    snp.vmpl");
    }
}

static void a_key_that_may_leave_its_vtpm_is_refused(void **state)
{
    (void)state;
    TPMT_PUBLIC key;
    struct made_manifest loose;
    made_rsa(&key);
    key.objectAttributes &= ~TPMA_OBJECT_FIXEDTPM;
    made_ek(&loose, &key);
    write_manifest("loose", &loose);
    ask_on(&loose, 0);
    expect_of_it(1, V " --nonce " NONCE " --service-manifest loose --vtpm-ek-out loose.pem",
                 "FAILED    snp.vtpm_key");
    must_not_be_there("loose.pem");
}

static void the_key_is_written_for_those_who_use_it(void **state)
{
    (void)state;
    CLEAN_BYTES pem = {0};
    ask_on(&ek, 0);
    expect_of_it(0, S " --vtpm-ek-out ek.pem --json", "\"verdict\": \"pass\"");
    cli_read(&pem, "ek.pem");
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    EVP_PKEY *key = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
    BIGNUM *n = NULL, *due = BN_bin2bn(ek.data + ek.len - 256, 256, NULL);
    assert_non_null(key);
    assert_int_equal(EVP_PKEY_get_bn_param(key, "n", &n), 1);
    assert_int_equal(BN_cmp(n, due), 0);
    BN_free(n);
    BN_free(due);
    EVP_PKEY_free(key);
    BIO_free(bio);
    expect_of_it(2, S " --vtpm-ek-out nowhere/ek.pem", "nowhere/ek.pem");
    expect_of_it(1, V " --nonce 01 --service-manifest manifest --vtpm-ek-out bad.pem", "FAILED    snp.nonce");
    must_not_be_there("bad.pem");
}

/* What is at VMPL 0 may be anything that was launched, and only an SVSM's word on a vTPM is worth something. */
static void a_key_is_written_of_a_launch_that_was_expected(void **state)
{
    (void)state;
    char policy[200];
    ask_on(&ek, 0);
    expect(2, S " --vtpm-ek-out bad.pem", "say which SVSM may be launched");
    expect(2, S " --vtpm-ek-out bad.pem --policy any.json", "say which SVSM may be launched");
    (void)snprintf(policy, sizeof policy, "{\"snp\": {\"measurement\": [\"%s\"]}}", digest);
    cli_write("svsm.json", (struct view){(const uint8_t *)policy, strlen(policy)});
    expect(0, S " --vtpm-ek-out good.pem --policy svsm.json", "ok        snp.measurement");
    digest[0] = digest[0] == '0' ? '1' : '0';
    expect_of_it(1, S " --vtpm-ek-out bad.pem", "FAILED    snp.measurement");
    must_not_be_there("bad.pem");
}

static void what_does_not_go_together_is_wrong_usage(void **state)
{
    (void)state;
    static const char data[] = " --report-data " NONCE NONCE;
    char arguments[1024];
    struct made_manifest none;
    ask_on(&ek, 0);
    expect(2, V " --service-manifest manifest", "--service-manifest needs --nonce");
    (void)snprintf(arguments, sizeof arguments, S "%s", data);
    expect(2, arguments, "--report-data does not go with");
    expect(2, V " --nonce " NONCE " --vtpm-ek-out ek.pem", "--vtpm-ek-out is for --service-manifest");
    expect(2, S " --vtpm-ek-out -", "standard output has the verdict");
    expect(2, S " --service-manifest manifest", "--service-manifest is given twice");
    expect(2, S " --service-manifest nowhere", "given twice");
    expect(2, V " --nonce " NONCE " --service-manifest nowhere", "nowhere");
    cli_write("token", (struct view){(const uint8_t *)"x", 1});
    expect(2, "verify --token token --service-manifest manifest", "--token goes with");
    expect(2, "verify --token token --vtpm-ek-out ek.pem", "--token goes with");
    made_table(&none, &ek, 0);
    write_manifest("none", &none);
    expect_of_it(3, V " --nonce " NONCE " --service-manifest none --vtpm-ek-out ek.pem",
                 "none has no vTPM's endorsement key");
}

static void tdx_has_no_svsm(void **state)
{
    (void)state;
    CLEAN_BYTES quote = {0};
    NEED_REAL(&quote, "tdx/b-quote.dat");
    cli_write("quote", bytes_view(&quote));
    expect(2, "verify --evidence quote --nonce " NONCE " --service-manifest manifest",
           "TDX evidence has none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reports_of_an_svsm_pass_with_their_manifest),
        cmocka_unit_test(json_names_services_and_the_key),
        cmocka_unit_test(another_question_or_another_manifest_is_refused),
        cmocka_unit_test(what_was_asked_for_above_vmpl_0_is_no_svsm_s),
        cmocka_unit_test(a_key_that_may_leave_its_vtpm_is_refused),
        cmocka_unit_test(the_key_is_written_for_those_who_use_it),
        cmocka_unit_test(a_key_is_written_of_a_launch_that_was_expected),
        cmocka_unit_test(what_does_not_go_together_is_wrong_usage),
        cmocka_unit_test(tdx_has_no_svsm),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
