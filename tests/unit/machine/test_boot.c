#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/sha.h>

#include "tests/unit/machine/staged.h"
#include "vmm/machine/acpi.h"
#include "vmm/machine/boot.h"
#include "vmm/shim/linux.h"

#define MIB (1ull << 20)

/* A bzImage as its header says it: one setup sector more than the boot sector, a body after it. */
static void make_kernel(uint8_t *k)
{
    k[0x1f1] = 1;
    put_le16(k + 0x1fe, 0xaa55);
    k[0x201] = 0x6a;
    memcpy(k + 0x202, "HdrS", 4);
    put_le16(k + 0x206, 0x020f);
    k[0x211] = 1;
    put_le32(k + 0x22c, 0x7fffffff);
    put_le32(k + 0x230, 0x200000);
    k[0x234] = 1;
    put_le16(k + 0x236, 1);
    put_le32(k + 0x238, 2047);
    put_le64(k + 0x258, 16 * MIB);
    put_le32(k + 0x260, (uint32_t)(60 * MIB));
}

#define KERNEL_SIZE 0x3001
struct fixture {
    uint8_t kernel[KERNEL_SIZE];
    uint8_t initrd[5000];
    uint8_t shim[100];
    struct boot_config config;
    struct launch_image image;
    struct cofre_err err;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    make_kernel(f->kernel);
    memset(f->initrd, 7, sizeof(f->initrd));
    memset(f->shim, 0x90, sizeof(f->shim));
    f->config = (struct boot_config){
        .tee = BOOT_SNP,
        .shim = {f->shim, sizeof(f->shim)},
        .memory = 512 * MIB,
        .cpus = 2,
        .kernel = {f->kernel, sizeof(f->kernel)},
        .initrd = {f->initrd, sizeof(f->initrd)},
        .cmdline = {(const uint8_t *)"quiet", 5},
    };
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    launch_image_free(&f->image);
    free(f);
    return 0;
}

static const struct launch_range *range_at(const struct launch_image *image, uint64_t gpa)
{
    for (size_t i = 0; i < image->count; i++)
        if (image->range[i].gpa == gpa)
            return &image->range[i];
    return NULL;
}

static void refused(struct fixture *f, int code, const char *words)
{
    int rc = boot_image_build(&f->config, &f->image, &f->err);
    assert_int_equal(rc, -code);
    assert_non_null(strstr(f->err.text, words));
    assert_int_equal(f->image.count, 0);
    assert_null(f->image.storage.data);
}

static void snp_image_is_64_kib_of_whole_pages_in_order(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(boot_image_build(&f->config, &f->image, &f->err), 0);
    uint64_t end = SHIM_BASE, total = 0;
    for (size_t i = 0; i < f->image.count; i++) {
        const struct launch_range *r = &f->image.range[i];
        assert_true(r->gpa == end && r->len && r->len % 4096 == 0);
        assert_true((r->kind == LAUNCH_MEASURED) == (r->data != NULL));
        end = r->gpa + r->len;
        total += r->len;
    }
    assert_int_equal(total, 64 * 1024);
    assert_int_equal(range_at(&f->image, SHIM_CPUID)->kind, LAUNCH_CPUID);
    assert_int_equal(range_at(&f->image, SHIM_SECRETS)->kind, LAUNCH_SECRETS);
    assert_int_equal(f->image.entry, SHIM_BASE);
    assert_int_equal(f->image.cpus, 2);
}

static void plain_image_has_no_pages_of_a_tee(void **state)
{
    struct fixture *f = *state;
    f->config.tee = BOOT_PLAIN;
    assert_int_equal(boot_image_build(&f->config, &f->image, &f->err), 0);
    assert_null(range_at(&f->image, SHIM_CPUID));
    assert_null(range_at(&f->image, SHIM_SECRETS));
}

static void plain_boot_page_leaves_digests_out(void **state)
{
    struct fixture *f = *state;
    f->config.tee = BOOT_PLAIN;
    assert_int_equal(boot_image_build(&f->config, &f->image, &f->err), 0);
    const struct shim_boot_page *page = (const void *)range_at(&f->image, SHIM_BOOT_PAGE)->data;
    assert_int_equal(page->kernel.size, KERNEL_SIZE);
    assert_true(bytes_are_zero(page->kernel.digest, sizeof page->kernel.digest));
    assert_int_equal(page->cmdline.size, 5);
    assert_true(bytes_are_zero(page->cmdline.digest, sizeof page->cmdline.digest));
}

