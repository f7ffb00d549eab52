/* The shim itself, run by QEMU's software CPU as a plain guest: the flat image, nothing of the VMM. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/sha.h>

#include "tests/unit/machine/staged.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"
#include "vmm/machine/boot.h"

#define MIB (1ull << 20)

struct fixture {
    char folder[32];
    struct bytes shim, kernel;
    struct boot_config config;
    struct launch_image image;
    struct boot_staging staging;
    struct bytes window;
    struct cofre_err err;
    uint8_t told[512]; /* what came out of the shim's port */
    size_t told_len;
};

#define AT_INDEX  0x500  /* bios.S: which of a TD's CPUs it is */
#define AT_VECTOR 0x2000 /* where this test wakes it to */

/* tests/run names the lab's; the system's otherwise. */
static const char *qemu(void)
{
    const char *given = getenv("COFRE_QEMU");
    return given ? given : "/usr/bin/qemu-system-x86_64";
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    static const uint8_t initrd[5000] = {[4999] = 0x5a};
    strcpy(f->folder, "/tmp/cofre-shim-XXXXXX");
    *state = f;
    if (access(qemu(), X_OK) != 0)
        return 0;
    assert_non_null(mkdtemp(f->folder));
    assert_int_equal(boot_shim_load(BOOT_PLAIN, &f->shim, &f->err), 0);
    assert_int_equal(file_read(&f->kernel, getenv("COFRE_TEST_KERNEL"), MIB, &f->err), 0);
    f->config = (struct boot_config){
        .tee = BOOT_PLAIN,
        .shim = bytes_view(&f->shim),
        .memory = 512 * MIB,
        .cpus = 1,
        .kernel = bytes_view(&f->kernel),
        .initrd = {initrd, sizeof(initrd)},
        .cmdline = {(const uint8_t *)"quiet", 5},
    };
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char path[64];
    for (uint64_t gpa = SHIM_BASE; gpa < SHIM_OWN; gpa += 4096) {
        snprintf(path, sizeof(path), "%s/%llx", f->folder, (unsigned long long)gpa);
        unlink(path);
    }
    static const uint64_t others[] = {AT_INDEX, AT_VECTOR, STAGING_BASE};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        snprintf(path, sizeof(path), "%s/%llx", f->folder, (unsigned long long)others[i]);
        unlink(path);
    }
    rmdir(f->folder);
    launch_image_free(&f->image);
    bytes_free(&f->window);
    bytes_free(&f->kernel);
    bytes_free(&f->shim);
    free(f);
    return 0;
}

static struct shim_boot_page *boot_page(struct fixture *f)
{
    for (size_t i = 0; i < f->image.count; i++)
        if (f->image.range[i].gpa == SHIM_BOOT_PAGE)
            return (struct shim_boot_page *)(uintptr_t)f->image.range[i].data;
    return NULL;
}

/* Plain guests' images leave digests out; these tests are about the shim's checking of them. */
static void add_digests(struct fixture *f)
{
    struct shim_boot_page *page = boot_page(f);
    const struct {
        struct shim_item *item;
        struct view data;
    } items[] = {{&page->kernel, f->config.kernel},
                 {&page->initrd, f->config.initrd},
                 {&page->cmdline, f->config.cmdline}};
    for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++)
        if (items[i].data.len)
            SHA256(items[i].data.data, items[i].data.len, items[i].item->digest);
}

/* What a VMM would put into guest memory; tests then change it. */
static void prepare(struct fixture *f)
{
    launch_image_free(&f->image);
    bytes_free(&f->window);
    if (access(qemu(), X_OK) != 0) {
        print_message("# needs qemu-system-x86_64 to run the shim\n");
        skip();
    }
    assert_int_equal(boot_image_build(&f->config, &f->image, &f->err), 0);
    add_digests(f);
    assert_int_equal(boot_staging_layout(&f->config, &f->staging, &f->err), 0);
    assert_int_equal(bytes_alloc(&f->window, f->staging.size, &f->err), 0);
    staged_fill(&f->config, &f->staging, f->window.data);
}

struct arguments {
    char text[48][128];
    char *list[49];
    size_t count;
};

__attribute__((format(printf, 2, 3))) static void arg(struct arguments *a, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(a->text[a->count], sizeof(a->text[0]), format, list);
    va_end(list);
    a->list[a->count] = a->text[a->count];
    a->list[++a->count] = NULL;
}

