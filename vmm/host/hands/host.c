#include "vmm/host/hands/host.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>

#include "vmm/base/cleanup.h"
#include "vmm/host/hands/flat.h"

static int memory(struct hands_host *out, struct cofre_err *err)
{
    char text[FLAT_SIZE];
    int rc = flat_read(AT_FDCWD, "/proc/meminfo", text, sizeof text, err);
    if (rc)
        return rc;
    if (!flat_keyed(&out->memory, text, "MemTotal") ||
        !flat_keyed(&out->memory_available, text, "MemAvailable"))
        return cofre_fail(err, COFRE_FAILED, "/proc/meminfo: without MemTotal or MemAvailable");
    return 0;
}

/* A size that this processor, or kernel, does not have: none of them. */
static void huge_pages(struct hands_host *out)
{
    const struct {
        const char *file;
        uint64_t *value;
    } files[] = {
        {"/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", &out->huge_2m},
        {"/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", &out->huge_2m_free},
        {"/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages", &out->huge_1g},
        {"/sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages", &out->huge_1g_free},
    };
    char text[64];
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (flat_read(AT_FDCWD, files[i].file, text, sizeof text, NULL) || !flat_number(files[i].value, text))
            *files[i].value = 0;
}

static void add_node(struct hands_host *out, unsigned number)
{
    struct hands_node *node = &out->node[out->nodes];
    char text[FLAT_SIZE], name[80], key[40];
    snprintf(name, sizeof name, "/sys/devices/system/node/node%u/meminfo", number);
    if (flat_read(AT_FDCWD, name, text, sizeof text, NULL))
        return;
    *node = (struct hands_node){.node = number};
    snprintf(key, sizeof key, "Node %u MemTotal", number);
    bool known = flat_keyed(&node->memory, text, key);
    snprintf(key, sizeof key, "Node %u MemFree", number);
    known &= flat_keyed(&node->memory_free, text, key);
    snprintf(name, sizeof name, "/sys/devices/system/node/node%u/cpulist", number);
    if (flat_read(AT_FDCWD, name, text, sizeof text, NULL) ||
        !flat_bits(node->cpus, HANDS_CPUS_MAX / 64, text))
        memset(node->cpus, 0, sizeof node->cpus);
    out->nodes += known;
}

unsigned host_misc(struct hands_misc out[HANDS_MISC_MAX], const char *capacity, const char *used)
{
    unsigned count = 0;
    for (const char *line = capacity; *line && count < HANDS_MISC_MAX;) {
        struct hands_misc *m = &out[count];
        size_t length = strcspn(line, " \n");
        *m = (struct hands_misc){0};
        if (length && length < sizeof m->name && line[length] == ' ') {
            memcpy(m->name, line, length);
            if (!flat_keyed(&m->used, used, m->name))
                m->used = 0;
            count += flat_keyed(&m->capacity, capacity, m->name);
        }
        line += strcspn(line, "\n");
        line += *line == '\n';
    }
    return count;
}

/* The capacity stands in the root group only: the last one upwards that is in this file system. */
static int open_root(const char *path)
{
    char at[PATH_MAX];
    snprintf(at, sizeof at, "%s", path);
    for (char *end; (end = strrchr(at, '/')) && end != at;) {
        struct statfs fs;
        *end = 0;
        if (statfs(at, &fs) < 0 || fs.f_type != CGROUP2_SUPER_MAGIC) {
            *end = '/';
            break;
        }
    }
    return open(at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void scarce(const struct groups *groups, struct hands_host *out)
{
    char capacity[FLAT_SIZE], used[FLAT_SIZE];
    CLEAN_FD root = open_root(groups->path);
    if (root < 0 || flat_read(root, "misc.capacity", capacity, sizeof capacity, NULL))
        return;
    if (flat_read(root, "misc.current", used, sizeof used, NULL) &&
        flat_read(groups->parent, "misc.current", used, sizeof used, NULL)) /* before Linux 6.8 */
        used[0] = 0;
    out->miscs = host_misc(out->misc, capacity, used);
}

int host_look(const struct groups *groups, struct hands_host *out, struct cofre_err *err)
{
    *out = (struct hands_host){.controllers = groups->controllers};
    groups_cpus(groups, out->cpus);
    int rc = memory(out, err);
    if (rc)
        return rc;
    huge_pages(out);
    uint64_t nodes = groups_nodes(groups);
    for (unsigned i = 0; i < HANDS_NODES_MAX; i++)
        if (nodes >> i & 1)
            add_node(out, i);
    scarce(groups, out);
    return 0;
}
