/*
 * The counter of a TPM by which the service notices that its database was put back: read at the start, advanced after each change of
 * keys. Changes are made one at a time, so that whoever dies in one leaves the counter at most one behind.
 */
#ifndef COFRE_ATTEST_SERVICE_KEYS_COUNTER_H
#define COFRE_ATTEST_SERVICE_KEYS_COUNTER_H

#include <pthread.h>

#include "keys/roll_back.h"

struct key_counter {
    struct seal_tpm tpm;
    struct seal_counter counter; /* index 0: there is none, and all of these do nothing */
    const uint8_t *root;
    pthread_mutex_t lock;
    uint64_t value; /* that it stands at, as far as is known */
};

/* The database's keys are the newest, or the sentence of keys/roll_back.h. */
int key_counter_start(struct key_counter *c, struct db *db, struct cofre_err *err);
/* Around a change of keys. begin: has the counter where the last change was to bring it; -COFRE_LACKING: the TPM does not answer;
 * -COFRE_FAILED: the database was put back meanwhile. On an error there is nothing to end. end: a change that was kept is kept,
 * whatever the TPM does. */
int key_counter_begin(struct key_counter *c, struct db *db, struct cofre_err *err);
void key_counter_end(struct key_counter *c, struct db *db);

/* Takes the database's keys as they are for the newest. log is within the same transaction. The service may run meanwhile.
 * -COFRE_USAGE: there is nothing to accept. */
typedef int (*key_counter_log)(struct db *db, void *context, const struct key_anchor *before, uint64_t value,
                               struct cofre_err *err);
int key_counter_accept(struct key_counter *c, struct db *db, key_counter_log log, void *context,
                       struct cofre_err *err);

#endif
