/* The emulated collateral: signed over the very text, current, of Intel's form, and about this platform. */
#include "fixture.h"

#include <jansson.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tdx/model/pki.h"
#include "vmm/base/bytes.h"
#include "vmm/base/timestamp.h"

static struct tdx_platform *platform;

static int set_up(void **state)
{
    (void)state;
    platform = open_platform(0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tdx_platform_close(platform);
    return 0;
}

static json_t *collateral_at(int64_t now)
{
    struct bytes text = {0};
    struct cofre_err err;
    if (tdx_platform_collateral(platform, now, &text, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(text.data[text.len - 1], '\n');
    json_t *file = json_loadb((char *)text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(file);
    bytes_free(&text);
    return file;
}

static const char *text_of(const json_t *object, const char *member)
{
    const char *text = json_string_value(json_object_get(object, member));
    assert_non_null(text);
    return text;
}

static X509 *first_cert(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    X509 *root = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    struct bytes own = {0};
    assert_true(cert && root);
    assert_int_equal(X509_verify(cert, X509_get0_pubkey(root)), 1);
    assert_int_equal(tdx_platform_root(platform, &own, NULL), 0);
    BIO *own_bio = BIO_new_mem_buf(own.data, (int)own.len);
    X509 *own_root = PEM_read_bio_X509(own_bio, NULL, NULL, NULL);
    assert_int_equal(X509_cmp(own_root, root), 0);
    X509_free(own_root);
    X509_free(root);
    BIO_free(own_bio);
    BIO_free(bio);
    bytes_free(&own);
    return cert;
}

static bool good_signature(X509 *signer, const char *text, const char *hex)
{
    uint8_t rs[64], *der = NULL;
    assert_true(hex_decode(rs, sizeof rs, hex));
    ECDSA_SIG *sig = ECDSA_SIG_new();
    ECDSA_SIG_set0(sig, BN_bin2bn(rs, 32, NULL), BN_bin2bn(rs + 32, 32, NULL));
    int len = i2d_ECDSA_SIG(sig, &der);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok = EVP_DigestVerifyInit(md, NULL, EVP_sha256(), NULL, X509_get0_pubkey(signer)) == 1 &&
              EVP_DigestVerify(md, der, (size_t)len, (const uint8_t *)text, strlen(text)) == 1;
    EVP_MD_CTX_free(md);
    OPENSSL_free(der);
    ECDSA_SIG_free(sig);
    return ok;
}

/* The document of that name, its signature and its signer's role checked, its window around now. */
static json_t *document_of(const json_t *file, const char *name, int64_t now)
{
    char member[64], role[64], *copy;
    const char *text = text_of(file, name);
    int64_t issued, next;
    snprintf(member, sizeof member, "%s_issuer_chain", name);
    X509 *signer = first_cert(text_of(file, member));
    X509_NAME_get_text_by_NID(X509_get_subject_name(signer), NID_commonName, role, sizeof role);
    assert_string_equal(role, "Intel SGX TCB Signing");
    X509_NAME_get_text_by_NID(X509_get_subject_name(signer), NID_organizationName, role, sizeof role);
    assert_string_equal(role, "EMULATED by Cofre");
    assert_int_equal(X509_check_ca(signer), 0);
    snprintf(member, sizeof member, "%s_signature", name);
    assert_true(good_signature(signer, text, text_of(file, member)));
    copy = strdup(text);
    copy[strlen(copy) - 2] ^= 1;
    assert_false(good_signature(signer, copy, text_of(file, member)));
    free(copy);
    X509_free(signer);
    json_t *document = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(document);
    assert_int_equal(time_parse(&issued, text_of(document, "issueDate"), "", NULL), 0);
    assert_int_equal(time_parse(&next, text_of(document, "nextUpdate"), "", NULL), 0);
    assert_true(issued < now && now < next);
    return document;
}

static void documents_are_signed_and_current_whenever_they_are_asked_for(void **state)
{
    (void)state;
    const int64_t times[] = {time(NULL), time(NULL) + 365 * 24 * 3600};
    for (int i = 0; i < 2; i++) {
        json_t *file = collateral_at(times[i]);
        assert_int_equal(json_object_size(file), 9);
        json_t *tcb = document_of(file, "tcb_info", times[i]),
               *qe = document_of(file, "qe_identity", times[i]);
        assert_string_equal(text_of(tcb, "id"), "TDX");
        assert_int_equal(json_integer_value(json_object_get(tcb, "version")), 3);
        assert_string_equal(text_of(tcb, "fmspc"), "E006C0F00000");
        assert_string_equal(text_of(tcb, "pceId"), "0000");
        assert_string_equal(text_of(qe, "id"), "TD_QE");
        assert_int_equal(json_integer_value(json_object_get(qe, "version")), 2);
        json_decref(tcb);
        json_decref(qe);
        json_decref(file);
    }
}

/* svn of a level's component. */
static json_int_t svn(const json_t *tcb, const char *list, size_t i)
{
    assert_int_equal(json_array_size(json_object_get(tcb, list)), 16);
    return json_integer_value(json_object_get(json_array_get(json_object_get(tcb, list), i), "svn"));
}

static void the_platform_is_at_the_first_tcb_level(void **state)
{
    (void)state;
    json_t *file = collateral_at(time(NULL));
    json_t *info = json_loads(text_of(file, "tcb_info"), 0, NULL);
    json_t *level = json_array_get(json_object_get(info, "tcbLevels"), 0),
           *tcb = json_object_get(level, "tcb");
    struct tdx_report report = {0};
    tdx_platform_seal_report(platform, &report);
    assert_string_equal(text_of(level, "tcbStatus"), "UpToDate");
    for (size_t i = 0; i < 16; i++) {
        assert_int_equal(svn(tcb, "sgxtcbcomponents", i), tdx_emulated_cpu_svn[i]);
        if (i > 1)
            assert_int_equal(svn(tcb, "tdxtcbcomponents", i), report.tcb.tee_tcb_svn[i]);
    }
    assert_int_equal(json_integer_value(json_object_get(tcb, "pcesvn")), TDX_EMULATED_PCE_SVN);
    json_t *module = json_array_get(json_object_get(info, "tdxModuleIdentities"), 0);
    char id[16];
    snprintf(id, sizeof id, "TDX_%02x", report.tcb.tee_tcb_svn[1]);
    assert_string_equal(text_of(module, "id"), id);
    level = json_array_get(json_object_get(module, "tcbLevels"), 0);
    assert_string_equal(text_of(level, "tcbStatus"), "UpToDate");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(level, "tcb"), "isvsvn")),
                     report.tcb.tee_tcb_svn[0]);
    json_decref(info);
    json_decref(file);
}

static X509_CRL *crl_of(const json_t *file, const char *name)
{
    struct bytes der = {0};
    assert_int_equal(hex_decode_some(&der, 65536, text_of(file, name), NULL), 0);
    const uint8_t *p = der.data;
    X509_CRL *crl = d2i_X509_CRL(NULL, &p, (long)der.len);
    assert_non_null(crl);
    assert_ptr_equal(p, der.data + der.len);
    bytes_free(&der);
    return crl;
}

static void revocation_lists_are_their_issuers_and_current(void **state)
{
    (void)state;
    const time_t now = time(NULL) + 100 * 24 * 3600;
    json_t *file = collateral_at(now);
    X509 *ca = first_cert(text_of(file, "pck_crl_issuer_chain"));
    struct bytes pem = {0};
    assert_int_equal(tdx_platform_root(platform, &pem, NULL), 0);
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    X509 *root = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    const struct {
        const char *name;
        X509 *issuer, *other;
    } lists[] = {{"pck_crl", ca, root}, {"root_ca_crl", root, ca}};
    for (int i = 0; i < 2; i++) {
        X509_CRL *crl = crl_of(file, lists[i].name);
        time_t at = now;
        assert_int_equal(X509_CRL_verify(crl, X509_get0_pubkey(lists[i].issuer)), 1);
        assert_int_equal(X509_CRL_verify(crl, X509_get0_pubkey(lists[i].other)), 0);
        assert_int_equal(X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(lists[i].issuer)), 0);
        assert_int_equal(X509_cmp_time(X509_CRL_get0_lastUpdate(crl), &at), -1);
        assert_int_equal(X509_cmp_time(X509_CRL_get0_nextUpdate(crl), &at), 1);
        assert_true(X509_CRL_get_ext_by_NID(crl, NID_crl_number, -1) >= 0);
        assert_true(X509_CRL_get_ext_by_NID(crl, NID_authority_key_identifier, -1) >= 0);
        assert_null(X509_CRL_get_REVOKED(crl));
        X509_CRL_free(crl);
    }
    X509_free(root);
    X509_free(ca);
    BIO_free(bio);
    bytes_free(&pem);
    json_decref(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents_are_signed_and_current_whenever_they_are_asked_for),
        cmocka_unit_test(the_platform_is_at_the_first_tcb_level),
        cmocka_unit_test(revocation_lists_are_their_issuers_and_current),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
