/*
 * The machine: one guest, plain or confidential, from its launch to its end. It knows a TEE only as a table of functions
 * (tee.h) and KVM only through a backend.
 *
 * Threads: the caller's, which builds the machine and waits; one a vCPU; one or more a virtio device; a TEE's. Signals that end a
 * program are for the caller to block before machine_create, and to wait for with machine_wait.
 */
#ifndef COFRE_MACHINE_MACHINE_H
#define COFRE_MACHINE_MACHINE_H

#include <stdbool.h>

#include "vmm/devices/vsock.h"
#include "vmm/kvm/backend.h"
#include "vmm/machine/boot.h"
#include "vmm/machine/device_kinds.h"
#include "vmm/machine/memory.h"
#include "vmm/machine/numa_node.h"
#include "vmm/machine/phase.h"
#include "vmm/machine/tee.h"

struct machine;

enum machine_watchdog { WATCHDOG_NONE, WATCHDOG_RESET, WATCHDOG_STOP }; /* what follows when it expires */

#define MACHINE_DEVICES_MAX 24 /* that options add */
struct machine_config {
    const struct kvm_backend *backend;
    const struct tee_ops *tee_ops; /* NULL: a plain guest */
    struct tee *tee;
    const struct boot_config *boot;
    const struct launch_image *image;
    struct phases *phases;
    struct memory_kind memory;
    struct machine_numa numa;
    struct device_request device[MACHINE_DEVICES_MAX]; /* in the order of their PCI slots */
    unsigned devices;
    struct rates *rates; /* the devices'; NULL: none */
    uint32_t vsock_cid;  /* 0: no vsock */
    const char *vsock_directory;
    struct vsock_way vsock_way;  /* to the host's ports */
    int console_in, console_out; /* in may be -1 */
    enum machine_watchdog watchdog;
    bool watchdog_expired; /* in the guest's last launch, as it will find out */
};

enum machine_ending {
    MACHINE_RUNNING,
    MACHINE_POWER_OFF, /* the guest powered off */
    MACHINE_RESET,     /* the guest asked for a restart: its next life is another machine's */
    MACHINE_STOPPED,   /* machine_stop */
    MACHINE_FAILED,    /* anything else; the sentence says what */
};

struct machine_end {
    enum machine_ending how;
    int code; /* exit code: 0, or of enum cofre_error */
    struct cofre_err why;
    bool gave_up; /* KVM did: perhaps it runs no guest on this host at all */
};

/* Builds the machine, opens all that it needs and loads the guest; it has no thread yet. *measurement is what was given (TEE guests). The config
 * and all it points to outlive the machine, but the tee becomes the machine's, even where this fails. */
int machine_create(struct machine **out, const struct machine_config *config,
                   struct tee_measurement *measurement, struct cofre_err *err);
/* Starts the threads. Those of vCPUs wait until machine_go, or until the guest's end. */
int machine_start(struct machine *machine, struct cofre_err *err);
/* Runs the guest. */
void machine_go(struct machine *machine);
/* Readable when the guest has ended: for poll(2). */
int machine_end_fd(const struct machine *machine);
/* Waits until the guest has ended or, true in *other, fd is readable; and acts on its panic and its watchdog meanwhile. */
int machine_wait(struct machine *machine, int fd, bool *other, struct cofre_err *err);
/* Asks for the end; any thread. The first end counts. */
void machine_stop(struct machine *machine);
/* Joins the vCPUs' threads, which end by themselves after machine_stop or the guest's own end, and flushes the
 * devices. *end says how it ended. */
void machine_join(struct machine *machine, struct machine_end *end);
void machine_free(struct machine *machine);

/* "power-off": as in the result. */
const char *machine_ending_name(enum machine_ending how);

#endif
