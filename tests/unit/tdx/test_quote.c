/* Quotes from bytes: real ones, and lengths at each boundary. Whether a quote is genuine: tests/unit/attest/test_tdx.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tdx/quote.h"
#include "tests/unit/attest/real_file.h"

#define AUTH_LEN 5
#define CERT_LEN 7

/* A quote with parts of the lengths above, every byte of which is 0x11 where nothing else is said. */
struct made {
    uint8_t bytes[2048];
    size_t len, signature_length, certification, auth_length, pck_certification;
};

static void put(struct made *m, const void *data, size_t len)
{
    if (data)
        memcpy(m->bytes + m->len, data, len);
    else
        memset(m->bytes + m->len, 0x11, len);
    m->len += len;
}

static void put_length(struct made *m, uint32_t value, size_t width)
{
    uint8_t raw[4];
    put_le32(raw, value);
    put(m, raw, width);
}

static void make(struct made *m, unsigned version, unsigned type, size_t body_size)
{
    struct tdx_quote_head head = {.version = {(uint8_t)version}, .key_type = {2}, .tee_type = {TDX_TEE_TYPE}};
    size_t within = sizeof(struct tdx_qe_certification) + 2 + AUTH_LEN + 6 + CERT_LEN;
    m->len = 0;
    put(m, &head, sizeof head);
    if (version == 5) {
        put_length(m, type, 2);
        put_length(m, (uint32_t)body_size, 4);
    }
    put(m, NULL, body_size);
    m->signature_length = m->len;
    put_length(m, (uint32_t)(sizeof(struct tdx_quote_signature) + 6 + within), 4);
    put(m, NULL, sizeof(struct tdx_quote_signature));
    m->certification = m->len;
    put_length(m, TDX_CERTIFICATION_QE_REPORT, 2);
    put_length(m, (uint32_t)within, 4);
    put(m, NULL, sizeof(struct tdx_qe_certification));
    m->auth_length = m->len;
    put_length(m, AUTH_LEN, 2);
    put(m, NULL, AUTH_LEN);
    m->pck_certification = m->len;
    put_length(m, TDX_CERTIFICATION_PCK_CHAIN, 2);
    put_length(m, CERT_LEN, 4);
    put(m, NULL, CERT_LEN);
}

static struct view view_of(const struct made *m)
{
    return (struct view){m->bytes, m->len};
}

static void must_be_refused(const struct made *m, const char *said)
{
    struct tdx_quote q;
    struct cofre_err err = {""};
    assert_int_equal(tdx_quote_parse(&q, view_of(m), &err), -COFRE_MALFORMED);
    if (!strstr(err.text, said))
        fail_msg("\"%s\" does not say \"%s\"", err.text, said);
}

static const struct {
    unsigned version, type;
    size_t size;
} kinds[] = {{4, TDX_BODY_10, 584}, {5, TDX_BODY_10, 584}, {5, TDX_BODY_15, 648}, {5, TDX_BODY_15_EX, 885}};
#define KINDS (sizeof kinds / sizeof *kinds)

static void every_kind_is_taken_apart(void **state)
{
    (void)state;
    for (size_t i = 0; i < KINDS; i++) {
        struct made m;
        struct tdx_quote q;
        make(&m, kinds[i].version, kinds[i].type, kinds[i].size);
        assert_true(tdx_quote_recognises(view_of(&m)));
        assert_int_equal(tdx_quote_parse(&q, view_of(&m), NULL), 0);
        assert_int_equal(q.version, kinds[i].version);
        assert_int_equal(q.body_type, kinds[i].type);
        assert_int_equal(q.body_size, kinds[i].size);
        assert_int_equal(q.signed_bytes.len, 48 + (kinds[i].version == 5 ? 6 : 0) + kinds[i].size);
        assert_ptr_equal((const uint8_t *)q.body + q.body_size, q.signed_bytes.data + q.signed_bytes.len);
        assert_ptr_equal(q.signature, m.bytes + m.signature_length + 4);
        assert_ptr_equal(q.qe, m.bytes + m.certification + 6);
        assert_ptr_equal(q.qe_auth_data.data, m.bytes + m.auth_length + 2);
        assert_int_equal(q.qe_auth_data.len, AUTH_LEN);
        assert_int_equal(q.certification_type, TDX_CERTIFICATION_PCK_CHAIN);
        assert_ptr_equal(q.certification.data, m.bytes + m.pck_certification + 6);
        assert_int_equal(q.certification.len, CERT_LEN);
        assert_int_equal(q.trailing.len, 0);
        assert_int_equal(tdx_quote_body_has(&q, tee_tcb_svn_2), kinds[i].type >= TDX_BODY_15);
        assert_int_equal(tdx_quote_body_has(&q, mrservicetd), kinds[i].type >= TDX_BODY_15);
        assert_int_equal(tdx_quote_body_has(&q, td_id), kinds[i].type >= TDX_BODY_15_EX);
    }
}

static void every_cut_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < KINDS; i++) {
        struct made m;
        make(&m, kinds[i].version, kinds[i].type, kinds[i].size);
        for (size_t len = m.len; len-- > 0;) {
            m.len = len;
            must_be_refused(&m, "quote");
        }
    }
}

