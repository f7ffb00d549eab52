/* Evidence to verdict. Every entry point (command, library, service) goes through appraise(). */
#ifndef COFRE_ATTEST_APPRAISE_H
#define COFRE_ATTEST_APPRAISE_H

#include "attest/evidence.h"
#include "attest/policy.h"
#include "attest/verdict.h"
#include "sev/certs.h"

struct references;     /* attest/reference.h */
struct svsm_manifest;  /* attest/svsm.h */
struct tdx_collateral; /* tdx/collateral.h */
struct tdx_signers;    /* tdx/signer.h */
struct tdx_pck;        /* tdx/pck.h */
struct tdx_chain;      /* tdx/chain.h */
struct x509_issued;    /* vmm/base/x509_issued.h */

/*
 * Of TDX: asked once, when the PCK certificate was decoded, for the collateral of that platform. The chain is as it was built,
 * and not judged. 0 with *out, borrowed, or NULL where there is none; an error ends the appraisal.
 */
struct appraisal_finder {
    int (*find)(void *context, const struct tdx_pck *pck, const struct tdx_chain *chain,
                const struct tdx_collateral **out, struct cofre_err *err);
    void *context;
};

/* All borrowed. Views of length 0 are not asked for. */
struct appraisal {
    const struct evidence *evidence;
    const struct policy *policy;
    const struct x509_certs
        *certs; /* the verifier's own, besides those that came with the evidence; may be NULL */
    const struct x509_crls
        *crls; /* may be NULL: revocation is then reported as skipped for SNP, as unjudged for TDX */
    const struct tdx_collateral *collateral; /* of TDX; may be NULL: what needs it is then unjudged */
    const struct references *references;     /* that a policy may name; may be NULL */
    struct appraisal_finder finder;          /* where collateral is NULL; find may be NULL */
    const char *
        lacking; /* why the vendor's certificates or collateral are not there, for sentences; NULL or "": the options
                            that give them are named */
    struct x509_issued *issued;  /* of SNP; may be NULL: who issued whom in chains of reports that passed */
    struct tdx_signers *signers; /* of TDX; may be NULL: who signed quotes that passed */
    const struct x509_certs *roots; /* trusted besides the vendors'; may be NULL */
    struct view nonce;              /* 1 to 64 bytes: the report data is these, then zeros */
    /* Of SNP; may be NULL. The report is its SVSM's, at VMPL 0: its data is SHA-512 of these 64 bytes and the manifest. */
    const struct svsm_manifest *service;
    struct view report_data; /* 64 bytes */
    struct view measurement; /* 48 bytes */
    int64_t at;              /* the time of verification, in seconds since 1970 */
};

/*
 * 0 with a verdict, whatever it is; the caller frees it. -COFRE_MALFORMED where what came with the evidence is not what
 * it should be, -COFRE_USAGE for a services' manifest with evidence that is no SNP report, -COFRE_FAILED for want of memory; nothing
 * to free then.
 */
int appraise(struct verdict *out, const struct appraisal *in, struct cofre_err *err);

#endif
