/* The collateral file: Intel's own is judged at the parse, and what is not as it should be is refused or remembered as bad. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/pem.h>

#include "tdx/collateral.h"
#include "tests/unit/attest/real_file.h"
#include "vmm/base/clean_openssl.h"
#include "vmm/base/json.h"

#define INSIDE 1750377600 /* 2025-06-20: inside every window of the real one */

static json_t *real; /* tdx/b-collateral.json; NULL: not there */

static int load(void **state)
{
    (void)state;
    CLEAN_BYTES file = {0};
    if (real_file(&file, "tdx/b-collateral.json"))
        assert_int_equal(json_read(&real, bytes_view(&file), COFRE_MALFORMED, NULL), 0);
    return 0;
}

static int unload(void **state)
{
    (void)state;
    json_decref(real);
    return 0;
}

static void need_real(void)
{
    if (!real) {
        print_message("# skipped: tdx/b-collateral.json is not there; COFRE_EVIDENCE names the folder\n");
        skip();
    }
}

static int parse(struct tdx_collateral *out, const json_t *object, struct cofre_err *err)
{
    char *text = json_dumps(object, 0);
    int rc = tdx_collateral_parse(out, (struct view){(const uint8_t *)text, strlen(text)}, err);
    free(text);
    return rc;
}

/* The real one with a member changed; NULL: left out. */
static int parse_with(struct tdx_collateral *out, const char *member, json_t *value, struct cofre_err *err)
{
    CLEAN_JSON *copy = json_copy(real);
    if (value)
        json_object_set_new(copy, member, value);
    else
        json_object_del(copy, member);
    return parse(out, copy, err);
}

static const char *text_of(const char *member)
{
    return json_string_value(json_object_get(real, member));
}

static json_t *replaced(const char *text, const char *was, const char *is)
{
    const char *at = strstr(text, was);
    assert_non_null(at);
    return json_sprintf("%.*s%s%s", (int)(at - text), text, is, at + strlen(was));
}

