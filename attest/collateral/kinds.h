/* What tells kinds of collateral apart; for item.c and fetch.c alone. */
#ifndef COFRE_ATTEST_COLLATERAL_KINDS_H
#define COFRE_ATTEST_COLLATERAL_KINDS_H

#include "attest/collateral/fetch.h"

struct collateral_case {
    const struct collateral_id *id;
    struct collateral_item *item;
    const struct collateral_item *base;
    const struct x509_certs *roots;
    int64_t now;
};

/* kds.c, pcs.c: the checks of collateral_check. */
int kds_check_chain(struct collateral_case *c, struct cofre_err *err);
int kds_check_crl(struct collateral_case *c, struct cofre_err *err);
int kds_check_vcek(struct collateral_case *c, struct cofre_err *err);
int pcs_check_tcb_info(struct collateral_case *c, struct cofre_err *err);
int pcs_check_qe_identity(struct collateral_case *c, struct cofre_err *err);
int pcs_check_pck_crl(struct collateral_case *c, struct cofre_err *err);
int pcs_check_root_crl(struct collateral_case *c, struct cofre_err *err);

/* Where it is to be had. base: of the service, without a slash at its end. */
#define COLLATERAL_URL_MAX 1024
void kds_url(char out[COLLATERAL_URL_MAX], const char *base, const struct collateral_id *id);
void pcs_url(char out[COLLATERAL_URL_MAX], const struct collateral_sources *sources,
             const struct collateral_id *id);
/* The answer's header that has the chain of who signed it; NULL: none. */
const char *pcs_chain_header(enum collateral_kind kind);
/* A list as it came (DER, PEM or hexadecimal digits) becomes DER. */
int pcs_unwrap_crl(struct bytes *body, struct cofre_err *err);

/* The dates of a list; -COFRE_LACKING where it is not of now. what: for the sentence. */
int collateral_crl_dates(struct collateral_case *c, X509_CRL *crl, struct cofre_err *err);
/* -COFRE_LACKING outside the window, with its end in the sentence. */
int collateral_check_window(const struct collateral_case *c, struct cofre_err *err);

#endif
