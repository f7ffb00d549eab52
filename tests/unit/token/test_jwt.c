#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jose/b64.h>
#include <openssl/evp.h>

#include "attest/token/jwk.h"
#include "attest/token/token.h"
#include "tests/unit/token/made_verdict.h"
#include "vmm/base/json.h"

static EVP_PKEY *p256, *p384;

static int make_keys(void **state)
{
    (void)state;
    return key_generate(&p256, "ES256", NULL) + key_generate(&p384, "ES384", NULL);
}

static int free_keys(void **state)
{
    (void)state;
    EVP_PKEY_free(p256);
    EVP_PKEY_free(p384);
    return 0;
}

static void publish(struct cose_keys *out, EVP_PKEY *key)
{
    CLEAN_JSON *jwk = jwk_of_key(key);
    *out = (struct cose_keys){.count = 1};
    assert_int_equal(jwk_read(&out->key[0], jwk, NULL), 0);
}

static void what_is_signed_is_read_back(void **state)
{
    (void)state;
    static const char *const tees[] = {"snp", "tdx"};
    EVP_PKEY *const keys[] = {p256, p384};
    for (int i = 0; i < 4; i++) {
        CLEAN_EAR ear = {0}, read = {0}, parsed = {0};
        CLEAN_BYTES token = {0}, line = {0};
        CLEAN_COSE_KEYS published = {0}, other = {0};
        made_ear(&ear, tees[i / 2]);
        publish(&published, keys[i % 2]);
        publish(&other, keys[1 - i % 2]);
        assert_int_equal(jwt_sign(&token, &ear, keys[i % 2], NULL), 0);
        assert_true(jwt_recognises(bytes_view(&token)));
        assert_int_equal(token_verify(&read, bytes_view(&token), &published, NULL), 0);
        CLEAN_JSON *one = ear_json(&ear), *two = ear_json(&read);
        assert_true(one && json_equal(one, two));
        assert_int_equal(bytes_alloc(&line, token.len + 2, NULL), 0);
        memcpy(line.data, token.data, token.len);
        memcpy(line.data + token.len, "\r\n", 2);
        assert_int_equal(jwt_parse(&parsed, bytes_view(&line), NULL), 0);
        ear_free(&read);
        assert_int_equal(jwt_verify(&read, bytes_view(&token), &other, NULL), -COFRE_NEGATIVE);
        assert_int_equal(read.submods, 0);
    }
}

/* The same result in both forms, and by the key set of the other form. */
static void both_forms_say_the_same(void **state)
{
    (void)state;
    CLEAN_EAR ear = {0}, by_jwt = {0}, by_cwt = {0};
    CLEAN_BYTES jwt = {0}, cwt = {0};
    CLEAN_COSE_KEYS published = {0};
    made_ear(&ear, "tdx");
    publish(&published, p384);
    assert_int_equal(jwt_sign(&jwt, &ear, p384, NULL), 0);
    assert_int_equal(cwt_sign(&cwt, &ear, p384, NULL), 0);
    assert_int_equal(token_verify(&by_jwt, bytes_view(&jwt), &published, NULL), 0);
    assert_int_equal(token_verify(&by_cwt, bytes_view(&cwt), &published, NULL), 0);
    CLEAN_JSON *one = ear_json(&by_jwt), *two = ear_json(&by_cwt);
    assert_true(one && json_equal(one, two));
}

static void a_changed_character_is_noticed(void **state)
{
    (void)state;
    CLEAN_EAR ear = {0};
    CLEAN_BYTES token = {0};
    CLEAN_COSE_KEYS published = {0};
    made_ear(&ear, "snp");
    publish(&published, p384);
    assert_int_equal(jwt_sign(&token, &ear, p384, NULL), 0);
    for (size_t i = 0; i < token.len; i++) {
        CLEAN_EAR read = {0};
        uint8_t was = token.data[i];
        token.data[i] = was == 'A' ? 'B' : 'A';
        if (jwt_verify(&read, bytes_view(&token), &published, NULL) == 0)
            fail_msg("character %zu", i);
        token.data[i] = was;
    }
}

/* A token with this header and these claims, signed by the key of P-256. */
static void sign_text(struct bytes *out, const char *header, const char *claims)
{
    uint8_t signature[64];
    size_t room = 2 * (strlen(header) + strlen(claims)) + 256;
    assert_int_equal(bytes_alloc(out, room, NULL), 0);
    size_t len = jose_b64_enc_buf(header, strlen(header), out->data, room);
    out->data[len++] = '.';
    len += jose_b64_enc_buf(claims, strlen(claims), out->data + len, room - len);
    assert_int_equal(ecdsa_sign(signature, &ecdsa_p256, p256, (struct view){out->data, len}, NULL), 0);
    out->data[len++] = '.';
    len += jose_b64_enc_buf(signature, sizeof signature, out->data + len, room - len);
    out->len = len;
}

