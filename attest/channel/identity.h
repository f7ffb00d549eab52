/* The key by which an end of a channel is known, and the certificate that TLS wants around it. Nobody vouches for it: what it
 * is worth the evidence says. */
#ifndef COFRE_ATTEST_CHANNEL_IDENTITY_H
#define COFRE_ATTEST_CHANNEL_IDENTITY_H

#include <openssl/types.h>

#include "vmm/base/error.h"

struct channel_identity {
    EVP_PKEY *key; /* P-256 where it was made here */
    X509 *certificate;
};

void channel_identity_free(struct channel_identity *identity);
#define CLEAN_IDENTITY __attribute__((cleanup(channel_identity_free))) struct channel_identity

/* A key that lives as long as this. */
int channel_identity_new(struct channel_identity *out, struct cofre_err *err);
/* The key of that file (PEM, not encrypted). Where there is no such file, one is made, with a new key, mode 0600. */
int channel_identity_keep(struct channel_identity *out, const char *path, struct cofre_err *err);

#endif
