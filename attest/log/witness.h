/*
 * Witnesses: others than a log's keeper, who sign heads that they have seen grow out of the last one that they saw. A witness's
 * signature is a head like any other (head.h), by the witness's key and with the witness's name and time, over the same root, size
 * and id: so whatever reads heads reads it. A keeper who shows two people two logs needs as many witnesses as they ask for to
 * sign both.
 */
#ifndef COFRE_ATTEST_LOG_WITNESS_H
#define COFRE_ATTEST_LOG_WITNESS_H

#include "attest/log/head.h"

/* May *seen come after *known, both of which were verified? -COFRE_NEGATIVE, with both in the sentence: they are heads of two logs,
 * the log has shrunk, or it is forked. Where it has grown, that it has is still to be proved. */
int log_witness_compare(const struct log_head *known, const struct log_head *seen, struct cofre_err *err);
/* The sentence for two heads of which the newer did not grow out of the older: -COFRE_NEGATIVE. */
int log_witness_fork(const struct log_head *known, const struct log_head *seen, struct cofre_err *err);

/* What one witness has signed: the most entries of what was read. */
struct log_witness {
    struct log_head head; /* name and time are the witness's */
    const EVP_PKEY *key;  /* among those that were given */
    struct view message;  /* in what was read */
};
struct log_witnesses {
    struct log_witness witness[COSE_KEYS_MAX];
    size_t count;
};

/* One signature or several behind one another (RFC 8742), each by one of the witnesses' keys, none of which is one of the
 * log's: -COFRE_NEGATIVE where that is not so, -COFRE_MALFORMED where it is something else. */
int log_witnesses_read(struct log_witnesses *out, struct view sequence, const struct cose_keys *witness_keys,
                       const struct cose_keys *log_keys, struct cofre_err *err);
/* How many entries at least `minimum` of them have seen. -COFRE_NEGATIVE: there are not so many. */
int log_witnesses_cover(uint64_t *size, const struct log_witnesses *witnesses, size_t minimum,
                        struct cofre_err *err);

#endif
