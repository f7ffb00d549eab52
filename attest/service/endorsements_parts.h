/* The parts of endorsements: what they are, and what one appraisal takes of them. */
#ifndef COFRE_ATTEST_SERVICE_ENDORSEMENTS_PARTS_H
#define COFRE_ATTEST_SERVICE_ENDORSEMENTS_PARTS_H

#include <pthread.h>

#include "attest/collateral/shelf.h"
#include "attest/service/endorsements.h"

/* What was read at once. Appraisals under way keep it when another takes its place. */
struct endorsement_set {
    struct x509_certs roots;
    struct x509_crls crls;
    struct tdx_collateral collateral[TRUST_FILES_MAX];
    size_t collaterals;
    unsigned users; /* under the lock: appraisals, and being the one of now */
};

struct endorsements {
    pthread_mutex_t lock;
    struct endorsement_set *set; /* of now */
    struct keeper *keeper;
    struct shelf *shelf;
    bool early;
};

/* One appraisal, and what was taken from the shelf for it. */
struct occasion {
    struct endorsements *e;
    const struct endorsement_set *set;
    struct db *db;
    struct appraisal *in;
    struct x509_crls crls; /* the files' and the vendor's */
    const struct decoded *certs, *list, *collateral;
    struct cofre_err lacking;
    int64_t again;
};

/* A vendor's "no such thing" is a reason for the verdict; all else is one to judge later. */
int occasion_take_no(struct occasion *o, int rc, const struct cofre_err *why);
/* The certificate and the list that a report brings not. Evidence that is no report is refused by who judges it. */
int occasion_equip_snp(struct occasion *o, struct cofre_err *err);
/* find of struct appraisal_finder, of an occasion. */
int occasion_find_tdx(void *occasion, const struct tdx_pck *pck, const struct tdx_chain *chain,
                      const struct tdx_collateral **out, struct cofre_err *err);

#endif
