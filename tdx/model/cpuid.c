#include "tdx/model/cpuid.h"

#include <stdbool.h>

#include "tdx/abi.h"
#include "tdx/model/td.h"

enum { EAX, EBX, ECX, EDX, REGS };
#define ALL  0xffffffffu
#define NONE TDX_CPUID_NO_SUBLEAF

/* Who decides a leaf as a whole. */
enum condition { ALWAYS, IF_XFAM, IF_PERFMON, IF_MONITOR, NEVER };

/* What becomes of the processor's own value: fixed0 cleared, fixed1 set, config replaced by the VMM's, allow cleared
 * unless the VMM sets it. Rows with ALL cleared are there because the leaf exists. */
static const struct row {
    uint32_t leaf, subleaf;
    enum condition condition;
    uint64_t xfam; /* of IF_XFAM: all of these */
    uint32_t fixed1[REGS], fixed0[REGS], config[REGS], allow[REGS];
} rows[] = {
    {0x0, NONE, ALWAYS, 0, {0x23}, {0xffffffdc}, {0}, {0}},
    {0x1,
     NONE,
     ALWAYS,
     0,
     {0, 0, 0x80000000, 0x200},
     {0xf000c000, 0xff0000ff, 0x08010060, 0x40120400},
     {0x0fff3fff, 0x00ff0000},
     {0, 0, 0x31044d88, 0xb8440000}},
    {0x3, NONE, ALWAYS, 0, {0}, {ALL, ALL, ALL, ALL}, {0}, {0}},
    {0x4, 0, ALWAYS, 0, {0}, {0x3c00, 0, 0, 4}, {0xffffc3ff, 0xfffff000, ALL, 0xfffffffb}, {0}},
    {0x4, 1, ALWAYS, 0, {0}, {0x3c00, 0, 0, 4}, {0xffffc3ff, 0xfffff000, ALL, 0xfffffffb}, {0}},
    {0x4, 2, ALWAYS, 0, {0}, {0x3c00, 0, 0, 4}, {0xffffc3ff, 0xfffff000, ALL, 0xfffffffb}, {0}},
    {0x4, 3, ALWAYS, 0, {0}, {0x3c00, 0, 0, 0xfffffff8}, {0xffffc3ff, 0xfffff000, ALL, 7}, {0}},
    {0x4, 4, ALWAYS, 0, {0}, {ALL, ALL, ALL, ALL}, {0}, {0}},
    {0x5, NONE, IF_MONITOR, 0, {0}, {0xffff0000, 0xffff0000, 0xfffffffc}, {0}, {0}},
    {0x7,
     0,
     ALWAYS,
     0,
     {0},
     {0, 0x00404006, 0x643e8010, 0x002298c3},
     {0},
     {0, 0xdc2b9b18, 0x02417f65, 0x0005411c}},
    {0x7, 1, ALWAYS, 0, {0}, {0xffffe2cf, ALL, ALL, ALL}, {0}, {0x1d30}},
    {0x7, 2, ALWAYS, 0, {0}, {ALL, ALL, ALL, 0xffffffc0}, {0}, {0, 0, 0, 0x28}},
    {0x8, NONE, ALWAYS, 0, {0}, {ALL, ALL, ALL, ALL}, {0}, {0}},
    {0xa, NONE, IF_PERFMON, 0, {0}, {0, 0, 0, 0xffff6000}, {0}, {0}},
    {0xd, 0, ALWAYS, 0, {0}, {0xfff9fd18, 0, 0, ALL}, {0}, {0}},
    {0xd, 1, ALWAYS, 0, {0}, {0xffffffe0, 0, 0xffff26ff, ALL}, {0}, {0}},
    {0xd, 2, IF_XFAM, 1ull << 2, {0}, {0, 0, 0, ALL}, {0}, {0}},
    {0xd, 3, IF_XFAM, 1ull << 3, {0}, {0, 0, 0, ALL}, {0}, {0}},
    {0xd, 4, IF_XFAM, 1ull << 4, {0}, {0, 0, 0, ALL}, {0}, {0}},
    {0xd, 5, IF_XFAM, 1ull << 5, {0}, {0, 0, 0, ALL}, {0}, {0}},
    {0xd, 6, IF_XFAM, 1ull << 6, {0}, {0, 0, 0, ALL}, {0}, {0}},
    {0xd, 7, IF_XFAM, 1ull << 7, {0}, {0, 0, 0, ALL}, {0}, {0}},
    {0xd, 8, IF_XFAM, 1ull << 8, {0}, {0, 0, 0, ALL}, {0}, {0}},
    {0xd, 9, IF_XFAM, 1ull << 9, {0}, {0, 0, 0, ALL}, {0}, {0}},
    {0xd, 10, IF_XFAM, 1ull << 10, {0}, {0, 0, 0, ALL}, {0}, {0}},
    {0xd, 11, IF_XFAM, 1ull << 11, {0}, {0, 0, 0, ALL}, {0}, {0}},
    {0xd, 12, IF_XFAM, 1ull << 12, {0}, {0, 0, 0, ALL}, {0}, {0}},
    {0xd, 13, IF_XFAM, 1ull << 13, {0}, {0, 0, 0, ALL}, {0}, {0}},
    {0xd, 14, IF_XFAM, 1ull << 14, {0}, {0, 0, 0, ALL}, {0}, {0}},
    {0xd, 15, IF_XFAM, 1ull << 15, {0}, {0, 0, 0, ALL}, {0}, {0}},
    {0xd, 16, IF_XFAM, 1ull << 16, {0}, {0, 0, 0, ALL}, {0}, {0}},
    {0xd, 17, IF_XFAM, 1ull << 17, {0}, {0, 0, 0, ALL}, {0}, {0}},
    {0xd, 18, IF_XFAM, 1ull << 18, {0}, {0, 0, 0, ALL}, {0}, {0}},
    {0xe, NONE, ALWAYS, 0, {0}, {ALL, ALL, ALL, ALL}, {0}, {0}},
    {0x11, NONE, ALWAYS, 0, {0}, {ALL, ALL, ALL, ALL}, {0}, {0}},
    {0x12, NONE, ALWAYS, 0, {0}, {ALL, ALL, ALL, ALL}, {0}, {0}},
    {0x13, NONE, ALWAYS, 0, {0}, {ALL, ALL, ALL, ALL}, {0}, {0}},
    {0x14, 0, IF_XFAM, 1ull << 8, {0}, {0, 0xfffffe00, 0x7ffffff0, ALL}, {0}, {0}},
    {0x14, 1, IF_XFAM, 1ull << 8, {0}, {0xfff8, 0, ALL, ALL}, {0}, {0}},
    {0x15, NONE, ALWAYS, 0, {1, 0, 25000000}, {ALL, ALL, ALL, ALL}, {0}, {0}},
    {0x19, NONE, NEVER, 0, {0}, {0}, {0}, {0}},
    {0x1c, NONE, IF_XFAM, 1ull << 15, {0}, {0}, {0}, {0xff}},
    {0x1d, 0, IF_XFAM, 3ull << 17, {0}, {0}, {0}, {0}},
    {0x1d, 1, IF_XFAM, 3ull << 17, {0}, {0}, {0}, {0}},
    {0x1e, NONE, ALWAYS, 0, {0}, {0}, {0}, {0}},
    {0x20, NONE, ALWAYS, 0, {0}, {ALL, ALL, ALL, ALL}, {0}, {0}},
    {0x21, 0, ALWAYS, 0, {0, 0x65746e49, 0x20202020, 0x5844546c}, {ALL, ALL, ALL, ALL}, {0}, {0}},
    {0x22, NONE, ALWAYS, 0, {0}, {ALL, ALL, ALL, ALL}, {0}, {0}},
    {0x23, 0, ALWAYS, 0, {0}, {0xfffffff0, 0, ALL, ALL}, {0}, {0xf}},
    {0x23, 1, ALWAYS, 0, {0}, {0, 0, ALL, ALL}, {0}, {0}},
    {0x23, 2, ALWAYS, 0, {0}, {ALL, ALL, ALL, ALL}, {0}, {0}},
    {0x23, 3, ALWAYS, 0, {0}, {0, ALL, ALL, ALL}, {0}, {0}},
    {0x80000000, NONE, ALWAYS, 0, {0x80000008}, {0x7ffffff7, ALL, ALL, ALL}, {0}, {0}},
    {0x80000001, NONE, ALWAYS, 0, {0}, {ALL, ALL, 0xfffffede, 0xd3efffff}, {0}, {0}},
    {0x80000007, NONE, ALWAYS, 0, {0}, {ALL, ALL, ALL, 0xfffffeff}, {0}, {0}},
    {0x80000008, NONE, ALWAYS, 0, {0}, {0xffff0000, 0xfffffdff, ALL, ALL}, {0}, {0, 0x200}},
};
#define ROWS (sizeof rows / sizeof *rows)
_Static_assert(ROWS <= TDX_CPUID_MAX, "the tables fit");

