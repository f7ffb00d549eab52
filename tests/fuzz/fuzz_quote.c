/* Quotes and TDREPORTs from anybody. What is taken apart lies in the input, in its order, and leaves no byte over. */
#include <string.h>

#include "tdx/quote.h"
#include "tdx/report.h"
#include "tests/fuzz/fuzz.h"

static bool is_within(const void *part, size_t len, struct view whole)
{
    const uint8_t *p = part;
    return p >= whole.data && len <= whole.len && (size_t)(p - whole.data) <= whole.len - len;
}

static void check_quote(const struct tdx_quote *quote, struct view raw)
{
    FUZZ_CHECK(quote->version >= TDX_QUOTE_VERSION_MIN && quote->version <= TDX_QUOTE_VERSION_MAX);
    FUZZ_CHECK(quote->body_size == tdx_quote_body_size(quote->body_type));
    FUZZ_CHECK(quote->version == 5 || quote->body_type == TDX_BODY_10);
    FUZZ_CHECK(is_within(quote->head, sizeof *quote->head, raw));
    FUZZ_CHECK(is_within(quote->body, quote->body_size, raw));
    FUZZ_CHECK(is_within(quote->signature, sizeof *quote->signature, raw));
    FUZZ_CHECK(is_within(quote->qe, sizeof *quote->qe, raw));
    FUZZ_CHECK(!quote->qe_auth_data.len || is_within(quote->qe_auth_data.data, quote->qe_auth_data.len, raw));
    FUZZ_CHECK(!quote->certification.len ||
               is_within(quote->certification.data, quote->certification.len, raw));
    FUZZ_CHECK(quote->signed_bytes.data == raw.data);
    FUZZ_CHECK(quote->signed_bytes.data + quote->signed_bytes.len ==
               (const uint8_t *)quote->body + quote->body_size);
    FUZZ_CHECK(quote->trailing.len < raw.len);
    FUZZ_CHECK(!quote->trailing.len || quote->trailing.data + quote->trailing.len == raw.data + raw.len);
    FUZZ_CHECK(tdx_quote_body_has(quote, report_data));
    FUZZ_CHECK(tdx_quote_body_has(quote, mrservicetd) == (quote->body_type != TDX_BODY_10));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view raw = {data, size};
    struct tdx_quote quote;
    struct tdx_report report;
    struct cofre_err err = {""};
    if (tdx_quote_parse(&quote, raw, &err) == 0) {
        FUZZ_CHECK(tdx_quote_recognises(raw));
        check_quote(&quote, raw);
    } else {
        FUZZ_CHECK(*err.text);
    }
    if (tdx_report_parse(&report, raw, &err) == 0) {
        FUZZ_CHECK(size == sizeof report && memcmp(&report, data, size) == 0);
        FUZZ_CHECK(tdx_report_check(&report, &err) < 0 || tdx_report_recognises(raw));
    }
    return 0;
}

static size_t put(uint8_t *out, size_t at, const void *data, size_t len)
{
    memcpy(out + at, data, len);
    return at + len;
}

static size_t put_certification(uint8_t *out, size_t at, unsigned type, size_t len)
{
    struct tdx_certification_head head;
    put_le16(head.type, (uint16_t)type);
    put_le32(head.size, (uint32_t)len);
    return put(out, at, &head, sizeof head);
}

static size_t seed_quote(uint8_t *out, unsigned version, unsigned body_type)
{
    static const char pem[] = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    static const uint8_t auth[32] = {1, 2, 3};
    struct tdx_quote_head head = {.key_type = {2}, .tee_type = {TDX_TEE_TYPE}};
    struct tdx_quote_body body = {.tee_tcb_svn = {3}, .td_attributes = {0, 0, 0, 0x10}};
    struct tdx_quote_signature signature = {.signature = {7}};
    struct tdx_qe_certification qe = {.report_signature = {8}};
    size_t at, inner = sizeof qe + 2 + sizeof auth + sizeof(struct tdx_certification_head) + sizeof pem;
    put_le16(head.version, (uint16_t)version);
    memcpy(head.qe_vendor_id, tdx_quote_intel_qe, sizeof head.qe_vendor_id);
    at = put(out, 0, &head, sizeof head);
    if (version == 5)
        at = put_certification(out, at, body_type, tdx_quote_body_size(body_type));
    at = put(out, at, &body, tdx_quote_body_size(body_type));
    put_le32(out + at, (uint32_t)(sizeof signature + sizeof(struct tdx_certification_head) + inner));
    at = put(out, at + 4, &signature, sizeof signature);
    at = put_certification(out, at, TDX_CERTIFICATION_QE_REPORT, inner);
    at = put(out, at, &qe, sizeof qe);
    put_le16(out + at, sizeof auth);
    at = put(out, at + 2, auth, sizeof auth);
    at = put_certification(out, at, TDX_CERTIFICATION_PCK_CHAIN, sizeof pem);
    return put(out, at, pem, sizeof pem);
}

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    struct tdx_report report = {.mac = {.type = TDX_TEE_TYPE}};
    struct tdx_quote quote;
    size_t len = 0;
    if (index < 4) {
        len = seed_quote(out, index ? 5 : 4, index ? TDX_BODY_10 + index - 1 : TDX_BODY_10);
        FUZZ_CHECK(tdx_quote_parse(&quote, (struct view){out, len}, NULL) == 0);
    } else if (index == 4) {
        len = put(out, 0, &report, sizeof report);
    }
    return len;
}
