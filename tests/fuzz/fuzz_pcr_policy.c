/* A file of approved states: what is taken has one at least, each of PCRs that there are; the rest is refused with a sentence. */
#include <string.h>

#include "keys/seal/pcr_policy.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pcr_policy policy;
    struct cofre_err err = {""};
    TPM2B_DIGEST digest;
    char list[80];
    uint32_t again;
    int rc = pcr_policy_parse(&policy, (struct view){data, size}, &err);
    FUZZ_CHECK(rc == 0 || (rc == -COFRE_MALFORMED && *err.text));
    FUZZ_CHECK(rc < 0 || (policy.count > 0 && policy.count <= PCR_APPROVED_MAX));
    for (size_t i = 0; rc == 0 && i < policy.count; i++) {
        const struct pcr_approval *a = &policy.approved[i];
        FUZZ_CHECK(a->pcrs && a->pcrs >> PCR_COUNT == 0);
        FUZZ_CHECK(pcr_approved_policy(&digest, a, NULL) == 0 && digest.size == PCR_DIGEST_SIZE);
        pcr_print_list(list, a->pcrs);
        FUZZ_CHECK(pcr_parse_list(&again, list, NULL) == 0 && again == a->pcrs);
    }
    return 0;
}

#define HEX8            "0123456789abcdef"
#define HEX32           HEX8 HEX8 HEX8 HEX8
#define STATE(pcrs)     "{\"pcrs\": [" pcrs "], \"digest\": \"" HEX32 "\", \"signature\": \"" HEX32 HEX32 "\"}"
#define FILE_OF(states) "{\"cofre_pcr_policy\": 1, \"approved\": [" states "]}"

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    static const char *const seeds[] = {FILE_OF(STATE("7")),
                                        FILE_OF(STATE("0, 2, 4, 23") ", " STATE("7, 11"))};
    if (index >= sizeof seeds / sizeof *seeds)
        return 0;
    memcpy(out, seeds[index], strlen(seeds[index]));
    return strlen(seeds[index]);
}
