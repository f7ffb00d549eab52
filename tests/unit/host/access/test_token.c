/* Access tokens: good ones, and every way of forging one that is known. */
#include "tests/unit/host/access/check.h"

#include <fcntl.h>
#include <jose/b64.h>
#include <jose/jwk.h>
#include <jose/jws.h>
#include <jose/openssl.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attest/token/jwk.h"
#include "tests/unit/host/access/made.h"
#include "tests/unit/host/access/signed.h"
#include "vmm/base/clean_openssl.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"
#include "vmm/base/json.h"
#include "vmm/host/access/token.h"

#define ISSUER "https://login.example/realm"
#define CLAIMS                                                                                               \
    "'iss': 'https://login.example/realm', 'aud': 'cofred', 'sub': 'ann-17', 'exp': 1800000300, 'iat': "     \
    "1799999990"

static json_t *ec, *rsa, *other; /* whole keys */
static struct token_keys published;
static struct access_issuer corp = {
    .name = "corp", .issuer = ISSUER, .audience = "cofred", .groups = "groups", .skew = 60};

static char *set_text(void)
{
    CLEAN_JSON *set = json_pack("{s:[o,o]}", "keys", signed_public(ec), signed_public(rsa));
    return json_dumps(set, 0);
}

static int make_keys(void **state)
{
    (void)state;
    ec = signed_generate("{'kty': 'EC', 'crv': 'P-256', 'kid': 'first'}");
    rsa = signed_generate("{'kty': 'RSA', 'bits': 2048, 'kid': 'second'}");
    other = signed_generate("{'kty': 'EC', 'crv': 'P-256', 'kid': 'first'}");
    CLEAN_FREE char *text = set_text();
    return token_keys_read(&published, (struct view){(const uint8_t *)text, strlen(text)}, NULL);
}

static int free_keys(void **state)
{
    (void)state;
    json_decref(ec);
    json_decref(rsa);
    json_decref(other);
    token_keys_free(&published);
    return 0;
}

static int check(struct access_caller *caller, const char *token, struct cofre_err *err)
{
    *err = (struct cofre_err){""};
    int rc = token_check(caller, (struct view){(const uint8_t *)token, strlen(token)}, &corp, &published, NOW,
                         err);
    assert_true((rc == 0) == (caller->own == 1));
    assert_true(rc == 0 || (caller->principals == 0 && *err->text));
    return rc;
}

static void a_good_token_says_who_and_in_which_groups(void **state)
{
    struct access_caller caller;
    struct cofre_err err;
    CLEAN_FREE char *a = signed_sign("{'alg': 'ES256', 'kid': 'first'}",
                                     "{" CLAIMS ", 'groups': ['ops', '/admins', 'bad name', 7]}", ec);
    CLEAN_FREE char *b =
        signed_sign("{'alg': 'RS256', 'kid': 'second', 'typ': 'at+jwt'}", "{" CLAIMS "}", rsa);
    CLEAN_FREE char *c = signed_sign("{'alg': 'PS384'}", "{" CLAIMS "}", rsa);
    (void)state;
    if (check(&caller, a, &err) < 0)
        fail_msg("%s", err.text);
    assert_string_equal(access_caller_name(&caller), "oidc:corp:ann-17");
    assert_int_equal(caller.principals, 3);
    assert_string_equal(caller.principal[1].text, "group:corp:ops");
    assert_string_equal(caller.principal[2].text, "group:corp:/admins");
    assert_int_equal(check(&caller, b, &err), 0);
    assert_int_equal(check(&caller, c, &err), 0);
}

