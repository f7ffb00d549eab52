/* A log in memory with a real key: heads and receipts of any size of it. */
#ifndef COFRE_TESTS_LOG_SIGNED_LOG_H
#define COFRE_TESTS_LOG_SIGNED_LOG_H

#include "attest/log/receipt.h"
#include "tests/unit/log/memory_list.h"

#define SIGNED_LOG_SIZE 20

struct signed_log {
    struct memory_list list;
    struct log_tree tree;
    struct cose_keys keys; /* one, with a kid */
    struct log_hash id;
};

/* Entry number i is the byte i, of the first one seed. curve: "P-256" or "P-384". False without memory. */
bool signed_log_make(struct signed_log *log, const char *curve, uint8_t seed);
void signed_log_free(struct signed_log *log);

/* The caller frees what is made; false where it could not be. */
bool signed_log_head(struct signed_log *log, uint64_t size, struct bytes *out);
bool signed_log_inclusion(struct signed_log *log, uint64_t index, uint64_t size, struct bytes *out);
bool signed_log_consistency(struct signed_log *log, uint64_t size1, uint64_t size2, struct bytes *out);

#endif
