/*
 * The door of the jail: a process that stays outside and connects on request, to what it was told before the guest ran and
 * to nothing else. So the jailed process needs no socket that it makes itself, no path and no address.
 */
#ifndef COFRE_MACHINE_DOOR_H
#define COFRE_MACHINE_DOOR_H

#include <stdint.h>
#include <sys/types.h>

#include "vmm/base/error.h"

enum door_to {
    DOOR_VSOCK,  /* the host's program for a port that the guest connects to */
    DOOR_QUOTES, /* the quote generation service */
    DOORS,
};

/* Returns a connection (which may still be under way), or -1 with errno. */
struct door_way {
    int (*connect)(void *context, uint32_t number);
    void *context;
};

struct door {
    struct door_way way[DOORS];  /* one without a function leads nowhere */
    void (*shut)(void *context); /* the last that the process does; may be NULL */
    void *context;
};

/* Starts the process. *fd is the jailed side's end: when all copies are closed the process ends. The caller has one thread,
 * and waits for *pid. */
int door_open(const struct door *door, pid_t *pid, int *fd, struct cofre_err *err);

/* Of this process's threads, any of which may ask: the end that door_open gave. */
void door_use(int fd);
/* A connection, or -1 with errno. */
int door_connect(enum door_to to, uint32_t number);

#endif
