/* Limits of a guest's group, and the numbers that it keeps. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "vmm/base/bytes.h"
#include "vmm/host/hands/controllers.h"
#include "vmm/host/hands/flat.h"
#include "vmm/host/hands/group.h"

#define PERIOD_US    100000 /* of the CPU quota; the kernel's default */
#define LIST_SIZE    4096   /* of CPUs */
#define WEIGHT_USUAL 100

typedef bool format(char *out, size_t size, const struct hands_limits *l);

static bool number(char *out, size_t size, uint64_t value)
{
    if (value)
        snprintf(out, size, "%" PRIu64, value);
    else
        snprintf(out, size, "max");
    return value != 0;
}

static bool weight(char *out, size_t size, const struct hands_limits *l)
{
    snprintf(out, size, "%u", l->cpu_weight ? l->cpu_weight : WEIGHT_USUAL);
    return l->cpu_weight != 0;
}

static bool quota(char *out, size_t size, const struct hands_limits *l)
{
    bool given = number(out, size, (uint64_t)l->cpu_quota * PERIOD_US / 1000);
    snprintf(out + strlen(out), size - strlen(out), " %d", PERIOD_US);
    return given;
}

static bool cpus(char *out, size_t size, const struct hands_limits *l)
{
    return flat_bits_format(out, size, l->cpus, HANDS_CPUS_MAX / 64) && out[0];
}

static bool node(char *out, size_t size, const struct hands_limits *l)
{
    if (l->node)
        snprintf(out, size, "%u", l->node - 1);
    return l->node != 0;
}

static bool memory(char *out, size_t size, const struct hands_limits *l)
{
    return number(out, size, l->memory);
}

static bool processes(char *out, size_t size, const struct hands_limits *l)
{
    return number(out, size, l->processes);
}

/* False from format: no limit; what is written then (set) is what a group has that nobody limited. */
static const struct limit {
    const char *name, *file;
    enum hands_controller controller;
    format *format;
} limits[] = {
    {"cpu_weight", "cpu.weight", HANDS_CPU, weight}, {"cpu_quota", "cpu.max", HANDS_CPU, quota},
    {"cpus", "cpuset.cpus", HANDS_CPUSET, cpus},     {"numa_node", "cpuset.mems", HANDS_CPUSET, node},
    {"memory", "memory.max", HANDS_MEMORY, memory},  {"processes", "pids.max", HANDS_PIDS, processes},
};
#define LIMITS (sizeof limits / sizeof *limits)

static int lacking(const struct groups *g, const char *limit, enum hands_controller bit,
                   struct cofre_err *err)
{
    const char *name = "";
    for (unsigned i = 0; i < CONTROLLERS; i++)
        if (controllers[i].bit == bit)
            name = controllers[i].name;
    return cofre_fail(
        err, COFRE_LACKING,
        "limits.%s: the control group %s has no controller \"%s\": this kernel lacks it, or it was "
        "not delegated to cofred (Delegate=)",
        limit, g->path, name);
}

static bool within(const uint64_t *some, const uint64_t *all, unsigned words)
{
    for (unsigned i = 0; i < words; i++)
        if (some[i] & ~all[i])
            return false;
    return true;
}

void groups_cpus(const struct groups *g, uint64_t out[HANDS_CPUS_MAX / 64])
{
    char text[LIST_SIZE];
    int rc = flat_read(g->parent, "cpuset.cpus.effective", text, sizeof text, NULL);
    if (rc)
        rc = flat_read(AT_FDCWD, "/sys/devices/system/cpu/online", text, sizeof text, NULL);
    if (rc || !flat_bits(out, HANDS_CPUS_MAX / 64, text))
        memset(out, 0, HANDS_CPUS_MAX / 8);
}

uint64_t groups_nodes(const struct groups *g)
{
    char text[LIST_SIZE];
    uint64_t nodes = 0;
    int rc = flat_read(g->parent, "cpuset.mems.effective", text, sizeof text, NULL);
    if (rc)
        rc = flat_read(AT_FDCWD, "/sys/devices/system/node/online", text, sizeof text, NULL);
    return rc == 0 && flat_bits(&nodes, 1, text) ? nodes : 1;
}

