/* What the emulated chips of the three products differ in, beside the layouts of sev/tcb.h. */
#ifndef COFRE_SEV_MODEL_PRODUCT_H
#define COFRE_SEV_MODEL_PRODUCT_H

#include <stdbool.h>

#include "sev/product.h"
#include "sev/tcb.h"

struct psp_product {
    enum snp_product product;
    const char *name;   /* the VCEK's product name; AMD gives a stepping with Milan only */
    uint32_t fms;       /* CPUID leaf 1 EAX */
    size_t hwid_len;    /* bytes of the chip id in the VCEK; the rest of CHIP_ID is zero */
    struct snp_tcb tcb; /* the one that this platform has */
};

/* NULL for a product that is none. */
const struct psp_product *psp_product(enum snp_product product);

/* True where tcb has nothing in reserved bytes and no component above the platform's. */
bool psp_product_tcb_within(const struct psp_product *chip, uint64_t tcb);

#endif
