/* When to ask again. Times are seconds since 1970; random is any number: the share of it that a wait varies by. */
#ifndef COFRE_ATTEST_COLLATERAL_BACKOFF_H
#define COFRE_ATTEST_COLLATERAL_BACKOFF_H

#include <stdint.h>

/* The seconds that a Retry-After names, as a number or as a date (RFC 9110, 10.2.3), at most a day; 0: none. */
int64_t backoff_wanted(const char *retry_after, int64_t now);

/* After so many failures in a row (1 and up): within 2 s, 4 s, 8 s ... an hour, at random in the upper half; and never before
 * the time that the service asked for, but up to a tenth after it. */
int64_t backoff_next(unsigned failures, const char *retry_after, int64_t now, uint32_t random);

/* What is good until then is asked for again when a half to three quarters of the rest have gone, and daily: vendors publish
 * revisions before the time. INT64_MAX where it is good for ever. */
int64_t backoff_refresh(int64_t until, int64_t now, uint32_t random);

#endif
