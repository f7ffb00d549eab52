/* The service that a verb of cofre-agent asks, from the command line to what a connection wants. */
#ifndef COFRE_AGENT_SERVICE_H
#define COFRE_AGENT_SERVICE_H

#include "vmm/agent/trust_client.h"

#define SERVICE_TOKEN_MAX 512

struct service {
    const char *from, *relay, *ca, *policy, *token_file; /* options that all such verbs have */
    char token[SERVICE_TOKEN_MAX + 1];
    struct channel_identity identity;
    struct trust_client_options
        options; /* once it was prepared, until it is freed, and only here: it points into this */
};
void service_free(struct service *service);

/* An option of the verb's own; count: it may be repeated, up to most times. The last of a list has no name. */
struct service_option {
    const char *name;
    const char **value;
    size_t *count, most;
};

/* False: help was asked for, or was needed, and is shown; *exit_code is what goes with it. */
bool service_read_options(struct service *service, const struct service_option *own, int argc, char **argv,
                          int *exit_code);

/* Reads the token, and makes the key that TLS shows: of this process alone, or kept in key_file where that is not NULL. A connection that
 * breaks is an error from here on, and no signal. */
int service_prepare(struct service *service, const char *key_file, struct cofre_err *err);

#endif
