#include "vmm/machine/memory_limit.h"

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#define LOG_ROOM "machine"
#include "vmm/base/log.h"
#include "vmm/machine/boot.h"

#define MIB (1ull << 20)

static unsigned address_bits(const struct kvm_cpuid2 *cpuid)
{
    enum { ADDRESS_SIZES = 0x80000008, WITHOUT_IT = 36 };
    for (uint32_t i = 0; i < cpuid->nent; i++)
        if (cpuid->entries[i].function == ADDRESS_SIZES) {
            unsigned host = cpuid->entries[i].eax & 0xff, guest = cpuid->entries[i].eax >> 16 & 0xff;
            return guest && guest < host ? guest : host;
        }
    return WITHOUT_IT;
}

static uint64_t limit_of(int resource)
{
    struct rlimit limit;
    return getrlimit(resource, &limit) || limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur;
}

/* Pages that are mapped already: the first number of /proc/self/statm. */
static uint64_t mapped(void)
{
    CLEAN_FILE *file = fopen("/proc/self/statm", "re");
    unsigned long long pages = 0;
    return file && fscanf(file, "%llu", &pages) == 1 ? pages * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

static uint64_t available(void)
{
    CLEAN_FILE *file = fopen("/proc/meminfo", "re");
    unsigned long long kib;
    char line[128];
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
            return kib * 1024;
    return 0;
}

void memory_limits_read(struct memory_limits *out, const struct kvm_cpuid2 *host_cpuid)
{
    uint64_t space = limit_of(RLIMIT_AS), used = mapped();
    *out = (struct memory_limits){
        .address_bits = address_bits(host_cpuid),
        .address_space = space == UINT64_MAX ? space
                         : space > used      ? space - used
                                             : 0,
        .file_size = limit_of(RLIMIT_FSIZE),
        .available = available(),
    };
}

static int lacks(struct cofre_err *err, uint64_t size, const char *what, uint64_t limit)
{
    return cofre_fail(err, COFRE_LACKING, "a guest of %llu MiB cannot be had here: %s %llu MiB",
                      (unsigned long long)(size / MIB), what, (unsigned long long)(limit / MIB));
}

int memory_limits_check(const struct memory_limits *limits, uint64_t size, struct cofre_err *err)
{
    struct shim_ram ram[2];
    unsigned last = boot_ram(size, ram) - 1;
    uint64_t end = ram[last].gpa + ram[last].size;
    if (limits->address_bits < 64 && end > 1ull << limits->address_bits)
        return lacks(err, size, "the processor's guest physical addresses end at",
                     1ull << limits->address_bits);
    if (size > limits->address_space)
        return lacks(err, size, "the limit of this process's address space (RLIMIT_AS, ulimit -v) leaves",
                     limits->address_space);
    if (size > limits->file_size)
        return lacks(err, size, "the limit of a file's size (RLIMIT_FSIZE, ulimit -f) is", limits->file_size);
    if (limits->available && size > limits->available)
        log_warn("the guest has %llu MiB of memory, of which the host has %llu MiB available now; if the "
                 "guest uses "
                 "more, the host's kernel ends it",
                 (unsigned long long)(size / MIB), (unsigned long long)(limits->available / MIB));
    return 0;
}

static uint64_t count(const char *directory, uint64_t page, const char *what)
{
    char path[256];
    unsigned long long value = 0;
    snprintf(path, sizeof path, "%s/hugepages-%llukB/%s", directory, (unsigned long long)(page / 1024), what);
    CLEAN_FILE *file = fopen(path, "re");
    return file && fscanf(file, "%llu", &value) == 1 ? value : 0;
}

void huge_pages_read(struct huge_pages *out, const char *directory, uint64_t page)
{
    uint64_t free = count(directory, page, "free_hugepages"),
             reserved = count(directory, page, "resv_hugepages");
    *out = (struct huge_pages){.all = count(directory, page, "nr_hugepages"),
                               .free = free > reserved ? free - reserved : 0};
}

int huge_pages_check(const struct huge_pages *pages, uint64_t page, uint64_t size, struct cofre_err *err)
{
    if (!page || size / page <= pages->free)
        return 0;
    return cofre_fail(
        err, COFRE_LACKING,
        "a guest of %llu MiB needs %llu huge pages of %llu MiB, and the host has %llu of %llu left "
        "(/sys/kernel/mm/hugepages)",
        (unsigned long long)(size / MIB), (unsigned long long)(size / page), (unsigned long long)(page / MIB),
        (unsigned long long)pages->free, (unsigned long long)pages->all);
}
