#include "tests/lab/svsm/host.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "tests/lab/svsm/layout.h"
#include "vmm/shim/abi.h"

#define MSR_GHCB     0xc0010130u
#define GHCB_VERSION 2

/* The MSR protocol (56421, 2.3.1). */
enum {
    REGISTER_REQUEST = 0x012,
    REGISTER_RESPONSE = 0x013,
    PAGE_STATE_REQUEST = 0x014,
    PAGE_STATE_RESPONSE = 0x015,
    TERMINATE_REQUEST = 0x100
};
#define PAGE_STATE_SHARED 2ull

/* The page (table 3), written by the host, too. */
struct ghcb {
    uint8_t reserved_000[0x1f8];
    uint64_t rax;
    uint8_t reserved_200[0x318 - 0x200];
    uint64_t rbx;
    uint8_t reserved_320[0x390 - 0x320];
    uint64_t exit_code, exit_info_1, exit_info_2, scratch;
    uint8_t reserved_3b0[0x3f0 - 0x3b0];
    uint64_t valid[2];
    uint8_t reserved_400[0xffa - 0x400];
    uint16_t version;
    uint32_t usage;
};
static_assert(offsetof(struct ghcb, exit_code) == 0x390 && offsetof(struct ghcb, rbx) == 0x318 &&
                  sizeof(struct ghcb) == PAGE_SIZE,
              "GHCB");
enum {
    GUEST_REQUEST = 0x80000011,
    EXTENDED_REQUEST = 0x80000012,
    AP_CREATION = 0x80000013,
    RUN_VMPL = 0x80000018
};

enum { SHARED_GHCB, SHARED_REQUEST, SHARED_RESPONSE, SHARED_CERTIFICATES, SHARED_PAGES = 8 };
#define SHARED(page) (SVSM_SHARED + (page)*PAGE_SIZE)
static volatile struct ghcb *const ghcb = (volatile struct ghcb *)SHARED(SHARED_GHCB);

uint64_t host_private_mask;

extern const uint8_t svsm_vectors[]; /* entry.S */
_Noreturn void svsm_exception(unsigned vector, uint64_t instruction, uint64_t code);

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

_Noreturn void svsm_end(unsigned why)
{
    (void)msr_call(TERMINATE_REQUEST | SVSM_TERM_SET << 12 | (uint64_t)why << 16);
    for (;;)
        __asm__ volatile("cli; hlt");
}

_Noreturn void svsm_exception(unsigned vector, uint64_t instruction, uint64_t code)
{
    (void)instruction, (void)code; /* for a debugger's eyes */
    svsm_end(SVSM_AT_VECTOR | vector);
}

unsigned host_pvalidate(uint64_t gpa, bool large, bool validate, bool *unchanged)
{
    uint64_t rax = gpa;
    __asm__ volatile(".byte 0xf2, 0x0f, 0x01, 0xff"
                     : "+a"(rax), "=@ccc"(*unchanged)
                     : "c"((uint64_t)large), "d"((uint64_t)validate)
                     : "memory");
    return (unsigned)rax;
}

unsigned host_rmpadjust(uint64_t gpa, bool large, uint64_t attributes)
{
    uint64_t rax = gpa;
    __asm__ volatile(".byte 0xf3, 0x0f, 0x01, 0xfe"
                     : "+a"(rax)
                     : "c"((uint64_t)large), "d"(attributes)
                     : "memory", "cc");
    return (unsigned)rax;
}

/* Its own tables: the shim's lie where others may come to lie. */
#define LEAF    0x83ull /* present, writable, large */
#define PRESENT 0x03ull
static _Alignas(4096) uint64_t pml4[512], pdpt[512], pd[4][512], shared_pt[512];

static void make_tables(void)
{
    const uint64_t mask = host_private_mask;
    for (uint64_t i = 0; i < 4 * 512; i++)
        pd[i / 512][i % 512] = i * LARGE_PAGE | LEAF | mask;
    for (uint64_t i = 0; i < 512; i++)
        shared_pt[i] = (SVSM_SHARED + i * PAGE_SIZE) | PRESENT | (i < SHARED_PAGES ? 0 : mask);
    pd[SVSM_SHARED >> 30][SVSM_SHARED >> 21 & 511] = (uintptr_t)shared_pt | PRESENT | mask;
    for (unsigned i = 0; i < 4; i++)
        pdpt[i] = (uintptr_t)pd[i] | PRESENT | mask;
    pml4[0] = (uintptr_t)pdpt | PRESENT | mask;
}

