/*
 * passt as a network device's backend: the guest's connections become sockets of this user's, without privileges
 * (passt(1); the version of 2023_03_09, Debian 12's, and later). It has no offloads; the guest is told to use large frames
 * instead.
 *
 * A passt that is started here is given one end of a pair of sockets and nothing else. It isolates itself, and it ends
 * when the other end closes: also when this process is killed. It is no child any more when it runs, so there is nothing
 * to wait for. After it is made: as net_stream.h.
 */
#ifndef COFRE_DEVICES_NET_PASST_H
#define COFRE_DEVICES_NET_PASST_H

#include "vmm/devices/net_backend.h"

/* Starts passt, found by PATH, and returns when it is ready. What it says of its failure is in the sentence. */
int net_passt_start(struct net_backend **out, struct cofre_err *err);

/* Connects to one that listens at a unix socket's path (passt --socket), started by somebody with options of his own. */
int net_passt_connect(struct net_backend **out, const char *path, struct cofre_err *err);

#endif
