#include "tests/bench/lab/meter.h"

#include <stdio.h>
#include <string.h>

/* One process, by the mappings of /proc/PID/smaps: a line with the addresses, then lines with what they hold. */
static void add_process(struct memory_use *use, int pid)
{
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/%d/smaps", pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return; /* has just ended */
    bool is_guest = false;
    while (fgets(line, sizeof line, f)) {
        unsigned long long start, end, kib;
        if (sscanf(line, "%llx-%llx ", &start, &end) == 2)
            is_guest = tracee_is_guest_memory(start, end);
        else if (sscanf(line, "Rss: %llu", &kib) == 1)
            *(is_guest ? &use->guest : &use->rss) += kib;
        else if (sscanf(line, "Pss: %llu", &kib) == 1 && !is_guest)
            use->pss += kib;
    }
    fclose(f);
    use->processes++;
}

void memory_use_read(struct memory_use *out, const char *cgroup_procs)
{
    int pid;
    *out = (struct memory_use){0};
    FILE *f = fopen(cgroup_procs, "re");
    if (!f)
        meter_die(cgroup_procs);
    while (fscanf(f, "%d", &pid) == 1)
        add_process(out, pid);
    fclose(f);
}
