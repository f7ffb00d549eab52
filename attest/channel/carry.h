/* A channel between two descriptors of this process: what one gives goes over it, what comes is written to the other. */
#ifndef COFRE_ATTEST_CHANNEL_CARRY_H
#define COFRE_ATTEST_CHANNEL_CARRY_H

#include <stdbool.h>

#include "attest/channel/channel.h"

struct channel_carriage {
    int in,
        out; /* may be the same one; a socket's writing side is shut down when the channel's other end has ended */
    bool until_peer; /* ends when the other end has; else when both have */
};

/*
 * Returns when it is over: 0, or -COFRE_FAILED with a sentence: a channel that is cut off does not look like one that ended.
 * In order: all that came was written; and when in ends, the other end is told.
 */
int channel_carry(struct channel *channel, const struct channel_carriage *carriage, struct cofre_err *err);

#endif
