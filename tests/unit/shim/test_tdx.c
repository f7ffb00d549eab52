/*
 * The shim's TDX half against a host and a TDX module that live in this process. TDCALL is replaced by UD2 beforehand.
 * The first, 32-bit instructions are seen in test_shim.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>

#include "tdx/event_log.h"
#include "tdx/mrtd.h"
#include "tests/unit/machine/staged.h"
#include "tests/unit/shim/in_process.h"
#include "vmm/base/file.h"
#include "vmm/machine/boot.h"
#include "vmm/shim/event.h"
#include "vmm/shim/start.h"

#define MIB       (1ull << 20)
#define RAM_SIZE  (128 * MIB)
#define RAM_PAGES ((RAM_LOW_END + 3 * 1024 * MIB) / 4096)

/* What the host and the module do; a test changes one thing. */
static struct host {
    uint64_t gpaw, info_status, extend_status, io_answer, io_status;
    uint64_t accepted_before; /* a page that was accepted before the shim came */
    uint64_t small;           /* a 2 MiB range that is mapped in 4 KiB pages */
    uint64_t fails;           /* a page that cannot be accepted */
} host;

/* What was seen of the shim. */
static struct seen {
    uint8_t told[16];
    size_t told_len;
    uint64_t terminated;
    char text[65];
    uint8_t rtmr[TDX_RTMRS][TDX_DIGEST_SIZE];
    bool entered, unexpected;
    uint64_t params;
} seen;

static uint8_t *accepted; /* per page of guest memory */
static uint64_t main_address, park_address;

static uint64_t accept(uint64_t rcx)
{
    const uint64_t level = rcx & 7, size = level ? RAM_STEP : 4096, gpa = rcx & ~0xfffull;
    bool before = false;
    if (level > 1 || (rcx & 0xff8) || gpa % size || gpa + size > RAM_PAGES * 4096) {
        seen.unexpected = true;
        return 0xc000010000000001;
    }
    if (host.fails >= gpa && host.fails < gpa + size)
        return 0xc000010000000001;
    if (level && host.small == gpa)
        return 0xc0000b0b00000001;
    for (uint64_t page = gpa / 4096; page < (gpa + size) / 4096; page++) {
        before |= accepted[page];
        accepted[page] = 1;
    }
    return before ? 0x00000b0a00000000 : 0;
}

static uint64_t extend(uint64_t buffer, uint64_t index)
{
    uint64_t gpa;
    bool shared;
    if (buffer % 64 || index >= TDX_RTMRS || !guest_translate(buffer, 1ull << 47, &gpa, &shared) || shared ||
        gpa != buffer || !accepted[gpa / 4096]) {
        seen.unexpected = true;
        return 0xc000010000000001;
    }
    if (host.extend_status)
        return host.extend_status;
    tdx_rtmr_extend(seen.rtmr[index], (const uint8_t *)buffer);
    return 0;
}

static void fatal_error(const greg_t *r)
{
    static const int message[] = {REG_R14, REG_R15, REG_RBX, REG_RDI, REG_RSI, REG_R8, REG_R9, REG_RDX};
    seen.unexpected |= r[REG_RCX] != 0xffcc || r[REG_R13] != 0;
    seen.terminated = (uint64_t)r[REG_R12];
    for (int i = 0; i < 8; i++)
        memcpy(seen.text + 8 * i, &r[message[i]], 8);
    siglongjmp(guest_done, 1);
}

static uint64_t vmcall(greg_t *r)
{
    if (r[REG_R10] == 0 && r[REG_R11] == TDVMCALL_REPORT_FATAL_ERROR)
        fatal_error(r);
    /* OUT of a byte to the shim's port */
    if (r[REG_RCX] != 0xfc00 || r[REG_R10] != 0 || r[REG_R11] != TDVMCALL_IO || r[REG_R12] != 1 ||
        r[REG_R13] != 1 || r[REG_R14] != SHIM_PORT || seen.told_len == sizeof(seen.told)) {
        seen.unexpected = true;
        siglongjmp(guest_done, 1);
    }
    seen.told[seen.told_len++] = (uint8_t)r[REG_R15];
    r[REG_R10] = (greg_t)host.io_answer;
    return host.io_status;
}