/* Where the emulated processor differs from the host below, which may be another vendor's: name, model, line size of the
 * caches, and what every TDX processor has (x2APIC, invariant TSC). */
static const struct {
    uint32_t leaf, subleaf;
    uint32_t mask[REGS], value[REGS];
} own[] = {
    {0x0, NONE, {0, ALL, ALL, ALL}, {0, 0x756e6547, 0x6c65746e, 0x49656e69}},
    {0x1, NONE, {ALL, 0xffff, 1u << 21}, {TDX_CPUID_FMS, 0x800, 1u << 21}},
    {0x4, 0, {ALL, ALL, ALL, ALL}, {0, 0x3f}},
    {0x4, 1, {ALL, ALL, ALL, ALL}, {0, 0x3f}},
    {0x4, 2, {ALL, ALL, ALL, ALL}, {0, 0x3f}},
    {0x4, 3, {ALL, ALL, ALL, ALL}, {0, 0x3f}},
    {0x7, 0, {ALL}, {2}},
    {0x80000007, NONE, {0, 0, 0, 0x100}, {0, 0, 0, 0x100}},
};

/* Bits of a leaf that go with features of XFAM. */
static const struct {
    uint32_t leaf, subleaf;
    uint64_t xfam;
    uint32_t bits[REGS];
} by_xfam[] = {
    {0x1, NONE, 1ull << 2, {0, 0, 0x30001000}},
    {0x7, 0, 1ull << 2, {0, 0x20, 0x600}},
    {0x7, 0, 7ull << 5, {0, 0xdc230000, 0x5842, 0x80010c}},
    {0x7, 0, 1ull << 8, {0, 0x02000000}},
    {0x7, 0, 1ull << 9, {0, 0, 8}},
    {0x7, 0, 3ull << 11, {0, 0, 0x80, 0x100000}},
    {0x7, 0, 1ull << 14, {0, 0, 0, 0x20}},
    {0x7, 0, 1ull << 15, {0, 0, 0, 0x80000}},
    {0x7, 0, 3ull << 17, {0, 0, 0, 0x03400000}},
    {0x7, 1, 7ull << 5, {0x30}},
    {0xd, 0, 1ull << 2, {0x4}},
    {0xd, 0, 7ull << 5, {0xe0}},
    {0xd, 0, 1ull << 9, {0x200}},
    {0xd, 0, 3ull << 17, {0x60000}},
    {0xd, 1, 1ull << 8, {0, 0, 0x100}},
    {0xd, 1, 3ull << 11, {0, 0, 0x1800}},
    {0xd, 1, 1ull << 14, {0, 0, 0x4000}},
    {0xd, 1, 1ull << 15, {0, 0, 0x8000}},
};

