#include "vmm/shim/linux.h"

#include "vmm/shim/efi.h"

/* The zero page's fields (Documentation/arch/x86/zero-page.rst) and, from 0x1f1 on, the setup header's. */
enum {
    ACPI_RSDP = 0x070,
    E820_COUNT = LINUX_PARAMS_E820_COUNT,
    SETUP_SECTS = 0x1f1,
    BOOT_FLAG = 0x1fe,
    HEADER_LENGTH = 0x201, /* the header ends at 0x202 plus this byte */
    MAGIC = 0x202,
    VERSION = 0x206,
    LOADER_TYPE = 0x210,
    LOAD_FLAGS = 0x211,
    CODE32_START = 0x214,
    RAMDISK = 0x218,
    RAMDISK_SIZE = 0x21c,
    CMDLINE = 0x228,
    INITRD_MAX = 0x22c,
    ALIGNMENT = 0x230,
    RELOCATABLE = 0x234,
    XLOAD_FLAGS = 0x236,
    CMDLINE_SIZE = 0x238,
    SETUP_DATA = 0x250,
    PREF_ADDRESS = 0x258,
    INIT_SIZE = 0x260,
    HEADER_MIN_END = 0x264, /* as of protocol 2.12: init_size is in it */
    HEADER_MAX_END = 0x290, /* where the zero page has something else again */
    E820_TABLE = LINUX_PARAMS_E820,
};

static uint32_t get(const uint8_t *p, unsigned bytes)
{
    uint32_t v = 0;
    for (unsigned i = 0; i < bytes; i++)
        v |= (uint32_t)p[i] << (8 * i);
    return v;
}

static uint64_t get64(const uint8_t *p)
{
    return get(p, 4) | (uint64_t)get(p + 4, 4) << 32;
}

