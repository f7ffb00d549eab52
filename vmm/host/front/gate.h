/*
 * The process that takes connections. It says who is at the other end, by SO_PEERCRED of a unix socket or by a client certificate
 * (TLS 1.3), sends that to the decider with one end of a new socket pair, has a parser made with the other end and one of the connection, and carries
 * bytes between the client and that parser. It knows nothing of HTTP.
 */
#ifndef COFRE_HOST_FRONT_GATE_H
#define COFRE_HOST_FRONT_GATE_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"

#define GATE_LISTENERS_MAX 8

struct gate_limits {
    unsigned connections; /* at once; further ones wait in the kernel's queue */
    unsigned of_one;      /* of one user, certificate or, without one, address: further ones are closed */
    unsigned handshake_seconds; /* in which TLS must be done */
};

struct gate_config {
    struct {
        int fd;   /* listens; the gate's */
        bool tls; /* else a unix socket */
    } listener[GATE_LISTENERS_MAX];
    size_t listeners;
    int decider, zygote; /* SOCK_SEQPACKET, to callers_new and to zygote_run; the gate's */
    SSL_CTX *tls;        /* borrowed; NULL where no listener needs it */
    struct gate_limits limits;
    uint32_t guests_first,
        guests; /* users of guests, from the first: none of them is let in by a unix socket */
};

/* TLS 1.3 with the server's certificate (chain) and key, PEM. client_ca: who vouches for clients' certificates; NULL: nobody, and none is
 * asked for. The caller frees *out (SSL_CTX_free). -COFRE_LACKING names the file. */
int gate_tls_new(SSL_CTX **out, const char *certificate, const char *key, const char *client_ca,
                 struct cofre_err *err);

/* Serves until SIGTERM, or until decider or zygote are gone: 0. */
int gate_run(const struct gate_config *config, struct cofre_err *err);

#endif
