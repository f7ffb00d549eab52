/* A disk: virtio block device (virtio 1.2, 5.2) on a raw file or block device of the host. */
#ifndef COFRE_DEVICES_BLOCK_H
#define COFRE_DEVICES_BLOCK_H

#include "vmm/devices/virtio.h"

/* spec is F[,ro][,serial=S]: read-only on request; the serial number, at most 20 bytes, is "cofre" unless
 * given. The file is locked, so that two guests do not write one disk; its size is a multiple of 512 bytes.
 * Reads and writes are done by the device's own thread; what was written is on stable storage after a flush,
 * and at virtio_free. */
int virtio_block_new(struct virtio_device **out, const char *spec, struct cofre_err *err);

#endif
