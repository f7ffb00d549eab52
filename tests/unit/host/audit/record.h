/* A record in a database of its own, with a key; and the log that comes out of it. */
#ifndef COFRE_TESTS_HOST_AUDIT_RECORD_H
#define COFRE_TESTS_HOST_AUDIT_RECORD_H

#include "attest/log/file.h"
#include "vmm/host/audit/audit.h"

#define RECORD_TIME 1717200000

struct record {
    char folder[64];
    char database[96], key[96], copy[96];
    struct db *db;
    struct audit *audit;
    struct cose_keys keys; /* that verify */
    int64_t now;
};

/* Fail the test where they fail. */
void record_make(struct record *r);
void record_free(struct record *r);
/* One turn of so many operations, each with its number (from *next on) in its object's name. */
void record_grow(struct record *r, unsigned operations, unsigned *next);
/* A copy of the log, opened with every head checked. */
struct log_file *record_copy(struct record *r);

#endif
