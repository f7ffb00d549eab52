/* Quotes of a TPM as a guest can hand them over: its key's public part, what it says, and the signature, which is never good here. */
#include <string.h>
#include <tss2/tss2_mu.h>

#include "attest/tpm_quote.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/attest/made_quote.h"

static const struct view nonce = {(const uint8_t *)"nonce", 5};

/* A part with its length before it; what is missing is empty. */
static struct view take(const uint8_t **data, size_t *size)
{
    if (*size < 2)
        return (struct view){*data, 0};
    size_t len = le16(*data);
    *data += 2;
    *size -= 2;
    len = len < *size ? len : *size;
    const struct view part = {*data, len};
    *data += len;
    *size -= len;
    return part;
}

static bool whole;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEAN_TPM_PUBLIC key;
    struct tpm_quote_pcrs pcrs;
    struct cofre_err err = {""};
    const struct view public = take(&data, &size), message = take(&data, &size),
                      signature = take(&data, &size);
    made_pcrs(&pcrs, 0x81, 32);
    if (tpm_public_read_sized(&key, public, &err) < 0) {
        FUZZ_CHECK(*err.text);
        return 0;
    }
    FUZZ_CHECK(key.key && key.name_len >= 34 && *key.kind);
    int rc = tpm_quote_check(&key, message, signature, nonce, &pcrs, &err);
    FUZZ_CHECK(rc == 0 || *err.text);
    FUZZ_CHECK(rc < 0 || tpm_quote_check_key(&key, NULL) == 0);
    whole = rc == 0;
    return 0;
}

static size_t put(uint8_t *out, size_t at, const void *data, size_t len)
{
    put_le16(out + at, (uint16_t)len);
    memcpy(out + at + 2, data, len);
    return at + 2 + len;
}

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    static const enum made_scheme schemes[] = {MADE_ECDSA_P256, MADE_ECDSA_P384, MADE_RSASSA};
    struct made_key key;
    struct made_quote quote;
    struct tpm_quote_pcrs pcrs;
    TPM2B_PUBLIC sized;
    TPMS_ATTEST said;
    uint8_t public[TPM_PUBLIC_MAX];
    size_t len = 0, at = 0;
    if (index >= sizeof schemes / sizeof *schemes)
        return 0;
    made_ak(&key, schemes[index]);
    made_pcrs(&pcrs, 0x81, 32);
    made_attest(&said, nonce, &pcrs, schemes[index]);
    made_signed(&quote, &said, &key, schemes[index]);
    sized = (TPM2B_PUBLIC){.publicArea = key.area};
    made_ak_free(&key);
    FUZZ_CHECK(Tss2_MU_TPM2B_PUBLIC_Marshal(&sized, public, sizeof public, &len) == TSS2_RC_SUCCESS);
    at = put(out, at, public, len);
    at = put(out, at, quote.message, quote.message_len);
    at = put(out, at, quote.signature, quote.signature_len);
    whole = false;
    LLVMFuzzerTestOneInput(out, at);
    FUZZ_CHECK(whole);
    return at;
}
