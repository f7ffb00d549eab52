#include "tests/lab/hostile/guest.h"

#include <stdarg.h>

#include "tdx/abi.h"

#define SERIAL   0x3f8
#define SLEEP    0x600 /* the sleep control register of vmm/machine/acpi.h */
#define MSR_GHCB 0xc0010130u
#define HIGH     (1ull << 47) /* the C-bit, or the shared bit */
#define MIB_2    0x200000ull

void *memset(void *to, int byte, size_t len)
{
    for (size_t i = 0; i < len; i++)
        ((volatile uint8_t *)to)[i] = (uint8_t)byte;
    return to;
}

void *memcpy(void *to, const void *from, size_t len)
{
    for (size_t i = 0; i < len; i++)
        ((volatile uint8_t *)to)[i] = ((const volatile uint8_t *)from)[i];
    return to;
}

int memcmp(const void *a, const void *b, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (((const volatile uint8_t *)a)[i] != ((const volatile uint8_t *)b)[i])
            return 1;
    return 0;
}

static void out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port));
}

static void say_number(uint32_t n)
{
    if (n >= 10)
        say_number(n / 10);
    out8(SERIAL, (uint8_t)('0' + n % 10));
}

void say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    for (; *format; format++) {
        if (*format != '%') {
            out8(SERIAL, (uint8_t)*format);
        } else if (*++format == 'u') {
            say_number(va_arg(args, uint32_t));
        } else {
            for (const char *s = va_arg(args, const char *); *s; s++)
                out8(SERIAL, (uint8_t)*s);
        }
    }
    va_end(args);
}

void power_off(void)
{
    out8(SLEEP, 0);
    out8(SLEEP + 1, 0);
    __asm__ volatile("outb %0, %1" ::"a"((uint8_t)0x34), "Nd"((uint16_t)SLEEP));
    for (;;)
        __asm__ volatile("hlt");
}

uint32_t seed;

uint32_t below(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)(seed >> 8) * n) >> 24);
}

uint64_t wild(void)
{
    static const uint64_t limits[] = {0,
                                      1,
                                      0x7fff,
                                      0x8000,
                                      UINT16_MAX,
                                      UINT32_MAX,
                                      UINT64_MAX,
                                      SHARED_GPA,
                                      SHARED_GPA + 0x1234,
                                      MEMORY_SIZE - 1,
                                      1ull << 47};
    uint32_t pick = below(2 * sizeof limits / sizeof *limits);
    return pick < sizeof limits / sizeof *limits ? limits[pick] : (uint64_t)below(1 << 24) * below(1 << 24);
}

/* Sharing memory */

static bool share_snp(uint64_t gpa)
{
    uint64_t request = 2ull << 52 | gpa | 0x14; /* GHCB specification 56421, 2.3.1: page state change */
    uint32_t low = (uint32_t)request, high = (uint32_t)(request >> 32);
    __asm__ volatile("wrmsr; rep; vmmcall; rdmsr" : "+a"(low), "+d"(high) : "c"(MSR_GHCB) : "memory");
    return ((uint64_t)high << 32 | low) == 0x15;
}

static bool share_tdx(uint64_t gpa)
{
    uint64_t status = 0, given = 0x3c00;
    register uint64_t r10 __asm__("r10") = 0;
    register uint64_t r11 __asm__("r11") = TDVMCALL_MAP_GPA;
    register uint64_t r12 __asm__("r12") = gpa | HIGH;
    register uint64_t r13 __asm__("r13") = 4096;
    __asm__ volatile(".byte 0x66, 0x0f, 0x01, 0xcc"
                     : "+a"(status), "+c"(given), "+r"(r10), "+r"(r11), "+r"(r12), "+r"(r13)
                     :
                     : "rdx", "r8", "r9", "r14", "r15", "memory", "cc");
    return status == 0 && r10 == 0;
}

static _Alignas(4096) uint64_t pml4[512], pdpt[512], pd[3][512];

/* The first GiB, its shared view, and the last GiB below 4 GiB, where devices are. */
static void map(char tee)
{
    const uint64_t private = tee == 's' ? HIGH : 0, shared_bit = tee == 't' ? HIGH : 0;
    const struct {
        unsigned at;
        uint64_t gpa, bits;
    } views[] = {{0, 0, private}, {1, 0, shared_bit}, {3, 3ull << 30, shared_bit | 0x18}};
    pml4[0] = (uintptr_t)pdpt | 3 | private;
    for (unsigned v = 0; v < 3; v++) {
        pdpt[views[v].at] = (uintptr_t)pd[v] | 3 | private;
        for (uint64_t i = 0; i < 512; i++)
            pd[v][i] = (views[v].gpa + i * MIB_2) | views[v].bits | 0x83;
    }
    __asm__ volatile("mov %0, %%cr3" ::"r"((uint64_t)(uintptr_t)pml4) : "memory");
}

void guest_start(char tee)
{
    map(tee);
    for (uint64_t gpa = SHARED_GPA; gpa < SHARED_GPA + SHARED_SIZE; gpa += 4096)
        if ((tee == 's' && !share_snp(gpa)) || (tee == 't' && !share_tdx(gpa))) {
            say("hostile: WRONG: its memory is not shared\n");
            power_off();
        }
}
