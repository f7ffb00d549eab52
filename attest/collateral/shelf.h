/* Collateral as appraisals take it: decoded once, and used by any number of them until there is something newer. */
#ifndef COFRE_ATTEST_COLLATERAL_SHELF_H
#define COFRE_ATTEST_COLLATERAL_SHELF_H

#include "attest/collateral/keeper.h"
#include "tdx/collateral.h"

/* Constant, and there until it is given back. Which member is filled in follows from who was asked. */
struct decoded {
    struct x509_certs certs;   /* VCEK, ASK, ARK */
    struct x509_crls crls;     /* AMD's */
    struct tdx_collateral tdx; /* Intel's */
};

struct shelf;

int shelf_new(struct shelf **out, struct keeper *keeper, struct cofre_err *err);
void shelf_free(struct shelf *shelf);                                     /* everything was given back */
void shelf_give_back(struct shelf *shelf, const struct decoded *decoded); /* may be NULL */

/* Results and *again as keeper_get's; 0 with NULL: nothing is held, and nobody is asked. Any thread, with a connection of its
 * own. */
int shelf_vcek(struct shelf *shelf, struct db *db, const struct collateral_id *id, int64_t now,
               const struct decoded **out, int64_t *again, struct cofre_err *err);
int shelf_crl(struct shelf *shelf, struct db *db, const struct collateral_id *id, int64_t now,
              const struct decoded **out, int64_t *again, struct cofre_err *err);

/* For a kind of platform: its TCB info, the QE identity, and both lists. */
struct shelf_platform {
    uint8_t fmspc[6];
    bool platform_ca, early;
};
/* db NULL: only what is decoded already and fresh; else 0 with NULL. */
int shelf_tdx(struct shelf *shelf, struct db *db, const struct shelf_platform *platform, int64_t now,
              const struct decoded **out, int64_t *again, struct cofre_err *err);

#endif
