/* The keeper's parts: keeper.c gives out what is held, keeper_fetch.c fetches, keeper_life.c begins and ends both. */
#ifndef COFRE_ATTEST_COLLATERAL_KEEPER_PARTS_H
#define COFRE_ATTEST_COLLATERAL_KEEPER_PARTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "attest/collateral/keeper.h"

/* What somebody waits for. */
struct wanted {
    struct collateral_id id;
    char name[COLLATERAL_NAME_MAX];
    unsigned refs; /* who look at it: those who wait, and the list */
    bool done;
    struct wanted *next;
};

struct vendor {
    struct keeper *keeper;
    enum collateral_vendor which;
    const char *like, *name;
    struct db *db; /* its thread's */
    pthread_t thread;
    bool started;
    atomic_ullong changes;
    /* under the keeper's lock */
    struct wanted *first; /* the one under way comes first */
    size_t count;
    int64_t not_before; /* what a Retry-After said */
};

struct keeper {
    struct keeper_config config;
    pthread_mutex_t lock;
    pthread_cond_t some, done;
    unsigned waiting;
    atomic_bool ending;
    struct x509_certs roots;
    struct vendor vendor[COLLATERAL_VENDORS];
};

/* A row, read. */
struct row {
    struct collateral_item item;
    int64_t next_try, failures;
    bool absent;
    char trouble[512];
};

void row_free(struct row *row);
#define CLEAN_ROW __attribute__((cleanup(row_free))) struct row

/* A row that is not there is all zero. */
int keeper_read_row(struct row *out, struct db *db, const struct collateral_id *id, struct cofre_err *err);
/* It is held, and has not run out. */
bool keeper_row_is_good(const struct row *row, int64_t now);

/* Of the references that lead to it one goes. Under the lock. */
void wanted_release(struct wanted *wanted);
/* The first is done, whatever came of it. Under the lock. */
void wanted_finish_first(struct vendor *vendor);

#endif
