/* Both ends of a channel in one process, each in a thread of its own; and ends that do what they should not. */
#ifndef TESTS_UNIT_CHANNEL_ENDS_H
#define TESTS_UNIT_CHANNEL_ENDS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

#include "attest/channel/channel.h"

/* One that uses the library. */
struct side {
    struct channel_options options;
    int fd;
    struct channel *channel;
    int rc;
    struct cofre_err err;
    pthread_t thread;
};
void side_open(struct side *side, int fd); /* in a thread; the descriptor is taken over */
void side_join(struct side *side);
void side_free(struct side *side);

/* One that speaks TLS, and then whatever the test likes. */
struct raw {
    int fd;
    bool server;
    int highest;      /* version of TLS */
    const char *alpn; /* as ALPN writes it; NULL: none */
    const struct channel_identity *identity;
    /* After the handshake, where it succeeds. */
    void (*script)(struct raw *raw, const struct channel_stream *stream);
    void *context;
    SSL *tls;
    bool shaken;
    pthread_t thread;
};
#define RAW_ALPN "\x0f" CHANNEL_PROTOCOL
void raw_start(struct raw *raw, int fd);
void raw_join(struct raw *raw);

void two_sockets(int fd[2]);

/* A middleman: what comes at one end goes out at the other, decrypted and encrypted again, until either ends. */
void relay_between(SSL *a, SSL *b);

#endif
