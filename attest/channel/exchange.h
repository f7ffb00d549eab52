/*
 * Attestation after the handshake and before any data, the same procedure at both ends: each says whether it asks for evidence
 * and with which nonce; then the server's evidence and the verdict on it, if they were asked for; then the client's.
 * It knows no TLS: only the stream, and what the channel is.
 */
#ifndef COFRE_ATTEST_CHANNEL_EXCHANGE_H
#define COFRE_ATTEST_CHANNEL_EXCHANGE_H

#include "attest/channel/binding.h"
#include "attest/channel/message.h"

/* What an end does. Of the two calls either may be NULL: it has no evidence to give; it asks for none. */
struct channel_acts {
    void *context;
    /* An evidence file over that report data. */
    int (*evidence)(void *context, struct bytes *file, const uint8_t report_data[CHANNEL_REPORT_DATA],
                    struct cofre_err *err);
    /* Whether evidence is accepted, whose report data must be those 64 bytes: 0, or a failure with a sentence. */
    int (*judge)(void *context, struct view file, const uint8_t report_data[CHANNEL_REPORT_DATA],
                 struct cofre_err *err);
};

struct channel_facts {
    enum channel_end end; /* this one */
    uint8_t exporter[CHANNEL_EXPORTER_SIZE];
    struct view own_key, peer_key; /* len 0: that end has shown none */
};

/* 0: all that was asked for was given and accepted. What judge says is returned as it is; -COFRE_NEGATIVE where the other end
 * gives no evidence, or accepts none of ours; -COFRE_MALFORMED for messages that are none. */
int channel_attest(const struct channel_stream *stream, const struct channel_facts *facts,
                   const struct channel_acts *acts, struct cofre_err *err);

#endif
