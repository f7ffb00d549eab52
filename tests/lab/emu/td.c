/*
 * A TD without an operating system that uses everything the TDX interface has. Each check writes one line to the log
 * port; the program outside counts them. It runs on hardware as well, except for the #VE of instructions that it executes
 * directly (port output for its log, device memory).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tdx/abi.h"
#include "tdx/status.h"
#include "tests/lab/emu/guest.h"
#include "tests/lab/emu/td.h"

#define SHARED(gpa) ((void *)(uintptr_t)((gpa) + 0x40000000u))

#define MSR_X2APIC_EOI   0x80bu
#define MSR_X2APIC_SVR   0x80fu
#define MSR_X2APIC_LVTT  0x832u
#define MSR_X2APIC_TMICT 0x838u
#define MSR_X2APIC_TDCR  0x83eu
#define MSR_PAT          0x277u
#define MSR_EFER         0xc0000080u
#define TIMER_VECTOR     0x40u

struct gate {
    uint16_t offset_low, selector;
    uint8_t ist, type;
    uint16_t offset_middle;
    uint32_t offset_high, reserved;
};
struct gate idt[96];
volatile uint64_t resume_at, last_error;
volatile uint32_t last_vector;
extern char on_ud[], on_vc[], on_timer[], ap_start[];
void try_ud(void);
void guest_main(void);
void ap_main(void);

/* The order of the numbers of registers: RAX RCX RDX RBX RSP RBP RSI RDI R8 to R15. */
struct gprs {
    uint64_t rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15;
};

static volatile uint64_t ticks;
__asm__(".globl on_timer\n"
        "on_timer: pushq %rax; pushq %rcx; pushq %rdx\n"
        "incq ticks\n"
        "movl $0x80b, %ecx; xorl %eax, %eax; xorl %edx, %edx; wrmsr\n"
        "popq %rdx; popq %rcx; popq %rax; iretq\n");

static void tdcall(struct gprs *g)
{
    register uint64_t r8 __asm__("r8") = g->r8;
    register uint64_t r9 __asm__("r9") = g->r9;
    register uint64_t r10 __asm__("r10") = g->r10;
    register uint64_t r11 __asm__("r11") = g->r11;
    register uint64_t r12 __asm__("r12") = g->r12;
    register uint64_t r13 __asm__("r13") = g->r13;
    register uint64_t r14 __asm__("r14") = g->r14;
    register uint64_t r15 __asm__("r15") = g->r15;
    __asm__ volatile(".byte 0x66, 0x0f, 0x01, 0xcc"
                     : "+a"(g->rax), "+c"(g->rcx), "+d"(g->rdx), "+b"(g->rbx), "+S"(g->rsi), "+D"(g->rdi),
                       "+r"(r8), "+r"(r9), "+r"(r10), "+r"(r11), "+r"(r12), "+r"(r13), "+r"(r14),
                       "+r"(r15)::"memory", "cc");
    g->r8 = r8, g->r9 = r9, g->r10 = r10, g->r11 = r11, g->r12 = r12, g->r13 = r13, g->r14 = r14,
    g->r15 = r15;
}

static struct gprs leaf(uint64_t number, uint64_t rcx, uint64_t rdx, uint64_t r8)
{
    struct gprs g = {.rax = number, .rcx = rcx, .rdx = rdx, .r8 = r8};
    tdcall(&g);
    return g;
}

static struct gprs vmcall(uint64_t function, uint64_t r12, uint64_t r13, uint64_t r14, uint64_t r15)
{
    struct gprs g = {.rcx = 0xffcc, .r11 = function, .r12 = r12, .r13 = r13, .r14 = r14, .r15 = r15};
    tdcall(&g);
    return g;
}

static void out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port));
}

static void check(bool right, const char *what)
{
    const char *words[] = {right ? "ok " : "not ok ", what, "\n"};
    for (unsigned i = 0; i < 3; i++)
        for (const char *c = words[i]; *c; c++)
            out8(GUEST_LOG_PORT, (uint8_t)*c);
}

static void wrmsr(uint32_t index, uint64_t value)
{
    __asm__ volatile("wrmsr" ::"c"(index), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

static void cpuid(uint32_t function, uint32_t out[4])
{
    __asm__ volatile("cpuid"
                     : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3])
                     : "a"(function), "c"(0));
}

static void set_gate(unsigned vector, const char *handler)
{
    uintptr_t at = (uintptr_t)handler;
    idt[vector] =
        (struct gate){(uint16_t)at, 8, 0, 0x8e, (uint16_t)(at >> 16), (uint32_t)((uint64_t)at >> 32), 0};
}

