/*
 * The emulated processor's and its host's keys and certificates, made once per directory. The shape is Intel's ("Intel SGX
 * PCK Certificate and Certificate Revocation List Profile Specification", rev 1.5): root CA, PCK platform CA, TCB signing
 * certificate, PCK certificate with Intel's extensions, all of P-256. Common names are Intel's, because verifiers tell
 * roles by them; the organisation in every name is "EMULATED by Cofre".
 *
 * Files: tdx-root, tdx-platform-ca, tdx-tcb-signing, tdx-pck as .pem and .key, tdx-attestation.key, and tdx-processor
 * (hexadecimal, struct tdx_processor), which is written last.
 */
#ifndef COFRE_TDX_MODEL_PKI_H
#define COFRE_TDX_MODEL_PKI_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/error.h"

#define TDX_SVNS 16

/* What every emulated processor has. FMSPC's first byte is one that no family and model of Intel's gives. */
extern const uint8_t tdx_emulated_cpu_svn[TDX_SVNS]; /* the 16 components of the SGX TCB */
extern const uint8_t tdx_emulated_fmspc[6];
extern const uint8_t tdx_emulated_pce_id[2];
#define TDX_EMULATED_PCE_SVN 13

/* What is one processor's own. */
struct tdx_processor {
    uint8_t mac_key[32]; /* of REPORTMACSTRUCT */
    uint8_t ppid[16];
    uint8_t platform_instance[16];
    uint8_t qe_id[16];
};

struct tdx_pki {
    struct tdx_processor processor;
    X509 *root, *platform_ca, *tcb_signing, *pck;
    EVP_PKEY *root_key, *platform_ca_key, *tcb_signing_key, *pck_key, *attestation_key;
};

/* Reads what is in dir, or makes it. Errors as tdx_platform_open; on an error nothing is left to free. */
int tdx_pki_open(struct tdx_pki *out, const char *dir, struct cofre_err *err);
void tdx_pki_close(struct tdx_pki *pki); /* wipes its keys */

/* How these keys sign: ECDSA with SHA-256. */
bool tdx_pki_signer(EVP_MD_CTX *md, EVP_PKEY *key);

/* Makes it all in dir, which exists and which nobody else uses. */
int tdx_pki_make(const char *dir, void *unused, struct cofre_err *err);

#endif
