/*
 * The shim's SEV-SNP half against a host and a firmware that live in this process. PVALIDATE and VMGEXIT, which hosts answer differently outside a guest, are replaced by UD2 beforehand. Only the first, 32-bit
 * instructions are not seen here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/sha.h>
#include <sys/mman.h>

#include "tests/unit/machine/staged.h"
#include "tests/unit/shim/in_process.h"
#include "vmm/base/file.h"
#include "vmm/machine/boot.h"
#include "vmm/shim/start.h"

#define MIB       (1ull << 20)
#define CBIT      51
#define RAM_SIZE  (128 * MIB)
#define RAM_PAGES ((RAM_LOW_END + 3 * 1024 * MIB) / 4096)

/* What the host and the firmware do; a test changes one thing. */
static struct host {
    uint64_t sev_status, sev_info, register_answer, ioio_error;
    uint64_t valid_before; /* a page that was validated before the shim came */
    uint64_t small;        /* a 2 MiB range that is assigned in 4 KiB pages */
    uint64_t fails;        /* a page that PVALIDATE refuses with FAIL_INPUT */
} host;

/* What was seen of the shim. */
static struct seen {
    uint8_t told[16];
    size_t told_len;
    uint64_t msr, terminated;
    bool registered, entered, unexpected;
    uint64_t params;
} seen;

static uint8_t *validated; /* per page of guest memory */
static uint64_t main_address, mask_address;

static uint64_t pvalidate(uint64_t va, bool large, bool *unchanged)
{
    uint64_t gpa, size = large ? RAM_STEP : 4096;
    bool private;
    *unchanged = false;
    if (!guest_translate(va, 1ull << CBIT, &gpa, &private) || !private || gpa % size ||
        gpa + size > RAM_PAGES * 4096) {
        seen.unexpected = true;
        return 1;
    }
    if (host.fails >= gpa && host.fails < gpa + size)
        return 1;
    if (large && host.small == gpa)
        return 6;
    for (uint64_t page = gpa / 4096; page < (gpa + size) / 4096; page++) {
        *unchanged |= validated[page];
        validated[page] = 1;
    }
    return 0;
}

static void ghcb_page(void)
{
    uint8_t *g = (uint8_t *)(uintptr_t)SHIM_GHCB;
    uint64_t info = le64(g + 0x398);
    /* OUT of a byte to the shim's port with the four fields marked valid, and version 2 of the standard format */
    if (!seen.registered || le64(g + 0x390) != 0x7b || info != ((uint64_t)SHIM_PORT << 16 | 0x210) ||
        le64(g + 0x3f0) != 1ull << 63 || le64(g + 0x3f8) != 7ull << (114 - 64) || le16(g + 0xffa) != 2 ||
        le32(g + 0xffc) != 0 || seen.told_len == sizeof(seen.told)) {
        seen.unexpected = true;
        siglongjmp(guest_done, 1);
    }
    seen.told[seen.told_len++] = g[0x1f8];
    put_le64(g + 0x398, host.ioio_error);
}

static void vmgexit(void)
{
    switch (seen.msr & 0xfff) {
    case 0x000:
        ghcb_page();
        break;
    case 0x002:
        seen.msr = host.sev_info;
        break;
    case 0x012:
        seen.registered = seen.msr >> 12 == SHIM_GHCB >> 12;
        seen.msr = host.register_answer;
        break;
    case 0x100:
        seen.terminated = seen.msr;
        siglongjmp(guest_done, 1);
    default:
        seen.unexpected = true;
        siglongjmp(guest_done, 1);
    }
}

