/*
 * A payload without an operating system that uses everything the SNP interface has. Each check writes one line to the
 * log port; the program outside counts them. It runs on hardware as well, except for the #VC of instructions that it
 * executes directly (port output for its log).
 */
#include "tests/lab/emu/guest.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sev/abi.h"
#include "vmm/emu/snp/ghcb.h"

#define MSR_GHCB       0xc0010130u
#define MSR_SEV_STATUS 0xc0010131u
#define SHARED(gpa)    ((void *)(uintptr_t)((gpa) + 0x40000000u))

struct gate {
    uint16_t offset_low, selector;
    uint8_t ist, type;
    uint16_t offset_middle;
    uint32_t offset_high, reserved;
};
struct gate idt[32];
volatile uint64_t resume_at, last_error;
volatile uint32_t last_vector;
extern char on_ud[], on_vc[], ap_start[];
extern uint64_t pml4[];
void try_ud(void);
void try_touch(uint64_t address);
void guest_main(void);
void ap_main(void);

static volatile uint32_t ap_started;

static void out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port));
}

static void print(const char *text)
{
    for (; *text; text++)
        out8(GUEST_LOG_PORT, (uint8_t)*text);
}

static void check(bool right, const char *what)
{
    print(right ? "ok " : "not ok ");
    print(what);
    print("\n");
}

static uint64_t rdmsr(uint32_t index)
{
    uint32_t low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index));
    return (uint64_t)high << 32 | low;
}

