/* The small files by which a kernel tells numbers (cgroup v2, /proc/meminfo), read whole and taken strictly. */
#ifndef COFRE_HOST_HANDS_FLAT_H
#define COFRE_HOST_HANDS_FLAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"

#define FLAT_SIZE 32768

/* The file's text, ended by a zero. COFRE_LACKING where it is not there; COFRE_FAILED where it cannot be read or is longer. */
int flat_read(int directory, const char *name, char *out, size_t size, struct cofre_err *err);
/* Writes the text in one call. COFRE_FAILED with file and reason; errno is the kernel's. */
int flat_write(int directory, const char *name, const char *text, struct cofre_err *err);

/* A decimal number that is all of the text but its last line's end; "max" is UINT64_MAX. */
bool flat_number(uint64_t *out, const char *text);
/* The number in the line "KEY NUMBER" or "KEY:  NUMBER kB" (then times 1024). False where there is none, or another thing than a
 * number. */
bool flat_keyed(uint64_t *out, const char *text, const char *key);
/* Adds the numbers of "KEY=NUMBER" in all lines. False where one is no number. */
bool flat_sum(uint64_t *out, const char *text, const char *key);
/* A list of numbers as the kernel writes them, "0-3,6\n", as bits. False for another thing, or a number that is not below 64 *
 * words. */
bool flat_bits(uint64_t *out, unsigned words, const char *text);
/* The same the other way: at most size bytes, without an end of line; false where they do not suffice. */
bool flat_bits_format(char *out, size_t size, const uint64_t *bits, unsigned words);

#endif
