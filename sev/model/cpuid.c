/*
 * The CPUID policy that the firmware enforces, by the rules of AMD's Processor Programming Reference for family 19h
 * model 11h (publication 55901), section "CPUID Policy Enforcement": each register of each listed leaf has a rule,
 * every other leaf of the standard and extended ranges must read as zero, other ranges (hypervisors') are not looked at.
 */
#include <string.h>

#include "sev/model/guest.h"

enum { EAX, EBX, ECX, EDX, REGS };

enum rule {
    FREE,   /* not looked at */
    MASK,   /* no bit that the platform lacks */
    EXACT,  /* the platform's value */
    LESS,   /* at most the platform's value */
    BYTES,  /* each byte at most the platform's */
    FMS,    /* family, model, stepping at most the platform's */
    XCR0,   /* as MASK, and x87 and SSE are there */
    XSAVE,  /* size of the XSAVE area for XCR0_IN, standard format */
    XSAVES, /* likewise for XCR0_IN and XSS_IN, compacted format */
};

struct leaf {
    uint32_t eax_in, ecx_in;
    uint8_t rule[REGS];
    uint32_t free[REGS];  /* bits that are not looked at whatever the rule */
    uint32_t never[REGS]; /* bits that no such processor has, though KVM may emulate them */
};

static const struct leaf leaves[] = {
    {0x0, 0, {LESS, FREE, FREE, FREE}, {0}, {0}},
    {0x1,
     0,
     {FMS, EXACT, MASK, MASK},
     {0, 0xffff00ff, 1u << 27 | 1u << 31, 0},
     {0, 0xff, 0x0105cdf4, 0xe8740400}},
    {0x2, 0, {FREE, FREE, FREE, FREE}, {0}, {0}},
    {0x4, 0, {FREE, FREE, FREE, FREE}, {0}, {0}},
    {0x5, 0, {FREE, FREE, FREE, FREE}, {0}, {0}},
    {0x6, 0, {MASK, EXACT, MASK, EXACT}, {0}, {0xfffffffb, 0xffffffff, 0xfffffffe, 0xffffffff}},
    {0x7, 0, {LESS, MASK, MASK, MASK}, {0, 0, 1u << 4, 0}, {0, 0x0e006846, 0xffbea021, 0xefffffef}},
    {0x7, 1, {MASK, EXACT, EXACT, EXACT}, {0}, {0}},
    {0xb, 0, {FREE, FREE, FREE, FREE}, {0}, {0}},
    {0xb, 1, {FREE, FREE, FREE, FREE}, {0}, {0}},
    {0xb, 2, {FREE, FREE, FREE, FREE}, {0}, {0}},
    {0xd, 0, {XCR0, XSAVE, FREE, EXACT}, {0}, {0}},
    {0xd, 1, {MASK, XSAVES, MASK, MASK}, {0}, {0xfffffff0, 0, 0, 0}},
    {0xd, 2, {EXACT, EXACT, EXACT, EXACT}, {0}, {0}},
    {0xd, 5, {EXACT, EXACT, MASK, EXACT}, {0}, {0}},
    {0xd, 6, {EXACT, EXACT, MASK, EXACT}, {0}, {0}},
    {0xd, 7, {EXACT, EXACT, MASK, EXACT}, {0}, {0}},
    {0xd, 9, {EXACT, EXACT, EXACT, EXACT}, {0}, {0}},
    {0xd, 11, {EXACT, EXACT, EXACT, EXACT}, {0}, {0}},
    {0xd, 12, {EXACT, EXACT, EXACT, EXACT}, {0}, {0}},
    {0xf, 0, {EXACT, FREE, EXACT, FREE}, {0}, {0}},
    {0xf, 1, {FREE, FREE, FREE, FREE}, {0}, {0}},
    {0x10, 0, {EXACT, FREE, EXACT, EXACT}, {0}, {0}},
    {0x10, 1, {FREE, FREE, FREE, FREE}, {0}, {0}},
    {0x80000000, 0, {LESS, FREE, FREE, FREE}, {0}, {0}},
    {0x80000001, 0, {FMS, FREE, MASK, MASK}, {0}, {0, 0x0fffffff, 0x803c4000, 0x102c0400}},
    {0x80000002, 0, {FREE, FREE, FREE, FREE}, {0}, {0}},
    {0x80000003, 0, {FREE, FREE, FREE, FREE}, {0}, {0}},
    {0x80000004, 0, {FREE, FREE, FREE, FREE}, {0}, {0}},
    {0x80000005, 0, {FREE, FREE, FREE, FREE}, {0}, {0}},
    {0x80000006, 0, {FREE, FREE, FREE, FREE}, {0}, {0}},
    {0x80000007, 0, {EXACT, MASK, FREE, MASK}, {0}, {0xffffffff, 0xffffffc0, 0, 0xffff8026}},
    {0x80000008, 0, {BYTES, MASK, FREE, BYTES}, {0}, {0xff000000, 0x060008a0, 0xfffc0f00, 0xff000000}},
    {0x8000000a, 0, {FREE, FREE, EXACT, MASK}, {0}, {0xffffff00, 0, 0xffffffff, 0xe0404300}},
    {0x80000019, 0, {FREE, FREE, EXACT, EXACT}, {0}, {0}},
    {0x8000001a, 0, {FREE, EXACT, EXACT, EXACT}, {0}, {0xfffffff8, 0, 0, 0}},
    {0x8000001b, 0, {MASK, EXACT, EXACT, EXACT}, {0}, {0xfffff000, 0, 0, 0}},
    {0x8000001d, 0, {FREE, FREE, FREE, FREE}, {0}, {0}},
    {0x8000001d, 1, {FREE, FREE, FREE, FREE}, {0}, {0}},
    {0x8000001d, 2, {FREE, FREE, FREE, FREE}, {0}, {0}},
    {0x8000001d, 3, {FREE, FREE, FREE, FREE}, {0}, {0}},
    {0x8000001d, 4, {FREE, EXACT, FREE, EXACT}, {0}, {0}},
    {0x8000001e, 0, {FREE, FREE, FREE, FREE}, {0}, {0}},
    {0x8000001f, 0, {MASK, EXACT, FREE, FREE}, {0, 0xffc0, 0, 0}, {0xfcf00000, 0xffff0000, 0, 0}},
    {0x80000020, 0, {EXACT, FREE, EXACT, EXACT}, {0}, {0}},
    {0x80000020, 1, {FREE, EXACT, EXACT, FREE}, {0}, {0}},
    {0x80000020, 2, {FREE, EXACT, EXACT, FREE}, {0}, {0}},
    {0x80000020, 3, {EXACT, FREE, MASK, EXACT}, {0}, {0}},
    {0x80000021, 0, {MASK, FREE, EXACT, EXACT}, {0}, {0, 0xfffff000, 0, 0}},
    {0x80000022, 0, {MASK, LESS, FREE, EXACT}, {0, 0xfffffff0, 0, 0}, {0xfffffff8, 0, 0, 0}},
    {0x80000023, 0, {MASK, FREE, EXACT, EXACT}, {0}, {0xfffffffe, 0, 0, 0}},
    {0x80000024, 0, {LESS, MASK, MASK, EXACT}, {0}, {0}},
    {0x80000024, 1, {MASK, EXACT, EXACT, EXACT}, {0}, {0}},
    {0x80000026, 0, {FREE, FREE, FREE, FREE}, {0}, {0}},
    {0x80000026, 1, {FREE, FREE, FREE, FREE}, {0}, {0}},
    {0x80000026, 2, {FREE, FREE, FREE, FREE}, {0}, {0}},
    {0x80000026, 3, {FREE, FREE, FREE, FREE}, {0}, {0}},
};

