/* A database for a test: a file of SQLite's, or a PostgreSQL server of the test's own, in a folder that goes with it. */
#ifndef TESTS_UNIT_STORE_SERVER_H
#define TESTS_UNIT_STORE_SERVER_H

#include <stdbool.h>

struct server {
    bool postgres;
    char folder[64];
    char name[256]; /* for db_open */
};

/* kind: "sqlite" or "postgres". False where it is not installed. */
bool server_start(struct server *server, const char *kind);
/* Of PostgreSQL: stop takes its mode, "fast" or "immediate". */
void server_stop(struct server *server, const char *mode);
void server_start_again(struct server *server);
void server_remove(struct server *server);

#endif
