/* A plain guest: no memory to accept, ports are just ports. */
#include "vmm/shim/tee.h"

static void nothing(void)
{
}

static void tell(uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"((uint16_t)SHIM_PORT));
}

_Noreturn static void terminate(enum shim_term code)
{
    tell((uint8_t)(SHIM_PHASE_TERM | code));
    shim_halt();
}

static void features(struct shim_features *out)
{
    uint32_t a = 0, b, c = 0, d;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    uint32_t last = a;
    a = 1;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    out->ssse3 = c & 1u << 9;
    out->sha = false;
    if (last >= 7) {
        a = 7;
        c = 0;
        __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
        out->sha = b & 1u << 29;
    }
}

const struct shim_tee shim_tee_plain = {
    .kind = BOOT_PLAIN,
    .check = nothing,
    .open = nothing,
    .tell = tell,
    .terminate = terminate,
    .features = features,
};

const struct shim_tee *const shim_tees[] = {&shim_tee_plain, &shim_tee_snp, NULL};
