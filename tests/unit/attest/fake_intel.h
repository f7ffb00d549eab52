/*
 * Intel for tests: keys, and certificates, revocation lists, collateral and quotes in Intel's shape, each detail of which a
 * test can make wrong before it is built and signed. Nothing of Intel's is needed or imitated but the names.
 */
#ifndef COFRE_TESTS_FAKE_INTEL_H
#define COFRE_TESTS_FAKE_INTEL_H

#include "attest/appraise.h"
#include "attest/reference.h"
#include "tdx/quote.h"
#include "tests/unit/attest/fake_collateral.h"

/* A member of the SGX extension: what follows 1.2.840.113741.1.13.1 in its OID, and its DER. */
struct fake_member {
    const char *path; /* "1", "2.17" */
    uint8_t tag, value[20];
    size_t len;
    int times; /* 0: left out, 2: twice */
};
#define FAKE_MEMBERS 27 /* the last is nobody's: for one too many */

enum fake_intel_cert { FAKE_ROOT, FAKE_CA, FAKE_PCK, FAKE_INTEL_CERTS };

/* All that goes into an appraisal. fake_intel_init makes one that passes; tests change it; fake_intel_appraise builds it
 * and judges. */
struct fake_intel {
    struct fake_cert cert[FAKE_INTEL_CERTS];
    bool left_out[FAKE_INTEL_CERTS];
    struct fake_member member[FAKE_MEMBERS];
    int extension_times;  /* the SGX extension itself */
    bool extension_empty; /* one without content as well */

    unsigned version, body_type;
    struct tdx_quote_head head;
    struct tdx_quote_body body;
    struct tdx_qe_report qe;
    uint8_t auth_data[32];
    EVP_PKEY *attestation_key, *attestation_signer, *qe_signer;
    const uint8_t *raw_attestation_key; /* these 64 bytes instead of the key's */
    size_t binding_flip;                /* this byte of the QE's report data is wrong, counted from 1 */
    unsigned
        certification_type; /* 5: the chain is in the quote; else it is the collateral's pck_certificate_chain */
    const char *trailing;                       /* text behind the quote */
    size_t padding;                             /* zeros behind the quote */
    void (*tamper)(uint8_t *quote, size_t len); /* after signing */

    struct fake_collateral
        collateral; /* its certificates are its own; its revocation lists are also those by option */
    bool no_collateral, crls_by_option;
    void (*tamper_collateral)(struct bytes *text); /* the file */

    bool trust_root;                      /* the root is given as --trust-root */
    const struct fake_cert *also_trusted; /* and this one; may be NULL */
    const struct fake_crl *also_crl;      /* given as --crl beside the collateral's; may be NULL */
    const char *policy;
    const struct references *references; /* or NULL */
    struct view event_log;
    struct view nonce, report_data, measurement;
    int64_t at;
};

struct fake_intel_keys {
    struct fake_keys_intel intel;
    EVP_PKEY *pck, *attestation, *other; /* P-256 */
    EVP_PKEY *pck_compressed;            /* pck, whose point is written compressed */
    EVP_PKEY *p384, *rsa;
};
extern struct fake_intel_keys fake_intel_keys;
void fake_intel_keys_make(void);
void fake_intel_keys_free(void);

/* version 4, or 5 with a body of that type. */
void fake_intel_init(struct fake_intel *f, unsigned version, enum tdx_quote_body_type body);
struct fake_member *fake_intel_member(struct fake_intel *f, const char *path);
void fake_intel_leave_out(struct fake_intel *f, const char *path);
void fake_intel_set_integer(struct fake_intel *f, const char *path, unsigned value);

/* The quote alone, signed; the caller frees it. */
void fake_intel_quote(struct bytes *out, struct fake_intel *f);
int fake_intel_appraise(struct verdict *out, struct fake_intel *f, struct cofre_err *err);

#endif