static void wrmsr(uint32_t index, uint64_t value)
{
    __asm__ volatile("wrmsr" ::"c"(index), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

static void vmgexit(void)
{
    __asm__ volatile("rep; vmmcall" ::: "memory");
}

static uint64_t msr_protocol(uint64_t request)
{
    wrmsr(MSR_GHCB, request);
    vmgexit();
    return rdmsr(MSR_GHCB);
}

static int pvalidate(uint64_t address, bool large, bool validate, bool *unchanged)
{
    int rc;
    __asm__ volatile(".byte 0xf2, 0x0f, 0x01, 0xff"
                     : "=a"(rc), "=@ccc"(*unchanged)
                     : "a"(address), "c"((uint64_t)large), "d"((uint64_t)validate)
                     : "memory");
    return rc;
}

static int rmpadjust(uint64_t address, uint64_t attributes)
{
    int rc;
    __asm__ volatile(".byte 0xf3, 0x0f, 0x01, 0xfe"
                     : "=a"(rc)
                     : "a"(address), "c"(0ull), "d"(attributes)
                     : "memory", "cc");
    return rc;
}

static void set_gate(unsigned vector, const char *handler)
{
    uintptr_t at = (uintptr_t)handler;
    idt[vector] =
        (struct gate){(uint16_t)at, 8, 0, 0x8e, (uint16_t)(at >> 16), (uint32_t)((uint64_t)at >> 32), 0};
}

static struct ghcb *ghcb(void)
{
    return SHARED(GUEST_GHCB);
}

static void set_valid(size_t offset)
{
    ghcb()->valid[offset / 64] |= (uint8_t)(1u << (offset / 8 % 8));
}

#define PUT(field, v) (ghcb()->field = (v), set_valid(offsetof(struct ghcb, field)))

static void ghcb_call(uint64_t code, uint64_t info_1, uint64_t info_2)
{
    PUT(exit_code, code);
    PUT(exit_info_1, info_1);
    PUT(exit_info_2, info_2);
    wrmsr(MSR_GHCB, GUEST_GHCB);
    vmgexit();
}

static void ghcb_clear(void)
{
    uint64_t *p = SHARED(GUEST_GHCB);
    for (size_t i = 0; i < 512; i++)
        p[i] = 0;
}

static bool make_shared(uint64_t gpa)
{
    return msr_protocol(2ull << 52 | gpa | 0x14) == 0x15;
}

static void msr_tests(void)
{
    check(rdmsr(MSR_SEV_STATUS) == 7, "SEV_STATUS says SEV, SEV-ES, SEV-SNP");
    uint64_t info = msr_protocol(2);
    check((info & 0xfff) == 1 && info >> 48 == 2 && (info >> 24 & 0xff) == 47, "SEV information");
    check(msr_protocol(0x80) == (3ull << 12 | 0x81), "hypervisor features: SNP and AP creation");
    uint64_t cpuid = msr_protocol(0x8000001full << 32 | 1ull << 30 | 4);
    check((cpuid & 0xfff) == 5 && (cpuid >> 32 & 0x3f) == 47, "CPUID by MSR protocol");
    check(msr_protocol(0x10) >> 12 == 0xfffffffffffffull, "no preferred GHCB");
    check(msr_protocol(0x999) == 0x999, "an unknown request is left as it is");
}

static void page_tests(void)
{
    bool unchanged;
    volatile uint32_t *page = (void *)0x800000ull;
    last_vector = 0;
    try_touch(0x800000);
    check(last_vector == 29 && last_error == 0x404, "a page that is not validated gives #VC 0x404");
    check(pvalidate(0x800000, false, true, &unchanged) == 0 && !unchanged, "PVALIDATE of one page");
    page[5] = 0x12345678;
    check(page[5] == 0x12345678, "a validated page holds data");
    check(pvalidate(0x800000, false, true, &unchanged) == 0 && unchanged, "PVALIDATE again changes nothing");
    check(pvalidate(0x800000, true, true, &unchanged) == 6, "a large page of mixed state: size mismatch");
    check(pvalidate(0x801000, true, true, &unchanged) == 1, "a large page at a wrong address: bad input");
    check(pvalidate(0xa00000, true, true, &unchanged) == 0 && !unchanged, "PVALIDATE of 2 MiB");
    ((volatile uint8_t *)0xbff000ull)[1] = 1;
    check(pvalidate(0x800000, false, false, &unchanged) == 0 && !unchanged,
          "a page's validation is taken back");
    last_vector = 0;
    try_touch(0x800000);
    check(last_vector == 29, "then it cannot be touched");
    check(rmpadjust(0xa00000, 1) == 0, "RMPADJUST for VMPL1");
    check(rmpadjust(0xa00000, 0) == 2, "RMPADJUST for VMPL0 is not permitted");
    last_vector = 0;
    try_ud();
    check(last_vector == 6, "another undefined opcode stays the guest's");
}

/* The host is not asked: a page becomes what the guest touches it as, and has to be validated anew. */
static void implicit_tests(void)
{
    volatile uint8_t *page = SHARED(GUEST_IMPLICIT);
    last_vector = 0;
    page[8] = GUEST_ECHO;
    check(last_vector == 0 && page[8] == GUEST_ECHO, "a page that is touched as shared becomes that");
    page[9] = GUEST_ECHO;
    try_touch(GUEST_IMPLICIT + 4096);
    check(last_vector == 29 && last_error == 0x404, "its neighbour, touched as private, stays private");
}

static void register_ghcb(void)
{
    check(make_shared(GUEST_GHCB), "page state change by MSR protocol: the GHCB");
    for (uint64_t page = 0; page < 4; page++)
        make_shared(GUEST_BUFFER + page * 4096);
    ghcb_clear();
    check(msr_protocol(GUEST_GHCB | 0x12) == (GUEST_GHCB | 0x13), "the GHCB is registered");
}

static void ghcb_tests(void)
{
    ghcb_clear();
    ghcb_call(GHCB_HV_FEATURES, 0, 0);
    check(ghcb()->exit_info_1 == 0 && ghcb()->exit_info_2 == 3, "hypervisor features by GHCB");
    ghcb_clear();
    PUT(rax, 0x8000001f);
    PUT(rcx, 0);
    ghcb_call(GHCB_CPUID, 0, 0);
    check((ghcb()->rbx & 0x3f) == 47, "CPUID by GHCB");
    ghcb_clear();
    PUT(rax, GUEST_ECHO);
    ghcb_call(GHCB_IOIO, (uint64_t)GUEST_PORT << 16 | 1u << 4, 0);
    ghcb_clear();
    ghcb_call(GHCB_IOIO, (uint64_t)GUEST_PORT << 16 | 1u << 4 | 1, 0);
    check(ghcb()->exit_info_1 == 0 && ghcb()->rax == GUEST_ECHO, "port input and output by GHCB");
    ghcb_clear();
    PUT(rcx, 0x277);
    ghcb_call(GHCB_MSR, 0, 0);
    check(ghcb()->exit_info_1 == 0 && ghcb()->rax == 0x00070406 && ghcb()->rdx == 0x00070406,
          "RDMSR by GHCB");
    ghcb_clear();
    PUT(rcx, 0x12345);
    ghcb_call(GHCB_MSR, 0, 0);
    check((uint32_t)ghcb()->exit_info_1 == 1 && (ghcb()->exit_info_2 & 0xff) == 13,
          "an unknown MSR gives #GP");
    ghcb_clear();
    PUT(scratch, GUEST_GHCB + 0x800);
    ghcb_call(GHCB_MMIO_READ, GUEST_MMIO, 4);
    check(ghcb()->exit_info_1 == 0 && ghcb()->shared_buffer[0] == GUEST_ECHO, "MMIO read by GHCB");
    ghcb_clear();
    PUT(scratch, GUEST_BUFFER);
    ghcb_call(GHCB_MMIO_READ, GUEST_MMIO, 4);
    check(ghcb()->exit_info_1 == 2 && ghcb()->exit_info_2 == 3, "a scratch area elsewhere is refused");
    ghcb_clear();
    ghcb_call(0x80000018, 0, 0);
    check(ghcb()->exit_info_1 == 2 && ghcb()->exit_info_2 == 6, "SNP RUN VMPL is refused");
    ghcb_clear();
    ghcb_call(GHCB_CPUID, 0, 0);
    check(ghcb()->exit_info_1 == 2 && ghcb()->exit_info_2 == 4, "missing input is refused");
}

static uint64_t psc_entry(uint64_t gpa, unsigned operation, bool large)
{
    return (gpa >> 12) << 12 | (uint64_t)operation << 52 | (uint64_t)large << 56;
}

static void psc_tests(void)
{
    struct {
        struct ghcb_psc_header header;
        uint64_t entry[8];
    } *list = (void *)ghcb()->shared_buffer;
    bool unchanged;
    ghcb_clear();
    list->entry[0] = psc_entry(0x1000000, 2, true);
    list->entry[1] = psc_entry(0x1200000, 2, true);
    list->entry[2] = psc_entry(0x1400000, 2, false);
    list->entry[3] = psc_entry(0x1401000, 2, false);
    list->header.end = 3;
    PUT(scratch, GUEST_GHCB + 0x800);
    ghcb_call(GHCB_PSC, 0, 0);
    check(ghcb()->exit_info_2 == 0 && list->header.current == 4, "a list of pages becomes shared");
    ((volatile uint8_t *)SHARED(0x13ff000))[7] = GUEST_ECHO;
    check(((volatile uint8_t *)SHARED(0x13ff000))[7] == GUEST_ECHO, "shared pages hold data");
    ghcb_clear();
    list->entry[0] = psc_entry(0x1000000, 1, true);
    PUT(scratch, GUEST_GHCB + 0x800);
    ghcb_call(GHCB_PSC, 0, 0);
    check(ghcb()->exit_info_2 == 0, "2 MiB become private again");
    check(pvalidate(0x1000000, true, true, &unchanged) == 0 && !unchanged, "and are validated at once");
    ghcb_clear();
    list->header.end = 300;
    PUT(scratch, GUEST_GHCB + 0x800);
    ghcb_call(GHCB_PSC, 0, 0);
    check(ghcb()->exit_info_2 == GHCB_PSC_ERROR_INVALID_HDR, "a list that is too long is refused");
    ghcb_clear();
    list->entry[0] = psc_entry(0x1001000, 1, true);
    PUT(scratch, GUEST_GHCB + 0x800);
    ghcb_call(GHCB_PSC, 0, 0);
    check(ghcb()->exit_info_2 == GHCB_PSC_ERROR_INVALID_ENTRY, "an entry that is not aligned is refused");
}

static void request_tests(void)
{
    uint64_t *request = SHARED(GUEST_BUFFER);
    for (size_t i = 0; i < 512; i++)
        request[i] = 0;
    ghcb_clear();
    ghcb_call(GHCB_GUEST_REQUEST, GUEST_BUFFER, GUEST_BUFFER + 4096);
    check(ghcb()->exit_info_2 != 0, "a guest request that is no message is refused by the firmware");
    ((struct snp_guest_msg_header *)request)->msg_type = SNP_MSG_REPORT_REQ;
    ghcb_clear();
    PUT(rax, GUEST_BUFFER + 8192);
    PUT(rbx, 1);
    ghcb_call(GHCB_EXT_GUEST_REQUEST, GUEST_BUFFER, GUEST_BUFFER + 4096);
    check(ghcb()->exit_info_2 >> 32 == 1 && ghcb()->rbx == 2, "certificates that need more pages say so");
    ghcb_clear();
    PUT(rax, GUEST_BUFFER + 8192);
    PUT(rbx, 2);
    ghcb_call(GHCB_EXT_GUEST_REQUEST, GUEST_BUFFER, GUEST_BUFFER + 4096);
    check(ghcb()->exit_info_2 >> 32 == 0 && *(uint8_t *)SHARED(GUEST_BUFFER + 8192) == GUEST_ECHO,
          "certificates come from the caller");
}

void ap_main(void)
{
    ap_started++;
}

static uint64_t read_cr(int number)
{
    uint64_t v;
    if (number == 0)
        __asm__ volatile("mov %%cr0, %0" : "=r"(v));
    else if (number == 3)
        __asm__ volatile("mov %%cr3, %0" : "=r"(v));
    else
        __asm__ volatile("mov %%cr4, %0" : "=r"(v));
    return v;
}

static void fill_vmsa(struct snp_vmsa *v)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) gdt;
    static uint8_t stack[4096] __attribute__((aligned(16)));
    __asm__ volatile("sgdt %0" : "=m"(gdt));
    v->cs = (struct snp_segment){8, 0xa9b, 0xffffffff, 0};
    v->ds = v->es = v->ss = v->fs = v->gs = (struct snp_segment){16, 0xc93, 0xffffffff, 0};
    v->ldtr = (struct snp_segment){0, 0x82, 0xffff, 0};
    v->tr = (struct snp_segment){0, 0x8b, 0xffff, 0};
    v->gdtr.limit = gdt.limit;
    v->gdtr.base = gdt.base;
    v->cr0 = read_cr(0);
    v->cr3 = read_cr(3);
    v->cr4 = read_cr(4);
    v->efer = rdmsr(0xc0000080) | 1u << 12;
    v->dr6 = 0xffff0ff0;
    v->dr7 = 0x400;
    v->rflags = 2;
    v->g_pat = 0x0007040600070406ull;
    v->xcr0 = 1;
    v->mxcsr = 0x1f80;
    v->x87_ftw = 0x5555;
    v->x87_fcw = 0x40;
    v->rip = (uintptr_t)ap_start;
    v->rsp = (uintptr_t)stack + sizeof(stack) - 8;
    v->sev_features = 1;
}

