#include "tests/lab/svsm/guest.h"

#include <string.h>

#include "tests/lab/svsm/host.h"
#include "tests/lab/svsm/layout.h"
#include "vmm/shim/abi.h"
#include "vmm/shim/linux.h"

/* What it is given, in pages from SVSM_GIVEN on. */
enum {
    PARAMS,
    CC_BLOB,
    SECRETS,
    CALLING_AREA,
    PML4,
    PDPT,
    PD,
    CMDLINE = PD + 4,
    CMDLINE_PAGES = 17,
    GIVEN = CMDLINE + CMDLINE_PAGES
};
#define AT(page) (SVSM_GIVEN + (uint64_t)(page)*PAGE_SIZE)

/* Of boot_params (Documentation/arch/x86/zero-page.rst, boot.rst). */
enum {
    E820_COUNT = 0x1e8,
    EFI_SIGNATURE = 0x1c0,
    SETUP_HEADER = 0x1f1,
    HEADER_LENGTH = 0x201,
    LOADER_TYPE = 0x210,
    CODE32_START = 0x214,
    RAMDISK = 0x218,
    RAMDISK_SIZE = 0x21c,
    CMDLINE_AT = 0x228,
    SETUP_DATA = 0x250,
    E820_TABLE = 0x2d0,
    E820_MAX = 128,
};
struct __attribute__((packed)) e820_entry {
    uint64_t address, size;
    uint32_t type;
};

static uint64_t ram_end;
static uint64_t owned[RAM_LOW_END / PAGE_SIZE / 64]; /* a bit for each page that the guest has, validated */
static _Alignas(4096) struct snp_vmsa vmsa;
static struct calling_area *calling_area = (struct calling_area *)AT(CALLING_AREA);

static bool is_owned(uint64_t gfn)
{
    return gfn < ram_end / PAGE_SIZE && owned[gfn / 64] >> gfn % 64 & 1;
}

static void own(uint64_t gpa, bool large, bool is)
{
    for (uint64_t gfn = gpa / PAGE_SIZE, end = gfn + (large ? 512 : 1); gfn < end; gfn++)
        owned[gfn / 64] = (owned[gfn / 64] & ~(1ull << gfn % 64)) | (uint64_t)is << gfn % 64;
}

/* Never the guest's: the SVSM, what the shim left in its MiB, and what is no RAM. */
static bool is_reserved(uint64_t start, uint64_t end)
{
    return end > ram_end || (start < SVSM_END && end > SVSM_BASE) || (start < SHIM_END && end > SHIM_BASE);
}

static void give(uint64_t gpa, bool large)
{
    if (host_rmpadjust(gpa, large, RMPADJUST_ALL | GUEST_VMPL) != 0)
        svsm_end(SVSM_MEMORY);
    own(gpa, large, true);
}

static void give_pages(uint64_t start, uint64_t end)
{
    for (uint64_t gpa = start; gpa < end; gpa += PAGE_SIZE)
        give(gpa, false);
}

/* All that the shim accepted: page by page below its own memory, then in large pages. */
static void give_memory(void)
{
    give_pages(0, SHIM_BASE);
    give_pages(SHIM_CPUID, SHIM_CPUID + PAGE_SIZE);
    give_pages(SHIM_ACPI, SHIM_ACPI + SHIM_ACPI_SIZE);
    for (uint64_t gpa = SHIM_END; gpa < ram_end; gpa += LARGE_PAGE)
        if (!is_reserved(gpa, gpa + LARGE_PAGE))
            give(gpa, true);
    give_pages(AT(0), AT(GIVEN));
}

void *guest_memory(uint64_t gpa, size_t len)
{
    if (len == 0 || len > ram_end || gpa > ram_end - len)
        return NULL;
    for (uint64_t gfn = gpa / PAGE_SIZE; gfn <= (gpa + len - 1) / PAGE_SIZE; gfn++)
        if (!is_owned(gfn))
            return NULL;
    return (void *)gpa;
}

static bool may_change(uint64_t gpa, bool large)
{
    const uint64_t size = large ? LARGE_PAGE : PAGE_SIZE;
    return gpa % size == 0 && gpa < ram_end && !is_reserved(gpa, gpa + size);
}

int guest_validate(uint64_t gpa, bool large)
{
    bool unchanged;
    if (!may_change(gpa, large))
        return GUEST_NO_MEMORY;
    const unsigned status = host_pvalidate(gpa, large, true, &unchanged);
    if (status || unchanged)
        return status ? (int)status : GUEST_UNCHANGED;
    memset((void *)gpa, 0, large ? LARGE_PAGE : PAGE_SIZE); /* not what the host left there */
    give(gpa, large);
    return 0;
}

