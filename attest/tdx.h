/* TDX's part of appraise(): its table of checks and its claims. */
#ifndef COFRE_ATTEST_TDX_H
#define COFRE_ATTEST_TDX_H

#include "attest/appraise.h"
#include "attest/check.h"
#include "attest/check_reference.h"
#include "tdx/chain.h"
#include "tdx/event_log.h"
#include "tdx/pck.h"
#include "tdx/quote.h"
#include "tdx/signer.h"
#include "tdx/tcb_status.h"

/* One appraisal under way. Everything is settled before the first check, and no check changes it. */
struct tdx_case {
    const struct appraisal *in;
    const struct policy_tdx *policy;
    const struct tdx_collateral *collateral; /* NULL: none was given */
    struct tdx_quote quote;
    EVP_PKEY *attestation_key; /* owned; NULL where the quote's is no point of P-256 */
    struct x509_certs
        certs;        /* the quote's, or the collateral's where the quote has none, and --cert's; owned */
    size_t own_certs; /* the first so many are the quote's */
    struct tdx_chain chain; /* of the PCK certificate */
    struct tdx_pck pck;     /* where pck_rc is 0 */
    int pck_rc;             /* of decoding it */
    struct cofre_err pck_why;
    const struct tdx_signer *signer; /* remembered, and with this very chain; or NULL */
    struct tdx_tcb_found tcb;        /* where tcb_rc is 0 */
    int tcb_rc;
    struct cofre_err tcb_why;
    struct tdx_event_log events; /* where events_rc is 0; owned */
    int events_rc;
    struct cofre_err events_why;
    uint8_t replayed[TDX_RTMRS][TDX_DIGEST_SIZE]; /* what the events come to */
    struct reference_found reference;
};

int tdx_appraise(struct verdict *out, const struct appraisal *in, struct cofre_err *err);

/* arg tells apart checks that differ by one datum. why gets a sentence in every case. */
struct tdx_check {
    const char *id;
    int (*check)(const struct tdx_case *c, int arg, struct cofre_err *why);
    int arg;
};

/* For sentences: why there is no collateral, or how to give it. */
const char *tdx_case_lacking(const struct tdx_case *c);

/* After the PCK was decoded: what the TCB comes to by the collateral. tdx_tcb.c */
void tdx_tcb_settle(struct tdx_case *c);
/* The log that came with the evidence, parsed and replayed. tdx_event_log.c */
void tdx_event_log_settle(struct tdx_case *c);

/* The certificate by the lists of the collateral and of --crl: 0 where one is current and none names it. */
int tdx_case_check_revocation(const struct tdx_case *c, X509 *cert, X509 *issuer, struct cofre_err *why);

/* Each ended by a NULL id, in the order in which they are made; tdx.c lists the tables. */
extern const struct tdx_check tdx_genuine_checks[]; /* is it a quote of an Intel platform? tdx_genuine.c */
extern const struct tdx_check
    tdx_collateral_checks[]; /* is it Intel's, of now, and of this platform? tdx_collateral.c */
extern const struct tdx_check
    tdx_tcb_checks[]; /* is the platform's TCB one that the policy accepts? tdx_tcb.c */
extern const struct tdx_check
    tdx_event_log_checks[];                        /* does the event log explain the RTMRs? tdx_event_log.c */
extern const struct tdx_check tdx_policy_checks[]; /* is it one that the policy accepts? tdx_accept.c */

/* What the quote says, whatever it is worth; pck may be NULL. NULL without memory. tdx_claims.c */
json_t *tdx_claims(const struct tdx_quote *quote, const struct tdx_pck *pck);
/* Its member "platform": what the PCK certificate says. */
json_t *tdx_pck_claims(const struct tdx_pck *pck);
/* Adds to a verdict whose claims are made: TCB status, advisories, claims on TCB and collateral. tdx_tcb.c */
int tdx_tcb_describe(struct verdict *out, const struct tdx_case *c);

#endif
