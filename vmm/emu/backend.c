/*
 * The emulated backend: which of the caller's descriptors is what, and the calls on /dev/kvm itself. Whatever is not
 * ours goes to the plain KVM as it is.
 */
#define LOG_ROOM "emu"
#include "vmm/kvm/backend.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/log.h"
#include "vmm/emu/emu.h"
#include "vmm/emu/host.h"
#include "vmm/emu/lies.h"

enum file_kind { FILE_NOT_OURS, FILE_KVM, FILE_SEV, FILE_VM, FILE_VCPU, FILE_GMEM };

struct emu_file {
    enum file_kind kind;
    struct emu_vm *vm; /* the machine, or whose it is */
    struct emu_vcpu *vcpu;
    struct emu_gmem *gmem;
};

static struct {
    pthread_rwlock_t lock;
    struct emu_file *file; /* by descriptor */
    size_t count;
} files = {.lock = PTHREAD_RWLOCK_INITIALIZER};

static struct emu_file file_of(int fd)
{
    struct emu_file file = {0};
    pthread_rwlock_rdlock(&files.lock);
    if (fd >= 0 && (size_t)fd < files.count)
        file = files.file[fd];
    pthread_rwlock_unlock(&files.lock);
    return file;
}

static int file_set(int fd, struct emu_file file)
{
    int rc = 0;
    pthread_rwlock_wrlock(&files.lock);
    if ((size_t)fd >= files.count) {
        size_t count = (size_t)fd + 64;
        struct emu_file *array = realloc(files.file, count * sizeof(*array));
        rc = array ? 0 : -ENOMEM;
        if (array) {
            memset(array + files.count, 0, (count - files.count) * sizeof(*array));
            files.file = array;
            files.count = count;
        }
    }
    if (!rc)
        files.file[fd] = file;
    pthread_rwlock_unlock(&files.lock);
    return rc;
}

bool emu_is_sev_fd(int fd)
{
    return file_of(fd).kind == FILE_SEV;
}

int emu_register_vcpu(int fd, struct emu_vcpu *vcpu)
{
    return file_set(fd, (struct emu_file){.kind = FILE_VCPU, .vcpu = vcpu, .vm = vcpu->vm});
}

int emu_register_gmem(int fd, struct emu_gmem *gmem, struct emu_vm *vm)
{
    emu_vm_get(vm);
    return file_set(fd, (struct emu_file){.kind = FILE_GMEM, .gmem = gmem, .vm = vm});
}

struct emu_gmem *emu_gmem_of(int fd, const struct emu_vm *vm)
{
    struct emu_file file = file_of(fd);
    return file.kind == FILE_GMEM && file.vm == vm ? file.gmem : NULL;
}

static void announce(void)
{
    log_warn("this is the EMULATED SEV-SNP platform: it shows what hardware would do and gives no "
             "confidentiality");
    lie_announce();
}

static int emulated_open(const char *path, int flags)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    bool sev = strcmp(path, "/dev/sev") == 0;
    pthread_once(&once, announce);
    int fd = emu_host->open(sev ? "/dev/null" : path, flags);
    if (fd < 0)
        return fd;
    enum file_kind kind = sev ? FILE_SEV : strcmp(path, "/dev/kvm") == 0 ? FILE_KVM : FILE_NOT_OURS;
    int rc = file_set(fd, (struct emu_file){.kind = kind});
    if (!rc)
        return fd;
    emu_host->close(fd);
    errno = -rc;
    return -1;
}

static int create_vm(int kvm_fd, unsigned long type)
{
    struct emu_vm *vm;
    int fd;
    if (type == KVM_X86_DEFAULT_VM)
        return host_ioctl_value(kvm_fd, KVM_CREATE_VM, type);
    if (type != KVM_X86_SNP_VM)
        return -EINVAL;
    int own = emu_host->open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (own < 0)
        return -errno;
    int rc = emu_vm_create(&vm, own, &fd);
    if (rc) {
        emu_host->close(own);
        return rc;
    }
    rc = file_set(fd, (struct emu_file){.kind = FILE_VM, .vm = vm});
    if (rc) {
        emu_host->close(fd);
        emu_vm_put(vm);
    }
    return rc ? rc : fd;
}

