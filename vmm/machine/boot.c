#include "vmm/machine/boot.h"

#include <limits.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/file.h"
#include "vmm/machine/acpi.h"
#include "vmm/shim/efi.h"
#include "vmm/shim/event.h"
#include "vmm/shim/linux.h"

#define MIB (1ull << 20)

unsigned boot_ram(uint64_t memory, struct shim_ram ram[2])
{
    ram[0] = (struct shim_ram){0, memory < RAM_LOW_END ? memory : RAM_LOW_END};
    ram[1] = (struct shim_ram){0, 0};
    if (memory <= RAM_LOW_END)
        return 1;
    ram[1] = (struct shim_ram){RAM_HIGH, memory - RAM_LOW_END};
    return 2;
}

static int check_tee(uint32_t tee, struct cofre_err *err)
{
    return tee <= BOOT_TDX ? 0 : cofre_fail(err, COFRE_USAGE, "the shim knows no TEE of number %u", tee);
}

int boot_check_numbers(const struct boot_config *config, struct cofre_err *err)
{
    if (config->cpus < 1 || config->cpus > BOOT_CPUS_MAX)
        return cofre_fail(err, COFRE_USAGE, "a guest has 1 to %d vCPUs, not %u", BOOT_CPUS_MAX, config->cpus);
    if (config->memory < BOOT_MEMORY_MIN || config->memory > BOOT_MEMORY_MAX)
        return cofre_fail(err, COFRE_USAGE, "a guest has %llu MiB to %llu MiB of memory, not %llu MiB",
                          BOOT_MEMORY_MIN / MIB, BOOT_MEMORY_MAX / MIB,
                          (unsigned long long)(config->memory / MIB));
    if (config->memory % RAM_STEP)
        return cofre_fail(err, COFRE_USAGE, "a guest's memory is a multiple of 2 MiB, and %llu bytes are not",
                          (unsigned long long)config->memory);
    return check_tee(config->tee, err);
}

static int check_shim(const struct boot_config *config, struct cofre_err *err)
{
    if (config->shim.len == 0 || config->shim.len > SHIM_MAX_SIZE)
        return cofre_fail(err, COFRE_MALFORMED, "the shim has %zu bytes; it must have 1 to %d",
                          config->shim.len, SHIM_MAX_SIZE);
    return 0;
}

/* What the shim will find out for itself after the launch is said here before it, in words. */
static int check_linux(const struct boot_config *config, struct cofre_err *err)
{
    struct linux_kernel kernel;
    struct linux_place place;
    struct shim_ram ram[2];
    if (!linux_kernel_parse(&kernel, config->kernel.data, config->kernel.len))
        return cofre_fail(
            err, COFRE_MALFORMED,
            "the kernel is not a bzImage with a 64-bit entry (boot protocol 2.12 or later, Linux 3.8)");
    if (!linux_cmdline_fits(&kernel, config->tee, config->cmdline.len))
        return cofre_fail(err, COFRE_USAGE, "the command line has %zu bytes; this kernel takes %zu",
                          config->cmdline.len,
                          kernel.cmdline_max - (config->tee == BOOT_PLAIN ? 0 : EFI_NO_RUNTIME_SIZE));
    if (config->cmdline.len && memchr(config->cmdline.data, 0, config->cmdline.len))
        return cofre_fail(err, COFRE_USAGE, "the command line has a zero byte in it");
    boot_ram(config->memory, ram);
    if (!linux_place(&place, &kernel, ram[0].size, config->initrd.len))
        return cofre_fail(
            err, COFRE_USAGE,
            "%llu MiB of memory are too little for this kernel (it needs %u MiB to unpack itself, from "
            "%llu MiB on) with an initrd of %zu MiB: give the guest more memory",
            (unsigned long long)(config->memory / MIB), (unsigned)(kernel.init_size / MIB + 1),
            (unsigned long long)(kernel.preferred / MIB), (size_t)(config->initrd.len / MIB + 1));
    return 0;
}

int boot_staging_layout(const struct boot_config *config, struct boot_staging *out, struct cofre_err *err)
{
    const uint64_t window = STAGING_END - STAGING_BASE;
    uint64_t initrd = SHIM_PAGE_UP((uint64_t)config->kernel.len);
    uint64_t cmdline = initrd + SHIM_PAGE_UP((uint64_t)config->initrd.len);
    uint64_t size = cmdline + SHIM_PAGE_UP((uint64_t)config->cmdline.len);
    if (config->kernel.len > window || config->initrd.len > window || config->cmdline.len > window ||
        size > window)
        return cofre_fail(
            err, COFRE_USAGE,
            "kernel (%zu bytes), initrd (%zu bytes) and command line do not fit into the %llu KiB through "
            "which they reach the guest",
            config->kernel.len, config->initrd.len, (unsigned long long)(window / 1024));
    *out = (struct boot_staging){0, (uint32_t)initrd, (uint32_t)cmdline, (uint32_t)size};
    return 0;
}