static uint64_t tdcall(greg_t *r)
{
    switch (r[REG_RAX]) {
    case TDG_VP_VMCALL:
        return vmcall(r);
    case TDG_VP_INFO:
        r[REG_RCX] = (greg_t)host.gpaw;
        r[REG_RDX] = TDX_ATTR_SEPT_VE_DISABLE;
        r[REG_R8] = r[REG_R9] = r[REG_R10] = r[REG_R11] = -1; /* used by other leaves: must not matter */
        return host.info_status;
    case TDG_MR_RTMR_EXTEND:
        return extend((uint64_t)r[REG_RCX], (uint64_t)r[REG_RDX]);
    case TDG_MEM_PAGE_ACCEPT:
        return accept((uint64_t)r[REG_RCX]);
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
        seen.params = (uint64_t)r[REG_RSI];
        seen.entered = (uint64_t)r[REG_RIP] == le32((const uint8_t *)seen.params + 0x214) + 0x200ull;
        siglongjmp(guest_done, 1);
    }
    if (memcmp(p, "\x0f\x0b\x01\xcc", 4) == 0) {
        r[REG_RAX] = (greg_t)tdcall(r);
        r[REG_RIP] += 4;
    } else if (!guest_step(r, info)) {
        seen.unexpected =
            true; /* anything else would raise #VE or fault: RDMSR, CPUID's kin, HLT, port I/O */
        siglongjmp(guest_done, 1);
    }
}

struct fixture {
    struct bytes shim, elf, kernel;
    uint8_t initrd[5000];
    struct boot_config config;
    struct launch_image image;
    struct cofre_err err;
};

static uint8_t *window(void)
{
    return (uint8_t *)(uintptr_t)STAGING_BASE;
}

static void load(struct fixture *f)
{
    struct boot_staging staging;
    launch_image_free(&f->image);
    assert_int_equal(boot_image_build(&f->config, &f->image, &f->err), 0);
    assert_int_equal(boot_staging_layout(&f->config, &staging, &f->err), 0);
    for (size_t i = 0; i < f->image.count; i++)
        if (f->image.range[i].data && f->image.range[i].gpa != SHIM_RESET)
            memcpy((void *)f->image.range[i].gpa, f->image.range[i].data, f->image.range[i].len);
    assert_true(guest_replace((uint8_t *)SHIM_BASE, f->shim.len, "\x66\x0f\x01\xcc", "\x0f\x0b\x01\xcc") > 0);
    memset(window(), 0, staging.size);
    staged_fill(&f->config, &staging, window());
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    *state = f;
    assert_int_equal(boot_shim_load(BOOT_TDX, &f->shim, &f->err), 0);
    assert_int_equal(file_read(&f->elf, getenv("COFRE_TEST_ELF"), MIB, &f->err), 0);
    assert_int_equal(file_read(&f->kernel, getenv("COFRE_TEST_KERNEL"), MIB, &f->err), 0);
    main_address = guest_symbol(bytes_view(&f->elf), "shim_main");
    park_address = guest_symbol(bytes_view(&f->elf), "shim_park");
    memset(f->initrd, 7, sizeof(f->initrd));
    f->config = (struct boot_config){
        .tee = BOOT_TDX,
        .shim = bytes_view(&f->shim),
        .memory = RAM_SIZE,
        .cpus = 2,
        .kernel = bytes_view(&f->kernel),
        .initrd = {f->initrd, sizeof(f->initrd)},
        .cmdline = {(const uint8_t *)"quiet", 5},
    };
    guest_map(LOWEST, SHIM_END, PROT_READ | PROT_WRITE | PROT_EXEC);
    guest_map(SHIM_END, RAM_SIZE, PROT_READ | PROT_WRITE); /* the kernel traps at its first instruction */
    guest_map(STAGING_BASE, STAGING_END, PROT_READ | PROT_WRITE);
    load(f);
    host = (struct host){.gpaw = 48, .accepted_before = UINT64_MAX, .small = UINT64_MAX, .fails = UINT64_MAX};
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    munmap((void *)LOWEST, RAM_SIZE - LOWEST);
    munmap(window(), STAGING_END - STAGING_BASE);
    launch_image_free(&f->image);
    bytes_free(&f->kernel);
    bytes_free(&f->elf);
    bytes_free(&f->shim);
    free(f);
    return 0;
}

