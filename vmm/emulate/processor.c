/*
 * A program that launches SNP guests asks its own processor where the C-bit is, by CPUID, which no kernel can be put in
 * front of everywhere. Each CPUID in the program's code becomes UD2, which is as long, and the signal that it raises is
 * answered here.
 */
#include <cpuid.h>
#include <fcntl.h>
#include <link.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/emulate/code.h"
#include "vmm/emulate/emulate.h"

#define LEAF_EXTENDED   0x80000000u
#define LEAF_ENCRYPTION 0x8000001fu
#define ENTRIES         256u

static const uint8_t ud2[2] = {0x0f, 0x0b}; /* as long as CPUID */

static struct {
    const uint8_t **at; /* where CPUID was, in order */
    size_t count;
    struct sigaction programs; /* what the program has SIGILL do */
    struct kvm_cpuid_entry2 encryption;
} processor;

static void note(const uint8_t *at)
{
    const uint8_t **more = realloc(processor.at, (processor.count + 1) * sizeof(*more));
    if (!more)
        abort();
    processor.at = more;
    processor.at[processor.count++] = at;
}

/* Without it the program would see another processor than its guests: better that it does not start. */
static void replace(const uint8_t *at)
{
    const uintptr_t page = (uintptr_t)at & ~4095ul;
    const size_t len = ((uintptr_t)at + 2 - page + 4095) & ~4095ul;
    if (mprotect((void *)page, len, PROT_READ | PROT_WRITE | PROT_EXEC) != 0) {
        perror("cofre emulate: the program's code cannot be changed, which CPUID needs");
        _exit(4);
    }
    memcpy((void *)(uintptr_t)at, ud2, sizeof ud2);
    mprotect((void *)page, len, PROT_READ | PROT_EXEC);
}

static void search(const uint8_t *code, size_t len)
{
    const size_t first = processor.count;
    for (const uint8_t *at = code; (at = code_next_cpuid(code, len, at)); at += sizeof ud2)
        note(at);
    for (size_t i = first; i < processor.count; i++)
        replace(processor.at[i]);
}

/* The program's own code comes first; that of libraries is left alone: they choose code paths by CPUID, no platform. */
static int in_program(struct dl_phdr_info *info, size_t size, void *nothing)
{
    (void)size, (void)nothing;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type == PT_LOAD && p->p_flags & PF_X)
            search((const uint8_t *)(info->dlpi_addr + p->p_vaddr), p->p_memsz);
    }
    return 1;
}

static bool was_cpuid(const uint8_t *at)
{
    for (size_t i = 0; i < processor.count; i++)
        if (processor.at[i] == at)
            return true;
    return false;
}

/* As KVM on the emulated platform says it. Not before it is asked for: a program that does not ask need not hear of it. */
static void read_encryption(void)
{
    CLEAN_FREE struct kvm_cpuid2 *table = calloc(1, sizeof(*table) + ENTRIES * sizeof(table->entries[0]));
    const int fd = kvm_backend_emulated.open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (table)
        table->nent = ENTRIES;
    if (table && fd >= 0 && kvm_backend_emulated.ioctl(fd, KVM_GET_SUPPORTED_CPUID, table) == 0)
        for (unsigned i = 0; i < table->nent; i++)
            if (table->entries[i].function == LEAF_ENCRYPTION)
                processor.encryption = table->entries[i];
    if (fd >= 0)
        kvm_backend_emulated.close(fd);
}

static void answer(greg_t *regs)
{
    const uint32_t leaf = (uint32_t)regs[REG_RAX], subleaf = (uint32_t)regs[REG_RCX];
    uint32_t a, b, c, d;
    __cpuid_count(leaf, subleaf, a, b, c, d);
    if (leaf == LEAF_EXTENDED && a < LEAF_ENCRYPTION)
        a = LEAF_ENCRYPTION;
    if (leaf == LEAF_ENCRYPTION) {
        if (!processor.encryption.function)
            read_encryption();
        a = processor.encryption.eax;
        b = processor.encryption.ebx;
        c = processor.encryption.ecx;
        d = processor.encryption.edx;
    }
    regs[REG_RAX] = a;
    regs[REG_RBX] = b;
    regs[REG_RCX] = c;
    regs[REG_RDX] = d;
    regs[REG_RIP] += sizeof ud2;
}

static void on_illegal(int number, siginfo_t *info, void *context)
{
    greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
    const struct sigaction *programs = &processor.programs;
    if (was_cpuid((const uint8_t *)regs[REG_RIP]))
        answer(regs);
    else if (programs->sa_flags & SA_SIGINFO)
        programs->sa_sigaction(number, info, context);
    else if (programs->sa_handler != SIG_DFL && programs->sa_handler != SIG_IGN)
        programs->sa_handler(number);
    else
        NEXT(sigaction)(number, programs, NULL); /* the instruction is tried again, and ends the program */
}

/* The program's own affair with SIGILL, once ours is in its way. */
HOOK int sigaction(int number, const struct sigaction *action, struct sigaction *old)
{
    if (number != SIGILL || !processor.count)
        return NEXT(sigaction)(number, action, old);
    const struct sigaction now = processor.programs;
    if (action)
        processor.programs = *action;
    if (old)
        *old = now;
    return 0;
}

HOOK sighandler_t signal(int number, sighandler_t handler)
{
    if (number != SIGILL || !processor.count)
        return NEXT(signal)(number, handler);
    const sighandler_t now = processor.programs.sa_handler;
    processor.programs = (struct sigaction){.sa_handler = handler};
    return now;
}

void processor_emulate(void)
{
    const struct sigaction illegal = {.sa_sigaction = on_illegal, .sa_flags = SA_SIGINFO | SA_NODEFER};
    if (NEXT(sigaction)(SIGILL, &illegal, &processor.programs) == 0)
        dl_iterate_phdr(in_program, NULL);
}