static void put(uint8_t *to, struct view from)
{
    if (from.len)
        memcpy(to, from.data, from.len);
}

/* What the image's data is built in: whole pages. */
struct storage {
    uint8_t shim[SHIM_MAX_SIZE];
    struct shim_boot_page boot;
    uint8_t acpi[SHIM_ACPI_SIZE];
    uint8_t reset[4096];
};
#define NO_DATA    SIZE_MAX
#define RANGES_MAX 6

/* What each TEE wants of its image. */
static const struct boot_kind {
    const char *shim;                                                                    /* file name */
    unsigned char *(*digest)(const unsigned char *data, size_t len, unsigned char *out); /* NULL: none */
    bool registers; /* the shim extends run-time registers with what it takes from the boot page */
    struct acpi_config acpi;
    struct {
        enum launch_page_kind kind;
        uint64_t gpa;
        size_t len, data; /* bytes; offset in struct storage, or NO_DATA */
    } range[RANGES_MAX];
} boot_kind[] = {
#define RANGE_SHIM                                                                                           \
    {                                                                                                        \
        LAUNCH_MEASURED, SHIM_BASE, SHIM_MAX_SIZE, offsetof(struct storage, shim)                            \
    }
#define RANGE_BOOT(kind)                                                                                     \
    {                                                                                                        \
        kind, SHIM_BOOT_PAGE, sizeof(struct shim_boot_page), offsetof(struct storage, boot)                  \
    }
#define RANGE_ACPI                                                                                           \
    {                                                                                                        \
        LAUNCH_MEASURED, SHIM_ACPI, SHIM_ACPI_SIZE, offsetof(struct storage, acpi)                           \
    }
#define RANGE_ZERO                                                                                           \
    {                                                                                                        \
        LAUNCH_ZERO, SHIM_ZERO, SHIM_OWN - SHIM_ZERO, NO_DATA                                                \
    }
    [BOOT_PLAIN] = {.shim = "cofre-shim.bin",
                    .range = {RANGE_SHIM, RANGE_BOOT(LAUNCH_MEASURED), RANGE_ACPI, RANGE_ZERO}},
    [BOOT_SNP] = {.shim = "cofre-shim.bin",
                  .digest = SHA256,
                  .range = {RANGE_SHIM,
                            RANGE_BOOT(LAUNCH_MEASURED),
                            {LAUNCH_CPUID, SHIM_CPUID, 4096, NO_DATA},
                            {LAUNCH_SECRETS, SHIM_SECRETS, 4096, NO_DATA},
                            RANGE_ACPI,
                            RANGE_ZERO}},
    [BOOT_TDX] = {.shim = "cofre-shim-tdx.bin",
                  .digest = SHA384,
                  .registers = true,
                  .acpi = {.mailbox = SHIM_MAILBOX, .log = SHIM_LOG, .log_size = SHIM_LOG_SIZE, .log_tee = 2},
                  .range = {RANGE_SHIM,
                            RANGE_BOOT(LAUNCH_UNMEASURED),
                            {LAUNCH_ZERO, SHIM_MAILBOX, 4096, NO_DATA},
                            RANGE_ACPI,
                            RANGE_ZERO,
                            {LAUNCH_MEASURED, SHIM_RESET, 4096, offsetof(struct storage, reset)}}},
};

static struct shim_item item(const struct boot_kind *kind, struct view v)
{
    struct shim_item item = {.size = v.len};
    if (v.len && kind->digest)
        kind->digest(v.data, v.len, item.digest);
    return item;
}

static void fill_boot_page(struct shim_boot_page *page, const struct boot_config *config)
{
    const struct boot_kind *kind = &boot_kind[config->tee];
    page->magic = SHIM_BOOT_MAGIC;
    page->tee = config->tee;
    page->ram_count = boot_ram(config->memory, page->ram);
    page->kernel = item(kind, config->kernel);
    page->initrd = item(kind, config->initrd);
    page->cmdline = item(kind, config->cmdline);
}

/* Where a TEE's CPUs start below 4 GiB, in the shim's own mode: a jump to it. */
static void fill_reset_page(uint8_t page[static 4096])
{
    enum { VECTOR = 0xff0, JUMP = 0xe9, LENGTH = 5 };
    page[VECTOR] = JUMP;
    put_le32(page + VECTOR + 1, (uint32_t)SHIM_BASE - (SHIM_RESET + VECTOR + LENGTH));
}

static void add_ranges(struct launch_image *image, const struct boot_kind *kind)
{
    for (size_t i = 0; i < RANGES_MAX && kind->range[i].len; i++)
        image->range[image->count++] = (struct launch_range){
            kind->range[i].kind, kind->range[i].gpa, kind->range[i].len,
            kind->range[i].data == NO_DATA ? NULL : image->storage.data + kind->range[i].data};
}

