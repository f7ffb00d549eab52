/* The emulated quoting enclave and its certificates, checked with nothing but OpenSSL and offsets. */
#include "fixture.h"

#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "vmm/base/bytes.h"

static struct tdx_platform *v4, *v5;
static struct tdx_td *td;

static int set_up(void **state)
{
    (void)state;
    v4 = open_platform(0);
    v5 = open_platform(5);
    td = td_in(RUNNING, v4);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tdx_td_free(td);
    tdx_platform_close(v4);
    tdx_platform_close(v5);
    return 0;
}

static struct bytes quote_of(const struct tdx_platform *platform, const struct tdx_report *report)
{
    struct bytes quote = {0};
    struct cofre_err err;
    if (tdx_platform_quote(platform, report, &quote, &err) < 0)
        fail_msg("%s", err.text);
    return quote;
}

/* ECDSA P-256 over r | s. */
static bool signature_is_good(EVP_PKEY *key, const uint8_t *message, size_t len, const uint8_t rs[64])
{
    uint8_t *der = NULL;
    ECDSA_SIG *sig = ECDSA_SIG_new();
    ECDSA_SIG_set0(sig, BN_bin2bn(rs, 32, NULL), BN_bin2bn(rs + 32, 32, NULL));
    int der_len = i2d_ECDSA_SIG(sig, &der);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok = EVP_DigestVerifyInit(md, NULL, EVP_sha256(), NULL, key) == 1 &&
              EVP_DigestVerify(md, der, (size_t)der_len, message, len) == 1;
    EVP_MD_CTX_free(md);
    OPENSSL_free(der);
    ECDSA_SIG_free(sig);
    return ok;
}

static EVP_PKEY *key_of_point(const uint8_t xy[64])
{
    uint8_t point[65] = {4};
    EVP_PKEY *key = NULL;
    memcpy(point + 1, xy, 64);
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0),
                           OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point),
                           OSSL_PARAM_construct_end()};
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
    assert_int_equal(EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params), 1);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

/* Leaf, CA, root of PEM text; it verifies by OpenSSL under that root, the roles' names are there. */
static X509 *leaf_of(const uint8_t *pem, size_t len)
{
    static const char *const names[] = {"Intel SGX PCK Certificate", "Intel SGX PCK Platform CA",
                                        "Intel SGX Root CA"};
    X509 *certs[3];
    char text[64];
    BIO *bio = BIO_new_mem_buf(pem, (int)len);
    for (int i = 0; i < 3; i++) {
        certs[i] = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        assert_non_null(certs[i]);
        X509_NAME *name = X509_get_subject_name(certs[i]);
        assert_true(X509_NAME_get_text_by_NID(name, NID_commonName, text, sizeof text) > 0);
        assert_string_equal(text, names[i]);
        assert_true(X509_NAME_get_text_by_NID(name, NID_organizationName, text, sizeof text) > 0);
        assert_string_equal(text, "EMULATED by Cofre");
        assert_int_equal(X509_check_ca(certs[i]), i > 0);
    }
    assert_null(PEM_read_bio_X509(bio, NULL, NULL, NULL));
    BIO_free(bio);
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    STACK_OF(X509) *untrusted = sk_X509_new_null();
    X509_STORE_add_cert(store, certs[2]);
    X509_STORE_set_flags(store, X509_V_FLAG_CHECK_SS_SIGNATURE | X509_V_FLAG_X509_STRICT);
    sk_X509_push(untrusted, certs[1]);
    X509_STORE_CTX_init(ctx, store, certs[0], untrusted);
    if (X509_verify_cert(ctx) != 1)
        fail_msg("%s", X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx)));
    sk_X509_free(untrusted);
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    X509_free(certs[1]);
    X509_free(certs[2]);
    return certs[0];
}

