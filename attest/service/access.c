#include "attest/service/access.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <strings.h>

#include "attest/store/credential.h"

static const struct {
    const char *word;
    enum role role;
} roles[] = {{"submit", ROLE_SUBMIT},     {"read", ROLE_READ},      {"values", ROLE_VALUES},
             {"policies", ROLE_POLICIES}, {"audit", ROLE_AUDIT},    {"administer", ROLE_ADMINISTER},
             {"keys", ROLE_KEYS},         {"approve", ROLE_APPROVE}};

int access_roles_parse(unsigned *out, const char *text, struct cofre_err *err)
{
    *out = 0;
    while (*text) {
        const size_t len = strcspn(text, " ");
        unsigned found = 0;
        for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
            if (strlen(roles[i].word) == len && memcmp(roles[i].word, text, len) == 0)
                found = roles[i].role;
        if (!found)
            return cofre_fail(err, COFRE_USAGE,
                              "\"%.*s\" is no role; there are submit, read, values, policies, audit, "
                              "administer, keys and approve",
                              (int)(len < 32 ? len : 32), text);
        *out |= found;
        text += len + (text[len] == ' ');
    }
    return 0;
}

int access_name_check(const char *name, const char *what, struct cofre_err *err)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    const size_t len = strlen(name);
    if (len == 0 || len > ACCESS_NAME_MAX || strspn(name, allowed) != len || *name == '.' || *name == '-')
        return cofre_fail(
            err, COFRE_USAGE,
            "%s: a name has 1 to %d letters, digits, '.', '_' and '-', and begins with none of '.' and '-'",
            what, ACCESS_NAME_MAX);
    return 0;
}

void access_token_digest(uint8_t out[static 32], const char *token)
{
    (void)EVP_Digest(token, strlen(token), out, NULL, EVP_sha256(), NULL);
}

static int take(void *context, const struct credential *c, struct cofre_err *err)
{
    struct caller *caller = context;
    (void)snprintf(caller->name, sizeof caller->name, "%s", c->name);
    (void)snprintf(caller->scope, sizeof caller->scope, "%s", c->scope);
    return access_roles_parse(&caller->roles, c->roles, err) < 0 ? -COFRE_FAILED : 0;
}

static const char *bearer_token(const struct request *request)
{
    static const char scheme[] = "Bearer ";
    const char *given = request_header(request, "Authorization");
    return given && strncasecmp(given, scheme, sizeof scheme - 1) == 0 ? given + sizeof scheme - 1 : given;
}

/* A token that is shown counts, and a certificate where none is. */
int access_identify(struct caller *out, struct db *db, const struct request *request, unsigned anybody,
                    int64_t now, struct cofre_err *err)
{
    uint8_t digest[32];
    unsigned len;
    const char *token = bearer_token(request);
    X509 *cert = token ? NULL : request_certificate(request);
    *out = (struct caller){.name = "anybody", .roles = anybody};
    if (token)
        access_token_digest(digest, token);
    else if (cert && X509_digest(cert, EVP_sha256(), digest, &len) != 1)
        return cofre_fail(err, COFRE_FAILED, "the client's certificate has no digest");
    else if (!cert)
        return 0;
    out->known = true;
    return credential_find(db, (struct view){digest, sizeof digest}, now, take, out, err);
}
