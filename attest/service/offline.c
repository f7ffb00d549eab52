#include "attest/service/offline.h"

#include <pwd.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "attest/service/signer.h"
#include "attest/store/schema.h"

static int64_t now(void)
{
    return time(NULL);
}

int offline_open(struct offline *out, const char *config, struct cofre_err *err)
{
    *out = (struct offline){.trust = {.config = &out->config, .clock = now}};
    int rc = trust_config_read(&out->config, config, err);
    if (rc == 0)
        rc = signer_new(&out->trust.signer, &out->config, err);
    if (rc == 0)
        rc = db_open(&out->db, out->config.database, err);
    if (rc == 0)
        rc = schema_bring(out->db, err);
    if (rc < 0)
        offline_close(out);
    return rc;
}

void offline_close(struct offline *o)
{
    db_close(o->db);
    signer_free(o->trust.signer);
    trust_config_free(&o->config);
    *o = (struct offline){0};
}

void offline_actor(char out[static OFFLINE_ACTOR_SIZE])
{
    const struct passwd *user = getpwuid(geteuid());
    if (user)
        (void)snprintf(out, OFFLINE_ACTOR_SIZE, "local:%s", user->pw_name);
    else
        (void)snprintf(out, OFFLINE_ACTOR_SIZE, "local:%u", geteuid());
}

int offline_admit(struct offline *o, const char *name, const char *roles, const char *scope, unsigned days,
                  char token[static ADMISSION_TOKEN_SIZE], struct cofre_err *err)
{
    uint8_t digest[32];
    char by[OFFLINE_ACTOR_SIZE];
    offline_actor(by);
    const struct credential c = {.digest = {digest, sizeof digest},
                                 .name = name,
                                 .roles = roles,
                                 .scope = scope,
                                 .made = now(),
                                 .expires = now() + (int64_t)days * 24 * 3600,
                                 .made_by = by};
    int rc = admission_check(&c, c.made, err);
    if (rc == 0)
        rc = admission_token(token, digest, err);
    return rc < 0 ? rc : admission_keep(&o->trust, o->db, &c, err);
}