#define MONITOR (1u << 3)            /* leaf 1 ECX */
#define TSX     (1u << 4 | 1u << 11) /* leaf 7 EBX: HLE, RTM */
#define PKS     (1u << 31)           /* leaf 7 ECX */
#define KL      (1u << 23)           /* leaf 7 ECX */
#define LA57    (1u << 16)           /* leaf 7 ECX */
#define LA_BITS 0xff00u              /* leaf 80000008h EAX */

#define XSAVE_LEGACY 0x240u /* the area's first part: x87, SSE and the header */

/* XFAM's user states by their subleaf of 0xd (XSS has the others). */
#define XCR0_STATES 0x602e7ull

static bool same_leaf(uint32_t leaf, uint32_t subleaf, uint32_t other, uint32_t other_subleaf)
{
    bool no_subleaf = subleaf == NONE || other_subleaf == NONE;
    return leaf == other && (no_subleaf || subleaf == other_subleaf);
}

/* The row of a leaf in somebody's list, as registers; zeros where it is not there. */
static void find(uint32_t regs[REGS], const struct row *row, const struct tdx_cpuid *list, size_t count)
{
    regs[EAX] = regs[EBX] = regs[ECX] = regs[EDX] = 0;
    for (size_t i = 0; i < count; i++)
        if (same_leaf(row->leaf, row->subleaf, list[i].leaf, list[i].subleaf)) {
            regs[EAX] = list[i].eax;
            regs[EBX] = list[i].ebx;
            regs[ECX] = list[i].ecx;
            regs[EDX] = list[i].edx;
            return;
        }
}

static void find_native(uint32_t regs[REGS], const struct row *row, const struct tdx_cpuid_params *params)
{
    find(regs, row, params->native, params->native_count);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        for (int r = 0; r < REGS && same_leaf(row->leaf, row->subleaf, own[i].leaf, own[i].subleaf); r++)
            regs[r] = (regs[r] & ~own[i].mask[r]) | own[i].value[r];
}

static void apply_xfam(uint32_t regs[REGS], const struct row *row, uint64_t xfam)
{
    for (size_t i = 0; i < sizeof by_xfam / sizeof *by_xfam; i++)
        for (int r = 0; r < REGS && same_leaf(row->leaf, row->subleaf, by_xfam[i].leaf, by_xfam[i].subleaf);
             r++)
            if ((xfam & by_xfam[i].xfam) != by_xfam[i].xfam)
                regs[r] &= ~by_xfam[i].bits[r];
}

