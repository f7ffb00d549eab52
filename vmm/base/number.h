/* Numbers and sizes as people write them on a command line. */
#ifndef COFRE_BASE_NUMBER_H
#define COFRE_BASE_NUMBER_H

#include <stdint.h>

#include "vmm/base/error.h"

/* Decimal, or hexadecimal after 0x; all of text, from min to max. COFRE_USAGE with what ("--cpus") in the sentence. */
int number_parse(uint64_t *out, const char *text, const char *what, uint64_t min, uint64_t max,
                 struct cofre_err *err);

/* A decimal number of bytes, or of K, M, G (powers of 1024). */
int size_parse(uint64_t *out, const char *text, const char *what, struct cofre_err *err);

#endif