static void load(struct fixture *f, struct arguments *a, uint64_t gpa, struct view data)
{
    char path[64];
    snprintf(path, sizeof(path), "%s/%llx", f->folder, (unsigned long long)gpa);
    assert_int_equal(file_write(path, data, 0600, &f->err), 0);
    arg(a, "-device");
    arg(a, "loader,file=%s,addr=0x%llx,force-raw=on", path, (unsigned long long)gpa);
}

/* Reads the port's bytes up to the last one that comes: a termination, or the test kernel's 0xff. */
static void listen_to(struct fixture *f, int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    f->told_len = 0;
    while (f->told_len < sizeof(f->told)) {
        assert_int_equal(poll(&p, 1, 60000), 1);
        if (read(fd, f->told + f->told_len, 1) != 1)
            return;
        if (f->told[f->told_len++] & 0x80)
            return;
    }
}

/* What a test puts into memory besides. */
struct extra {
    uint64_t gpa;
    struct view data;
};

/* 3.5 GiB of memory, of which the shim is told config.memory, so that the staging window is plain RAM too. */
static void run_with(struct fixture *f, const char *cpu, const struct extra *extra, size_t extras)
{
    struct arguments a = {.count = 0};
    int out[2];
    const char *const fixed[] = {qemu(),
                                 "-machine",
                                 "pc,accel=tcg",
                                 "-m",
                                 "3582M",
                                 "-nodefaults",
                                 "-display",
                                 "none",
                                 "-no-reboot",
                                 "-chardev",
                                 "stdio,id=out",
                                 "-device",
                                 "isa-debugcon,iobase=0xcf1,chardev=out",
                                 "-cpu"};
    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
        arg(&a, "%s", fixed[i]);
    arg(&a, "%s", cpu);
    arg(&a, "-bios");
    arg(&a, "%s", getenv("COFRE_TEST_BIOS"));
    for (size_t i = 0; i < f->image.count; i++)
        if (f->image.range[i].data)
            load(f, &a, f->image.range[i].gpa, (struct view){f->image.range[i].data, f->image.range[i].len});
    load(f, &a, STAGING_BASE, bytes_view(&f->window));
    for (size_t i = 0; i < extras; i++)
        load(f, &a, extra[i].gpa, extra[i].data);

    assert_int_equal(pipe(out), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(out[1], 1);
        close(out[0]);
        close(out[1]);
        execv(qemu(), a.list);
        _exit(127);
    }
    close(out[1]);
    listen_to(f, out[0]);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(out[0]);
}

static void run(struct fixture *f, const char *cpu)
{
    run_with(f, cpu, NULL, 0);
}

static void told(struct fixture *f, const char *bytes, size_t len)
{
    assert_int_equal(f->told_len, len);
    assert_memory_equal(f->told, bytes, len);
}
#define TOLD(f, bytes) told(f, bytes, sizeof(bytes) - 1)

static void enters_the_kernel_with_what_was_measured(void **state)
{
    struct fixture *f = *state;
    /* header, RSDP, 6 memory ranges, initrd's size and last byte, command line, load address in MiB */
    f->config.initrd.len = 0x1001;
    f->config.initrd.data += 5000 - 0x1001;
    prepare(f);
    run(f, "max");
    TOLD(f, "\1\2\3\4HR\6\1\x5aquiet\0\x10\xff");
}

static void works_with_and_without_sha_instructions(void **state)
{
    struct fixture *f = *state;
    static const char *const cpus[] = {"max", "max,-sha-ni", "qemu64,-ssse3"};
    f->config.initrd.len = 0;
    prepare(f);
    for (size_t i = 0; i < 3; i++) {
        run(f, cpus[i]);
        TOLD(f, "\1\2\3\4HR\6\0quiet\0\x10\xff");
    }
}

/* Lengths on both sides of each border of SHA-256's padding. */
static void hashes_every_length_right(void **state)
{
    struct fixture *f = *state;
    static const size_t lengths[] = {0, 1, 55, 56, 63, 64, 65, 119, 120, 128};
    static const uint8_t text[128] = {[0 ... 127] = 'a'};
    f->config.initrd.len = 0;
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        f->config.cmdline = (struct view){text, lengths[i]};
        prepare(f);
        run(f, "max");
        assert_int_equal(f->told_len, 8 + lengths[i] + 3);
        assert_memory_equal(f->told + 8, text, lengths[i]);
    }
}

static void takes_plain_items_without_digests_as_they_are(void **state)
{
    struct fixture *f = *state;
    f->config.initrd.len = 0;
    prepare(f);
    memset(boot_page(f)->kernel.digest, 0, sizeof(boot_page(f)->kernel.digest));
    memset(boot_page(f)->cmdline.digest, 0, sizeof(boot_page(f)->cmdline.digest));
    f->window.data[f->staging.cmdline] ^= 'q' ^ 'Q';
    run(f, "max");
    TOLD(f, "\1\2\3\4HR\6\0Quiet\0\x10\xff");
}