static void trap(int signal, siginfo_t *info, void *context)
{
    greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    const uint8_t *p = (const uint8_t *)r[REG_RIP];
    (void)signal;
    if (r[REG_RIP] < SHIM_BASE || r[REG_RIP] >= SHIM_BOOT_PAGE) {
        seen.entered = r[REG_RIP] >= (greg_t)(16 * MIB) && r[REG_RIP] < (greg_t)RAM_SIZE;
        seen.params = (uint64_t)r[REG_RSI];
        siglongjmp(guest_done, 1);
    }
    if (p[0] == 0x0f && p[1] == 0x32) { /* RDMSR */
        uint64_t v = r[REG_RCX] == 0xc0010130 ? seen.msr : host.sev_status;
        seen.unexpected |= r[REG_RCX] != 0xc0010130 && r[REG_RCX] != 0xc0010131;
        r[REG_RAX] = (greg_t)(uint32_t)v;
        r[REG_RDX] = (greg_t)(v >> 32);
        r[REG_RIP] += 2;
    } else if (p[0] == 0x0f && p[1] == 0x30) { /* WRMSR */
        seen.unexpected |= r[REG_RCX] != 0xc0010130;
        seen.msr = (uint32_t)r[REG_RAX] | (uint64_t)r[REG_RDX] << 32;
        r[REG_RIP] += 2;
    } else if (memcmp(p, "\x0f\x0b\x01\xff", 4) == 0) { /* PVALIDATE */
        bool unchanged;
        seen.unexpected |= r[REG_RDX] != 1 || (uint64_t)r[REG_RCX] > 1;
        r[REG_RAX] = (greg_t)pvalidate((uint64_t)r[REG_RAX], r[REG_RCX] == 1, &unchanged);
        r[REG_EFL] = (r[REG_EFL] & ~1) | unchanged;
        r[REG_RIP] += 4;
    } else if (memcmp(p, "\x0f\x0b\x01\xd9", 4) == 0) { /* VMGEXIT */
        r[REG_RIP] += 4;
        vmgexit();
    } else if (!guest_step(r, info)) {
        seen.unexpected = true;
        siglongjmp(guest_done, 1);
    }
}

struct fixture {
    struct bytes shim, elf, kernel;
    struct boot_config config;
    struct launch_image image;
    struct cofre_err err;
};

static void trap_privileged_instructions(uint8_t *image, size_t len)
{
    assert_true(guest_replace(image, len, "\xf2\x0f\x01\xff", "\x0f\x0b\x01\xff") > 0); /* PVALIDATE */
    assert_true(guest_replace(image, len, "\xf3\x0f\x01\xd9", "\x0f\x0b\x01\xd9") > 0); /* VMGEXIT */
}

static uint8_t *cpuid_entry(unsigned i)
{
    return (uint8_t *)SHIM_CPUID + START_CPUID_FIRST + i * START_CPUID_SIZE;
}

static void fill_cpuid_page(void)
{
    put_le32((void *)SHIM_CPUID, 3);
    put_le32(cpuid_entry(0), 1);
    put_le32(cpuid_entry(1), 7);
    put_le32(cpuid_entry(2), 0x8000001f);
    put_le32(cpuid_entry(2) + 24, 1 << 1 | 1 << 3 | 1 << 4);
    put_le32(cpuid_entry(2) + 28, CBIT | 1 << 6);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct boot_staging staging;
    *state = f;
    assert_int_equal(boot_shim_load(BOOT_SNP, &f->shim, &f->err), 0);
    assert_int_equal(file_read(&f->elf, getenv("COFRE_TEST_ELF"), MIB, &f->err), 0);
    assert_int_equal(file_read(&f->kernel, getenv("COFRE_TEST_KERNEL"), MIB, &f->err), 0);
    main_address = guest_symbol(bytes_view(&f->elf), "shim_main");
    mask_address = guest_symbol(bytes_view(&f->elf), "shim_private_mask");
    f->config = (struct boot_config){
        .tee = BOOT_SNP,
        .shim = bytes_view(&f->shim),
        .memory = RAM_SIZE,
        .cpus = 1,
        .kernel = bytes_view(&f->kernel),
        .cmdline = {(const uint8_t *)"quiet", 5},
    };
    assert_int_equal(boot_image_build(&f->config, &f->image, &f->err), 0);
    assert_int_equal(boot_staging_layout(&f->config, &staging, &f->err), 0);
    guest_map(LOWEST, RAM_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC);
    guest_map(STAGING_BASE, STAGING_END + 4096, PROT_READ | PROT_WRITE);
    for (size_t i = 0; i < f->image.count; i++)
        if (f->image.range[i].data)
            memcpy((void *)f->image.range[i].gpa, f->image.range[i].data, f->image.range[i].len);
    trap_privileged_instructions((uint8_t *)SHIM_BASE, f->shim.len);
    fill_cpuid_page();
    staged_fill(&f->config, &staging, (uint8_t *)(uintptr_t)STAGING_BASE);
    host = (struct host){.sev_status = 7,
                         .sev_info = 2ull << 48 | 1ull << 32 | (uint64_t)CBIT << 24 | 1,
                         .register_answer = SHIM_GHCB | 0x013,
                         .valid_before = UINT64_MAX,
                         .small = UINT64_MAX,
                         .fails = UINT64_MAX};
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    munmap((void *)LOWEST, RAM_SIZE - LOWEST);
    munmap((void *)(uintptr_t)STAGING_BASE, STAGING_END + 4096 - STAGING_BASE);
    launch_image_free(&f->image);
    bytes_free(&f->kernel);
    bytes_free(&f->elf);
    bytes_free(&f->shim);
    free(f);
    return 0;
}