/* The shim hashes what it copied; where that is what we staged, the digests are the boot page's. */
static void add_events(struct launch_image *image, const struct shim_boot_page *page)
{
    const struct shim_item *const items[EVENT_COUNT] = {
        [EVENT_KERNEL] = &page->kernel, [EVENT_CMDLINE] = &page->cmdline, [EVENT_INITRD] = &page->initrd};
    for (size_t i = 0; i < EVENT_COUNT; i++) {
        struct launch_event *event = &image->event[image->events];
        *event = (struct launch_event){event_kind[i].rtmr, event_kind[i].name, {0}};
        if (i == EVENT_LAYOUT)
            SHA384((const uint8_t *)page, offsetof(struct shim_boot_page, kernel), event->digest);
        else
            memcpy(event->digest, items[i]->digest, sizeof(event->digest));
        image->events += i == EVENT_LAYOUT || items[i]->size;
    }
}

int boot_image_build(const struct boot_config *config, struct launch_image *image, struct cofre_err *err)
{
    struct boot_staging staging;
    *image = (struct launch_image){.entry = SHIM_BASE, .cpus = config->cpus};
    int rc = boot_check_numbers(config, err);
    if (rc == 0)
        rc = check_shim(config, err);
    if (rc == 0)
        rc = boot_staging_layout(config, &staging, err);
    if (rc == 0)
        rc = check_linux(config, err);
    if (rc == 0)
        rc = bytes_alloc_pages(&image->storage, sizeof(struct storage), err);
    if (rc)
        return rc;

    const struct boot_kind *kind = &boot_kind[config->tee];
    struct storage *storage = (struct storage *)image->storage.data;
    struct acpi_config acpi = kind->acpi;
    acpi.gpa = SHIM_ACPI;
    acpi.cpus = config->cpus;
    put(storage->shim, config->shim);
    fill_boot_page(&storage->boot, config);
    fill_reset_page(storage->reset);
    if (!acpi_tables_build(storage->acpi, SHIM_ACPI_SIZE, &acpi)) {
        launch_image_free(image);
        return cofre_fail(err, COFRE_FAILED, "the ACPI tables for %u vCPUs do not fit into their page",
                          config->cpus);
    }
    add_ranges(image, kind);
    if (kind->registers)
        add_events(image, &storage->boot);
    return 0;
}

void launch_image_free(struct launch_image *image)
{
    bytes_free(&image->storage);
    bytes_free(&image->own);
    image->count = image->events = 0;
}

/* The build tree has room/program beside shim/; an installed program is found by its configured path. */
int boot_shim_load(uint32_t tee, struct bytes *out, struct cofre_err *err)
{
    char path[PATH_MAX + 64];
    const char *given = getenv("COFRE_SHIM");
    if (given && *given)
        return file_read(out, given, SHIM_MAX_SIZE, err);
    int rc = check_tee(tee, err);
    if (rc)
        return rc;

    const char *name = boot_kind[tee].shim;
    ssize_t len = readlink("/proc/self/exe", path, PATH_MAX);
    if (len > 0) {
        path[len] = 0;
        char *slash = strrchr(path, '/');
        if (slash) {
            sprintf(slash, "/../shim/%s", name);
            if (access(path, R_OK) == 0)
                return file_read(out, path, SHIM_MAX_SIZE, err);
        }
    }
    snprintf(path, sizeof(path), COFRE_LIBDIR "/%s", name);
    return file_read(out, path, SHIM_MAX_SIZE, err);
}

const char *boot_shim_sentence(unsigned code)
{
    static const char *const sentence[] = {
        [SHIM_TERM_BOOT_PAGE] =
            "the boot page is malformed, or of another version than the shim: shim and program must "
            "come from one build",
        [SHIM_TERM_KERNEL_HASH] =
            "the kernel that the host supplied is not the measured one: it was changed after "
            "the launch measurement was computed",
        [SHIM_TERM_INITRD_HASH] =
            "the initrd that the host supplied is not the measured one: it was changed after "
            "the launch measurement was computed",
        [SHIM_TERM_CMDLINE_HASH] =
            "the command line that the host supplied is not the measured one: it was changed "
            "after the launch measurement was computed",
        [SHIM_TERM_KERNEL_FORMAT] =
            "the kernel is not a bzImage with a 64-bit entry (boot protocol 2.12 or later)",
        [SHIM_TERM_NO_ROOM] = "kernel and initrd do not fit into the guest's memory: give it more",
        [SHIM_TERM_ACCEPT] =
            "a page of memory could not be accepted (validated), or had been before: the host "
            "remapped memory or lacks it",
        [SHIM_TERM_CPUID] = "the CPUID page is malformed, or lacks what an SEV-SNP guest needs",
        [SHIM_TERM_HOST] = "a request of the guest was answered in a way that the protocol with its host "
                           "(GHCB, GHCI) does not "
                           "allow",
        [SHIM_TERM_EXCEPTION] = "the shim met a CPU exception: the host took or changed memory that it uses",
    };
    return code < sizeof(sentence) / sizeof(sentence[0]) ? sentence[code] : NULL;
}