/* As start.S leaves it: the measured zeros, and the first GiB mapped. Accepted memory comes as zeros. */
static void run(void)
{
    seen = (struct seen){0};
    memset(accepted, 0, RAM_PAGES);
    for (uint64_t gpa = SHIM_BASE; gpa < SHIM_OWN; gpa += 4096)
        accepted[gpa / 4096] = gpa != SHIM_CPUID; /* what the launch image has */
    if (host.accepted_before != UINT64_MAX)
        accepted[host.accepted_before / 4096] = 1;
    memset((void *)SHIM_ZERO, 0, SHIM_END - SHIM_ZERO);
    *(uint64_t *)START_PML4 = START_PDPT | 3;
    *(uint64_t *)START_PDPT = START_PD | 3;
    for (uint64_t i = 0; i < 512; i++)
        ((uint64_t *)START_PD)[i] = i * RAM_STEP | 0x83;
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
    SHA384((const unsigned char *)text, len, page()->cmdline.digest);
    memcpy(window() + SHIM_PAGE_UP(page()->kernel.size) + SHIM_PAGE_UP(page()->initrd.size), text, len);
}
#define EAGER "quiet accept_memory=eager"

static void ends_with(enum shim_term code, size_t phases)
{
    char text[32];
    run();
    assert_false(seen.entered);
    assert_true(seen.terminated == SHIM_TERM_TDX((uint64_t)code));
    assert_int_equal((uint32_t)seen.terminated, 0); /* a panic, as the GHCI numbers fatal errors */
    snprintf(text, sizeof(text), "cofre-shim: %02u", code);
    assert_string_equal(seen.text, text);
    assert_int_equal(seen.told_len, phases);
}

static void all_accepted(uint64_t from, uint64_t to)
{
    for (uint64_t p = from / 4096; p < to / 4096; p++)
        assert_true(accepted[p] || p == SHIM_CPUID / 4096);
}

/* The registers as the image predicts them. */
static void predicted(const struct launch_image *image, uint8_t rtmr[TDX_RTMRS][TDX_DIGEST_SIZE])
{
    memset(rtmr, 0, TDX_RTMRS * TDX_DIGEST_SIZE);
    for (size_t i = 0; i < image->events; i++)
        tdx_rtmr_extend(rtmr[image->event[i].measurement_register], image->event[i].digest);
}

/* Each 2 MiB of RAM is either accepted when Linux is entered, or its bit tells Linux to accept it. */
static void accepts_what_it_needs_and_leaves_the_rest_to_linux(void **state)
{
    (void)state;
    guest_map(RAM_SIZE, RAM_LOW_END, PROT_READ | PROT_WRITE);
    page()->ram_count = boot_ram(RAM_LOW_END + 1026 * MIB, page()->ram);
    run();
    assert_true(seen.entered);
    all_accepted(0, 114 * MIB);           /* 16 MiB, what the kernel needs, room, 2 MiB more */
    all_accepted(2046 * MIB, 2050 * MIB); /* the initrd, below 2 GiB, and 2 MiB more */
    const uint8_t *params = (const uint8_t *)seen.params, *table = (const uint8_t *)SHIM_ACCEPT;
    assert_memory_equal(params + 0x1c0, "EL64", 4);
    assert_string_equal((const char *)(uintptr_t)le32(params + 0x228), "efi=noruntime quiet");
    uint64_t rest = 0;
    for (uint64_t gpa = 0; gpa < le64(table + 16) * 8 * RAM_STEP; gpa += RAM_STEP) {
        bool ram = gpa < RAM_LOW_END || (gpa >= RAM_HIGH && gpa < RAM_HIGH + 1026 * MIB);
        bool left = table[24 + gpa / RAM_STEP / 8] >> (gpa / RAM_STEP % 8) & 1;
        assert_int_equal(left, ram && !accepted[gpa / 4096]);
        rest += left;
    }
    assert_int_equal(rest, (3072 + 1026 - 114 - 4) / 2);
    munmap((void *)RAM_SIZE, RAM_LOW_END - RAM_SIZE);
}

