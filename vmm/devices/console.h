/* A console of one port: virtio console (virtio 1.2, 5.3), hvc0 in Linux. */
#ifndef COFRE_DEVICES_CONSOLE_H
#define COFRE_DEVICES_CONSOLE_H

#include "vmm/devices/virtio.h"

/* Output goes to the descriptor out; input, when in is not -1, comes from in until its end. The two have
 * different numbers, stay the caller's and outlive the device. A reader that does not read halts the console,
 * not the guest's vCPUs. */
int virtio_console_new(struct virtio_device **device, int in, int out, struct cofre_err *err);

#endif
