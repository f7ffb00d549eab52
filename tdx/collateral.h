/*
 * What Intel says about a platform at a time: TCB info, QE identity and revocation lists, with the chains of their signers.
 *
 * The JSON file that `cofre verify --collateral` takes has members (each may be missing; what needs it cannot be judged then):
 *   tcb_info, qe_identity                          strings: the signed object's exact text, or the service's whole answer
 *                                                  {"tcbInfo":...,"signature":"..."} ({"enclaveIdentity":... for the other)
 *   tcb_info_signature, qe_identity_signature      128 hex digits, r then s; not needed with a whole answer
 *   tcb_info_issuer_chain, qe_identity_issuer_chain, pck_crl_issuer_chain, pck_certificate_chain
 *                                                  PEM; of a document's chain the signer comes first
 *   pck_crl, root_ca_crl                           DER in hex or base64, or PEM
 * Other members are passed over: none of them can make anything pass.
 *
 * Everything that depends on the bytes alone is decided at the parse and remembered: signatures cost nothing at an
 * appraisal, and a parsed collateral may be used by any number of them at once. Whom to trust, and when, is the caller's.
 */
#ifndef COFRE_TDX_COLLATERAL_H
#define COFRE_TDX_COLLATERAL_H

#include <openssl/types.h>

#include "tdx/pck.h"
#include "tdx/qe_identity.h"
#include "tdx/tcb_info.h"
#include "vmm/base/x509.h"

#define TDX_COLLATERAL_FILE_MAX (4u << 20)

/* What was found at the parse: 0 or a negative code, and for the latter the sentence. */
struct tdx_finding {
    int rc;
    struct cofre_err why;
};

/* A document and who signed it. */
struct tdx_signed {
    struct bytes text; /* what the signature is over; len 0: missing */
    uint8_t signature[64];
    bool has_signature;
    struct x509_certs issuers; /* the signer first */
    X509 *signer, *root;       /* of issuers; NULL where missing */
    /* -COFRE_LACKING where something for it is missing */
    struct tdx_finding
        chain_found; /* the signer has the role, and is under the root, a CA that signs itself */
    struct tdx_finding signature_found; /* by the signer's key over the text */
};

struct tdx_crl {
    X509_CRL *crl; /* NULL: missing */
    X509 *signer;  /* whose key signed it, of the collateral's own certificates; NULL: none of them */
};

/* That one of the collateral's own certificates issued another (x509_check_issued), found at the parse. */
struct tdx_issued {
    X509 *cert, *issuer;
};
#define TDX_ISSUED_MAX 8

struct tdx_collateral {
    struct tdx_signed tcb_signed, qe_signed;
    struct tdx_tcb_info tcb;   /* where tcb_signed.text.len */
    struct tdx_qe_identity qe; /* where qe_signed.text.len */
    struct x509_certs pck_crl_issuers;
    struct x509_certs pck_chain; /* of quotes that do not bring theirs, or bring this one again */
    struct bytes pck_chain_text;
    X509 *pck_cert; /* of pck_chain: the first that tdx_pck_parse takes, as it did; or NULL */
    struct tdx_pck pck;
    struct tdx_issued issued[TDX_ISSUED_MAX]; /* within these two chains */
    size_t issued_count;
    struct tdx_crl pck_crl, root_ca_crl;
};

/* -COFRE_MALFORMED names the member, with nothing to free. A bad signature is not malformed: it is found and remembered. */
int tdx_collateral_parse(struct tdx_collateral *out, struct view file, struct cofre_err *err);
void tdx_collateral_free(struct tdx_collateral *collateral);
#define CLEAN_COLLATERAL __attribute__((cleanup(tdx_collateral_free))) struct tdx_collateral

/* True where the file would be taken for collateral, well formed or not. */
bool tdx_collateral_recognises(struct view file);

/*
 * The list is the issuer's (name and key), current, and does not name cert. -COFRE_NEGATIVE: revoked, or not the issuer's.
 * -COFRE_LACKING: missing, stale, or with a limit of scope. `member` names the list in the sentence. Where the collateral's
 * own certificate of the same name and key signed it, nothing is verified again.
 */
int tdx_crl_check(const struct tdx_crl *crl, const char *member, X509 *issuer, X509 *cert, int64_t at,
                  struct cofre_err *err);

/* tdx_pck_parse, which costs nothing for the collateral's own certificate (NULL: there is no collateral). */
int tdx_collateral_pck(struct tdx_pck *out, const struct tdx_collateral *collateral, X509 *cert,
                       struct cofre_err *err);
/* x509_check_issued, which costs nothing for the collateral's own certificates (NULL: there is no collateral). */
int tdx_check_issued(const struct tdx_collateral *collateral, X509 *cert, X509 *issuer,
                     struct cofre_err *err);

/* A service's answer {"tcbInfo":{...},"signature":"..."} or {"enclaveIdentity":...}: the view of the signed object within
 * it, byte for byte. False where the text is not such an answer. */
bool tdx_answer_split(struct view answer, const char *member, struct view *object, uint8_t signature[64]);

#endif
