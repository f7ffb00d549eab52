#include "sev/tcb.h"

static const struct {
    const char *name;
    int8_t byte, byte_turin;
} layout[SNP_TCB_COMPONENTS] = {
    [SNP_TCB_FMC] = {"fmc", -1, 0},
    [SNP_TCB_BOOT_LOADER] = {"boot_loader", 0, 1},
    [SNP_TCB_TEE] = {"tee", 1, 2},
    [SNP_TCB_SNP] = {"snp", 6, 3},
    [SNP_TCB_MICROCODE] = {"microcode", 7, 7},
};

const char *snp_tcb_component_name(enum snp_tcb_component component)
{
    return layout[component].name;
}

int snp_tcb_byte(enum snp_product product, enum snp_tcb_component component)
{
    if (product == SNP_PRODUCT_UNKNOWN)
        return -1;
    return product == SNP_PRODUCT_TURIN ? layout[component].byte_turin : layout[component].byte;
}

bool snp_tcb_decode(struct snp_tcb *out, uint64_t raw, enum snp_product product)
{
    *out = (struct snp_tcb){0};
    for (int c = 0; c < SNP_TCB_COMPONENTS; c++) {
        int byte = snp_tcb_byte(product, c);
        if (byte >= 0)
            out->svn[c] = (uint8_t)(raw >> (8 * byte));
    }
    return product != SNP_PRODUCT_UNKNOWN && snp_tcb_encode(out, product) == raw;
}

uint64_t snp_tcb_encode(const struct snp_tcb *tcb, enum snp_product product)
{
    uint64_t raw = 0;
    for (int c = 0; c < SNP_TCB_COMPONENTS; c++) {
        int byte = snp_tcb_byte(product, c);
        if (byte >= 0)
            raw |= (uint64_t)tcb->svn[c] << (8 * byte);
    }
    return raw;
}

bool snp_tcb_at_least(const struct snp_tcb *a, const struct snp_tcb *b, enum snp_tcb_component *low)
{
    for (int c = 0; c < SNP_TCB_COMPONENTS; c++)
        if (a->svn[c] < b->svn[c]) {
            if (low)
                *low = c;
            return false;
        }
    return true;
}
