/* The emulated host within: the platform's structure, and what quotes and collateral must agree upon. */
#ifndef COFRE_TDX_MODEL_ENCLAVE_H
#define COFRE_TDX_MODEL_ENCLAVE_H

#include "tdx/model/pki.h"
#include "tdx/model/platform.h"

struct tdx_platform {
    struct tdx_pki pki;
    unsigned quote_version;
};

extern const uint8_t tdx_emulated_tee_tcb_svn[TDX_SVNS];

/* The quoting enclave, as its report and its identity say. */
#define TDX_EMULATED_QE_PROD_ID 2
#define TDX_EMULATED_QE_SVN     4
void tdx_emulated_qe_signer(uint8_t mrsigner[32]);

/* PEM texts, one after another. */
int tdx_pem_chain(struct bytes *out, X509 *const *certificates, size_t count, struct cofre_err *err);

#endif