/* The kernel takes CPUs that are not there, and runs the group on all of its parent's. */
static int check_places(const struct groups *g, const struct hands_limits *l, struct cofre_err *err)
{
    uint64_t here[HANDS_CPUS_MAX / 64];
    char list[LIST_SIZE];
    groups_cpus(g, here);
    if (!within(l->cpus, here, HANDS_CPUS_MAX / 64)) {
        (void)flat_bits_format(list, sizeof list, here, HANDS_CPUS_MAX / 64);
        return cofre_fail(err, COFRE_USAGE, "limits.cpus: guests here may run on %s", list);
    }
    uint64_t nodes = groups_nodes(g), wanted = l->node ? 1ull << (l->node - 1) : 0;
    if (within(&wanted, &nodes, 1))
        return 0;
    (void)flat_bits_format(list, sizeof list, &nodes, 1);
    return cofre_fail(err, COFRE_USAGE, "limits.numa_node: guests here may use the memory of node %s", list);
}

/* A limit below what cannot be given back would end the guest, or hold up who sets it until it has. */
static int check_memory(int group, const struct hands_limits *l, struct cofre_err *err)
{
    char text[FLAT_SIZE];
    uint64_t anonymous, shared;
    if (!l->memory || flat_read(group, "memory.stat", text, sizeof text, NULL))
        return 0;
    if (!flat_keyed(&anonymous, text, "anon") || !flat_keyed(&shared, text, "shmem"))
        return cofre_fail(err, COFRE_FAILED, "memory.stat: without the numbers of anon and shmem");
    if (l->memory > anonymous + shared)
        return 0;
    return cofre_fail(err, COFRE_LACKING,
                      "limits.memory: %" PRIu64 " bytes are less than the guest holds now, which is %" PRIu64,
                      l->memory, anonymous + shared);
}

static int check(const struct groups *g, int group, const struct hands_limits *l, struct cofre_err *err)
{
    char text[LIST_SIZE];
    for (size_t i = 0; i < LIMITS; i++)
        if (limits[i].format(text, sizeof text, l) && !(g->controllers & limits[i].controller))
            return lacking(g, limits[i].name, limits[i].controller, err);
    int rc = check_places(g, l, err);
    if (rc == 0)
        rc = check_memory(group, l, err);
    return rc;
}

/* What the guest's devices may let through within one second, a burst and a second's rate: so a guest that they hold in is never
 * held here, and a monitor that has been taken over is, at that much. */
static uint64_t outer_bound(uint64_t rate, uint64_t burst)
{
    unsigned __int128 bound = (unsigned __int128)rate * (1000 + burst) / 1000;
    return bound > UINT64_MAX ? 0 : (uint64_t)bound;
}

static int limit_disk(int group, const struct hands_limits *l, dev_t device, struct cofre_err *err)
{
    char number_of[4][24], line[192];
    const uint64_t values[] = {l->read_bytes, l->write_bytes, l->read_operations, l->write_operations};
    for (unsigned i = 0; i < 4; i++)
        (void)number(number_of[i], sizeof number_of[i], outer_bound(values[i], l->disk_burst));
    snprintf(line, sizeof line, "%u:%u rbps=%s wbps=%s riops=%s wiops=%s", major(device), minor(device),
             number_of[0], number_of[1], number_of[2], number_of[3]);
    return flat_write(group, "io.max", line, err);
}

/* A cpuset with processes can be widened, but not emptied any more: all that the parent has takes the place of none. One that
 * is empty stays so, and follows its parent. */
static int widen(const struct groups *g, int group, const char *file, struct cofre_err *err)
{
    char now[LIST_SIZE], all[LIST_SIZE], effective[64];
    snprintf(effective, sizeof effective, "%s.effective", file);
    int rc = flat_read(group, file, now, sizeof now, err);
    if (rc || now[0] == 0 || now[0] == '\n')
        return rc;
    rc = flat_read(g->parent, effective, all, sizeof all, err);
    return rc ? rc : flat_write(group, file, all, err);
}

