/*
 * A tap interface of the host as a network device's backend (Documentation/networking/tuntap.rst; virtio's header by
 * IFF_VNET_HDR). Checksums and segmentation are the host kernel's.
 *
 * After it is made, it needs, in the threads of the device: readv and writev on its descriptors; and, whenever a driver
 * starts or changes its number of queues, which is in a vCPU's thread too: ioctl TUNSETOFFLOAD and TUNSETQUEUE on them.
 */
#ifndef COFRE_DEVICES_NET_TAP_H
#define COFRE_DEVICES_NET_TAP_H

#include "vmm/devices/net_backend.h"

/* The interface of that name, which exists and which this user may open. The guest's address follows from the
 * interface's own. COFRE_LACKING where the host lacks something, with a sentence that says what helps. */
int net_tap_open(struct net_backend **out, const char *name, unsigned pairs, struct cofre_err *err);

/* Descriptors of /dev/net/tun that were handed over, a queue each of one interface, set up with IFF_TAP, IFF_NO_PI and
 * IFF_VNET_HDR; they are the backend's from here on, also where this fails. */
int net_tap_adopt(struct net_backend **out, const int *fd, unsigned pairs, struct cofre_err *err);

#endif