int guest_rescind(uint64_t gpa, bool large)
{
    bool unchanged;
    if (!may_change(gpa, large))
        return GUEST_NO_MEMORY;
    const unsigned adjusted = host_rmpadjust(gpa, large, GUEST_VMPL);
    if (adjusted)
        return (int)adjusted;
    const unsigned status = host_pvalidate(gpa, large, false, &unchanged);
    if (status == 0)
        own(gpa, large, false);
    return status ? (int)status : unchanged ? GUEST_UNCHANGED : 0;
}

struct snp_vmsa *guest_vmsa(void)
{
    return &vmsa;
}

struct calling_area *guest_calling_area(void)
{
    return calling_area;
}

bool guest_move_calling_area(uint64_t gpa)
{
    struct calling_area *to = gpa % PAGE_SIZE ? NULL : guest_memory(gpa, sizeof *to);
    if (!to)
        return false;
    to->call_pending = 0;
    calling_area->call_pending = 0; /* of the call that asked for it */
    calling_area = to;
    return true;
}

/* RAM without the SVSM's, which is reserved; the shim's map is in order. */
static void fill_e820(uint8_t *params)
{
    struct e820_entry *const table = (struct e820_entry *)(params + E820_TABLE);
    uint8_t *const count = params + E820_COUNT;
    for (uint8_t i = 0; i < *count; i++) {
        struct e820_entry *e = &table[i];
        const uint64_t end = e->address + e->size;
        if (e->type != E820_RAM || e->address > SVSM_BASE || end < SVSM_END)
            continue;
        if (*count > E820_MAX - 2)
            svsm_end(SVSM_BOOT);
        memmove(e + 3, e + 1, (size_t)(*count - i - 1) * sizeof *e);
        e->size = SVSM_BASE - e->address;
        e[1] = (struct e820_entry){SVSM_BASE, SVSM_END - SVSM_BASE, E820_RESERVED};
        e[2] = (struct e820_entry){SVSM_END, end - SVSM_END, E820_RAM};
        *count += 2;
        return;
    }
    svsm_end(SVSM_BOOT);
}

/* RAM is one piece, below what must be addressed by more than 32 bits. */
static uint64_t find_ram(const uint8_t *params)
{
    const struct e820_entry *table = (const struct e820_entry *)(params + E820_TABLE);
    uint64_t end = 0;
    for (uint8_t i = 0; i < params[E820_COUNT]; i++)
        if (table[i].type == E820_RAM)
            end = table[i].address + table[i].size;
    if (end > RAM_LOW_END || end < SVSM_END || end % LARGE_PAGE)
        svsm_end(SVSM_BOOT);
    return end;
}

static void put(uint8_t *at, uint64_t value, unsigned bytes)
{
    memcpy(at, &value, bytes);
}

static uint32_t get32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

/* The bzImage to where it wants to be, and its header into the parameters. */
static uint64_t load_linux(uint8_t *params)
{
    const struct svsm_payload *payload = (const struct svsm_payload *)(SVSM_BASE + SVSM_PAYLOAD);
    const uint8_t *image = (const uint8_t *)payload->address;
    struct linux_kernel kernel;
    if (!linux_kernel_parse(&kernel, image, payload->size))
        svsm_end(SVSM_BOOT);
    const uint64_t to = kernel.preferred, end = to + kernel.init_size;
    if (to < SHIM_END || end < to || end > SVSM_BASE)
        svsm_end(SVSM_BOOT);
    memcpy((void *)to, image + kernel.setup_size, payload->size - kernel.setup_size);
    memcpy(params + SETUP_HEADER, image + SETUP_HEADER, 0x202u + image[HEADER_LENGTH] - SETUP_HEADER);
    return to;
}

static void fill_params(const uint8_t *shims, uint64_t *entry)
{
    enum { ENTRY_64 = 0x200, UNKNOWN_LOADER = 0xff };
    uint8_t *params = (uint8_t *)AT(PARAMS), *cmdline = (uint8_t *)AT(CMDLINE);
    const uint32_t ramdisk = get32(shims + RAMDISK), ramdisk_size = get32(shims + RAMDISK_SIZE);
    memcpy(params, shims, PAGE_SIZE);
    *entry = load_linux(params) + ENTRY_64;
    fill_e820(params);
    params[LOADER_TYPE] = UNKNOWN_LOADER;
    put(params + CODE32_START, *entry - ENTRY_64, 4);
    put(params + RAMDISK, ramdisk, 4);
    put(params + RAMDISK_SIZE, ramdisk_size, 4);
    put(params + CMDLINE_AT, AT(CMDLINE), 4);
    put(params + SETUP_DATA, AT(CC_BLOB), 8);
    strncpy((char *)cmdline, (const char *)(uintptr_t)get32(shims + CMDLINE_AT),
            CMDLINE_PAGES * PAGE_SIZE - 1);
}

