/*
 * Signed heads: a log's signer vouches for the log up to a size (docs/log.md has the CDDL). A head is a receipt (RFC 9942) that
 * has its root and no proof yet: a COSE_Sign1 over the root, with the tree's kind and what else is vouched for in the
 * protected header. So one signature for each size serves all receipts, which anybody can make who has the log.
 */
#ifndef COFRE_ATTEST_LOG_HEAD_H
#define COFRE_ATTEST_LOG_HEAD_H

#include "attest/cose/sign1.h"
#include "attest/log/file.h"

#define LOG_HEADER_VDS    395    /* the kind of tree; protected */
#define LOG_HEADER_PROOFS 396    /* not protected */
#define LOG_VDS_RFC9162   1      /* RFC9162_SHA256 */
#define LOG_CLAIM_SIZE    -65537 /* of the CWT claims: entries that the root is over */
#define LOG_NAME_MAX      128    /* bytes */

struct log_head {
    struct log_state state;
    int64_t time; /* when it was signed, by the signer's clock; seconds since 1970 */
    char name[LOG_NAME_MAX + 1];
};

/* The key must be one of cose/key.h, kid has 1 to COSE_KID_MAX bytes. */
int log_head_sign(struct bytes *out, const struct log_head *head, EVP_PKEY *key, struct view kid,
                  struct cofre_err *err);

/* What it says, whoever says so. -COFRE_MALFORMED where it is no head. */
int log_head_read(struct log_head *out, struct view message, struct cofre_err *err);
/* And one of the keys signed it: else -COFRE_NEGATIVE. */
int log_head_verify(struct log_head *out, struct view message, const struct cose_keys *keys,
                    struct cofre_err *err);

/* For receipts. The message, in which the labels of a head may be critical. */
int log_head_parse(struct cose_sign1 *out, struct view message, struct cofre_err *err);
/* What the protected header says, all but the root; and whether one of the keys signed it over this root. */
int log_head_read_header(struct log_head *out, const struct cose_sign1 *m, struct cofre_err *err);
int log_head_verify_root(const struct cose_sign1 *m, const struct log_hash *root,
                         const struct cose_keys *keys, struct cofre_err *err);

#endif
