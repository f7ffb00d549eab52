/*
 * Intel TDX: accepting memory, extending run-time registers and speaking to the host by TDCALL (348551, TDX module 1.5
 * ABI; 348552, guest-hypervisor interface). The shim issues no instruction that raises #VE. start_tdx.S parks all CPUs
 * but the first.
 */
#include "tdx/abi.h"
#include "vmm/shim/tee.h"

#define TDCALL ".byte 0x66, 0x0f, 0x01, 0xcc"

/* A call of the module, with the status that it returns in RAX; RCX and RDX go both ways. */
static uint64_t tdcall(enum tdx_guest_leaf leaf, uint64_t *rcx, uint64_t *rdx)
{
    uint64_t rax = leaf;
    __asm__ volatile(TDCALL : "+a"(rax), "+c"(*rcx), "+d"(*rdx) : : "r8", "r9", "r10", "r11", "cc", "memory");
    return rax;
}

static void check(void)
{
    uint64_t gpaw = 0, attributes = 0;
    if (tdcall(TDG_VP_INFO, &gpaw, &attributes))
        shim_terminate(SHIM_TERM_HOST);
    shim_shared_mask = 1ull << ((gpaw & 0x3f) - 1); /* 48 or 52: the module allows no other */
}

static enum shim_accept accept(uint64_t gpa, void *mapped, bool large)
{
    enum { LEVEL_4K, LEVEL_2M };
    const uint32_t size_mismatch =
        0xc0000b0b; /* what bits 63:32 of the status say: mapped as smaller pages */
    uint64_t rcx = gpa | (large ? LEVEL_2M : LEVEL_4K), rdx = 0;
    (void)mapped;
    /* A page that was accepted before is no error to the module, and one to us. */
    uint64_t status = tdcall(TDG_MEM_PAGE_ACCEPT, &rcx, &rdx);
    if (status >> 32 == size_mismatch)
        return ACCEPT_SMALLER;
    return status ? ACCEPT_FAILED : ACCEPT_DONE;
}

static void open(void)
{
}

/* TDG.VP.VMCALL<Instruction.IO>. RCX: the registers that the host may see. */
static void tell(uint8_t value)
{
    enum { OUT = 1, R10_TO_R15 = 0xfc00 };
    uint64_t rax = TDG_VP_VMCALL;
    register uint64_t r10 __asm__("r10") = 0;
    register uint64_t r11 __asm__("r11") = TDVMCALL_IO;
    register uint64_t r12 __asm__("r12") = 1; /* byte */
    register uint64_t r13 __asm__("r13") = OUT;
    register uint64_t r14 __asm__("r14") = SHIM_PORT;
    register uint64_t r15 __asm__("r15") = value;
    __asm__ volatile(TDCALL
                     : "+a"(rax), "+r"(r10), "+r"(r11), "+r"(r12), "+r"(r13), "+r"(r14), "+r"(r15)
                     : "c"((uint64_t)R10_TO_R15)
                     : "cc", "memory");
    if (rax || r10 != TDVMCALL_SUCCESS)
        shim_terminate(SHIM_TERM_HOST);
}

static uint64_t text8(const char text[static 8])
{
    uint64_t v = 0;
    for (unsigned i = 0; i < 8; i++)
        v |= (uint64_t)(uint8_t)text[i] << (8 * i);
    return v;
}

/* TDG.VP.VMCALL<ReportFatalError>, as abi.h says; every register of its message is given. */
_Noreturn static void terminate(enum shim_term code)
{
    enum { MESSAGE_AND_R10_TO_R15 = 0xffcc };
    char text[16] = "cofre-shim: 00";
    text[12] = (char)('0' + code / 10);
    text[13] = (char)('0' + code % 10);
    register uint64_t r8 __asm__("r8") = 0;
    register uint64_t r9 __asm__("r9") = 0;
    register uint64_t r10 __asm__("r10") = 0;
    register uint64_t r11 __asm__("r11") = TDVMCALL_REPORT_FATAL_ERROR;
    register uint64_t r12 __asm__("r12") = SHIM_TERM_TDX(code);
    register uint64_t r13 __asm__("r13") = 0;
    register uint64_t r14 __asm__("r14") = text8(text);
    register uint64_t r15 __asm__("r15") = text8(text + 8);
    __asm__ volatile(TDCALL
                     :
                     : "a"((uint64_t)TDG_VP_VMCALL), "b"(0ull), "c"((uint64_t)MESSAGE_AND_R10_TO_R15),
                       "d"(0ull), "S"(0ull), "D"(0ull), "r"(r8), "r"(r9), "r"(r10), "r"(r11), "r"(r12),
                       "r"(r13), "r"(r14), "r"(r15)
                     : "cc", "memory");
    for (;;) /* HLT would raise #VE */
        __asm__ volatile("pause");
}

static void extend(unsigned rtmr, const uint8_t digest[static 48])
{
    static uint8_t buffer[TDX_DIGEST_SIZE] __attribute__((aligned(64)));
    for (unsigned i = 0; i < TDX_DIGEST_SIZE; i++)
        buffer[i] = digest[i];
    uint64_t rcx = (uintptr_t)buffer, rdx = rtmr;
    if (tdcall(TDG_MR_RTMR_EXTEND, &rcx, &rdx))
        shim_terminate(SHIM_TERM_HOST);
}

static const struct shim_tee shim_tee_tdx = {
    .kind = BOOT_TDX,
    .check = check,
    .accept = accept,
    .open = open,
    .tell = tell,
    .terminate = terminate,
    .extend = extend,
};
const struct shim_tee *const shim_tees[] = {&shim_tee_tdx, NULL};
