/* cofre-agent key: a key from a cofre-trust, sealed to a key of this process's, on evidence that is made for that. docs/keys.md. */
#ifndef COFRE_AGENT_KEY_H
#define COFRE_AGENT_KEY_H

#include "keys/wrap.h"
#include "vmm/agent/trust_client.h"

#define AGENT_KEY_MAX KEY_VALUE_MAX /* bytes */

/* What a key came with. */
struct agent_key_terms {
    int64_t version;
    int64_t offline_until; /* seconds since 1970: until when it may be kept; 0: it may not */
};

struct agent_key_request {
    struct trust_client *client;
    const char *policy, *name;
    int64_t version;               /* 0: the current one */
    struct agent_key_terms *terms; /* where they go; may be NULL */
    /* As struct channel_acts has it. */
    void *context;
    int (*evidence)(void *context, struct bytes *file, const uint8_t report_data[64], struct cofre_err *err);
};

/*
 * key has AGENT_KEY_MAX bytes, which are the caller's to lock and to wipe; they are zero where it fails. The result is how
 * many of them are the key. A refusal is -COFRE_FAILED with the service's sentence; nothing in a sentence is secret.
 */
int agent_key_fetch(uint8_t *key, const struct agent_key_request *request, struct cofre_err *err);

/* This process's memory stays in memory, and out of dumps. -COFRE_LACKING where the kernel does not let it. */
int agent_key_lock_memory(struct cofre_err *err);

/* The command, from its name on; an exit code. */
int agent_key_command(int argc, char **argv);

#endif
