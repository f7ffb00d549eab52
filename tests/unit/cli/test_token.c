/* cofre verify --token and cofre inspect, of tokens and key sets that are made here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "attest/token/token.h"
#include "tests/unit/cli/run.h"

#define AT      1764288000 /* 2025-11-28T00:00:00Z */
#define AT_TEXT " --at 2025-11-28T00:00:10Z"
#define NONCE   "3031323334353637"

/* Results on a guest that passes, one that fails, and one of an emulated platform; "old" has expired. */
static void make_tokens(EVP_PKEY *key)
{
    static const struct {
        const char *name;
        enum check_outcome outcome;
        bool emulated;
        int64_t lifetime;
    } kinds[] = {{"good", CHECK_PASSED, false, 300},
                 {"bad", CHECK_FAILED, false, 300},
                 {"emulated", CHECK_PASSED, true, 300},
                 {"old", CHECK_PASSED, false, 5}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct verdict v = {.tee = "snp",
                            .root = "AMD",
                            .emulated = kinds[i].emulated,
                            .check = {{.id = "snp.measurement", .outcome = kinds[i].outcome},
                                      {.id = "snp.signature", .outcome = CHECK_PASSED},
                                      {.id = "snp.guest_policy.debug", .outcome = CHECK_PASSED}},
                            .count = 3};
        const struct ear_occasion o = {
            .nonce = {(const uint8_t *)"01234567", 8}, .at = AT, .lifetime = kinds[i].lifetime};
        CLEAN_EAR ear = {0};
        CLEAN_BYTES cwt = {0}, jwt = {0};
        char name[32];
        assert_int_equal(ear_make(&ear, &v, &o, NULL), 0);
        assert_int_equal(cwt_sign(&cwt, &ear, key, NULL) + jwt_sign(&jwt, &ear, key, NULL), 0);
        (void)snprintf(name, sizeof name, "%s.cwt", kinds[i].name);
        cli_write(name, bytes_view(&cwt));
        (void)snprintf(name, sizeof name, "%s.jwt", kinds[i].name);
        cli_write(name, bytes_view(&jwt));
    }
}

static void write_keys(const char *cose, const char *jwks, const struct key_set *set)
{
    CLEAN_BYTES one = {0}, two = {0};
    assert_int_equal(key_set_cose(&one, set, AT, NULL) + key_set_jwks(&two, set, AT, NULL), 0);
    cli_write(cose, bytes_view(&one));
    cli_write(jwks, bytes_view(&two));
}

static int setup(void **state)
{
    CLEAN_KEY_SET ours = {0}, others = {0};
    EVP_PKEY *key = NULL, *other = NULL;
    if (cli_setup(state) != 0 || key_generate(&key, "ES384", NULL) < 0 ||
        key_generate(&other, "ES384", NULL) < 0)
        return -1;
    assert_int_equal(key_set_add(&ours, key, KEY_CURRENT, 0, NULL), 0);
    assert_int_equal(key_set_add(&others, other, KEY_CURRENT, 0, NULL), 0);
    make_tokens(key);
    write_keys("keys.cose", "keys.json", &ours);
    write_keys("others.cose", "others.json", &others);
    return 0;
}

static void expect(int code, const char *arguments, const char *said)
{
    int found = cli_run(arguments);
    if (found != code || !strstr(cli_output, said))
        fail_msg("cofre %s: exit code %d, not %d, or does not say \"%s\": %.2000s", arguments, found, code,
                 said, cli_output);
}

static void a_good_token_of_a_known_key_verifies(void **state)
{
    (void)state;
    expect(0, "verify --token good.cwt --keys keys.cose --nonce " NONCE AT_TEXT, "PASS");
    expect(0, "verify --token good.jwt --keys keys.json" AT_TEXT, "PASS");
    expect(0, "verify --token good.jwt --keys keys.cose" AT_TEXT, "PASS");
    expect(0, "verify --token good.cwt --keys keys.json" AT_TEXT, "PASS");
    expect(0, "verify --token - --keys keys.json" AT_TEXT " < good.jwt", "PASS");
}

