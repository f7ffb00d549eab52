/*
 * Public keys as a TPM has them (TCG TPM 2.0 library specification, part 2, 12.2.4 TPMT_PUBLIC), as OpenSSL's keys and with the names by
 * which other TPMs and credentials know them. Only keys of RSA and of P-256 and P-384, named by SHA-2.
 */
#ifndef COFRE_ATTEST_TPM_PUBLIC_H
#define COFRE_ATTEST_TPM_PUBLIC_H

#include <openssl/types.h>
#include <tss2/tss2_tpm2_types.h>

#include "vmm/base/bytes.h"

#define TPM_PUBLIC_MAX      1024 /* bytes, more than any has */
#define TPM_PUBLIC_NAME_MAX (2 + 64)

struct tpm_public {
    TPMT_PUBLIC area;
    EVP_PKEY *key;
    uint8_t name[TPM_PUBLIC_NAME_MAX]; /* the hash's number, the hash of the area's bytes (part 1, 16) */
    size_t name_len;
    char kind[48]; /* "RSA-2048, SHA-256": the key and the hash of its name */
};

/* The caller frees *out, also after an error. -COFRE_MALFORMED: the bytes are no such key, more than one, or not written as a TPM writes
 * them. What the key may be used for is not looked at. */
int tpm_public_read(struct tpm_public *out, struct view area, struct cofre_err *err);
/* The same of a TPM2B_PUBLIC, with its size before it, as tpm2-tools write it. */
int tpm_public_read_sized(struct tpm_public *out, struct view file, struct cofre_err *err);
/* A coordinate or half of a signature as its curve has it, with zeros before it; false: it is longer than size. */
bool tpm_put_number(uint8_t *out, size_t size, const TPM2B_ECC_PARAMETER *number);
void tpm_public_free(struct tpm_public *public);
#define CLEAN_TPM_PUBLIC __attribute__((cleanup(tpm_public_free))) struct tpm_public

/* Whether the TPM alone has the private key, which it made. NULL: so it is; else why not, to stand after "the key". */
const char *tpm_public_may_leave(const struct tpm_public *public);

#endif
