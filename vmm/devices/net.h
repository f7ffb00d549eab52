/* A network card: virtio network device (virtio 1.2, 5.1) before a backend of net_backend.h. */
#ifndef COFRE_DEVICES_NET_H
#define COFRE_DEVICES_NET_H

#include "vmm/devices/net_backend.h"
#include "vmm/devices/virtio.h"

/* spec as in net_spec.h: opens or starts the backend that it names. */
int virtio_net_new(struct virtio_device **out, const char *spec, struct cofre_err *err);

/* The device itself. The backend becomes its own, also where this fails. mac NULL: the backend's. */
int virtio_net_on(struct virtio_device **out, struct net_backend *backend, const uint8_t *mac,
                  struct cofre_err *err);

#endif
