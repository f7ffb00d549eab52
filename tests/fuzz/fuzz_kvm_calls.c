/*
 * Any calls of any program on the emulated KVM: descriptors opened, duplicated, closed in any order, ioctls that do not belong to
 * them, arguments that are not there or end in the middle. Nothing is left when all is closed, and nobody's memory is touched
 * but the caller's: the plain KVM below says yes to all, and writes what it is asked for as a kernel does.
 */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/emu/caller.h"
#include "vmm/emu/emu.h"
#include "vmm/emu/host.h"
#include "vmm/emu/offer.h"

#define FILES 16
#define ARENA (16 * EMU_PAGE_SIZE)

enum call { OPEN, IOCTL, DUPLICATE, CLOSE, MAP, CALLS };
enum argument { AT_START, AT_PLACE, AT_END, NOWHERE, NUMBER, ARGUMENTS };

struct step {
    uint8_t call, file, request, argument;
    uint32_t number;
    uint64_t first; /* of the argument's, so that commands and sizes are likely right */
};

/* SEV_ISSUE_CMD, and what the emulation answers itself; others are drawn by number. */
static const unsigned long requests[] = {KVM_CREATE_VM,
                                         KVM_CHECK_EXTENSION,
                                         KVM_GET_SUPPORTED_CPUID,
                                         KVM_GET_DEVICE_ATTR,
                                         KVM_HAS_DEVICE_ATTR,
                                         KVM_CREATE_VCPU,
                                         KVM_ENABLE_CAP,
                                         KVM_SET_USER_MEMORY_REGION,
                                         KVM_SET_USER_MEMORY_REGION2,
                                         KVM_SET_MEMORY_ATTRIBUTES,
                                         KVM_CREATE_GUEST_MEMFD,
                                         KVM_MEMORY_ENCRYPT_OP,
                                         KVM_X86_SET_MSR_FILTER,
                                         KVM_XEN_HVM_CONFIG,
                                         KVM_IOEVENTFD,
                                         KVM_SET_TSC_KHZ,
                                         KVM_CREATE_IRQCHIP,
                                         KVM_RUN,
                                         KVM_SET_CPUID2,
                                         KVM_SET_SREGS,
                                         KVM_SET_SREGS2,
                                         KVM_GET_REGS,
                                         KVM_GET_MSRS,
                                         KVM_SET_MSRS,
                                         KVM_GET_LAPIC,
                                         UAPI_SEV_ISSUE_CMD};
#define REQUESTS (sizeof requests / sizeof *requests)

static const unsigned long vm_types[] = {KVM_X86_DEFAULT_VM, KVM_X86_SNP_VM, KVM_X86_TDX_VM};

static uint8_t *arena; /* of the caller; the page after it is not there */
static uint8_t run_page[4][3 * EMU_PAGE_SIZE];
static int file[FILES];
static unsigned long programs, calls;

/* The plain KVM */

static int plain_open(const char *path, int flags)
{
    (void)path;
    return open("/dev/null", flags);
}

static int supported(struct kvm_cpuid2 *table)
{
    static const struct kvm_cpuid_entry2 entry[] = {{.function = 1, .eax = 0xa00f11},
                                                    {.function = 0xd, .flags = 1, .eax = 7},
                                                    {.function = 0x80000008, .eax = 48}};
    const struct kvm_cpuid2 head = {.nent = sizeof entry / sizeof *entry};
    if (caller_write(table, &head, sizeof head) == 0 &&
        caller_write(CALLER_AT(table, entries), entry, sizeof entry) == 0)
        return 0;
    errno = EFAULT;
    return -1;
}

static int plain_ioctl(int fd, unsigned long request, void *argument)
{
    static const uint8_t zeros[4096];
    const size_t size = _IOC_SIZE(request);
    (void)fd;
    switch (request) {
    case KVM_CREATE_VM:
    case KVM_CREATE_VCPU:
        return open("/dev/null", O_RDWR | O_CLOEXEC);
    case KVM_GET_VCPU_MMAP_SIZE:
        return sizeof run_page[0];
    case KVM_GET_SUPPORTED_CPUID:
        return supported(argument);
    case KVM_GET_TSC_KHZ:
        return 2500000;
    case KVM_RUN:
        errno = EINTR;
        return -1;
    default:
        break;
    }
    if (_IOC_DIR(request) & _IOC_READ && size <= sizeof zeros && caller_write(argument, zeros, size) != 0) {
        errno = EFAULT;
        return -1;
    }
    return 0;
}

/* A guest would be waited for: a run ends before it begins. */
static void *plain_mmap(void *address, size_t len, int protection, int flags, int fd, off_t offset)
{
    static unsigned next;
    struct kvm_run *run = (struct kvm_run *)run_page[next++ % 4];
    (void)address, (void)len, (void)protection, (void)flags, (void)fd, (void)offset;
    run->immediate_exit = 1;
    return run;
}

static int plain_munmap(void *address, size_t len)
{
    (void)address, (void)len;
    return 0;
}

static const struct kvm_backend plain_kvm = {
    .open = plain_open, .ioctl = plain_ioctl, .mmap = plain_mmap, .munmap = plain_munmap, .close = close};

/* The caller */

static const struct kvm_backend *const emulated = &kvm_backend_emulated;

static void add(int fd)
{
    for (unsigned i = 0; fd >= 0 && i < FILES; i++)
        if (file[i] < 0) {
            file[i] = fd;
            return;
        }
    if (fd >= 0)
        emulated->close(fd);
}

