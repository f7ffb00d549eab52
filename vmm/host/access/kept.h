/* What this room keeps between requests. */
#ifndef COFRE_HOST_ACCESS_KEPT_H
#define COFRE_HOST_ACCESS_KEPT_H

#include "vmm/host/access/access.h"
#include "vmm/host/access/guard.h"
#include "vmm/host/access/token.h"

struct access {
    const struct access_config *config;
    struct guard guard;
    struct token_key_file keys[ACCESS_ISSUERS_MAX]; /* by the configuration's order */
    struct access_counts counts;
};

#endif
