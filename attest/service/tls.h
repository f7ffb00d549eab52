/* The service's own end of TLS: version 1.3, its certificate, and who vouches for clients that have one. */
#ifndef COFRE_ATTEST_SERVICE_TLS_H
#define COFRE_ATTEST_SERVICE_TLS_H

#include <openssl/types.h>

#include "attest/service/config.h"

/* Reads the files that the configuration names; the caller frees *out. */
int trust_tls_new(SSL_CTX **out, const struct trust_config *config, struct cofre_err *err);

#endif