static void boot_page_tells_sizes_hashes_and_memory(void **state)
{
    struct fixture *f = *state;
    uint8_t digest[32];
    f->config.memory = 4096 * MIB;
    f->config.initrd.len = 0;
    assert_int_equal(boot_image_build(&f->config, &f->image, &f->err), 0);
    const struct shim_boot_page *page = (const void *)range_at(&f->image, SHIM_BOOT_PAGE)->data;
    assert_true(page->magic == SHIM_BOOT_MAGIC && page->tee == BOOT_SNP && shim_ram_valid(page));
    assert_int_equal(page->ram_count, 2);
    assert_int_equal(page->ram[0].size, 3072 * MIB);
    assert_int_equal(page->ram[1].gpa, 4096 * MIB);
    assert_int_equal(page->ram[1].size, 1024 * MIB);
    SHA256(f->kernel, KERNEL_SIZE, digest);
    assert_int_equal(page->kernel.size, KERNEL_SIZE);
    assert_memory_equal(page->kernel.digest, digest, 32);
    assert_true(bytes_are_zero(page->kernel.digest + 32, 16));
    assert_int_equal(page->initrd.size, 0);
    SHA256((const uint8_t *)"quiet", 5, digest);
    assert_int_equal(page->cmdline.size, 5);
    assert_memory_equal(page->cmdline.digest, digest, 32);
}

static void tdx_measures_all_but_the_boot_page(void **state)
{
    struct fixture *f = *state;
    f->config.tee = BOOT_TDX;
    assert_int_equal(boot_image_build(&f->config, &f->image, &f->err), 0);
    uint64_t end = SHIM_BASE, measured = 0;
    for (size_t i = 0; i < f->image.count; i++) {
        const struct launch_range *r = &f->image.range[i];
        assert_true(r->gpa >= end && r->len && r->len % 4096 == 0);
        assert_true((r->kind != LAUNCH_ZERO) == (r->data != NULL));
        end = r->gpa + r->len;
        measured += r->kind == LAUNCH_UNMEASURED ? 0 : r->len;
    }
    assert_in_range(measured, 1, 64 * 1024);
    assert_int_equal(range_at(&f->image, SHIM_BOOT_PAGE)->kind, LAUNCH_UNMEASURED);
    assert_int_equal(range_at(&f->image, SHIM_MAILBOX)->kind, LAUNCH_ZERO);
    assert_int_equal(range_at(&f->image, SHIM_MAILBOX)->len, 4096);
}

/* What is measured depends on memory's size and the CPUs' number through the ACPI tables only, and not on Linux. */
static void tdx_measures_the_same_for_other_linuxes(void **state)
{
    struct fixture *f = *state;
    struct launch_image other;
    f->config.tee = BOOT_TDX;
    assert_int_equal(boot_image_build(&f->config, &f->image, &f->err), 0);
    f->kernel[KERNEL_SIZE - 1] ^= 1;
    f->config.initrd.len = 1;
    f->config.cmdline.len = 0;
    assert_int_equal(boot_image_build(&f->config, &other, &f->err), 0);
    assert_int_equal(other.count, f->image.count);
    for (size_t i = 0; i < other.count; i++) {
        const struct launch_range *a = &f->image.range[i], *b = &other.range[i];
        assert_true(a->gpa == b->gpa && a->len == b->len && a->kind == b->kind);
        if (a->kind == LAUNCH_MEASURED)
            assert_memory_equal(a->data, b->data, a->len);
        else if (a->kind == LAUNCH_UNMEASURED)
            assert_memory_not_equal(a->data, b->data, a->len);
    }
    launch_image_free(&other);
}

static void tdx_reset_page_jumps_to_the_shim(void **state)
{
    struct fixture *f = *state;
    f->config.tee = BOOT_TDX;
    assert_int_equal(boot_image_build(&f->config, &f->image, &f->err), 0);
    const struct launch_range *reset = range_at(&f->image, 0xfffff000);
    assert_int_equal(reset->kind, LAUNCH_MEASURED);
    assert_int_equal(reset->len, 4096);
    assert_int_equal(reset->data[0xff0], 0xe9); /* JMP rel32 */
    assert_int_equal((uint32_t)(0xfffffff0 + 5 + le32(reset->data + 0xff1)), SHIM_BASE);
}

