#include "sev/launch/cpuid.h"

#include <stddef.h>
#include <stdint.h>

#define LEAF_SEV 0x8000001fu
#define SEV_EAX  (1u << 1 | 1u << 3 | 1u << 4) /* SEV, SEV-ES, SEV-SNP: APM volume 3, appendix E.4.17 */
#define SEV_EBX  0xfffu /* C-bit position 5:0, reduction of physical address bits 11:6 */

enum { EAX, EBX, ECX, EDX };

/* KVM emulates or virtualises these for any guest; the firmware does not let an SNP guest rely on them. */
static const struct {
    uint32_t function, index;
    int reg;
    uint32_t bits;
} refused[] = {
    {0x1, 0, ECX, 1u << 24 | 1u << 3}, /* TSC_DEADLINE, MONITOR */
    {0x7, 0, EBX, 1u << 1},            /* TSC_ADJUST */
    {0x7, 0, EDX,
     1u << 26 | 1u << 27 | 1u << 28 | 1u << 29 | 1u << 30 | 1u << 31}, /* speculation control, Intel's form */
    {0x80000008, 0, EBX, 1u << 25},                                    /* VIRT_SSBD */
    {0x80000001, 0, ECX, 1u << 2},                                     /* SVM */
};

static uint32_t *reg_of(struct kvm_cpuid_entry2 *e, int reg)
{
    uint32_t *const regs[] = {&e->eax, &e->ebx, &e->ecx, &e->edx};
    return regs[reg];
}

static void remove_refused(struct kvm_cpuid_entry2 *e)
{
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (e->function == refused[i].function && e->index == refused[i].index)
            *reg_of(e, refused[i].reg) &= ~refused[i].bits;
}

int snp_cpuid_correct(struct kvm_cpuid2 *cpuid, struct cofre_err *err)
{
    struct kvm_cpuid_entry2 *sev = NULL;
    for (uint32_t i = 0; i < cpuid->nent; i++) {
        remove_refused(&cpuid->entries[i]);
        if (cpuid->entries[i].function == LEAF_SEV)
            sev = &cpuid->entries[i];
    }
    if (!sev || (sev->ebx & 0x3f) < 32)
        return cofre_fail(
            err, COFRE_LACKING,
            "KVM's CPUID table does not describe memory encryption (leaf 0x8000001f); see \"cofre doctor\"");
    sev->eax = SEV_EAX;
    sev->ebx &= SEV_EBX;
    sev->ecx = sev->edx = 0;
    return 0;
}