static void catch_exceptions(void)
{
    static struct gate {
        uint16_t low, selector, type, middle;
        uint32_t high, reserved;
    } idt[32];
    const struct __attribute__((packed)) {
        uint16_t limit;
        uint64_t base;
    } pointer = {sizeof idt - 1, (uintptr_t)idt};
    for (unsigned i = 0; i < 32; i++) {
        const uintptr_t at = (uintptr_t)svsm_vectors + 16 * i;
        idt[i] = (struct gate){(uint16_t)at, 0x10, 0x8e00, (uint16_t)(at >> 16), 0, 0};
    }
    __asm__ volatile("lidt %0" : : "m"(pointer));
}

static void share(uint64_t gpa)
{
    bool unchanged;
    if (host_pvalidate(gpa, false, false, &unchanged) != 0 || unchanged)
        svsm_end(SVSM_MEMORY);
    if (msr_call(gpa | PAGE_STATE_SHARED << 52 | PAGE_STATE_REQUEST) != PAGE_STATE_RESPONSE)
        svsm_end(SVSM_HOST);
}

static void register_ghcb(void)
{
    if (msr_call(SHARED(SHARED_GHCB) | REGISTER_REQUEST) != (SHARED(SHARED_GHCB) | REGISTER_RESPONSE))
        svsm_end(SVSM_HOST);
}

void host_open(void)
{
    catch_exceptions();
    make_tables();
    for (uint64_t i = 0; i < SHARED_PAGES; i++)
        share(SHARED(i));
    __asm__ volatile("mov %0, %%cr3" : : "r"((uintptr_t)pml4) : "memory");
    register_ghcb();
}

static void set_valid(const volatile void *field)
{
    const uint64_t bit = ((uintptr_t)field - (uintptr_t)ghcb) / 8;
    ghcb->valid[bit / 64] |= 1ull << bit % 64;
}

static void request(uint64_t code, uint64_t info_1, uint64_t info_2, uint64_t rax, uint64_t rbx)
{
    ghcb->valid[0] = ghcb->valid[1] = 0;
    ghcb->rax = rax;
    ghcb->rbx = rbx;
    ghcb->exit_code = code;
    ghcb->exit_info_1 = info_1;
    ghcb->exit_info_2 = info_2;
    set_valid(&ghcb->rax);
    set_valid(&ghcb->rbx);
    set_valid(&ghcb->exit_code);
    set_valid(&ghcb->exit_info_1);
    set_valid(&ghcb->exit_info_2);
    ghcb->version = GHCB_VERSION;
    ghcb->usage = 0;
    wrmsr(MSR_GHCB, SHARED(SHARED_GHCB));
    vmgexit();
    if ((uint32_t)ghcb->exit_info_1)
        svsm_end(SVSM_HOST);
}

void host_create_vmpl(unsigned vmpl, uint64_t vmsa, uint64_t sev_features)
{
    enum { CREATE = 1 };
    request(AP_CREATION, (uint64_t)vmpl << 16 | CREATE, vmsa, sev_features, 0); /* of APIC ID 0 */
}

void host_run_vmpl(unsigned vmpl)
{
    request(RUN_VMPL, vmpl, 0, 0, 0);
}

void *host_request(void)
{
    return (void *)SHARED(SHARED_REQUEST);
}

const void *host_response(void)
{
    return (const void *)SHARED(SHARED_RESPONSE);
}

uint64_t host_ask_firmware(uint8_t *certificates)
{
    memset((void *)SHARED(SHARED_RESPONSE), 0, PAGE_SIZE);
    memset((void *)SHARED(SHARED_CERTIFICATES), 0, HOST_CERTIFICATES);
    request(certificates ? EXTENDED_REQUEST : GUEST_REQUEST, SHARED(SHARED_REQUEST), SHARED(SHARED_RESPONSE),
            SHARED(SHARED_CERTIFICATES), HOST_CERTIFICATES / PAGE_SIZE);
    if (certificates)
        memcpy(certificates, (const void *)SHARED(SHARED_CERTIFICATES), HOST_CERTIFICATES);
    return ghcb->exit_info_2;
}
