/*
 * Public keys as COSE_Key (RFC 9052 section 7, RFC 9053 section 7.1), and the algorithms that they are for. Only what is made
 * and accepted here: ECDSA on P-256 with SHA-256 and on P-384 with SHA-384.
 */
#ifndef COFRE_ATTEST_COSE_KEY_H
#define COFRE_ATTEST_COSE_KEY_H

#include "attest/cose/cbor.h"
#include "vmm/base/ecdsa.h"

#define COSE_KEYS_MAX        64
#define COSE_KID_MAX         64
#define COSE_THUMBPRINT_SIZE 32

/* An algorithm of the registry "COSE Algorithms". -7 and -35 leave the curve open there, here they do not; -9 and -51 (RFC
 * 9864) say it. */
struct cose_alg {
    int64_t id;
    const char *name; /* "ES384" */
    int64_t crv;      /* of the registry "COSE Elliptic Curves" */
    const struct ecdsa_curve *curve;
};

const struct cose_alg *cose_alg_find(int64_t id); /* NULL: not accepted here */
/* What is written for a key: -7 or -35. NULL for a key of another kind. */
const struct cose_alg *cose_alg_of_key(const EVP_PKEY *key);

struct cose_key {
    EVP_PKEY *key;
    const struct cose_alg *alg;
    uint8_t kid[COSE_KID_MAX];
    size_t kid_len; /* 0: it has none */
};

/* Zeroed is empty. */
struct cose_keys {
    struct cose_key key[COSE_KEYS_MAX];
    size_t count;
};
void cose_keys_free(struct cose_keys *keys);
#define CLEAN_COSE_KEYS __attribute__((cleanup(cose_keys_free))) struct cose_keys

/* One COSE_Key, or a COSE_KeySet. Of a set, keys of other kinds and for other uses are passed over. -COFRE_MALFORMED, and none
 * added, where a key of a kind that is known is not what it should be, or holds its private part. */
int cose_keys_parse(struct cose_keys *keys, struct view file, struct cofre_err *err);
/* The same of public keys in PEM, whose kids are their thumbprints. */
int cose_keys_parse_pem(struct cose_keys *keys, struct view pem, struct cofre_err *err);
bool cose_keys_are_pem(struct view file);
/* NULL where none has that kid. */
const struct cose_key *cose_keys_find(const struct cose_keys *keys, struct view kid);

/* Puts a COSE_Key: the public part, its algorithm, for verifying only; kid where it has bytes. */
void cose_put_key(struct cose_writer *w, const EVP_PKEY *key, struct view kid);

/* SHA-256 of what identifies the key (RFC 9679). -COFRE_MALFORMED for a key of another kind. */
int cose_key_thumbprint(uint8_t out[COSE_THUMBPRINT_SIZE], const EVP_PKEY *key, struct cofre_err *err);

#endif
