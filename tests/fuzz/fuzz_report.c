/* Attestation reports, as bytes alone and with a signature by a key that is ours: what was not signed never verifies. */
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <string.h>

#include "sev/ecdsa.h"
#include "sev/policy.h"
#include "sev/report.h"
#include "tests/fuzz/fuzz.h"

static EVP_PKEY *key;
static struct snp_report genuine;

static void make(void)
{
    genuine = (struct snp_report){.version = 3,
                                  .policy = SNP_POLICY_DEFAULT,
                                  .signature_algo = 1,
                                  .cpuid_fam_id = 0x19,
                                  .cpuid_mod_id = 0x11};
    key = EVP_EC_gen("P-384");
    const struct view message = {(const uint8_t *)&genuine, SNP_REPORT_SIGNED_BYTES};
    FUZZ_CHECK(snp_ecdsa_sign(&genuine.signature, key, message, NULL) == 0);
}

static unsigned sum_of(const void *data, size_t size)
{
    unsigned sum = 0;
    for (size_t i = 0; i < size; i++)
        sum += ((const uint8_t *)data)[i] * (unsigned)(i % 7 + 1);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct snp_report report;
    char text[SNP_POLICY_TEXT_SIZE];
    uint64_t policy;
    struct cofre_err err = {""};
    if (!key)
        make();
    if (snp_report_parse(&report, (struct view){data, size}, &err) < 0) {
        FUZZ_CHECK(size != sizeof report && *err.text);
        return 0;
    }
    enum snp_product product = snp_report_product(&report);
    FUZZ_CHECK(report.version >= SNP_REPORT_HAS_CPUID || product == SNP_PRODUCT_UNKNOWN);
    if (snp_report_check_version(&report, product, &err) == 0)
        FUZZ_CHECK(report.version >= SNP_REPORT_VERSION_MIN && report.version <= SNP_REPORT_VERSION_MAX);
    if (snp_report_check_unknown_bits(&report, &err) == 0)
        FUZZ_CHECK(!(report.policy & ~SNP_POLICY_KNOWN));
    (void)snp_report_check_reserved(&report, &err);
    snp_policy_format(text, report.policy);
    FUZZ_CHECK(strlen(text) < sizeof text);
    if (snp_policy_check(report.policy, &err) == 0)
        FUZZ_CHECK(snp_policy_parse(&policy, text, &err) == 0 && policy == report.policy);
    /* A signature takes half a millisecond: only where the form is one, and for one input in 64. */
    if (snp_report_check_signature_form(&report, &err) == 0 &&
        sum_of(data, size) % 64 == sum_of(&genuine, size) % 64 &&
        snp_report_check_signature(&report, key, &err) == 0)
        FUZZ_CHECK(memcmp(&report, &genuine, SNP_REPORT_SIGNED_BYTES) == 0);
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    struct snp_report report;
    if (!key)
        make();
    if (index > 2)
        return 0;
    report = genuine;
    if (index > 0)
        report.version = index == 1 ? 2 : 5;
    memcpy(out, &report, sizeof report);
    return sizeof report;
}
