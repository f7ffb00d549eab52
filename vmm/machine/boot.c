#include "vmm/machine/boot.h"

#include <limits.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/file.h"
#include "vmm/machine/acpi.h"
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

static int check_numbers(const struct boot_config *config, struct cofre_err *err)
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
    if (config->tee > BOOT_TDX)
        return cofre_fail(err, COFRE_USAGE, "the shim knows no TEE of number %u", config->tee);
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
    if (config->cmdline.len > kernel.cmdline_max)
        return cofre_fail(err, COFRE_USAGE, "the command line has %zu bytes; this kernel takes %u",
                          config->cmdline.len, kernel.cmdline_max);
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

void boot_staging_fill(const struct boot_config *config, const struct boot_staging *layout, uint8_t *window)
{
    put(window + layout->kernel, config->kernel);
    put(window + layout->initrd, config->initrd);
    put(window + layout->cmdline, config->cmdline);
}

static struct shim_item measured_item(struct view v)
{
    struct shim_item item = {.size = v.len};
    if (v.len)
        SHA256(v.data, v.len, item.sha256);
    return item;
}

static void fill_boot_page(struct shim_boot_page *page, const struct boot_config *config)
{
    page->magic = SHIM_BOOT_MAGIC;
    page->tee = config->tee;
    page->ram_count = boot_ram(config->memory, page->ram);
    page->kernel = measured_item(config->kernel);
    page->initrd = measured_item(config->initrd);
    page->cmdline = measured_item(config->cmdline);
}

static void add(struct launch_image *image, enum launch_page_kind kind, uint64_t gpa, size_t len,
                const uint8_t *data)
{
    image->range[image->count++] = (struct launch_range){kind, gpa, len, data};
}

int boot_image_build(const struct boot_config *config, struct launch_image *image, struct cofre_err *err)
{
    struct boot_staging staging;
    *image = (struct launch_image){.entry = SHIM_BASE, .cpus = config->cpus};
    int rc = check_numbers(config, err);
    if (rc == 0)
        rc = boot_staging_layout(config, &staging, err);
    if (rc == 0)
        rc = check_linux(config, err);
    if (rc == 0)
        rc = bytes_alloc_pages(&image->storage,
                               SHIM_MAX_SIZE + sizeof(struct shim_boot_page) + SHIM_ACPI_SIZE, err);
    if (rc)
        return rc;

    uint8_t *shim = image->storage.data, *page = shim + SHIM_MAX_SIZE,
            *acpi = page + sizeof(struct shim_boot_page);
    put(shim, config->shim);
    fill_boot_page((struct shim_boot_page *)page, config);
    if (!acpi_tables_build(acpi, SHIM_ACPI_SIZE, SHIM_ACPI, config->cpus)) {
        launch_image_free(image);
        return cofre_fail(err, COFRE_FAILED, "the ACPI tables for %u vCPUs do not fit into their page",
                          config->cpus);
    }

    add(image, LAUNCH_MEASURED, SHIM_BASE, SHIM_MAX_SIZE, shim);
    add(image, LAUNCH_MEASURED, SHIM_BOOT_PAGE, sizeof(struct shim_boot_page), page);
    if (config->tee == BOOT_SNP) {
        add(image, LAUNCH_CPUID, SHIM_CPUID, 4096, NULL);
        add(image, LAUNCH_SECRETS, SHIM_SECRETS, 4096, NULL);
    }
    add(image, LAUNCH_MEASURED, SHIM_ACPI, SHIM_ACPI_SIZE, acpi);
    add(image, LAUNCH_ZERO, SHIM_ZERO, SHIM_OWN - SHIM_ZERO, NULL);
    return 0;
}

void launch_image_free(struct launch_image *image)
{
    bytes_free(&image->storage);
    image->count = 0;
}

/* The build tree has room/program beside shim/cofre-shim.bin; an installed program is found by its configured path. */
int boot_shim_load(struct bytes *out, struct cofre_err *err)
{
    char path[PATH_MAX + 32];
    const char *given = getenv("COFRE_SHIM");
    if (given && *given)
        return file_read(out, given, SHIM_MAX_SIZE, err);

    ssize_t len = readlink("/proc/self/exe", path, PATH_MAX);
    if (len > 0) {
        path[len] = 0;
        char *slash = strrchr(path, '/');
        if (slash) {
            strcpy(slash, "/../shim/cofre-shim.bin");
            if (access(path, R_OK) == 0)
                return file_read(out, path, SHIM_MAX_SIZE, err);
        }
    }
    return file_read(out, COFRE_LIBDIR "/cofre-shim.bin", SHIM_MAX_SIZE, err);
}

const char *boot_shim_sentence(unsigned code)
{
    static const char *const sentence[] = {
        [SHIM_TERM_BOOT_PAGE] =
            "the measured boot page is malformed, or of another version than the shim: shim and "
            "program must come from one build",
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
            "a page of memory could not be validated, or had been validated before: the host "
            "remapped memory or lacks it",
        [SHIM_TERM_CPUID] = "the CPUID page is malformed, or lacks what an SEV-SNP guest needs",
        [SHIM_TERM_HOST] =
            "the host answered a request of the guest in a way that the GHCB protocol does not allow",
        [SHIM_TERM_EXCEPTION] = "the shim met a CPU exception: the host took or changed memory that it uses",
    };
    return code < sizeof(sentence) / sizeof(sentence[0]) ? sentence[code] : NULL;
}
