#include "vmm/host/access/access.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/host/access/guard.h"
#include "vmm/host/access/kept.h"
#include "vmm/host/access/role.h"
#include "vmm/host/access/token.h"

/* What is kept */

int access_new(struct access **out, const struct access_config *config, struct cofre_err *err)
{
    struct access *access = calloc(1, sizeof *access);
    *out = NULL;
    if (!access || !guard_begin(&access->guard)) {
        free(access);
        return cofre_fail(err, COFRE_FAILED, "no memory, or no random bytes, for who may what");
    }
    access->config = config;
    *out = access;
    return 0;
}

void access_free(struct access *access)
{
    if (!access)
        return;
    for (size_t i = 0; i < ACCESS_ISSUERS_MAX; i++)
        token_key_file_free(&access->keys[i]);
    free(access);
}

void access_counts(struct access_counts *out, const struct access *access)
{
    *out = access->counts;
}

/* Who asks */

static int by_token(struct access_caller *out, struct access *access, struct view token, int64_t now,
                    struct cofre_err *err)
{
    const struct access_issuer *issuer = token_issuer(access->config, token);
    if (!issuer)
        return cofre_fail(err, COFRE_NEGATIVE, "the token is none, or of an issuer that is not known here");
    struct token_key_file *keys = &access->keys[issuer - access->config->issuer];
    int rc = token_key_file_renew(keys, issuer, now, err);
    if (rc == 0)
        rc = token_check(out, token, issuer, &keys->keys, now, err);
    return rc < 0 ? rc : access_caller_settle(out, access->config, err);
}

static int by_shown(struct access_caller *out, struct access *access, const struct identity *identity,
                    const char *token, int64_t now, struct cofre_err *err)
{
    if (!guard_lets(&access->guard, identity, now)) {
        access->counts.slowed++;
        return cofre_fail(err, COFRE_LACKING, "too many tokens that came from there were not good");
    }
    int rc = by_token(out, access, (struct view){(const uint8_t *)token, strlen(token)}, now, err);
    if (rc == 0)
        return 0;
    access->counts.failed++;
    guard_failed(&access->guard, identity, now);
    return -COFRE_NEGATIVE;
}

int access_identify(struct access_caller *out, struct access *access, const struct identity *identity,
                    const char *token, int64_t now, struct cofre_err *err)
{
    int rc = access_identify_connection(out, access->config, identity, err);
    if (token) { /* of the connection only where it came from stays */
        out->own = out->principals = 0;
        rc = by_shown(out, access, identity, token, now, err);
    }
    if (rc < 0)
        out->own = out->principals = 0;
    else
        access->counts.identified++;
    return rc;
}
