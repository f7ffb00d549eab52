/*
 * The system calls that the C library, OpenSSL and libtpms make in a program without files, threads or signals. What is not here is
 * refused as a kernel refuses what it does not know, and no path exists. This runs before the C library has made its thread area:
 * no stack protector (meson.build), and nothing of the library is called.
 */
#include <asm/prctl.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

#include "tests/lab/svsm/host.h"
#include "tests/lab/svsm/layout.h"

#define MSR_FS_BASE 0xc0000100u

long svsm_system_call(long number, unsigned long a, unsigned long b, unsigned long c);

static unsigned long program_break = SVSM_HEAP;

static long set_break(unsigned long to)
{
    if (to >= SVSM_HEAP && to <= SVSM_STACK) {
        for (volatile uint8_t *p = (uint8_t *)program_break; (unsigned long)p < to; p++)
            *p = 0; /* what the host left there is nobody's heap */
        program_break = to;
    }
    return (long)program_break;
}

static long random_bytes(uint8_t *out, unsigned long len)
{
    for (unsigned long i = 0; i < len; i++) {
        unsigned long long value;
        unsigned char good = 0;
        while (!good)
            __asm__ volatile("rdrand %0; setc %1" : "=r"(value), "=qm"(good));
        out[i] = (uint8_t)value;
    }
    return (long)len;
}

/* A time that goes on, of which nobody needs the rate: the TPM's clock counts from its start. */
static uint64_t nanoseconds(void)
{
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return ((uint64_t)high << 32 | low) / 2;
}

static long tell_time(int64_t *timespec)
{
    const uint64_t now = nanoseconds();
    timespec[0] = (int64_t)(now / 1000000000);
    timespec[1] = (int64_t)(now % 1000000000);
    return 0;
}

long svsm_system_call(long number, unsigned long a, unsigned long b, unsigned long c)
{
    switch (number) {
    case SYS_brk:
        return set_break(a);
    case SYS_arch_prctl:
        if (a != ARCH_SET_FS)
            return -EINVAL;
        wrmsr(MSR_FS_BASE, b);
        return 0;
    case SYS_getrandom:
        return random_bytes((uint8_t *)a, b);
    case SYS_clock_gettime:
        return tell_time((int64_t *)b);
    case SYS_time:
        return (long)(nanoseconds() / 1000000000);
    case SYS_mmap: /* malloc takes it from the heap instead */
        return -ENOMEM;
    case SYS_set_tid_address:
    case SYS_getpid:
    case SYS_gettid:
        return 1;
    case SYS_futex: /* nobody waits */
    case SYS_set_robust_list:
    case SYS_mprotect:
    case SYS_munmap:
    case SYS_rt_sigprocmask:
    case SYS_rt_sigaction:
        return 0;
    case SYS_write: /* a library's last words */
        return (long)c;
    case SYS_open:
    case SYS_openat:
    case SYS_readlink:
    case SYS_readlinkat:
    case SYS_stat:
    case SYS_newfstatat:
    case SYS_access:
        return -ENOENT;
    case SYS_exit:
    case SYS_exit_group:
    case SYS_tgkill:
        svsm_end(SVSM_ENDED);
    default:
        return -ENOSYS;
    }
}
