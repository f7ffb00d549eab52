/* Nonces that the service gave out: each may come back once, before it expires. */
#ifndef COFRE_ATTEST_STORE_CHALLENGE_H
#define COFRE_ATTEST_STORE_CHALLENGE_H

#include "attest/store/db.h"

/* Times are seconds since 1970. */
int challenge_keep(struct db *db, struct view nonce, int64_t expires, struct cofre_err *err);
/* Within a transaction whose end makes it final. -COFRE_NEGATIVE: not given out here, used before, or expired. */
int challenge_use(struct db *db, struct view nonce, int64_t now, struct cofre_err *err);
/* Those that expired; their number. */
int challenge_drop_expired(struct db *db, int64_t now, struct cofre_err *err);

#endif
