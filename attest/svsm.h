/*
 * What a guest has of its SVSM's services beside a report at VMPL 0: a manifest, whose bytes the report is over (AMD publication
 * 58019, Secure VM Service Module for SEV-SNP Guests, revision 1.00, section 7). REPORT_DATA is SHA-512 of the guest's nonce and,
 * behind it, the manifest. A manifest is a table of all services, which begins with a GUID of its own, or one service's alone, of
 * which only the vTPM's is known here: the TPMT_PUBLIC of its endorsement key (TCG TPM 2.0 library specification, part 2, 12.2.4).
 *
 * Manifests come from the guest and over the host: nothing in one is anybody's word before snp_appraise has compared it.
 */
#ifndef COFRE_ATTEST_SVSM_H
#define COFRE_ATTEST_SVSM_H

#include <openssl/types.h>

#include "vmm/base/bytes.h"

#define SVSM_MANIFEST_MAX (64u << 10)
#define SVSM_SERVICES_MAX 32
#define SVSM_EK_NAME_MAX  (2 + 64)
/* What a guest gives, always; see docs/svsm.md for what another size would let it do. */
#define SVSM_NONCE_SIZE 64

struct svsm_service {
    uint8_t guid[16];     /* as it lies in memory (vmm/base/ovmf_table.h writes it) */
    struct view manifest; /* may be empty: it has none */
};

/* The vTPM's endorsement key. */
struct svsm_ek {
    EVP_PKEY *key;                  /* NULL: the manifest has none */
    uint8_t name[SVSM_EK_NAME_MAX]; /* as a TPM has it: the hash's number, the hash of the TPMT_PUBLIC */
    size_t name_len;
    char kind[64];     /* "RSA-2048, SHA-256, AES-128-CFB" */
    const char *unfit; /* why no secret that is encrypted to it is the vTPM's alone; NULL: it is */
};

struct svsm_manifest {
    struct view bytes; /* what the report is over; borrowed */
    bool all;          /* a table of all services; else the vTPM's alone */
    struct svsm_service service[SVSM_SERVICES_MAX];
    size_t services;
    struct svsm_ek ek;
};

/* *out borrows from file. -COFRE_MALFORMED: neither a table nor a vTPM's key, a table whose parts lie over each other or outside
 * it, a service twice. A key that is one but unfit is for the verdict to refuse. The caller frees *out, also after an error. */
int svsm_manifest_read(struct svsm_manifest *out, struct view file, struct cofre_err *err);
void svsm_manifest_free(struct svsm_manifest *m);
#define CLEAN_MANIFEST __attribute__((cleanup(svsm_manifest_free))) struct svsm_manifest

/* The endorsement key as a public key in PEM. -COFRE_MALFORMED: there is none. */
int svsm_ek_pem(struct bytes *out, const struct svsm_ek *ek, struct cofre_err *err);

#endif
