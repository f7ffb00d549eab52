/*
 * 10^5 mutants of one piece of real evidence: no mutant passes that differs in a byte that something covers.
 *   test_mutations a|b|c
 * Every byte of the report and of the DER certificates is covered. Of PEM and JSON text what it decodes to is: where a
 * mutant of the text passes, its report and certificates are the original's, byte for byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/x509.h>

#include "sev/report.h"
#include "tests/unit/attest/mutate.h"
#include "tests/unit/attest/real.h"
#include "vmm/base/json.h"

#define IN_REPORT 36000
#define IN_VCEK   26000
#define IN_CHAIN  20000
#define IN_FILE   18000 /* the JSON evidence file, which holds report and certificate table */

static const struct real_case *chosen;
static struct bytes report, vcek, chain, file; /* report: raw */
static struct x509_certs leaf_cert, ca_certs; /* vcek and chain, parsed once: OpenSSL takes most time there */

/* True where it passed; a mutant that is refused as malformed did not. A view that is given stands for certificates
 * as a file has them, an empty one for the original's, parsed already. */
static bool passes(struct view evidence, struct view leaf, struct view cas)
{
    CLEAN_VERDICT v = {0};
    CLEAN_CERTS certs = {0};
    struct cofre_err err = {""};
    int rc = leaf.data ? x509_certs_add(&certs, leaf, &err) : x509_certs_join(&certs, &leaf_cert, &err);
    if (rc == 0)
        rc = cas.data ? x509_certs_add(&certs, cas, &err) : x509_certs_join(&certs, &ca_certs, &err);
    if (rc == 0)
        rc = real_appraise_with(&v, evidence, &certs, chosen->policy, REAL_NOW, &err);
    if (rc == 0)
        return verdict_outcome(&v) == CHECK_PASSED;
    assert_int_equal(rc, -COFRE_MALFORMED);
    assert_true(*err.text);
    return false;
}

static const struct view original;

static void need_evidence(void)
{
    if (report.len == 0) {
        print_message("# skipped: the evidence is not there; COFRE_EVIDENCE names the folder\n");
        skip();
    }
}

static void no_mutant_of_the_report_passes(void **state)
{
    (void)state;
    need_evidence();
    assert_true(passes(bytes_view(&report), bytes_view(&vcek), bytes_view(&chain)));
    assert_true(passes(bytes_view(&report), original, original));
    for (unsigned i = mutate_rounds(IN_REPORT); i-- > 0;) {
        CLEAN_BYTES mutant = {0};
        mutate_bytes(&mutant, bytes_view(&report));
        if (passes(bytes_view(&mutant), original, original))
            fail_msg("mutant %u of the report passes", i);
    }
}

static void no_mutant_of_the_vcek_passes(void **state)
{
    (void)state;
    need_evidence();
    for (unsigned i = mutate_rounds(IN_VCEK); i-- > 0;) {
        CLEAN_BYTES mutant = {0};
        mutate_bytes(&mutant, bytes_view(&vcek));
        if (passes(bytes_view(&report), bytes_view(&mutant), original))
            fail_msg("mutant %u of the VCEK passes", i);
    }
}

/* The same certificates, in whatever text. */
static bool same_certs(const struct x509_certs *a, const struct x509_certs *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (X509_cmp(a->cert[i], b->cert[i]) != 0)
            return false;
    return true;
}

static void no_mutant_of_the_chain_passes_but_as_other_text_of_the_same(void **state)
{
    (void)state;
    need_evidence();
    for (unsigned i = mutate_rounds(IN_CHAIN); i-- > 0;) {
        CLEAN_BYTES mutant = {0};
        CLEAN_CERTS certs = {0};
        mutate_bytes(&mutant, bytes_view(&chain));
        if (passes(bytes_view(&report), original, bytes_view(&mutant)) &&
            (x509_certs_add(&certs, bytes_view(&mutant), NULL) < 0 || !same_certs(&certs, &ca_certs)))
            fail_msg("mutant %u of the chain passes", i);
    }
}

/* With the VCEK that came with it. */
static bool passes_file(struct view evidence)
{
    CLEAN_VERDICT v = {0};
    struct cofre_err err = {""};
    int rc = real_appraise_with(&v, evidence, &ca_certs, chosen->policy, REAL_NOW, &err);
    assert_true(rc == 0 || (rc == -COFRE_MALFORMED && *err.text));
    return rc == 0 && verdict_outcome(&v) == CHECK_PASSED;
}

