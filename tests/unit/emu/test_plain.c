/* Plain machines with guest_memfd on a host whose kernel gives them none: what its slots become, what a process sees of it, and what
 * is refused. The plain KVM below takes any slot and remembers it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/emu/emu.h"
#include "vmm/emu/host.h"

#define SIZE 0x4000ull
#define BOTH (GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED)

static struct kvm_userspace_memory_region last;
static unsigned host_regions, others;

static int fake_open(const char *path, int flags)
{
    (void)path;
    return open("/dev/null", flags);
}

static int fake_ioctl(int fd, unsigned long request, void *argument)
{
    (void)fd;
    if (request == KVM_CREATE_VM)
        return open("/dev/null", O_RDWR | O_CLOEXEC);
    if (request == KVM_SET_USER_MEMORY_REGION) {
        last = *(struct kvm_userspace_memory_region *)argument;
        host_regions++;
    } else if (request != KVM_CHECK_EXTENSION) {
        others++;
    }
    return 0;
}

static const struct kvm_backend fake = {"fake", false, fake_open, fake_ioctl, mmap, munmap, close, NULL};
static const struct kvm_backend *const kvm = &kvm_backend_emulated;
static int kvm_fd, vm;
static uint8_t ram[SIZE] __attribute__((aligned(4096)));

static int set_up(void **state)
{
    (void)state;
    emu_host = &fake;
    host_regions = others = 0;
    kvm_fd = kvm->open("/dev/kvm", O_RDWR);
    vm = kvm->ioctl(kvm_fd, KVM_CREATE_VM, (void *)KVM_X86_DEFAULT_VM);
    assert_true(vm >= 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    kvm->close(vm);
    kvm->close(kvm_fd);
    return 0;
}

static int create(uint64_t size, uint64_t flags)
{
    struct uapi_create_guest_memfd in = {.size = size, .flags = flags};
    const int fd = kvm->ioctl(vm, KVM_CREATE_GUEST_MEMFD, &in);
    return fd < 0 ? -errno : fd;
}

static int bind_at(uint32_t slot, uint64_t size, uint64_t offset, int fd)
{
    struct uapi_memory_region2 in = {.slot = slot,
                                     .flags = fd >= 0 ? KVM_MEM_GUEST_MEMFD : 0,
                                     .guest_phys_addr = 1ull << 32,
                                     .memory_size = size,
                                     .userspace_addr = (uintptr_t)ram,
                                     .guest_memfd = (uint32_t)fd,
                                     .guest_memfd_offset = offset};
    return kvm->ioctl(vm, KVM_SET_USER_MEMORY_REGION2, &in) < 0 ? errno : 0;
}

static int extension(unsigned long capability)
{
    return kvm->ioctl(vm, KVM_CHECK_EXTENSION, (void *)capability);
}

static void says_what_newer_kernels_say(void **state)
{
    (void)state;
    struct uapi_memory_attributes none = {.size = 4096};
    assert_int_equal(extension(KVM_CAP_GUEST_MEMFD), 1);
    assert_int_equal(extension(KVM_CAP_USER_MEMORY2), 1);
    assert_int_equal(extension(KVM_CAP_GUEST_MEMFD_FLAGS), BOTH);
    assert_int_equal(extension(KVM_CAP_MEMORY_ATTRIBUTES), 0);
    assert_int_equal(kvm->ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, &none), -1);
    assert_int_equal(errno, ENOTTY);
    assert_int_equal(kvm->ioctl(vm, KVM_CREATE_IRQCHIP, NULL), 0); /* the host's own, as all else */
    assert_int_equal(others, 1);
}

static void a_slot_shows_the_guest_what_the_process_maps(void **state)
{
    (void)state;
    const int fd = create(SIZE, BOTH);
    assert_true(fd >= 0);
    assert_int_equal(bind_at(3, 0x2000, 0x1000, fd), 0);
    assert_int_equal(last.slot, 3);
    assert_int_equal(last.flags, 0);
    assert_int_equal(last.memory_size, 0x2000);
    uint8_t *mine = kvm->mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(mine != MAP_FAILED);
    mine[0x1000] = 0x5a;
    assert_int_equal(*(uint8_t *)(uintptr_t)last.userspace_addr, 0x5a);
    kvm->munmap(mine, SIZE);
    kvm->close(fd);
}

static void without_its_flag_it_is_not_mapped_and_not_shown(void **state)
{
    (void)state;
    const int fd = create(SIZE, 0);
    assert_true(fd >= 0);
    assert_true(kvm->mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED);
    assert_int_equal(errno, ENODEV);
    assert_int_equal(bind_at(0, SIZE, 0, fd), 0);
    assert_ptr_equal((void *)(uintptr_t)last.userspace_addr, ram);
    kvm->close(fd);
}