static void check_signatures(const struct bytes *quote, size_t covered)
{
    const uint8_t *at = quote->data + covered;
    assert_int_equal(le32(at), quote->len - covered - 4);
    const uint8_t *signature = at + 4, *key_bytes = signature + 64, *outer = key_bytes + 64;
    assert_int_equal(le16(outer), 6);
    assert_int_equal(le32(outer + 2), quote->len - (size_t)(outer + 6 - quote->data));
    const uint8_t *report = outer + 6, *report_signature = report + 384, *auth = report_signature + 64;
    const uint8_t *inner = auth + 2 + le16(auth);
    assert_int_equal(le16(inner), 5);
    assert_int_equal(le32(inner + 2), quote->len - (size_t)(inner + 6 - quote->data));
    X509 *leaf = leaf_of(inner + 6, le32(inner + 2));
    EVP_PKEY *attestation = key_of_point(key_bytes), *pck = X509_get0_pubkey(leaf);
    assert_true(signature_is_good(attestation, quote->data, covered, signature));
    assert_false(signature_is_good(attestation, quote->data, covered - 1, signature));
    assert_true(signature_is_good(pck, report, 384, report_signature));
    uint8_t bound[64 + 1024], digest[64] = {0};
    memcpy(bound, key_bytes, 64);
    memcpy(bound + 64, auth + 2, le16(auth));
    SHA256(bound, 64u + le16(auth), digest);
    assert_memory_equal(report + 320, digest, 64);
    assert_int_equal(le16(report + 256), 2); /* ISVPRODID of a TD quoting enclave */
    EVP_PKEY_free(attestation);
    X509_free(leaf);
}

static void check_head(const uint8_t *quote, uint16_t version)
{
    static const uint8_t intel[16] = {0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9,
                                      0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07};
    assert_int_equal(le16(quote), version);
    assert_int_equal(le16(quote + 2), 2);
    assert_int_equal(le32(quote + 4), 0x81);
    assert_int_equal(le32(quote + 8), 0);
    assert_memory_equal(quote + 12, intel, 16);
    assert_true(bytes_are_zero(quote + 44, 4));
}

/* Offsets in the body of TDX 1.0. */
static void check_body(const uint8_t *body, const struct tdx_report *r)
{
    assert_memory_equal(body, r->tcb.tee_tcb_svn, 16);
    assert_memory_equal(body + 16, r->tcb.mrseam, 48);
    assert_memory_equal(body + 64, r->tcb.mrsignerseam, 48);
    assert_memory_equal(body + 120, r->td.attributes, 8);
    assert_memory_equal(body + 128, r->td.xfam, 8);
    assert_memory_equal(body + 136, r->td.mrtd, 48);
    assert_memory_equal(body + 184, r->td.mrconfigid, 48);
    assert_memory_equal(body + 232, r->td.mrowner, 48);
    assert_memory_equal(body + 280, r->td.mrownerconfig, 48);
    assert_memory_equal(body + 328, r->td.rtmr, 192);
    assert_memory_equal(body + 520, r->mac.report_data, 64);
}

static void a_version_4_quote_is_whole(void **state)
{
    (void)state;
    struct tdx_report report = report_of(td, 0x42);
    struct bytes quote = quote_of(v4, &report);
    check_head(quote.data, 4);
    check_body(quote.data + 48, &report);
    check_signatures(&quote, 48 + 584);
    bytes_free(&quote);
}

static void a_version_5_quote_has_the_body_of_tdx_1_5(void **state)
{
    (void)state;
    struct tdx_report report = report_of(td, 0x43);
    struct bytes quote = quote_of(v5, &report);
    check_head(quote.data, 5);
    assert_int_equal(le16(quote.data + 48), 3);
    assert_int_equal(le32(quote.data + 50), 648);
    check_body(quote.data + 54, &report);
    assert_memory_equal(quote.data + 54 + 584, report.tcb.tee_tcb_svn_2, 16);
    assert_memory_equal(quote.data + 54 + 600, report.td.servtd_hash, 48);
    check_signatures(&quote, 48 + 6 + 648);
    bytes_free(&quote);
}