static void cpuid_tests(void)
{
    uint32_t r[4];
    cpuid(0, r);
    check(r[1] == 0x756e6547 && r[3] == 0x49656e69, "the processor is Intel's");
    cpuid(0x21, r);
    check(r[1] == 0x65746e49 && r[2] == 0x20202020 && r[3] == 0x5844546c, "CPUID says IntelTDX");
    cpuid(1, r);
    check(r[0] == 0x806f8 && r[2] >> 31 && r[2] >> 21 & 1, "its model, a hypervisor, the x2APIC");
    struct gprs g = vmcall(TDVMCALL_CPUID, 0x40000000, 0, 0, 0);
    check(g.rax == 0 && g.r10 == 0 && g.r13 == 0x4b4d564b, "CPUID of the VMM: KVM");
}

static void module_tests(void)
{
    static struct tdx_report report __attribute__((aligned(1024)));
    static uint8_t data[64] __attribute__((aligned(64)));
    struct gprs g = leaf(TDG_VP_INFO, 0, 0, 0);
    check(g.rax == 0 && g.rcx == 48 && g.rdx == TDX_ATTR_SEPT_VE_DISABLE, "TDG.VP.INFO");
    data[7] = 0x77;
    g = leaf(TDG_MR_REPORT, (uintptr_t)&report, (uintptr_t)data, 0);
    bool echoed = report.mac.report_data[7] == 0x77;
    check(g.rax == 0 && report.mac.type == TDX_TEE_TYPE && echoed, "TDG.MR.REPORT");
    g = leaf(TDG_MR_VERIFYREPORT, (uintptr_t)&report, 0, 0);
    check(g.rax == 0, "TDG.MR.VERIFYREPORT");
    report.mac.mac[0] ^= 1;
    g = leaf(TDG_MR_VERIFYREPORT, (uintptr_t)&report, 0, 0);
    check(g.rax == TDX_INVALID_REPORTMACSTRUCT, "TDG.MR.VERIFYREPORT of another MAC");
    g = leaf(TDG_MR_RTMR_EXTEND, (uintptr_t)data, 3, 0);
    leaf(TDG_MR_REPORT, (uintptr_t)&report, (uintptr_t)data, 0);
    check(g.rax == 0 && report.td.rtmr[3][0] != 0 && report.td.rtmr[2][0] == 0, "TDG.MR.RTMR.EXTEND");
    g = leaf(TDG_VM_RD, 0, 0x1110000300000016, 0);
    check(g.rax == 0, "TDG.VM.RD");
    g = leaf(TDG_VP_VEINFO_GET, 0, 0, 0);
    check(g.rax != 0, "TDG.VP.VEINFO.GET without an exception");
    g = leaf(99, 0, 0, 0);
    check(g.rax == TDX_OPERAND_INVALID, "an unknown leaf");
    g = leaf(TDG_VP_VMCALL, 1u << 4, 0, 0);
    check(g.rax == (TDX_OPERAND_INVALID | TDX_OPERAND_RCX), "RSP cannot be exposed");
    last_vector = 0;
    try_ud();
    check(last_vector == 6, "another undefined opcode stays the guest's");
}

static void page_tests(void)
{
    volatile uint32_t *page = (void *)0x800000ull;
    check(leaf(TDG_MEM_PAGE_ACCEPT, 0x800000, 0, 0).rax == 0, "a page is accepted");
    check(page[5] == 0, "it is zero");
    page[5] = 0x12345678;
    check(page[5] == 0x12345678, "it holds data");
    check(leaf(TDG_MEM_PAGE_ACCEPT, 0x800000, 0, 0).rax == TDX_PAGE_ALREADY_ACCEPTED, "it is accepted once");
    check(leaf(TDG_MEM_PAGE_ACCEPT, 0x800000 | 1, 0, 0).rax == (TDX_PAGE_SIZE_MISMATCH | 1),
          "2 MiB that hold an accepted page: size mismatch");
    check(leaf(TDG_MEM_PAGE_ACCEPT, 0xa00000 | 1, 0, 0).rax == 0, "2 MiB are accepted");
    ((volatile uint8_t *)0xbff000ull)[1] = 1;
    check(leaf(TDG_MEM_PAGE_ACCEPT, 0xa01000, 0, 0).rax == (TDX_PAGE_ALREADY_ACCEPTED | 1),
          "and their pages with them");
    ((volatile uint8_t *)0xbff000ull)[1] = 1;
    struct gprs g = vmcall(TDVMCALL_MAP_GPA, TDX_SHARED_BIT | 0xa00000, 0x400000, 0, 0);
    check(g.r10 == 0, "4 MiB become shared");
    ((volatile uint8_t *)SHARED(0xbff000))[1] = GUEST_ECHO;
    check(((volatile uint8_t *)SHARED(0xbff000))[1] == GUEST_ECHO, "shared pages hold data");
    g = vmcall(TDVMCALL_MAP_GPA, 0xa00000, 0x200000, 0, 0);
    check(g.r10 == 0 && leaf(TDG_MEM_PAGE_ACCEPT, 0xa00000 | 1, 0, 0).rax == 0, "2 MiB become private again");
    check(((volatile uint8_t *)0xbff000ull)[1] == 0, "and zero");
    g = vmcall(TDVMCALL_MAP_GPA, 0xa00800, 0x1000, 0, 0);
    check(g.r10 == TDVMCALL_ALIGN_ERROR && g.r11 == 0xa00800, "a conversion is of whole pages");
}