static int verify_text(const char *header, const char *claims, struct cofre_err *err)
{
    CLEAN_BYTES token = {0};
    CLEAN_COSE_KEYS published = {0};
    CLEAN_EAR read = {0};
    publish(&published, p256);
    sign_text(&token, header, claims);
    return jwt_verify(&read, bytes_view(&token), &published, err);
}

#define HEADER "{\"alg\":\"ES256\"}"
#define CLAIMS(more)                                                                                         \
    "{\"eat_profile\":\"tag:ietf.org,2026:rats/"                                                             \
    "ear#04\",\"iat\":1,\"exp\":2,\"ear_verifier_id\":{\"developer\":\"d\",\"build\":\"b\"}" more "}"
#define SUBMOD(in)   CLAIMS(",\"submods\":{\"m\":{" in "}}")
#define GOOD         SUBMOD("\"ear_status\":\"none\"")
#define WITH(header) "{\"alg\":\"ES256\"," header "}"

static void the_least_token_of_somebody_else_is_read(void **state)
{
    (void)state;
    struct cofre_err err = {""};
    if (verify_text(HEADER, GOOD, &err) < 0)
        fail_msg("%s", err.text);
}

static void headers_that_are_not_accepted_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *header, *why;
        int rc;
    } cases[] = {
        {"{\"alg\":\"none\"}", "\"none\"", -COFRE_MALFORMED},
        {"{\"alg\":\"None\"}", "\"None\"", -COFRE_MALFORMED},
        {"{\"alg\":\"HS256\"}", "HS256", -COFRE_MALFORMED},
        {"{\"alg\":\"RS256\"}", "RS256", -COFRE_MALFORMED},
        {"{\"alg\":\"ES512\"}", "ES512", -COFRE_MALFORMED},
        {"{\"alg\":\"ES384\"}", "has 64 bytes", -COFRE_MALFORMED},
        {"{\"alg\":null}", "algorithm", -COFRE_MALFORMED},
        {"{\"typ\":\"JWT\"}", "algorithm", -COFRE_MALFORMED},
        {"{\"alg\":\"ES256\",\"alg\":\"ES256\"}", "duplicate", -COFRE_MALFORMED},
        {"[]", "no JWT", -COFRE_MALFORMED},
        {WITH("\"crit\":[\"exp\"],\"exp\":1"), "\"crit\"", -COFRE_MALFORMED},
        {WITH("\"crit\":[]"), "\"crit\"", -COFRE_MALFORMED},
        {WITH("\"b64\":false"), "\"b64\"", -COFRE_MALFORMED},
        {WITH("\"jwk\":{}"), "\"jwk\"", -COFRE_MALFORMED},
        {WITH("\"jku\":\"https://a.example\""), "\"jku\"", -COFRE_MALFORMED},
        {WITH("\"x5u\":\"https://a.example\""), "\"x5u\"", -COFRE_MALFORMED},
        {WITH("\"x5c\":[]"), "\"x5c\"", -COFRE_MALFORMED},
        {WITH("\"kid\":\"another\""), "none of the keys", -COFRE_NEGATIVE},
        {WITH("\"kid\":\"\""), "none of the keys", -COFRE_NEGATIVE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cofre_err err = {""};
        if (verify_text(cases[i].header, GOOD, &err) != cases[i].rc || !strstr(err.text, cases[i].why))
            fail_msg("%s: \"%s\"", cases[i].header, err.text);
    }
}

