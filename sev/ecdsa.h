/*
 * ECDSA P-384 with SHA-384 in the firmware's form (56860, chapter 10): little-endian R, S, Qx, Qy in fields
 * of 72 bytes. The keys and the arithmetic are OpenSSL's; only the layout is here.
 */
#ifndef COFRE_SEV_ECDSA_H
#define COFRE_SEV_ECDSA_H

#include <openssl/types.h>

#include "sev/abi.h"
#include "vmm/base/bytes.h"

/* Signs message with a private P-384 key. */
int snp_ecdsa_sign(struct snp_signature *out, EVP_PKEY *key, struct view message, struct cofre_err *err);

/* 0 only for a signature of exactly this message by this key, whose unused bytes are zero; else
 * -COFRE_NEGATIVE, and -COFRE_MALFORMED where key is not of P-384. */
int snp_ecdsa_verify(const struct snp_signature *signature, EVP_PKEY *key, struct view message,
                     struct cofre_err *err);

/* 0 where a field of a signature is in [1, n-1]; else -COFRE_NEGATIVE. what is for the sentence. */
int snp_ecdsa_check_scalar(const uint8_t field[72], const char *what, struct cofre_err *err);

/* Between OpenSSL's key and the firmware's structure. The caller frees *out with EVP_PKEY_free. */
int snp_ecdsa_key_import(EVP_PKEY **out, const struct snp_ecdsa_key *key, struct cofre_err *err);
int snp_ecdsa_key_export(struct snp_ecdsa_key *out, EVP_PKEY *key, struct cofre_err *err);

/* A private P-384 key from PEM without a passphrase. name is for the sentence. */
int snp_ecdsa_key_read(EVP_PKEY **out, struct view pem, const char *name, struct cofre_err *err);

/* ID_KEY_DIGEST and AUTHOR_KEY_DIGEST of a report: SHA-384 of the whole structure. */
int snp_ecdsa_key_digest(uint8_t out[SNP_DIGEST_SIZE], const struct snp_ecdsa_key *key,
                         struct cofre_err *err);

#endif
