/*
 * Verification of a TDX quote with parsed collateral, beside three bare P-256 verifications: the quote's signature, the QE
 * report's, and the PCK certificate's, of a platform that was not met before. Of one whose PCK chain the collateral has
 * ("pck_certificate_chain"), the third was made when the collateral was parsed; of one that a quote of passed before, only
 * the quote's own is made.
 *   bench_quote [DIR]      DIR: of quote.bin, collateral.json and root.pem, as emulated_quote writes them
 */
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <string.h>

#include "attest/appraise.h"
#include "tdx/collateral.h"
#include "tdx/model/platform.h"
#include "tdx/quote.h"
#include "tdx/signer.h"
#include "tests/bench/bench.h"
#include "vmm/base/file.h"

#define COUNT       50
#define LEAST_MET   0.3 /* of three bare verifications' speed */
#define LEAST_KNOWN 0.2
#define LEAST_OTHER 0.08

struct subject {
    struct evidence evidence;
    struct policy policy;
    struct x509_certs roots;
    struct tdx_collateral without, with; /* the PCK chain */
    const struct tdx_collateral *collateral;
    struct tdx_signers met, *signers;
    EVP_PKEY_CTX *bare;
    uint8_t digest[32], signature[80];
    size_t signature_len;
};

static void make_files(struct bytes *quote, struct bytes *collateral, struct bytes *root)
{
    char dir[] = "/tmp/cofre-bench-XXXXXX", command[64];
    struct tdx_platform *platform = NULL;
    struct tdx_report report = {.td = {.attributes = {0, 0, 0, 0x10}, .xfam = {0xe7}}};
    BENCH_CHECK(mkdtemp(dir) && tdx_platform_open(&platform, dir, NULL, NULL) == 0);
    tdx_platform_seal_report(platform, &report);
    BENCH_CHECK(tdx_platform_quote(platform, &report, quote, NULL) == 0);
    BENCH_CHECK(tdx_platform_collateral(platform, (int64_t)time(NULL), collateral, NULL) == 0);
    BENCH_CHECK(tdx_platform_root(platform, root, NULL) == 0);
    tdx_platform_close(platform);
    snprintf(command, sizeof command, "rm -r %s", dir);
    BENCH_CHECK(system(command) == 0);
}

static void read_files(const char *dir, struct bytes *quote, struct bytes *collateral, struct bytes *root)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/quote.bin", dir);
    BENCH_CHECK(file_read(quote, path, EVIDENCE_REPORT_MAX, NULL) == 0);
    snprintf(path, sizeof path, "%s/collateral.json", dir);
    BENCH_CHECK(file_read(collateral, path, TDX_COLLATERAL_FILE_MAX, NULL) == 0);
    snprintf(path, sizeof path, "%s/root.pem", dir);
    BENCH_CHECK(file_read(root, path, EVIDENCE_FILE_MAX, NULL) == 0);
}

/* The collateral with the quote's own PCK chain in it. */
static void parse_with_chain(struct tdx_collateral *out, struct view collateral, struct view raw)
{
    struct tdx_quote quote;
    BENCH_CHECK(tdx_quote_parse(&quote, raw, NULL) == 0);
    json_t *file = json_loadb((const char *)collateral.data, collateral.len, 0, NULL);
    json_object_set_new(
        file, "pck_certificate_chain",
        json_stringn((const char *)quote.certification.data,
                     strnlen((const char *)quote.certification.data, quote.certification.len)));
    char *text = json_dumps(file, 0);
    BENCH_CHECK(text &&
                tdx_collateral_parse(out, (struct view){(const uint8_t *)text, strlen(text)}, NULL) == 0);
    free(text);
    json_decref(file);
}

static void prepare(struct subject *s, const char *dir)
{
    CLEAN_BYTES collateral = {0}, root = {0};
    EVP_PKEY *key = EVP_EC_gen("P-256");
    s->evidence.tee = "tdx";
    if (dir)
        read_files(dir, &s->evidence.report, &collateral, &root);
    else
        make_files(&s->evidence.report, &collateral, &root);
    policy_init(&s->policy);
    BENCH_CHECK(x509_certs_add(&s->roots, bytes_view(&root), NULL) == 0);
    BENCH_CHECK(tdx_collateral_parse(&s->without, bytes_view(&collateral), NULL) == 0);
    parse_with_chain(&s->with, bytes_view(&collateral), bytes_view(&s->evidence.report));
    memset(s->digest, 0x5a,
           sizeof s->digest); /* of zero, a verification would leave out one of its two multiplications */
    s->bare = EVP_PKEY_CTX_new(key, NULL);
    s->signature_len = sizeof s->signature;
    BENCH_CHECK(EVP_PKEY_sign_init(s->bare) == 1 &&
                EVP_PKEY_sign(s->bare, s->signature, &s->signature_len, s->digest, sizeof s->digest) == 1 &&
                EVP_PKEY_verify_init(s->bare) == 1);
    EVP_PKEY_free(key);
}

static void verify_quote(void *context)
{
    const struct subject *s = context;
    CLEAN_VERDICT verdict = {0};
    const struct appraisal in = {.evidence = &s->evidence,
                                 .policy = &s->policy,
                                 .collateral = s->collateral,
                                 .signers = s->signers,
                                 .roots = &s->roots,
                                 .at = (int64_t)time(NULL)};
    BENCH_CHECK(appraise(&verdict, &in, NULL) == 0 && verdict_outcome(&verdict) == CHECK_PASSED);
}

static void verify_bare(void *context)
{
    const struct subject *s = context;
    for (int i = 0; i < 3; i++)
        BENCH_CHECK(EVP_PKEY_verify(s->bare, s->signature, s->signature_len, s->digest, sizeof s->digest) ==
                    1);
}

/* False where it is so slow that something is wrong. */
static bool measure(struct subject *s, const struct tdx_collateral *collateral, struct tdx_signers *signers,
                    const char *of, double aim, double least)
{
    s->collateral = collateral;
    s->signers = signers;
    const struct bench_times times = bench(verify_quote, verify_bare, s, COUNT);
    double speed = bench_print((struct bench_figure){.figure = "verdict on a TDX quote",
                                                     .of = of,
                                                     .unit = "a second",
                                                     .value = 1 / times.measured,
                                                     .beside = "three bare P-256 verifications",
                                                     .beside_value = 1 / times.beside,
                                                     .aim = aim});
    return !bench_is_fault(of, speed, least);
}

int main(int argc, char **argv)
{
    static struct subject s;
    prepare(&s, argc > 1 ? argv[1] : NULL);
    bool good = measure(&s, &s.without, &s.met, "of a platform met before", 0.8, LEAST_MET);
    good &= measure(&s, &s.with, NULL, "of one whose PCK chain is in the collateral", 0.8, LEAST_KNOWN);
    good &= measure(&s, &s.without, NULL, "of another platform", 0, LEAST_OTHER);
    evidence_free(&s.evidence);
    policy_free(&s.policy);
    x509_certs_free(&s.roots);
    tdx_signers_free(&s.met);
    tdx_collateral_free(&s.with);
    tdx_collateral_free(&s.without);
    EVP_PKEY_CTX_free(s.bare);
    return good ? 0 : 1;
}