static void claims_that_are_not_what_they_should_be_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *claims, *named;
    } cases[] = {
        {"{}", "eat_profile"},
        {"{\"eat_profile\":\"tag:github.com,2023:veraison/ear\"}", "eat_profile"},
        {CLAIMS(""), "submods"},
        {CLAIMS(",\"submods\":{}"), "submods"},
        {CLAIMS(",\"submods\":[]"), "submods"},
        {CLAIMS(",\"submods\":{\"m\":1}"), "submodule m"},
        {CLAIMS(",\"submods\":{\"\":{\"ear_status\":\"none\"}}"), "name"},
        {CLAIMS(",\"submods\":{\"1\":{},\"2\":{},\"3\":{},\"4\":{},\"5\":{},\"6\":{},\"7\":{},\"8\":{},\"9\":"
                "{}}"),
         "submods"},
        {SUBMOD(""), "ear_status is missing"},
        {SUBMOD("\"ear_status\":2"), "ear_status"},
        {SUBMOD("\"ear_status\":\"good\""), "ear_status"},
        {SUBMOD("\"ear_status\":\"affirming\",\"ear_trustworthiness_vector\":{}"),
         "ear_trustworthiness_vector"},
        {SUBMOD("\"ear_status\":\"affirming\",\"ear_trustworthiness_vector\":{\"hardware\":\"2\"}"),
         "ear_trustworthiness_vector"},
        {SUBMOD("\"ear_status\":\"affirming\",\"ear_trustworthiness_vector\":{\"hardware\":128}"),
         "hardware"},
        {SUBMOD("\"ear_status\":\"affirming\",\"ear_trustworthiness_vector\":{\"hardware\":-129}"),
         "hardware"},
        {SUBMOD("\"ear_status\":\"affirming\",\"ear_trustworthiness_vector\":{\"hardware\":0}"),
         "better than its hardware"},
        {SUBMOD("\"ear_status\":\"none\",\"ear_appraisal_policy_ids\":[]"), "ear_appraisal_policy_ids"},
        {SUBMOD("\"ear_status\":\"none\",\"ear_appraisal_policy_ids\":[1]"), "ear_appraisal_policy_ids"},
        {SUBMOD("\"ear_status\":\"none\",\"ear_appraisal_policy_ids\":[\"\"]"), "ear_appraisal_policy_ids"},
        {SUBMOD("\"ear_status\":\"none\",\"eat_nonce\":\"AAAA\""), "eat_nonce"},
        {SUBMOD("\"ear_status\":\"none\",\"eat_nonce\":\"AAAAAAAAAA=\""), "eat_nonce"},
        {SUBMOD("\"ear_status\":\"none\",\"eat_nonce\":\"AAAAAAAAAAB\""), "base64url"},
        {SUBMOD("\"ear_status\":\"none\",\"eat_nonce\":[\"AAAAAAAAAAA\"]"), "eat_nonce"},
        {SUBMOD("\"ear_status\":\"none\",\"ear_verifier_claims\":{\"cofre_emulated\":0}"), "cofre_emulated"},
        {SUBMOD("\"ear_status\":\"none\",\"ear_verifier_claims\":[]"), "ear_verifier_claims"},
        {CLAIMS(",\"iss\":\"\""), "iss"},
        {"{\"eat_profile\":\"tag:ietf.org,2026:rats/ear#04\",\"iat\":1.5,\"exp\":2}", "iat"},
        {"{\"eat_profile\":\"tag:ietf.org,2026:rats/ear#04\",\"iat\":1}", "exp is missing"},
        {"{\"eat_profile\":\"tag:ietf.org,2026:rats/ear#04\",\"iat\":1,\"exp\":9223372036854775807}", "exp"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cofre_err err = {""};
        if (verify_text(HEADER, cases[i].claims, &err) != -COFRE_MALFORMED ||
            !strstr(err.text, cases[i].named))
            fail_msg("%s: \"%s\"", cases[i].claims, err.text);
    }
}

static void text_that_is_no_token_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "eyJ9",
                                        "eyJ9.e30",
                                        "eyJ9.e30.",
                                        "eyJ9..",
                                        "eyJ9.e30.AA.AA",
                                        "eyJ9.e30.A=",
                                        "eyJ9. e30.AA",
                                        "ey!.e30.AA",
                                        "eyJhbGciOiJFUzI1NiJ9.e30.AB",
                                        "eyJhbGciOiJFUzI1NiJ9.e30.A"};
    CLEAN_COSE_KEYS published = {0};
    publish(&published, p256);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        CLEAN_EAR read = {0};
        struct cofre_err err = {""};
        struct view text = {(const uint8_t *)texts[i], strlen(texts[i])};
        if (jwt_verify(&read, text, &published, &err) != -COFRE_MALFORMED || !*err.text)
            fail_msg("%s: %s", texts[i], err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_signed_is_read_back),
        cmocka_unit_test(both_forms_say_the_same),
        cmocka_unit_test(a_changed_character_is_noticed),
        cmocka_unit_test(the_least_token_of_somebody_else_is_read),
        cmocka_unit_test(headers_that_are_not_accepted_are_named),
        cmocka_unit_test(claims_that_are_not_what_they_should_be_are_named),
        cmocka_unit_test(text_that_is_no_token_is_refused),
    };
    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
