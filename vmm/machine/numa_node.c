#include "vmm/machine/numa_node.h"

#include <errno.h>
#include <numa.h>
#include <numaif.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/cleanup.h"

void machine_numa_topology_read(struct machine_numa_topology *out)
{
    *out = (struct machine_numa_topology){.known = numa_available() >= 0};
    if (!out->known)
        return;
    int last = numa_max_node();
    struct bitmask *cpus = numa_allocate_cpumask();
    out->count = last < NUMA_NODES_MAX ? (unsigned)last + 1 : NUMA_NODES_MAX;
    for (unsigned i = 0; i < out->count; i++) {
        long long memory = numa_bitmask_isbitset(numa_all_nodes_ptr, i) ? numa_node_size64((int)i, NULL) : 0;
        out->node[i].memory = memory > 0 ? (uint64_t)memory : 0;
        if (numa_node_to_cpus((int)i, cpus) == 0)
            out->node[i].cpus = numa_bitmask_weight(cpus);
    }
    numa_bitmask_free(cpus);
}

/* "0, 2": the nodes that have both. */
static const char *usable(const struct machine_numa_topology *topology, char *out, size_t size)
{
    size_t used = 0;
    snprintf(out, size, "none");
    for (unsigned i = 0; i < topology->count && used < size; i++)
        if (topology->node[i].memory && topology->node[i].cpus)
            used += (size_t)snprintf(out + used, size - used, "%s%u", used ? ", " : "", i);
    return out;
}

int machine_numa_check(const struct machine_numa_topology *topology, unsigned node, struct cofre_err *err)
{
    char nodes[128];
    if (!topology->known)
        return cofre_fail(err, COFRE_LACKING, "--numa-node %u: this host's kernel knows no NUMA nodes", node);
    bool memory = node < topology->count && topology->node[node].memory;
    bool cpus = node < topology->count && topology->node[node].cpus;
    if (memory && cpus)
        return 0;
    return cofre_fail(err, COFRE_LACKING,
                      "--numa-node %u: this host has no such node with %s for a guest; it has: %s", node,
                      memory ? "processors" : "memory", usable(topology, nodes, sizeof nodes));
}

int machine_numa_place(const struct machine_numa *choice, struct cofre_err *err)
{
    if (!choice->given)
        return 0;
    CLEAN_FREE struct machine_numa_topology *topology = malloc(sizeof *topology);
    if (!topology)
        return cofre_fail(err, COFRE_FAILED, "NUMA nodes: out of memory");
    machine_numa_topology_read(topology);
    int rc = machine_numa_check(topology, choice->node, err);
    if (rc)
        return rc;
    struct bitmask *nodes = numa_allocate_nodemask();
    numa_bitmask_setbit(nodes, choice->node);
    bool placed = numa_run_on_node((int)choice->node) == 0 &&
                  set_mempolicy(MPOL_BIND, nodes->maskp, nodes->size + 1) == 0;
    int error = errno;
    numa_bitmask_free(nodes);
    return placed ? 0 : cofre_fail(err, COFRE_FAILED, "--numa-node %u: %s", choice->node, strerror(error));
}

int machine_numa_bind(const struct machine_numa *choice, void *memory, uint64_t size, struct cofre_err *err)
{
    if (!choice->given)
        return 0;
    struct bitmask *nodes = numa_allocate_nodemask();
    numa_bitmask_setbit(nodes, choice->node);
    long rc = mbind(memory, size, MPOL_BIND, nodes->maskp, nodes->size + 1, 0);
    int error = errno;
    numa_bitmask_free(nodes);
    return rc == 0 ? 0
                   : cofre_fail(err, COFRE_FAILED, "binding the guest's memory to node %u: %s", choice->node,
                                strerror(error));
}
