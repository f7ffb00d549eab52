/*
 * SEV-SNP: validating memory and speaking to the host by GHCB (56421, GHCB specification, version 2). The shim issues
 * no instruction that raises #VC: what it needs of CPUID it reads in the page that the firmware checked.
 */
#include "vmm/shim/start.h"
#include "vmm/shim/tee.h"

#define MSR_GHCB       0xc0010130u
#define MSR_SEV_STATUS 0xc0010131u
#define STATUS_SNP     7u /* SEV, SEV-ES and SNP active */

/* GHCB MSR protocol, section 2.3.1: request and response codes in bits 11:0. */
enum {
    INFO_RESPONSE = 0x001,
    INFO_REQUEST = 0x002,
    REGISTER_REQUEST = 0x012,
    REGISTER_RESPONSE = 0x013,
    TERMINATE_REQUEST = 0x100
};
#define GHCB_VERSION 2

struct cpuid_entry {
    uint32_t leaf, subleaf;
    uint64_t xcr0, xss;
    uint32_t eax, ebx, ecx, edx;
    uint64_t reserved;
};
struct cpuid_page {
    uint32_t count, reserved1;
    uint64_t reserved2;
    struct cpuid_entry entry[START_CPUID_MAX];
};
static_assert(sizeof(struct cpuid_entry) == START_CPUID_SIZE, "CPUID entry");
static_assert(offsetof(struct cpuid_entry, ebx) == START_CPUID_EBX, "CPUID entry");
static_assert(offsetof(struct cpuid_page, entry) == START_CPUID_FIRST, "CPUID page");

/* GHCB page, table 3; volatile, because the host writes it. */
struct ghcb {
    uint8_t pad1[0x1f8];
    uint64_t rax;
    uint8_t pad2[0x390 - 0x200];
    uint64_t exit_code, exit_info_1, exit_info_2, scratch;
    uint8_t pad3[0x3f0 - 0x3b0];
    uint64_t valid[2]; /* a bit for each 8 bytes of the above */
    uint8_t pad4[0xffa - 0x400];
    uint16_t version;
    uint32_t usage;
};
static_assert(sizeof(struct ghcb) == 4096 && offsetof(struct ghcb, version) == 0xffa, "GHCB");

static const struct cpuid_page *const cpuid_page = (const struct cpuid_page *)SHIM_CPUID;
static volatile struct ghcb *const ghcb = (volatile struct ghcb *)(uintptr_t)SHIM_GHCB;

static uint64_t rdmsr(uint32_t msr)
{
    uint32_t low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return low | (uint64_t)high << 32;
}

static void wrmsr(uint32_t msr, uint64_t value)
{
    __asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

static void vmgexit(void)
{
    __asm__ volatile("rep; vmmcall" : : : "memory");
}

static uint64_t msr_call(uint64_t request)
{
    wrmsr(MSR_GHCB, request);
    vmgexit();
    return rdmsr(MSR_GHCB);
}

_Noreturn static void terminate(enum shim_term code)
{
    msr_call(TERMINATE_REQUEST | SHIM_TERM_SET << 12 | (uint64_t)code << 16);
    shim_halt();
}

static const struct cpuid_entry *cpuid(uint32_t leaf)
{
    for (uint32_t i = 0; i < cpuid_page->count; i++)
        if (cpuid_page->entry[i].leaf == leaf && cpuid_page->entry[i].subleaf == 0)
            return &cpuid_page->entry[i];
    return NULL;
}

static void check_cpuid(void)
{
    enum { SEV = 1 << 1, SEV_ES = 1 << 3, SNP = 1 << 4 };
    if (cpuid_page->count == 0 || cpuid_page->count > START_CPUID_MAX)
        terminate(SHIM_TERM_CPUID);
    const struct cpuid_entry *sev = cpuid(0x8000001f);
    if (!sev || (sev->eax & (SEV | SEV_ES | SNP)) != (SEV | SEV_ES | SNP) ||
        1ull << (sev->ebx & 0x3f) != shim_private_mask || !cpuid(1))
        terminate(SHIM_TERM_CPUID);
}

static void check(void)
{
    check_cpuid();
    if ((rdmsr(MSR_SEV_STATUS) & STATUS_SNP) != STATUS_SNP)
        terminate(SHIM_TERM_HOST);
    /* Bits 63:48 the highest and 47:32 the lowest version that the host knows, 31:24 its idea of the C-bit. */
    uint64_t info = msr_call(INFO_REQUEST);
    if ((info & 0xfff) != INFO_RESPONSE || info >> 48 < GHCB_VERSION ||
        (info >> 32 & 0xffff) > GHCB_VERSION || 1ull << (info >> 24 & 0x3f) != shim_private_mask)
        terminate(SHIM_TERM_HOST);
}

static enum shim_accept accept(uint64_t gpa, void *mapped, bool large)
{
    enum { FAIL_SIZEMISMATCH = 6 };
    (void)gpa;
    uint64_t rax = (uintptr_t)mapped;
    bool unchanged;
    /* PVALIDATE: carry means that the page was valid already. */
    __asm__ volatile(".byte 0xf2, 0x0f, 0x01, 0xff"
                     : "+a"(rax), "=@ccc"(unchanged)
                     : "c"((uint64_t)large), "d"(1ull)
                     : "memory");
    if ((uint32_t)rax == FAIL_SIZEMISMATCH && large)
        return ACCEPT_SMALLER;
    return (uint32_t)rax || unchanged ? ACCEPT_FAILED : ACCEPT_DONE;
}

static void open(void)
{
    if (msr_call(SHIM_GHCB | REGISTER_REQUEST) != (SHIM_GHCB | REGISTER_RESPONSE))
        terminate(SHIM_TERM_HOST);
}

static void set_valid(const volatile void *field)
{
    uint64_t bit = ((uintptr_t)field - (uintptr_t)ghcb) / 8;
    ghcb->valid[bit / 64] |= 1ull << bit % 64;
}

/* IOIO_PROT, section 4.1.2: exit information as of APM 2, section 15.10.2. */
static void tell(uint8_t value)
{
    enum { IOIO = 0x7b, OUT_BYTE = 1 << 4, ADDRESS_64 = 1 << 9 };
    ghcb->valid[0] = ghcb->valid[1] = 0;
    ghcb->rax = value;
    ghcb->exit_code = IOIO;
    ghcb->exit_info_1 = (uint64_t)SHIM_PORT << 16 | OUT_BYTE | ADDRESS_64;
    ghcb->exit_info_2 = 0;
    set_valid(&ghcb->rax);
    set_valid(&ghcb->exit_code);
    set_valid(&ghcb->exit_info_1);
    set_valid(&ghcb->exit_info_2);
    ghcb->version = GHCB_VERSION;
    ghcb->usage = 0;
    wrmsr(MSR_GHCB, SHIM_GHCB);
    vmgexit();
    if ((uint32_t)ghcb->exit_info_1)
        terminate(SHIM_TERM_HOST);
}

static void features(struct shim_features *out)
{
    const struct cpuid_entry *seven = cpuid(7);
    out->ssse3 = cpuid(1)->ecx & 1u << 9;
    out->sha = seven && seven->ebx & 1u << 29;
}

const struct shim_tee shim_tee_snp = {
    .kind = BOOT_SNP,
    .check = check,
    .accept = accept,
    .open = open,
    .tell = tell,
    .terminate = terminate,
    .features = features,
};