static void other_versions_are_not_made(void **state)
{
    (void)state;
    struct tdx_platform_options options = {.quote_version = 3};
    struct tdx_platform *platform = NULL;
    struct cofre_err err;
    assert_int_equal(tdx_platform_open(&platform, NULL, &options, &err), -COFRE_USAGE);
    assert_null(platform);
}

static void only_reports_of_this_processor_are_quoted(void **state)
{
    (void)state;
    const struct tdx_report good = report_of(td, 1);
    struct bytes quote = {0};
    struct cofre_err err;
    for (size_t byte = 0; byte < sizeof good; byte++) {
        struct tdx_report changed = good;
        ((uint8_t *)&changed)[byte] ^= 1;
        assert_int_equal(tdx_platform_quote(v4, &changed, &quote, &err), -COFRE_NEGATIVE);
        assert_null(quote.data);
    }
}

/* The value of Intel's extension, element by element, as in the PCK certificates of real processors. */
static void expect(const uint8_t **at, const char *hex)
{
    uint8_t bytes[64];
    size_t len = strlen(hex) / 2;
    assert_true(hex_decode(bytes, len, hex));
    assert_memory_equal(*at, bytes, len);
    *at += len;
}

static void the_pck_certificate_has_intel_s_extensions(void **state)
{
    (void)state;
    struct tdx_report report = report_of(td, 0);
    struct bytes quote = quote_of(v4, &report);
    const char *pem = memmem(quote.data, quote.len, "-----BEGIN", 10);
    assert_non_null(pem);
    X509 *leaf = leaf_of((const uint8_t *)pem, quote.len - (size_t)(pem - (const char *)quote.data));
    ASN1_OBJECT *oid = OBJ_txt2obj("1.2.840.113741.1.13.1", 1);
    int at = X509_get_ext_by_OBJ(leaf, oid, -1);
    assert_true(at >= 0);
    ASN1_OCTET_STRING *value = X509_EXTENSION_get_data(X509_get_ext(leaf, at));
    const uint8_t *p = ASN1_STRING_get0_data(value);
    assert_int_equal(ASN1_STRING_length(value), 554); /* as long as real ones */
    expect(&p, "30820226"
               "301e060a2a864886f84d010d01010410"); /* PPID */
    p += 16;
    expect(&p, "30820163060a2a864886f84d010d010230820153");
    for (int i = 1; i <= 17; i++) {
        char pair[64];
        static const uint8_t svn[] = {3, 3, 2, 2, 4, 1, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 13};
        snprintf(pair, sizeof pair, "3010060b2a864886f84d010d0102%02x0201%02x", (unsigned)i, svn[i - 1]);
        expect(&p, pair);
    }
    expect(&p, "301f060b2a864886f84d010d010212041003030202040100050000000000000000");
    expect(&p, "3010060a2a864886f84d010d010304020000");         /* PCE id */
    expect(&p, "3014060a2a864886f84d010d01040406e006c0f00000"); /* FMSPC */
    expect(&p, "300f060a2a864886f84d010d01050a0101");           /* SGX type */
    expect(&p, "301e060a2a864886f84d010d01060410");             /* platform instance */
    p += 16;
    expect(&p, "3044060a2a864886f84d010d01073036"
               "3010060b2a864886f84d010d0107010101ff");
    expect(&p, "3010060b2a864886f84d010d0107020101ff"
               "3010060b2a864886f84d010d0107030101ff");
    assert_ptr_equal(p, ASN1_STRING_get0_data(value) + ASN1_STRING_length(value));
    ASN1_OBJECT_free(oid);
    X509_free(leaf);
    bytes_free(&quote);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_version_4_quote_is_whole),
        cmocka_unit_test(a_version_5_quote_has_the_body_of_tdx_1_5),
        cmocka_unit_test(other_versions_are_not_made),
        cmocka_unit_test(only_reports_of_this_processor_are_quoted),
        cmocka_unit_test(the_pck_certificate_has_intel_s_extensions),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
