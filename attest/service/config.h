/*
 * The configuration of cofre-trust: one JSON file (docs/trust.md). An unknown member, a wrong type or a value out of its range
 * is an error that names it.
 */
#ifndef COFRE_ATTEST_SERVICE_CONFIG_H
#define COFRE_ATTEST_SERVICE_CONFIG_H

#include "attest/service/http/server.h"

#define TRUST_ADDRESSES_MAX 8
#define TRUST_FILES_MAX     32
#define TRUST_NAME_MAX      120

/* As many as there are, then NULL. */
struct trust_files {
    char *path[TRUST_FILES_MAX];
};

struct trust_config {
    char *address[TRUST_ADDRESSES_MAX]; /* "127.0.0.1:8443", "[::1]:8443" */
    size_t addresses;
    char *certificate, *key, *client_ca;  /* files of PEM; client_ca may be NULL */
    char *database;                       /* for db_open */
    unsigned workers, anybody;            /* threads; roles of who shows nothing */
    unsigned challenge_seconds;           /* for which a nonce is good */
    unsigned token_seconds;               /* for which a result is */
    char *name;                           /* of the service, in its tokens and its log */
    char *signing_key, *next_signing_key; /* files of PEM; next_signing_key may be NULL */
    struct trust_files retired_signing_keys;
    struct trust_files reference_signers;             /* public keys: who may sign reference values */
    struct trust_files trust_roots, crls, collateral; /* as cofre verify takes them */
    char *kds, *pcs, *pccs, *pcs_root_crl; /* vendors' services, or NULL: attest/collateral/fetch.h */
    char *tcb_update;                      /* "standard" or "early"; NULL: standard */
    char *root_key; /* file of 32 bytes, under which keys for guests are kept; NULL: none are */
    /* root_key lies sealed (keys/seal), and opens by the passphrase in a file, or by a TPM with the next two; NULL: otherwise */
    char *root_passphrase;
    char *root_tpm, *root_pcr_policy, *root_authorisation; /* a device, and files */
    bool keys_with_policies; /* one name may have roles of both: attest/service/access.h */
    struct server_limits limits;
};

#define TRUST_CONFIG_FILE_MAX (1u << 20)

/* -COFRE_USAGE names the member, with nothing to free. */
int trust_config_parse(struct trust_config *out, struct view file, struct cofre_err *err);
/* The same of a file, which errors name. */
int trust_config_read(struct trust_config *out, const char *path, struct cofre_err *err);
void trust_config_free(struct trust_config *config);

#endif
