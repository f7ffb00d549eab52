/*
 * The decider: the one process of cofred that knows who may what, which guests there are and what they are doing. One event loop; it
 * has no privilege and no network. What it is asked comes from parsers with an identity from the gate (vmm/host/front/caller.h),
 * what it wants done on the host goes to hands (vmm/host/hands), and all it knows is in one database, with the log of it.
 */
#ifndef COFRE_HOST_DECIDE_DECIDER_H
#define COFRE_HOST_DECIDE_DECIDER_H

#include "vmm/host/access/access.h"

struct decider_config {
    const char *database;               /* a file's path, or what db_open takes */
    const char *log_name, *log_key;     /* of the log, and a PEM file: attest/log */
    const struct access_config *access; /* borrowed */
    const char *administrator;          /* a principal, for the first start; NULL: none is made */
    const char *bridge[16];             /* names of bridges, in hands' order; ended by NULL */
    uint64_t reserved_memory;           /* bytes that guests never get */
    int images;                         /* the folder's descriptor; the decider's */
    int gate, hands;                    /* SOCK_SEQPACKET pairs' ends; the decider's */
    int journal;                        /* journal.h; the decider's */
    int alive; /* a socket: each byte that comes is sent back, by the loop; -1: none */
    int clock; /* a SOCK_SEQPACKET pair's end, to vmm/host/clock; the decider's; -1: no TPM is asked */
    const char *clock_keys;       /* a file for the TPM's public key */
    void (*ready)(void *context); /* when it serves; NULL: nobody wants to know */
    void *context;
};

/* Serves until SIGTERM (0), or until the gate or hands is gone (-COFRE_FAILED). */
int decider_run(const struct decider_config *config, struct cofre_err *err);

#endif
