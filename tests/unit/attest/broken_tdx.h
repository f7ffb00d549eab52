/* Evidence of TDX that is wrong in one respect: lists for tests/unit/attest/test_tdx.c. */
#ifndef COFRE_TESTS_BROKEN_TDX_H
#define COFRE_TESTS_BROKEN_TDX_H

#include "tests/unit/attest/fake_intel.h"

/* Number n makes f wrong, and returns the checks that must fail; NULL after the last. `least` numbers there are. Ended by NULL. */
struct broken_list {
    const char *(*make)(struct fake_intel *f, unsigned n);
    unsigned least;
};
extern const struct broken_list broken_tdx[];

/* The same where something is missing or stale: nothing fails, and the check returned cannot be made. */
const char *lacking_tdx(struct fake_intel *f, unsigned n);

#endif
