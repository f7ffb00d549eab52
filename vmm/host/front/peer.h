/* Who is at the other end: from the kernel, from TLS, from the address. */
#ifndef COFRE_HOST_FRONT_PEER_H
#define COFRE_HOST_FRONT_PEER_H

#include <openssl/types.h>
#include <sys/socket.h>

#include "vmm/host/front/identity.h"

/* Of a connection by a unix socket. */
int peer_of_unix(struct identity *out, int fd, struct cofre_err *err);
/* Of one by TCP, before TLS: anybody, from an address. */
void peer_of_tcp(struct identity *out, const struct sockaddr *address, socklen_t len);
/* After TLS: the certificate that was verified, if there is one. -COFRE_MALFORMED for one whose subject is empty, or does not fit. */
int peer_of_tls(struct identity *identity, const SSL *ssl, struct cofre_err *err);
/* Whether the two count as one, for how many connections one may have. */
bool peer_is_same(const struct identity *a, const struct identity *b);

#endif
