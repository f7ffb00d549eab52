/*
 * A guest's network interfaces on the host: taps, ports of a bridge, with rates. A tap is there as long as a process has it
 * open, which is cofre-vmm, so that none is ever left behind.
 *
 * What the guest receives is shaped by a token bucket (sch_tbf) where the host sends it; what it sends is cut off at the rate
 * where it comes in (sch_ingress, act_police). By rtnetlink, Linux include/uapi/linux/pkt_sched.h and pkt_cls.h.
 */
#ifndef COFRE_HOST_HANDS_TAP_H
#define COFRE_HOST_HANDS_TAP_H

#include <net/if.h>
#include <stdint.h>

#include "vmm/base/error.h"

/* "cofre2a-0": guest 42's first. */
void tap_name(char out[IFNAMSIZ], uint32_t guest, unsigned index);
/* Returns what cofre-vmm takes as tap-fd=N; the interface is down and no bridge's. COFRE_USAGE where there is one of that name. */
int tap_make(const char *name, struct cofre_err *err);
/* It becomes a port of the bridge, and goes up. */
int tap_attach(const char *name, const char *bridge, struct cofre_err *err);
/* Bytes a second, as the guest sees it; 0: no limit. COFRE_LACKING where the kernel has not what it takes. */
int tap_rate(const char *name, uint64_t in, uint64_t out, struct cofre_err *err);
/* Adds to these: bytes and packets, as the guest sees it. An interface that is gone adds nothing. */
struct tap_numbers {
    uint64_t in, out, in_packets, out_packets;
};
int tap_count(const char *name, struct tap_numbers *numbers, struct cofre_err *err);

#endif