static void intels_own_is_good_in_every_part(void **state)
{
    (void)state;
    need_real();
    CLEAN_COLLATERAL c = {0};
    struct cofre_err err = {""};
    if (parse(&c, real, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(c.tcb_signed.chain_found.rc, 0);
    assert_int_equal(c.tcb_signed.signature_found.rc, 0);
    assert_int_equal(c.qe_signed.chain_found.rc, 0);
    assert_int_equal(c.qe_signed.signature_found.rc, 0);
    assert_int_equal(c.tcb.evaluation_number, 17);
    assert_int_equal(c.tcb.levels, 2);
    assert_int_equal(c.qe.isv_prod_id, 2);
    assert_ptr_equal(c.pck_crl.signer, c.pck_crl_issuers.cert[0]);
    assert_non_null(c.root_ca_crl.signer);
    X509 *root = c.tcb_signed.root;
    assert_int_equal(tdx_crl_check(&c.root_ca_crl, "root_ca_crl", root, c.tcb_signed.signer, INSIDE, &err),
                     0);
    assert_int_equal(
        tdx_crl_check(&c.root_ca_crl, "root_ca_crl", root, c.pck_crl_issuers.cert[0], INSIDE, &err), 0);
}

static void a_list_has_an_issuer_and_a_time(void **state)
{
    (void)state;
    need_real();
    CLEAN_COLLATERAL c = {0};
    struct cofre_err err = {""};
    assert_int_equal(parse(&c, real, &err), 0);
    X509 *root = c.tcb_signed.root, *signer = c.tcb_signed.signer;
    const struct tdx_crl none = {0};
    assert_int_equal(tdx_crl_check(&none, "root_ca_crl", root, signer, INSIDE, &err), -COFRE_LACKING);
    assert_int_equal(tdx_crl_check(&c.root_ca_crl, "root_ca_crl", root, signer, INSIDE + 400 * 86400, &err),
                     -COFRE_LACKING);
    assert_int_equal(tdx_crl_check(&c.root_ca_crl, "root_ca_crl", root, signer, INSIDE - 400 * 86400, &err),
                     -COFRE_LACKING);
    assert_int_equal(tdx_crl_check(&c.pck_crl, "pck_crl", root, signer, INSIDE, &err), -COFRE_NEGATIVE);
    assert_int_equal(tdx_crl_check(&c.root_ca_crl, "root_ca_crl", signer, signer, INSIDE, &err),
                     -COFRE_NEGATIVE);
    c.root_ca_crl.signer = NULL; /* what was not remembered is verified */
    assert_int_equal(tdx_crl_check(&c.root_ca_crl, "root_ca_crl", root, signer, INSIDE, &err), 0);
}

static void each_member_may_be_missing_and_is_named(void **state)
{
    (void)state;
    need_real();
    static const struct {
        const char *member;
        bool breaks_signature, breaks_chain;
    } cases[] = {{"tcb_info", true, false},
                 {"tcb_info_signature", true, false},
                 {"tcb_info_issuer_chain", true, true},
                 {"pck_crl", false, false},
                 {"root_ca_crl", false, false},
                 {"pck_crl_issuer_chain", false, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int null = 0; null < 2; null++) {
            CLEAN_COLLATERAL c = {0};
            assert_int_equal(parse_with(&c, cases[i].member, null ? json_null() : NULL, NULL), 0);
            assert_int_equal(c.tcb_signed.signature_found.rc, cases[i].breaks_signature ? -COFRE_LACKING : 0);
            assert_int_equal(c.tcb_signed.chain_found.rc, cases[i].breaks_chain ? -COFRE_LACKING : 0);
            if (cases[i].breaks_signature)
                assert_non_null(strstr(c.tcb_signed.signature_found.why.text, cases[i].member));
            assert_int_equal(c.qe_signed.signature_found.rc, 0);
        }
}

static void other_members_are_passed_over(void **state)
{
    (void)state;
    need_real();
    CLEAN_COLLATERAL c = {0};
    assert_int_equal(parse_with(&c, "version", json_integer(3), NULL), 0);
    assert_int_equal(c.tcb_signed.signature_found.rc, 0);
}

static void a_changed_byte_breaks_the_signature(void **state)
{
    (void)state;
    need_real();
    static const struct {
        const char *member, *was, *is;
    } cases[] = {
        {"tcb_info", "\"OutOfDate\"", "\"UpToDate\""},
        {"tcb_info", "\"pcesvn\":11", "\"pcesvn\":1"},
        {"tcb_info", "2025-07-19", "2026-07-19"},
        {"tcb_info", "\"version\":3", "\"version\": 3"}, /* the same to a JSON reader */
        {"tcb_info_signature", "027e", "037e"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CLEAN_COLLATERAL c = {0};
        json_t *changed = replaced(text_of(cases[i].member), cases[i].was, cases[i].is);
        assert_int_equal(parse_with(&c, cases[i].member, changed, NULL), 0);
        assert_int_equal(c.tcb_signed.signature_found.rc, -COFRE_NEGATIVE);
        assert_int_equal(c.tcb_signed.chain_found.rc, 0);
        assert_int_equal(c.qe_signed.signature_found.rc, 0);
    }
}

static void documents_do_not_stand_for_one_another(void **state)
{
    (void)state;
    need_real();
    CLEAN_COLLATERAL c = {0};
    assert_int_equal(parse_with(&c, "tcb_info", json_string(text_of("qe_identity")), NULL), -COFRE_MALFORMED);
    assert_int_equal(parse_with(&c, "qe_identity", json_string(text_of("tcb_info")), NULL), -COFRE_MALFORMED);
    assert_int_equal(
        parse_with(&c, "tcb_info_signature", json_string(text_of("qe_identity_signature")), NULL), 0);
    assert_int_equal(c.tcb_signed.signature_found.rc, -COFRE_NEGATIVE);
}

static void a_pck_ca_signs_no_collateral(void **state)
{
    (void)state;
    need_real();
    CLEAN_COLLATERAL c = {0};
    assert_int_equal(
        parse_with(&c, "tcb_info_issuer_chain", json_string(text_of("pck_crl_issuer_chain")), NULL), 0);
    assert_int_equal(c.tcb_signed.chain_found.rc, -COFRE_NEGATIVE);
    assert_int_equal(c.tcb_signed.signature_found.rc, -COFRE_NEGATIVE);
}

/* The real chain without its first certificate: the root, which signs itself. */
static void the_root_signs_no_collateral(void **state)
{
    (void)state;
    need_real();
    CLEAN_COLLATERAL c = {0};
    const char *second = strstr(text_of("tcb_info_issuer_chain") + 1, "-----BEGIN");
    assert_int_equal(parse_with(&c, "tcb_info_issuer_chain", json_string(second), NULL), 0);
    assert_int_equal(c.tcb_signed.chain_found.rc, -COFRE_NEGATIVE);
    assert_non_null(strstr(c.tcb_signed.chain_found.why.text, "TCB Signing"));
}

static void a_chain_without_its_root_is_not_judged(void **state)
{
    (void)state;
    need_real();
    CLEAN_COLLATERAL c = {0};
    const char *chain = text_of("tcb_info_issuer_chain"), *second = strstr(chain + 1, "-----BEGIN");
    assert_int_equal(
        parse_with(&c, "tcb_info_issuer_chain", json_stringn(chain, (size_t)(second - chain)), NULL), 0);
    assert_int_equal(c.tcb_signed.chain_found.rc, -COFRE_LACKING);
    assert_int_equal(c.tcb_signed.signature_found.rc, 0);
}

static void the_services_whole_answer_is_taken(void **state)
{
    (void)state;
    need_real();
    CLEAN_JSON *copy = json_copy(real);
    CLEAN_COLLATERAL c = {0}, other = {0};
    json_object_set_new(copy, "tcb_info",
                        json_sprintf("{\"tcbInfo\":%s,\"signature\":\"%s\"}\n", text_of("tcb_info"),
                                     text_of("tcb_info_signature")));
    json_object_set_new(copy, "qe_identity",
                        json_sprintf("{\"enclaveIdentity\":%s,\"signature\":\"%s\"}", text_of("qe_identity"),
                                     text_of("qe_identity_signature")));
    json_object_del(copy, "tcb_info_signature");
    assert_int_equal(parse(&c, copy, NULL), 0);
    assert_int_equal(c.tcb_signed.signature_found.rc, 0);
    assert_int_equal(c.qe_signed.signature_found.rc, 0);
    json_object_set_new(copy, "tcb_info_signature", json_string(text_of("qe_identity_signature")));
    assert_int_equal(parse(&other, copy, NULL), -COFRE_MALFORMED);
}

static void an_answer_is_one_object_and_its_signature(void **state)
{
    (void)state;
    uint8_t signature[64];
    struct view object;
    char answer[256];
    static const char zeros[] = "0000000000000000000000000000000000000000000000000000000000000000";
#define ANSWER(FORMAT)                                                                                       \
    (struct view){(const uint8_t *)answer, (size_t)snprintf(answer, sizeof answer, FORMAT, zeros, zeros)}
    assert_true(
        tdx_answer_split(ANSWER("{\"tcbInfo\":{},\"signature\":\"%s%s\"}"), "tcbInfo", &object, signature));
    assert_int_equal(object.len, 2);
    assert_false(tdx_answer_split(ANSWER("{\"tcbInfo\":{},\"signature\":\"%s%s\"}"), "enclaveIdentity",
                                  &object, signature));
    assert_false(
        tdx_answer_split(ANSWER("{\"tcbInfo\":{},\"signature\":\"%s%sff\"}"), "tcbInfo", &object, signature));
    assert_false(
        tdx_answer_split(ANSWER("{\"tcbInfo\":{},\"signaturE\":\"%s%s\"}"), "tcbInfo", &object, signature));
    assert_false(tdx_answer_split(ANSWER("{\"tcbInfo\":{},\"signature\":\"%s%.62s-1\"}"), "tcbInfo", &object,
                                  signature));
    assert_false(tdx_answer_split((struct view){(const uint8_t *)"{}", 2}, "tcbInfo", &object, signature));
    assert_false(tdx_answer_split((struct view){(const uint8_t *)"", 0}, "tcbInfo", &object, signature));
}

/* The second object of such a text was never signed as such: it must not be passed over. */
static void an_answer_with_a_member_between_is_refused(void **state)
{
    (void)state;
    need_real();
    CLEAN_COLLATERAL c = {0};
    json_t *text = json_sprintf("{\"tcbInfo\":%s,\"x\":{},\"signature\":\"%s\"}", text_of("tcb_info"),
                                text_of("tcb_info_signature"));
    assert_int_equal(parse_with(&c, "tcb_info", text, NULL), -COFRE_MALFORMED);
}

static void a_list_may_be_hex_base64_or_pem(void **state)
{
    (void)state;
    need_real();
    CLEAN_COLLATERAL hex = {0}, base64 = {0}, pem = {0};
    CLEAN_BYTES der = {0};
    CLEAN(bio) BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    assert_int_equal(parse(&hex, real, NULL), 0);
    assert_int_equal(hex_decode_some(&der, 1u << 20, text_of("pck_crl"), NULL), 0);
    assert_int_equal(base64_encode(&text, bytes_view(&der), NULL), 0);
    assert_int_equal(parse_with(&base64, "pck_crl", json_string(text), NULL), 0);
    free(text);
    assert_int_equal(PEM_write_bio_X509_CRL(bio, hex.pck_crl.crl), 1);
    size_t len = (size_t)BIO_get_mem_data(bio, &text);
    assert_int_equal(parse_with(&pem, "pck_crl", json_stringn(text, len), NULL), 0);
    assert_int_equal(X509_CRL_match(hex.pck_crl.crl, base64.pck_crl.crl), 0);
    assert_int_equal(X509_CRL_match(hex.pck_crl.crl, pem.pck_crl.crl), 0);
    assert_non_null(pem.pck_crl.signer);
}

static void what_is_malformed_is_named(void **state)
{
    (void)state;
    need_real();
    const struct {
        const char *member;
        json_t *value;
    } cases[] = {
        {"tcb_info", json_integer(1)},
        {"tcb_info", json_object()},
        {"tcb_info", json_string("")},
        {"tcb_info", json_string("{}")},
        {"tcb_info", json_string("[[[[[[[[[[[[[[[[[[[[[[[[[[[[")},
        {"qe_identity", json_string("{\"id\":\"TD_QE\"}")},
        {"tcb_info_signature", json_string("00")},
        {"tcb_info_signature", json_sprintf("%s00", text_of("tcb_info_signature"))},
        {"tcb_info_signature", json_sprintf("%.126szz", text_of("tcb_info_signature"))},
        {"tcb_info_issuer_chain", json_string("no certificate")},
        {"tcb_info_issuer_chain", json_sprintf("%.900s", text_of("tcb_info_issuer_chain"))},
        {"pck_crl", json_string(text_of("pck_crl_issuer_chain"))},
        {"pck_crl", json_sprintf("%s00", text_of("pck_crl"))},
        {"pck_crl", json_sprintf("%s%s", text_of("pck_crl"), text_of("root_ca_crl"))},
        {"pck_crl", json_sprintf("%.100s", text_of("pck_crl"))},
        {"root_ca_crl", json_string("not/base64===")},
        {"pck_certificate_chain", json_string("-----BEGIN CERTIFICATE-----\n")},
        {"pck_crl_issuer_chain", json_array()},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CLEAN_COLLATERAL c = {0};
        struct cofre_err err = {""};
        int rc = parse_with(&c, cases[i].member, cases[i].value, &err);
        bool named = strstr(err.text, cases[i].member) || strstr(err.text, "TCB info") ||
                     strstr(err.text, "QE identity");
        if (rc != -COFRE_MALFORMED || !named)
            fail_msg("case %zu: %d, %s", i, rc, err.text);
    }
}

static void what_is_no_collateral_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"",     "[]", "{", "null", "{\"pck_crl\":null,\"pck_crl\":null}",
                                        "{} {}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        CLEAN_COLLATERAL c = {0};
        struct view text = {(const uint8_t *)texts[i], strlen(texts[i])};
        assert_int_equal(tdx_collateral_parse(&c, text, NULL), -COFRE_MALFORMED);
        assert_int_equal(tdx_collateral_recognises(text), i == 4);
    }
    CLEAN_COLLATERAL empty = {0}, nested = {0};
    assert_int_equal(tdx_collateral_parse(&empty, (struct view){(const uint8_t *)"{}", 2}, NULL), 0);
    assert_int_equal(empty.tcb_signed.signature_found.rc, -COFRE_LACKING);
    static char deep[200];
    memset(deep, '[', sizeof deep);
    assert_int_equal(tdx_collateral_parse(&nested, (struct view){(const uint8_t *)deep, sizeof deep}, NULL),
                     -COFRE_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(intels_own_is_good_in_every_part),
        cmocka_unit_test(a_list_has_an_issuer_and_a_time),
        cmocka_unit_test(each_member_may_be_missing_and_is_named),
        cmocka_unit_test(other_members_are_passed_over),
        cmocka_unit_test(a_changed_byte_breaks_the_signature),
        cmocka_unit_test(documents_do_not_stand_for_one_another),
        cmocka_unit_test(a_pck_ca_signs_no_collateral),
        cmocka_unit_test(the_root_signs_no_collateral),
        cmocka_unit_test(a_chain_without_its_root_is_not_judged),
        cmocka_unit_test(the_services_whole_answer_is_taken),
        cmocka_unit_test(an_answer_is_one_object_and_its_signature),
        cmocka_unit_test(an_answer_with_a_member_between_is_refused),
        cmocka_unit_test(a_list_may_be_hex_base64_or_pem),
        cmocka_unit_test(what_is_malformed_is_named),
        cmocka_unit_test(what_is_no_collateral_is_refused),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
