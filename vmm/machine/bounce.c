#include "vmm/machine/bounce.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB          (1ull << 20)
#define SLAB         2048
#define BASE         (4 * MIB)
#define MOST         (1024 * MIB)
#define LINUX_SIZE   (64 * MIB) /* as a parameter Linux takes this one for none */
#define QUEUES_MAX   64         /* whoever asks for more is told by the device */
#define QUEUE_OPTION ",queues="

static uint64_t queues(const char *spec)
{
    const char *option = strstr(spec, QUEUE_OPTION);
    unsigned long n = option ? strtoul(option + strlen(QUEUE_OPTION), NULL, 10) : 1;
    return n < 1 ? 1 : n > QUEUES_MAX ? QUEUES_MAX : n;
}

uint64_t bounce_size(const struct device_request *device, unsigned devices, unsigned cpus, uint64_t memory)
{
    uint64_t size = BASE + cpus * MIB, most = memory / 4 < MOST ? memory / 4 : MOST;
    for (unsigned i = 0; i < devices; i++)
        size += queues(device[i].spec) * device[i].kind->requests * device[i].kind->request_size;
    size = (size + MIB - 1) / MIB * MIB;
    if (size > most)
        size = most / MIB * MIB;
    return size == LINUX_SIZE ? size + MIB : size;
}

static bool has_one(const char *cmdline)
{
    for (const char *at = cmdline; (at = strstr(at, "swiotlb=")); at++)
        if (at == cmdline || at[-1] == ' ')
            return true;
    return false;
}

/* It comes first: what follows "--" is for the first program. */
int bounce_cmdline(struct bytes *out, const char *cmdline, uint64_t size, struct cofre_err *err)
{
    char *text = NULL;
    int n = has_one(cmdline) ? asprintf(&text, "%s", cmdline)
                             : asprintf(&text, "swiotlb=%llu%s%s", (unsigned long long)(size / SLAB),
                                        *cmdline ? " " : "", cmdline);
    if (n < 0)
        return cofre_fail(err, COFRE_FAILED, "the command line: out of memory");
    *out = (struct bytes){(uint8_t *)text, (size_t)n};
    return 0;
}
