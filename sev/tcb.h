/*
 * TCB_VERSION (56860, 2.2; Turin's layout from family 1Ah on): eight bytes, one component each. Components are
 * security versions that only grow; two versions are compared component by component, never as one number.
 */
#ifndef COFRE_SEV_TCB_H
#define COFRE_SEV_TCB_H

#include <stdbool.h>
#include <stdint.h>

#include "sev/product.h"

enum snp_tcb_component {
    SNP_TCB_FMC, /* Turin only; zero elsewhere */
    SNP_TCB_BOOT_LOADER,
    SNP_TCB_TEE,
    SNP_TCB_SNP,
    SNP_TCB_MICROCODE,
    SNP_TCB_COMPONENTS,
};

struct snp_tcb {
    uint8_t svn[SNP_TCB_COMPONENTS];
};

/* "boot_loader" and so on: the names in policies and claims. */
const char *snp_tcb_component_name(enum snp_tcb_component component);
/* The byte of TCB_VERSION that holds the component, or -1 where the product has none. */
int snp_tcb_byte(enum snp_product product, enum snp_tcb_component component);

/* False for an unknown product and where a byte that the product reserves is not zero. */
bool snp_tcb_decode(struct snp_tcb *out, uint64_t raw, enum snp_product product);
uint64_t snp_tcb_encode(const struct snp_tcb *tcb, enum snp_product product);

/* Every component of a is at least b's. Where not, *low (may be NULL) is the first that is below. */
bool snp_tcb_at_least(const struct snp_tcb *a, const struct snp_tcb *b, enum snp_tcb_component *low);

#endif
