#include <stdio.h>
#include <string.h>

#include "vmm/host/access/access.h"
#include "vmm/host/access/role.h"
#include "vmm/host/access/token.h"

int access_config_map(struct access_config *config, const char *user, const char *identity,
                      struct cofre_err *err)
{
    struct access_mapping m;
    if (!access_is_name(user))
        return cofre_fail(err, COFRE_USAGE, "\"%.80s\" is no name of a user", user);
    int rc = access_principal_parse(&m.identity, identity, err);
    if (rc < 0)
        return rc;
    if (m.identity.kind != ACCESS_CERT && m.identity.kind != ACCESS_KEY && m.identity.kind != ACCESS_UID &&
        m.identity.kind != ACCESS_OIDC)
        return cofre_fail(err, COFRE_USAGE, "\"%s\" is not what one user comes with", identity);
    for (size_t i = 0; i < config->mappings; i++)
        if (strcmp(config->mapping[i].identity.text, identity) == 0)
            return cofre_fail(err, COFRE_USAGE, "\"%s\" is user %s's already", identity,
                              config->mapping[i].user);
    if (config->mappings == ACCESS_MAPPINGS_MAX)
        return cofre_fail(err, COFRE_USAGE, "there are more than %d identities", ACCESS_MAPPINGS_MAX);
    (void)snprintf(m.user, sizeof m.user, "%s", user);
    config->mapping[config->mappings++] = m;
    return 0;
}

static int check_issuer(const struct access_issuer *issuer, struct cofre_err *err)
{
    if (!access_is_name(issuer->name))
        return cofre_fail(err, COFRE_USAGE, "\"%.80s\" is no name of an issuer", issuer->name);
    if (!*issuer->issuer || !*issuer->audience)
        return cofre_fail(err, COFRE_USAGE, "issuer %s: an issuer and an audience must be given",
                          issuer->name);
    if (issuer->key_file[0] != '/')
        return cofre_fail(err, COFRE_USAGE, "issuer %s: the key set's file is no absolute path",
                          issuer->name);
    if (*issuer->key_url && strncmp(issuer->key_url, "https://", 8) != 0)
        return cofre_fail(err, COFRE_USAGE, "issuer %s: keys are fetched from https addresses alone",
                          issuer->name);
    if (issuer->skew < 0 || issuer->skew > TOKEN_SKEW_MAX)
        return cofre_fail(err, COFRE_USAGE, "issuer %s: clocks may differ by %d seconds at most",
                          issuer->name, TOKEN_SKEW_MAX);
    return 0;
}

int access_config_issuer(struct access_config *config, const struct access_issuer *issuer,
                         struct cofre_err *err)
{
    int rc = check_issuer(issuer, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < config->issuers; i++)
        if (strcmp(config->issuer[i].name, issuer->name) == 0 ||
            strcmp(config->issuer[i].issuer, issuer->issuer) == 0)
            return cofre_fail(err, COFRE_USAGE, "issuer %s is there twice", issuer->name);
    if (config->issuers == ACCESS_ISSUERS_MAX)
        return cofre_fail(err, COFRE_USAGE, "there are more than %d issuers", ACCESS_ISSUERS_MAX);
    struct access_issuer *kept = &config->issuer[config->issuers++];
    *kept = *issuer;
    if (!*kept->groups)
        (void)snprintf(kept->groups, sizeof kept->groups, "groups");
    return 0;
}

int access_config_approval(struct access_config *config, const char *pattern, struct cofre_err *err)
{
    if (strlen(pattern) >= sizeof config->approval[0] || !role_pattern_set(pattern))
        return cofre_fail(err, COFRE_USAGE, "\"%.80s\" is no operation, nor all of a noun's", pattern);
    if (config->approvals == ACCESS_PATTERNS_MAX)
        return cofre_fail(err, COFRE_USAGE, "there are more than %d operations that need an approval",
                          ACCESS_PATTERNS_MAX);
    (void)snprintf(config->approval[config->approvals++], sizeof config->approval[0], "%s", pattern);
    return 0;
}