static const struct leaf *leaf_of(uint32_t eax_in, uint32_t ecx_in)
{
    for (size_t i = 0; i < sizeof leaves / sizeof *leaves; i++)
        if (leaves[i].eax_in == eax_in && leaves[i].ecx_in == ecx_in)
            return &leaves[i];
    return NULL;
}

static const struct snp_cpuid_function *platform_of(const struct snp_cpuid_function *fn,
                                                    const struct snp_cpuid_function *platform, size_t count)
{
    static const struct snp_cpuid_function none;
    for (size_t i = 0; i < count; i++)
        if (platform[i].eax_in == fn->eax_in && platform[i].ecx_in == fn->ecx_in)
            return &platform[i];
    return &none;
}

/* One number that orders family, then model, then stepping. */
static uint32_t fms_order(uint32_t eax)
{
    uint32_t family = (eax >> 8 & 0xf) + (eax >> 20 & 0xff), model = (eax >> 12 & 0xf0) | (eax >> 4 & 0xf);
    return family << 16 | model << 8 | (eax & 0xf);
}

static uint32_t each_byte_at_most(uint32_t value, uint32_t limit)
{
    uint32_t result = 0;
    for (uint32_t byte = 0xff; byte; byte <<= 8)
        result |= (value & byte) > (limit & byte) ? limit & byte : value & byte;
    return result;
}

