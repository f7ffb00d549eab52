/* TDX's part of appraise(): its table of checks and its claims. */
#ifndef COFRE_ATTEST_TDX_H
#define COFRE_ATTEST_TDX_H

#include "attest/appraise.h"
#include "attest/check.h"
#include "tdx/chain.h"
#include "tdx/pck.h"
#include "tdx/quote.h"

/* One appraisal under way. Everything is settled before the first check, and no check changes it. */
struct tdx_case {
    const struct appraisal *in;
    const struct policy_tdx *policy;
    const struct tdx_collateral *collateral; /* NULL: none was given */
    struct tdx_quote quote;
    EVP_PKEY *attestation_key; /* owned; NULL where the quote's is no point of P-256 */
    struct x509_certs
        certs; /* the quote's, or the collateral's where the quote has none, and --cert's; owned */
    struct x509_crls crls;  /* the collateral's and --crl's; owned */
    struct tdx_chain chain; /* of the PCK certificate */
    struct tdx_pck pck;     /* where pck_rc is 0 */
    int pck_rc;             /* of decoding it */
    struct cofre_err pck_why;
};

int tdx_appraise(struct verdict *out, const struct appraisal *in, struct cofre_err *err);

/* arg tells apart checks that differ by one datum. why gets a sentence in every case. */
struct tdx_check {
    const char *id;
    int (*check)(const struct tdx_case *c, int arg, struct cofre_err *why);
    int arg;
};

/* Each ended by a NULL id, in the order in which they are made; tdx.c lists the tables. */
extern const struct tdx_check tdx_genuine_checks[]; /* is it a quote of an Intel platform? tdx_genuine.c */
extern const struct tdx_check tdx_policy_checks[];  /* is it one that the policy accepts? tdx_accept.c */

/* What the quote says, whatever it is worth; pck may be NULL. NULL without memory. tdx_claims.c */
json_t *tdx_claims(const struct tdx_quote *quote, const struct tdx_pck *pck);

#endif
