/*
 * Bounce buffers: what a confidential guest's devices read and write lies in memory that it shares, which Linux takes at boot:
 * 6 % of all memory and at least 64 MiB, unless its command line has swiotlb=SLABS (kernel/dma/swiotlb.c). Here the size
 * follows from the devices: 4 MiB for what every guest has, 1 MiB a vCPU, whose share of the pool must hold a request, and for
 * each device its queues times the requests of one that are in flight at a time times their size.
 */
#ifndef COFRE_MACHINE_BOUNCE_H
#define COFRE_MACHINE_BOUNCE_H

#include "vmm/base/bytes.h"
#include "vmm/machine/device_kinds.h"

/* In whole MiB; at most a quarter of the guest's memory, and 1 GiB. */
uint64_t bounce_size(const struct device_request *device, unsigned devices, unsigned cpus, uint64_t memory);

/* The command line that the guest gets: swiotlb= before the one given, or that alone where it has one already. No final
 * zero; the caller frees it. */
int bounce_cmdline(struct bytes *out, const char *cmdline, uint64_t size, struct cofre_err *err);

#endif