static void accepts_all_memory_where_the_command_line_says_so(void **state)
{
    (void)state;
    measured_cmdline(EAGER);
    run();
    assert_int_equal(le32((const uint8_t *)seen.params + 0x1c0), 0); /* nothing of EFI */
    assert_string_equal((const char *)(uintptr_t)le32((const uint8_t *)seen.params + 0x228), EAGER);
    assert_true(seen.entered);
    assert_int_equal(seen.told_len, 4);
    assert_memory_equal(seen.told, "\1\2\3\4", 4);
    all_accepted(0, RAM_SIZE);
    assert_false(accepted[RAM_SIZE / 4096]);
    assert_int_equal(le64((const uint8_t *)seen.params + 0x250), 0); /* no setup_data */
    assert_int_equal(le64((const uint8_t *)seen.params + 0x70), SHIM_ACPI);
}

static void maps_the_window_shared_and_memory_private(void **state)
{
    (void)state;
    for (host.gpaw = 48; host.gpaw <= 52; host.gpaw += 4) {
        const uint64_t bit = 1ull << (host.gpaw - 1);
        uint64_t gpa;
        bool shared;
        run();
        assert_true(seen.entered);
        for (uint64_t at = 0; at < RAM_LOW_END; at += RAM_STEP) {
            assert_true(guest_translate(at, bit, &gpa, &shared));
            assert_true(gpa == at && !shared);
        }
        for (uint64_t at = STAGING_BASE; at < STAGING_END; at += RAM_STEP) {
            assert_true(guest_translate(at, bit, &gpa, &shared));
            assert_true(gpa == at && shared);
        }
    }
}

static void accepts_memory_above_4_gib(void **state)
{
    (void)state;
    measured_cmdline(EAGER);
    guest_map(RAM_SIZE, RAM_LOW_END, PROT_READ | PROT_WRITE);
    page()->ram_count = boot_ram(RAM_LOW_END + 1026 * MIB, page()->ram);
    run();
    assert_true(seen.entered);
    all_accepted(0, RAM_LOW_END);
    for (uint64_t p = RAM_LOW_END / 4096; p < RAM_HIGH / 4096; p++)
        assert_false(accepted[p]);
    all_accepted(RAM_HIGH, RAM_HIGH + 1026 * MIB);
    assert_false(accepted[(RAM_HIGH + 1026 * MIB) / 4096]);

    host.accepted_before = RAM_HIGH + 1024 * MIB;
    ends_with(SHIM_TERM_ACCEPT, 3);
    munmap((void *)RAM_SIZE, RAM_LOW_END - RAM_SIZE);
}

static void falls_back_to_small_pages(void **state)
{
    (void)state;
    host.small = 64 * MIB;
    run();
    assert_true(seen.entered);
    all_accepted(0, 114 * MIB);
    host.accepted_before = 64 * MIB + 511 * 4096;
    ends_with(SHIM_TERM_ACCEPT, 1);
}

static void refuses_memory_that_was_accepted_before(void **state)
{
    (void)state;
    host.accepted_before = SHIM_OWN;
    ends_with(SHIM_TERM_ACCEPT, 0);
    host.accepted_before = SHIM_LOG;
    ends_with(SHIM_TERM_ACCEPT, 0);
    host.accepted_before = 0xa0000;
    ends_with(SHIM_TERM_ACCEPT, 1);
    host.accepted_before = RAM_SIZE - 4096;
    ends_with(SHIM_TERM_ACCEPT, 1);
}

