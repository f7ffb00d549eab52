#include "sev/model/product.h"

/* In the order of enum snp_tcb_component. Milan's microcode level is above 127 on purpose: its DER INTEGER needs a
 * padding byte. */
static const struct psp_product products[] = {
    {SNP_PRODUCT_MILAN, "Milan-B0", 0x00a00f11, 64, {{0, 4, 0, 24, 219}}},
    {SNP_PRODUCT_GENOA, "Genoa", 0x00a10f11, 64, {{0, 10, 0, 23, 84}}},
    {SNP_PRODUCT_TURIN, "Turin", 0x00b00f21, 8, {{1, 1, 1, 4, 81}}},
};

const struct psp_product *psp_product(enum snp_product product)
{
    for (size_t i = 0; i < sizeof products / sizeof *products; i++)
        if (products[i].product == product)
            return &products[i];
    return NULL;
}

bool psp_product_tcb_within(const struct psp_product *chip, uint64_t raw)
{
    struct snp_tcb tcb;
    return snp_tcb_decode(&tcb, raw, chip->product) && snp_tcb_at_least(&chip->tcb, &tcb, NULL);
}
