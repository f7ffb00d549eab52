/* A guest as its owner describes it: what `cofre run` boots and `cofre measure` predicts, read from files once. */
#ifndef COFRE_MACHINE_GUEST_H
#define COFRE_MACHINE_GUEST_H

#include "vmm/machine/boot.h"
#include "vmm/machine/bounce.h"
#include "vmm/machine/tee.h"
#include "vmm/machine/window.h"

#define GUEST_CPUS_DEFAULT 1

struct guest_spec {
    const char *firmware;        /* a file; NULL: the guest boots through the shim */
    const char *igvm;            /* a file that describes the guest, instead of firmware; NULL: none */
    const char *kernel, *initrd; /* files; may be NULL, the kernel with one of those only */
    const char *cmdline;         /* NULL: empty */
    unsigned cpus;
    uint64_t memory;
    const struct device_request *device; /* what the guest's bounce buffers are for */
    unsigned devices;
};

struct guest {
    struct bytes shim, firmware;
    struct bytes cmdline;      /* the spec's; of a confidential guest with the size of its bounce buffers */
    struct window window;      /* kernel, initrd and command line */
    struct boot_config config; /* views of these */
    struct launch_image image;
};

/* tee is NULL for a plain guest. guest_free in any case. */
int guest_load(struct guest *out, const struct guest_spec *spec, const struct tee_ops *tee,
               struct cofre_err *err);
void guest_free(struct guest *guest);

#endif
