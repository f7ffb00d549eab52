#include "attest/collateral/backoff.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#define DAY     86400
#define LONGEST 3600

/* From 0 to span, evenly. */
static int64_t share(int64_t span, uint32_t random)
{
    return (int64_t)((uint64_t)(span + 1) * random >> 32);
}

int64_t backoff_wanted(const char *text, int64_t now)
{
    int64_t wait;
    if (*text && text[strspn(text, "0123456789")] == 0)
        wait = strlen(text) < 9 ? strtol(text, NULL, 10) : DAY;
    else {
        time_t then = *text ? curl_getdate(text, NULL) : -1;
        wait = then < 0 ? 0 : (int64_t)then - now;
    }
    return wait < 0 ? 0 : wait > DAY ? DAY : wait;
}

int64_t backoff_next(unsigned failures, const char *retry_after, int64_t now, uint32_t random)
{
    const int64_t most = failures < 12 ? 1ll << failures : LONGEST, wait = most > LONGEST ? LONGEST : most,
                  wanted = backoff_wanted(retry_after, now);
    const int64_t ours = wait / 2 + share(wait - wait / 2, random),
                  theirs = wanted + share(wanted / 10, random);
    return now + (wanted > ours ? theirs : ours);
}

int64_t backoff_refresh(int64_t until, int64_t now, uint32_t random)
{
    if (until == INT64_MAX)
        return INT64_MAX;
    int64_t rest = until - now;
    rest = rest > 2 * DAY ? 2 * DAY : rest; /* daily: half of it */
    return now + rest / 2 + share(rest / 4, random);
}