static void io_tests(void)
{
    struct gprs g = vmcall(TDVMCALL_IO, 1, 1, GUEST_PORT, GUEST_ECHO);
    check(g.r10 == 0, "port output");
    g = vmcall(TDVMCALL_IO, 1, 0, GUEST_PORT, 0);
    check(g.r10 == 0 && g.r11 == GUEST_ECHO, "port input");
    g = vmcall(TDVMCALL_IO, 3, 0, GUEST_PORT, 0);
    check(g.r10 == TDVMCALL_INVALID_OPERAND, "ports have 1, 2 or 4 bytes");
    g = vmcall(TDVMCALL_MMIO, 4, 0, TDX_SHARED_BIT | TD_MMIO, 0);
    check(g.r10 == 0 && g.r11 == GUEST_ECHO, "device memory by call");
    check(*(volatile uint32_t *)SHARED(TD_MMIO) == GUEST_ECHO, "device memory by instruction");
    g = vmcall(TDVMCALL_RDMSR, MSR_PAT, 0, 0, 0);
    check(g.r10 == 0 && g.r11 == 0x0007040600070406, "RDMSR by call");
    g = vmcall(TDVMCALL_WRMSR, MSR_EFER, 0, 0, 0);
    check(g.r10 == TDVMCALL_INVALID_OPERAND, "EFER is not the VMM's to write");
    g = vmcall(TDVMCALL_RDMSR, 0x12345, 0, 0, 0);
    check(g.r10 == TDVMCALL_INVALID_OPERAND, "an unknown MSR");
}

static void service_tests(void)
{
    struct gprs g = vmcall(TDVMCALL_GET_TD_VM_CALL_INFO, 0, 0, 0, 0);
    check(g.r10 == 0 && g.r11 == 0, "GetTdVmCallInfo, leaf 0");
    g = vmcall(TDVMCALL_GET_TD_VM_CALL_INFO, 1, 0, 0, 0);
    check(g.r10 == 0 && g.r11 == 2, "GetTdVmCallInfo, leaf 1");
    g = vmcall(TDVMCALL_SETUP_EVENT_NOTIFY_INTERRUPT, TIMER_VECTOR, 0, 0, 0);
    check(g.r10 == 0, "SetupEventNotifyInterrupt");
    g = vmcall(TDVMCALL_GET_QUOTE, TDX_SHARED_BIT | TD_QUOTE, 0x1000, 0, 0);
    check(g.r10 == 0 && *(volatile uint8_t *)SHARED(TD_QUOTE) == GUEST_ECHO, "GetQuote");
    g = vmcall(TDVMCALL_GET_QUOTE, TD_QUOTE, 0x1000, 0, 0);
    check(g.r10 == TDVMCALL_INVALID_OPERAND, "GetQuote of private memory");
    g = vmcall(TDVMCALL_WBINVD, 0, 0, 0, 0);
    check(g.r10 == TDVMCALL_SUBFUNC_UNSUPPORTED, "a call that KVM does not know");
}

/* The timer fires while the guest waits with its interrupts off: it wakes, and gets the interrupt when it lets it. */
static void halt_tests(void)
{
    wrmsr(MSR_X2APIC_SVR, 0x1ff);
    wrmsr(MSR_X2APIC_TDCR, 0xb); /* by 1 */
    wrmsr(MSR_X2APIC_LVTT, TIMER_VECTOR);
    wrmsr(MSR_X2APIC_TMICT, 200000);
    struct gprs g = vmcall(TDVMCALL_HLT, 0, 0, 0, 0);
    check(g.rax == 0 && g.r10 == 0 && ticks == 0, "HLT with interrupts off wakes on one, undelivered");
    __asm__ volatile("sti; nop; cli" ::: "memory");
    check(ticks == 1, "which comes when the guest lets it");
}

void ap_main(void)
{
}

void guest_main(void)
{
    set_gate(6, on_ud);
    set_gate(TIMER_VECTOR, on_timer);
    cpuid_tests();
    module_tests();
    page_tests();
    io_tests();
    service_tests();
    halt_tests();
    vmcall(TDVMCALL_REPORT_FATAL_ERROR, GUEST_DONE, 0, 0, 0);
    *(volatile uint8_t *)0x1800000ull = 1; /* not accepted: the end */
    check(false, "a page that is not accepted ends the TD");
}
