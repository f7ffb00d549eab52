#include "sev/cpuid_page.h"

#include <stdio.h>
#include <string.h>

#define XSAVE_LEAF      0xd
#define XSAVE_BASE_SIZE 0x240 /* x87 and SSE area with its header: what XCR0 = 1 needs */
#define XCR0_AT_LAUNCH  1

/* Linux computes the size of its own XCR0 from the sub-leaves, so sub-leaves 0 and 1 are given for the state at
 * launch: the firmware compares EBX against the XCR0 and XSS that stand beside it. */
static void set_xsave_base(struct snp_cpuid_function *fn)
{
    fn->ebx = XSAVE_BASE_SIZE;
    fn->xcr0_in = XCR0_AT_LAUNCH;
}

static int is_set(const struct kvm_cpuid_entry2 *e)
{
    return e->eax || e->ebx || e->ecx || e->edx;
}

int snp_cpuid_page_fill(struct snp_cpuid_page *out, const struct kvm_cpuid2 *table, struct cofre_err *err)
{
    memset(out, 0, sizeof *out);
    for (uint32_t i = 0; i < table->nent; i++) {
        const struct kvm_cpuid_entry2 *e = &table->entries[i];
        if (!is_set(e)) /* a function that is not listed reads as zero */
            continue;
        if (out->count == SNP_CPUID_COUNT_MAX)
            return cofre_fail(
                err, COFRE_FAILED,
                "CPUID page: the guest's table needs more than %d functions, the firmware's limit",
                SNP_CPUID_COUNT_MAX);
        struct snp_cpuid_function *fn = &out->fn[out->count++];
        fn->eax_in = e->function;
        fn->ecx_in = e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX ? e->index : 0;
        fn->eax = e->eax;
        fn->ebx = e->ebx;
        fn->ecx = e->ecx;
        fn->edx = e->edx;
        if (e->function == XSAVE_LEAF && fn->ecx_in <= 1)
            set_xsave_base(fn);
    }
    return 0;
}

int snp_cpuid_page_difference(const struct snp_cpuid_page *given, const struct snp_cpuid_page *corrected,
                              char *text, size_t size)
{
    if (given->count != corrected->count)
        return snprintf(text, size, "%u functions given, %u allowed", given->count, corrected->count);
    for (uint32_t i = 0; i < given->count && i < SNP_CPUID_COUNT_MAX; i++) {
        const struct snp_cpuid_function *a = &given->fn[i], *b = &corrected->fn[i];
        const struct {
            const char *name;
            uint32_t given, allowed;
        } registers[] = {{"EAX", a->eax, b->eax},
                         {"EBX", a->ebx, b->ebx},
                         {"ECX", a->ecx, b->ecx},
                         {"EDX", a->edx, b->edx}};
        for (size_t r = 0; r < 4; r++)
            if (registers[r].given != registers[r].allowed)
                return snprintf(text, size, "leaf 0x%x.%u %s: given 0x%08x, allowed 0x%08x", a->eax_in,
                                a->ecx_in, registers[r].name, registers[r].given, registers[r].allowed);
    }
    return memcmp(given, corrected, sizeof *given) == 0 ? 0 : snprintf(text, size, "the page differs");
}
