/* What collateral remembers of a platform's PCK chain saves time and changes no verdict. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "attest/appraise.h"
#include "tdx/collateral.h"
#include "tdx/model/platform.h"
#include "tdx/quote.h"

static struct bytes quote, root;
static struct tdx_collateral without, with; /* the quote's PCK chain */
static struct view pem;                     /* the chain in the quote */
static int64_t now;
static struct cofre_err err;

static void parse_with(struct tdx_collateral *out, const struct bytes *collateral)
{
    json_t *file = json_loadb((const char *)collateral->data, collateral->len, 0, NULL);
    json_object_set_new(file, "pck_certificate_chain", json_stringn((const char *)pem.data, pem.len));
    char *text = json_dumps(file, 0);
    assert_int_equal(tdx_collateral_parse(out, (struct view){(uint8_t *)text, strlen(text)}, &err), 0);
    free(text);
    json_decref(file);
}

static int make(void **state)
{
    char dir[] = "/tmp/cofre-test-XXXXXX", command[64];
    struct tdx_platform *platform = NULL;
    struct tdx_report report = {.td = {.attributes = {0, 0, 0, 0x10}, .xfam = {0xe7}}};
    struct tdx_quote parsed;
    CLEAN_BYTES collateral = {0};
    (void)state;
    now = (int64_t)time(NULL);
    assert_non_null(mkdtemp(dir));
    assert_int_equal(tdx_platform_open(&platform, dir, NULL, &err), 0);
    tdx_platform_seal_report(platform, &report);
    assert_int_equal(tdx_platform_quote(platform, &report, &quote, &err), 0);
    assert_int_equal(tdx_platform_collateral(platform, now, &collateral, &err), 0);
    assert_int_equal(tdx_platform_root(platform, &root, &err), 0);
    tdx_platform_close(platform);
    (void)snprintf(command, sizeof command, "rm -r %s", dir);
    assert_int_equal(system(command), 0);
    assert_int_equal(tdx_quote_parse(&parsed, bytes_view(&quote), &err), 0);
    pem = parsed.certification;
    while (pem.len && pem.data[pem.len - 1] == 0)
        pem.len--;
    assert_int_equal(tdx_collateral_parse(&without, bytes_view(&collateral), &err), 0);
    parse_with(&with, &collateral);
    return 0;
}

static int release(void **state)
{
    (void)state;
    bytes_free(&quote);
    bytes_free(&root);
    tdx_collateral_free(&without);
    tdx_collateral_free(&with);
    return 0;
}

/* The whole verdict as text, or the error's. */
static char *judged(const struct tdx_collateral *collateral)
{
    CLEAN_VERDICT verdict = {0};
    CLEAN_EVIDENCE evidence = {.tee = "tdx"};
    CLEAN_CERTS roots = {0};
    struct policy policy;
    policy_init(&policy);
    assert_int_equal(bytes_copy(&evidence.report, bytes_view(&quote), &err), 0);
    assert_int_equal(x509_certs_add(&roots, bytes_view(&root), &err), 0);
    const struct appraisal in = {
        .evidence = &evidence, .policy = &policy, .collateral = collateral, .roots = &roots, .at = now};
    if (appraise(&verdict, &in, &err) < 0)
        return strdup(err.text);
    json_t *json = verdict_json(&verdict);
    char *text = json_dumps(json, JSON_SORT_KEYS);
    json_decref(json);
    policy_free(&policy);
    return text;
}

static bool agree(void)
{
    char *a = judged(&without), *b = judged(&with);
    bool same = strcmp(a, b) == 0;
    if (!same)
        print_message("# without the chain: %s\n# with it: %s\n", a, b);
    free(a);
    free(b);
    return same;
}

static void a_known_platform_s_quote_gets_the_verdict_of_any_other(void **state)
{
    (void)state;
    assert_int_equal(with.pck_chain.count, 3);
    assert_non_null(with.pck_cert);
    assert_true(agree());
    char *text = judged(&with);
    assert_non_null(strstr(text, "\"verdict\": \"pass\""));
    free(text);
}

