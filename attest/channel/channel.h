/*
 * An attested TLS channel: TLS 1.3 without tickets, resumption or early data, over a connected stream socket; then, before any
 * data, the exchange of exchange.h. Where channel_open succeeds, what this end asked for has been given: the other end's
 * evidence was accepted, and it is of that end of this very connection. docs/channel.md has the threat and the limits.
 *
 * A program that uses it ignores SIGPIPE. A channel belongs to one thread at a time.
 */
#ifndef COFRE_ATTEST_CHANNEL_CHANNEL_H
#define COFRE_ATTEST_CHANNEL_CHANNEL_H

#include <sys/types.h>

#include "attest/channel/exchange.h"
#include "attest/channel/identity.h"

#define CHANNEL_PROTOCOL "cofre-channel/1" /* by ALPN */

struct channel;

struct channel_options {
    enum channel_end end;
    const struct channel_identity *identity; /* NULL: a client that is not attested needs none */
    struct channel_acts acts;
    unsigned seconds; /* for handshake and exchange; what judge and evidence take is not interrupted */
};

/*
 * Takes the socket over, also where it fails. -COFRE_FAILED where there is no TLS 1.3 with the other end, it is too slow or it
 * is gone; -COFRE_NEGATIVE where the other end speaks another protocol; else as channel_attest.
 */
int channel_open(struct channel **out, int fd, const struct channel_options *options, struct cofre_err *err);

/* Waits for so many milliseconds, for ever with -1. What was read, or 0 when the other end has ended its side in order. */
ssize_t channel_read(struct channel *channel, void *data, size_t len, int milliseconds,
                     struct cofre_err *err);
/* All of it. */
int channel_write(struct channel *channel, const void *data, size_t len, int milliseconds,
                  struct cofre_err *err);

/* SHA-256 of the other end's SubjectPublicKeyInfo; zeros where it has shown no key. */
const uint8_t *channel_peer(const struct channel *channel);

/* Ends this end's side in order, and the socket. NULL is allowed. */
void channel_close(struct channel *channel);
/* The same without the goodbye: to the other end it is cut off, which is what it should look like after a failure here. */
void channel_cut(struct channel *channel);

/* Its TLS, on a socket that does not block; for carry.h. */
SSL *channel_tls(struct channel *channel);
/* Why the last call on it failed. */
int channel_lost(struct channel *channel, int result, const char *during, struct cofre_err *err);

#endif