/* What start.S leaves: the first GiB mapped privately, the mask. */
static void start(void)
{
    const uint64_t cbit = 1ull << CBIT;
    *(uint64_t *)mask_address = cbit;
    *(uint64_t *)START_PML4 = START_PDPT | 3 | cbit;
    *(uint64_t *)START_PDPT = START_PD | 3 | cbit;
    for (uint64_t i = 0; i < 512; i++)
        ((uint64_t *)START_PD)[i] = i * RAM_STEP | 0x83 | cbit;
}

static void run(void)
{
    seen = (struct seen){0};
    memset(validated, 0, RAM_PAGES);
    memset(validated + SHIM_BASE / 4096, 1, (SHIM_OWN - SHIM_BASE) / 4096);
    if (host.valid_before != UINT64_MAX)
        validated[host.valid_before / 4096] = 1;
    start();
    guest_run(main_address, trap);
    assert_false(seen.unexpected);
}

static struct shim_boot_page *page(void)
{
    return (struct shim_boot_page *)SHIM_BOOT_PAGE;
}

/* What the shim does with this command line, which was measured. */
static void measured_cmdline(const char *text)
{
    const size_t len = strlen(text);
    page()->cmdline.size = len;
    SHA256((const unsigned char *)text, len, page()->cmdline.digest);
    memcpy((void *)(uintptr_t)(STAGING_BASE + SHIM_PAGE_UP(page()->kernel.size)), text, len);
}
#define EAGER "quiet accept_memory=eager"

static void ends_with(enum shim_term code, size_t phases)
{
    run();
    assert_false(seen.entered);
    assert_int_equal(seen.terminated, 0x100 | SHIM_TERM_SET << 12 | (uint64_t)code << 16);
    assert_int_equal(seen.told_len, phases);
}

static void all_valid(uint64_t from, uint64_t to)
{
    for (uint64_t p = from / 4096; p < to / 4096; p++)
        assert_true(validated[p]);
}

static void none_valid(uint64_t from, uint64_t to)
{
    for (uint64_t p = from / 4096; p < to / 4096; p++)
        assert_false(validated[p]);
}