static sigjmp_buf back;
static void on_bus_error(int number)
{
    siglongjmp(back, number);
}

static void what_is_private_raises_sigbus(void **state)
{
    (void)state;
    struct sigaction bus = {.sa_handler = on_bus_error}, before;
    const int fd = create(SIZE, GUEST_MEMFD_FLAG_MMAP);
    volatile uint8_t *mine = kvm->mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(mine != MAP_FAILED);
    assert_int_equal(sigaction(SIGBUS, &bus, &before), 0);
    const int number = sigsetjmp(back, 1);
    if (number == 0)
        mine[0] = 1;
    assert_int_equal(number, SIGBUS);
    assert_int_equal(sigaction(SIGBUS, &before, NULL), 0);
    kvm->munmap((void *)(uintptr_t)mine, SIZE);
    assert_true(kvm->mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED); /* no copy on write */
    assert_int_equal(errno, EINVAL);
    kvm->close(fd);
}

static void what_no_kernel_takes_is_refused(void **state)
{
    (void)state;
    assert_int_equal(create(0, BOTH), -EINVAL);
    assert_int_equal(create(SIZE - 1, BOTH), -EINVAL);
    assert_int_equal(create(SIZE, 4), -EINVAL);
    const int fd = create(SIZE, BOTH),
              other_vm = kvm->ioctl(kvm_fd, KVM_CREATE_VM, (void *)KVM_X86_DEFAULT_VM);
    assert_int_equal(bind_at(0, SIZE, 1, fd), EINVAL);
    assert_int_equal(bind_at(0, SIZE, 0x1000, fd), EINVAL);
    assert_int_equal(bind_at(0, SIZE, INT64_MAX & ~0xfffull, fd), EINVAL);
    assert_int_equal(bind_at(0, SIZE, 0, kvm_fd), EINVAL);
    assert_int_equal(bind_at(0, SIZE, 0, 9999), EBADF);
    assert_int_equal(bind_at(EMU_SLOTS_MAX, SIZE, 0, fd), EINVAL);
    const int mine = vm;
    vm = other_vm;
    assert_int_equal(bind_at(0, SIZE, 0, fd), EINVAL); /* another machine's */
    vm = mine;
    assert_int_equal(host_regions, 0);
    kvm->close(other_vm);
    kvm->close(fd);
}

static void a_bound_slot_can_only_be_deleted(void **state)
{
    (void)state;
    const int fd = create(SIZE, BOTH);
    assert_int_equal(bind_at(0, SIZE, 0, fd), 0);
    assert_int_equal(bind_at(0, SIZE, 0, fd), EINVAL);
    assert_int_equal(bind_at(0, SIZE, 0, -1), EINVAL);
    struct kvm_userspace_memory_region old = {.memory_size = SIZE, .userspace_addr = (uintptr_t)ram};
    assert_int_equal(kvm->ioctl(vm, KVM_SET_USER_MEMORY_REGION, &old), -1);
    assert_int_equal(host_regions, 1);
    assert_int_equal(bind_at(0, 0, 0, -1), 0);
    assert_int_equal(last.memory_size, 0);
    assert_int_equal(bind_at(0, SIZE, 0, -1), 0);
    assert_ptr_equal((void *)(uintptr_t)last.userspace_addr, ram);
    old.flags = KVM_MEM_GUEST_MEMFD;
    assert_int_equal(kvm->ioctl(vm, KVM_SET_USER_MEMORY_REGION, &old), -1);
    kvm->close(fd);
}

/* Its memory is there as long as one of machine, descriptor or duplicate is; sanitizers see the end. */
static void it_may_outlive_its_machine(void **state)
{
    (void)state;
    const int fd = create(SIZE, BOTH);
    kvm->close(vm);
    uint8_t *mine = kvm->mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(mine != MAP_FAILED);
    kvm->close(fd);
    mine[SIZE - 1] = 1;
    munmap(mine, SIZE);
    vm = -1;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(says_what_newer_kernels_say),
        TEST(a_slot_shows_the_guest_what_the_process_maps),
        TEST(without_its_flag_it_is_not_mapped_and_not_shown),
        TEST(what_is_private_raises_sigbus),
        TEST(what_no_kernel_takes_is_refused),
        TEST(a_bound_slot_can_only_be_deleted),
        TEST(it_may_outlive_its_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
