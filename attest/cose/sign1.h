/*
 * COSE_Sign1 (RFC 9052 section 4.2), tagged. The protected header is verified as its bytes came. Messages by a key that is not
 * of the algorithm's curve, with the algorithm outside of the protected header, or with critical headers that the caller does not
 * understand are refused.
 */
#ifndef COFRE_ATTEST_COSE_SIGN1_H
#define COFRE_ATTEST_COSE_SIGN1_H

#include "attest/cose/cbor.h"
#include "attest/cose/key.h"

#define COSE_TAG_SIGN1 18

/* Labels of the registry "COSE Header Parameters". */
enum cose_label {
    COSE_HEADER_ALG = 1,
    COSE_HEADER_CRIT = 2,
    COSE_HEADER_CONTENT_TYPE = 3,
    COSE_HEADER_KID = 4,
    COSE_HEADER_CWT_CLAIMS = 15, /* RFC 9597 */
    COSE_HEADER_TYP = 16,        /* RFC 9596 */
};

struct cose_sign1 {
    struct cose_doc message, header; /* owned; header.item: the protected map, or none where it is empty */
    struct view protected;           /* its bytes as they came */
    const struct cose_item *unprotected; /* a map */
    struct view payload;                 /* where it is not detached */
    bool detached;
    struct view signature;
    const struct cose_alg *alg;
};

void cose_sign1_free(struct cose_sign1 *m);
#define CLEAN_COSE_SIGN1 __attribute__((cleanup(cose_sign1_free))) struct cose_sign1

/* The message must outlive *out. understood: labels that may be critical, ended by 0; NULL for none but algorithm, content type
 * and kid. -COFRE_MALFORMED, and nothing to free, where it is no such message. */
int cose_sign1_parse(struct cose_sign1 *out, struct view message, const int64_t *understood,
                     struct cofre_err *err);

/* From the protected header; NULL where it is not there. */
const struct cose_item *cose_sign1_header(const struct cose_sign1 *m, int64_t label);
/* From either header: it only says where to look. Empty where there is none. */
struct view cose_sign1_kid(const struct cose_sign1 *m);

/* 0 only where the key made the signature; -COFRE_NEGATIVE otherwise. payload: of a detached one, else data is NULL. */
int cose_sign1_verify(const struct cose_sign1 *m, EVP_PKEY *key, struct view payload,
                      struct view external_aad, struct cofre_err *err);

/* Into a protected header's map: the key's algorithm, and its thumbprint as kid. */
int cose_put_signer(struct cose_writer *w, const EVP_PKEY *key, struct cofre_err *err);

/* The headers are encoded maps; the protected one has the algorithm, which must be the key's. An unprotected one of no bytes is
 * empty. */
struct cose_to_sign {
    struct view protected, unprotected, payload, external_aad;
    bool detach; /* the payload is signed, and left out */
};
int cose_sign1_sign(struct bytes *out, const struct cose_to_sign *in, EVP_PKEY *key, struct cofre_err *err);

#endif