/* Each 2 MiB of RAM is either valid when Linux is entered, or its bit tells Linux to validate it. */
static void validates_what_it_needs_and_leaves_the_rest_to_linux(void **state)
{
    (void)state;
    guest_map(RAM_SIZE, RAM_LOW_END, PROT_READ | PROT_WRITE | PROT_EXEC);
    page()->ram_count = boot_ram(RAM_LOW_END + 1026 * MIB, page()->ram);
    run();
    assert_true(seen.entered);
    all_valid(0, 114 * MIB); /* 16 MiB, what the kernel needs, room, 2 MiB more */
    none_valid(114 * MIB, RAM_PAGES * 4096);
    const uint8_t *params = (const uint8_t *)seen.params, *table = (const uint8_t *)SHIM_ACCEPT;
    assert_memory_equal(params + 0x1c0, "EL64", 4);
    assert_string_equal((const char *)(uintptr_t)le32(params + 0x228), "efi=noruntime quiet");
    for (uint64_t gpa = 0; gpa < le64(table + 16) * 8 * RAM_STEP; gpa += RAM_STEP) {
        bool ram = gpa < RAM_LOW_END || (gpa >= RAM_HIGH && gpa < RAM_HIGH + 1026 * MIB);
        bool left = table[24 + gpa / RAM_STEP / 8] >> (gpa / RAM_STEP % 8) & 1;
        assert_int_equal(left, ram && !validated[gpa / 4096]);
    }
    munmap((void *)RAM_SIZE, RAM_LOW_END - RAM_SIZE);
}

static void validates_all_memory_where_the_command_line_says_so(void **state)
{
    (void)state;
    measured_cmdline(EAGER);
    run();
    assert_int_equal(le32((const uint8_t *)seen.params + 0x1c0), 0); /* nothing of EFI */
    assert_string_equal((const char *)(uintptr_t)le32((const uint8_t *)seen.params + 0x228), EAGER);
    assert_true(seen.entered);
    assert_int_equal(seen.told_len, 4);
    assert_memory_equal(seen.told, "\1\2\3\4", 4);
    all_valid(0, RAM_SIZE);
    assert_false(validated[RAM_SIZE / 4096]);
    /* The blob, through boot_params: where Linux finds the CPUID and secrets pages. */
    const uint8_t *node = (const uint8_t *)le64((const uint8_t *)seen.params + 0x250);
    const uint8_t *blob = (const uint8_t *)(uintptr_t)le32(node + 16);
    assert_int_equal(le32(node + 8), 7);
    assert_memory_equal(blob, "AMDE", 4);
    assert_int_equal(le64(blob + 8), SHIM_SECRETS);
    assert_int_equal(le64(blob + 24), SHIM_CPUID);
}

static void validates_memory_above_4_gib(void **state)
{
    (void)state;
    measured_cmdline(EAGER);
    guest_map(RAM_SIZE, RAM_LOW_END, PROT_READ | PROT_WRITE | PROT_EXEC);
    page()->ram_count = boot_ram(RAM_LOW_END + 1026 * MIB, page()->ram);
    run();
    assert_true(seen.entered);
    all_valid(0, RAM_LOW_END);
    for (uint64_t p = RAM_LOW_END / 4096; p < RAM_HIGH / 4096; p++)
        assert_false(validated[p]);
    all_valid(RAM_HIGH, RAM_HIGH + 1026 * MIB);
    assert_false(validated[(RAM_HIGH + 1026 * MIB) / 4096]);

    host.valid_before = RAM_HIGH + 1024 * MIB;
    ends_with(SHIM_TERM_ACCEPT, 3);
    munmap((void *)RAM_SIZE, RAM_LOW_END - RAM_SIZE);
}

static void falls_back_to_small_pages(void **state)
{
    (void)state;
    host.small = 64 * MIB;
    run();
    assert_true(seen.entered);
    all_valid(0, 114 * MIB);
    host.valid_before = 64 * MIB + 511 * 4096;
    ends_with(SHIM_TERM_ACCEPT, 1);
}

static void refuses_memory_that_was_valid_before(void **state)
{
    (void)state;
    host.valid_before = SHIM_OWN;
    ends_with(SHIM_TERM_ACCEPT, 0);
    host.valid_before = 0xa0000;
    ends_with(SHIM_TERM_ACCEPT, 1);
    host.valid_before = 114 * MIB - 4096;
    ends_with(SHIM_TERM_ACCEPT, 1);
    measured_cmdline(EAGER);
    host.valid_before = RAM_SIZE - 4096;
    ends_with(SHIM_TERM_ACCEPT, 3);
}

