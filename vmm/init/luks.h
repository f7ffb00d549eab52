/* The root on LUKS2: a program of its own fetches the key, and another opens the disk with it; this one sees no key. */
#ifndef COFRE_INIT_LUKS_H
#define COFRE_INIT_LUKS_H

#include "vmm/base/bytes.h"

/* What is asked for the key, of the command line: cofre.trust=URL, cofre.relay=ADDRESS (may be missing), cofre.policy=NAME,
 * cofre.key=NAME. */
struct luks_source {
    char trust[256], relay[64], policy[80], key[80];
};

/* -COFRE_MALFORMED for one that is missing or too long. */
int luks_source_read(struct luks_source *out, struct view cmdline, struct cofre_err *err);

/* How long after attempt number n, from 0 on: doubling from a second to a minute, each with a lot of up to half of it more or less
 * (random: any number), so that guests of a host that comes back do not all ask at once. Milliseconds. */
unsigned luks_pause(unsigned attempt, uint32_t random);

/* Opens the disk as /dev/mapper/root. Where the service cannot be reached, what the guest has kept of the key is used, if it may; where there
 * is none, or the service refuses, it is asked again, for as long as it takes, and the console says so. A disk that is not as it was made, or that the key does not open, is -COFRE_NEGATIVE. */
int luks_open(const struct luks_source *source, const char *disk, struct cofre_err *err);

#endif
