/*
 * 10^5 mutants of real quotes, a quarter of them of each: none passes that differs in a byte that something covers.
 *   test_mutations_tdx a|b|c|v5
 * b has its collateral; what a mutant of the others must not keep is the good outcome of every check that needs none.
 * Covered is every byte of a quote up to its certificates; of those, what their PEM decodes to; of the file's JSON, the same.
 *
 * Certificates are parsed once, and so are not in most of the mutated quotes: their certification data are of a type that
 * leaves them to the verifier, which nothing in a quote signs.
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
#include "tdx/quote.h"
#include "tests/unit/attest/mutate.h"
#include "tests/unit/attest/real_file.h"

#define IN_QUOTE 22000
#define IN_CHAIN 1800
#define IN_FILE  1200 /* the JSON evidence file */

static const struct {
    const char *name, *quote, *collateral, *policy;
    int64_t at;
} cases[] = {
    {"a", "tdx/a-ccel-cos-113-tdx-quote.dat", NULL, "{}", 1748736000},   /* 2025-06-01 */
    {"b", "tdx/b-quote.dat", "tdx/b-collateral.json", "{}", 1750377600}, /* 2025-06-20 */
    {"c", "tdx/c-quote-v4.dat", NULL, "{\"tdx\": {\"td_attributes\": {\"debug\": \"any\"}}}", 1717200000},
    {"v5", "tdx/a-quote_v5_sample.dat", NULL, "{}", 1780272000}, /* 2026-06-01 */
};
#define CASES (sizeof cases / sizeof *cases)
static size_t chosen;

static struct bytes whole; /* as it is found */
static struct bytes bare;  /* without certificates, and without what is behind its end */
static struct bytes file;
static struct tdx_quote parts; /* of whole */
static struct x509_certs certs;
static struct tdx_collateral collateral;
static struct policy policy;

/* The checks that were good; 0 where one failed, or where it is malformed. */
static size_t count_good(struct view quote, const struct x509_certs *brought)
{
    CLEAN_VERDICT v = {0};
    CLEAN_EVIDENCE evidence = {0};
    struct cofre_err err = {""};
    size_t good = 0;
    int rc = evidence_parse(&evidence, quote, &err);
    struct appraisal in = {.evidence = &evidence,
                           .policy = &policy,
                           .certs = brought,
                           .collateral = cases[chosen].collateral ? &collateral : NULL,
                           .at = cases[chosen].at};
    if (rc == 0)
        rc = appraise(&v, &in, &err);
    assert_true(rc == 0 || (rc == -COFRE_MALFORMED && *err.text));
    for (size_t i = 0; i < v.count; i++)
        good += v.check[i].outcome == CHECK_PASSED;
    return rc == 0 && verdict_outcome(&v) != CHECK_FAILED ? good : 0;
}

/* Everything is as good as with the original. */
static bool passes(struct view quote, const struct x509_certs *brought)
{
    static size_t all;
    if (all == 0)
        all = count_good(bytes_view(&whole), NULL);
    return count_good(quote, brought) == all;
}

static void need_evidence(void)
{
    if (whole.len == 0) {
        print_message("# skipped: the evidence is not there; COFRE_EVIDENCE names the folder\n");
        skip();
    }
}

/* Nobody signs what the certification data's type says, while the certificates come from elsewhere; nor how many zeros pad. */
static bool differs_where_nothing_covers(struct view mutant)
{
    struct tdx_quote m, original;
    if (tdx_quote_parse(&m, mutant, NULL) < 0 || tdx_quote_parse(&original, bytes_view(&bare), NULL) < 0)
        return false;
    return bytes_are_zero(m.trailing.data, m.trailing.len) &&
           view_equal(m.signed_bytes, original.signed_bytes) &&
           memcmp(m.signature, original.signature, sizeof *m.signature) == 0 &&
           memcmp(m.qe, original.qe, sizeof *m.qe) == 0 &&
           view_equal(m.qe_auth_data, original.qe_auth_data) && m.certification.len == 0;
}

static void no_mutant_of_the_quote_passes(void **state)
{
    (void)state;
    need_evidence();
    unsigned harmless = 0;
    assert_true(count_good(bytes_view(&whole), NULL) >= 18);
    assert_true(passes(bytes_view(&bare), &certs));
    for (unsigned i = mutate_rounds(IN_QUOTE); i-- > 0;) {
        CLEAN_BYTES mutant = {0};
        mutate_bytes(&mutant, bytes_view(&bare));
        if (!passes(bytes_view(&mutant), &certs))
            continue;
        if (!differs_where_nothing_covers(bytes_view(&mutant)))
            fail_msg("mutant %u of the quote passes", i);
        harmless++;
    }
    print_message("# %u mutants differ in the certification data's type alone, and pass\n", harmless);
    assert_true(harmless < mutate_rounds(IN_QUOTE) / 100);
}

static bool same_certs(const struct x509_certs *a, const struct x509_certs *b)
{
    for (size_t i = 0; a->count == b->count && i < a->count; i++)
        if (X509_cmp(a->cert[i], b->cert[i]) != 0)
            return false;
    return a->count == b->count;
}