static void refuses_memory_that_cannot_be_validated(void **state)
{
    (void)state;
    host.fails = 96 * MIB + 4096;
    ends_with(SHIM_TERM_ACCEPT, 1);
    host.fails = SHIM_END - 4096;
    ends_with(SHIM_TERM_ACCEPT, 0);
}

static void refuses_cpuid_pages(void **state)
{
    (void)state;
    static const struct {
        unsigned offset;
        uint32_t value;
    } bad[] = {
        {0, 0},                              /* no entries */
        {0, START_CPUID_MAX + 1},            /* more than fit */
        {0, 2},                              /* 0x8000001f not among them */
        {16, 2},                             /* no leaf 1 */
        {16 + 96 + 24, 1 << 1 | 1 << 3},     /* no SNP */
        {16 + 96 + 24, 1 << 1 | 1 << 4},     /* no SEV-ES */
        {16 + 96 + 28, (CBIT - 1) | 1 << 6}, /* another C-bit than the one in use */
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        memset((void *)SHIM_CPUID, 0, 4096);
        fill_cpuid_page();
        put_le32((uint8_t *)SHIM_CPUID + bad[i].offset, bad[i].value);
        ends_with(SHIM_TERM_CPUID, 0);
    }
}

static void refuses_answers_that_the_protocol_does_not_allow(void **state)
{
    (void)state;
    const struct host good = host;
    struct host bad[8] = {good, good, good, good, good, good, good, good};
    bad[0].sev_status = 3;                                                      /* SEV-ES, no SNP */
    bad[1].sev_info = 1ull << 48 | 1ull << 32 | (uint64_t)CBIT << 24 | 1;       /* version 1 only */
    bad[2].sev_info = 4ull << 48 | 3ull << 32 | (uint64_t)CBIT << 24 | 1;       /* from version 3 on */
    bad[3].sev_info = 2ull << 48 | 1ull << 32 | (uint64_t)(CBIT - 4) << 24 | 1; /* another C-bit */
    bad[4].sev_info = 2ull << 48 | 1ull << 32 | (uint64_t)CBIT << 24 | 2;       /* no response */
    bad[5].register_answer = 0xfffffffffffff013;                                /* registration refused */
    bad[6].register_answer = (SHIM_GHCB - 4096) | 0x013;                        /* of another page */
    bad[7].ioio_error = 2;
    for (size_t i = 0; i < 8; i++) {
        host = bad[i];
        ends_with(SHIM_TERM_HOST, i == 7);
    }
}

static void refuses_changed_items(void **state)
{
    (void)state;
    uint8_t *window = (uint8_t *)(uintptr_t)STAGING_BASE;
    window[0x1000] ^= 0x80;
    ends_with(SHIM_TERM_KERNEL_HASH, 2);
    window[0x1000] ^= 0x80;
    window[SHIM_PAGE_UP(page()->kernel.size)] ^= 0x80;
    ends_with(SHIM_TERM_CMDLINE_HASH, 2);
}

static void refuses_a_boot_page_by_ghcb(void **state)
{
    (void)state;
    page()->magic ^= 1;
    ends_with(SHIM_TERM_BOOT_PAGE, 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(validates_what_it_needs_and_leaves_the_rest_to_linux),
        T(validates_all_memory_where_the_command_line_says_so),
        T(validates_memory_above_4_gib),
        T(falls_back_to_small_pages),
        T(refuses_memory_that_was_valid_before),
        T(refuses_memory_that_cannot_be_validated),
        T(refuses_cpuid_pages),
        T(refuses_answers_that_the_protocol_does_not_allow),
        T(refuses_changed_items),
        T(refuses_a_boot_page_by_ghcb),
    };
    validated = calloc(1, RAM_PAGES);
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    free(validated);
    return rc;
}
