/* Logs in files for tests: entries follow from their numbers, and heads have a hash instead of a signature. */
#ifndef COFRE_TESTS_LOG_MADE_LOG_H
#define COFRE_TESTS_LOG_MADE_LOG_H

#include "attest/log/file.h"

#define MADE_DIR_SIZE 64
/* A directory in memory where there is one: thousands of logs are synced. */
bool made_dir(char out[MADE_DIR_SIZE]);

/* May sign where write. context counts the checks, may be NULL. */
struct log_heads made_heads(bool write, unsigned *checks);

/* Entry number index: 0 to some 100,000 bytes. */
void made_entry(struct bytes *out, uint64_t index);
/* The root of a log of so many of them. */
struct log_hash made_root(uint64_t size);

/* Opens, fails the test where that fails. */
struct log_file *made_open(const char *path, bool write);
/* A new log of the first entry. */
void made_create(const char *path);
/* Appends until it has size entries, and commits after each number of entries that is in commits, ended by 0. */
void made_grow(struct log_file *f, uint64_t size, const uint64_t *commits);
/* A log's file with entry number index as its hash only; returns where that is. */
size_t made_remove(struct bytes *out, struct view file, uint64_t index);
/* Whole and right: state, root, every entry. */
void made_check(struct log_file *f, uint64_t size);

#endif
