#include "tests/unit/log/made_tpm.h"

#include <string.h>
#include <tss2/tss2_mu.h>

TPMS_ATTEST made_tpm_says(const struct log_state *state, const struct log_clock *clock)
{
    TPMS_ATTEST said = {.magic = TPM2_GENERATED_VALUE,
                        .type = TPM2_ST_ATTEST_TIME,
                        .qualifiedSigner = {.size = 34, .name = {0, TPM2_ALG_SHA256}},
                        .extraData = {.size = LOG_HASH_SIZE},
                        .clockInfo = {.clock = clock->milliseconds, .resetCount = 0x0b5c0, .safe = TPM2_YES}};
    said.attested.time.time = (TPMS_TIME_INFO){.time = clock->since_start,
                                               .clockInfo = {.clock = clock->milliseconds,
                                                             .resetCount = clock->resets,
                                                             .restartCount = clock->restarts,
                                                             .safe = clock->safe ? TPM2_YES : TPM2_NO}};
    (void)log_clock_qualifying(said.extraData.buffer, state, NULL);
    return said;
}

bool made_tpm_entry(struct log_entry *out, const struct log_state *state, const TPMS_ATTEST *said,
                    EVP_PKEY *key, int64_t time)
{
    uint8_t raw[64];
    size_t attest = 0, signature = 0;
    TPMT_SIGNATURE s = {
        .sigAlg = TPM2_ALG_ECDSA,
        .signature.ecdsa = {.hash = TPM2_ALG_SHA256, .signatureR = {.size = 32}, .signatureS = {.size = 32}}};
    *out = (struct log_entry){
        .kind = LOG_ENTRY_CLOCK, .time = time, .size = (int64_t)state->size, .root = state->root};
    if (cose_key_thumbprint(out->tpm_key.data, key, NULL) < 0 ||
        Tss2_MU_TPMS_ATTEST_Marshal(said, out->attest.data, sizeof out->attest.data, &attest) !=
            TSS2_RC_SUCCESS ||
        ecdsa_sign(raw, &ecdsa_p256, key, (struct view){out->attest.data, attest}, NULL) < 0)
        return false;
    memcpy(s.signature.ecdsa.signatureR.buffer, raw, 32);
    memcpy(s.signature.ecdsa.signatureS.buffer, raw + 32, 32);
    if (Tss2_MU_TPMT_SIGNATURE_Marshal(&s, out->signature.data, sizeof out->signature.data, &signature) !=
        TSS2_RC_SUCCESS)
        return false;
    out->attest.len = (uint8_t)attest;
    out->signature.len = (uint8_t)signature;
    return true;
}
