/*
 * A guest on one NUMA node of the host: its memory and its threads.
 *
 * The memory policy of the calling thread and the CPUs that it runs on are inherited by all threads made afterwards, and
 * hold for every page that they are the first to touch: so for the private side too, whose pages KVM takes for the vCPU
 * that needs them. RAM's memfd is bound besides (machine_numa_bind), because other processes may map it and be first
 * (vhost-user). A guest_memfd can be bound like that only where it can be mapped (Linux 6.19, GUEST_MEMFD_FLAG_MMAP);
 * by the threads' policy it is placed on every kernel.
 */
#ifndef COFRE_MACHINE_NUMA_NODE_H
#define COFRE_MACHINE_NUMA_NODE_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/error.h"

#define NUMA_NODES_MAX 1024

struct machine_numa {
    bool given;
    unsigned node;
};

/* What there is of nodes that this process may use. */
struct machine_numa_topology {
    bool known; /* false: the host's kernel knows no NUMA */
    unsigned count;
    struct {
        uint64_t memory; /* bytes; 0 where the node has none, is not there, or is not allowed */
        unsigned cpus;
    } node[NUMA_NODES_MAX];
};
void machine_numa_topology_read(struct machine_numa_topology *out);

/* COFRE_LACKING, and a sentence, where a guest cannot be placed on this node. */
int machine_numa_check(const struct machine_numa_topology *topology, unsigned node, struct cofre_err *err);
/* This thread and all that it makes: their CPUs and memory are the node's. Checks first. */
int machine_numa_place(const struct machine_numa *choice, struct cofre_err *err);
/* Pages of a shared mapping, whoever touches them first. Nothing where no node is chosen. */
int machine_numa_bind(const struct machine_numa *choice, void *memory, uint64_t size, struct cofre_err *err);

#endif
