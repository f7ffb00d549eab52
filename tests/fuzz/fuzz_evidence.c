/* Evidence as a host could hand it over: whatever it is, it passes no appraisal, for nobody here has AMD's keys. */
#include <string.h>

#include "attest/appraise.h"
#include "sev/abi.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEAN_EVIDENCE evidence = {0};
    CLEAN_POLICY policy;
    CLEAN_VERDICT verdict = {0};
    struct cofre_err err = {""};
    struct view file = {data, size};
    policy_init(&policy);
    if (evidence_parse(&evidence, file, &err) < 0) {
        FUZZ_CHECK(*err.text && !evidence.report.data);
        return 0;
    }
    FUZZ_CHECK(evidence_recognises(file));
    struct appraisal in = {.evidence = &evidence, .policy = &policy, .at = 1717200000};
    int rc = appraise(&verdict, &in, &err);
    FUZZ_CHECK(rc == 0 ? verdict_outcome(&verdict) != CHECK_PASSED : rc == -COFRE_MALFORMED);
    char *text = rc == 0 ? verdict_text(&verdict) : NULL;
    FUZZ_CHECK(text || rc < 0);
    free(text);
    return 0;
}

static size_t put_file(uint8_t out[FUZZ_SEED_MAX], const struct snp_report *report, struct view table)
{
    CLEAN_EVIDENCE evidence = {.tee = "snp"};
    CLEAN_BYTES file = {0};
    FUZZ_CHECK(bytes_copy(&evidence.report, (struct view){(const uint8_t *)report, sizeof *report}, NULL) ==
                   0 &&
               bytes_copy(&evidence.certificates, table, NULL) == 0 &&
               bytes_copy(&evidence.nonce, (struct view){report->report_data, 32}, NULL) == 0 &&
               evidence_write(&file, &evidence, NULL) == 0);
    memcpy(out, file.data, file.len);
    return file.len;
}

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    struct snp_report report = {.version = 3, .policy = 0x30000, .signature_algo = 1, .cpuid_fam_id = 0x19};
    struct snp_cert_entry entry = {.kind = SNP_CERT_VCEK,
                                   .data = {(const uint8_t *)"\x30\x03\x02\x01\x05", 5}};
    CLEAN_BYTES table = {0};
    FUZZ_CHECK(snp_cert_table_build(&table, &entry, 1, NULL) == 0);
    switch (index) {
    case 0:
        memcpy(out, &report, sizeof report);
        return sizeof report;
    case 1:
        hex_encode((char *)out, &report, sizeof report);
        return 2 * sizeof report;
    case 2:
        return put_file(out, &report, (struct view){0});
    case 3:
        return put_file(out, &report, bytes_view(&table));
    default:
        return 0;
    }
}
