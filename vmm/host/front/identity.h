/*
 * Who is at the other end of a connection, as the gate saw it: a process of this host by its credentials (SO_PEERCRED), who has
 * the key of a client certificate that an authority of the configuration vouches for, or anybody, who must show a token. What of
 * it may do what is decided elsewhere (vmm/host/access).
 */
#ifndef COFRE_HOST_FRONT_IDENTITY_H
#define COFRE_HOST_FRONT_IDENTITY_H

#include <stdint.h>

#include "vmm/base/bytes.h"

#define IDENTITY_SUBJECT_MAX 512
#define IDENTITY_ADDRESS_MAX 64

enum identity_kind {
    IDENTITY_ANYBODY,     /* over TLS, without a certificate */
    IDENTITY_UNIX,        /* uid, gid, pid */
    IDENTITY_CERTIFICATE, /* subject, fingerprint, key */
    IDENTITY_KINDS,
};

/* Fixed: it is what the gate sends with a connection's end. Same program, same host: byte order and padding are one's own. */
struct identity {
    uint32_t version; /* IDENTITY_VERSION */
    uint32_t kind;
    uint32_t uid, gid;
    int32_t pid; /* for the record only: it may be another's by now */
    uint32_t unused;
    uint8_t fingerprint[32];            /* SHA-256 of the certificate's DER */
    uint8_t key[32];                    /* SHA-256 of its SubjectPublicKeyInfo */
    char subject[IDENTITY_SUBJECT_MAX]; /* RFC 2253, of the certificate */
    char address[IDENTITY_ADDRESS_MAX]; /* "192.0.2.7:40312", "[2001:db8::1]:443", "unix" */
};
#define IDENTITY_VERSION 1

/* False for what is no identity: another version or kind, texts without end. For who receives one. */
bool identity_is_good(const struct identity *identity);

#endif
