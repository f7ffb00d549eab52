/* A database of SQLite's that a fuzz target has set back to what it was before each input. */
#ifndef COFRE_TESTS_FUZZED_DATABASE_H
#define COFRE_TESTS_FUZZED_DATABASE_H

#include "attest/store/db.h"

/* As it is now; a copy goes into the folder, which may be removed afterwards. db has no transaction open in any of the following. */
void fuzzed_database_remember(struct db *db, const char *folder);
void fuzzed_database_set_back(void);

/* Tables whose rows are others than when it was set back, by whichever connection. */
#define FUZZED_TABLES 32
struct fuzzed_changes {
    char table[FUZZED_TABLES][24];
    size_t count;
};
struct fuzzed_changes fuzzed_database_changes(void);

/* Learns what the one result that passed claims; then, whether another one that passed claims anything else. Bytes of evidence that
 * nothing vouches for, such as the root that it brings along, may differ. */
void fuzzed_database_learn_claims(void);
bool fuzzed_database_has_passed_others(void);

#endif