static void refuses_memory_that_cannot_be_accepted(void **state)
{
    (void)state;
    host.fails = 96 * MIB + 4096;
    ends_with(SHIM_TERM_ACCEPT, 1);
    host.fails = SHIM_END - 4096;
    ends_with(SHIM_TERM_ACCEPT, 0);
}

static void extends_what_was_predicted(void **state)
{
    struct fixture *f = *state;
    uint8_t rtmr[TDX_RTMRS][TDX_DIGEST_SIZE];
    for (unsigned without = 0; without < 4; without++) {
        f->config.initrd.len = without & 1 ? 0 : sizeof(f->initrd);
        f->config.cmdline.len = without & 2 ? 0 : 5;
        load(f);
        run();
        assert_true(seen.entered);
        predicted(&f->image, rtmr);
        assert_memory_equal(seen.rtmr, rtmr, sizeof(rtmr));
    }
}

/* Lengths on both sides of each border of SHA-384's padding. */
static void hashes_every_length_right(void **state)
{
    struct fixture *f = *state;
    static const size_t lengths[] = {1, 63, 64, 111, 112, 127, 128, 129, 239, 240, 255, 256};
    static const uint8_t text[256] = {[0 ... 255] = 'a'};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        uint8_t digest[48], rtmr[48] = {0};
        f->config.cmdline = (struct view){text, lengths[i]};
        f->config.initrd.len = 0;
        load(f);
        run();
        assert_true(seen.entered);
        SHA384(text, lengths[i], digest);
        tdx_rtmr_extend(rtmr, digest);
        assert_memory_equal(seen.rtmr[2], rtmr, 48);
    }
}

static void leaves_a_log_that_replays(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"layout", "kernel", "cmdline", "initrd"};
    uint8_t rtmr[TDX_RTMRS][TDX_DIGEST_SIZE];
    CLEAN_EVENT_LOG log = {0};
    run();
    assert_int_equal(
        tdx_event_log_parse(&log, (struct view){(const uint8_t *)SHIM_LOG, SHIM_LOG_SIZE}, &f->err), 0);
    assert_int_equal(log.count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(log.event[i].type, TDX_EV_IPL);
        assert_int_equal(log.event[i].data.len, strlen(names[i]));
        assert_memory_equal(log.event[i].data.data, names[i], strlen(names[i]));
    }
    assert_in_range(log.len, 1, EVENT_LOG_MAX);
    tdx_event_log_replay(&log, rtmr);
    assert_memory_equal(rtmr, seen.rtmr, sizeof(rtmr));
}

static void measures_before_it_uses(void **state)
{
    struct fixture *f = *state;
    uint8_t rtmr[TDX_RTMRS][TDX_DIGEST_SIZE];
    predicted(&f->image, rtmr);
    host.fails = 96 * MIB; /* the layout is in its register before memory is accepted by it */
    ends_with(SHIM_TERM_ACCEPT, 1);
    assert_memory_equal(seen.rtmr[0], rtmr[0], 48);
    assert_true(bytes_are_zero(seen.rtmr[1], 48));
}

static void refuses_changed_items(void **state)
{
    struct fixture *f = *state;
    const struct {
        size_t at;
        enum shim_term code;
    } changes[] = {
        {0x1000, SHIM_TERM_KERNEL_HASH},
        {SHIM_PAGE_UP(f->kernel.len), SHIM_TERM_INITRD_HASH},
        {SHIM_PAGE_UP(f->kernel.len) + 0x2000, SHIM_TERM_CMDLINE_HASH},
    };
    for (size_t i = 0; i < 3; i++) {
        window()[changes[i].at] ^= 0x80;
        ends_with(changes[i].code, 2);
        window()[changes[i].at] ^= 0x80;
    }
}

