/*
 * The configuration of cofre-trust: one JSON file (docs/trust.md). An unknown member, a wrong type or a value out of its range
 * is an error that names it.
 */
#ifndef COFRE_ATTEST_SERVICE_CONFIG_H
#define COFRE_ATTEST_SERVICE_CONFIG_H

#include "attest/service/server.h"

#define TRUST_ADDRESSES_MAX 8

struct trust_config {
    char *address[TRUST_ADDRESSES_MAX]; /* "127.0.0.1:8443", "[::1]:8443" */
    size_t addresses;
    char *certificate, *key, *client_ca; /* files of PEM; client_ca may be NULL */
    char *database;                      /* for db_open */
    unsigned workers, anybody;           /* threads; roles of who shows nothing */
    unsigned challenge_seconds;          /* for which a nonce is good */
    struct server_limits limits;
};

#define TRUST_CONFIG_FILE_MAX (1u << 20)

/* -COFRE_USAGE names the member, with nothing to free. */
int trust_config_parse(struct trust_config *out, struct view file, struct cofre_err *err);
void trust_config_free(struct trust_config *config);

#endif
