#include "vmm/host/access/identity.h"

#include <stdio.h>
#include <string.h>

#include "vmm/base/bytes.h"
#include "vmm/base/number.h"
#include "vmm/host/access/access.h"

/* Kinds */

bool access_is_name(const char *text)
{
    static const char ends[] = "abcdefghijklmnopqrstuvwxyz0123456789",
                      inner[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
    const size_t len = strlen(text);
    return len >= 1 && len <= 63 && strspn(text, inner) == len && strchr(ends, text[0]) &&
           strchr(ends, text[len - 1]);
}

/* 1 to 255 visible characters of ASCII, or spaces within: what RFC 2253 leaves of any subject. */
static bool is_subject(const char *text)
{
    const size_t len = strlen(text);
    for (const char *c = text; *c; c++)
        if (*c < 0x20 || *c > 0x7e)
            return false;
    return len >= 1 && len <= 255 && text[0] != ' ' && text[len - 1] != ' ';
}

static bool is_key(const char *text)
{
    return strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
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
    [ACCESS_USER] = {"user:", access_is_name}, [ACCESS_CERT] = {"cert:", is_subject},
    [ACCESS_KEY] = {"key:", is_key},           [ACCESS_UID] = {"uid:", is_number},
    [ACCESS_OIDC] = {"oidc:", is_issuers},     [ACCESS_GID] = {"gid:", is_number},
    [ACCESS_GROUP] = {"group:", is_issuers},
};

int access_principal_make(struct access_principal *out, enum access_kind kind, const char *value,
                          struct cofre_err *err)
{
    if (!kinds[kind].check(value))
        return cofre_fail(err, COFRE_MALFORMED, "\"%.80s\" is nothing that stands behind \"%s\"", value,
                          kinds[kind].prefix);
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
    return cofre_fail(
        err, COFRE_USAGE,
        "\"%.80s\" is nobody: user:NAME, cert:NAME, key:HEX, uid:N, gid:N, oidc:ISSUER:SUBJECT and "
        "group:ISSUER:NAME are",
        text);
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

int access_caller_settle(struct access_caller *caller, const struct access_config *config,
                         struct cofre_err *err)
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

static int over_unix(struct access_caller *caller, const struct identity *identity, struct cofre_err *err)
{
    char number[16];
    (void)snprintf(caller->from, sizeof caller->from, "pid %d", (int)identity->pid);
    (void)snprintf(number, sizeof number, "%u", (unsigned)identity->uid);
    int rc = add(caller, ACCESS_UID, number, err);
    caller->own = caller->principals;
    (void)snprintf(number, sizeof number, "%u", (unsigned)identity->gid);
    return rc < 0 ? rc : add(caller, ACCESS_GID, number, err);
}

static int by_certificate(struct access_caller *caller, const struct identity *identity,
                          struct cofre_err *err)
{
    char key[2 * sizeof identity->key + 1];
    hex_encode(key, identity->key, sizeof identity->key);
    int rc = *identity->subject ? add(caller, ACCESS_CERT, identity->subject, err) : 0;
    if (rc == 0)
        rc = add(caller, ACCESS_KEY, key, err);
    caller->own = caller->principals;
    return rc;
}

int access_identify_connection(struct access_caller *out, const struct access_config *config,
                               const struct identity *identity, struct cofre_err *err)
{
    *out = (struct access_caller){0};
    (void)snprintf(out->from, sizeof out->from, "%s", identity->address);
    int rc = !identity_is_good(identity)
                 ? cofre_fail(err, COFRE_MALFORMED, "the gate's word for a connection is none")
             : identity->kind == IDENTITY_UNIX        ? over_unix(out, identity, err)
             : identity->kind == IDENTITY_CERTIFICATE ? by_certificate(out, identity, err)
                                                      : 0;
    if (rc == 0)
        rc = access_caller_settle(out, config, err);
    if (rc < 0)
        out->own = out->principals = 0;
    return rc;
}
