/*
 * Keeps vendors' collateral in the database: fetches what is asked for and not there, once however many ask, in this
 * process or in others on the same database; refreshes it ahead of its end; and goes on with what it has while a vendor
 * is away. One thread a vendor fetches; whoever asks waits for it for a bounded time, and no more than so many do.
 */
#ifndef COFRE_ATTEST_COLLATERAL_KEEPER_H
#define COFRE_ATTEST_COLLATERAL_KEEPER_H

#include "attest/collateral/fetch.h"
#include "attest/store/db.h"

struct keeper_config { /* borrowed while the keeper lives */
    const char *database;
    struct collateral_sources sources;
    unsigned waiters; /* that may wait for a vendor at once: others are told to come again */
    long wait_ms;     /* for which one does */
    struct download_limits limits;
    int64_t (*clock)(void);
    uint32_t (*random)(void); /* of what back-off varies by; NULL: OpenSSL's */
};

struct keeper;

/* Opens the database, whose tables are there. Nothing is fetched before keeper_start. */
int keeper_new(struct keeper **out, const struct keeper_config *config, struct cofre_err *err);
int keeper_start(struct keeper *keeper, struct cofre_err *err);
/* Ends what is under way. */
void keeper_free(struct keeper *keeper);

/* What is trusted besides the vendors' roots, from now on; copied. */
int keeper_use_roots(struct keeper *keeper, const struct x509_certs *roots, struct cofre_err *err);

/*
 * Any thread, with a connection of its own. 0 with what is held, which may have run out where the vendor could not be asked;
 * without a body where nothing is held and nobody is asked (there is no such source). -COFRE_NEGATIVE: the vendor says that
 * there is no such thing. -COFRE_LACKING: it cannot be had now; *again is when to try again.
 */
int keeper_get(struct keeper *keeper, struct db *db, const struct collateral_id *id,
               struct collateral_item *out, int64_t *again, struct cofre_err *err);

/* Grows with each thing of that vendor's that this process replaces by a newer one. */
uint64_t keeper_changes(struct keeper *keeper, enum collateral_vendor vendor);

/* What a vendor's thread does: one thing that was asked for, or is due; false: there is none now. For that thread and tests
 * without one. */
bool keeper_step(struct keeper *keeper, enum collateral_vendor vendor);

#endif
