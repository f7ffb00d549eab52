#include "vmm/machine/cpuid.h"

#include <stdlib.h>
#include <string.h>

/* How many bits the APIC ids of that many cores take. */
static uint32_t id_bits(unsigned cpus)
{
    uint32_t bits = 0;
    while ((1u << bits) < cpus)
        bits++;
    return bits;
}

struct topology {
    uint32_t index, cpus, bits;
};

static void put(uint32_t *reg, unsigned shift, unsigned width, uint32_t value)
{
    uint32_t mask = ((1u << width) - 1) << shift;
    *reg = (*reg & ~mask) | (value << shift & mask);
}

/* Intel 64 manual volume 2A and AMD64 manual volume 3 (appendix E): the fields of each leaf that tell the topology. */
static void leaf_1(struct kvm_cpuid_entry2 *e, const struct topology *t)
{
    put(&e->ebx, 24, 8, t->index);
    put(&e->ebx, 16, 8, t->cpus);
    put(&e->edx, 28, 1, t->cpus > 1); /* HTT: the count in EBX is valid */
    put(&e->ecx, 31, 1, 1); /* a hypervisor is there: Linux then uses x2APIC without interrupt remapping */
}

/* Caches, Intel's and AMD's leaf: levels 1 and 2 belong to a core, level 3 to the socket. */
static void leaf_cache(struct kvm_cpuid_entry2 *e, const struct topology *t)
{
    if ((e->eax & 0x1f) == 0)
        return;
    put(&e->eax, 14, 12, (e->eax >> 5 & 7) >= 3 ? t->cpus - 1 : 0);
    if (e->function == 4)
        put(&e->eax, 26, 6, t->cpus - 1);
}

static void leaf_80000008(struct kvm_cpuid_entry2 *e, const struct topology *t)
{
    put(&e->ecx, 0, 8, t->cpus - 1);
    put(&e->ecx, 12, 4, t->bits);
}

static void leaf_8000001e(struct kvm_cpuid_entry2 *e, const struct topology *t)
{
    e->eax = t->index;
    e->ebx = t->index & 0xff; /* core; bits 15:8: one thread in it */
    e->ecx = 0;               /* node 0 of one */
}

static const struct {
    uint32_t function;
    void (*fix)(struct kvm_cpuid_entry2 *e, const struct topology *t);
} fixes[] = {
    {0x1, leaf_1},
    {0x4, leaf_cache},
    {0x8000001d, leaf_cache},
    {0x8000001e, leaf_8000001e},
};

static struct kvm_cpuid_entry2 *find(struct kvm_cpuid2 *table, uint32_t function)
{
    for (uint32_t i = 0; i < table->nent; i++)
        if (table->entries[i].function == function)
            return &table->entries[i];
    return NULL;
}

static void drop(struct kvm_cpuid2 *table, uint32_t function)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < table->nent; i++)
        if (table->entries[i].function != function)
            table->entries[kept++] = table->entries[i];
    table->nent = kept;
}

/* Extended topology: one thread a core, then the cores of the socket. */
static int add_leaf_b(struct kvm_cpuid2 *table, const struct topology *t, struct cofre_err *err)
{
    const struct {
        uint32_t shift, count, type;
    } level[] = {{0, 1, 1}, {t->bits, t->cpus, 2}, {0, 0, 0}};
    if (table->nent + 3 > KVM_CPUID_MAX)
        return cofre_fail(err, COFRE_FAILED, "CPUID table: more than %d entries", KVM_CPUID_MAX);
    for (uint32_t i = 0; i < 3; i++)
        table->entries[table->nent++] = (struct kvm_cpuid_entry2){
            .function = 0xb,
            .index = i,
            .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
            .eax = level[i].shift,
            .ebx = level[i].count,
            .ecx = i | level[i].type << 8,
            .edx = t->index,
        };
    return 0;
}

int machine_cpuid_new(struct kvm_cpuid2 **out, const struct kvm_cpuid2 *host, unsigned index, unsigned cpus,
                      struct cofre_err *err)
{
    size_t size = sizeof *host + KVM_CPUID_MAX * sizeof host->entries[0];
    *out = malloc(size);
    if (!*out)
        return cofre_fail(err, COFRE_FAILED, "CPUID table: out of memory");
    memcpy(*out, host, size);
    return machine_cpuid_topology(*out, index, cpus, err);
}

int machine_cpuid_topology(struct kvm_cpuid2 *table, unsigned index, unsigned cpus, struct cofre_err *err)
{
    struct topology t = {.index = index, .cpus = cpus, .bits = id_bits(cpus)};
    for (uint32_t i = 0; i < table->nent; i++)
        for (size_t f = 0; f < sizeof fixes / sizeof fixes[0]; f++)
            if (table->entries[i].function == fixes[f].function)
                fixes[f].fix(&table->entries[i], &t);
    struct kvm_cpuid_entry2 *address_sizes = find(table, 0x80000008);
    if (address_sizes && find(table, 0x8000001e)) /* elsewhere the leaf's ECX is reserved */
        leaf_80000008(address_sizes, &t);
    drop(table, 0xb);
    drop(table, 0x1f); /* where it is there, it is asked before 0xb */
    struct kvm_cpuid_entry2 *first = find(table, 0);
    return first && first->eax >= 0xb ? add_leaf_b(table, &t, err) : 0;
}