static bool create_ap(uint64_t vmsa, uint64_t features)
{
    ghcb_clear();
    PUT(rax, features);
    ghcb_call(GHCB_AP_CREATION, 1ull << 32 | 1, vmsa);
    return ghcb()->exit_info_1 == 0;
}

static bool ap_came(uint32_t times)
{
    for (uint64_t i = 0; i < 2000000000ull; i++) {
        if (ap_started == times)
            return true;
        __asm__ volatile("pause");
    }
    return false;
}

static void ap_tests(void)
{
    bool unchanged;
    pvalidate(0x1600000, true, true, &unchanged);
    struct snp_vmsa *vmsa = (void *)0x1601000ull;
    fill_vmsa(vmsa);
    check(!create_ap(0x1600000, 1), "a VMSA at a 2 MiB boundary is refused");
    check(!create_ap(0x1601000, 3), "other SEV features are refused");
    check(rmpadjust(0x1601000, 1 | 1u << 16) == 0, "RMPADJUST makes a VMSA");
    check(create_ap(0x1601000, 1) && ap_came(1), "another vCPU starts by AP creation");
    check(create_ap(0x1601000, 1) && ap_came(2), "and again, from where it halted");
    ghcb_clear();
    ghcb_call(GHCB_AP_CREATION, 1ull << 32 | 2, 0);
    check(ghcb()->exit_info_1 == 0, "and is destroyed");
}

void guest_main(void)
{
    set_gate(6, on_ud);
    set_gate(29, on_vc);
    msr_tests();
    page_tests();
    implicit_tests();
    register_ghcb();
    ghcb_tests();
    psc_tests();
    request_tests();
    ap_tests();
    const struct snp_secrets_page *secrets = (void *)(uintptr_t)GUEST_SECRETS;
    check(secrets->version >= 2, "the secrets page is there");
    print("end\n");
    wrmsr(MSR_GHCB, 1u << 12 | GUEST_DONE << 16 | 0x100);
    vmgexit();
}
