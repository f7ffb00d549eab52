/*
 * Streams between host and guest: virtio socket device (virtio 1.2, 5.10), its host side on unix sockets. What a
 * program on the host says and hears is in docs/vsock.md.
 */
#ifndef COFRE_DEVICES_VSOCK_H
#define COFRE_DEVICES_VSOCK_H

#include "vmm/devices/virtio.h"

/* cid is the guest's, 3 to 2^32-2. A socket is made at path and removed with the device; one that nobody listens on any
 * more is replaced. A guest's connection to host port P goes to the socket path_P. */
int virtio_vsock_new(struct virtio_device **out, uint64_t cid, const char *path, struct cofre_err *err);

#endif
