#include "vmm/host/access/identity.h"

#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

#include "vmm/base/bytes.h"
#include "vmm/base/clean_openssl.h"
#include "vmm/base/number.h"
#include "vmm/host/access/access.h"

/* Kinds */

bool access_is_name(const char *text)
{
    static const char ends[] = "abcdefghijklmnopqrstuvwxyz0123456789", inner[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
    const size_t len = strlen(text);
    return len >= 1 && len <= 63 && strspn(text, inner) == len && strchr(ends, text[0]) && strchr(ends, text[len - 1]);
}

static bool is_common_name(const char *text)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@-";
    const size_t len = strlen(text);
    return len >= 1 && len <= ACCESS_CN_MAX && strspn(text, allowed) == len;
}

static bool is_key(const char *text)
{
    return strlen(text) == 2 * ACCESS_KEY_SIZE && strspn(text, "0123456789abcdef") == 2 * ACCESS_KEY_SIZE;
}

/* One text for each number. */
static bool is_number(const char *text)
{
    uint64_t n;
    char again[16];
    if (strlen(text) > 10 || strspn(text, "0123456789") != strlen(text) ||
        number_parse(&n, text, "", 0, UINT32_MAX - 1, NULL) < 0)
        return false;
    (void)snprintf(again, sizeof again, "%u", (unsigned)n);
    return strcmp(again, text) == 0;
}

/* "ISSUER:" and 1 to 255 visible characters of ASCII, as OpenID Connect Core 1.0 bounds a subject (section 2). */
static bool is_issuers(const char *text)
{
    char issuer[64];
    const char *colon = strchr(text, ':');
    if (!colon || (size_t)(colon - text) >= sizeof issuer)
        return false;
    (void)snprintf(issuer, sizeof issuer, "%.*s", (int)(colon - text), text);
    size_t len = 0;
    for (const char *c = colon + 1; *c; c++, len++)
        if (*c < 0x21 || *c > 0x7e)
            return false;
    return access_is_name(issuer) && len >= 1 && len <= 255;
}

static const struct {
    const char *prefix;
    bool (*check)(const char *value);
} kinds[ACCESS_KINDS] = {
    [ACCESS_USER] = {"user:", access_is_name}, [ACCESS_CERT] = {"cert:", is_common_name},
    [ACCESS_KEY] = {"key:", is_key},           [ACCESS_UID] = {"uid:", is_number},
    [ACCESS_OIDC] = {"oidc:", is_issuers},     [ACCESS_GID] = {"gid:", is_number},
    [ACCESS_GROUP] = {"group:", is_issuers},
};

int access_principal_make(struct access_principal *out, enum access_kind kind, const char *value,
                          struct cofre_err *err)
{
    if (!kinds[kind].check(value))
        return cofre_fail(err, COFRE_MALFORMED, "\"%.80s\" is nothing that stands behind \"%s\"", value, kinds[kind].prefix);
    out->kind = kind;
    (void)snprintf(out->text, sizeof out->text, "%s%s", kinds[kind].prefix, value);
    return 0;
}

int access_principal_parse(struct access_principal *out, const char *text, struct cofre_err *err)
{
    for (enum access_kind kind = 0; kind < ACCESS_KINDS; kind++) {
        const size_t len = strlen(kinds[kind].prefix);
        if (strncmp(text, kinds[kind].prefix, len) == 0)
            return access_principal_make(out, kind, text + len, err) < 0 ? -COFRE_USAGE : 0;
    }
    return cofre_fail(err, COFRE_USAGE,
                      "\"%.80s\" is nobody: user:NAME, cert:NAME, key:HEX, uid:N, gid:N, oidc:ISSUER:SUBJECT and "
                      "group:ISSUER:NAME are",
                      text);
}

/* Certificates */

