/*
 * 10^5 mutants of real collateral: none passes that differs in a byte that something covers. Those of the file are
 * appraised with the real quote; the bulk goes to what judges the part. Covered are both documents, their signatures and chains, and both revocation lists, whatever text they are
 * written in. The chain of the PCK list's issuer is not: the quote brings that certificate itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/x509.h>

#include "attest/appraise.h"
#include "tdx/collateral.h"
#include "tests/unit/attest/mutate.h"
#include "tests/unit/attest/real_file.h"
#include "vmm/base/json.h"

#define AT 1750377600 /* 2025-06-20 */

#define IN_FILE      3000
#define IN_MEMBERS   3000
#define IN_DOCUMENTS 74000
#define IN_LISTS     20000

static struct bytes file, quote;
static json_t *members;
static struct tdx_collateral original;
static struct policy policy; /* the defaults */

static bool have_same_certs(const struct x509_certs *a, const struct x509_certs *b)
{
    for (size_t i = 0; a->count == b->count && i < a->count; i++)
        if (X509_cmp(a->cert[i], b->cert[i]) != 0)
            return false;
    return a->count == b->count;
}

static bool are_same_documents(const struct tdx_signed *a, const struct tdx_signed *b)
{
    return view_equal(bytes_view(&a->text), bytes_view(&b->text)) &&
           memcmp(a->signature, b->signature, sizeof a->signature) == 0 &&
           have_same_certs(&a->issuers, &b->issuers);
}

static bool is_same(const struct tdx_collateral *c)
{
    return are_same_documents(&c->tcb_signed, &original.tcb_signed) &&
           are_same_documents(&c->qe_signed, &original.qe_signed) &&
           X509_CRL_match(c->pck_crl.crl, original.pck_crl.crl) == 0 &&
           X509_CRL_match(c->root_ca_crl.crl, original.root_ca_crl.crl) == 0;
}

/* True where it passed; a mutant that is refused as malformed did not. */
static bool passes(struct view text, bool *same)
{
    CLEAN_COLLATERAL c = {0};
    CLEAN_VERDICT v = {0};
    struct cofre_err err = {""};
    struct evidence evidence = {.tee = "tdx", .report = quote};
    *same = false;
    int rc = tdx_collateral_parse(&c, text, &err);
    if (rc < 0) {
        assert_int_equal(rc, -COFRE_MALFORMED);
        assert_true(*err.text);
        return false;
    }
    struct appraisal in = {.evidence = &evidence, .policy = &policy, .collateral = &c, .at = AT};
    assert_int_equal(appraise(&v, &in, &err), 0);
    bool passed = verdict_outcome(&v) == CHECK_PASSED;
    *same = passed && is_same(&c);
    return passed;
}

static void need_real(void)
{
    if (!members) {
        print_message("# skipped: the evidence is not there; COFRE_EVIDENCE names the folder\n");
        skip();
    }
}

static void no_mutant_of_the_file_passes_but_as_other_text_of_the_same(void **state)
{
    (void)state;
    need_real();
    bool same;
    assert_true(passes(bytes_view(&file), &same) && same);
    for (unsigned i = mutate_rounds(IN_FILE); i-- > 0;) {
        CLEAN_BYTES mutant = {0};
        mutate_text(&mutant, bytes_view(&file));
        if (passes(bytes_view(&mutant), &same) && !same)
            fail_msg("mutant %u of the file passes", i);
    }
}

/* The same where the file is well formed, and a member's text is not the original. */
static void no_mutant_of_a_member_passes_but_as_other_text_of_the_same(void **state)
{
    (void)state;
    need_real();
    static const char *const covered[] = {
        "tcb_info",    "qe_identity",           "tcb_info_signature",    "pck_crl",
        "root_ca_crl", "qe_identity_signature", "tcb_info_issuer_chain", "qe_identity_issuer_chain"};
    for (unsigned i = mutate_rounds(IN_MEMBERS); i-- > 0;) {
        CLEAN_BYTES mutant = {0};
        CLEAN_JSON *changed = json_copy(members);
        const char *name = covered[i % (sizeof covered / sizeof *covered)];
        json_t *was = json_object_get(members, name);
        mutate_text(&mutant, (struct view){(const uint8_t *)json_string_value(was), json_string_length(was)});
        assert_int_equal(
            json_object_set_new(changed, name, json_stringn((const char *)mutant.data, mutant.len)), 0);
        char *text = json_dumps(changed, 0);
        bool same;
        if (passes((struct view){(const uint8_t *)text, strlen(text)}, &same) && !same)
            fail_msg("mutant %u, of %s, passes", i, name);
        free(text);
    }
}

