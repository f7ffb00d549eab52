#include "vmm/machine/device_kinds.h"

#include <stddef.h>

#include "vmm/devices/block.h"

const struct device_kind device_kinds[] = {
    {"disk", "F[,ro][,direct][,queues=N][,serial=S]", "a raw file or block device as a virtio disk; may be repeated",
     virtio_block_new},
    {NULL, NULL, NULL, NULL},
};
