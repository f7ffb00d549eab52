/*
 * cofre-agent secrets: what is released to this guest by name, as files of a tmpfs for its programs; and, where the service lets it,
 * kept sealed for a start at which the service cannot be reached. docs/keys.md.
 */
#ifndef COFRE_AGENT_SECRETS_H
#define COFRE_AGENT_SECRETS_H

#include "keys/secret.h"
#include "vmm/agent/kept.h"
#include "vmm/agent/trust_client.h"

struct agent_secrets_request {
    const struct trust_client_options *service;
    const char *policy, *const *name;
    size_t names;     /* at most KEPT_SECRETS_MAX */
    int64_t version;  /* of each; 0: the current ones, and only those are kept */
    const char *keep; /* the file that is kept; NULL: none */
    int64_t now;
    /* As struct agent_key_request has it, and what derives the key that the file is sealed under. */
    void *context;
    int (*evidence)(void *context, struct bytes *file, const uint8_t report_data[64], struct cofre_err *err);
    int (*root)(void *context, struct kept_root *out, struct cofre_err *err);
    int (*derive)(void *context, uint8_t key[32], const struct kept_root *root, struct cofre_err *err);
};

struct agent_secrets {
    struct secret memory; /* what the values lie in */
    struct kept_secret secret[KEPT_SECRETS_MAX];
    size_t count;
    bool from_file;       /* the service gave none: they are those that were kept */
    size_t kept;          /* of those that it gave, how many are kept now */
    struct cofre_err why; /* it did not, or they are not kept: why; empty where all is as it should be */
};
void agent_secrets_free(struct agent_secrets *secrets);

/*
 * All of them or none. What is kept is used where no answer of the service's comes, or none that is about this guest (5xx, 429). Where it
 * refuses, that is the answer, and the file goes. What was released is kept anew; what may not be kept is not in the file any more.
 */
int agent_secrets_get(struct agent_secrets *out, const struct agent_secrets_request *request,
                      struct cofre_err *err);

/* The command, from its name on; an exit code. */
int agent_secrets_command(int argc, char **argv);

#endif
