/*
 * CPUID in machine code. Its two bytes may as well be a part of another instruction: they are taken for it only where decoding
 * from each of several places before them arrives at them. x86 code falls into step within a few instructions.
 */
#ifndef COFRE_EMULATE_CODE_H
#define COFRE_EMULATE_CODE_H

#include <stddef.h>
#include <stdint.h>

/* The first at or after from, within code; NULL where there is no more. */
const uint8_t *code_next_cpuid(const uint8_t *code, size_t len, const uint8_t *from);

#endif