/* The host can change both, for the boot page is not in MRTD; the registers tell. */
static void an_item_changed_with_its_digest_shows_in_its_register(void **state)
{
    struct fixture *f = *state;
    uint8_t rtmr[TDX_RTMRS][TDX_DIGEST_SIZE];
    window()[0x1000] ^= 0x80;
    SHA384(window(), f->kernel.len, page()->kernel.digest);
    run();
    assert_true(seen.entered);
    predicted(&f->image, rtmr);
    assert_memory_equal(seen.rtmr[0], rtmr[0], 48);
    assert_memory_not_equal(seen.rtmr[1], rtmr[1], 48);
    assert_memory_equal(seen.rtmr[2], rtmr[2], 48);
}

static void another_layout_shows_in_its_register(void **state)
{
    struct fixture *f = *state;
    uint8_t rtmr[TDX_RTMRS][TDX_DIGEST_SIZE];
    page()->ram[0].size -= RAM_STEP;
    run();
    assert_true(seen.entered);
    predicted(&f->image, rtmr);
    assert_memory_not_equal(seen.rtmr[0], rtmr[0], 48);
}

/* An unmeasured page must not make this shim one that measures nothing. */
static void refuses_boot_pages_of_other_tees(void **state)
{
    (void)state;
    static const uint32_t others[] = {BOOT_PLAIN, BOOT_SNP, BOOT_TDX + 1, UINT32_MAX};
    for (size_t i = 0; i < 4; i++) {
        page()->tee = others[i];
        ends_with(SHIM_TERM_BOOT_PAGE, 0);
    }
    page()->tee = BOOT_TDX;
    page()->magic ^= 1;
    ends_with(SHIM_TERM_BOOT_PAGE, 0);
}

static uint64_t next(uint64_t *random)
{
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return *random;
}

static uint64_t hostile_number(uint64_t *random)
{
    static const uint64_t numbers[] = {0,           1,          4095,         4096,
                                       RAM_STEP,    SHIM_END,   4 * RAM_STEP, 8 * RAM_STEP,
                                       RAM_LOW_END, UINT64_MAX, RAM_HIGH - 1, 0xfffff000};
    uint64_t pick = next(random) % 16;
    return pick < 12 ? numbers[pick] : next(random) % (pick == 12 ? 4 * MIB : 9000);
}

/* A host that wants to be believed gives the digests of what it stages. */
static void digest_as_staged(void)
{
    struct shim_item *items[] = {&page()->kernel, &page()->initrd, &page()->cmdline};
    uint64_t used = 0;
    for (size_t i = 0; i < 3 && items[i]->size <= STAGING_END - STAGING_BASE - used; i++) {
        SHA384(window() + used, items[i]->size, items[i]->digest);
        used += SHIM_PAGE_UP(items[i]->size);
    }
}

static void change_something(uint64_t *random)
{
    uint64_t *const fields[] = {
        &page()->ram[0].gpa,  &page()->ram[0].size,  &page()->ram[1].gpa,   &page()->ram[1].size,
        &page()->kernel.size, &page()->initrd.size,  &page()->cmdline.size, &page()->kernel.size,
        &page()->initrd.size, &page()->cmdline.size,
    };
    uint64_t pick = next(random) % 16;
    if (pick < 10)
        *fields[pick] = hostile_number(random);
    else if (pick == 10)
        page()->ram_count = (uint32_t)hostile_number(random);
    else
        put_le32(window() + 0x1f0 + next(random) % 0x78, (uint32_t)hostile_number(random));
}

