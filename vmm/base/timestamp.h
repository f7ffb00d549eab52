/* Times as people write them: RFC 3339, UTC. */
#ifndef COFRE_BASE_TIMESTAMP_H
#define COFRE_BASE_TIMESTAMP_H

#include <stdint.h>

#include "vmm/base/error.h"

/* "2025-06-20T00:00:00Z" to seconds since 1970. -COFRE_USAGE with what ("--at") in the sentence. */
int time_parse(int64_t *out, const char *text, const char *what, struct cofre_err *err);

#define TIME_TEXT_SIZE 32
void time_format(char out[TIME_TEXT_SIZE], int64_t seconds);

#endif
