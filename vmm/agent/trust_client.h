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
/* After the first answer: what evidence over this connection is to carry. */
int trust_client_report_data(struct trust_client *client, uint8_t out[static CHANNEL_REPORT_DATA],
                             struct view nonce, struct cofre_err *err);

/* The same where it is a key that is asked for: sealed to that recipient, of that name. */
int trust_client_release_report_data(struct trust_client *client, uint8_t out[static CHANNEL_REPORT_DATA],
                                     struct view nonce, struct view recipient, struct view name,
                                     struct cofre_err *err);
/* A nonce of the service's, 16 to CHANNEL_NONCE_MAX bytes. */
int trust_client_challenge(struct trust_client *client, struct bytes *nonce, struct cofre_err *err);

#define TRUST_TOKEN_MAX 512
/* A file with a token and nothing else, but for the line's end. */
int trust_client_read_token(char out[static TRUST_TOKEN_MAX + 1], const char *path, struct cofre_err *err);

#endif