/* The secrets page of its VMPL: no key of another's, and where its SVSM is (58019, chapter 4). The CC blob says where that page is. */
static void fill_secrets(const struct snp_secrets_page *shims)
{
    struct snp_secrets_page *secrets = (struct snp_secrets_page *)AT(SECRETS);
    uint8_t *blob = (uint8_t *)AT(CC_BLOB);
    memcpy(secrets, shims, sizeof *secrets);
    memset(secrets->vmpck[0], 0, GUEST_VMPL * sizeof secrets->vmpck[0]);
    secrets->svsm_base = SVSM_BASE;
    secrets->svsm_size = SVSM_END - SVSM_BASE;
    secrets->svsm_caa = AT(CALLING_AREA);
    secrets->svsm_max_version = 1;
    secrets->svsm_guest_vmpl = GUEST_VMPL;
    linux_cc_fill(blob, AT(CC_BLOB));
    put(blob + 24 + 8, AT(SECRETS), 8); /* struct cc_blob_sev_info's, behind struct setup_data */
}

static void fill_tables(void)
{
    uint64_t *pml4 = (uint64_t *)AT(PML4), *pdpt = (uint64_t *)AT(PDPT), *pd = (uint64_t *)AT(PD);
    memset(pml4, 0, PAGE_SIZE);
    memset(pdpt, 0, PAGE_SIZE);
    for (uint64_t i = 0; i < 4 * 512; i++)
        pd[i] = i * LARGE_PAGE | 0x83 | host_private_mask;
    for (uint64_t i = 0; i < 4; i++)
        pdpt[i] = AT(PD + i) | 3 | host_private_mask;
    pml4[0] = AT(PDPT) | 3 | host_private_mask;
}

/* Linux's 64-bit entry (boot.rst): paging on, everything mapped to itself, RSI at the parameters, interrupts off. */
static void fill_vmsa(uint64_t entry, uint64_t sev_features)
{
    const struct snp_segment code = {0x10, 0xa9b, 0xffffffff, 0}, data = {0x18, 0xc93, 0xffffffff, 0};
    vmsa = (struct snp_vmsa){
        .es = data,
        .cs = code,
        .ss = data,
        .ds = data,
        .fs = data,
        .gs = data,
        .tr = {0, 0x8b, 0xffff, 0},
        .ldtr = {0, 0x82, 0xffff, 0},
        .vmpl = GUEST_VMPL,
        .efer = 1ull << 12 | 1 << 10 | 1 << 8, /* SVME, LMA, LME */
        .cr4 = 1 << 6 | 1 << 5,                /* MCE, PAE */
        .cr3 = AT(PML4),
        .cr0 = 0x80000033,
        .dr7 = 0x400,
        .dr6 = 0xffff0ff0,
        .rflags = 2,
        .rip = entry,
        .rsi = AT(PARAMS),
        .rsp = AT(CMDLINE), /* nothing of it is needed */
        .g_pat = 0x0007040600070406,
        .sev_features = sev_features,
        .xcr0 = 1,
        .mxcsr = 0x1f80,
        .x87_fcw = 0x37f,
        .x87_ftw = 0xffff,
    };
}

void guest_make(const uint8_t *boot_params, const struct snp_secrets_page *secrets)
{
    const uint64_t sev_features = rdmsr(0xc0010131) >> 2; /* SEV_STATUS */
    uint64_t entry;
    ram_end = find_ram(boot_params);
    if (get32(boot_params + EFI_SIGNATURE)) /* memory that the shim has left for Linux to accept */
        svsm_end(SVSM_BOOT);
    memset((void *)AT(0), 0, GIVEN * PAGE_SIZE);
    fill_params(boot_params, &entry);
    fill_secrets(secrets);
    fill_tables();
    fill_vmsa(entry, sev_features);
    give_memory();
    if (host_rmpadjust((uintptr_t)&vmsa, false, RMPADJUST_VMSA | GUEST_VMPL) != 0)
        svsm_end(SVSM_MEMORY);
    host_create_vmpl(GUEST_VMPL, (uintptr_t)&vmsa, sev_features);
}
