/*
 * The emulated platform's chip and its certificates, made once per directory. The shape is AMD's (publication 57230,
 * "VCEK certificate and KDS interface specification"): ARK, ASK and ASVK with RSA-4096 and RSASSA-PSS of SHA-384, VCEK
 * and VLEK with P-384 and AMD's extensions, a CRL. The organisation in every name is "EMULATED by Cofre".
 *
 * Files, in a directory of mode 0700: ark, ask, asvk, vcek, vlek as .pem and .key, crl.pem, and chip_id (hexadecimal),
 * which is written last: a directory that has it is complete.
 */
#ifndef COFRE_SEV_MODEL_CHAIN_H
#define COFRE_SEV_MODEL_CHAIN_H

#include <openssl/types.h>

#include "sev/model/product.h"
#include "vmm/base/error.h"

#define PSP_CSP_ID "cofre-emulated" /* whom the VLEK is leased to */

struct psp_chain {
    const struct psp_product *chip;
    X509 *ark, *ask, *asvk, *vcek, *vlek;
    X509_CRL *crl;
    EVP_PKEY *vcek_key, *vlek_key;
    uint8_t chip_id[64];
};

/* Reads the chain in dir, or makes it. Errors as psp_open; on an error nothing is left to free. */
int psp_chain_open(struct psp_chain *out, const char *dir, enum snp_product product, struct cofre_err *err);
void psp_chain_close(struct psp_chain *chain);

/* Makes a chain in dir, which exists and which nobody else uses. */
int psp_chain_make(const char *dir, const struct psp_product *chip, struct cofre_err *err);

#endif