static void refuses_each_changed_item(void **state)
{
    struct fixture *f = *state;
    prepare(f);
    const struct {
        size_t at;
        const char *told;
    } changes[] = {
        {0, "\1\2\x82"},
        {f->config.kernel.len - 1, "\1\2\x82"},
        {f->staging.initrd, "\1\2\x83"},
        {f->staging.initrd + 4999, "\1\2\x83"},
        {f->staging.cmdline, "\1\2\x84"},
        {f->staging.cmdline + 4, "\1\2\x84"},
    };
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        f->window.data[changes[i].at] ^= 1;
        run(f, i % 2 ? "max" : "qemu64");
        told(f, changes[i].told, 3);
        f->window.data[changes[i].at] ^= 1;
    }
}

static void refuses_boot_pages(void **state)
{
    struct fixture *f = *state;
    prepare(f);
    struct shim_boot_page *page = boot_page(f), good = *page;
    struct shim_boot_page bad[6] = {good, good, good, good, good, good};
    bad[0].magic++;
    bad[1].tee = BOOT_TDX + 1;
    bad[2].ram_count = 3;
    bad[3].ram[0].gpa = 4096;
    bad[4].kernel.size = UINT64_MAX;
    bad[5].initrd.size = STAGING_END - STAGING_BASE;
    for (size_t i = 0; i < 6; i++) {
        *page = bad[i];
        run(f, "max");
        TOLD(f, "\x81");
    }
}

/* Measured, so the tenant's own mistake, and still refused. */
static void refuses_a_measured_kernel_that_is_none(void **state)
{
    struct fixture *f = *state;
    prepare(f);
    f->window.data[0x202] = 'h';
    run(f, "max");
    TOLD(f, "\1\2\x82"); /* the host's doing */
    SHA256(f->window.data, f->config.kernel.len, boot_page(f)->kernel.digest);
    run(f, "max");
    TOLD(f, "\1\2\x85");
}

static void refuses_too_little_memory(void **state)
{
    struct fixture *f = *state;
    prepare(f);
    boot_page(f)->ram[0].size = 32 * MIB; /* init_size alone is that much */
    run(f, "max");
    TOLD(f, "\1\2\x86");
    f->window.data[5] ^= 1;
    run(f, "max");
    TOLD(f, "\1\2\x82");
    boot_page(f)->ram[0].size = 4 * MIB;
    boot_page(f)->kernel.size = 3 * MIB; /* more than memory whatever it is: nothing is accepted for it */
    run(f, "max");
    TOLD(f, "\1\x86");
}

/* Of a TD's CPUs but the first: through the 32-bit start into the mailbox, in which its number lies already, and from
 * there in 64-bit mode to code that tells so. The first CPU is seen in test_tdx.c and the lab. */
static void wakes_a_parked_cpu_of_a_td(void **state)
{
    struct fixture *f = *state;
    static const uint8_t index[4] = {3},
                         code[] = {0x66, 0xba, 0xf1, 0x0c, 0x31, 0xc0, /* mov $0xcf1, %dx; xor %eax, %eax */
                                   0x48, 0xff, 0xc8, /* dec %rax; in 32-bit mode dec and again dec */
                                   0xee, 0xf4};      /* out %al, %dx; hlt */
    static const uint8_t mailbox[16] = {[0] = 1, [4] = 3, [9] = AT_VECTOR >> 8};
    const struct extra extra[] = {{AT_INDEX, {index, sizeof(index)}},
                                  {AT_VECTOR, {code, sizeof(code)}},
                                  {SHIM_MAILBOX, {mailbox, sizeof(mailbox)}}};
    CLEAN_BYTES shim = {0};
    prepare(f);
    assert_int_equal(file_read(&shim, getenv("COFRE_TEST_SHIM_TDX"), SHIM_MAX_SIZE, &f->err), 0);
    f->config.shim = bytes_view(&shim);
    prepare(f);
    run_with(f, "max", extra, 3);
    TOLD(f, "\xff");
    f->config.shim = bytes_view(&f->shim);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(enters_the_kernel_with_what_was_measured),
        T(works_with_and_without_sha_instructions),
        T(hashes_every_length_right),
        T(takes_plain_items_without_digests_as_they_are),
        T(refuses_each_changed_item),
        T(refuses_boot_pages),
        T(refuses_a_measured_kernel_that_is_none),
        T(refuses_too_little_memory),
        T(wakes_a_parked_cpu_of_a_td),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
