#include "tests/unit/kvm/fake.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct fake_kvm fake;

#define RUN_SIZE 12288
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void fake_reset(void)
{
    fake = (struct fake_kvm){.api_version = KVM_API_VERSION, .vm_types = 1, .guest_memfd = -1};
}

unsigned fake_count(unsigned long request)
{
    unsigned n = 0;
    for (unsigned i = 0; i < fake.calls && i < FAKE_CALLS_MAX; i++)
        n += fake.call[i] == request;
    return n;
}

static int new_file(uint64_t size)
{
    int fd = memfd_create("fake", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
        abort();
    __atomic_add_fetch(&fake.open_files, 1, __ATOMIC_SEQ_CST);
    return fd;
}

static int fake_open(const char *path, int flags)
{
    (void)path;
    (void)flags;
    errno = fake.open_error;
    return fake.open_error ? -1 : new_file(0);
}

static int fake_close(int fd)
{
    __atomic_sub_fetch(&fake.open_files, 1, __ATOMIC_SEQ_CST);
    return close(fd);
}

static int set_slot(const void *argument, bool has_memfd)
{
    struct uapi_memory_region2 region = {0};
    memcpy(&region, argument, has_memfd ? sizeof region : sizeof(struct kvm_userspace_memory_region));
    if (!has_memfd)
        region.guest_memfd = UINT32_MAX;
    if (region.slot < 8)
        fake.slot[region.slot] = region;
    return 0;
}

static int supported_cpuid(struct kvm_cpuid2 *table)
{
    const struct kvm_cpuid_entry2 entries[] = {{.function = 0, .eax = 0xd},
                                               {.function = 1, .ebx = 0x00010800}};
    table->nent = 2;
    memcpy(table->entries, entries, sizeof entries);
    return 0;
}

static int answer(unsigned long request, void *argument)
{
    switch (request) {
    case KVM_GET_API_VERSION:
        return fake.api_version;
    case KVM_GET_VCPU_MMAP_SIZE:
        return RUN_SIZE;
    case KVM_CHECK_EXTENSION:
        return (uintptr_t)argument == KVM_CAP_VM_TYPES ? (int)fake.vm_types : 1;
    case KVM_CREATE_VM:
    case KVM_CREATE_VCPU:
        return new_file(0);
    case KVM_CREATE_GUEST_MEMFD:
        return fake.guest_memfd = new_file(((struct uapi_create_guest_memfd *)argument)->size);
    case KVM_SET_USER_MEMORY_REGION:
        return set_slot(argument, false);
    case KVM_SET_USER_MEMORY_REGION2:
        return set_slot(argument, true);
    case KVM_SET_MEMORY_ATTRIBUTES:
        memcpy(&fake.attributes, argument, sizeof fake.attributes);
        return 0;
    case KVM_SIGNAL_MSI:
        memcpy(&fake.msi, argument, sizeof fake.msi);
        return 1;
    case KVM_GET_SUPPORTED_CPUID:
        return supported_cpuid(argument);
    case KVM_SET_MSRS:
        return 1;
    default:
        return 0;
    }
}

static int fake_ioctl(int fd, unsigned long request, void *argument)
{
    pthread_mutex_lock(&lock);
    if (fake.calls < FAKE_CALLS_MAX)
        fake.call[fake.calls] = request;
    fake.calls++;
    pthread_mutex_unlock(&lock);
    int rc = 0;
    if (fake.answer && fake.answer(fd, request, argument, &rc))
        return rc;
    return answer(request, argument);
}

static void *fake_mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    (void)fd;
    (void)offset;
    return mmap(address, length, protection, (flags & ~MAP_SHARED) | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

const struct kvm_backend fake_backend = {
    .name = "fake",
    .open = fake_open,
    .ioctl = fake_ioctl,
    .mmap = fake_mmap,
    .munmap = munmap,
    .close = fake_close,
};
