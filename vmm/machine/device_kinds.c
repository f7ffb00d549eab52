#include "vmm/machine/device_kinds.h"

#include <stddef.h>

#include "vmm/devices/block.h"
#include "vmm/devices/net.h"
#include "vmm/devices/vhost_user_device.h"
#include "vmm/machine/jail.h"

const struct device_kind device_kinds[] = {
    {"disk", "F[,ro][,direct][,queues=N][,serial=S]",
     "a raw file or block device as a virtio disk; may be repeated", virtio_block_new, 64, 128 << 10, 0},
    {"vhost-user", "KIND,socket=PATH[,...]",
     "a device that another program serves at a socket: block[,queues=N], net[,mac=M] or\n"
     "                             fs,tag=T[,queues=N] (a directory, mounted with mount -t virtiofs T)",
     virtio_vhost_user_new, 64, 128 << 10, JAIL_WITH_VHOST_USER},
    {"net", "B[,mac=M][,queues=N]",
     "a virtio network card on a backend B of the host: tap=NAME, tap-fd=N[:N...] (open\n"
     "                             descriptors), or passt (no privileges), or passt=SOCKET; with a tap also "
     ",vhost=on|off",
     virtio_net_new, 256, 68 << 10 /* a segmented packet sent, and a page received */, JAIL_WITH_NET},
    {0},
};
