/* What a running cofred has in its database, read beside it: everything but the log and what counts numbers; and the log. */
#ifndef COFRE_TEST_HOST_KEPT_H
#define COFRE_TEST_HOST_KEPT_H

#include <sqlite3.h>

#include "attest/log/entry.h"

struct kept {
    sqlite3 *db;
};
void kept_open(struct kept *kept, const char *state); /* cofred's directory */
void kept_close(struct kept *kept);

struct kept_digest {
    unsigned char sha256[32];
};
struct kept_digest kept_digest(struct kept *kept);
bool kept_equal(const struct kept_digest *a, const struct kept_digest *b);

/* Entries of the log that were not read yet, in their order; after is the number of the last one that was. */
typedef void (*kept_take)(void *context, const struct log_entry *entry);
void kept_entries(struct kept *kept, int64_t *after, kept_take take, void *context);

#endif
