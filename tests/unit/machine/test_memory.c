#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/kvm/fake.h"
#include "tests/unit/machine/staged.h"
#include "vmm/machine/memory.h"
#include "vmm/machine/memory_limit.h"

#define MIB  (1ull << 20)
#define SIZE (3ull << 30) + 256 * MIB /* 256 MiB of it above 4 GiB */

static struct kvm kvm;
static struct kvm_vm vm;
static struct machine_memory mem;
static struct cofre_err err;

static int set_up_with(bool is_private)
{
    fake_reset();
    return kvm_open(&kvm, &fake_backend, &err) || kvm_vm_create(&vm, &kvm, KVM_X86_DEFAULT_VM, &err) ||
           machine_memory_init(&mem, &vm, SIZE, is_private, &(struct memory_kind){0}, &err);
}

/* A small one, of a kind. */
static int set_up_kind(uint64_t size, bool is_private, struct memory_kind kind)
{
    fake_reset();
    assert_int_equal(kvm_open(&kvm, &fake_backend, &err), 0);
    assert_int_equal(kvm_vm_create(&vm, &kvm, KVM_X86_DEFAULT_VM, &err), 0);
    return machine_memory_init(&mem, &vm, size, is_private, &kind, &err);
}

static int set_up(void **state)
{
    (void)state;
    return set_up_with(true);
}

static int set_up_plain(void **state)
{
    (void)state;
    return set_up_with(false);
}

static int tear_down(void **state)
{
    (void)state;
    machine_memory_free(&mem);
    kvm_vm_close(&vm);
    kvm_close(&kvm);
    return fake.open_files;
}

static int64_t allocated(int fd)
{
    struct stat st;
    return fstat(fd, &st) ? -1 : st.st_blocks * 512;
}

