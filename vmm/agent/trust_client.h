/*
 * A guest's connection to a verifier's service (docs/trust.md): HTTPS by libevent, TLS 1.3, one connection from the first
 * request to the last, so that evidence can be bound to it. The service is who a CA of the caller's says it is.
 */
#ifndef COFRE_AGENT_TRUST_CLIENT_H
#define COFRE_AGENT_TRUST_CLIENT_H

#include <jansson.h>

#include "attest/channel/binding.h"
#include "attest/channel/identity.h"

struct trust_client;

struct trust_client_options {
    const char *url;   /* https://HOST[:PORT] */
    const char *relay; /* how it is reached (attest/channel/address.h); NULL: by TCP, where the URL says */
    const char *ca;    /* file: who vouches for the service, PEM */
    const char *token; /* shown with each request; NULL: none */
    const struct channel_identity *identity;
    unsigned seconds; /* for an answer */
};

int trust_client_open(struct trust_client **out, const struct trust_client_options *options,
                      struct cofre_err *err);
void trust_client_free(struct trust_client *client);

/* The answer's object, the caller's, where the service answers 200 or 201; else its own sentence. body may be NULL. */
int trust_client_post(struct trust_client *client, const char *path, json_t *body, json_t **answer,
                      struct cofre_err *err);
/* Of the last answer; 0: none came. */
int trust_client_status(const struct trust_client *client);
/* After the first answer: what evidence over this connection is bound by, to that nonce. *key is the caller's, and what the binding
 * points at. */
int trust_client_binding(struct channel_binding *out, struct bytes *key, struct trust_client *client,
                         struct view nonce, struct cofre_err *err);

#endif
