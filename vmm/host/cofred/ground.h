/* What cofred's parts stand on, and which outlives them: directories, the sockets that are listened at, and a lock that says whose
 * they are. Opened as root, once. */
#ifndef COFRE_HOST_GROUND_H
#define COFRE_HOST_GROUND_H

#include "vmm/host/cofred/config.h"

struct ground {
    int state; /* the directory; locked */
    int listening[CONFIG_LISTENERS_MAX];
    size_t count;
};

/* Zeroes are no descriptors. */
void ground_init(struct ground *ground);
/* -COFRE_LACKING where another cofred has the directory, or something cannot be had; the sentence names it. */
int ground_open(struct ground *ground, const struct config *config, struct cofre_err *err);
/* The directory alone, for who does without the rest. */
int ground_open_state(struct ground *ground, const struct config *config, struct cofre_err *err);
/* Sockets of the file system stay, for who opens them again. */
void ground_close(struct ground *ground);

#endif
