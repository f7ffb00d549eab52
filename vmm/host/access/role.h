/* What may be granted: sets of operations by name. Some are built in; others are made by role.define, of operations' names. */
#ifndef COFRE_HOST_ACCESS_ROLE_H
#define COFRE_HOST_ACCESS_ROLE_H

#include <jansson.h>

#include "attest/store/db.h"
#include "vmm/host/interface/operation.h"

/* A set of operations: 1 << enum operation_number. */
typedef uint64_t role_set;
_Static_assert(OPERATIONS <= 64, "a set of operations has a bit for each");
#define ROLE_SET_OF(number) ((role_set)1 << (number))

#define ROLE_ADMINISTRATOR "administrator"
#define ROLE_PATTERNS_MAX  64

struct role {
    const char *name;
    const char *const *patterns; /* ended by NULL */
    const char *help;
};
extern const struct role role_built_in[];
extern const size_t role_built_in_count;

/* "guest.start" is itself, "guest.*" all of guest's, "*" all. */
bool role_pattern_covers(const char *pattern, const char *operation);
/* 0 where it covers nothing. */
role_set role_pattern_set(const char *pattern);
/* A list of texts; -COFRE_USAGE names the one that covers nothing. */
int role_patterns_read(role_set *out, const json_t *patterns, struct cofre_err *err);

/* -COFRE_NEGATIVE: there is none of that name. */
int role_find(role_set *out, struct db *db, const char *name, struct cofre_err *err);
const struct role *role_find_built_in(const char *name); /* NULL */
/* Of a row: its name, and the operations that stand with it where it is not built in. -COFRE_FAILED where that is no role. */
int role_of_row(role_set *out, const char *name, const char *patterns, struct cofre_err *err);

#endif
