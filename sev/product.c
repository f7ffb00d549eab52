#include "sev/product.h"

#include <string.h>

static const struct {
    const char *name;
    enum snp_product product;
} names[] = {
    {"Milan", SNP_PRODUCT_MILAN}, {"Genoa", SNP_PRODUCT_GENOA},   {"Turin", SNP_PRODUCT_TURIN},
    {"Siena", SNP_PRODUCT_GENOA}, {"Bergamo", SNP_PRODUCT_GENOA},
};

static const struct {
    uint8_t family, first_model, last_model;
    enum snp_product product;
} models[] = {
    {0x19, 0x00, 0x0f, SNP_PRODUCT_MILAN},
    {0x19, 0x10, 0x1f, SNP_PRODUCT_GENOA},
    {0x19, 0xa0, 0xaf, SNP_PRODUCT_GENOA},
    {0x1a, 0x00, 0x11, SNP_PRODUCT_TURIN},
};

const char *snp_product_name(enum snp_product product)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].product == product)
            return names[i].name;
    return "unknown";
}

enum snp_product snp_product_named(const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i].name) == len && memcmp(names[i].name, name, len) == 0)
            return names[i].product;
    return SNP_PRODUCT_UNKNOWN;
}

enum snp_product snp_product_of_cpuid(uint8_t family, uint8_t model)
{
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        if (models[i].family == family && model >= models[i].first_model && model <= models[i].last_model)
            return models[i].product;
    return SNP_PRODUCT_UNKNOWN;
}
