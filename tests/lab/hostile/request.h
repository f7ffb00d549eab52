/* Requests as they should be, and what their answers are compared with: bytes in the buffers of a device. */
#ifndef COFRE_TESTS_LAB_HOSTILE_REQUEST_H
#define COFRE_TESTS_LAB_HOSTILE_REQUEST_H

#include "tests/lab/hostile/device.h"

#define REPLY (PROBE + 0x8000) /* where a device writes an answer to what it reads at PROBE */

static inline volatile uint8_t *byte(uint64_t gpa)
{
    return shared(gpa);
}

void put16(uint64_t gpa, uint32_t value);
void put32(uint64_t gpa, uint32_t value);
void put_be16(uint64_t gpa, uint32_t value);
uint32_t get32(uint64_t gpa);
void fill_random(uint64_t gpa, uint32_t len);

/* One request, of so many readable bytes at PROBE and so many writable ones at REPLY, and its return. written may be NULL. */
enum outcome ask(struct device *d, uint32_t out, uint32_t in, uint32_t *written);

/* One whose answer the device writes into a receive buffer: the sought one is any of them. */
typedef bool sought(struct device *d, uint64_t at, uint32_t written);
enum outcome ask_for_answer(struct device *d, uint32_t out, sought *is_answer);

#endif