static void tdx_predicts_what_the_shim_measures(void **state)
{
    struct fixture *f = *state;
    uint8_t digest[48];
    f->config.tee = BOOT_TDX;
    assert_int_equal(boot_image_build(&f->config, &f->image, &f->err), 0);
    const struct shim_boot_page *page = (const void *)range_at(&f->image, SHIM_BOOT_PAGE)->data;
    const struct {
        const char *name;
        unsigned rtmr;
        struct view data;
    } expected[] = {
        {"layout", 0, {(const uint8_t *)page, 48}},
        {"kernel", 1, f->config.kernel},
        {"cmdline", 2, f->config.cmdline},
        {"initrd", 2, f->config.initrd},
    };
    assert_int_equal(f->image.events, 4);
    for (size_t i = 0; i < 4; i++) {
        const struct launch_event *event = &f->image.event[i];
        assert_string_equal(event->name, expected[i].name);
        assert_int_equal(event->measurement_register, expected[i].rtmr);
        SHA384(expected[i].data.data, expected[i].data.len, digest);
        assert_memory_equal(event->digest, digest, 48);
    }
    assert_memory_equal(page->initrd.digest, digest, 48);
}

static void tdx_leaves_out_what_is_not_there(void **state)
{
    struct fixture *f = *state;
    f->config.tee = BOOT_TDX;
    f->config.initrd.len = f->config.cmdline.len = 0;
    assert_int_equal(boot_image_build(&f->config, &f->image, &f->err), 0);
    assert_int_equal(f->image.events, 2);
    assert_string_equal(f->image.event[1].name, "kernel");
}

static void only_tdx_has_events(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(boot_image_build(&f->config, &f->image, &f->err), 0);
    assert_int_equal(f->image.events, 0);
    assert_null(range_at(&f->image, SHIM_RESET));
}

static void three_gib_are_one_range(void **state)
{
    (void)state;
    struct shim_ram ram[2];
    assert_int_equal(boot_ram(3072 * MIB, ram), 1);
    assert_int_equal(boot_ram(3074 * MIB, ram), 2);
    assert_int_equal(ram[1].size, 2 * MIB);
}

static void refuses_numbers_of_cpus(void **state)
{
    struct fixture *f = *state;
    f->config.cpus = 0;
    refused(f, COFRE_USAGE, "not 0");
    f->config.cpus = 256;
    refused(f, COFRE_USAGE, "not 256");
    f->config.cpus = 255;
    assert_int_equal(boot_image_build(&f->config, &f->image, &f->err), 0);
}