static void nobody_with_the_descriptor_can_change_the_size(void **state)
{
    (void)state;
    const struct guest_region *ram = &mem.view.region[0];
    assert_int_equal(ram->fd, mem.shared);
    assert_int_equal(ftruncate(ram->fd, 0), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(ftruncate(ram->fd, (off_t)(SIZE + MIB)), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(machine_memory_convert(&mem, 0, 2 * MIB, false, &err), 0); /* and conversions go on */
    assert_int_equal(machine_memory_convert(&mem, 0, 2 * MIB, true, &err), 0);
}

static void ram_lies_below_3_gib_and_from_4_gib_on(void **state)
{
    (void)state;
    assert_int_equal(fake.slot[0].guest_phys_addr, 0);
    assert_int_equal(fake.slot[0].memory_size, 3ull << 30);
    assert_int_equal(fake.slot[1].guest_phys_addr, 4ull << 30);
    assert_int_equal(fake.slot[1].memory_size, 256 * MIB);
    assert_int_equal(fake.slot[1].guest_memfd_offset, 3ull << 30);
    assert_int_equal(fake.slot[1].userspace_addr - fake.slot[0].userspace_addr, 3ull << 30);
    assert_int_equal(fake.slot[0].guest_memfd, fake.guest_memfd);
    assert_ptr_equal(guest_memory_at(&mem.view, (4ull << 30) + 5, 1),
                     (void *)(uintptr_t)(fake.slot[1].userspace_addr + 5));
}

static void a_plain_guest_has_no_private_side(void **state)
{
    (void)state;
    assert_int_equal(fake_count(KVM_CREATE_GUEST_MEMFD), 0);
    assert_int_equal(fake_count(KVM_SET_USER_MEMORY_REGION2), 0);
    assert_int_equal(machine_memory_convert(&mem, 0x1000, 0x1000, true, &err), -COFRE_MALFORMED);
    assert_int_equal(fake_count(KVM_SET_MEMORY_ATTRIBUTES), 0);
}

static void nothing_is_taken_from_the_host_before_it_is_touched(void **state)
{
    (void)state;
    assert_int_equal(allocated(mem.shared), 0);
}

static void a_page_made_private_loses_its_shared_copy_and_no_other(void **state)
{
    (void)state;
    const uint64_t gpa = (4ull << 30) + 0x4000;
    uint8_t *page = guest_memory_at(&mem.view, gpa, 1), *next = page + 0x1000;
    *page = 0x5a;
    *next = 0xa5;
    assert_int_equal(allocated(mem.shared), 0x2000);
    assert_int_equal(machine_memory_convert(&mem, gpa, 0x1000, true, &err), 0);
    assert_int_equal(fake.attributes.address, gpa);
    assert_int_equal(fake.attributes.size, 0x1000);
    assert_int_equal(fake.attributes.attributes, KVM_MEMORY_ATTRIBUTE_PRIVATE);
    assert_int_equal(allocated(mem.shared), 0x1000);
    assert_int_equal(*next, 0xa5);
}

static void a_page_made_shared_loses_its_private_copy(void **state)
{
    (void)state;
    assert_int_equal(pwrite(fake.guest_memfd, "secret", 6, (off_t)(3ull << 30)), 6);
    assert_int_equal(allocated(fake.guest_memfd), 0x1000);
    assert_int_equal(machine_memory_convert(&mem, 4ull << 30, 0x1000, false, &err), 0);
    assert_int_equal(fake.attributes.attributes, 0);
    assert_int_equal(allocated(fake.guest_memfd), 0);
    assert_int_equal(fake_count(KVM_SET_MEMORY_ATTRIBUTES), 1);
}

static uint32_t seed = 5;
static uint32_t next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 17;
    return seed ^= seed << 5;
}

/* A guest that converts back and forth, and host and guest each fill what they see: together the two sides never hold more
 * than the guest's memory. */
static void a_guest_never_costs_its_memory_twice(void **state)
{
    (void)state;
    enum { PAGES = 2048, BLOCK = 16, CONVERSIONS = 100000 }; /* 8 MiB on both sides of 4 GiB */
    static bool is_private[PAGES];
    memset(is_private, 0, sizeof is_private);
    for (unsigned done = 0; done < CONVERSIONS; done++) {
        unsigned first = next_random() % PAGES, pages = 1 + next_random() % BLOCK;
        unsigned room = first < PAGES / 2 ? PAGES / 2 - first : PAGES - first;
        pages = pages < room ? pages : room;
        const bool to_private = next_random() % 2;
        const uint64_t at = first * 4096ull, gpa = first < PAGES / 2 ? RAM_LOW_END - PAGES / 2 * 4096ull + at
                                                                     : RAM_HIGH + at - PAGES / 2 * 4096ull;
        const off_t offset = (off_t)(RAM_LOW_END - PAGES / 2 * 4096ull + at);
        assert_int_equal(machine_memory_convert(&mem, gpa, pages * 4096ull, to_private, &err), 0);
        for (unsigned i = first; i < first + pages; i++) {
            is_private[i] = to_private;
            const off_t page = offset + (off_t)(i - first) * 4096;
            if (to_private)
                assert_int_equal(pwrite(fake.guest_memfd, &i, sizeof i, page), sizeof i);
            else
                memcpy(guest_memory_at(&mem.view, gpa + (i - first) * 4096ull, sizeof i), &i, sizeof i);
        }
        if (done % 64)
            continue;
        assert_true(allocated(mem.shared) + allocated(fake.guest_memfd) <= PAGES * 4096);
    }
    int64_t private = 0;
    for (unsigned i = 0; i < PAGES; i++)
    private += is_private[i] ? 4096 : 0;
    assert_int_equal(allocated(fake.guest_memfd), private);
    assert_true(allocated(mem.shared) <= PAGES * 4096 - private);
}

/* The host has no hole to give (a sealed or foreign file): that ends the guest, rather than that it is held twice. */
static void says_when_a_copy_cannot_be_given_back(void **state)
{
    (void)state;
    int32_t kept = mem.shared;
    mem.shared = -1;
    assert_int_equal(machine_memory_convert(&mem, 0x4000, 0x1000, true, &err), -COFRE_FAILED);
    assert_non_null(strstr(err.text, "shared copy of 0x4000"));
    mem.shared = kept;
}

static void devices_may_be_asked_for_as_shared_but_not_as_private(void **state)
{
    (void)state;
    assert_int_equal(machine_memory_convert(&mem, 0xfec00000, 0x1000, false, &err), 0);
    assert_int_equal(machine_memory_convert(&mem, 0xfec00000, 0x1000, true, &err), -COFRE_MALFORMED);
    assert_int_equal(machine_memory_convert(&mem, (3ull << 30) - 0x1000, 0x2000, true, &err),
                     -COFRE_MALFORMED);
    assert_int_equal(fake_count(KVM_SET_MEMORY_ATTRIBUTES), 1);
}

static void refuses_ranges_that_no_guest_of_this_size_has(void **state)
{
    (void)state;
    const uint64_t end = (4ull << 30) + 256 * MIB;
    const struct {
        uint64_t gpa, size;
    } bad[] = {
        {0x1000, 0},         {0x1001, 0x1000},       {0x1000, 0x800},
        {end, 0x1000},       {end - 0x1000, 0x2000}, {0x1000, ~0xfffull},
        {~0xfffull, 0x1000}, {~0xfffull, ~0xfffull},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        for (int to_private = 0; to_private < 2; to_private++)
            assert_int_equal(machine_memory_convert(&mem, bad[i].gpa, bad[i].size, to_private, &err),
                             -COFRE_MALFORMED);
    assert_int_equal(fake_count(KVM_SET_MEMORY_ATTRIBUTES), 0);
}

static bool refuse_attributes(int fd, unsigned long request, void *argument, int *rc)
{
    (void)fd;
    (void)argument;
    errno = ENOMEM;
    *rc = -1;
    return request == KVM_SET_MEMORY_ATTRIBUTES;
}

static void keeps_both_copies_when_kvm_refuses(void **state)
{
    (void)state;
    uint8_t *page = guest_memory_at(&mem.view, 0x4000, 1);
    *page = 0x5a;
    fake.answer = refuse_attributes;
    assert_int_equal(machine_memory_convert(&mem, 0x4000, 0x1000, true, &err), -COFRE_FAILED);
    assert_int_equal(*page, 0x5a);
}

static void the_window_is_a_slot_and_goes_once(void **state)
{
    (void)state;
    uint8_t kernel[0x1800];
    memset(kernel, 7, sizeof kernel);
    struct boot_config config = {.kernel = {kernel, sizeof kernel}, .cmdline = {(const uint8_t *)"abc", 3}};
    config.window = staged_window(&config);
    assert_int_equal(machine_memory_stage(&mem, &config, &err), 0);
    const struct uapi_memory_region2 *window = &fake.slot[2];
    assert_int_equal(window->guest_phys_addr, STAGING_BASE);
    assert_int_equal(window->guest_memfd, UINT32_MAX);
    const uint8_t *host = (const uint8_t *)(uintptr_t)window->userspace_addr;
    assert_memory_equal(host, kernel, sizeof kernel);
    assert_memory_equal(host + 0x2000, "abc\0", 4);
    assert_int_equal(fake.slot[3].guest_phys_addr, SHIM_GHCB);
    assert_null(guest_memory_at(&mem.view, STAGING_BASE, 1)); /* devices do not reach it */
    assert_non_null(guest_memory_at(&mem.view, SHIM_GHCB, 0x1000));

    assert_int_equal(machine_memory_unstage(&mem, &err), 0);
    assert_int_equal(fake.slot[2].memory_size, 0);
    unsigned calls = fake.calls;
    assert_int_equal(machine_memory_unstage(&mem, &err), 0);
    assert_int_equal(fake.calls, calls);
}

static void a_page_of_the_image_beside_ram_gets_a_private_slot_of_its_own(void **state)
{
    (void)state;
    static const uint8_t page[4096];
    struct launch_image image = {
        .range = {{LAUNCH_MEASURED, 0x100000, 4096, page}, {LAUNCH_MEASURED, 0xfffff000, 4096, page}},
        .count = 2};
    assert_int_equal(machine_memory_add_beside(&mem, &image, &err), 0);
    assert_int_equal(fake.slot[4].guest_phys_addr, 0xfffff000);
    assert_int_equal(fake.slot[4].memory_size, 4096);
    assert_int_equal(fake.slot[4].guest_memfd, fake.guest_memfd); /* the last one made */
    assert_int_equal(machine_memory_all_private(&mem, &err), 0);
    assert_int_equal(fake.attributes.address, 0xfffff000);
    assert_int_equal(fake.attributes.attributes, KVM_MEMORY_ATTRIBUTE_PRIVATE);
}

/* Firmware's variables and its code, in the one order or the other: one slot, each at its place in it. */
static void ranges_of_the_image_beside_ram_share_a_slot(void **state)
{
    (void)state;
    static const uint8_t code[8192] = {1}, variables[4096] = {2};
    struct launch_image image = {.range = {{LAUNCH_MEASURED, 0xffffe000, sizeof code, code},
                                           {LAUNCH_UNMEASURED, 0xffff8000, sizeof variables, variables}},
                                 .count = 2};
    assert_int_equal(machine_memory_add_beside(&mem, &image, &err), 0);
    assert_int_equal(fake.slot[4].guest_phys_addr, 0xffff8000);
    assert_int_equal(fake.slot[4].memory_size, 0x8000);
    assert_int_equal(machine_memory_load(&mem, &image, &err), 0);
    const uint8_t *host = (const uint8_t *)(uintptr_t)fake.slot[4].userspace_addr;
    assert_memory_equal(host, variables, sizeof variables);
    assert_memory_equal(host + 0x6000, code, sizeof code);
    assert_true(bytes_are_zero(host + 0x1000, 0x5000));
}

static void ranges_beside_ram_that_are_far_apart_are_refused(void **state)
{
    (void)state;
    struct launch_image image = {
        .range = {{LAUNCH_ZERO, 0xc0000000, 4096, NULL}, {LAUNCH_ZERO, 0xfffff000, 4096, NULL}}, .count = 2};
    assert_int_equal(machine_memory_add_beside(&mem, &image, &err), -COFRE_FAILED);
    assert_non_null(strstr(err.text, "too far apart"));
}

static void a_launch_image_outside_ram_is_refused(void **state)
{
    (void)state;
    static const uint8_t data[0x1000] = {1};
    struct launch_image image = {.count = 1, .range = {{LAUNCH_MEASURED, 0x100000, sizeof data, data}}};
    assert_int_equal(machine_memory_load(&mem, &image, &err), 0);
    assert_int_equal(*(uint8_t *)guest_memory_at(&mem.view, 0x100000, 1), 1);
    image.range[0].gpa = RAM_LOW_END - 0x800;
    assert_int_equal(machine_memory_load(&mem, &image, &err), -COFRE_FAILED);
}

/* Of /proc/self/status, in bytes. */
static uint64_t locked(void)
{
    char line[128];
    unsigned long long kib = 0;
    FILE *file = fopen("/proc/self/status", "re");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "VmLck: %llu", &kib) == 1)
            break;
    fclose(file);
    return kib * 1024;
}

