/*
 * Collateral as one file, for sites without a way to the vendors: {"cofre_collateral": 1, "items": [{"name": as
 * collateral_name writes it, "body": base64, "chain": PEM, where there is one}]}. It needs no signature: each item has its
 * vendor's, and is checked as if it had been fetched.
 */
#ifndef COFRE_ATTEST_COLLATERAL_PARCEL_H
#define COFRE_ATTEST_COLLATERAL_PARCEL_H

#include "attest/collateral/item.h"
#include "attest/store/db.h"

#define PARCEL_MAX (64u << 20) /* bytes: some 25000 chips */

/* All that is held; *count: how many. */
int parcel_export(struct bytes *out, size_t *count, struct db *db, struct cofre_err *err);

struct parcel_counts {
    size_t kept, older, ran_out; /* older: than what is held, which stays; ran_out: genuine, and not kept */
};

/* All that is good, in one transaction; or nothing, where one item is not what its name says: the error names it. */
int parcel_import(struct parcel_counts *out, struct db *db, struct view file, const struct x509_certs *roots,
                  int64_t now, struct cofre_err *err);

#endif