static int set(const struct groups *g, int group, const struct limit *limit, const struct hands_limits *l,
               struct cofre_err *err)
{
    char text[LIST_SIZE];
    bool given = limit->format(text, sizeof text, l);
    if (!(g->controllers & limit->controller))
        return 0;
    return !given && limit->controller == HANDS_CPUSET ? widen(g, group, limit->file, err)
                                                       : flat_write(group, limit->file, text, err);
}

int group_limit(const struct groups *g, int group, const struct hands_limits *l, const dev_t *devices,
                unsigned count, struct cofre_err *err)
{
    int rc = check(g, group, l, err);
    for (size_t i = 0; i < LIMITS && rc == 0; i++)
        rc = set(g, group, &limits[i], l, err);
    for (unsigned i = 0; i < count && rc == 0; i++)
        if (devices[i] && g->controllers & HANDS_IO)
            rc = limit_disk(group, l, devices[i], err);
    return rc ? cofre_within(err, rc, "limits") : 0;
}

/* Of files with a line for each number. */
static const struct keyed {
    const char *file, *key;
    size_t offset;
} keyed[] = {
    {"cpu.stat", "usage_usec", offsetof(struct hands_statistics, cpu_us)},
    {"cpu.stat", "user_usec", offsetof(struct hands_statistics, cpu_user_us)},
    {"cpu.stat", "system_usec", offsetof(struct hands_statistics, cpu_system_us)},
    {"cpu.stat", "nr_throttled", offsetof(struct hands_statistics, throttled)},
    {"cpu.stat", "throttled_usec", offsetof(struct hands_statistics, throttled_us)},
    {"memory.current", NULL, offsetof(struct hands_statistics, memory)},
    {"memory.peak", NULL, offsetof(struct hands_statistics, memory_peak)},
    {"memory.events", "oom_kill", offsetof(struct hands_statistics, out_of_memory)},
    {"pids.current", NULL, offsetof(struct hands_statistics, processes)},
};

static const struct keyed per_device[] = {
    {"io.stat", "rbytes", offsetof(struct hands_statistics, read_bytes)},
    {"io.stat", "wbytes", offsetof(struct hands_statistics, write_bytes)},
    {"io.stat", "rios", offsetof(struct hands_statistics, read_operations)},
    {"io.stat", "wios", offsetof(struct hands_statistics, write_operations)},
};

/* A file or a line that is not there counts nothing: cpu.stat has fewer without its controller. One that is there has a number. */
static int take(int group, const struct keyed *k, bool summed, struct hands_statistics *out,
                struct cofre_err *err)
{
    char text[FLAT_SIZE];
    uint64_t *value = (void *)((char *)out + k->offset);
    int rc = flat_read(group, k->file, text, sizeof text, err);
    if (rc)
        return rc == -COFRE_LACKING ? 0 : rc;
    if (k->key && !strstr(text, k->key))
        return 0;
    bool good = summed   ? flat_sum(value, text, k->key)
                : k->key ? flat_keyed(value, text, k->key)
                         : flat_number(value, text);
    return good ? 0
                : cofre_fail(err, COFRE_FAILED, "%s: %s is no number", k->file,
                             k->key ? k->key : "what it has");
}

int group_statistics(const struct groups *g, int group, struct hands_statistics *out, struct cofre_err *err)
{
    int rc = 0;
    out->controllers = g->controllers;
    for (size_t i = 0; i < sizeof keyed / sizeof *keyed && rc == 0; i++)
        rc = take(group, &keyed[i], false, out, err);
    for (size_t i = 0; i < sizeof per_device / sizeof *per_device && rc == 0; i++)
        rc = take(group, &per_device[i], true, out, err);
    return rc;
}

uint32_t group_out_of_memory(int group)
{
    struct hands_statistics s = {0};
    (void)take(group, &keyed[7], false, &s, NULL);
    return s.out_of_memory > UINT32_MAX ? UINT32_MAX : (uint32_t)s.out_of_memory;
}
