#include "attest/log/clock.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_mu.h>

#include "vmm/base/clean_openssl.h"

#define LABEL       "cofre log head 1"
#define NUMBER_SIZE 32

int log_clock_qualifying(uint8_t out[static LOG_HASH_SIZE], const struct log_state *state,
                         struct cofre_err *err)
{
    uint8_t text[sizeof LABEL - 1 + LOG_HASH_SIZE + 8 + LOG_HASH_SIZE], *at = text;
    memcpy(at, LABEL, sizeof LABEL - 1);
    at += sizeof LABEL - 1;
    memcpy(at, state->id.data, LOG_HASH_SIZE);
    at += LOG_HASH_SIZE;
    for (unsigned i = 0; i < 8; i++)
        *at++ = (uint8_t)(state->size >> (56 - 8 * i));
    memcpy(at, state->root.data, LOG_HASH_SIZE);
    return EVP_Digest(text, sizeof text, out, NULL, EVP_sha256(), NULL) == 1
               ? 0
               : cofre_fail(err, COFRE_FAILED, "SHA-256 failed");
}

/* What was said */

/* tpm2-tss would print a line of its own for what is malformed. Before there are threads, since it goes by the environment. */
__attribute__((constructor)) static void be_quiet(void)
{
    (void)setenv("TSS2_LOG", "all+none", 0);
}

/* What else a key of this kind signs is not even read. */
static bool is_of_clock(struct view attest)
{
    uint32_t magic;
    uint16_t type;
    size_t at = 0;
    return Tss2_MU_UINT32_Unmarshal(attest.data, attest.len, &at, &magic) == TSS2_RC_SUCCESS &&
           Tss2_MU_UINT16_Unmarshal(attest.data, attest.len, &at, &type) == TSS2_RC_SUCCESS &&
           magic == TPM2_GENERATED_VALUE && type == TPM2_ST_ATTEST_TIME;
}

/* Nothing may be behind it. */
static bool unmarshal(TPMS_ATTEST *out, struct view attest)
{
    size_t at = 0;
    return is_of_clock(attest) &&
           Tss2_MU_TPMS_ATTEST_Unmarshal(attest.data, attest.len, &at, out) == TSS2_RC_SUCCESS &&
           at == attest.len;
}

static int read_attest(struct log_clock *out, TPMS_ATTEST *said, struct view attest, struct cofre_err *err)
{
    *out = (struct log_clock){0};
    *said = (TPMS_ATTEST){0};
    if (!unmarshal(said, attest))
        return cofre_fail(err, COFRE_MALFORMED, "it is no answer of a TPM about its clock");
    const TPMS_TIME_INFO *time = &said->attested.time.time;
    *out = (struct log_clock){.milliseconds = time->clockInfo.clock,
                              .since_start = time->time,
                              .resets = time->clockInfo.resetCount,
                              .restarts = time->clockInfo.restartCount,
                              .safe = time->clockInfo.safe == TPM2_YES};
    return 0;
}

int log_clock_read(struct log_clock *out, struct view attest, struct cofre_err *err)
{
    TPMS_ATTEST said;
    return read_attest(out, &said, attest, err);
}

/* Signatures */

static bool put_number(uint8_t out[static NUMBER_SIZE], const TPM2B_ECC_PARAMETER *number)
{
    if (number->size > NUMBER_SIZE)
        return false;
    memset(out, 0, NUMBER_SIZE);
    memcpy(out + NUMBER_SIZE - number->size, number->buffer, number->size);
    return true;
}

static int check_signature(struct view signature, struct view message, EVP_PKEY *key, struct cofre_err *err)
{
    TPMT_SIGNATURE s = {0};
    uint8_t raw[2 * NUMBER_SIZE];
    size_t at = 0;
    if (Tss2_MU_TPMT_SIGNATURE_Unmarshal(signature.data, signature.len, &at, &s) != TSS2_RC_SUCCESS ||
        at != signature.len || s.sigAlg != TPM2_ALG_ECDSA || s.signature.ecdsa.hash != TPM2_ALG_SHA256 ||
        !put_number(raw, &s.signature.ecdsa.signatureR) ||
        !put_number(raw + NUMBER_SIZE, &s.signature.ecdsa.signatureS))
        return cofre_fail(err, COFRE_MALFORMED, "its signature is no TPM's by ECDSA on P-256 with SHA-256");
    return ecdsa_verify(&ecdsa_p256, raw, key, message, err);
}

