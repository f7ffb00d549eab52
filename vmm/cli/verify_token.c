#include "vmm/cli/verify_token.h"

#include <stdio.h>

#include "vmm/base/json.h"
#include "vmm/base/timestamp.h"

/* {"verdict", "why", "token": ...}: of a token that does not verify nothing is repeated. */
static json_t *describe(const struct ear *ear, bool genuine, const char *why)
{
    char issued[TIME_TEXT_SIZE], expires[TIME_TEXT_SIZE];
    json_t *object =
        json_pack("{s:s, s:s}", "verdict", *why ? "fail" : "pass", "why",
                  *why ? why : "a key of the set signed the token, it is of now, and its result is good");
    if (!genuine)
        return object;
    time_format(issued, ear->issued);
    time_format(expires, ear->expires);
    json_object_set_new(object, "issued", json_string(issued));
    json_object_set_new(object, "expires", json_string(expires));
    json_object_set_new(object, "claims", ear_json(ear));
    return object;
}

static void print_people(const struct ear *ear, const char *why)
{
    char issued[TIME_TEXT_SIZE], expires[TIME_TEXT_SIZE];
    CLEAN_JSON *claims = ear_json(ear);
    time_format(issued, ear->issued);
    time_format(expires, ear->expires);
    printf("Attestation result by %s %s, issued at %s, good until %s\n", ear->developer, ear->build, issued,
           expires);
    for (size_t i = 0; i < ear->submods; i++)
        if (ear->submod[i].emulated)
            puts("This platform is EMULATED: it gives no confidentiality. Its host reads everything in the "
                 "guest.");
    puts("\nClaims");
    claims_print(claims, stdout);
    printf("\nVerdict: %s%s.\n",
           *why ? "FAIL: " : "PASS: a key of the set signed the token, and its result is good", why);
}

int verify_token(struct view token, const struct cose_keys *keys, struct view nonce, int64_t at, bool json,
                 struct cofre_err *err)
{
    CLEAN_EAR ear = {0};
    struct cofre_err why = {""};
    int rc = token_verify(&ear, token, keys, &why);
    if (rc < 0 && rc != -COFRE_NEGATIVE)
        return cofre_fail(err, (enum cofre_error) - rc, "%s", why.text);
    bool genuine = rc == 0;
    if (rc == 0)
        rc = ear_check(&ear, at, nonce, &why);
    if (rc == 0)
        rc = ear_check_result(&ear, &why);
    CLEAN_JSON *object = describe(&ear, genuine, rc < 0 ? why.text : "");
    if (json && (!object || json_dumpf(object, stdout, JSON_INDENT(2)) < 0 || putchar('\n') == EOF))
        return cofre_fail(err, COFRE_FAILED, "the verdict could not be written");
    if (!json && genuine)
        print_people(&ear, rc < 0 ? why.text : "");
    if (fflush(stdout) != 0 || ferror(stdout))
        return cofre_fail(err, COFRE_FAILED, "the verdict could not be written");
    return rc < 0 && !json && !genuine ? cofre_fail(err, COFRE_NEGATIVE, "%s", why.text) : rc;
}
