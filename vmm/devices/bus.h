/*
 * Address ranges and who answers them: one bus for port I/O, one for MMIO. Ranges are added before the first
 * vCPU runs and never change, so that vCPU threads look them up without a lock. Handlers are called by any
 * vCPU's thread, several at once: a device locks its own state.
 */
#ifndef COFRE_DEVICES_BUS_H
#define COFRE_DEVICES_BUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"

/* offset is from the range's base; len is 1, 2, 4 or 8, and the access lies inside the range; alignment is
 * not given. A value is little-endian in its len low bytes; what a handler returns above them is cut off. */
struct bus_ops {
    uint64_t (*read)(void *device, uint64_t offset, unsigned len);
    void (*write)(void *device, uint64_t offset, unsigned len, uint64_t value);
};

struct bus_range {
    const char *name; /* for error sentences: "serial port" */
    uint64_t base, len;
    const struct bus_ops *ops; /* outlives the bus, as name and device do */
    void *device;
};

/* Zero it to begin. */
#define BUS_RANGES_MAX 32
struct bus {
    struct bus_range range[BUS_RANGES_MAX];
    size_t count;
};

/* Refuses an empty range, one that wraps around, and one that overlaps another, whose name the sentence
 * gives. */
int bus_add(struct bus *bus, const struct bus_range *range, struct cofre_err *err);

/* False when nobody answers that access, or it is not of 1, 2, 4 or 8 bytes: *value then reads as all ones,
 * the write goes nowhere. The guest's business, unless the machine wants to log it. */
bool bus_read(const struct bus *bus, uint64_t address, unsigned len, uint64_t *value);
bool bus_write(const struct bus *bus, uint64_t address, unsigned len, uint64_t value);

#endif
