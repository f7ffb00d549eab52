/*
 * The launch image: what a guest's memory holds before its first instruction, and the registers it starts with.
 * It is the one description that both the prediction and the launch go through (tee.h), and knows no vendor.
 */
#ifndef COFRE_MACHINE_IMAGE_H
#define COFRE_MACHINE_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/base/bytes.h"

enum launch_page_kind {
    LAUNCH_MEASURED,   /* contents measured */
    LAUNCH_ZERO,       /* zeros, measured as such */
    LAUNCH_UNMEASURED, /* only that the range was given is measured */
    LAUNCH_SECRETS,    /* filled by the TEE's firmware, where it has such a page */
    LAUNCH_CPUID, /* filled by the launch code with the guest's CPUID table and checked by the firmware */
};

/* Whole 4 KiB pages, in the order in which they are measured. */
struct launch_range {
    enum launch_page_kind kind;
    uint64_t gpa;
    size_t len;
    const uint8_t *
        data; /* len bytes, page-aligned as KVM wants them, for LAUNCH_MEASURED and LAUNCH_UNMEASURED, else NULL */
};

/* What the boot software measures once the guest runs, in this order, into the run-time registers of TEEs that have
 * them: SHA-384 of each thing. Predicted by the code that builds the image, so that it can be compared. */
struct launch_event {
    unsigned measurement_register; /* 0 to 3 */
    const char *name;              /* static: "kernel"; also the event's text in the guest's log */
    uint8_t digest[48];
};

#define LAUNCH_RANGES_MAX 256
#define LAUNCH_EVENTS_MAX 8
struct launch_image {
    struct launch_range range[LAUNCH_RANGES_MAX];
    size_t count;
    struct launch_event event[LAUNCH_EVENTS_MAX];
    size_t events;
    struct bytes storage; /* what the ranges' data points into */
    struct bytes own;     /* what else the TEE wants to know of it, in a form of its own; empty: nothing */
    uint32_t entry; /* every vCPU starts here: 32-bit flat protected mode, paging off, other registers zero */
    bool
        at_reset; /* or as after reset instead: the first at 0xfffffff0, the others at entry (0: there, too) */
    uint64_t
        start_argument; /* what the TEE hands to every vCPU at its start, where it hands over anything (TDX, a TDVF: the TD HOB) */
    unsigned cpus;
};

void launch_image_free(struct launch_image *image);

#endif
