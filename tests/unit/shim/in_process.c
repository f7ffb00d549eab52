#include "tests/unit/shim/in_process.h"

#include <stdarg.h>
#include <string.h>

#include <cmocka.h>
#include <elf.h>
#include <sys/mman.h>

#include "vmm/shim/start.h"

sigjmp_buf guest_done;

uint64_t guest_symbol(struct view elf, const char *name)
{
    const Elf64_Ehdr *e = (const void *)elf.data;
    const Elf64_Shdr *s = (const void *)(elf.data + e->e_shoff);
    for (unsigned i = 0; i < e->e_shnum; i++) {
        const Elf64_Sym *sym = (const void *)(elf.data + s[i].sh_offset);
        for (size_t n = 0; s[i].sh_type == SHT_SYMTAB && n < s[i].sh_size / sizeof(*sym); n++)
            if (strcmp((const char *)elf.data + s[s[i].sh_link].sh_offset + sym[n].st_name, name) == 0)
                return sym[n].st_value;
    }
    fail_msg("the shim has no symbol %s", name);
    return 0;
}

void guest_map(uint64_t from, uint64_t to, int protection)
{
    void *want = (void *)from;
    assert_ptr_equal(
        mmap(want, to - from, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0),
        want);
}

unsigned guest_replace(uint8_t *image, size_t len, const char *from, const char *to)
{
    unsigned count = 0;
    for (size_t i = 0; i + 4 <= len; i++)
        if (memcmp(image + i, from, 4) == 0) {
            memcpy(image + i, to, 4);
            count++;
        }
    return count;
}

bool guest_translate(uint64_t va, uint64_t mask, uint64_t *gpa, bool *marked)
{
    const uint64_t frame = ~0xfffull & ~mask;
    const uint64_t *pml4 = (const uint64_t *)START_PML4;
    uint64_t e = pml4[va >> 39 & 511];
    if (!(e & 1))
        return false;
    e = ((const uint64_t *)(e & frame))[va >> 30 & 511];
    if (!(e & 1))
        return false;
    e = ((const uint64_t *)(e & frame))[va >> 21 & 511];
    if (!(e & 1) || !(e & 0x80))
        return false;
    *marked = e & mask;
    *gpa = (e & frame & ~(RAM_STEP - 1)) | (va & (RAM_STEP - 1));
    return true;
}

void guest_run(uint64_t function, guest_trap *trap)
{
    static uint8_t stack[1 << 16];
    static const int signals[] = {SIGSEGV, SIGILL, SIGBUS};
    struct sigaction action = {.sa_sigaction = trap, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER},
                     before[3];
    sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof(stack)}, NULL);
    for (int i = 0; i < 3; i++)
        sigaction(signals[i], &action, &before[i]);
    if (sigsetjmp(guest_done, 1) == 0)
        ((void (*)(void))function)();
    for (int i = 0; i < 3; i++)
        sigaction(signals[i], &before[i], NULL);
    sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL);
}

/* Bytes of a ModRM byte's memory operand, itself included. */
static unsigned modrm_length(const uint8_t *p)
{
    unsigned mod = p[0] >> 6, rm = p[0] & 7, len = 1 + (rm == 4);
    if (mod == 1)
        return len + 1;
    if (mod == 2 || (mod == 0 && (rm == 5 || (rm == 4 && (p[1] & 7) == 5))))
        return len + 4;
    return len;
}

bool guest_step(greg_t *r, const siginfo_t *info)
{
    const uint8_t *p = (const uint8_t *)r[REG_RIP];
    const unsigned rex = p[0] == 0x41; /* a register of the upper eight */
    if (p[rex] == 0x0f && p[rex + 1] == 0x22 && (p[rex + 2] & 0x38) == 0x18) { /* MOV to CR3 */
        r[REG_RIP] += 3 + rex;
    } else if (p[0] == 0x0f && p[1] == 0x01 && (p[2] & 0x38) == 0x18) { /* LIDT */
        r[REG_RIP] += 2 + modrm_length(p + 2);
    } else if (p[0] == 0xf3 && p[1] == 0xaa && (uint64_t)info->si_addr < LOWEST) {
        r[REG_RDI] += r[REG_RCX];
        r[REG_RCX] = 0;
        r[REG_RIP] += 2;
    } else {
        return false;
    }
    return true;
}