static int check_said(const TPMS_ATTEST *said, const struct log_entry *entry, const struct log_hash *id,
                      struct cofre_err *err)
{
    uint8_t due[LOG_HASH_SIZE];
    const struct log_state state = {.size = (uint64_t)entry->size, .root = entry->root, .id = *id};
    int rc = log_clock_qualifying(due, &state, err);
    if (rc == 0 &&
        (said->extraData.size != sizeof due || memcmp(said->extraData.buffer, due, sizeof due) != 0))
        rc = cofre_fail(err, COFRE_NEGATIVE,
                        "the TPM was shown another head than that of %" PRId64 " entries of this log",
                        entry->size);
    return rc;
}

int log_clock_verify(struct log_clock *out, const struct log_entry *entry, const struct log_hash *id,
                     const struct cose_keys *keys, struct cofre_err *err)
{
    TPMS_ATTEST said;
    const struct view attest = {entry->attest.data, entry->attest.len},
                      signature = {entry->signature.data, entry->signature.len};
    const struct cose_key *by =
        cose_keys_find(keys, (struct view){entry->tpm_key.data, sizeof entry->tpm_key.data});
    if (!by)
        return cofre_fail(err, COFRE_NEGATIVE, "it is by another TPM's key than those that are given");
    int rc = read_attest(out, &said, attest, err);
    if (rc == 0)
        rc = check_signature(signature, attest, by->key, err);
    return rc < 0 ? rc : check_said(&said, entry, id, err);
}

