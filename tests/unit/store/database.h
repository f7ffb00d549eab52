/* A database for a test: a file of SQLite's, or a PostgreSQL server of the test's own, in a folder that goes with it. */
#ifndef TESTS_UNIT_STORE_DATABASE_H
#define TESTS_UNIT_STORE_DATABASE_H

#include <stdbool.h>

struct database {
    bool postgres;
    char folder[64];
    char name[256]; /* for db_open */
};

/* kind: "sqlite" or "postgres". False where it is not installed. */
bool database_start(struct database *server, const char *kind);
/* Of PostgreSQL: stop takes its mode, "fast" or "immediate". */
void database_stop(struct database *server, const char *mode);
void database_start_again(struct database *server);
void database_remove(struct database *server);

#endif