static void *argument_of(const struct step *s)
{
    switch (s->argument % ARGUMENTS) {
    case AT_START:
        memcpy(arena, &s->first, sizeof s->first);
        return arena;
    case AT_PLACE:
        return arena + s->number % ARENA;
    case AT_END: /* some of it is there */
        return arena + ARENA - s->number % 64;
    case NOWHERE:
        return s->number % 2 ? NULL : arena + ARENA;
    default:
        return (void *)(uintptr_t)s->number;
    }
}

static void call_ioctl(const struct step *s, int fd)
{
    const unsigned long request =
        s->request < 2 * REQUESTS ? requests[s->request % REQUESTS] : 0xae00ul + s->number % 256;
    void *argument = argument_of(s);
    if (request == KVM_CREATE_VM && s->argument % 4)
        argument = (void *)vm_types[s->number % 3];
    const int rc = emulated->ioctl(fd, request, argument);
    FUZZ_CHECK(rc >= -1);
    if (rc > 2 && /* it is a descriptor only where the request is of that file */
        (request == KVM_CREATE_VM || request == KVM_CREATE_VCPU || request == KVM_CREATE_GUEST_MEMFD))
        add(rc);
}

static void do_step(const struct step *s)
{
    int *one = &file[s->file % FILES];
    calls++;
    switch (s->call % CALLS) {
    case OPEN:
        add(emulated->open(s->number % 2 ? "/dev/kvm" : "/dev/sev", O_RDWR | O_CLOEXEC));
        break;
    case DUPLICATE:
        if (*one >= 0) {
            const int copy = fcntl(*one, F_DUPFD_CLOEXEC, 0);
            FUZZ_CHECK(copy >= 0 && emu_duplicated(*one, copy) == 0);
            add(copy);
        }
        break;
    case CLOSE:
        if (*one >= 0)
            FUZZ_CHECK(emulated->close(*one) == 0);
        *one = -1;
        break;
    case MAP:
        if (*one >= 0 && emu_descriptor(*one) == EMU_GUEST_MEMFD) {
            void *mapped = emulated->mmap(NULL, EMU_PAGE_SIZE, PROT_READ, MAP_SHARED, *one, 0);
            FUZZ_CHECK(mapped == MAP_FAILED || munmap(mapped, EMU_PAGE_SIZE) == 0);
        }
        break;
    default:
        call_ioctl(s, *one >= 0 ? *one : -1);
    }
}

static void tell(void)
{
    (void)fprintf(stderr, "kvm_calls: %lu calls of %lu programs\n", calls, programs);
}

static void prepare(void)
{
    static char dir[] = "/tmp/cofre-fuzz-XXXXXX";
    FUZZ_CHECK(atexit(tell) == 0);
    emu_host = &plain_kvm;
    if (!getenv("COFRE_EMULATED_DIR"))
        FUZZ_CHECK(mkdtemp(dir) && setenv("COFRE_EMULATED_DIR", dir, 1) == 0);
    arena = mmap(NULL, ARENA + EMU_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    FUZZ_CHECK(arena != MAP_FAILED && munmap(arena + ARENA, EMU_PAGE_SIZE) == 0);
    memset(file, 0xff, sizeof file);
}

/* How many there are, by each 64th program; by the others, the lowest that is free: all of them is what took most of the time.
 * (libFuzzer has some of its own, and more of them once it has begun to name functions.) */
static unsigned open_descriptors(void)
{
    unsigned count = 0;
    if (programs % 64 != 0) {
        const int lowest = open("/dev/null", O_RDONLY | O_CLOEXEC);
        FUZZ_CHECK(lowest >= 0 && close(lowest) == 0);
        return (unsigned)lowest;
    }
    DIR *all = opendir("/proc/self/fd");
    FUZZ_CHECK(all);
    while (readdir(all))
        count++;
    closedir(all);
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!arena)
        prepare();
    programs++;
    const unsigned before = open_descriptors();
    const size_t steps = size / 2 / sizeof(struct step), rest = size - steps * sizeof(struct step);
    memset(arena, 0, ARENA);
    memcpy(arena + sizeof(uint64_t), data + steps * sizeof(struct step), rest < ARENA - 8 ? rest : ARENA - 8);
    for (size_t i = 0; i < steps; i++) {
        struct step step;
        memcpy(&step, data + i * sizeof step, sizeof step);
        do_step(&step);
    }
    for (unsigned i = 0; i < FILES; i++)
        if (file[i] >= 0) {
            emulated->close(file[i]);
            file[i] = -1;
        }
    FUZZ_CHECK(open_descriptors() == before);
    return 0;
}

/* A machine of each type with a guest_memfd, and the first commands of its launch. */
size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    const bool snp = index == 0;
    const struct step steps[] = {
        {.call = OPEN, .number = 1},
        {.call = OPEN},
        {.call = IOCTL, .file = 0, .request = 0, .argument = 1, .number = snp ? 1 : 2},
        {.call = IOCTL, .file = 2, .request = 11, .argument = AT_START, .first = snp ? 22 : 0},
        {.call = IOCTL, .file = 2, .request = 10, .argument = AT_START, .first = ARENA},
        {.call = IOCTL, .file = 2, .request = 8, .argument = AT_START, .first = 4ull << 32},
        {.call = IOCTL, .file = 2, .request = 5, .argument = NUMBER},
        {.call = MAP, .file = 3},
        {.call = DUPLICATE, .file = 2},
        {.call = CLOSE, .file = 2},
        {.call = IOCTL, .file = 4, .request = 17, .argument = NUMBER},
        {.call = IOCTL, .file = 4, .request = 18, .argument = AT_START, .first = 1},
    };
    if (index > 1)
        return 0;
    memcpy(out, steps, sizeof steps);
    memset(out + sizeof steps, 0, sizeof steps);
    return 2 * sizeof steps;
}
