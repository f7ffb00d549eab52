/* The emulated platform's quotes before the verifier: they pass with their root and collateral, and with nothing less. */
#include <string.h>
#include <time.h>

#include "attest/appraise.h"
#include "fixture.h"
#include "tdx/collateral.h"
#include "tdx/quote.h"

#define NONCE_SIZE 64
#define NONCE_FILL 0xa7

static struct tdx_platform *v4, *v5;
static struct tdx_td *td;

static int set_up(void **state)
{
    (void)state;
    v4 = open_platform(4);
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

/* What a verifier has: a quote, its collateral, a root, the time. */
struct bench {
    struct evidence evidence;
    struct tdx_collateral collateral;
    struct x509_certs roots;
    int64_t at;
};

static void quote_into(struct bench *b, const struct tdx_platform *platform, const struct tdx_td *guest)
{
    struct tdx_report report = report_of((struct tdx_td *)guest, NONCE_FILL);
    b->evidence = (struct evidence){.tee = "tdx"};
    assert_int_equal(tdx_platform_quote(platform, &report, &b->evidence.report, NULL), 0);
}

static void collateral_into(struct bench *b, const struct tdx_platform *platform, int64_t at)
{
    CLEAN_BYTES file = {0};
    struct cofre_err err;
    assert_int_equal(tdx_platform_collateral(platform, at, &file, &err), 0);
    if (tdx_collateral_parse(&b->collateral, bytes_view(&file), &err) < 0)
        fail_msg("%s", err.text);
}

static void root_into(struct bench *b, const struct tdx_platform *platform)
{
    CLEAN_BYTES pem = {0};
    assert_int_equal(tdx_platform_root(platform, &pem, NULL), 0);
    assert_int_equal(x509_certs_add(&b->roots, bytes_view(&pem), NULL), 0);
}

static struct bench bench_of(const struct tdx_platform *platform)
{
    struct bench b = {.at = time(NULL)};
    quote_into(&b, platform, td);
    collateral_into(&b, platform, b.at);
    root_into(&b, platform);
    return b;
}

static void clean(struct bench *b)
{
    evidence_free(&b->evidence);
    tdx_collateral_free(&b->collateral);
    x509_certs_free(&b->roots);
}

static int try_to_appraise(struct verdict *v, const struct bench *b, struct cofre_err *err)
{
    CLEAN_POLICY policy;
    uint8_t nonce[NONCE_SIZE];
    memset(nonce, NONCE_FILL, sizeof nonce);
    policy_init(&policy);
    struct appraisal in = {.evidence = &b->evidence,
                           .policy = &policy,
                           .collateral = &b->collateral,
                           .roots = &b->roots,
                           .nonce = {nonce, sizeof nonce},
                           .at = b->at};
    return appraise(v, &in, err);
}

static void appraise_bench(struct verdict *v, const struct bench *b)
{
    struct cofre_err err = {""};
    if (try_to_appraise(v, b, &err) < 0)
        fail_msg("%s", err.text);
}

static void ends(const struct bench *b, enum check_outcome outcome)
{
    CLEAN_VERDICT v = {0};
    appraise_bench(&v, b);
    if (verdict_outcome(&v) == outcome)
        return;
    for (size_t i = 0; i < v.count; i++)
        if (v.check[i].outcome == CHECK_FAILED || v.check[i].outcome == CHECK_UNJUDGED)
            print_message("# %s: %s\n", v.check[i].id, v.check[i].why);
    fail();
}

/* That check, and its outcome. */
static void judged(const struct bench *b, const char *id, enum check_outcome outcome)
{
    CLEAN_VERDICT v = {0};
    appraise_bench(&v, b);
    const struct check_result *result = verdict_check(&v, id);
    assert_non_null(result);
    if (result->outcome != outcome)
        fail_msg("%s: %s", id, result->why);
    assert_int_not_equal(verdict_outcome(&v), CHECK_PASSED);
}

static void quotes_of_both_versions_pass_with_their_root_and_collateral(void **state)
{
    (void)state;
    const struct tdx_platform *const platforms[] = {v4, v5};
    for (unsigned i = 0; i < 2; i++) {
        struct bench b = bench_of(platforms[i]);
        CLEAN_VERDICT v = {0};
        ends(&b, CHECK_PASSED);
        appraise_bench(&v, &b);
        assert_int_equal(v.version, 4 + i);
        assert_true(v.emulated);
        assert_string_equal(v.root, "--trust-root");
        assert_string_equal(v.tcb_status, "UpToDate");
        assert_int_equal(json_array_size(v.advisories), 0);
        clean(&b);
    }
}

static void without_its_root_nothing_passes(void **state)
{
    (void)state;
    struct tdx_platform *other = NULL;
    char dir[4096];
    struct bench b = bench_of(v4);
    x509_certs_free(&b.roots);
    b.roots = (struct x509_certs){0};
    judged(&b, "tdx.root", CHECK_FAILED);
    new_dir(dir);
    assert_int_equal(tdx_platform_open(&other, dir, NULL, NULL), 0);
    root_into(&b, other); /* another emulated platform's */
    judged(&b, "tdx.root", CHECK_FAILED);
    /* and another platform's collateral says nothing of this one, even where its root is trusted too */
    root_into(&b, v4);
    ends(&b, CHECK_PASSED);
    tdx_collateral_free(&b.collateral);
    collateral_into(&b, other, b.at);
    judged(&b, "tdx.revocation.pck", CHECK_FAILED);
    tdx_platform_close(other);
    remove_dir(dir);
    clean(&b);
}

static void collateral_is_good_for_its_time_only(void **state)
{
    (void)state;
    struct bench b = bench_of(v4);
    b.at += 31 * 24 * 3600;
    ends(&b, CHECK_UNJUDGED);
    judged(&b, "tdx.tcb_info_window", CHECK_UNJUDGED);
    tdx_collateral_free(&b.collateral);
    collateral_into(&b, v4, b.at);
    ends(&b, CHECK_PASSED);
    clean(&b);
}

/* Where the PCK certificate's body ends, the last that only the quote has: the CA and the root come with the collateral
 * too. What nobody signs is the gap: the type and size of that data, and the line before the body. */
static size_t covered_end(const struct bytes *quote, size_t *gap, size_t *gap_end)
{
    static const char begin[] = "-----BEGIN CERTIFICATE-----\n", end[] = "-----END";
    const uint8_t *first = memmem(quote->data, quote->len, begin, sizeof begin - 1);
    assert_non_null(first);
    *gap = (size_t)(first - quote->data) - sizeof(struct tdx_certification_head);
    *gap_end = (size_t)(first - quote->data) + sizeof begin - 1;
    const uint8_t *last = memmem(first, quote->len - *gap_end, end, sizeof end - 1);
    assert_non_null(last);
    return (size_t)(last - quote->data);
}

static void a_quote_with_a_changed_byte_fails(void **state)
{
    (void)state;
    const struct tdx_platform *const platforms[] = {v4, v5};
    for (int i = 0; i < 2; i++) {
        struct bench b = bench_of(platforms[i]);
        size_t gap, gap_end, end = covered_end(&b.evidence.report, &gap, &gap_end);
        for (size_t at = 0; at < end; at += 5) {
            CLEAN_VERDICT v = {0};
            struct cofre_err err;
            if (at >= gap && at < gap_end)
                continue;
            b.evidence.report.data[at] ^= 0x01;
            if (try_to_appraise(&v, &b, &err) == 0 && verdict_outcome(&v) == CHECK_PASSED)
                fail_msg("version %d: byte %zu may change", 4 + i, at);
            b.evidence.report.data[at] ^= 0x01;
        }
        ends(&b, CHECK_PASSED);
        clean(&b);
    }
}

/* A TD that its owner would not want, honestly quoted. */
static void a_debug_td_fails_by_default(void **state)
{
    (void)state;
    struct tdx_td *debug = td_in(CREATED, v4);
    struct tdx_td_params params = good_params();
    unsigned index;
    params.attributes |= TDX_ATTR_DEBUG;
    assert_int_equal(tdh_mng_init(debug, &params), TDX_SUCCESS);
    assert_int_equal(tdh_vp_init(debug, &index), TDX_SUCCESS);
    assert_int_equal(tdh_mr_finalize(debug), TDX_SUCCESS);
    struct bench b = bench_of(v4);
    evidence_free(&b.evidence);
    quote_into(&b, v4, debug);
    judged(&b, "tdx.td_attributes.debug", CHECK_FAILED);
    tdx_td_free(debug);
    clean(&b);
}

/* One digit or letter of what is signed, or signs, is another one. Chains are not tried: the quote has them too. */
static void changed_collateral_does_not_pass(void **state)
{
    (void)state;
    static const char *const members[] = {"\"tcb_info\": \"",    "\"tcb_info_signature\": \"",
                                          "\"qe_identity\": \"", "\"qe_identity_signature\": \"",
                                          "\"pck_crl\": \"",     "\"root_ca_crl\": \""};
    CLEAN_BYTES file = {0};
    struct bench b = bench_of(v4);
    assert_int_equal(tdx_platform_collateral(v4, b.at, &file, NULL), 0);
    tdx_collateral_free(&b.collateral);
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        uint8_t *from = memmem(file.data, file.len, members[i], strlen(members[i]));
        assert_non_null(from);
        from += strlen(members[i]);
        const uint8_t *end = memmem(from, file.len - (size_t)(from - file.data), "\",\n", 3);
        if (!end)
            end = file.data + file.len - 4; /* the last member */
        unsigned tried = 0;
        for (uint8_t *c = from; c < end; c += 7) {
            struct cofre_err err;
            uint8_t kept = *c;
            if (!((*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'f')))
                continue;
            *c = *c == '1' ? '2' : '1';
            b.collateral = (struct tdx_collateral){0};
            if (tdx_collateral_parse(&b.collateral, bytes_view(&file), &err) == 0) {
                CLEAN_VERDICT v = {0};
                appraise_bench(&v, &b);
                if (verdict_outcome(&v) == CHECK_PASSED)
                    fail_msg("%s at %td may change", members[i], c - from);
                tdx_collateral_free(&b.collateral);
            }
            *c = kept;
            tried++;
        }
        assert_true(tried > 10);
    }
    b.collateral = (struct tdx_collateral){0};
    clean(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quotes_of_both_versions_pass_with_their_root_and_collateral),
        cmocka_unit_test(without_its_root_nothing_passes),
        cmocka_unit_test(collateral_is_good_for_its_time_only),
        cmocka_unit_test(a_quote_with_a_changed_byte_fails),
        cmocka_unit_test(a_debug_td_fails_by_default),
        cmocka_unit_test(changed_collateral_does_not_pass),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