static void put(uint8_t *p, unsigned bytes, uint64_t v)
{
    for (unsigned i = 0; i < bytes; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static unsigned header_end(const uint8_t *image)
{
    return 0x202u + image[HEADER_LENGTH];
}

bool linux_kernel_parse(struct linux_kernel *out, const uint8_t *image, uint64_t size)
{
    enum { LOADED_HIGH = 1, KERNEL_64 = 1 };
    if (size < LINUX_HEADER_SIZE || get(image + BOOT_FLAG, 2) != 0xaa55 ||
        get(image + MAGIC, 4) != 0x53726448 /* HdrS */ || get(image + VERSION, 2) < 0x020c ||
        header_end(image) < HEADER_MIN_END || header_end(image) > HEADER_MAX_END)
        return false;
    uint32_t sectors = image[SETUP_SECTS] ? image[SETUP_SECTS] : 4;
    *out = (struct linux_kernel){
        .setup_size = (sectors + 1) * 512,
        .init_size = get(image + INIT_SIZE, 4),
        .alignment = get(image + ALIGNMENT, 4),
        .initrd_max = get(image + INITRD_MAX, 4),
        .cmdline_max = get(image + CMDLINE_SIZE, 4),
        .preferred = get64(image + PREF_ADDRESS),
        .relocatable = image[RELOCATABLE] != 0,
    };
    /* The 64-bit entry is 0x200 bytes into the protected-mode part, which runs within init_size. */
    return (image[LOAD_FLAGS] & LOADED_HIGH) && (get(image + XLOAD_FLAGS, 2) & KERNEL_64) &&
           size > (uint64_t)out->setup_size + 0x200 && size - out->setup_size <= out->init_size &&
           out->alignment && (out->alignment & (out->alignment - 1)) == 0;
}

/* The image from its setup part on lies above the shim's memory, and what the kernel needs lies below the initrd. */
static bool fits(const struct linux_place *place, const struct linux_kernel *kernel)
{
    return place->kernel >= (uint64_t)SHIM_END + kernel->setup_size && place->kernel <= place->initrd &&
           kernel->init_size <= place->initrd - place->kernel;
}

static bool place_kernel(struct linux_place *place, const struct linux_kernel *kernel)
{
    const uint64_t alignment = kernel->alignment;
    place->kernel = kernel->preferred;
    if (fits(place, kernel))
        return true;
    place->kernel = (SHIM_END + kernel->setup_size + alignment - 1) & ~(alignment - 1);
    return kernel->relocatable && fits(place, kernel);
}

/* end in whole steps and one more, within RAM. */
static uint64_t accepted_end(uint64_t end, uint64_t ram_low)
{
    end = (end + 2 * RAM_STEP - 1) & ~(RAM_STEP - 1);
    return end < ram_low ? end : ram_low;
}

static void place_accepted(struct linux_place *place, const struct linux_kernel *kernel, uint64_t ram_low,
                           uint64_t initrd_size)
{
    struct linux_range low = {SHIM_END,
                              accepted_end(place->kernel + kernel->init_size + LINUX_ROOM, ram_low)};
    struct linux_range initrd = {place->initrd & ~(RAM_STEP - 1),
                                 accepted_end(place->initrd + initrd_size, ram_low)};
    if (initrd_size == 0)
        initrd = (struct linux_range){low.end, low.end};
    else if (initrd.start <= low.end) {
        low.end = initrd.end > low.end ? initrd.end : low.end;
        initrd = (struct linux_range){low.end, low.end};
    }
    place->accepted[0] = low;
    place->accepted[1] = initrd;
}

bool linux_place(struct linux_place *place, const struct linux_kernel *kernel, uint64_t ram_low,
                 uint64_t initrd_size)
{
    uint64_t end = ram_low;
    if (initrd_size && (uint64_t)kernel->initrd_max + 1 < end)
        end = (uint64_t)kernel->initrd_max + 1;
    if (initrd_size > end)
        return false;
    place->initrd = (end - initrd_size) & ~0xfffull;
    if (!place_kernel(place, kernel))
        return false;
    place_accepted(place, kernel, ram_low, initrd_size);
    return true;
}

bool linux_cmdline_fits(const struct linux_kernel *kernel, uint32_t tee, uint64_t size)
{
    uint64_t before = tee == BOOT_PLAIN ? 0 : EFI_NO_RUNTIME_SIZE;
    return size <= kernel->cmdline_max && before <= kernel->cmdline_max - size;
}

/* Is what stands at text this word, by itself? */
static bool word_is(const char *text, const char *word)
{
    while (*word && *text == *word)
        text++, word++;
    return *word == 0 && (*text == 0 || *text == ' ');
}

bool linux_cmdline_eager(const char *cmdline)
{
    bool quoted = false;
    for (const char *at = cmdline; *at; at++) {
        if (!quoted && (at == cmdline || at[-1] == ' ')) {
            if (word_is(at, "--"))
                return false;
            if (word_is(at, "accept_memory=eager"))
                return true;
        }
        quoted ^= *at == '"';
    }
    return false;
}

/* In ascending order; what continues the range before it becomes part of that. */
static void e820_add(uint8_t *params, uint64_t start, uint64_t end, uint32_t type)
{
    uint8_t *entry = params + E820_TABLE + 20u * params[E820_COUNT], *last = entry - 20;
    if (params[E820_COUNT] && get(last + 16, 4) == type && get64(last) + get64(last + 8) == start) {
        put(last + 8, 8, end - get64(last));
        return;
    }
    params[E820_COUNT]++;
    put(entry, 8, start);
    put(entry + 8, 8, end - start);
    put(entry + 16, 4, type);
}

/*
 * Everything between 1 and 2 MiB is kept from Linux: it holds pages that it reads throughout its life. Where a guest's
 * own accesses choose between private and shared (TDX), Linux maps memory that is merely reserved as the host's; what it
 * reads there is NVS to it, which it maps as its own (__ioremap_check_encrypted).
 */
static void e820_fill(uint8_t *params, const struct shim_boot_page *boot)
{
    const bool tdx = boot->tee == BOOT_TDX;
    e820_add(params, 0, 0xa0000, E820_RAM);
    e820_add(params, 0xa0000, SHIM_MAILBOX, E820_RESERVED);
    e820_add(params, SHIM_MAILBOX, SHIM_ACPI, tdx ? E820_NVS : E820_RESERVED);
    e820_add(params, SHIM_ACPI, SHIM_ACPI + SHIM_ACPI_SIZE, E820_ACPI);
    e820_add(params, SHIM_ACPI + SHIM_ACPI_SIZE, SHIM_LOG, E820_RESERVED);
    e820_add(params, SHIM_LOG, SHIM_END, tdx ? E820_NVS : E820_RESERVED);
    e820_add(params, SHIM_END, boot->ram[0].size, E820_RAM);
    e820_add(params, PCI_ECAM_BASE, PCI_ECAM_BASE + PCI_ECAM_SIZE, E820_RESERVED);
    if (tdx)
        e820_add(params, SHIM_RESET, RAM_HIGH, E820_RESERVED);
    if (boot->ram_count > 1)
        e820_add(params, RAM_HIGH, RAM_HIGH + boot->ram[1].size, E820_RAM);
}

void linux_params_fill(uint8_t params[static LINUX_PARAMS_SIZE], const struct linux_params *in)
{
    enum { UNKNOWN_LOADER = 0xff };
    for (unsigned i = 0; i < LINUX_PARAMS_SIZE; i++)
        params[i] = 0;
    for (unsigned i = SETUP_SECTS; i < header_end(in->image); i++)
        params[i] = in->image[i];
    params[LOADER_TYPE] = UNKNOWN_LOADER;
    put(params + CODE32_START, 4, in->place->kernel);
    if (in->boot->initrd.size) {
        put(params + RAMDISK, 4, in->place->initrd);
        put(params + RAMDISK_SIZE, 4, in->boot->initrd.size);
    }
    put(params + CMDLINE, 4, in->cmdline);
    put(params + SETUP_DATA, 8, in->setup_data);
    put(params + ACPI_RSDP, 8, SHIM_ACPI);
    e820_fill(params, in->boot);
}

void linux_cc_fill(uint8_t out[static LINUX_CC_SIZE], uint32_t address)
{
    enum { SETUP_CC_BLOB = 7, BLOB = 24, VERSION_1 = 1 };
    for (unsigned i = 0; i < LINUX_CC_SIZE; i++)
        out[i] = 0;
    put(out + 8, 4, SETUP_CC_BLOB); /* struct setup_data: next, type, len; then the blob's address */
    put(out + 12, 4, 4);
    put(out + 16, 4, address + BLOB);
    put(out + BLOB, 4, 0x45444d41); /* AMDE */
    put(out + BLOB + 4, 2, VERSION_1);
    put(out + BLOB + 8, 8, SHIM_SECRETS);
    put(out + BLOB + 16, 4, 4096);
    put(out + BLOB + 24, 8, SHIM_CPUID);
    put(out + BLOB + 32, 4, 4096);
}

bool shim_ram_valid(const struct shim_boot_page *boot)
{
    const struct shim_ram *ram = boot->ram;
    if (boot->ram_count < 1 || boot->ram_count > 2 || ram[0].gpa != 0 || ram[0].size % RAM_STEP ||
        ram[0].size <= SHIM_END || ram[0].size > RAM_LOW_END)
        return false;
    return boot->ram_count == 1 || (ram[0].size == RAM_LOW_END && ram[1].gpa == RAM_HIGH && ram[1].size &&
                                    ram[1].size % RAM_STEP == 0 && ram[1].size <= RAM_END - RAM_HIGH);
}