/* The boot page is the host's word, and so is the kernel's header until it is in a register. */
static void stays_within_its_memory_whatever_the_host_says(void **state)
{
    struct fixture *f = *state;
    uint64_t random = 0x9e3779b97f4a7c15;
    unsigned entered = 0, ended = 0;
    guest_map(RAM_SIZE, RAM_LOW_END, PROT_READ | PROT_WRITE);
    for (unsigned i = 0; i < 400; i++) {
        load(f);
        for (uint64_t n = next(&random) % 3 + 1; n; n--)
            change_something(&random);
        digest_as_staged();
        const struct shim_boot_page told = *page();
        run(); /* a touch of what is not memory is an unexpected trap */
        assert_memory_equal(&told, page(), sizeof(told));
        assert_true(seen.entered != (seen.terminated != 0));
        entered += seen.entered;
        ended += seen.terminated != 0;
        if (!seen.entered)
            continue;
        const uint64_t initrd = le32((const uint8_t *)seen.params + 0x218), size = page()->initrd.size;
        assert_true(size == 0 || (initrd >= SHIM_END && initrd + size <= page()->ram[0].size));
    }
    assert_in_range(entered, 20, 380);
    assert_in_range(ended, 20, 380);
    munmap((void *)RAM_SIZE, RAM_LOW_END - RAM_SIZE);
}

static void refuses_answers_that_the_protocol_does_not_allow(void **state)
{
    (void)state;
    const struct host good = host;
    struct host bad[4] = {good, good, good, good};
    bad[0].info_status = 0xc000010000000000;
    bad[1].extend_status = 0xc000010000000001;
    bad[2].io_answer = TDVMCALL_INVALID_OPERAND;
    bad[3].io_status = 0xc000010000000001;
    for (size_t i = 0; i < 4; i++) {
        host = bad[i];
        ends_with(SHIM_TERM_HOST, i != 0);
    }
}

/* Where a woken CPU goes: back to whom called the waiting loop, which has no stack of its own. */
void woken(void);
__asm__(".text\nwoken: ret");

struct parked {
    pthread_t thread;
    uint64_t index;
    volatile bool woke;
};

static void *park(void *argument)
{
    struct parked *cpu = argument;
    __asm__ volatile("sub $128, %%rsp; call *%0; add $128, %%rsp"
                     :
                     : "r"(park_address), "S"(cpu->index)
                     : "rax", "rbx", "cc", "memory");
    cpu->woke = true;
    return NULL;
}

static void wake(uint32_t apic_id)
{
    uint8_t *mailbox = (uint8_t *)SHIM_MAILBOX;
    put_le32(mailbox + 4, apic_id);
    put_le64(mailbox + 8, (uintptr_t)woken);
    __atomic_store_n((uint16_t *)mailbox, 1, __ATOMIC_RELEASE);
}

static void each_parked_cpu_wakes_at_its_own_number(void **state)
{
    (void)state;
    struct parked cpu[2] = {{.index = 1}, {.index = 254}};
    memset((void *)SHIM_MAILBOX, 0, 4096);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&cpu[i].thread, NULL, park, &cpu[i]), 0);
    for (int i = 1; i >= 0; i--) {
        wake((uint32_t)cpu[i].index);
        pthread_join(cpu[i].thread, NULL);
        assert_int_equal(le16((void *)SHIM_MAILBOX), 0); /* obeyed: the next may be woken */
        assert_true(cpu[1].woke);
        assert_int_equal(cpu[0].woke, i == 0);
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(accepts_what_it_needs_and_leaves_the_rest_to_linux),
        T(accepts_all_memory_where_the_command_line_says_so),
        T(maps_the_window_shared_and_memory_private),
        T(accepts_memory_above_4_gib),
        T(falls_back_to_small_pages),
        T(refuses_memory_that_was_accepted_before),
        T(refuses_memory_that_cannot_be_accepted),
        T(extends_what_was_predicted),
        T(hashes_every_length_right),
        T(leaves_a_log_that_replays),
        T(measures_before_it_uses),
        T(refuses_changed_items),
        T(an_item_changed_with_its_digest_shows_in_its_register),
        T(another_layout_shows_in_its_register),
        T(refuses_boot_pages_of_other_tees),
        T(stays_within_its_memory_whatever_the_host_says),
        T(refuses_answers_that_the_protocol_does_not_allow),
        T(each_parked_cpu_wakes_at_its_own_number),
    };
    accepted = calloc(1, RAM_PAGES);
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    free(accepted);
    return rc;
}
