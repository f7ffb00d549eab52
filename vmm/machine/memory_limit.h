/* Whether this host can have a guest of so much memory: said before any of it is asked for, by the limit's name. */
#ifndef COFRE_MACHINE_MEMORY_LIMIT_H
#define COFRE_MACHINE_MEMORY_LIMIT_H

#include <linux/kvm.h>
#include <stdint.h>

#include "vmm/base/error.h"

struct memory_limits {
    unsigned address_bits;  /* of guest physical addresses: CPUID 0x8000_0008 as KVM supports it */
    uint64_t address_space; /* bytes that this process may still map (RLIMIT_AS); UINT64_MAX: any */
    uint64_t file_size;     /* of one file, and so of a memfd (RLIMIT_FSIZE) */
    uint64_t available;     /* MemAvailable of /proc/meminfo; 0: not known */
};

void memory_limits_read(struct memory_limits *out, const struct kvm_cpuid2 *host_cpuid);
/* size bytes of RAM in the machine's memory map. COFRE_LACKING where a limit forbids it. Memory that is not available now
 * is only warned of: a guest takes what it touches. */
int memory_limits_check(const struct memory_limits *limits, uint64_t size, struct cofre_err *err);

/* Huge pages of the host's pool: what is free of them and reserved by nobody. Directory: /sys/kernel/mm/hugepages. */
struct huge_pages {
    uint64_t all, free;
};
void huge_pages_read(struct huge_pages *out, const char *directory, uint64_t page);
/* Whether size bytes can be had in pages of so many bytes; page 0: no huge ones. COFRE_LACKING, with numbers. */
int huge_pages_check(const struct huge_pages *pages, uint64_t page, uint64_t size, struct cofre_err *err);

#endif
