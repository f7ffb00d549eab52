/* What the hostile guest's files need of its processor, its memory and its TEE. */
#ifndef COFRE_TESTS_LAB_HOSTILE_GUEST_H
#define COFRE_TESTS_LAB_HOSTILE_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/lab/hostile/place.h"

/* Page tables of its own, and SHARED_GPA shared. The TEE by its letter: p (none), s (SNP), t (TDX). */
void guest_start(char tee);
/* The TEE's memory at that address, as devices see it. */
static inline void *shared(uint64_t gpa)
{
    return (void *)(uintptr_t)(gpa + SHARED_VIEW);
}

/* To the serial port. Formats: %s, %u (uint32_t). */
void say(const char *format, ...);
_Noreturn void power_off(void);

/* Seeded. */
extern uint32_t seed;
uint32_t below(uint32_t n);
/* A number that is likely to be a limit of something. */
uint64_t wild(void);

void *memset(void *to, int byte, size_t len);
void *memcpy(void *to, const void *from, size_t len);
int memcmp(const void *a, const void *b, size_t len);

#endif