static void bytes_behind_the_end_are_told(void **state)
{
    (void)state;
    struct made m;
    struct tdx_quote q;
    make(&m, 4, TDX_BODY_10, 584);
    size_t end = m.len;
    put(&m, "behind", 6);
    assert_int_equal(tdx_quote_parse(&q, view_of(&m), NULL), 0);
    assert_ptr_equal(q.trailing.data, m.bytes + end);
    assert_int_equal(q.trailing.len, 6);
}

/* One byte more or less in a length of a part that another part bounds. */
static void lengths_that_do_not_fit_together_are_refused(void **state)
{
    (void)state;
    struct made m;
    for (int by = -1; by <= 1; by += 2) {
        make(&m, 4, TDX_BODY_10, 584);
        put_le32(m.bytes + m.signature_length, le32(m.bytes + m.signature_length) + (uint32_t)by);
        must_be_refused(&m, by < 0 ? "certification data" : "signature section");
        make(&m, 4, TDX_BODY_10, 584);
        put_le32(m.bytes + m.certification + 2, le32(m.bytes + m.certification + 2) + (uint32_t)by);
        must_be_refused(&m, "certification data");
        make(&m, 4, TDX_BODY_10, 584);
        put_le16(m.bytes + m.auth_length, (uint16_t)(AUTH_LEN + by));
        must_be_refused(&m, "PCK certification data");
        make(&m, 4, TDX_BODY_10, 584);
        put_le32(m.bytes + m.pck_certification + 2, (uint32_t)(CERT_LEN + by));
        must_be_refused(&m, "PCK certification data");
        make(&m, 5, TDX_BODY_15, 648);
        put_le32(m.bytes + 50, (uint32_t)(648 + by));
        must_be_refused(&m, "body");
    }
    static const uint32_t extremes[] = {0, 0x7fffffff, 0x80000000, 0xffffffff};
    for (size_t i = 0; i < 4; i++) {
        make(&m, 4, TDX_BODY_10, 584);
        put_le32(m.bytes + m.signature_length, extremes[i]);
        must_be_refused(&m, "signature");
        make(&m, 4, TDX_BODY_10, 584);
        put_le32(m.bytes + m.pck_certification + 2, extremes[i]);
        must_be_refused(&m, "PCK certification data");
    }
}

static void other_kinds_are_refused_by_name(void **state)
{
    (void)state;
    struct made m;
    make(&m, 3, 0, 584);
    must_be_refused(&m, "version 3");
    make(&m, 6, 0, 584);
    must_be_refused(&m, "version 6");
    make(&m, 4, TDX_BODY_10, 584);
    m.bytes[4] = 0; /* an SGX enclave's */
    assert_false(tdx_quote_recognises(view_of(&m)));
    must_be_refused(&m, "TEE type 0");
    static const unsigned types[] = {0, 1, 5, 0xffff};
    for (size_t i = 0; i < 4; i++) {
        make(&m, 5, types[i], 648);
        must_be_refused(&m, "type");
    }
    make(&m, 4, TDX_BODY_10, 584);
    put_le16(m.bytes + m.certification, TDX_CERTIFICATION_PCK_CHAIN);
    must_be_refused(&m, "type 5");
    struct tdx_quote q;
    CLEAN_BYTES huge = {0};
    make(&m, 4, TDX_BODY_10, 584);
    assert_int_equal(bytes_alloc(&huge, TDX_QUOTE_MAX + 1, NULL), 0);
    memcpy(huge.data, m.bytes, m.len);
    assert_int_equal(tdx_quote_parse(&q, bytes_view(&huge), NULL), -COFRE_MALFORMED);
    assert_int_equal(tdx_quote_parse(&q, (struct view){huge.data, TDX_QUOTE_MAX}, NULL), 0);
}

static void real_quotes_are_taken_apart(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        unsigned version;
        size_t trailing;
    } quotes[] = {{"tdx/a-tdx_prod_quote_SPR_E4.dat", 4, 39},
                  {"tdx/a-quote_v5_sample.dat", 5, 0},
                  {"tdx/a-ccel-cos-113-tdx-quote.dat", 4, 3065},
                  {"tdx/b-quote.dat", 4, 70},
                  {"tdx/c-quote-v4.dat", 4, 0}};
    for (size_t i = 0; i < sizeof quotes / sizeof *quotes; i++) {
        CLEAN_BYTES file = {0};
        struct tdx_quote q;
        NEED_REAL(&file, quotes[i].name);
        assert_int_equal(tdx_quote_parse(&q, bytes_view(&file), NULL), 0);
        assert_int_equal(q.version, quotes[i].version);
        assert_int_equal(q.trailing.len, quotes[i].trailing);
        assert_int_equal(q.certification_type, TDX_CERTIFICATION_PCK_CHAIN);
        assert_memory_equal(q.head->qe_vendor_id, tdx_quote_intel_qe, 16);
        assert_memory_equal(q.certification.data, "-----BEGIN CERTIFICATE-----", 27);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_is_taken_apart),
        cmocka_unit_test(every_cut_is_refused),
        cmocka_unit_test(bytes_behind_the_end_are_told),
        cmocka_unit_test(lengths_that_do_not_fit_together_are_refused),
        cmocka_unit_test(other_kinds_are_refused_by_name),
        cmocka_unit_test(real_quotes_are_taken_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