static void locked_memory_of_a_plain_guest_is_all_there_and_stays(void **state)
{
    const uint64_t before = locked();
    assert_int_equal(set_up_kind(32 * MIB, false, (struct memory_kind){.locked = true}), 0);
    assert_int_equal(allocated(mem.shared), 0);
    assert_int_equal(machine_memory_take(&mem, &err), 0);
    assert_int_equal(allocated(mem.shared), 32 * MIB);
    assert_int_equal(locked() - before, 32 * MIB);
    assert_int_equal(tear_down(state), 0);
    assert_int_equal(locked(), before);
}

static void locked_memory_of_a_confidential_guest_is_held_once(void **state)
{
    const uint64_t before = locked();
    assert_int_equal(set_up_kind(32 * MIB, true, (struct memory_kind){.locked = true}), 0);
    assert_int_equal(machine_memory_take(&mem, &err), 0);
    assert_int_equal(allocated(fake.guest_memfd), 32 * MIB);
    assert_int_equal(allocated(mem.shared), 0);
    assert_int_equal(locked() - before, 32 * MIB); /* what will be there */
    *(uint8_t *)guest_memory_at(&mem.view, 0x4000, 1) = 1;
    assert_int_equal(allocated(mem.shared), 0x1000);
    assert_int_equal(machine_memory_convert(&mem, 0x4000, 0x1000, true, &err),
                     0); /* a locked page is given back, too */
    assert_int_equal(allocated(mem.shared), 0);
    assert_int_equal(tear_down(state), 0);
}

