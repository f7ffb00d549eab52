/* Mutants: the same ones in every run. */
#ifndef COFRE_TESTS_MUTATE_H
#define COFRE_TESTS_MUTATE_H

#include "vmm/base/bytes.h"

/* How many to make of so many: all, or one in COFRE_MUTATIONS_ONE_IN (tests/run sets it). */
unsigned mutate_rounds(unsigned all);

uint64_t mutate_any(uint64_t below);

/* Bits flipped, bytes changed, and here and there a cut or some bytes more; never the original. The caller frees it. */
void mutate_bytes(struct bytes *out, struct view in);
/* The same with characters, and here and there a copy of others of it. */
void mutate_text(struct bytes *out, struct view in);

#endif
