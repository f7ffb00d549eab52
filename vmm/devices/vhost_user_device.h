/*
 * A virtio device whose queues another process serves: vhost-user before block, net and fs. The back end must be there
 * before the guest; the driver's features, the shared side of guest memory and the rings are handed to it at DRIVER_OK, and
 * the rings are taken back at a reset.
 *
 * A back end that ends, does not answer or says what it should not costs the guest this device (DEVICE_NEEDS_RESET, a log
 * line), and nothing else. There is no second connection.
 *
 * Not offered to the guest although back ends have it: changes of the configuration from either side (block's write cache,
 * a new size), a DAX window. VIRTIO_F_ACCESS_PLATFORM is the guest's alone: it makes a confidential guest put
 * rings and buffers into memory that it shares, and the back end needs no translation of what is shared.
 *
 * After start: the system calls of vhost_user.h, and of a device's thread and eventfds.
 */
#ifndef COFRE_DEVICES_VHOST_USER_DEVICE_H
#define COFRE_DEVICES_VHOST_USER_DEVICE_H

#include "vmm/devices/vhost_user.h"
#include "vmm/devices/virtio.h"

/*
 * spec is KIND,socket=PATH and for
 *   block[,queues=N]       a disk; its size and the like are the back end's to tell
 *   net[,mac=M]            a network card of one pair of queues
 *   fs,tag=T[,queues=N]    a directory, which the guest mounts by its tag: mount -t virtiofs T /mnt
 * PATH has no comma. queues is the number of request queues, 1 unless given.
 */
int virtio_vhost_user_new(struct virtio_device **out, const char *spec, struct cofre_err *err);

/* The rest is between vhost_user_device.c, vhost_user_kind.c and vhost_user_spec.c, and for tests. */

#define VHOST_USER_TAG_SIZE 36

struct vhost_user_spec {
    const struct vhost_user_kind *kind;
    char *path, *tag; /* in text */
    unsigned queues;
    bool has_mac;
    uint8_t mac[6];
    char *text; /* to be freed, in any case */
};

int vhost_user_spec_parse(struct vhost_user_spec *out, const char *text, struct cofre_err *err);

struct vhost_user_kind {
    const char *name;
    struct virtio_ops ops;
    unsigned queues_beside;    /* besides the request queues */
    unsigned queues_each;      /* of one that the spec counts */
    const char *const *allows; /* the spec's words besides socket, ended by NULL */
    uint64_t features;         /* that may pass between driver and back end */
    /* Sets the rest of features, and the configuration. */
    int (*configure)(struct virtio_device *virtio, struct vhost_user *b, const struct vhost_user_spec *spec,
                     struct cofre_err *err);
};

/* Ended by a kind without a name; ops lack queues and functions. */
extern const struct vhost_user_kind vhost_user_kinds[];

struct vhost_user_device {
    struct virtio_device virtio;
    struct virtio_ops ops;
    struct vhost_user back_end;
    struct vhost_user_spec spec;
    struct loop_source speaks; /* the socket: the back end has ended, or says what nobody asked for */
    struct loop_source errors; /* an eventfd: the back end cannot go on with a ring */
    uint32_t started;          /* rings, by bit */
};

#endif