static void claims_that_are_not_for_us_or_of_now_are_refused(void **state)
{
#define SAYS(iss, aud, exp) "'iss': '" iss "', 'aud': " aud ", 'sub': 'ann-17', 'exp': " exp
    static const struct {
        const char *claims, *reason; /* reason NULL: accepted */
    } cases[] = {
        {"{" SAYS(ISSUER, "['x', 'cofred']", "1800000300") "}", NULL},
        {"{" SAYS(ISSUER, "'cofred'", "1799999941") "}", NULL},
        {"{" SAYS(ISSUER, "'cofred'", "1800000300.5") "}", NULL},
        {"{" SAYS(ISSUER, "'cofred'", "1799999940") "}", "expired"},
        {"{" SAYS(ISSUER, "'cofred'", "'1800000300'") "}", "does not say when"},
        {"{" SAYS(ISSUER, "'cofred'", "-1") "}", "does not say when"},
        {"{" SAYS(ISSUER, "'cofred'", "1e300") "}", "does not say when"},
        {"{" SAYS(ISSUER, "'cofred'", "null") "}", "does not say when"},
        {"{" SAYS(ISSUER "/", "'cofred'", "1800000300") "}", "is not of"},
        {"{" SAYS("https://login.example", "'cofred'", "1800000300") "}", "is not of"},
        {"{" SAYS(ISSUER, "'cofred2'", "1800000300") "}", "somebody else"},
        {"{" SAYS(ISSUER, "['x', ['cofred']]", "1800000300") "}", "somebody else"},
        {"{" SAYS(ISSUER, "[]", "1800000300") "}", "somebody else"},
        {"{" SAYS(ISSUER, "{'cofred': 1}", "1800000300") "}", "somebody else"},
        {"{" CLAIMS ", 'nbf': 1800000060}", NULL},
        {"{" CLAIMS ", 'nbf': 1800000061}", "nbf"},
        {"{" CLAIMS ", 'nbf': 'now'}", "nbf"},
        {"{'iss': '" ISSUER "', 'aud': 'cofred', 'sub': 'a', 'exp': 1800000300, 'iat': 1800000061}", "iat"},
        {"{'iss': '" ISSUER "', 'aud': 'cofred', 'exp': 1800000300}", "nothing that stands behind"},
        {"{'iss': '" ISSUER "', 'aud': 'cofred', 'sub': 7, 'exp': 1800000300}", "nothing that stands behind"},
        {"{'iss': '" ISSUER "', 'aud': 'cofred', 'sub': '', 'exp': 1800000300}",
         "nothing that stands behind"},
        {"{'iss': '" ISSUER "', 'aud': 'cofred', 'sub': 'a b', 'exp': 1800000300}",
         "nothing that stands behind"},
        {"{'iss': '" ISSUER "', 'aud': 'cofred', 'sub': 'a\\nuid:0', 'exp': 1800000300}",
         "nothing that stands behind"},
        {"{" CLAIMS ", 'groups': 'ops'}", "no list"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct access_caller caller;
        struct cofre_err err;
        CLEAN_FREE char *token = signed_sign("{'alg': 'ES256', 'kid': 'first'}", cases[i].claims, ec);
        int rc = check(&caller, token, &err);
        if ((rc == 0) != !cases[i].reason || (cases[i].reason && !strstr(err.text, cases[i].reason)))
            fail_msg("case %zu, %s: %d, %s", i, cases[i].claims, rc, err.text);
    }
}

static void more_groups_than_are_looked_at_are_refused(void **state)
{
    struct access_caller caller;
    struct cofre_err err;
    char claims[2048] = "{" CLAIMS ", 'groups': ['g'";
    (void)state;
    for (int i = 1; i < ACCESS_GROUPS_MAX; i++)
        strcat(claims, ", 'g'");
    const size_t len = strlen(claims);
    strcat(claims, "]}");
    CLEAN_FREE char *most = signed_sign("{'alg': 'ES256', 'kid': 'first'}", claims, ec);
    assert_int_equal(check(&caller, most, &err), 0);
    assert_int_equal(caller.principals, 1 + ACCESS_GROUPS_MAX);
    (void)snprintf(claims + len, sizeof claims - len, ", 'denied']}");
    CLEAN_FREE char *more = signed_sign("{'alg': 'ES256', 'kid': 'first'}", claims, ec);
    assert_int_equal(check(&caller, more, &err), -COFRE_NEGATIVE);
}

static void headers_that_choose_how_they_are_read_are_refused(void **state)
{
    static const struct {
        const char *header, *reason;
    } cases[] = {
        {"{'alg': 'ES256', 'kid': 'first', 'jwk': {'kty': 'EC'}}", "\"jwk\""},
        {"{'alg': 'ES256', 'kid': 'first', 'jku': 'https://evil.example/k'}", "\"jku\""},
        {"{'alg': 'ES256', 'kid': 'first', 'x5u': 'https://evil.example/k'}", "\"x5u\""},
        {"{'alg': 'ES256', 'kid': 'first', 'x5c': ['MA==']}", "\"x5c\""},
        {"{'alg': 'ES256', 'kid': 'first', 'zip': 'DEF'}", "\"zip\""},
        {"{'alg': 'ES256', 'kid': 'first', 'cty': 'JWT'}", "another within"},
        {"{'alg': 'ES256', 'kid': 'first', 'typ': 'eat+jwt'}", "type"},
        {"{'alg': 'ES256', 'kid': 'first', 'typ': 'JWE'}", "type"},
        {"{'alg': 'ES256', 'kid': 'first', 'typ': 7}", "type"},
        {"{'alg': 'ES256', 'kid': 7}", "kid is no text"},
        {"{'alg': 'ES256', 'kid': '../../dev/null'}", "none of corp's keys"},
        {"{'alg': 'ES256', 'kid': 'first OR 1=1'}", "none of corp's keys"},
        {"{'alg': 'ES256', 'kid': ''}", "none of corp's keys"},
        {"{'alg': 'ES256', 'kid': 'second'}", "none of corp's keys"},
        {"{'alg': 'ES256', 'kid': 'FIRST'}", "none of corp's keys"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct access_caller caller;
        struct cofre_err err;
        CLEAN_FREE char *token = signed_sign(cases[i].header, "{" CLAIMS "}", ec);
        assert_true(check(&caller, token, &err) < 0);
        if (!strstr(err.text, cases[i].reason))
            fail_msg("%s: %s", cases[i].header, err.text);
    }
}

static void no_algorithm_but_a_signature_by_the_key_counts(void **state)
{
    CLEAN_FREE char *good = signed_sign("{'alg': 'ES256', 'kid': 'first'}", "{" CLAIMS "}", ec);
    const char *signature = strrchr(good, '.') + 1;
    static const char *const headers[] = {"{'alg': 'none'}",
                                          "{'alg': 'None', 'kid': 'first'}",
                                          "{'alg': 'nOnE'}",
                                          "{'kid': 'first'}",
                                          "{'alg': null, 'kid': 'first'}",
                                          "{'alg': 'HS256', 'kid': 'first'}",
                                          "{'alg': 'HS512', 'kid': 'second'}",
                                          "{'alg': 'ES512', 'kid': 'first'}",
                                          "{'alg': 'RS256', 'kid': 'first'}",
                                          "{'alg': 'ES256', 'kid': 'second'}",
                                          "{'alg': 'ES384', 'kid': 'first'}",
                                          "{'alg': 'RS1', 'kid': 'second'}",
                                          "{'alg': 'dir'}",
                                          "{'alg': 'ES256 ', 'kid': 'first'}",
                                          "{'alg': ['ES256'], 'kid': 'first'}"};
    struct access_caller caller;
    struct cofre_err err;
    (void)state;
    assert_int_equal(check(&caller, good, &err), 0);
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        CLEAN_FREE char *token = signed_none(headers[i], "{" CLAIMS "}", signature);
        CLEAN_FREE char *empty = signed_none(headers[i], "{" CLAIMS "}", "");
        if (check(&caller, token, &err) == 0 || check(&caller, empty, &err) == 0)
            fail_msg("%s was accepted", headers[i]);
    }
}

/* The classic: the public key, which everybody has, as the secret of a MAC. */
static void a_mac_with_the_public_key_is_no_signature(void **state)
{
    CLEAN_JSON *public = signed_public(rsa);
    CLEAN_FREE char *text = json_dumps(public, JSON_COMPACT);
    CLEAN_JSON *k = jose_b64_enc(text, strlen(text));
    CLEAN_JSON *oct = json_pack("{s:s, s:O, s:s}", "kty", "oct", "k", k, "kid", "second");
    struct access_caller caller;
    struct cofre_err err;
    (void)state;
    CLEAN_FREE char *token = signed_sign("{'alg': 'HS256', 'kid': 'second'}", "{" CLAIMS "}", oct);
    assert_int_equal(check(&caller, token, &err), -COFRE_MALFORMED);
    assert_non_null(strstr(err.text, "HS256"));
}

static void another_key_of_the_same_name_does_not_sign(void **state)
{
    struct access_caller caller;
    struct cofre_err err;
    (void)state;
    CLEAN_FREE char *token = signed_sign("{'alg': 'ES256', 'kid': 'first'}", "{" CLAIMS "}", other);
    assert_int_equal(check(&caller, token, &err), -COFRE_NEGATIVE);
    CLEAN_FREE char *nameless = signed_sign("{'alg': 'ES256'}", "{" CLAIMS "}", other);
    assert_int_equal(check(&caller, nameless, &err), -COFRE_NEGATIVE);
}

static void no_changed_byte_is_accepted(void **state)
{
    struct access_caller caller;
    struct cofre_err err;
    CLEAN_FREE char *good = signed_sign("{'alg': 'ES256', 'kid': 'first'}", "{" CLAIMS "}", ec);
    (void)state;
    for (size_t i = 0; good[i]; i++) {
        const char was = good[i];
        good[i] = was == 'A' ? 'B' : 'A';
        assert_true(check(&caller, good, &err) < 0);
        good[i] = '.';
        assert_true(was == '.' || check(&caller, good, &err) < 0);
        good[i] = was;
    }
    assert_int_equal(check(&caller, good, &err), 0);
}

static void what_is_too_large_or_no_token_is_refused(void **state)
{
    static char huge[2 * TOKEN_MAX];
    static const char *const texts[] = {"",
                                        ".",
                                        "..",
                                        "e",
                                        "ey",
                                        "ey.ey.ey",
                                        "ey.ey.ey.ey.ey",
                                        "Bearer ey.ey.ey",
                                        "eyJhbGciOiJub25lIn0.e30.",
                                        "eyJhbGciOiJub25lIn0..",
                                        "\xff\xfe"};
    struct access_caller caller;
    struct cofre_err err;
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_true(check(&caller, texts[i], &err) < 0);
    memset(huge, 'a', sizeof huge - 1);
    memcpy(huge, "ey", 2);
    huge[10] = huge[20] = '.';
    assert_int_equal(check(&caller, huge, &err), -COFRE_MALFORMED);
    assert_non_null(strstr(err.text, "16384"));
    char deep[600];
    (void)snprintf(deep, sizeof deep, "{" CLAIMS ", 'groups': [[[[[[[[[[[[[[[]]]]]]]]]]]]]]]}");
    CLEAN_FREE char *nested = signed_sign("{'alg': 'ES256', 'kid': 'first'}", deep, ec);
    assert_true(check(&caller, nested, &err) < 0);
}

static void an_algorithm_that_the_configuration_leaves_out_is_refused(void **state)
{
    struct access_caller caller;
    struct cofre_err err;
    CLEAN_FREE char *es = signed_sign("{'alg': 'ES256', 'kid': 'first'}", "{" CLAIMS "}", ec);
    CLEAN_FREE char *rs = signed_sign("{'alg': 'RS256', 'kid': 'second'}", "{" CLAIMS "}", rsa);
    (void)state;
    assert_int_equal(token_algorithms_parse(&corp.algorithms, "RS256 PS256", &err), 0);
    assert_true(check(&caller, es, &err) < 0);
    assert_int_equal(check(&caller, rs, &err), 0);
    assert_int_equal(token_algorithms_parse(&corp.algorithms, "RS256 none", &err), -COFRE_USAGE);
    assert_int_equal(token_algorithms_parse(&corp.algorithms, "HS256", &err), -COFRE_USAGE);
    corp.algorithms = 0;
}

static json_t *short_rsa(void)
{
    CLEAN_JOSE *cfg = quiet_jose();
    CLEAN(pkey) EVP_PKEY *key = EVP_RSA_gen(1024);
    CLEAN_JSON *jwk = jose_openssl_jwk_from_EVP_PKEY(cfg, key);
    return signed_public(jwk);
}

static void key_sets_that_are_none_are_refused(void **state)
{
    CLEAN_JSON *weak_public = short_rsa(), *public = signed_public(ec);
    CLEAN_JSON *off = json_deep_copy(public), *weak_set = json_pack("{s:[O]}", "keys", weak_public);
    (void)json_object_set(off, "y", json_object_get(off, "x"));
    CLEAN_JSON *off_set = json_pack("{s:[O]}", "keys", off),
               *private_set = json_pack("{s:[O,O]}", "keys", public, ec);
    CLEAN_JSON *encrypts = json_deep_copy(public);
    (void)json_object_set_new(encrypts, "use", json_string("enc"));
    CLEAN_JSON *enc_set = json_pack("{s:[O]}", "keys", encrypts), *none = made_json("{'keys': []}"),
               *no = made_json("{'keys': {}}"),
               *oct = made_json("{'keys': [{'kty': 'oct', 'k': 'c2VjcmV0'}]}");
    const struct {
        const json_t *set;
        const char *reason;
    } cases[] = {{weak_set, "1024 bits"},   {off_set, "is none"}, {private_set, "private or secret"},
                 {enc_set, "no key"},       {none, "no key"},     {no, "no JSON Web"},
                 {oct, "private or secret"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct token_keys keys;
        struct cofre_err err = {""};
        CLEAN_FREE char *text = json_dumps(cases[i].set, 0);
        assert_int_equal(token_keys_read(&keys, (struct view){(const uint8_t *)text, strlen(text)}, &err),
                         -COFRE_MALFORMED);
        assert_int_equal(keys.count, 0);
        if (!strstr(err.text, cases[i].reason))
            fail_msg("case %zu: %s", i, err.text);
    }
}

/* A key set's file as issuers leave it: replaced, broken, gone, too old. */
static void a_key_file_is_read_again_when_it_changes(void **state)
{
    struct access_issuer issuer = corp;
    struct token_key_file file = {0};
    struct cofre_err err;
    char folder[] = "/tmp/cofre-keys-XXXXXX";
    CLEAN_FREE char *whole = set_text();
    CLEAN_JSON *one = json_pack("{s:[o]}", "keys", signed_public(rsa));
    CLEAN_FREE char *only = json_dumps(one, 0);
    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(issuer.key_file, sizeof issuer.key_file, "%s/keys", folder);
    assert_int_equal(token_key_file_renew(&file, &issuer, NOW, &err), -COFRE_LACKING);
    assert_int_equal(
        file_write(issuer.key_file, (struct view){(const uint8_t *)whole, strlen(whole)}, 0600, &err), 0);
    assert_int_equal(token_key_file_renew(&file, &issuer, NOW, &err), 0);
    assert_int_equal(file.keys.count, 2);
    assert_int_equal(
        file_write(issuer.key_file, (struct view){(const uint8_t *)only, strlen(only)}, 0600, &err), 0);
    assert_int_equal(token_key_file_renew(&file, &issuer, NOW, &err), 0);
    assert_int_equal(file.keys.count, 1);
    assert_int_equal(file_write(issuer.key_file, (struct view){(const uint8_t *)"{", 1}, 0600, &err), 0);
    assert_int_equal(token_key_file_renew(&file, &issuer, NOW, &err), -COFRE_LACKING);
    assert_int_equal(file.keys.count, 0);
    assert_int_equal(
        file_write(issuer.key_file, (struct view){(const uint8_t *)whole, strlen(whole)}, 0600, &err), 0);
    (void)snprintf(issuer.key_url, sizeof issuer.key_url, "https://login.example/keys");
    struct stat st;
    assert_int_equal(stat(issuer.key_file, &st), 0);
    assert_int_equal(token_key_file_renew(&file, &issuer, st.st_mtim.tv_sec + TOKEN_KEYS_AGE, &err), 0);
    assert_int_equal(token_key_file_renew(&file, &issuer, st.st_mtim.tv_sec + TOKEN_KEYS_AGE + 1, &err),
                     -COFRE_LACKING);
    assert_int_equal(file.keys.count, 0);
    token_key_file_free(&file);
    assert_int_equal(unlink(issuer.key_file), 0);
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_token_says_who_and_in_which_groups),
        cmocka_unit_test(claims_that_are_not_for_us_or_of_now_are_refused),
        cmocka_unit_test(more_groups_than_are_looked_at_are_refused),
        cmocka_unit_test(headers_that_choose_how_they_are_read_are_refused),
        cmocka_unit_test(no_algorithm_but_a_signature_by_the_key_counts),
        cmocka_unit_test(a_mac_with_the_public_key_is_no_signature),
        cmocka_unit_test(another_key_of_the_same_name_does_not_sign),
        cmocka_unit_test(no_changed_byte_is_accepted),
        cmocka_unit_test(what_is_too_large_or_no_token_is_refused),
        cmocka_unit_test(an_algorithm_that_the_configuration_leaves_out_is_refused),
        cmocka_unit_test(key_sets_that_are_none_are_refused),
        cmocka_unit_test(a_key_file_is_read_again_when_it_changes),
    };
    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
