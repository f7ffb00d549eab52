#include "attest/service/admission.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>

#include "attest/log/entry.h"
#include "attest/service/access.h"
#include "attest/service/change.h"
#include "vmm/base/timestamp.h"

int admission_check(const struct credential *c, int64_t now, struct cofre_err *err)
{
    unsigned roles = 0;
    int rc = access_name_check(c->name, "name", err);
    if (rc == 0 && *c->scope)
        rc = access_name_check(c->scope, "scope", err);
    if (rc == 0)
        rc = access_roles_parse(&roles, c->roles, err);
    if (rc == 0 && !roles)
        rc = cofre_fail(err, COFRE_USAGE, "roles: there are none");
    if (rc == 0 && c->expires <= now)
        rc = cofre_fail(err, COFRE_USAGE, "expires: that time is over");
    return rc;
}

int admission_token(char token[static ADMISSION_TOKEN_SIZE], uint8_t digest[static 32], struct cofre_err *err)
{
    uint8_t random[(ADMISSION_TOKEN_SIZE - 1) / 2];
    if (RAND_priv_bytes(random, sizeof random) != 1)
        return cofre_fail(err, COFRE_FAILED, "there are no random bytes");
    hex_encode(token, random, sizeof random);
    OPENSSL_cleanse(random, sizeof random);
    access_token_digest(digest, token);
    return 0;
}

struct addition {
    const struct trust *trust;
    const struct credential *credential;
};

struct whose {
    const char *name;
    unsigned roles;
};

static int gather(void *context, const struct credential *c, struct cofre_err *err)
{
    struct whose *whose = context;
    unsigned roles = 0;
    if (strcmp(c->name, whose->name) != 0)
        return 0;
    int rc = access_roles_parse(&roles, c->roles, err);
    whose->roles |= roles;
    return rc < 0 ? -COFRE_FAILED : 0;
}

/* By all credentials of that name. */
static int keep_apart(const struct trust *trust, struct db *db, const struct credential *c,
                      struct cofre_err *err)
{
    struct whose whose = {c->name, 0};
    if (trust->config->keys_with_policies)
        return 0;
    int rc = gather(&whose, c, err);
    if (rc == 0)
        rc = credential_list(db, gather, &whose, err);
    if (rc >= 0 && whose.roles & ROLES_OF_VERDICTS && whose.roles & ROLES_OF_KEYS)
        return cofre_fail(err, COFRE_USAGE,
                          "roles: %s would both say what a good guest is and own what it gets; "
                          "keys_with_policies in the configuration allows that",
                          c->name);
    return rc < 0 ? rc : 0;
}

static int add(struct db *db, void *context, struct cofre_err *err)
{
    const struct addition *a = context;
    const struct credential *c = a->credential;
    char detail[LOG_DETAIL_MAX + 1], until[TIME_TEXT_SIZE];
    time_format(until, c->expires);
    (void)snprintf(detail, sizeof detail, "%s; until %s%s%s", c->roles, until, *c->scope ? "; policy " : "",
                   c->scope);
    const struct change change = {.action = "added",
                                  .object = "credential",
                                  .name = c->name,
                                  .actor = c->made_by,
                                  .digest = c->digest,
                                  .detail = detail};
    int rc = keep_apart(a->trust, db, c, err);
    if (rc == 0)
        rc = credential_add(db, c, err);
    return rc < 0 ? rc : change_log(a->trust, db, &change, err);
}

int admission_keep(const struct trust *trust, struct db *db, const struct credential *credential,
                   struct cofre_err *err)
{
    struct addition addition = {trust, credential};
    return db_atomically(db, add, &addition, err);
}
