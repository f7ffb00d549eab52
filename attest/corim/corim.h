/*
 * CoRIM (draft-ietf-rats-corim-11), as far as it carries reference values of SNP and TDX guests: one concise module identifier
 * for each value, whose tag id is the value's name and whose tag version is its version. Profiles: AMD's for SEV-SNP
 * (draft-deeglaze-amd-sev-snp-corim-profile-02) and Intel's (draft-cds-rats-intel-corim-profile-05). What a file says beyond
 * that is refused and not passed over: a condition that nobody looks at would let in what its author shut out.
 */
#ifndef COFRE_ATTEST_CORIM_H
#define COFRE_ATTEST_CORIM_H

#include <openssl/types.h>

#include "attest/cose/key.h"
#include "attest/reference.h"

#define CORIM_FILE_MAX     (1u << 20)
#define CORIM_VALUES_MAX   256
#define CORIM_ID_MAX       120 /* bytes */
#define CORIM_ENTITY_MAX   120
#define CORIM_ENTITIES_MAX 8

enum { CORIM_ROLE_CREATOR = 1, CORIM_ROLE_SIGNER = 2 }; /* manifest-creator, manifest-signer: also bits */

struct corim_entity {
    char name[CORIM_ENTITY_MAX + 1];
    unsigned roles; /* bits 1 << role */
};

struct corim {
    char id[CORIM_ID_MAX + 1]; /* a UUID as its text */
    enum reference_tee tee;    /* of the profile, and so of every value */
    int64_t from,
        until; /* of the file and of its signature, together; each value has them too. 0, INT64_MAX: not said */
    struct corim_entity entity[CORIM_ENTITIES_MAX];
    size_t entities;
    struct references values;
    bool is_signed;
    char signer[CORIM_ENTITY_MAX +
                1]; /* who the signed header says it is; worth what the signature is worth */
};

void corim_free(struct corim *corim);
#define CLEAN_CORIM __attribute__((cleanup(corim_free))) struct corim

/* A file that would be taken for a CoRIM, well formed or not. */
bool corim_recognises(struct view file);
bool corim_is_signed(struct view file); /* by its first byte */
/* Plain or signed; a signature is not verified. -COFRE_MALFORMED, and nothing to free, says why not. */
int corim_read(struct corim *out, struct view file, struct cofre_err *err);
/* The signed one alone. -COFRE_NEGATIVE: none of the keys made the signature. signer: the thumbprint of the one that did. */
int corim_verify(struct corim *out, uint8_t signer[COSE_THUMBPRINT_SIZE], struct view file,
                 const struct cose_keys *keys, struct cofre_err *err);

/* Deterministic. -COFRE_USAGE: values of another TEE than the CoRIM's, none or too many. */
int corim_write(struct bytes *out, const struct corim *corim, struct cofre_err *err);
/* The same, signed; signer is named in the header. */
int corim_sign(struct bytes *out, const struct corim *corim, EVP_PKEY *key, struct cofre_err *err);

#endif