/* The bulk, at the place where it is decided: decoding certificates takes most time above. */
static bool is_taken(const struct tdx_signed *by, int (*parse)(struct view), struct view text,
                     const uint8_t *signature)
{
    return parse(text) == 0 &&
           ecdsa_verify(&ecdsa_p256, signature, X509_get0_pubkey(by->signer), text, NULL) == 0;
}

static int parse_tcb_info(struct view text)
{
    struct tdx_tcb_info info;
    int rc = tdx_tcb_info_parse(&info, text, NULL);
    if (rc == 0)
        tdx_tcb_info_free(&info);
    return rc;
}

static int parse_qe_identity(struct view text)
{
    struct tdx_qe_identity qe;
    int rc = tdx_qe_identity_parse(&qe, text, NULL);
    if (rc == 0)
        tdx_qe_identity_free(&qe);
    return rc;
}

static void no_mutant_of_a_document_is_taken(void **state)
{
    (void)state;
    need_real();
    const struct {
        const struct tdx_signed *is;
        int (*parse)(struct view);
    } documents[] = {{&original.tcb_signed, parse_tcb_info}, {&original.qe_signed, parse_qe_identity}};
    for (unsigned i = mutate_rounds(IN_DOCUMENTS); i-- > 0;) {
        const struct tdx_signed *is = documents[i % 2].is;
        CLEAN_BYTES mutant = {0};
        uint8_t signature[64];
        memcpy(signature, is->signature, sizeof signature);
        assert_true(i > 2 || is_taken(is, documents[i % 2].parse, bytes_view(&is->text), signature));
        if (i % 10 < 2) {
            signature[mutate_any(64)] ^= (uint8_t)(1u << mutate_any(8));
            assert_false(is_taken(is, documents[i % 2].parse, bytes_view(&is->text), signature));
            continue;
        }
        mutate_text(&mutant, bytes_view(&is->text));
        assert_false(is_taken(is, documents[i % 2].parse, bytes_view(&mutant), signature));
    }
}

static void no_mutant_of_a_list_is_taken(void **state)
{
    (void)state;
    need_real();
    const struct tdx_crl *lists[] = {&original.pck_crl, &original.root_ca_crl};
    for (unsigned i = mutate_rounds(IN_LISTS); i-- > 0;) {
        uint8_t *der = NULL;
        CLEAN_BYTES mutant = {0};
        CLEAN_CRLS crls = {0};
        const struct tdx_crl *list = lists[i % 2];
        int len = i2d_X509_CRL(list->crl, &der);
        mutate_text(&mutant, (struct view){der, (size_t)len});
        OPENSSL_free(der);
        if (x509_crls_add(&crls, bytes_view(&mutant), NULL) < 0)
            continue;
        const struct tdx_crl is = {.crl = crls.crl[0]};
        assert_int_equal(tdx_crl_check(&is, "the mutant", list->signer, original.tcb_signed.signer, AT, NULL),
                         -COFRE_NEGATIVE);
    }
}

static int load(void **state)
{
    (void)state;
    policy_init(&policy);
    if (!real_file(&file, "tdx/b-collateral.json") || !real_file(&quote, "tdx/b-quote.dat"))
        return 0;
    assert_int_equal(json_read(&members, bytes_view(&file), COFRE_MALFORMED, NULL), 0);
    return tdx_collateral_parse(&original, bytes_view(&file), NULL);
}

static int unload(void **state)
{
    (void)state;
    json_decref(members);
    tdx_collateral_free(&original);
    bytes_free(&file);
    bytes_free(&quote);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_mutant_of_the_file_passes_but_as_other_text_of_the_same),
        cmocka_unit_test(no_mutant_of_a_member_passes_but_as_other_text_of_the_same),
        cmocka_unit_test(no_mutant_of_a_document_is_taken),
        cmocka_unit_test(no_mutant_of_a_list_is_taken),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