/* Sizes and places of the parts of the XSAVE area on these processors (APM volume 2, 11.5). */
static const struct {
    uint8_t bit;
    bool supervisor; /* selected by XSS */
    uint16_t offset, size;
} xsave_parts[] = {{2, false, 0x240, 0x100}, {5, false, 0x340, 0x40}, {6, false, 0x380, 0x200},
                   {7, false, 0x580, 0x400}, {9, false, 0x980, 0x8},  {11, true, 0, 0x10},
                   {12, true, 0, 0x18}};
#define XSAVE_BASE 0x240u

static uint32_t xsave_size(const struct snp_cpuid_function *fn, bool compacted)
{
    uint32_t size = XSAVE_BASE;
    for (size_t i = 0; i < sizeof xsave_parts / sizeof *xsave_parts; i++) {
        if (!((xsave_parts[i].supervisor ? fn->xss_in : fn->xcr0_in) >> xsave_parts[i].bit & 1))
            continue;
        if (compacted)
            size += xsave_parts[i].size;
        else if (!xsave_parts[i].supervisor)
            size = xsave_parts[i].offset + xsave_parts[i].size;
    }
    return size;
}

static uint32_t allowed_value(enum rule rule, uint32_t value, uint32_t limit,
                              const struct snp_cpuid_function *fn)
{
    switch (rule) {
    case FREE:
        return value;
    case MASK:
        return value & limit;
    case EXACT:
        return limit;
    case LESS:
        return value > limit ? limit : value;
    case BYTES:
        return each_byte_at_most(value, limit);
    case FMS:
        return fms_order(value) > fms_order(limit) ? limit : value;
    case XCR0:
        return (value & limit) | 3;
    case XSAVE:
        return xsave_size(fn, false);
    case XSAVES:
        return xsave_size(fn, true);
    }
    return 0;
}

/* Corrects one function; false where there was something to correct. */
static bool check_function(struct snp_cpuid_function *fn, const struct snp_cpuid_function *platform)
{
    static const char names[REGS][4] = {"EAX", "EBX", "ECX", "EDX"};
    const struct leaf *leaf = leaf_of(fn->eax_in, fn->ecx_in);
    uint32_t given[REGS] = {fn->eax, fn->ebx, fn->ecx, fn->edx}, allowed[REGS] = {0};
    const uint32_t limit[REGS] = {platform->eax, platform->ebx, platform->ecx, platform->edx};
    bool ok = true;
    for (int r = 0; r < REGS; r++) {
        if (leaf) {
            uint32_t ruled = ~leaf->free[r];
            allowed[r] = allowed_value(leaf->rule[r], given[r] & ruled, limit[r] & ruled, fn);
            allowed[r] = (allowed[r] | (given[r] & ~ruled)) & ~leaf->never[r];
        }
        if (allowed[r] != given[r])
            log_info("CPUID 0x%x.%u %s: 0x%08x given, 0x%08x allowed", fn->eax_in, fn->ecx_in, names[r],
                     given[r], allowed[r]);
        ok = ok && allowed[r] == given[r];
    }
    fn->eax = allowed[EAX];
    fn->ebx = allowed[EBX];
    fn->ecx = allowed[ECX];
    fn->edx = allowed[EDX];
    return ok;
}

static bool is_architectural(uint32_t eax_in)
{
    return eax_in <= 0xffff || (eax_in >= 0x80000000 && eax_in <= 0x8000ffff);
}

enum psp_status psp_cpuid_check(struct snp_cpuid_function *functions, size_t count,
                                const struct snp_cpuid_function *platform, size_t platform_count,
                                size_t *checked)
{
    bool ok = true;
    *checked = 0;
    for (size_t i = 0; i < count; i++) {
        struct snp_cpuid_function *fn = &functions[i];
        if (!is_architectural(fn->eax_in))
            continue;
        ok = fn->reserved == 0 && ok;
        ok = check_function(fn, platform_of(fn, platform, platform_count)) && ok;
        ++*checked;
    }
    return ok ? PSP_SUCCESS
              : psp_refuse(PSP_INVALID_PARAM,
                           "CPUID: a function has values that this platform does not have");
}