static int get_supported_cpuid(int kvm_fd, struct kvm_cpuid2 *table)
{
    CLEAN_FREE struct kvm_cpuid_entry2 *entry = calloc(EMU_CPUID_MAX, sizeof(*entry));
    unsigned n;
    if (!entry)
        return -ENOMEM;
    int rc = emu_cpuid_supported(kvm_fd, entry, &n);
    if (rc)
        return rc;
    if (table->nent < n)
        return -E2BIG;
    table->nent = n;
    memcpy(table->entries, entry, n * sizeof(*entry));
    return 0;
}

/* Group 1 of /dev/kvm's attributes: SEV. */
static int device_attribute(unsigned long request, const struct kvm_device_attr *attr)
{
    static const uint64_t values[] = {
        [UAPI_X86_SEV_VMSA_FEATURES] = EMU_VMSA_FEATURES,
        [UAPI_X86_SEV_POLICY_BITS] = EMU_POLICY_BITS,
        [UAPI_X86_SEV_REQ_CERTS] = 1,
    };
    if (attr->attr >= sizeof(values) / sizeof(values[0]))
        return -ENXIO;
    if (request == KVM_GET_DEVICE_ATTR)
        memcpy((void *)(uintptr_t)attr->addr, &values[attr->attr], sizeof(values[0]));
    return 0;
}

static int system_ioctl(int fd, unsigned long request, void *argument)
{
    switch (request) {
    case KVM_CREATE_VM:
        return create_vm(fd, (uintptr_t)argument);
    case KVM_CHECK_EXTENSION:
        return emu_vm_check_extension(NULL, fd, (uintptr_t)argument);
    case KVM_GET_SUPPORTED_CPUID:
        return get_supported_cpuid(fd, argument);
    case KVM_GET_DEVICE_ATTR:
    case KVM_HAS_DEVICE_ATTR:
        if (((const struct kvm_device_attr *)argument)->group == UAPI_X86_GRP_SEV)
            return device_attribute(request, argument);
        break;
    default:
        break;
    }
    return host_ioctl(fd, request, argument);
}

static int emulated_ioctl(int fd, unsigned long request, void *argument)
{
    struct emu_file file = file_of(fd);
    int rc;
    switch (file.kind) {
    case FILE_KVM:
        rc = system_ioctl(fd, request, argument);
        break;
    case FILE_VM:
        rc = emu_vm_ioctl(file.vm, request, argument);
        break;
    case FILE_VCPU:
        rc = emu_vcpu_ioctl(file.vcpu, request, argument);
        break;
    case FILE_GMEM:
    case FILE_SEV:
        rc = -ENOTTY;
        break;
    default:
        return emu_host->ioctl(fd, request, argument);
    }
    if (rc >= 0)
        return rc;
    errno = -rc;
    return -1;
}

static void *emulated_mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    if (file_of(fd).kind == FILE_GMEM) { /* guest_memfd without its mmap flag */
        errno = ENODEV;
        return MAP_FAILED;
    }
    return emu_host->mmap(address, length, protection, flags, fd, offset);
}

static int emulated_munmap(void *address, size_t length)
{
    return emu_host->munmap(address, length);
}

static int emulated_close(int fd)
{
    struct emu_file file = file_of(fd);
    if (file.kind != FILE_NOT_OURS)
        file_set(fd, (struct emu_file){0});
    int rc = emu_host->close(fd);
    if (file.kind == FILE_GMEM)
        gmem_put(file.gmem);
    if (file.vm)
        emu_vm_put(file.vm);
    return rc;
}

const struct kvm_backend kvm_backend_emulated = {
    .name = "emulated",
    .open = emulated_open,
    .ioctl = emulated_ioctl,
    .mmap = emulated_mmap,
    .munmap = emulated_munmap,
    .close = emulated_close,
};