/* In the certificates, where the cache is looked at, and everywhere else. */
static void so_does_every_changed_quote(void **state)
{
    (void)state;
    size_t chain = (size_t)(pem.data - quote.data);
    for (size_t i = 0; i < quote.len; i += i < chain ? 29 : 17) {
        quote.data[i] ^= 1;
        if (!agree())
            fail_msg("with a change at %zu", i);
        quote.data[i] ^= 1;
    }
}

static void only_the_very_bytes_are_known(void **state)
{
    (void)state;
    CLEAN_CERTS same = {0}, other = {0};
    const struct x509_certs *const known[] = {&with.pck_chain, NULL};
    assert_int_equal(x509_certs_add_known(&same, pem, known, &err), 0);
    assert_int_equal(same.count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_ptr_equal(same.cert[i], with.pck_chain.cert[i]);
    uint8_t *der = NULL;
    int len = i2d_X509(with.pck_chain.cert[0], &der);
    der[len - 1] ^= 1; /* of the signature: still a certificate, and another one */
    assert_int_equal(x509_certs_add_known(&other, (struct view){der, (size_t)len}, known, &err), 0);
    OPENSSL_free(der);
    assert_ptr_not_equal(other.cert[0], with.pck_chain.cert[0]);
    assert_int_not_equal(X509_cmp(other.cert[0], with.pck_chain.cert[0]), 0);
    assert_int_equal(tdx_check_issued(&with, with.pck_chain.cert[0], with.pck_chain.cert[1], &err), 0);
    assert_int_equal(tdx_check_issued(&with, other.cert[0], with.pck_chain.cert[1], &err), -COFRE_NEGATIVE);
    assert_int_equal(tdx_check_issued(&with, with.pck_chain.cert[0], with.pck_chain.cert[2], &err),
                     -COFRE_NEGATIVE);
}

/* A chain whose signature is wrong is no more issued for lying in the collateral. */
static void a_forged_chain_in_the_collateral_is_not_believed(void **state)
{
    (void)state;
    struct tdx_collateral forged;
    json_t *file = json_object();
    CLEAN_CERTS certs = {0};
    uint8_t *der = NULL;
    assert_int_equal(x509_certs_add(&certs, pem, &err), 0);
    int len = i2d_X509(certs.cert[0], &der);
    der[len - 1] ^= 1; /* of the signature */
    BIO *bio = BIO_new(BIO_s_mem());
    assert_true(PEM_write_bio(bio, PEM_STRING_X509, "", der, len) > 0 &&
                PEM_write_bio_X509(bio, certs.cert[1]) == 1 && PEM_write_bio_X509(bio, certs.cert[2]) == 1);
    char *made;
    long made_len = BIO_get_mem_data(bio, &made);
    json_object_set_new(file, "pck_certificate_chain", json_stringn(made, (size_t)made_len));
    char *dump = json_dumps(file, 0);
    assert_int_equal(tdx_collateral_parse(&forged, (struct view){(uint8_t *)dump, strlen(dump)}, &err), 0);
    assert_int_equal(forged.pck_chain.count, 3);
    assert_int_equal(tdx_check_issued(&forged, forged.pck_chain.cert[0], forged.pck_chain.cert[1], &err),
                     -COFRE_NEGATIVE);
    assert_int_equal(tdx_check_issued(&forged, forged.pck_chain.cert[1], forged.pck_chain.cert[2], &err), 0);
    tdx_collateral_free(&forged);
    free(dump);
    BIO_free(bio);
    OPENSSL_free(der);
    json_decref(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_known_platform_s_quote_gets_the_verdict_of_any_other),
        cmocka_unit_test(so_does_every_changed_quote),
        cmocka_unit_test(only_the_very_bytes_are_known),
        cmocka_unit_test(a_forged_chain_in_the_collateral_is_not_believed),
    };
    return cmocka_run_group_tests(tests, make, release);
}
