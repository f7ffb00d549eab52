/* Entropy from the host's getrandom: virtio entropy device (virtio 1.2, 5.4). */
#ifndef COFRE_DEVICES_ENTROPY_H
#define COFRE_DEVICES_ENTROPY_H

#include "vmm/devices/virtio.h"

int virtio_entropy_new(struct virtio_device **out, struct cofre_err *err);

#endif
