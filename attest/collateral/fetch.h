/* Asks a vendor's service for one thing, once, and checks what it says. */
#ifndef COFRE_ATTEST_COLLATERAL_FETCH_H
#define COFRE_ATTEST_COLLATERAL_FETCH_H

#include "attest/collateral/download.h"
#include "attest/collateral/item.h"

#define COLLATERAL_PCS_ROOT_CRL "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der"

/* Addresses without a slash at the end; NULL: not asked. Of pcs and pccs one at most. */
struct collateral_sources {
    const char *kds, *pcs, *pccs;
    const char *pcs_root_crl; /* whole; with pcs */
};
bool collateral_has_source(const struct collateral_sources *sources, enum collateral_vendor vendor);

struct collateral_question {
    const struct collateral_id *id;
    const struct collateral_sources *sources;
    const struct collateral_item *base; /* collateral_base, or NULL */
    const struct x509_certs *roots;     /* trusted besides the vendors'; may be NULL */
    int64_t now;
    struct download_limits limits;
    bool (*is_over)(void *context);
    void *context;
};

/*
 * 0 with an item that collateral_check accepts. -COFRE_NEGATIVE: the vendor says that there is no such thing.
 * -COFRE_LACKING: not to be had now, for any reason, with the service's Retry-After in retry_after, or "".
 */
int collateral_fetch(struct collateral_item *out, char retry_after[64], const struct collateral_question *q,
                     struct cofre_err *err);

#endif
