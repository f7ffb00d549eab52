/*
 * Verification of an SNP report beside the one bare P-384 verification in it: with certificates that the verifier has
 * decoded before (the cached chain), and with those that come with the report.
 *   bench_report EMULATED_REPORT      the program of tests/interop that writes one
 */
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <string.h>

#include "attest/appraise.h"
#include "sev/cert_table.h"
#include "tests/bench/bench.h"
#include "vmm/base/file.h"
#include "vmm/base/x509_issued.h"

#define COUNT 50
#define LEAST_CACHED                                                                                         \
    0.5 /* of a bare verification's speed: sanitizers and busy machines need room; the aim is 0.8 */
#define LEAST_OTHER 0.2

struct subject {
    struct evidence evidence;
    struct policy policy;
    struct x509_certs roots, cached;
    const struct x509_certs *certs; /* NULL: those of raw are decoded anew each time */
    struct x509_issued issued;      /* used beside certs */
    struct bytes raw[3];
    EVP_PKEY_CTX *bare;
    uint8_t digest[48], signature[128];
    size_t signature_len;
};

static const char *const files[] = {"leaf.der", "ask.der", "ark.der"};

static void read_files(struct subject *s, const char *program)
{
    char dir[] = "/tmp/cofre-bench-XXXXXX", command[4096], path[256];
    BENCH_CHECK(mkdtemp(dir));
    snprintf(command, sizeof command, "'%s' Milan 3 vcek %s/chain %s", program, dir, dir);
    BENCH_CHECK(system(command) == 0);
    snprintf(path, sizeof path, "%s/report.bin", dir);
    BENCH_CHECK(file_read(&s->evidence.report, path, EVIDENCE_REPORT_MAX, NULL) == 0);
    for (unsigned i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        BENCH_CHECK(file_read(&s->raw[i], path, EVIDENCE_FILE_MAX, NULL) == 0 &&
                    x509_certs_add(&s->cached, bytes_view(&s->raw[i]), NULL) == 0);
    }
    BENCH_CHECK(x509_certs_add(&s->roots, bytes_view(&s->raw[2]), NULL) == 0);
    snprintf(command, sizeof command, "rm -r %s", dir);
    BENCH_CHECK(system(command) == 0);
}

static void prepare(struct subject *s, const char *program)
{
    EVP_PKEY *key = EVP_EC_gen("P-384");
    s->evidence.tee = "snp";
    read_files(s, program);
    policy_init(&s->policy);
    memset(s->digest, 0x5a, sizeof s->digest); /* of zero, a verification would leave out one of its two multiplications */
    s->bare = EVP_PKEY_CTX_new(key, NULL);
    s->signature_len = sizeof s->signature;
    BENCH_CHECK(EVP_PKEY_sign_init(s->bare) == 1 &&
                EVP_PKEY_sign(s->bare, s->signature, &s->signature_len, s->digest, sizeof s->digest) == 1 &&
                EVP_PKEY_verify_init(s->bare) == 1);
    EVP_PKEY_free(key);
}

static void verify_report(void *context)
{
    struct subject *s = context;
    CLEAN_VERDICT verdict = {0};
    struct x509_certs decoded = {0};
    for (unsigned i = 0; i < 3 && !s->certs; i++)
        BENCH_CHECK(x509_certs_add(&decoded, bytes_view(&s->raw[i]), NULL) == 0);
    const struct appraisal in = {.evidence = &s->evidence,
                                 .policy = &s->policy,
                                 .certs = s->certs ? s->certs : &decoded,
                                 .issued = s->certs ? &s->issued : NULL,
                                 .roots = &s->roots,
                                 .at = (int64_t)time(NULL)};
    BENCH_CHECK(appraise(&verdict, &in, NULL) == 0 && verdict_outcome(&verdict) == CHECK_PASSED);
    x509_certs_free(&decoded);
}

static void verify_bare(void *context)
{
    const struct subject *s = context;
    BENCH_CHECK(EVP_PKEY_verify(s->bare, s->signature, s->signature_len, s->digest, sizeof s->digest) == 1);
}

static double measure(struct subject *s, const struct x509_certs *certs, const char *what)
{
    s->certs = certs;
    const struct bench_times times = bench(verify_report, verify_bare, s, COUNT);
    double speed = times.beside / times.measured;
    printf("a report with %s: %.0f us; one bare P-384 verification: %.0f us; %.2f of its speed\n", what,
           1e6 * times.measured, 1e6 * times.beside, speed);
    return speed;
}

int main(int argc, char **argv)
{
    static struct subject s;
    BENCH_CHECK(argc == 2);
    prepare(&s, argv[1]);
    double cached = measure(&s, &s.cached, "a cached chain");
    double other = measure(&s, NULL, "certificates of its own");
    printf("aim 0.80 for a cached chain; bounds %.2f and %.2f\n", LEAST_CACHED, LEAST_OTHER);
    evidence_free(&s.evidence);
    policy_free(&s.policy);
    x509_certs_free(&s.roots);
    x509_certs_free(&s.cached);
    for (unsigned i = 0; i < 3; i++)
        bytes_free(&s.raw[i]);
    EVP_PKEY_CTX_free(s.bare);
    return cached >= LEAST_CACHED && other >= LEAST_OTHER ? 0 : 1;
}
