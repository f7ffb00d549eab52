#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "attest/evidence.h"
#include "sev/abi.h"
#include "tdx/quote.h"
#include "vmm/base/json.h"

static int parse(struct evidence *out, const char *text, struct cofre_err *err)
{
    return evidence_parse(out, (struct view){(const uint8_t *)text, strlen(text)}, err);
}

static void make(struct evidence *out)
{
    *out = (struct evidence){.tee = "snp"};
    assert_int_equal(bytes_alloc(&out->report, sizeof(struct snp_report), NULL), 0);
    for (size_t i = 0; i < out->report.len; i++)
        out->report.data[i] = (uint8_t)(i * 7);
    assert_int_equal(bytes_copy(&out->certificates, (struct view){(const uint8_t *)"table", 5}, NULL), 0);
    assert_int_equal(bytes_copy(&out->nonce, (struct view){(const uint8_t *)"nonce", 5}, NULL), 0);
}

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    CLEAN_EVIDENCE in = {0}, out = {0};
    CLEAN_BYTES file = {0};
    make(&in);
    assert_int_equal(evidence_write(&file, &in, NULL), 0);
    assert_true(evidence_recognises(bytes_view(&file)));
    assert_int_equal(evidence_parse(&out, bytes_view(&file), NULL), 0);
    assert_int_equal(out.form, EVIDENCE_JSON);
    assert_string_equal(out.tee, "snp");
    assert_true(view_equal(bytes_view(&in.report), bytes_view(&out.report)));
    assert_true(view_equal(bytes_view(&in.certificates), bytes_view(&out.certificates)));
    assert_true(view_equal(bytes_view(&in.nonce), bytes_view(&out.nonce)));
}

/* What is told from other bytes by its header; whether a quote is whole is the appraisal's matter. */
static void make_quote(struct evidence *out)
{
    struct tdx_quote_head head = {.version = {4}, .key_type = {2}, .tee_type = {TDX_TEE_TYPE}};
    *out = (struct evidence){.tee = "tdx"};
    assert_int_equal(bytes_alloc(&out->report, 1300, NULL), 0);
    memcpy(out->report.data, &head, sizeof head);
    assert_int_equal(bytes_copy(&out->event_log, (struct view){(const uint8_t *)"log", 3}, NULL), 0);
    assert_int_equal(bytes_copy(&out->nonce, (struct view){(const uint8_t *)"nonce", 5}, NULL), 0);
}

static void a_quote_and_its_event_log_are_read_back(void **state)
{
    (void)state;
    CLEAN_EVIDENCE in = {0}, out = {0}, raw = {0}, hex = {0};
    CLEAN_BYTES file = {0};
    char digits[2 * 1300 + 1];
    make_quote(&in);
    assert_int_equal(evidence_write(&file, &in, NULL), 0);
    assert_int_equal(evidence_parse(&out, bytes_view(&file), NULL), 0);
    assert_string_equal(out.tee, "tdx");
    assert_true(view_equal(bytes_view(&in.report), bytes_view(&out.report)));
    assert_true(view_equal(bytes_view(&in.event_log), bytes_view(&out.event_log)));
    assert_true(view_equal(bytes_view(&in.nonce), bytes_view(&out.nonce)));
    assert_true(evidence_recognises(bytes_view(&in.report)));
    assert_int_equal(evidence_parse(&raw, bytes_view(&in.report), NULL), 0);
    assert_string_equal(raw.tee, "tdx");
    assert_int_equal(raw.form, EVIDENCE_RAW);
    hex_encode(digits, in.report.data, in.report.len);
    assert_int_equal(evidence_parse(&hex, (struct view){(const uint8_t *)digits, strlen(digits)}, NULL), 0);
    assert_string_equal(hex.tee, "tdx");
    assert_int_equal(hex.form, EVIDENCE_HEX);
    assert_true(view_equal(bytes_view(&in.report), bytes_view(&hex.report)));
}

/* No TEE's evidence passes for the other's, and none has the other's members. */
static void evidence_is_of_the_tee_that_it_names(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        CLEAN_EVIDENCE e = {0}, out = {0};
        CLEAN_BYTES file = {0};
        struct cofre_err err = {""};
        if (i % 2)
            make(&e);
        else
            make_quote(&e);
        if (i < 2)
            e.tee = i % 2 ? "tdx" : "snp";
        else
            assert_int_equal(bytes_copy(i % 2 ? &e.event_log : &e.certificates,
                                        (struct view){(const uint8_t *)"x", 1}, NULL),
                             0);
        assert_int_equal(evidence_write(&file, &e, NULL), 0);
        assert_int_equal(evidence_parse(&out, bytes_view(&file), &err), -COFRE_MALFORMED);
        assert_true(strlen(err.text) > 10);
    }
}

static void raw_and_hexadecimal_reports_are_read(void **state)
{
    (void)state;
    CLEAN_EVIDENCE in = {0};
    make(&in);
    char digits[2 * sizeof(struct snp_report) + 1], text[3 * sizeof(struct snp_report)];
    hex_encode(digits, in.report.data, in.report.len);
    size_t n = 0;
    for (size_t i = 0; digits[i]; i++) { /* broken into lines */
        text[n++] = digits[i];
        if (i % 60 == 59)
            text[n++] = '\n';
    }
    text[n] = 0;
    const struct view forms[] = {
        bytes_view(&in.report), {(uint8_t *)digits, strlen(digits)}, {(uint8_t *)text, strlen(text)}};
    for (size_t i = 0; i < 3; i++) {
        CLEAN_EVIDENCE out = {0};
        assert_true(evidence_recognises(forms[i]));
        assert_int_equal(evidence_parse(&out, forms[i], NULL), 0);
        assert_int_equal(out.form, i ? EVIDENCE_HEX : EVIDENCE_RAW);
        assert_true(view_equal(bytes_view(&in.report), bytes_view(&out.report)));
    }
}

