/*
 * AMD's public certificates for SEV-SNP, as its key service serves them at
 * https://kdsintf.amd.com/{vcek,vlek}/v1/{Milan,Genoa,Turin}/cert_chain, and the fingerprints that roots are pinned by.
 */
#ifndef COFRE_SEV_AMD_CERTS_H
#define COFRE_SEV_AMD_CERTS_H

#include <stdint.h>

#include "sev/product.h"

/* SHA-384 of the DER SubjectPublicKeyInfo of each product's ARK; zero for SNP_PRODUCT_UNKNOWN. */
extern const uint8_t snp_amd_ark_spki_sha384[SNP_PRODUCT_COUNT][48];

/* ARK, ASK and ASVK of each product, PEM. They are judged like any that a user brings. */
extern const char snp_amd_certs[];

#endif
