/*
 * ECDSA as the vendors use it: signatures and public keys as plain numbers, R | S and X | Y, big-endian and as long as the
 * curve has bytes each. The keys and the arithmetic are OpenSSL's; only the form is here.
 */
#ifndef COFRE_BASE_ECDSA_H
#define COFRE_BASE_ECDSA_H

#include <openssl/types.h>

#include "vmm/base/bytes.h"

#define ECDSA_SIZE_MAX 48 /* bytes of the longest number */

/* A curve with the hash that goes with it. */
struct ecdsa_curve {
    const char *name; /* "P-256", for sentences */
    int nid;
    size_t size; /* bytes of a number */
    const EVP_MD *(*md)(void);
    uint8_t order[ECDSA_SIZE_MAX]; /* n, big-endian (FIPS 186-4, D.1.2) */
};
extern const struct ecdsa_curve ecdsa_p256; /* with SHA-256 */
extern const struct ecdsa_curve ecdsa_p384; /* with SHA-384 */

/* An EC key, public or private, of that curve. */
bool ecdsa_is_key(const struct ecdsa_curve *curve, const EVP_PKEY *key);

/* 0 where number is in [1, n-1]; else -COFRE_NEGATIVE. what is for the sentence. */
int ecdsa_check_scalar(const struct ecdsa_curve *curve, const uint8_t *number, const char *what,
                       struct cofre_err *err);

/* 0 only for a signature of exactly this message by this key; else -COFRE_NEGATIVE, and -COFRE_MALFORMED where the key is
 * of another curve. */
int ecdsa_verify(const struct ecdsa_curve *curve, const uint8_t *signature, EVP_PKEY *key,
                 struct view message, struct cofre_err *err);
int ecdsa_sign(uint8_t *signature, const struct ecdsa_curve *curve, EVP_PKEY *key, struct view message,
               struct cofre_err *err);

/* Between OpenSSL's public key and X | Y. The caller frees *out with EVP_PKEY_free. */
int ecdsa_key_import(EVP_PKEY **out, const struct ecdsa_curve *curve, const uint8_t *point,
                     struct cofre_err *err);
int ecdsa_key_export(uint8_t *point, const struct ecdsa_curve *curve, const EVP_PKEY *key,
                     struct cofre_err *err);

#endif