static void other_lengths_are_no_report(void **state)
{
    (void)state;
    static uint8_t data[4096];
    struct evidence out;
    for (size_t len = 0; len < sizeof data; len++)
        if (len != sizeof(struct snp_report))
            assert_int_equal(evidence_parse(&out, (struct view){data, len}, NULL), -COFRE_MALFORMED);
    memset(data, '0', sizeof data);
    for (size_t len = 0; len < sizeof data; len++)
        if (len != 2 * sizeof(struct snp_report) && len != sizeof(struct snp_report))
            assert_int_equal(evidence_parse(&out, (struct view){data, len}, NULL), -COFRE_MALFORMED);
}

static void files_that_are_wrong_are_refused_with_a_sentence(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{}",
        "{\"cofre_evidence\": 2, \"tee\": \"snp\", \"report\": \"\"}",
        "{\"cofre_evidence\": \"1\", \"tee\": \"snp\", \"report\": \"\"}",
        "{\"cofre_evidence\": 1, \"report\": \"\"}",
        "{\"cofre_evidence\": 1, \"tee\": \"tdx\", \"report\": \"\"}",
        "{\"cofre_evidence\": 1, \"tee\": \"snp\"}",
        "{\"cofre_evidence\": 1, \"tee\": \"snp\", \"report\": 5}",
        "{\"cofre_evidence\": 1, \"tee\": \"snp\", \"report\": \"AAAA\"}",
        "{\"cofre_evidence\": 1, \"tee\": \"snp\", \"report\": \"AAA\"}",
        "{\"cofre_evidence\": 1, \"tee\": \"snp\", \"report\": \"AA=A\"}",
        "{\"cofre_evidence\": 1, \"tee\": \"snp\", \"report\": \"\", \"nonce\": \"0\"}",
        "{\"cofre_evidence\": 1, \"tee\": \"snp\", \"report\": \"\", \"measurement\": \"00\"}",
        "{\"cofre_evidence\": 1, \"cofre_evidence\": 1, \"tee\": \"snp\", \"report\": \"\"}",
        "{\"cofre_evidence\": 1, \"tee\": \"snp\", \"report\": \"\"} ",
        "{\"cofre_evidence\": 1, \"tee\": \"snp\", \"report\": \"\"}}",
        "{\"cofre_evidence\": {\"a\": {\"a\": {\"a\": {\"a\": {\"a\": {\"a\": {\"a\": {\"a\": 1}}}}}}}}}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct evidence out;
        struct cofre_err err = {""};
        assert_int_equal(parse(&out, texts[i], &err), -COFRE_MALFORMED);
        assert_true(strlen(err.text) > 10);
        assert_null(out.report.data);
    }
}

static void members_are_bounded(void **state)
{
    (void)state;
    CLEAN_EVIDENCE e = {0};
    CLEAN_BYTES file = {0};
    make(&e);
    bytes_free(&e.certificates);
    assert_int_equal(bytes_alloc(&e.certificates, EVIDENCE_CERTIFICATES_MAX, NULL), 0);
    assert_int_equal(evidence_write(&file, &e, NULL), 0);
    bytes_free(&file);
    e.certificates.len++;
    assert_int_equal(evidence_write(&file, &e, NULL), -COFRE_MALFORMED);
    e.certificates.len--;
    CLEAN_EVIDENCE quote = {0};
    make_quote(&quote);
    bytes_free(&quote.event_log);
    assert_int_equal(bytes_alloc(&quote.event_log, EVIDENCE_EVENT_LOG_MAX, NULL), 0);
    assert_int_equal(evidence_write(&file, &quote, NULL), 0);
    assert_true(file.len <= EVIDENCE_FILE_MAX); /* what may be written may be read */
    bytes_free(&file);
    quote.event_log.len++;
    assert_int_equal(evidence_write(&file, &quote, NULL), -COFRE_MALFORMED);
    quote.event_log.len--;
    static uint8_t huge[EVIDENCE_FILE_MAX + 1];
    struct evidence out;
    memset(huge, ' ', sizeof huge);
    assert_int_equal(evidence_parse(&out, (struct view){huge, sizeof huge}, NULL), -COFRE_MALFORMED);
}

static void base64_has_one_form(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "A", "AA", "AAA", "AB==", "AAB=", "A===", "====", " AAA", "AAA\n", "AA\nA", "A-_A", "AA==AAAA"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct bytes out;
        if (base64_decode(&out, 100, wrong[i], NULL) != -COFRE_MALFORMED)
            fail_msg("\"%s\" is taken for base64", wrong[i]);
    }
    for (size_t len = 0; len < 50; len++) {
        uint8_t data[50];
        memset(data, (int)(len * 37), sizeof data);
        CLEAN_BYTES out = {0};
        char *text = NULL;
        assert_int_equal(base64_encode(&text, (struct view){data, len}, NULL), 0);
        assert_int_equal(base64_decode(&out, len, text, NULL), 0);
        assert_true(view_equal(bytes_view(&out), (struct view){data, len}));
        if (len)
            assert_int_equal(base64_decode(&(struct bytes){0}, len - 1, text, NULL), -COFRE_MALFORMED);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(a_quote_and_its_event_log_are_read_back),
        cmocka_unit_test(evidence_is_of_the_tee_that_it_names),
        cmocka_unit_test(raw_and_hexadecimal_reports_are_read),
        cmocka_unit_test(other_lengths_are_no_report),
        cmocka_unit_test(files_that_are_wrong_are_refused_with_a_sentence),
        cmocka_unit_test(members_are_bounded),
        cmocka_unit_test(base64_has_one_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
