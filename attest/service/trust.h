/* cofre-trust: what its parts share. */
#ifndef COFRE_ATTEST_SERVICE_TRUST_H
#define COFRE_ATTEST_SERVICE_TRUST_H

#include "attest/service/config.h"
#include "attest/service/http/server.h"

struct trust {
    const struct trust_config *config;
    struct server *server;
    struct workers *workers;
    struct ledger *ledger;
    struct signer *signer;
    struct endorsements *endorsements;
    struct keyring *keyring; /* NULL: the service keeps no keys for guests */
    int64_t (*clock)(void);  /* seconds since 1970 */
};

#endif
