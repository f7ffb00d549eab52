/* Pieces of claims: what evidence says, as JSON. */
#ifndef COFRE_ATTEST_CLAIMS_H
#define COFRE_ATTEST_CLAIMS_H

#include <jansson.h>

#include "attest/policy.h"

/* A member of at most 64 bytes as hexadecimal text. */
int claim_hex(json_t *object, const char *name, const void *data, size_t len);
json_t *claim_number(uint64_t value); /* "0x30000" */
/* The bits by name, and all of them as "raw". */
json_t *claim_bits(uint64_t value, const struct policy_named_bit *bits, size_t count);

#endif
