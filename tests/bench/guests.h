/* Emulated guests whose evidence benchmarks have judged: by the service, and beside it by appraise() in this process. */
#ifndef COFRE_TESTS_BENCH_GUESTS_H
#define COFRE_TESTS_BENCH_GUESTS_H

#include "attest/appraise.h"
#include "sev/cert_table.h"
#include "sev/model/psp.h"
#include "tdx/collateral.h"
#include "tdx/model/platform.h"
#include "tdx/signer.h"
#include "vmm/base/x509_issued.h"

#define GUEST_NONCE 32

/* An SNP guest and a TD, and what a verifier has of their chips. */
struct guests {
    struct psp *psp;
    struct psp_guest *snp;
    struct snp_secrets_page *secrets;
    uint64_t seqno; /* of the SNP guest's next request */
    struct tdx_platform *tdx;
    struct bytes certificates; /* the table that comes with a report */
    struct bytes roots;        /* PEM, both */
    struct bytes collateral;   /* of the TD's platform, as a file */
    struct bytes signer;       /* of the TD's quotes, the same in all */
    struct x509_certs root;
    struct tdx_collateral decoded;
    struct policy policy;
};
void guests_make(struct guests *g);
void guests_free(struct guests *g);

/* Evidence on that nonce; with_certificates is SNP's. */
void guests_snp(struct guests *g, const uint8_t nonce[GUEST_NONCE], bool with_certificates,
                struct evidence *out);
void guests_tdx(struct guests *g, const uint8_t nonce[GUEST_NONCE], struct evidence *out);

/* The same over report data of up to 64 bytes. */
void guests_snp_on(struct guests *g, struct view report_data, struct evidence *out);
void guests_tdx_on(struct guests *g, struct view report_data, struct evidence *out);

/* What the service is asked with: {"evidence": ..., "policy": "bench", kind: nonce}. The caller frees it. */
char *guests_body(const struct evidence *evidence, const char *kind, const uint8_t nonce[GUEST_NONCE],
                  bool jwt);

/* The chip's certificates and list as one file of collateral, for `cofre collateral import`. */
void guests_parcel(struct guests *g, struct bytes *out);

#endif
