/* The devices that an option of cofre run adds, beside those that every guest has. */
#ifndef COFRE_MACHINE_DEVICE_KINDS_H
#define COFRE_MACHINE_DEVICE_KINDS_H

#include "vmm/devices/virtio.h"

struct device_kind {
    const char *option;          /* "disk" */
    const char *argument, *help; /* of --help */
    /* Opens what the spec names; the device is ready to be attached. The spec outlives it. */
    int (*new)(struct virtio_device **out, const char *spec, struct cofre_err *err);
    /* In flight at a time in one queue, and the bytes of one, for the size of bounce buffers; more have to wait. */
    uint32_t requests, request_size;
    unsigned jail_with; /* of enum jail_with */
};

/* Ended by an option of NULL. */
extern const struct device_kind device_kinds[];

struct device_request {
    const struct device_kind *kind;
    const char *spec;
};

#endif
