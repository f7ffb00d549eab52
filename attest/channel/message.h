/*
 * The messages by which the ends of a channel attest, over a stream that is authentic and confidential already: an octet for
 * the kind, four for the length of the body, most significant first, and the body.
 *
 *   'h' hello      an octet, 1 where the sender asks for evidence and else 0; the sender's nonce, 32 octets (zeros with 0)
 *   'e' evidence   an evidence file (attest/evidence.h, JSON)
 *   'n' none       a sentence: why there is no evidence
 *   'v' verdict    an octet, 1 accepted and 0 not; a sentence
 */
#ifndef COFRE_ATTEST_CHANNEL_MESSAGE_H
#define COFRE_ATTEST_CHANNEL_MESSAGE_H

#include "vmm/base/bytes.h"

#define CHANNEL_SENTENCE_MAX 512

enum channel_message {
    CHANNEL_HELLO = 'h',
    CHANNEL_EVIDENCE = 'e',
    CHANNEL_NONE = 'n',
    CHANNEL_VERDICT = 'v'
};

/* All of len, or a failure with a sentence. */
struct channel_stream {
    void *context;
    int (*read)(void *context, void *data, size_t len, struct cofre_err *err);
    int (*write)(void *context, const void *data, size_t len, struct cofre_err *err);
};

int channel_send(const struct channel_stream *stream, enum channel_message kind, struct view body,
                 struct cofre_err *err);

/* The next message, which must be of a kind among those (a string of their octets) and within its kind's bounds, which are
 * checked before memory is taken. Its kind; *body is the caller's. */
int channel_receive(struct bytes *body, const struct channel_stream *stream, const char *kinds,
                    struct cofre_err *err);

#endif
