/* A tree's list of hashes in memory, which counts what is read, and can fail. */
#ifndef COFRE_TESTS_LOG_MEMORY_LIST_H
#define COFRE_TESTS_LOG_MEMORY_LIST_H

#include "attest/log/tree.h"

struct memory_list {
    struct log_hash *hash;
    uint64_t count, room;
    uint64_t reads, appends; /* calls so far */
    bool fails;              /* every call from now on */
};

/* The functions for log_tree_open; list outlives the tree. */
struct log_hash_list memory_list_functions(struct memory_list *list);
void memory_list_free(struct memory_list *list);

#endif
