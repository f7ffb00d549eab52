/*
 * TDX quotes, versions 4 and 5: what a quoting enclave makes of a TDREPORT. A quote is a header, the TD's report, and a
 * signature section of nested, length-prefixed parts:
 *
 *   tdx_quote_head                  48 bytes
 *   version 5 only: body type (2) and size (4)
 *   tdx_quote_body                  584, 648 or 885 bytes; header and all of this is what the attestation key signs
 *   length (4) of the signature section, which is
 *     tdx_quote_signature           signature, attestation key
 *     certification data (6): type 6, size; in it
 *       tdx_qe_report and its signature by the PCK's key
 *       length (2) and the QE's authentication data
 *       certification data (6): type, size, data; type 5 is the PCK chain in PEM
 *
 * Little-endian; signatures are R | S and keys X | Y of P-256, big-endian. Sources: Intel TDX DCAP Quoting Library API,
 * appendix 3 (quote format); body type 4: sgx_report2_body_v1_5_ex_t in Intel's sgx_quote_5.h.
 *
 * Pure: the parts are views into the input. Everything here is as the attester sent it; nothing is judged.
 */
#ifndef COFRE_TDX_QUOTE_H
#define COFRE_TDX_QUOTE_H

#include "tdx/abi.h"
#include "vmm/base/bytes.h"

#define TDX_QUOTE_MAX         (64u << 10) /* bytes; of real ones most are below 6000 */
#define TDX_QUOTE_VERSION_MIN 4
#define TDX_QUOTE_VERSION_MAX 5
#define TDX_QUOTE_KEY_P256    2 /* attestation key type: ECDSA P-256 with SHA-256 */
#define TDX_P256_SIZE         64

struct tdx_quote_head {
    uint8_t version[2], key_type[2], tee_type[4];
    uint8_t reserved[4]; /* QE's and PCE's SVN in version 3 */
    uint8_t qe_vendor_id[16];
    uint8_t user_data[20]; /* Intel's QE: 16 bytes that tell platforms apart, then zeros */
};
static_assert(sizeof(struct tdx_quote_head) == 48, "quote header");

/* Intel's QE vendor id. */
extern const uint8_t tdx_quote_intel_qe[16];

enum tdx_quote_body_type { TDX_BODY_10 = 2, TDX_BODY_15 = 3, TDX_BODY_15_EX = 4 };

struct tdx_quote_body_desc { /* before the body, version 5 */
    uint8_t type[2], size[4];
};
static_assert(sizeof(struct tdx_quote_body_desc) == 6, "body descriptor");

struct tdx_quote_body {
    /* type 2, and version 4: the first 584 bytes */
    uint8_t tee_tcb_svn[16];
    uint8_t mrseam[48];
    uint8_t mrsignerseam[48];
    uint8_t seam_attributes[8];
    uint8_t td_attributes[8];
    uint8_t xfam[8];
    uint8_t mrtd[48];
    uint8_t mrconfigid[48];
    uint8_t mrowner[48];
    uint8_t mrownerconfig[48];
    uint8_t rtmr[TDX_RTMRS][48];
    uint8_t report_data[TDX_REPORT_DATA_SIZE];
    /* type 3: to 648 */
    uint8_t tee_tcb_svn_2[16];
    uint8_t mrservicetd[48];
    /* type 4: to 885 */
    uint8_t vmid;
    uint8_t td_id[32];
    uint8_t device_info[48];
    uint8_t init_servtd_hash[48];
    uint8_t init_servtd_attributes[8];
    uint8_t init_cpu_svn[16];
    uint8_t init_tee_tcb_svn[16];
    uint8_t init_tee_fmspc[12];
    uint8_t servtd_hash[48];
    uint8_t servtd_attributes[8];
};
static_assert(offsetof(struct tdx_quote_body, tee_tcb_svn_2) == 584, "body of TDX 1.0");
static_assert(offsetof(struct tdx_quote_body, vmid) == 648, "body of TDX 1.5");
static_assert(sizeof(struct tdx_quote_body) == 885, "extended body of TDX 1.5");

struct tdx_quote_signature {
    uint8_t signature[TDX_P256_SIZE];
    uint8_t attestation_key[TDX_P256_SIZE];
};

/* REPORT_BODY of an SGX enclave (Intel SDM 3D, table 39-22): here the quoting enclave's. */
struct tdx_qe_report {
    uint8_t cpu_svn[16];
    uint8_t miscselect[4];
    uint8_t reserved1[28];
    uint8_t attributes[16];
    uint8_t mrenclave[32];
    uint8_t reserved2[32];
    uint8_t mrsigner[32];
    uint8_t reserved3[96];
    uint8_t isv_prod_id[2];
    uint8_t isv_svn[2];
    uint8_t reserved4[60];
    uint8_t report_data[64]; /* SHA-256(attestation key | authentication data), then zeros */
};
static_assert(sizeof(struct tdx_qe_report) == 384, "enclave report");

enum tdx_certification_type {
    TDX_CERTIFICATION_PPID = 1,      /* 1 to 3: PPID in clear or encrypted, CPUSVN, PCESVN, PCE id */
    TDX_CERTIFICATION_PCK_LEAF = 4,  /* PCK certificate alone, PEM */
    TDX_CERTIFICATION_PCK_CHAIN = 5, /* PCK certificate, its CA, root, PEM */
    TDX_CERTIFICATION_QE_REPORT = 6, /* tdx_qe_certification and what follows it */
    TDX_CERTIFICATION_PLATFORM_MANIFEST = 7,
};

struct tdx_certification_head {
    uint8_t type[2], size[4];
};
static_assert(sizeof(struct tdx_certification_head) == 6, "certification data");

struct tdx_qe_certification { /* then length (2), authentication data, tdx_certification_head, data */
    struct tdx_qe_report report;
    uint8_t report_signature[TDX_P256_SIZE];
};
static_assert(sizeof(struct tdx_qe_certification) == 448, "QE report certification data");

/* Where everything is. Views and pointers are into the quote. */
struct tdx_quote {
    unsigned version;
    enum tdx_quote_body_type body_type; /* TDX_BODY_10 for version 4 */
    const struct tdx_quote_head *head;
    const struct tdx_quote_body *body; /* only the first body_size bytes are there: see tdx_quote_body_has */
    size_t body_size;
    struct view signed_bytes; /* header and body, with the descriptor in version 5 */
    const struct tdx_quote_signature *signature;
    const struct tdx_qe_certification *qe;
    struct view qe_auth_data;
    unsigned certification_type; /* of the data within type 6 */
    struct view certification;   /* with the zero that Intel's service ends PEM with, where it does */
    struct view trailing;        /* behind the end of the quote */
};

/* What the first bytes say: true for a TDX quote of a known version, well formed or not. */
bool tdx_quote_recognises(struct view raw);

/* -COFRE_MALFORMED names the part that does not fit. Values that only a judge can refuse are not looked at: key type,
 * vendor, reserved fields, the kind of certification data within, trailing bytes. */
int tdx_quote_parse(struct tdx_quote *out, struct view raw, struct cofre_err *err);

#define tdx_quote_body_has(quote, field)                                                                     \
    ((quote)->body_size >= offsetof(struct tdx_quote_body, field) + sizeof((quote)->body->field))

/* Bytes of a body; 0 for a type that is not known. */
size_t tdx_quote_body_size(unsigned type);

#endif