static void refuses_sizes_of_memory(void **state)
{
    struct fixture *f = *state;
    static const struct {
        uint64_t memory;
        const char *words;
    } bad[] = {
        {0, "128 MiB to"},
        {126 * MIB, "128 MiB to"},
        {BOOT_MEMORY_MAX + 2 * MIB, "128 MiB to 8387584 MiB"},
        {UINT64_MAX, "128 MiB to"},
        {129 * MIB, "multiple of 2 MiB"},
        {512 * MIB + 1, "multiple of 2 MiB"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        f->config.memory = bad[i].memory;
        refused(f, COFRE_USAGE, bad[i].words);
    }
}

static void refuses_kernels_that_are_no_bzimage(void **state)
{
    struct fixture *f = *state;
    static const struct {
        size_t at;
        uint8_t byte;
    } bad[] = {
        {0x1fe, 0},    /* boot flag */
        {0x202, 'h'},  /* magic */
        {0x206, 0x0b}, /* version 2.11 */
        {0x201, 0x61}, /* header without init_size */
        {0x201, 0x8f}, /* header beyond the zero page's room */
        {0x211, 0},    /* not loaded high */
        {0x236, 0},    /* no 64-bit entry */
        {0x232, 0},    /* no alignment */
        {0x230, 1},    /* alignment that is no power of two */
        {0x1f1, 60},   /* setup part beyond the file */
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        memset(f->kernel, 0, KERNEL_SIZE);
        make_kernel(f->kernel);
        if (bad[i].at == 0x206)
            f->kernel[0x207] = 2;
        f->kernel[bad[i].at] = bad[i].byte;
        refused(f, COFRE_MALFORMED, "not a bzImage");
    }
    memset(f->kernel, 0, KERNEL_SIZE);
    make_kernel(f->kernel);
    put_le32(f->kernel + 0x260, KERNEL_SIZE / 2); /* init_size smaller than the kernel itself */
    refused(f, COFRE_MALFORMED, "not a bzImage");
    make_kernel(f->kernel);
    f->config.kernel.len = 1023;
    refused(f, COFRE_MALFORMED, "not a bzImage");
    f->config.kernel.len = 0;
    refused(f, COFRE_MALFORMED, "not a bzImage");
}

static void refuses_a_kernel_without_room(void **state)
{
    struct fixture *f = *state;
    put_le32(f->kernel + 0x260, (uint32_t)(600 * MIB));
    refused(f, COFRE_USAGE, "too little");
    f->config.memory = 1024 * MIB;
    assert_int_equal(boot_image_build(&f->config, &f->image, &f->err), 0);
}

static void refuses_what_does_not_fit_the_window(void **state)
{
    struct fixture *f = *state;
    f->config.memory = 4096 * MIB;
    f->config.initrd.len = STAGING_END - STAGING_BASE; /* refused before it is read */
    refused(f, COFRE_USAGE, "do not fit");
    f->config.initrd.len = SIZE_MAX;
    refused(f, COFRE_USAGE, "do not fit");
}

static void refuses_command_lines(void **state)
{
    struct fixture *f = *state;
    char text[2048];
    memset(text, 'a', sizeof(text));
    f->config.cmdline = (struct view){(const uint8_t *)text, sizeof(text)};
    refused(f, COFRE_USAGE, "takes 2033"); /* the shim's own word comes before it */
    f->config.cmdline.len = 2034;
    refused(f, COFRE_USAGE, "takes 2033");
    f->config.cmdline = (struct view){(const uint8_t *)"a\0b", 3};
    refused(f, COFRE_USAGE, "zero byte");
}

static void refuses_a_shim_of_wrong_size(void **state)
{
    struct fixture *f = *state;
    f->config.shim.len = 0;
    refused(f, COFRE_MALFORMED, "the shim has 0");
    f->config.shim.len = SHIM_MAX_SIZE + 1;
    refused(f, COFRE_MALFORMED, "the shim has 32769");
}

static void staging_puts_items_on_page_boundaries(void **state)
{
    struct fixture *f = *state;
    struct boot_staging s;
    assert_int_equal(boot_staging_layout(&f->config, &s, &f->err), 0);
    assert_int_equal(s.kernel, 0);
    assert_int_equal(s.initrd, 0x4000);
    assert_int_equal(s.cmdline, 0x6000);
    assert_int_equal(s.size, 0x7000);
    uint8_t *window = calloc(1, s.size);
    staged_fill(&f->config, &s, window);
    assert_memory_equal(window, f->kernel, KERNEL_SIZE);
    assert_true(bytes_are_zero(window + KERNEL_SIZE, 0x4000 - KERNEL_SIZE));
    assert_memory_equal(window + s.initrd, f->initrd, sizeof(f->initrd));
    assert_string_equal((char *)window + s.cmdline, "quiet");
    free(window);
}

static void places_leave_room_and_do_not_overlap(void **state)
{
    struct fixture *f = *state;
    struct linux_kernel k;
    struct linux_place p;
    assert_true(linux_kernel_parse(&k, f->kernel, KERNEL_SIZE));
    assert_true(linux_place(&p, &k, 512 * MIB, 10 * MIB));
    assert_int_equal(p.kernel, 16 * MIB);
    assert_int_equal(p.initrd, 502 * MIB);
    k.initrd_max = (uint32_t)(100 * MIB - 1);
    assert_true(linux_place(&p, &k, 512 * MIB, 10 * MIB));
    assert_int_equal(p.initrd, 90 * MIB);
    /* It fits only lower than it prefers, and its setup part must still lie above the shim. */
    k.init_size = (uint32_t)(80 * MIB);
    assert_true(linux_place(&p, &k, 512 * MIB, 10 * MIB));
    assert_int_equal(p.kernel, SHIM_END + 2 * MIB);
    k.init_size = (uint32_t)(87 * MIB);
    assert_false(linux_place(&p, &k, 512 * MIB, 10 * MIB));
    k.init_size = (uint32_t)(80 * MIB);
    k.relocatable = false;
    assert_false(linux_place(&p, &k, 512 * MIB, 10 * MIB));
    k.preferred = UINT64_MAX - 4095;
    assert_false(linux_place(&p, &k, 512 * MIB, 10 * MIB));
    k.preferred = SHIM_END;
    assert_false(linux_place(&p, &k, 512 * MIB, 10 * MIB));
    k.preferred = SHIM_END + k.setup_size;
    assert_true(linux_place(&p, &k, 512 * MIB, 10 * MIB));
    assert_false(linux_place(&p, &k, 512 * MIB, 513 * MIB));
    assert_false(linux_place(&p, &k, 512 * MIB, UINT64_MAX));
}

struct e820 {
    uint64_t start, size;
    uint32_t type;
};
static struct e820 e820_entry(const uint8_t *params, unsigned i)
{
    const uint8_t *e = params + 0x2d0 + 20 * i;
    return (struct e820){le64(e), le64(e + 8), le32(e + 16)};
}

static void params_describe_memory_and_point_to_the_blob(void **state)
{
    struct fixture *f = *state;
    struct linux_place place = {.initrd = 0x1e000000, .kernel = 0x1000000};
    struct shim_boot_page page = {
        .ram_count = 2, .ram = {{0, RAM_LOW_END}, {RAM_HIGH, 1024 * MIB}}, .initrd = {.size = 5000}};
    uint8_t params[LINUX_PARAMS_SIZE], cc[LINUX_CC_SIZE];
    linux_params_fill(params, &(struct linux_params){f->kernel, &place, &page, 0x116000, 0x115000});
    assert_int_equal(le64(params + 0x70), SHIM_ACPI);
    assert_int_equal(le32(params + 0x218), 0x1e000000);
    assert_int_equal(le32(params + 0x21c), 5000);
    assert_int_equal(le32(params + 0x228), 0x116000);
    assert_int_equal(le64(params + 0x250), 0x115000);
    assert_int_equal(params[0x1ef], 0);
    uint64_t end = 0, ram = 0;
    struct e820 acpi = {0};
    for (unsigned i = 0; i < params[0x1e8]; i++) {
        struct e820 e = e820_entry(params, i);
        assert_true(e.start >= end && e.size);
        end = e.start + e.size;
        if (e.type == 1)
            ram += e.size;
        if (e.type == 3)
            acpi = e;
        assert_false(e.type == 1 && e.start < SHIM_END && end > 0xa0000); /* nothing of the shim's is free */
    }
    assert_int_equal(acpi.start, SHIM_ACPI);
    assert_int_equal(acpi.size, SHIM_ACPI_SIZE);
    assert_int_equal(ram, 4096 * MIB - (SHIM_END - 0xa0000));

    assert_int_equal(params[0x1e8], 7);

    linux_cc_fill(cc, 0x115000);
    uint32_t blob = le32(cc + 16) - 0x115000;
    assert_int_equal(le32(cc + 8), 7);
    assert_memory_equal(cc + blob, "AMDE", 4);
    assert_int_equal(le64(cc + blob + 8), SHIM_SECRETS);
    assert_int_equal(le64(cc + blob + 24 - 8), (uint64_t)4096);
    assert_int_equal(le64(cc + blob + 24), SHIM_CPUID);
    assert_int_equal(le32(cc + blob + 32), 4096);
}

/* A TD maps what is merely reserved as shared memory. */
static void a_td_reads_mailbox_and_log_in_nvs(void **state)
{
    struct fixture *f = *state;
    struct linux_place place = {.initrd = 0x1e000000, .kernel = 0x1000000};
    struct shim_boot_page page = {
        .tee = BOOT_TDX, .ram_count = 2, .ram = {{0, RAM_LOW_END}, {RAM_HIGH, 1024 * MIB}}};
    const struct e820 expected[] = {
        {0, 0xa0000, 1},
        {0xa0000, SHIM_MAILBOX - 0xa0000, 2},
        {SHIM_MAILBOX, 4096, 4},
        {SHIM_ACPI, SHIM_ACPI_SIZE, 3},
        {SHIM_ZERO, SHIM_LOG - SHIM_ZERO, 2},
        {SHIM_LOG, SHIM_LOG_SIZE, 4},
        {SHIM_END, RAM_LOW_END - SHIM_END, 1},
        {PCI_ECAM_BASE, PCI_ECAM_SIZE, 2},
        {SHIM_RESET, 4096, 2},
        {RAM_HIGH, 1024 * MIB, 1},
    };
    uint8_t params[LINUX_PARAMS_SIZE];
    linux_params_fill(params, &(struct linux_params){f->kernel, &place, &page, 0x116000, 0});
    assert_int_equal(params[0x1e8], sizeof(expected) / sizeof(expected[0]));
    for (unsigned i = 0; i < params[0x1e8]; i++) {
        struct e820 e = e820_entry(params, i);
        assert_int_equal(e.start, expected[i].start);
        assert_int_equal(e.size, expected[i].size);
        assert_int_equal(e.type, expected[i].type);
    }
}

static void shim_refuses_memory_that_is_none(void **state)
{
    (void)state;
    static const struct shim_boot_page bad[] = {
        {.ram_count = 0},
        {.ram_count = 3, .ram = {{0, RAM_LOW_END}, {RAM_HIGH, RAM_STEP}}},
        {.ram_count = 1, .ram = {{4096, 512 * MIB}}},
        {.ram_count = 1, .ram = {{0, 512 * MIB + 4096}}},
        {.ram_count = 1, .ram = {{0, SHIM_END}}},
        {.ram_count = 1, .ram = {{0, RAM_LOW_END + RAM_STEP}}},
        {.ram_count = 2, .ram = {{0, 512 * MIB}, {RAM_HIGH, RAM_STEP}}},
        {.ram_count = 2, .ram = {{0, RAM_LOW_END}, {RAM_HIGH - RAM_STEP, RAM_STEP}}},
        {.ram_count = 2, .ram = {{0, RAM_LOW_END}, {RAM_HIGH, 0}}},
        {.ram_count = 2, .ram = {{0, RAM_LOW_END}, {RAM_HIGH, RAM_STEP + 1}}},
        {.ram_count = 2, .ram = {{0, RAM_LOW_END}, {RAM_HIGH, 0 - RAM_STEP}}},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(shim_ram_valid(&bad[i]));
}

static void every_termination_code_has_a_sentence(void **state)
{
    (void)state;
    assert_null(boot_shim_sentence(0));
    for (unsigned code = SHIM_TERM_BOOT_PAGE; code <= SHIM_TERM_EXCEPTION; code++)
        assert_non_null(boot_shim_sentence(code));
    assert_null(boot_shim_sentence(SHIM_TERM_EXCEPTION + 1));
    assert_null(boot_shim_sentence(0xff));
}

static void the_built_shim_is_found_and_small(void **state)
{
    (void)state;
    struct cofre_err err = {0};
    CLEAN_BYTES shim = {0};
    assert_int_equal(boot_shim_load(BOOT_SNP, &shim, &err), 0);
    assert_in_range(shim.len, 1024, SHIM_MAX_SIZE);
    assert_int_equal(shim.data[0], 0xfa); /* cli: entered at its first byte */
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(snp_image_is_64_kib_of_whole_pages_in_order),
        T(plain_image_has_no_pages_of_a_tee),
        T(plain_boot_page_leaves_digests_out),
        T(boot_page_tells_sizes_hashes_and_memory),
        T(tdx_measures_all_but_the_boot_page),
        T(tdx_measures_the_same_for_other_linuxes),
        T(tdx_reset_page_jumps_to_the_shim),
        T(tdx_predicts_what_the_shim_measures),
        T(tdx_leaves_out_what_is_not_there),
        T(only_tdx_has_events),
        T(three_gib_are_one_range),
        T(refuses_numbers_of_cpus),
        T(refuses_sizes_of_memory),
        T(refuses_kernels_that_are_no_bzimage),
        T(refuses_a_kernel_without_room),
        T(refuses_what_does_not_fit_the_window),
        T(refuses_command_lines),
        T(refuses_a_shim_of_wrong_size),
        T(staging_puts_items_on_page_boundaries),
        T(places_leave_room_and_do_not_overlap),
        T(params_describe_memory_and_point_to_the_blob),
        T(a_td_reads_mailbox_and_log_in_nvs),
        T(shim_refuses_memory_that_is_none),
        T(every_termination_code_has_a_sentence),
        T(the_built_shim_is_found_and_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