/* The certificates of a quote, without the zero at their end. */
static bool has_the_same_certs(struct view quote)
{
    struct tdx_quote m;
    CLEAN_CERTS found = {0};
    if (tdx_quote_parse(&m, quote, NULL) < 0)
        return false;
    struct view text = m.certification;
    while (text.len && text.data[text.len - 1] == 0)
        text.len--;
    return x509_certs_add(&found, text, NULL) == 0 && same_certs(&found, &certs);
}

static void no_mutant_of_the_chain_passes_but_as_other_text_of_the_same(void **state)
{
    (void)state;
    need_evidence();
    size_t at = (size_t)(parts.certification.data - whole.data);
    for (unsigned i = mutate_rounds(IN_CHAIN); i-- > 0;) {
        CLEAN_BYTES text = {0}, mutant = {0};
        mutate_text(&text, parts.certification);
        assert_int_equal(bytes_copy(&mutant, bytes_view(&whole), NULL), 0);
        /* Its length stays: a longer or shorter one does not fit the quote's lengths, as the test above has it. */
        size_t len = text.len < parts.certification.len ? text.len : parts.certification.len;
        memcpy(mutant.data + at, text.data, len);
        if (passes(bytes_view(&mutant), NULL) && !has_the_same_certs(bytes_view(&mutant)))
            fail_msg("mutant %u of the chain passes", i);
    }
}

static void no_mutant_of_the_evidence_file_passes_but_as_other_text_of_the_same(void **state)
{
    (void)state;
    need_evidence();
    assert_true(passes(bytes_view(&file), &certs));
    for (unsigned i = mutate_rounds(IN_FILE); i-- > 0;) {
        CLEAN_BYTES mutant = {0};
        CLEAN_EVIDENCE evidence = {0};
        mutate_text(&mutant, bytes_view(&file));
        if (passes(bytes_view(&mutant), &certs) &&
            (evidence_parse(&evidence, bytes_view(&mutant), NULL) < 0 ||
             (!view_equal(bytes_view(&evidence.report), bytes_view(&bare)) &&
              !differs_where_nothing_covers(bytes_view(&evidence.report)))))
            fail_msg("mutant %u of the evidence file passes", i);
    }
}

static void every_cut_is_refused(void **state)
{
    (void)state;
    need_evidence();
    size_t end = whole.len - parts.trailing.len;
    for (size_t len = 0; len < bare.len; len++)
        assert_false(passes((struct view){bare.data, len}, &certs));
    for (size_t len = bare.len; len < end; len += 7)
        assert_false(passes((struct view){whole.data, len}, NULL));
}

/* The quote with certification data of type 1 and no bytes: the lengths around them change, which nothing signs either. */
static void make_bare(void)
{
    struct tdx_quote made;
    size_t at = (size_t)(parts.certification.data - whole.data), cut = parts.certification.len;
    size_t section = (size_t)((const uint8_t *)parts.signature - whole.data) - 4;
    size_t outer = section + 4 + sizeof *parts.signature + 2;
    assert_int_equal(bytes_copy(&bare, (struct view){whole.data, at}, NULL), 0);
    put_le32(bare.data + section, le32(bare.data + section) - (uint32_t)cut);
    put_le32(bare.data + outer, le32(bare.data + outer) - (uint32_t)cut);
    put_le16(bare.data + at - 6, TDX_CERTIFICATION_PPID);
    put_le32(bare.data + at - 4, 0);
    assert_int_equal(tdx_quote_parse(&made, bytes_view(&bare), NULL), 0);
}

static int load(void **state)
{
    (void)state;
    CLEAN_BYTES text = {0};
    CLEAN_EVIDENCE evidence = {.tee = "tdx"};
    struct view rules = {(const uint8_t *)cases[chosen].policy, strlen(cases[chosen].policy)};
    assert_int_equal(policy_parse(&policy, rules, NULL), 0);
    if (!real_file(&whole, cases[chosen].quote) ||
        (cases[chosen].collateral && !real_file(&text, cases[chosen].collateral)))
        return 0;
    assert_int_equal(tdx_quote_parse(&parts, bytes_view(&whole), NULL), 0);
    struct view pem = parts.certification;
    pem.len -= pem.data[pem.len - 1] == 0;
    assert_int_equal(x509_certs_add(&certs, pem, NULL), 0);
    if (text.len)
        assert_int_equal(tdx_collateral_parse(&collateral, bytes_view(&text), NULL), 0);
    make_bare();
    assert_int_equal(bytes_copy(&evidence.report, bytes_view(&bare), NULL), 0);
    return evidence_write(&file, &evidence, NULL);
}

static int unload(void **state)
{
    (void)state;
    bytes_free(&whole);
    bytes_free(&bare);
    bytes_free(&file);
    x509_certs_free(&certs);
    tdx_collateral_free(&collateral);
    policy_free(&policy);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_mutant_of_the_quote_passes),
        cmocka_unit_test(no_mutant_of_the_chain_passes_but_as_other_text_of_the_same),
        cmocka_unit_test(no_mutant_of_the_evidence_file_passes_but_as_other_text_of_the_same),
        cmocka_unit_test(every_cut_is_refused),
    };
    while (chosen < CASES && (argc != 2 || strcmp(argv[1], cases[chosen].name) != 0))
        chosen++;
    return chosen < CASES ? cmocka_run_group_tests(tests, load, unload) : 2;
}