int access_peer_certificate(struct access_peer *peer, X509 *certificate, struct cofre_err *err)
{
    const X509_NAME *subject = X509_get_subject_name(certificate);
    const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    peer->has_certificate = false;
    if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0)
        return cofre_fail(err, COFRE_MALFORMED, "the client's certificate has %s common name",
                          at < 0 ? "no" : "more than one");
    const ASN1_STRING *cn = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
    const int type = ASN1_STRING_type(cn), len = ASN1_STRING_length(cn);
    const char *text = (const char *)ASN1_STRING_get0_data(cn);
    if ((type != V_ASN1_UTF8STRING && type != V_ASN1_PRINTABLESTRING) || len < 1 || len > ACCESS_CN_MAX ||
        memchr(text, 0, (size_t)len))
        return cofre_fail(err, COFRE_MALFORMED, "the common name of the client's certificate is not 1 to %d characters",
                          ACCESS_CN_MAX);
    (void)snprintf(peer->cn, sizeof peer->cn, "%.*s", len, text);
    if (!is_common_name(peer->cn))
        return cofre_fail(err, COFRE_MALFORMED,
                          "the common name of the client's certificate has other characters than letters, digits and ._@-");
    unsigned size = 0;
    unsigned char *key = NULL;
    const int key_len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &key);
    const bool good = key_len > 0 && EVP_Digest(key, (size_t)key_len, peer->key, &size, EVP_sha256(), NULL) == 1;
    OPENSSL_free(key);
    if (!good || size != ACCESS_KEY_SIZE)
        return cofre_fail(err, COFRE_FAILED, "the key of the client's certificate has no digest");
    peer->has_certificate = true;
    return 0;
}

/* Callers */

const char *access_caller_name(const struct access_caller *caller)
{
    return caller->own ? caller->principal[0].text : "nobody";
}

bool access_caller_is(const struct access_caller *caller, const char *principal)
{
    for (size_t i = 0; i < caller->principals; i++)
        if (strcmp(caller->principal[i].text, principal) == 0)
            return true;
    return false;
}

bool access_callers_meet(const struct access_caller *caller, const char *const *names, size_t count)
{
    for (size_t i = 0; i < caller->own; i++)
        for (size_t j = 0; j < count; j++)
            if (strcmp(caller->principal[i].text, names[j]) == 0)
                return true;
    return false;
}

int access_caller_settle(struct access_caller *caller, const struct access_config *config, struct cofre_err *err)
{
    const char *user = NULL;
    for (size_t i = 0; i < caller->own; i++)
        for (size_t j = 0; j < config->mappings; j++) {
            if (strcmp(config->mapping[j].identity.text, caller->principal[i].text) != 0)
                continue;
            if (user && strcmp(user, config->mapping[j].user) != 0)
                return cofre_fail(err, COFRE_NEGATIVE, "%s is %s's, and its key is %s's",
                                  caller->principal[0].text, user, config->mapping[j].user);
            user = config->mapping[j].user;
        }
    if (!user)
        return 0;
    memmove(&caller->principal[1], &caller->principal[0], caller->principals * sizeof *caller->principal);
    caller->own++;
    caller->principals++;
    return access_principal_make(&caller->principal[0], ACCESS_USER, user, err);
}

static int add(struct access_caller *caller, enum access_kind kind, const char *value, struct cofre_err *err)
{
    int rc = access_principal_make(&caller->principal[caller->principals], kind, value, err);
    if (rc == 0)
        caller->principals++;
    return rc;
}

static int over_unix(struct access_caller *caller, const struct access_peer *peer, struct cofre_err *err)
{
    char number[16];
    (void)snprintf(caller->from, sizeof caller->from, "pid %d", (int)peer->pid);
    (void)snprintf(number, sizeof number, "%u", (unsigned)peer->uid);
    int rc = add(caller, ACCESS_UID, number, err);
    caller->own = caller->principals;
    (void)snprintf(number, sizeof number, "%u", (unsigned)peer->gid);
    return rc < 0 ? rc : add(caller, ACCESS_GID, number, err);
}

static int over_tls(struct access_caller *caller, const struct access_peer *peer, struct cofre_err *err)
{
    char key[2 * ACCESS_KEY_SIZE + 1];
    (void)snprintf(caller->from, sizeof caller->from, "%.*s", (int)sizeof peer->address - 1, peer->address);
    if (!peer->has_certificate)
        return 0;
    hex_encode(key, peer->key, sizeof peer->key);
    int rc = add(caller, ACCESS_CERT, peer->cn, err);
    if (rc == 0)
        rc = add(caller, ACCESS_KEY, key, err);
    caller->own = caller->principals;
    return rc;
}

int access_identify_peer(struct access_caller *out, const struct access_config *config,
                         const struct access_peer *peer, struct cofre_err *err)
{
    *out = (struct access_caller){0};
    int rc = peer->transport == ACCESS_OVER_UNIX ? over_unix(out, peer, err) : over_tls(out, peer, err);
    if (rc == 0)
        rc = access_caller_settle(out, config, err);
    if (rc < 0)
        out->own = out->principals = 0;
    return rc;
}
