/* SEV-SNP's part of appraise(): its table of checks and its claims. */
#ifndef COFRE_ATTEST_SNP_H
#define COFRE_ATTEST_SNP_H

#include "attest/appraise.h"
#include "attest/check.h"
#include "attest/check_reference.h"
#include "sev/report.h"

/* One appraisal under way. Everything is settled before the first check, and no check changes it. */
struct snp_case {
    const struct appraisal *in;
    const struct policy_snp *policy;
    struct snp_report report;
    struct x509_certs certs; /* all there are; owned */
    struct snp_chain chain;
    struct snp_leaf leaf; /* where leaf_rc is 0 */
    int leaf_rc;          /* of decoding it */
    struct cofre_err leaf_why;
    enum snp_product product; /* the leaf's, else the report's */
    struct snp_tcb current, reported, committed, launch;
    bool tcb_decoded;
    struct reference_found reference;
};

int snp_appraise(struct verdict *out, const struct appraisal *in, struct cofre_err *err);

/* arg tells apart checks that differ by one datum. why gets a sentence in every case. */
struct snp_check {
    const char *id;
    int (*check)(const struct snp_case *c, int arg, struct cofre_err *why);
    int arg;
};

/* Each ended by a NULL id, in the order in which they are made. */
extern const struct snp_check snp_genuine_checks[]; /* is it a report of AMD's? snp_genuine.c */
extern const struct snp_check snp_policy_checks[];  /* is it one that the policy accepts? snp_accept.c */

/* What the report says, whatever it is worth; leaf may be NULL. NULL without memory. snp_claims.c */
json_t *snp_claims(const struct snp_report *report, enum snp_product product, const struct snp_leaf *leaf);
/* What a manifest of services says, likewise. NULL without memory. */
json_t *snp_service_claims(const struct svsm_manifest *manifest);

#endif
