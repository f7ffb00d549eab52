/*
 * Verification of an SNP report beside the one bare P-384 verification in it. The verifier has decoded the certificates and
 * gives them with each report (the cached chain); or they come with the report, of a chip that a report of passed before, or
 * of another; or it has decoded the CAs', and that of another chip comes with the report.
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
/* Of a bare verification's speed. */
#define LEAST_CACHED 0.5
#define LEAST_MET    0.5
#define LEAST_OTHER  0.2

struct subject {
    struct evidence evidence, with_all, with_vcek; /* without certificates, with them, with one of them */
    struct policy policy;
    struct x509_certs roots, cached, authorities;
    struct x509_issued issued;
    /* What is measured. */
    const struct evidence *judged;
    const struct x509_certs *certs;
    struct x509_issued *remembered;
    EVP_PKEY_CTX *bare;
    uint8_t digest[48], signature[128];
    size_t signature_len;
};

static const struct {
    const char *name;
    enum snp_cert_kind kind;
} files[] = {{"leaf.der", SNP_CERT_VCEK}, {"ask.der", SNP_CERT_ASK}, {"ark.der", SNP_CERT_ARK}};
#define FILES (sizeof files / sizeof *files)

static void read_files(struct subject *s, const char *program)
{
    char dir[] = "/tmp/cofre-bench-XXXXXX", command[4096], path[256];
    struct bytes raw[FILES] = {0};
    struct snp_cert_entry entry[FILES];
    BENCH_CHECK(mkdtemp(dir));
    snprintf(command, sizeof command, "'%s' Milan 3 vcek %s/chain %s", program, dir, dir);
    BENCH_CHECK(system(command) == 0);
    snprintf(path, sizeof path, "%s/report.bin", dir);
    BENCH_CHECK(file_read(&s->evidence.report, path, EVIDENCE_REPORT_MAX, NULL) == 0);
    for (unsigned i = 0; i < FILES; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, files[i].name);
        BENCH_CHECK(file_read(&raw[i], path, EVIDENCE_FILE_MAX, NULL) == 0 &&
                    x509_certs_add(&s->cached, bytes_view(&raw[i]), NULL) == 0 &&
                    (i == 0 || x509_certs_add(&s->authorities, bytes_view(&raw[i]), NULL) == 0));
        entry[i] = (struct snp_cert_entry){.kind = files[i].kind, .data = bytes_view(&raw[i])};
    }
    BENCH_CHECK(x509_certs_add(&s->roots, bytes_view(&raw[FILES - 1]), NULL) == 0 &&
                snp_cert_table_build(&s->with_all.certificates, entry, FILES, NULL) == 0 &&
                snp_cert_table_build(&s->with_vcek.certificates, entry, 1, NULL) == 0 &&
                bytes_copy(&s->with_all.report, bytes_view(&s->evidence.report), NULL) == 0 &&
                bytes_copy(&s->with_vcek.report, bytes_view(&s->evidence.report), NULL) == 0);
    for (unsigned i = 0; i < FILES; i++)
        bytes_free(&raw[i]);
    snprintf(command, sizeof command, "rm -r %s", dir);
    BENCH_CHECK(system(command) == 0);
}

static void prepare(struct subject *s, const char *program)
{
    EVP_PKEY *key = EVP_EC_gen("P-384");
    s->evidence.tee = s->with_all.tee = s->with_vcek.tee = "snp";
    read_files(s, program);
    policy_init(&s->policy);
    memset(s->digest, 0x5a,
           sizeof s->digest); /* of zero, a verification would leave out one of its two multiplications */
    s->bare = EVP_PKEY_CTX_new(key, NULL);
    s->signature_len = sizeof s->signature;
    BENCH_CHECK(EVP_PKEY_sign_init(s->bare) == 1 &&
                EVP_PKEY_sign(s->bare, s->signature, &s->signature_len, s->digest, sizeof s->digest) == 1 &&
                EVP_PKEY_verify_init(s->bare) == 1);
    EVP_PKEY_free(key);
}

static void verify_report(void *context)
{
    const struct subject *s = context;
    CLEAN_VERDICT verdict = {0};
    const struct appraisal in = {.evidence = s->judged,
                                 .policy = &s->policy,
                                 .certs = s->certs,
                                 .issued = s->remembered,
                                 .roots = &s->roots,
                                 .at = (int64_t)time(NULL)};
    BENCH_CHECK(appraise(&verdict, &in, NULL) == 0 && verdict_outcome(&verdict) == CHECK_PASSED);
}

static void verify_bare(void *context)
{
    const struct subject *s = context;
    BENCH_CHECK(EVP_PKEY_verify(s->bare, s->signature, s->signature_len, s->digest, sizeof s->digest) == 1);
}

/* False where it is so slow that something is wrong. */
static bool measure(struct subject *s, const struct evidence *judged, const struct x509_certs *certs,
                    struct x509_issued *remembered, const char *of, double aim, double least)
{
    s->judged = judged;
    s->certs = certs;
    s->remembered = remembered;
    const struct bench_times times = bench(verify_report, verify_bare, s, COUNT);
    double speed = bench_print((struct bench_figure){.figure = "verdict on an SNP report",
                                                     .of = of,
                                                     .unit = "a second",
                                                     .value = 1 / times.measured,
                                                     .beside = "a bare P-384 verification",
                                                     .beside_value = 1 / times.beside,
                                                     .aim = aim});
    return !bench_is_fault(of, speed, least);
}

int main(int argc, char **argv)
{
    static struct subject s;
    BENCH_CHECK(argc == 2);
    prepare(&s, argv[1]);
    bool good = measure(&s, &s.evidence, &s.cached, &s.issued, "with a cached chain", 0.8, LEAST_CACHED);
    good &=
        measure(&s, &s.with_all, NULL, &s.issued, "with certificates, of a chip met before", 0.8, LEAST_MET);
    good &= measure(&s, &s.with_all, NULL, NULL, "with certificates, of another chip", 0, LEAST_OTHER);
    good &= measure(&s, &s.with_vcek, &s.authorities, NULL, "with its VCEK, of another chip", 0, LEAST_OTHER);
    evidence_free(&s.evidence);
    evidence_free(&s.with_all);
    evidence_free(&s.with_vcek);
    policy_free(&s.policy);
    x509_certs_free(&s.roots);
    x509_certs_free(&s.cached);
    x509_certs_free(&s.authorities);
    x509_issued_free(&s.issued);
    EVP_PKEY_CTX_free(s.bare);
    return good ? 0 : 1;
}
