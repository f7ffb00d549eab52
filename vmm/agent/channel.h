/* cofre-agent channel: ends attested TLS in the guest, and hands what comes over it to a program that listens in the guest. */
#ifndef COFRE_AGENT_CHANNEL_H
#define COFRE_AGENT_CHANNEL_H

#include "attest/channel/channel.h"

#define AGENT_CHANNELS_MAX    32 /* at once; further ones wait in the kernel's backlog */
#define AGENT_CHANNEL_SECONDS 60 /* for handshake and attestation */

struct agent_channel {
    const char *to; /* numeric address (attest/channel/address.h) */
    const struct channel_identity *identity;
    const struct channel_acts *acts;
};

/* One channel over a connected socket, which is taken over, to its end. */
int agent_channel_run(const struct agent_channel *how, int fd, enum channel_end end, struct cofre_err *err);

/* Each connection in a process of its own, until stop_fd becomes readable. */
int agent_channel_serve(const struct agent_channel *how, int listener, int stop_fd, struct cofre_err *err);

/* The command, from its name on; an exit code. */
int agent_channel_command(int argc, char **argv);

#endif
