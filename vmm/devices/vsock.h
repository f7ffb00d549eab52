/*
 * Streams between host and guest: virtio socket device (virtio 1.2, 5.10), its host side on unix sockets. What a
 * program on the host says and hears is in docs/vsock.md.
 */
#ifndef COFRE_DEVICES_VSOCK_H
#define COFRE_DEVICES_VSOCK_H

#include "vmm/devices/virtio.h"

/* How a guest's connection to a port of the host gets there: a descriptor, close-on-exec and not blocking, or -1. */
struct vsock_way {
    int (*connect)(void *context, uint32_t port);
    void *context;
};

/* The way to the program that listens at path_PORT; the context is the path. */
int vsock_connect(void *path, uint32_t port);

/* cid is the guest's, 3 to 2^32-2. A socket is made at path, which stays for who owns the directory to remove; one that
 * nobody listens on any more is replaced. */
int virtio_vsock_new(struct virtio_device **out, uint64_t cid, const char *path, struct vsock_way way,
                     struct cofre_err *err);

#endif