static void no_mutant_of_the_evidence_file_passes_but_as_other_text_of_the_same(void **state)
{
    (void)state;
    need_evidence();
    CLEAN_EVIDENCE whole = {0};
    assert_int_equal(evidence_parse(&whole, bytes_view(&file), NULL), 0);
    assert_true(passes_file(bytes_view(&file)));
    for (unsigned i = mutate_rounds(IN_FILE); i-- > 0;) {
        CLEAN_BYTES mutant = {0};
        CLEAN_EVIDENCE evidence = {0};
        mutate_bytes(&mutant, bytes_view(&file));
        if (passes_file(bytes_view(&mutant)) &&
            (evidence_parse(&evidence, bytes_view(&mutant), NULL) < 0 ||
             !view_equal(bytes_view(&evidence.report), bytes_view(&whole.report)) ||
             !view_equal(bytes_view(&evidence.certificates), bytes_view(&whole.certificates))))
            fail_msg("mutant %u of the evidence file passes", i);
    }
}

static void every_cut_and_single_byte_more_is_refused(void **state)
{
    (void)state;
    need_evidence();
    for (size_t len = 0; len < report.len; len++)
        assert_false(passes((struct view){report.data, len}, original, original));
    for (size_t len = 1; len < vcek.len; len++)
        assert_false(passes(bytes_view(&report), (struct view){vcek.data, len}, original));
    for (size_t len = 1; len + 1 < chain.len; len += 3) /* the last byte is a newline */
        assert_false(passes(bytes_view(&report), original, (struct view){chain.data, len}));
}

static void swapped_certificates_do_not_pass(void **state)
{
    (void)state;
    need_evidence();
    static const char *const leaves[] = {"snp/a-vcek.der", "snp/b-vcek.der", "snp/c-vcek-milan.der",
                                         "negative/b-vcek-invalid-legacy.der",
                                         "negative/b-vcek-invalid-new.der"};
    static const char *const cas[] = {"roots/amd-genoa-ask-ark.pem", "roots/amd-genoa-asvk-ark.pem",
                                      "roots/amd-turin-ask-ark.pem", "roots/amd-turin-asvk-ark.pem",
                                      "roots/amd-milan-asvk-ark.pem"};
    for (size_t i = 0; i < sizeof leaves / sizeof *leaves; i++) {
        CLEAN_BYTES other = {0};
        NEED_REAL(&other, leaves[i]);
        bool same = view_equal(bytes_view(&other), bytes_view(&vcek));
        assert_int_equal(passes(bytes_view(&report), bytes_view(&other), original), same);
    }
    for (size_t i = 0; i < sizeof cas / sizeof *cas; i++) {
        CLEAN_BYTES other = {0};
        NEED_REAL(&other, cas[i]);
        assert_false(passes(bytes_view(&report), original, bytes_view(&other)));
    }
}

static int load(void **state)
{
    (void)state;
    CLEAN_BYTES as_found = {0}, table = {0};
    CLEAN_EVIDENCE evidence = {0}, whole = {.tee = "snp"};
    if (!real_file(&as_found, chosen->report) || !real_file(&vcek, chosen->vcek) ||
        !real_file(&chain, chosen->chain))
        return 0;
    assert_int_equal(evidence_parse(&evidence, bytes_view(&as_found), NULL), 0);
    assert_int_equal(bytes_copy(&report, bytes_view(&evidence.report), NULL), 0);
    assert_int_equal(x509_certs_add(&leaf_cert, bytes_view(&vcek), NULL), 0);
    assert_int_equal(x509_certs_add(&ca_certs, bytes_view(&chain), NULL), 0);
    struct snp_cert_entry entry = {.kind = SNP_CERT_VCEK, .data = bytes_view(&vcek)};
    assert_int_equal(snp_cert_table_build(&table, &entry, 1, NULL), 0);
    assert_int_equal(bytes_copy(&whole.report, bytes_view(&report), NULL), 0);
    assert_int_equal(bytes_copy(&whole.certificates, bytes_view(&table), NULL), 0);
    return evidence_write(&file, &whole, NULL);
}

static int unload(void **state)
{
    (void)state;
    bytes_free(&report);
    bytes_free(&vcek);
    bytes_free(&chain);
    bytes_free(&file);
    x509_certs_free(&leaf_cert);
    x509_certs_free(&ca_certs);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_mutant_of_the_report_passes),
        cmocka_unit_test(no_mutant_of_the_vcek_passes),
        cmocka_unit_test(no_mutant_of_the_chain_passes_but_as_other_text_of_the_same),
        cmocka_unit_test(no_mutant_of_the_evidence_file_passes_but_as_other_text_of_the_same),
        cmocka_unit_test(every_cut_and_single_byte_more_is_refused),
        cmocka_unit_test(swapped_certificates_do_not_pass),
    };
    for (size_t i = 0; argc == 2 && i < 3; i++)
        if (strcmp(argv[1], real_cases[i].name) == 0)
            chosen = &real_cases[i];
    return chosen ? cmocka_run_group_tests(tests, load, unload) : 2;
}