int log_clock_keys(struct cose_keys *keys, struct cofre_err *err)
{
    for (size_t i = 0; i < keys->count; i++) {
        struct cose_key *k = &keys->key[i];
        if (!ecdsa_is_key(&ecdsa_p256, k->key))
            return cofre_fail(err, COFRE_MALFORMED, "a TPM's key that signs its clock is one of P-256");
        k->kid_len = COSE_THUMBPRINT_SIZE;
        int rc = cose_key_thumbprint(k->kid, k->key, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int log_clock_entry(struct log_entry *out, const struct log_state *state, const uint8_t *point,
                    struct view attest, struct view signature, struct cofre_err *err)
{
    CLEAN_COSE_KEYS keys = {.count = 1};
    struct log_clock clock;
    *out = (struct log_entry){.kind = LOG_ENTRY_CLOCK, .size = (int64_t)state->size, .root = state->root};
    if (attest.len > sizeof out->attest.data || signature.len > sizeof out->signature.data)
        return cofre_fail(err, COFRE_MALFORMED, "it is longer than a TPM's answer about its clock");
    int rc = ecdsa_key_import(&keys.key[0].key, &ecdsa_p256, point, err);
    if (rc == 0)
        rc = log_clock_keys(&keys, err);
    if (rc < 0)
        return rc;
    memcpy(out->tpm_key.data, keys.key[0].kid, sizeof out->tpm_key.data);
    out->attest.len = (uint8_t)attest.len;
    memcpy(out->attest.data, attest.data, attest.len);
    out->signature.len = (uint8_t)signature.len;
    memcpy(out->signature.data, signature.data, signature.len);
    return log_clock_verify(&clock, out, &state->id, &keys, err);
}

int log_clock_pem(struct bytes *out, struct view before, const uint8_t *point, struct cofre_err *err)
{
    CLEAN(bio) BIO *bio = BIO_new(BIO_s_mem());
    EVP_PKEY *made = NULL;
    uint8_t *data = NULL;
    int rc = ecdsa_key_import(&made, &ecdsa_p256, point, err);
    CLEAN(pkey) EVP_PKEY *key = made;
    if (rc < 0)
        return rc;
    if (!bio || (before.len && BIO_write(bio, before.data, (int)before.len) != (int)before.len) ||
        PEM_write_bio_PUBKEY(bio, key) != 1)
        return cofre_fail(err, COFRE_FAILED, "the TPM's key cannot be written as PEM");
    const long len = BIO_get_mem_data(bio, &data);
    return bytes_copy(out, (struct view){data, (size_t)len}, err);
}

/* In their order */

static bool same_start(const struct log_clock *a, const struct log_clock *b)
{
    return a->resets == b->resets && a->restarts == b->restarts;
}

/* What a TPM without power may lose of its clock it says, by what is not safe. */
static int compare(struct log_clock_course *c, const struct log_clock *now, struct cofre_err *err)
{
    const struct log_clock *last = &c->clock;
    const uint64_t back = now->milliseconds < last->milliseconds ? last->milliseconds - now->milliseconds : 0;
    if (same_start(last, now) && (back || now->since_start < last->since_start))
        return cofre_fail(
            err, COFRE_NEGATIVE,
            "the TPM's clock goes back, and the TPM had not been reset: two times were swapped, or "
            "they are two TPMs'");
    if (back && (now->safe || back > LOG_CLOCK_LOST))
        return cofre_fail(err, COFRE_NEGATIVE,
                          "the TPM's clock goes back by %" PRIu64
                          " seconds: it was cleared, or they are two TPMs'",
                          back / 1000);
    c->set_back += back != 0;
    c->resets += now->resets != last->resets;
    c->restarts += now->resets == last->resets && now->restarts != last->restarts;
    return 0;
}

/* However far: a number with which can be calculated. */
static int64_t seconds_between(uint64_t from, uint64_t to)
{
    const uint64_t seconds = (to > from ? to - from : from - to) / 1000;
    const int64_t bounded = seconds < INT32_MAX ? (int64_t)seconds : INT32_MAX;
    return to > from ? bounded : -bounded;
}

/* A TPM's clock is good to some 15 % (part 1, on the clock's rate), stands still without power, and is read before the entry is written. */
static void note_difference(struct log_clock_course *c, uint64_t number, int64_t time,
                            const struct log_clock *now)
{
    const int64_t host = time - c->time, tpm = seconds_between(c->clock.milliseconds, now->milliseconds);
    const int64_t slack = LOG_CLOCK_PATIENCE + (tpm > 0 ? tpm / 6 : 0);
    const bool more = host > tpm + slack && same_start(&c->clock, now), less = host < tpm - slack;
    if (!more && !less)
        return;
    if (c->differences < LOG_CLOCK_DIFFERENCES)
        c->difference[c->differences] = (struct log_clock_difference){number, host, tpm};
    c->differences++;
}

int log_clock_follow(struct log_clock_course *c, uint64_t number, const struct log_entry *entry,
                     const struct log_clock *clock, struct cofre_err *err)
{
    const uint64_t size = (uint64_t)entry->size;
    int rc = 0;
    if (size == 0 || size > number)
        return cofre_fail(err, COFRE_NEGATIVE,
                          "it is of a head of %" PRIu64 " entries, and stands behind %" PRIu64, size, number);
    if (c->entries && size <= c->number)
        return cofre_fail(err, COFRE_NEGATIVE,
                          "it is of a head that does not have entry %" PRIu64
                          ", the one of its kind before: it is an old one again",
                          c->number);
    if (c->entries) {
        rc = compare(c, clock, err);
        note_difference(c, number, entry->time, clock);
    }
    c->entries++;
    c->number = number;
    c->size = size;
    c->time = entry->time;
    c->clock = *clock;
    return rc;
}

int log_clock_end(const struct log_clock_course *c, int64_t since, int64_t time, struct cofre_err *err)
{
    if (!c->entries)
        return cofre_fail(err, COFRE_NEGATIVE, "no entry of it is a TPM's word on its clock");
    return since < 0 || time - since <= LOG_CLOCK_PATIENCE
               ? 0
               : cofre_fail(err, COFRE_NEGATIVE,
                            "a TPM vouches for its first %" PRIu64
                            " entries alone, and the next one is older than its end by %" PRId64
                            " seconds: the TPM failed, or was not asked",
                            c->size, time - since);
}