static bool is_there(const struct row *row, const struct tdx_cpuid_params *params, uint32_t leaf1_ecx)
{
    switch (row->condition) {
    case ALWAYS:
        return true;
    case IF_XFAM:
        return (params->xfam & row->xfam) == row->xfam;
    case IF_PERFMON:
        return params->attributes & TDX_ATTR_PERFMON;
    case IF_MONITOR:
        return leaf1_ecx & MONITOR;
    case NEVER:
        return false;
    }
    return false;
}

/* The area that XSAVE needs for all of XFAM's user states, in the standard format. */
static uint32_t xsave_max(const struct tdx_cpuid_params *params)
{
    uint32_t size = XSAVE_LEGACY, regs[REGS];
    for (uint32_t state = 2; state <= 18; state++) {
        const struct row part = {.leaf = 0xd, .subleaf = state};
        find(regs, &part, params->native, params->native_count);
        if (params->xfam & XCR0_STATES & 1ull << state && regs[EBX] + regs[EAX] > size)
            size = regs[EBX] + regs[EAX];
    }
    return size;
}

static tdx_status refuse(const struct row *row, const char *why)
{
    return tdx_refuse(TDX_OPERAND_INVALID | TDX_OPERAND_CPUID_CONFIG, "TDH.MNG.INIT: CPUID 0x%x: %s",
                      row->leaf, why);
}

static tdx_status check_config(const struct row *row, const uint32_t config[REGS])
{
    for (int r = 0; r < REGS; r++)
        if (config[r] & ~(row->config[r] | row->allow[r]))
            return refuse(row, "a bit is set that cannot be configured");
    if (row->leaf == 1 && config[EAX] && config[EAX] != TDX_CPUID_FMS)
        return refuse(row, "another family, model or stepping than the platform's");
    return TDX_SUCCESS;
}

/* What is more than masks. */
static tdx_status finish(uint32_t regs[REGS], const struct row *row, const struct tdx_cpuid_params *params,
                         bool *la57)
{
    if (row->leaf == 1)
        regs[EAX] = TDX_CPUID_FMS;
    if (row->leaf == 7 && row->subleaf == 0) {
        if (regs[EBX] & TSX && (regs[EBX] & TSX) != TSX)
            return refuse(row, "half of TSX");
        regs[ECX] &= ~(PKS | KL);
        regs[ECX] |= params->attributes & TDX_ATTR_PKS ? PKS : 0;
        *la57 = regs[ECX] & LA57;
    }
    if (row->leaf == 0xd && row->subleaf == 0)
        regs[ECX] = xsave_max(params);
    if (row->leaf == 0x15)
        regs[EBX] = params->tsc_frequency;
    if (row->leaf == 0x80000008)
        regs[EAX] = (regs[EAX] & ~LA_BITS) | (*la57 ? 57u : 48u) << 8;
    return TDX_SUCCESS;
}

size_t tdx_cpuid_configurable(struct tdx_cpuid out[TDX_CPUID_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < ROWS; i++) {
        uint32_t bits[REGS], any = 0;
        for (int r = 0; r < REGS; r++)
            any |= bits[r] = rows[i].config[r] | rows[i].allow[r];
        if (any)
            out[count++] =
                (struct tdx_cpuid){rows[i].leaf, rows[i].subleaf, bits[EAX], bits[EBX], bits[ECX], bits[EDX]};
    }
    return count;
}

tdx_status tdx_cpuid_virtualise(struct tdx_cpuid out[TDX_CPUID_MAX], size_t *out_count,
                                const struct tdx_cpuid_params *params)
{
    uint32_t leaf1_ecx = 0;
    bool la57 = false;
    *out_count = 0;
    for (size_t i = 0; i < ROWS; i++) {
        const struct row *row = &rows[i];
        uint32_t regs[REGS], config[REGS];
        find_native(regs, row, params);
        find(config, row, params->config, params->config_count);
        tdx_status status = check_config(row, config);
        for (int r = 0; r < REGS; r++) {
            regs[r] = (regs[r] & ~row->fixed0[r]) | row->fixed1[r];
            regs[r] = (regs[r] & ~row->config[r]) | (config[r] & row->config[r]);
            regs[r] &= config[r] | ~row->allow[r];
        }
        apply_xfam(regs, row, params->xfam);
        if (status == TDX_SUCCESS)
            status = finish(regs, row, params, &la57);
        if (status != TDX_SUCCESS)
            return status;
        if (row->leaf == 1)
            leaf1_ecx = regs[ECX];
        bool there = is_there(row, params, leaf1_ecx);
        out[(*out_count)++] = (struct tdx_cpuid){row->leaf,
                                                 row->subleaf,
                                                 there ? regs[EAX] : 0,
                                                 there ? regs[EBX] : 0,
                                                 there ? regs[ECX] : 0,
                                                 there ? regs[EDX] : 0};
    }
    return TDX_SUCCESS;
}