static void what_does_not_verify_or_is_not_good_is_exit_1(void **state)
{
    (void)state;
    static const struct {
        const char *arguments, *why;
    } cases[] = {
        {"good.%s --keys others.cose" AT_TEXT, "none of the keys"},
        {"good.%s --keys keys.json --nonce 3031323334353638" AT_TEXT, "another nonce"},
        {"good.%s --keys keys.json --at 2025-11-28T00:05:00Z", "expired at 2025-11-28T00:05:00Z"},
        {"good.%s --keys keys.json --at 2025-11-27T23:58:00Z", "after the time of verification"},
        {"old.%s --keys keys.json" AT_TEXT, "expired"},
        {"bad.%s --keys keys.cose" AT_TEXT, "\"fail\""},
        {"emulated.%s --keys keys.cose" AT_TEXT, "This platform is EMULATED"},
    };
    static const char *const forms[] = {"cwt", "jwt"};
    for (size_t i = 0; i < 2 * (sizeof cases / sizeof *cases); i++) {
        char options[160], arguments[200];
        const char *at = strstr(cases[i / 2].arguments, "%s");
        (void)snprintf(options, sizeof options, "%.*s%s%s", (int)(at - cases[i / 2].arguments),
                       cases[i / 2].arguments, forms[i % 2], at + 2);
        (void)snprintf(arguments, sizeof arguments, "verify --token %s", options);
        expect(1, arguments, cases[i / 2].why);
    }
}

static void a_token_of_another_key_is_not_repeated(void **state)
{
    (void)state;
    assert_int_equal(cli_run("verify --json --token good.cwt --keys others.json" AT_TEXT), 1);
    json_t *object = json_loads(cli_output, 0, NULL);
    assert_string_equal(cli_text(object, "verdict"), "fail");
    assert_null(json_object_get(object, "claims"));
    json_decref(object);
    assert_int_equal(cli_run("verify --json --token good.cwt --keys keys.json" AT_TEXT), 0);
    object = json_loads(cli_output, 0, NULL);
    assert_string_equal(cli_text(object, "verdict"), "pass");
    assert_string_equal(cli_text(object, "issued"), "2025-11-28T00:00:00Z");
    assert_string_equal(cli_text(json_object_get(object, "claims"), "ear_status"), "affirming");
    json_decref(object);
}

static void wrong_usage_and_malformed_files_have_their_codes(void **state)
{
    (void)state;
    cli_write("nonsense", (struct view){(const uint8_t *)"nonsense", 8});
    cli_write("empty", (struct view){0});
    expect(2, "verify --token good.cwt", "--keys is missing");
    expect(2, "verify --keys keys.cose", "--token, is missing");
    expect(2,
           "verify --token good.cwt --keys keys.cose --measurement "
           "00",
           "--measurement");
    expect(2, "verify --token good.cwt --token good.cwt --keys keys.cose", "--token is given twice");
    expect(3, "verify --token nonsense --keys keys.cose", "nonsense");
    expect(3, "verify --token empty --keys keys.cose", "empty");
    expect(3, "verify --token good.cwt --keys nonsense", "nonsense");
}

static void tokens_and_keys_are_described(void **state)
{
    (void)state;
    static const struct {
        const char *name, *kind;
    } files[] = {{"good.cwt", "attestation result (CWT)"},
                 {"good.jwt", "attestation result (JWT)"},
                 {"keys.cose", "COSE key set"},
                 {"keys.json", "JSON Web Key Set"}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        json_t *all = cli_inspected(files[i].name);
        assert_string_equal(cli_text(all, "kind"), files[i].kind);
        if (i < 2)
            assert_string_equal(cli_text(json_object_get(all, "claims"), "eat_profile"), EAR_PROFILE);
        else
            assert_string_equal(cli_text(json_array_get(json_object_get(all, "keys"), 0), "algorithm"),
                                "ES384");
        json_decref(all);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_token_of_a_known_key_verifies),
        cmocka_unit_test(what_does_not_verify_or_is_not_good_is_exit_1),
        cmocka_unit_test(a_token_of_another_key_is_not_repeated),
        cmocka_unit_test(wrong_usage_and_malformed_files_have_their_codes),
        cmocka_unit_test(tokens_and_keys_are_described),
    };
    return cmocka_run_group_tests(tests, setup, cli_teardown);
}
