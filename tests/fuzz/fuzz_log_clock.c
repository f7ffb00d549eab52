/* What a TPM says of its clock, and its signature: nothing verifies but what was signed. An input is a length, that many bytes of a
 * TPMS_ATTEST, and a TPMT_SIGNATURE. */
#include <openssl/pem.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tests/unit/log/made_tpm.h"

/* A fixed key, so that seeds verify in every run. */
static const char pem[] = "-----BEGIN PRIVATE KEY-----\n"
                          "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgMJOW4E/zXf0VW2rO\n"
                          "83Zo7SQlWpMJ6hl3BFen6WiPT4yhRANCAAR99mL3pxEb77XO/i2qygveWsnl73K5\n"
                          "H80HLAzqur8FJTikzJf4r7xz6KBBjCBE6Bxv1loCRo/6x7VS05xKE4dc\n"
                          "-----END PRIVATE KEY-----\n";

static const struct log_state head = {.size = 7, .root = {{1, 2, 3}}, .id = {{9}}};
static const struct log_clock noon = {
    .milliseconds = 10000000, .since_start = 5000, .resets = 4, .safe = true};

static struct cose_keys *pinned(void)
{
    static struct cose_keys keys;
    if (keys.count == 0) {
        BIO *bio = BIO_new_mem_buf(pem, -1);
        keys.key[keys.count++].key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
        BIO_free(bio);
        FUZZ_CHECK(keys.key[0].key && log_clock_keys(&keys, NULL) == 0);
    }
    return &keys;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct log_entry entry = {.kind = LOG_ENTRY_CLOCK, .size = (int64_t)head.size, .root = head.root};
    struct log_clock clock, read;
    struct cofre_err err = {""};
    if (size < 1 || data[0] > LOG_ATTEST_MAX || size - 1 < data[0] ||
        size - 1 - data[0] > LOG_TPM_SIGNATURE_MAX)
        return 0;
    entry.attest.len = data[0];
    memcpy(entry.attest.data, data + 1, data[0]);
    entry.signature.len = (uint8_t)(size - 1 - data[0]);
    memcpy(entry.signature.data, data + 1 + data[0], entry.signature.len);
    memcpy(entry.tpm_key.data, pinned()->key[0].kid, LOG_HASH_SIZE);
    const bool reads = log_clock_read(&read, (struct view){entry.attest.data, entry.attest.len}, &err) == 0;
    FUZZ_CHECK(reads || *err.text);
    err.text[0] = 0;
    if (log_clock_verify(&clock, &entry, &head.id, pinned(), &err) < 0)
        FUZZ_CHECK(*err.text);
    else /* what was signed is what the seeds say */
        FUZZ_CHECK(reads && memcmp(&clock, &read, sizeof clock) == 0 &&
                   clock.milliseconds == noon.milliseconds && clock.resets == noon.resets &&
                   clock.since_start == noon.since_start);
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    struct log_entry e;
    TPMS_ATTEST said = made_tpm_says(&head, &noon);
    if (index > 1)
        return 0;
    if (index == 1) { /* by the same key, and about something else */
        said.type = TPM2_ST_ATTEST_QUOTE;
        memset(&said.attested, 0, sizeof said.attested);
    }
    FUZZ_CHECK(made_tpm_entry(&e, &head, &said, pinned()->key[0].key, FUZZ_NOW));
    out[0] = e.attest.len;
    memcpy(out + 1, e.attest.data, e.attest.len);
    memcpy(out + 1 + e.attest.len, e.signature.data, e.signature.len);
    return 1U + e.attest.len + e.signature.len;
}