static void usual_memory_is_not_taken_before_it_is_touched(void **state)
{
    assert_int_equal(set_up_kind(32 * MIB, false, (struct memory_kind){0}), 0);
    assert_int_equal(machine_memory_take(&mem, &err), 0);
    assert_int_equal(allocated(mem.shared), 0);
    assert_int_equal(tear_down(state), 0);
}

/* As a user, because root locks what it likes; a process of its own, because there is no way back. */
static void what_may_not_be_locked_is_refused_with_the_limit(void **state)
{
    assert_int_equal(set_up_kind(32 * MIB, false, (struct memory_kind){.locked = true}), 0);
    const struct rlimit few = {MIB, MIB};
    pid_t pid = fork();
    if (pid == 0) {
        bool good = setrlimit(RLIMIT_MEMLOCK, &few) == 0 &&
                    (getuid() != 0 || setresuid(65534, 65534, 65534) == 0) &&
                    machine_memory_take(&mem, &err) == -COFRE_LACKING && strstr(err.text, "locking 32 MiB") &&
                    strstr(err.text, "RLIMIT_MEMLOCK, ulimit -l) is 1 MiB");
        _exit(!good);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(tear_down(state), 0);
}

static uint64_t free_huge_pages(void)
{
    struct huge_pages pages;
    huge_pages_read(&pages, "/sys/kernel/mm/hugepages", MEMORY_HUGE_2M);
    return pages.free;
}

static void more_huge_pages_than_there_are_is_refused_before_any_is_taken(void **state)
{
    const uint64_t before = free_huge_pages();
    assert_int_equal(
        set_up_kind((before + 1) * 2 * MIB + 4096 * MIB, false, (struct memory_kind){.huge = MEMORY_HUGE_2M}),
        -COFRE_LACKING);
    assert_int_equal(free_huge_pages(), before);
    assert_int_equal(tear_down(state), 0);
}

static void huge_pages_are_all_there_before_the_guest_begins(void **state)
{
    const uint64_t before = free_huge_pages();
    if (before < 16) {
        print_message("# skipped: fewer than 16 huge pages are free here (sysctl vm.nr_hugepages)\n");
        skip();
    }
    assert_int_equal(set_up_kind(32 * MIB, false, (struct memory_kind){.huge = MEMORY_HUGE_2M}), 0);
    assert_int_equal(machine_memory_take(&mem, &err), 0);
    assert_int_equal(allocated(mem.shared), 32 * MIB);
    assert_int_equal(before - free_huge_pages(), 16);
    assert_int_equal(ftruncate(mem.shared, 0), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(tear_down(state), 0);
    assert_int_equal(free_huge_pages(), before);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nobody_with_the_descriptor_can_change_the_size),
        TEST(ram_lies_below_3_gib_and_from_4_gib_on),
        cmocka_unit_test_setup_teardown(a_plain_guest_has_no_private_side, set_up_plain, tear_down),
        TEST(nothing_is_taken_from_the_host_before_it_is_touched),
        TEST(a_page_made_private_loses_its_shared_copy_and_no_other),
        TEST(a_page_made_shared_loses_its_private_copy),
        TEST(a_guest_never_costs_its_memory_twice),
        TEST(says_when_a_copy_cannot_be_given_back),
        TEST(devices_may_be_asked_for_as_shared_but_not_as_private),
        TEST(refuses_ranges_that_no_guest_of_this_size_has),
        TEST(keeps_both_copies_when_kvm_refuses),
        TEST(the_window_is_a_slot_and_goes_once),
        TEST(a_page_of_the_image_beside_ram_gets_a_private_slot_of_its_own),
        TEST(ranges_of_the_image_beside_ram_share_a_slot),
        TEST(ranges_beside_ram_that_are_far_apart_are_refused),
        TEST(a_launch_image_outside_ram_is_refused),
        cmocka_unit_test(locked_memory_of_a_plain_guest_is_all_there_and_stays),
        cmocka_unit_test(locked_memory_of_a_confidential_guest_is_held_once),
        cmocka_unit_test(usual_memory_is_not_taken_before_it_is_touched),
        cmocka_unit_test(what_may_not_be_locked_is_refused_with_the_limit),
        cmocka_unit_test(more_huge_pages_than_there_are_is_refused_before_any_is_taken),
        cmocka_unit_test(huge_pages_are_all_there_before_the_guest_begins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
