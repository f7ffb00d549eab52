/*
 * Collateral in Intel's form for tests, each detail of which a test can make wrong before it is signed, or after. It is about
 * the platform of FAKE_SEEN, which it finds up to date.
 */
#ifndef COFRE_TESTS_FAKE_COLLATERAL_H
#define COFRE_TESTS_FAKE_COLLATERAL_H

#include "tdx/tcb_status.h"
#include "tests/unit/attest/fake_cert.h"

/* What a quote and its PCK certificate must say to be of this platform. */
extern const struct tdx_tcb_seen fake_seen;
extern const uint8_t fake_fmspc[6], fake_pce_id[2];
extern const uint8_t fake_qe_mrsigner[32], fake_qe_attributes[16];
#define FAKE_QE_MISCSELECT 1u
#define FAKE_QE_PROD_ID    2u

struct fake_keys_intel {
    EVP_PKEY *root, *ca, *tcb_signing, *other; /* P-256 */
};

/* A level of the platform, or, by tdx[0] alone, of a module or an enclave. */
struct fake_level {
    uint8_t sgx[16], tdx[16];
    unsigned pce_svn;
    const char *status, *date, *advisories; /* advisories: as in JSON, without the brackets */
};

/* One of TCB info and QE identity, and who signs it. */
struct fake_document {
    int64_t issued, next_update;
    unsigned evaluation_number;
    struct fake_cert signer, root;
    EVP_PKEY *key;                  /* makes the signature */
    const char *was, *is;           /* changed before it is signed, where was is not NULL */
    const char *was_then, *is_then; /* changed after */
    bool as_answer;                 /* as the service answers, signature and all */
};

struct fake_collateral {
    struct fake_document tcb, qe;
    struct fake_cert ca; /* the PCK CA */
    struct fake_crl pck_crl, root_crl;
    struct fake_level level[2], module[2], enclave[2]; /* the best first */
    uint8_t fmspc[6], pce_id[2];
    uint8_t module_version, module_mrsigner[48];
    uint8_t qe_mrsigner[32], qe_attributes[16], qe_attributes_mask[16];
    uint32_t qe_miscselect, qe_miscselect_mask;
    unsigned qe_prod_id;
    const char *left_out[4]; /* members of the file */
};

void fake_collateral_init(struct fake_collateral *c, const struct fake_keys_intel *keys);
/* The file, as text. */
void fake_collateral_make(struct bytes *out, const struct fake_collateral *c);

/* Drafts of Intel's certificates by their names, good in every respect. */
void fake_intel_root(struct fake_cert *out, const struct fake_keys_intel *keys);
void fake_intel_ca(struct fake_cert *out, const struct fake_keys_intel *keys);
void fake_intel_tcb_signing(struct fake_cert *out, const struct fake_keys_intel *keys);

#endif
