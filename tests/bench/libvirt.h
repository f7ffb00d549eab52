/* A libvirtd of the benchmark's own (tests/bench/libvirtd), with plain guests of QEMU's, for what stands beside cofred. */
#ifndef COFRE_TESTS_BENCH_LIBVIRT_H
#define COFRE_TESTS_BENCH_LIBVIRT_H

#include <sys/types.h>

struct libvirt {
    pid_t daemon;
    const char *emulator;
    char folder[64]; /* the guests' definitions, and virsh's lines */
};

/* NULL, or why there is none: it is not installed, or COFRE_QEMU names no QEMU. In a mount namespace of this process' own. */
const char *libvirt_start(struct libvirt *l, const char *script);
void libvirt_stop(struct libvirt *l);

/* Processor time of the daemon, all of its threads and not what it starts, in milliseconds. */
double libvirt_cpu(const struct libvirt *l);

/* Guests by number, from and up to but not to: one connection of virsh, a line for each. */
void libvirt_define(struct libvirt *l, unsigned from, unsigned to);
void libvirt_run(struct libvirt *l, unsigned from,
                 unsigned to); /* each is started, and waits before its first instruction */
void libvirt_end(struct libvirt *l, unsigned from, unsigned to);
/* All of them, so often; there must be so many. */
void libvirt_list(struct libvirt *l, unsigned times, unsigned guests);

#endif
