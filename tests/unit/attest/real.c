#include "tests/unit/attest/real.h"

#include <string.h>

#include "vmm/base/x509_issued.h"

const struct real_case real_cases[3] = {
    {"a", "snp/a-report.bin", "snp/a-vcek.der", "snp/a-milan-chain.pem",
     "{\"snp\": {\"guest_policy\": {\"debug\": \"any\"}}}"},
    {"b", "snp/b-report.bin", "snp/b-vcek.der", "roots/amd-milan-ask-ark.pem", "{}"},
    {"c", "snp/c-report-milan.hex", "snp/c-vcek-milan.der", "roots/amd-milan-ask-ark.pem", "{}"},
};

/* Every other one with what the ones before found of their chains: neither way may anything altered pass. */
static struct x509_issued *sometimes(void)
{
    static struct x509_issued issued;
    static unsigned calls;
    return calls++ % 2 ? &issued : NULL;
}

int real_appraise_with(struct verdict *out, struct view file, const struct x509_certs *certs,
                       const char *policy_text, int64_t at, struct cofre_err *err)
{
    CLEAN_EVIDENCE evidence = {0};
    CLEAN_POLICY policy;
    int rc = policy_parse(&policy, (struct view){(const uint8_t *)policy_text, strlen(policy_text)}, err);
    if (rc == 0)
        rc = evidence_parse(&evidence, file, err);
    struct appraisal in = {
        .evidence = &evidence, .policy = &policy, .certs = certs, .issued = sometimes(), .at = at};
    return rc < 0 ? rc : appraise(out, &in, err);
}

int real_appraise(struct verdict *out, struct view file, struct view vcek, struct view chain,
                  const char *policy, int64_t at, struct cofre_err *err)
{
    CLEAN_CERTS certs = {0};
    int rc = vcek.len ? x509_certs_add(&certs, vcek, err) : 0;
    if (rc == 0 && chain.len)
        rc = x509_certs_add(&certs, chain, err);
    return rc < 0 ? rc : real_appraise_with(out, file, &certs, policy, at, err);
}
