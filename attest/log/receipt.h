/*
 * Receipts (RFC 9942): a signed head without its root and with a proof instead, from which the root is computed. They are
 * verified without the log and without asking anybody.
 */
#ifndef COFRE_ATTEST_LOG_RECEIPT_H
#define COFRE_ATTEST_LOG_RECEIPT_H

#include "attest/log/head.h"

enum log_receipt_kind { LOG_RECEIPT_INCLUSION, LOG_RECEIPT_CONSISTENCY };

struct log_receipt {
    struct log_head head; /* the root is zero: the proof and what it is applied to give it */
    enum log_receipt_kind kind;
    struct log_inclusion inclusion; /* of the kind's own one */
    struct log_consistency consistency;
};

/* From a head and a proof up to its size, of proof->kind. -COFRE_USAGE where it is of another size, or its path is empty: a
 * receipt cannot say that. */
int log_receipt_make(struct bytes *out, struct view head, const struct log_receipt *proof,
                     struct cofre_err *err);

/* What it says, whoever says so. -COFRE_MALFORMED where it is no receipt of one proof, or of another size than is signed. */
int log_receipt_read(struct log_receipt *out, struct view message, struct cofre_err *err);

/* The entry is in the log, at proof->inclusion.index, up to a head that one of the keys signed, which *proof has then
 * whole. -COFRE_NEGATIVE where that does not follow. */
int log_receipt_verify_inclusion(struct log_receipt *proof, struct view message, struct view entry,
                                 const struct cose_keys *keys, struct cofre_err *err);
/* The same of an entry that was removed, by its leaf's hash. */
int log_receipt_verify_leaf(struct log_receipt *proof, struct view message, const struct log_hash *leaf,
                            const struct cose_keys *keys, struct cofre_err *err);

/* The log of the older head, which the caller has verified, grew into one that one of the keys signed. */
int log_receipt_verify_consistency(struct log_receipt *proof, struct view message,
                                   const struct log_head *older, const struct cose_keys *keys,
                                   struct cofre_err *err);

#endif
