/*
 * Who asks, and what they may. A caller shows a bearer token or a certificate; the database knows the digest of either, and
 * with it a name, roles and a scope. Who shows nothing has the roles that the configuration gives to anybody. What a
 * role may stands with each route (routes.c); what no role was given is refused.
 */
#ifndef COFRE_ATTEST_SERVICE_ACCESS_H
#define COFRE_ATTEST_SERVICE_ACCESS_H

#include "attest/service/http/request.h"
#include "attest/store/db.h"

enum role {
    ROLE_SUBMIT = 1,      /* ask for challenges, submit evidence, read own results */
    ROLE_READ = 2,        /* read all results */
    ROLE_VALUES = 4,      /* manage reference values */
    ROLE_POLICIES = 8,    /* manage policies */
    ROLE_AUDIT = 16,      /* read everything, change nothing */
    ROLE_ADMINISTER = 32, /* manage credentials */
    ROLE_KEYS = 64,       /* own the keys that guests get */
    ROLE_APPROVE = 128    /* approve releases that need it */
};
#define ROLES_ALL 255
/* Who decides what a good guest is, and who owns what good guests get: not the same, unless the configuration says so. */
#define ROLES_OF_VERDICTS (ROLE_POLICIES | ROLE_VALUES)
#define ROLES_OF_KEYS     (ROLE_KEYS | ROLE_APPROVE)

#define ACCESS_NAME_MAX 64 /* bytes of a name, of callers and of what they manage */

struct caller {
    char name[ACCESS_NAME_MAX + 1]; /* "anybody" where nothing was shown */
    unsigned roles;
    char scope[ACCESS_NAME_MAX + 1]; /* the only policy it may use; "": all */
    bool known;                      /* it showed something */
};

/* "submit read": words with one space between. -COFRE_USAGE names a word that is none. */
int access_roles_parse(unsigned *out, const char *text, struct cofre_err *err);
/* Letters, digits, '.', '_' and '-', not first a '.' or '-', at most ACCESS_NAME_MAX: -COFRE_USAGE otherwise. */
int access_name_check(const char *name, const char *what, struct cofre_err *err);
void access_token_digest(uint8_t out[static 32], const char *token);

/* anybody: roles of who shows nothing. -COFRE_NEGATIVE: what was shown is not known, or has expired. */
int access_identify(struct caller *out, struct db *db, const struct request *request, unsigned anybody,
                    int64_t now, struct cofre_err *err);

#endif
