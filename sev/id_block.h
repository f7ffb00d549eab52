/*
 * ID block and ID authentication information (56860, 8.18): what the guest's owner says of the guest, signed
 * by his ID key, and that key signed by his author key. The firmware checks both when the launch is finished.
 */
#ifndef COFRE_SEV_ID_BLOCK_H
#define COFRE_SEV_ID_BLOCK_H

#include <openssl/types.h>
#include <stdbool.h>

#include "sev/abi.h"
#include "vmm/base/bytes.h"

#define SNP_ID_BLOCK_VERSION 1

/* Reads the 96 bytes; refuses another length, another version, and a policy that cannot be. */
int snp_id_block_parse(struct snp_id_block *out, struct view in, struct cofre_err *err);

/* Reads the 4096 bytes; refuses another length, algorithm or curve, and reserved bytes that are not zero. */
int snp_id_auth_parse(struct snp_id_auth *out, struct view in, struct cofre_err *err);

/* True where an author key is there: launch's AUTH_KEY_EN. */
bool snp_id_auth_has_author(const struct snp_id_auth *auth);

/* Signs block with id_key, and id_key with author_key where that is not NULL. Private P-384 keys. */
int snp_id_auth_sign(struct snp_id_auth *out, const struct snp_id_block *block, EVP_PKEY *id_key,
                     EVP_PKEY *author_key, struct cofre_err *err);

/* 0 where the ID key signed the block and, with_author, the author key signed the ID key. -COFRE_NEGATIVE for
 * a signature that is not good, -COFRE_MALFORMED for a key that is none. */
int snp_id_auth_verify(const struct snp_id_auth *auth, const struct snp_id_block *block, bool with_author,
                       struct cofre_err *err);

/* The second half of that alone: 0 where the author key signed the ID key. */
int snp_id_auth_verify_author(const struct snp_id_auth *auth, struct cofre_err *err);

#endif
