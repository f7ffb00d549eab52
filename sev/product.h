/* Product lines of SEV-SNP: which roots sign for a chip and how its TCB_VERSION is laid out. */
#ifndef COFRE_SEV_PRODUCT_H
#define COFRE_SEV_PRODUCT_H

#include <stddef.h>
#include <stdint.h>

/* Siena and Bergamo have Genoa's roots and layout, and are Genoa here. */
enum snp_product { SNP_PRODUCT_UNKNOWN, SNP_PRODUCT_MILAN, SNP_PRODUCT_GENOA, SNP_PRODUCT_TURIN };
#define SNP_PRODUCT_COUNT 4

/* "Milan", "Genoa", "Turin"; "unknown". */
const char *snp_product_name(enum snp_product product);

/* From the first len characters of a name without a stepping ("Milan"). */
enum snp_product snp_product_named(const char *name, size_t len);

/* From CPUID's combined family and model, as reports of version 3 and later carry them. */
enum snp_product snp_product_of_cpuid(uint8_t family, uint8_t model);

#endif
