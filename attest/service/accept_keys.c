/* cofre-trust accept-keys: a database that was put back, or a root that has another TPM, taken as it is by whoever is at the machine. */
#include <stdio.h>
#include <string.h>

#include "attest/service/change.h"
#include "attest/service/command.h"
#include "attest/service/keys/keyring.h"
#include "attest/service/offline.h"

struct acceptance {
    struct offline offline;
    char detail[LOG_DETAIL_MAX + 1];
};

/* An entry of the log of verdicts: which counter the keys go by now, and what was between them and the one of before. */
static int log_accepted(struct db *db, void *context, const struct key_anchor *before, uint64_t value,
                        struct cofre_err *err)
{
    struct acceptance *a = context;
    char by[OFFLINE_ACTOR_SIZE];
    offline_actor(by);
    if (before->there)
        (void)snprintf(a->detail, sizeof a->detail, "they counted to %llu, and the TPM to %llu",
                       (unsigned long long)before->value, (unsigned long long)value);
    else
        (void)snprintf(a->detail, sizeof a->detail, "they went by no counter, and the TPM counted to %llu",
                       (unsigned long long)value);
    const struct change change = {.action = "accepted",
                                  .object = "keys",
                                  .name = "keys",
                                  .actor = by,
                                  .content = {(const uint8_t *)a->detail, strlen(a->detail)},
                                  .detail = a->detail};
    return change_log(&a->offline.trust, db, &change, err);
}

static int accept(struct acceptance *a, const char *file, struct cofre_err *err)
{
    const struct trust_config *c = &a->offline.config;
    const struct keyring_seal seal = {c->root_key, NULL, c->root_tpm, c->root_pcr_policy,
                                      c->root_authorisation};
    return seal.tpm ? keyring_accept(a->offline.db, &seal, log_accepted, a, err)
                    : cofre_fail(err, COFRE_USAGE,
                                 "%s has no root_tpm: nothing counts keys that could be accepted", file);
}

int command_accept_keys(const struct command *command, struct cofre_err *err)
{
    struct acceptance a = {0};
    int rc = offline_open(&a.offline, command->config, err);
    if (rc < 0)
        return rc;
    rc = accept(&a, command->config, err);
    offline_close(&a.offline);
    if (rc < 0)
        return rc;
    printf("The keys in the database are accepted as the newest: %s\n", a.detail);
    return fflush(stdout) == 0 ? 0 : cofre_fail(err, COFRE_FAILED, "standard output cannot be written");
}
