/*
 * A fuzz target is one file: libFuzzer's entry point, and the valid inputs that mutation starts from. Beside crashes,
 * which the sanitizers find, a target states what must hold of anything that was accepted (FUZZ_CHECK).
 */
#ifndef COFRE_TESTS_FUZZ_H
#define COFRE_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv); /* seeds.c */

#define FUZZ_SEED_MAX 65536
#define FUZZ_NOW      1717200000 /* time(2) in every target: 2024-06-01 */
/* Writes valid input number index and returns its length; 0: there are no more. Called in order, from 0 on. */
size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX]);

/* Warnings and errors that were logged so far. */
extern unsigned fuzz_log_lines;

#define FUZZ_CHECK(condition)                                                                                \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);                   \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

#endif
