/* ATTRIBUTES and XFAM of a TD (348551, sections 3.4.1 and 3.4.2) as people write them: names or a number. */
#ifndef COFRE_TDX_ATTRIBUTES_H
#define COFRE_TDX_ATTRIBUTES_H

#include "tdx/abi.h"
#include "vmm/base/error.h"

struct tdx_named_bits {
    const char *name;
    uint64_t bits; /* one or, for features that only go together, several */
};
/* In the order of the bits, ended by a NULL name. */
extern const struct tdx_named_bits tdx_attribute_names[];
extern const struct tdx_named_bits tdx_xfam_names[];

/* Reads a number, which stands for itself, or names with commas between them; "none" is no bit. */
int tdx_bits_parse(uint64_t *out, const struct tdx_named_bits *names, const char *text,
                   struct cofre_err *err);

#define TDX_BITS_TEXT_SIZE 256
/* Names, then what has none as a number; tdx_bits_parse does not take the mixture. "none" for 0. */
void tdx_bits_format(char out[TDX_BITS_TEXT_SIZE], const struct tdx_named_bits *names, uint64_t bits);

#endif
