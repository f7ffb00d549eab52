#include <string.h>

#include "attest/service/endorsements_parts.h"
#include "tdx/chain.h"
#include "tdx/pck.h"

static bool is_genuine(const struct occasion *o, const struct tdx_chain *chain)
{
    return chain->leaf && chain->intermediate && chain->root &&
           (tdx_root_is_intel(chain->root) || x509_certs_have(&o->set->roots, chain->root)) &&
           x509_check_issued(&tdx_scheme, chain->root, chain->root, NULL) == 0 &&
           x509_check_issued(&tdx_scheme, chain->intermediate, chain->root, NULL) == 0 &&
           x509_check_issued(&tdx_scheme, chain->leaf, chain->intermediate, NULL) == 0;
}

/* Nobody is asked about a platform that anybody could have made up. */
static int take_collateral(struct occasion *o, const struct tdx_pck *pck, const struct tdx_chain *chain,
                           struct cofre_err *err)
{
    const enum tdx_role ca = chain->intermediate ? tdx_cert_role(chain->intermediate) : TDX_ROLE_OTHER;
    struct shelf_platform platform = {.platform_ca = ca == TDX_ROLE_PLATFORM_CA, .early = o->e->early};
    struct cofre_err why = {""};
    if (ca != TDX_ROLE_PLATFORM_CA && ca != TDX_ROLE_PROCESSOR_CA)
        return 0;
    memcpy(platform.fmspc, pck->fmspc, sizeof platform.fmspc);
    int rc = shelf_tdx(o->e->shelf, NULL, &platform, o->in->at, &o->collateral, &o->again, &why);
    if (rc == 0 && !o->collateral && is_genuine(o, chain))
        rc = shelf_tdx(o->e->shelf, o->db, &platform, o->in->at, &o->collateral, &o->again, &why);
    *err = why;
    return occasion_take_no(o, rc, &why);
}

int occasion_find_tdx(void *occasion, const struct tdx_pck *pck, const struct tdx_chain *chain,
                      const struct tdx_collateral **out, struct cofre_err *err)
{
    struct occasion *o = occasion;
    for (size_t i = 0; i < o->set->collaterals; i++)
        if (memcmp(o->set->collateral[i].tcb.fmspc, pck->fmspc, sizeof pck->fmspc) == 0) {
            *out = &o->set->collateral[i];
            return 0;
        }
    int rc = take_collateral(o, pck, chain, err);
    if (o->collateral)
        *out = &o->collateral->tdx;
    return rc;
}
