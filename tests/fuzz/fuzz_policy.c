/* Policies: what is not understood is refused with a sentence, and leaves nothing behind. */
#include <string.h>

#include "attest/policy.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEAN_POLICY policy;
    struct cofre_err err = {""};
    int rc = policy_parse(&policy, (struct view){data, size}, &err);
    FUZZ_CHECK(rc == 0 || (rc == -COFRE_USAGE && *err.text));
    if (rc == 0)
        FUZZ_CHECK(policy.snp.max_vmpl <= 3 && policy.snp.measurement.count <= POLICY_LIST_MAX);
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    static const char *const seeds[] = {
        "{}",
        "{\"snp\": {\"family_id\": [\"000102030405060708090a0b0c0d0e0f\"], \"chip_id\": "
        "[\"0102030405060708\"],"
        "\"csp_id\": [\"61\"], \"min_tcb\": {\"Turin\": {\"fmc\": 1, \"microcode\": 255}, \"Milan\": {}}}}",
        "{\"snp\": {\"max_vmpl\": 3, \"min_guest_svn\": 4294967295, \"min_abi\": \"1.51\", \"mitigations\": "
        "\"ff\","
        "\"products\": [\"Turin\"], \"guest_policy\": {\"debug\": \"any\", \"smt\": \"forbidden\"},"
        "\"platform_info\": {\"tio\": \"required\"}, \"unknown_bits\": \"any\"}}",
        "{\"tdx\": {\"mrowner\": [\"\"], \"report_data\": \"00\", \"min_tee_tcb_svn\": \"0301\","
        "\"td_attributes\": {\"debug\": \"any\", \"pks\": \"required\"}, \"xfam\": {\"mask\": \"ff\", "
        "\"value\": \"03\"},"
        "\"tcb_status\": [\"UpToDate\", \"SWHardeningNeeded\"], \"reject_advisories\": [\"INTEL-SA-00001\"],"
        "\"min_tcb_date\": \"2024-01-01T00:00:00Z\", \"min_evaluation_data_number\": 17, \"grace_days\": 30,"
        "\"event_log\": \"required\", \"unknown_bits\": \"any\"}}",
        "{\"tdx\": {\"tcb_status\": [\"Revoked\"]}}",
        "{\"tdx\": {\"grace_days\": 1, \"platform\": {\"smt\": \"any\"}, \"min_tcb_date\": "
        "\"2024-01-01T00:00:00Z\"}}",
    };
    if (index >= sizeof seeds / sizeof *seeds)
        return 0;
    memcpy(out, seeds[index], strlen(seeds[index]));
    return strlen(seeds[index]);
}
