#include <numaif.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/machine/numa_node.h"

#define GIB (1ull << 30)

/* Node 0 whole, 1 without processors (memory of a device), 2 not there, 3 without memory, 4 whole. */
static const struct machine_numa_topology fake = {
    .known = true, .count = 5, .node = {{4 * GIB, 2}, {8 * GIB, 0}, {0, 0}, {0, 4}, {GIB, 1}}};

static void refused(const struct machine_numa_topology *topology, unsigned node, const char *words)
{
    struct cofre_err err = {{0}};
    assert_int_equal(machine_numa_check(topology, node, &err), -COFRE_LACKING);
    assert_non_null(strstr(err.text, words));
}

static void a_node_needs_memory_and_processors(void **state)
{
    (void)state;
    struct cofre_err err;
    assert_int_equal(machine_numa_check(&fake, 0, &err), 0);
    assert_int_equal(machine_numa_check(&fake, 4, &err), 0);
    refused(&fake, 1, "--numa-node 1: this host has no such node with processors for a guest; it has: 0, 4");
    refused(&fake, 2, "with memory");
    refused(&fake, 3, "with memory");
    refused(&fake, 5, "with memory");
    refused(&fake, UINT32_MAX, "it has: 0, 4");
}

static void a_host_without_nodes_says_so(void **state)
{
    (void)state;
    static const struct machine_numa_topology without = {.known = false}, empty = {.known = true};
    refused(&without, 0, "knows no NUMA");
    refused(&empty, 0, "it has: none");
}

static void nothing_chosen_changes_nothing(void **state)
{
    (void)state;
    const struct machine_numa none = {0};
    struct cofre_err err;
    int policy = -1;
    assert_int_equal(machine_numa_place(&none, &err), 0);
    assert_int_equal(machine_numa_bind(&none, NULL, 4096, &err), 0);
    if (get_mempolicy(&policy, NULL, 0, NULL, 0) == 0)
        assert_int_equal(policy, MPOL_DEFAULT);
}

static void *policy_of_thread(void *policy)
{
    (void)get_mempolicy(policy, NULL, 0, NULL, 0);
    return NULL;
}

/* The first node of this host that can have a guest. */
static unsigned this_host(void)
{
    static struct machine_numa_topology topology;
    struct cofre_err err;
    machine_numa_topology_read(&topology);
    for (unsigned i = 0; i < topology.count; i++)
        if (machine_numa_check(&topology, i, &err) == 0)
            return i;
    print_message("# this host has no NUMA node with memory and processors\n");
    skip();
    return 0;
}

static void threads_and_memory_are_of_the_node(void **state)
{
    (void)state;
    struct machine_numa choice = {true, this_host()};
    struct cofre_err err = {{0}};
    int policy = -1;
    unsigned long nodes[NUMA_NODES_MAX / (8 * sizeof(unsigned long))] = {0};
    pthread_t thread;
    assert_int_equal(machine_numa_place(&choice, &err), 0);
    assert_int_equal(pthread_create(&thread, NULL, policy_of_thread, &policy), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(policy, MPOL_BIND);

    int fd = memfd_create("numa", MFD_CLOEXEC);
    assert_int_equal(ftruncate(fd, 1 << 20), 0);
    uint8_t *memory = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    assert_int_equal(machine_numa_bind(&choice, memory, 1 << 20, &err), 0);
    policy = -1;
    assert_int_equal(get_mempolicy(&policy, nodes, NUMA_NODES_MAX, memory, MPOL_F_ADDR), 0);
    assert_int_equal(policy, MPOL_BIND);
    assert_true(nodes[choice.node / 64] >> choice.node % 64 & 1);
    memory[4096] = 1;
    int node = -1;
    assert_int_equal(get_mempolicy(&node, NULL, 0, memory + 4096, MPOL_F_NODE | MPOL_F_ADDR), 0);
    assert_int_equal(node, choice.node);
    munmap(memory, 1 << 20);
    close(fd);
    choice.node = NUMA_NODES_MAX;
    assert_int_equal(machine_numa_place(&choice, &err), -COFRE_LACKING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_needs_memory_and_processors),
        cmocka_unit_test(a_host_without_nodes_says_so),
        cmocka_unit_test(nothing_chosen_changes_nothing),
        cmocka_unit_test(threads_and_memory_are_of_the_node),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
