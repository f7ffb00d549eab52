/*
 * The emulated backend: which of the caller's descriptors is what, and the calls on /dev/kvm itself. Whatever is not
 * ours goes to the plain KVM as it is.
 */
#define LOG_ROOM "emu"
#include "vmm/kvm/backend.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tdx/model/quote_service.h"
#include "vmm/base/log.h"
#include "vmm/emu/caller.h"
#include "vmm/emu/emu.h"
#include "vmm/emu/host.h"
#include "vmm/emu/lies.h"
#include "vmm/emu/offer.h"
#include "vmm/emu/plain.h"
#include "vmm/emu/types.h"

static const struct emu_type *const types[] = {&snp_type, &tdx_type};
#define TYPES (sizeof(types) / sizeof(types[0]))

static const struct emu_type *only; /* NULL: all */

enum file_kind { FILE_NOT_OURS, FILE_KVM, FILE_DEVICE, FILE_PLAIN, FILE_VM, FILE_VCPU, FILE_GMEM };

struct emu_file {
    enum file_kind kind;
    const struct emu_type *type; /* whose device it is */
    struct emu_vm *vm;           /* the machine, or whose it is */
    struct emu_plain *plain;     /* or the plain one */
    struct emu_vcpu *vcpu;
    struct emu_gmem *gmem;
};

/* Each descriptor of it holds its machine, and a guest_memfd besides. */
static void file_get(const struct emu_file *file)
{
    if (file->vm)
        emu_vm_get(file->vm);
    if (file->plain)
        plain_get(file->plain);
    if (file->kind == FILE_GMEM)
        gmem_get(file->gmem);
}

static void file_put(const struct emu_file *file)
{
    if (file->kind == FILE_GMEM)
        gmem_put(file->gmem);
    if (file->vm)
        emu_vm_put(file->vm);
    if (file->plain)
        plain_put(file->plain);
}

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

bool emu_is_device(int fd, const struct emu_type *type)
{
    struct emu_file file = file_of(fd);
    return file.kind == FILE_DEVICE && file.type == type;
}

int emu_register_vcpu(int fd, struct emu_vcpu *vcpu)
{
    return file_set(fd, (struct emu_file){.kind = FILE_VCPU, .vcpu = vcpu, .vm = vcpu->vm});
}

int emu_register_gmem(int fd, struct emu_gmem *gmem, struct emu_vm *vm, struct emu_plain *plain)
{
    const struct emu_file file = {.kind = FILE_GMEM, .gmem = gmem, .vm = vm, .plain = plain};
    file_get(&file);
    gmem_put(gmem); /* the caller's reference is the descriptor's now */
    const int rc = file_set(fd, file);
    if (rc) {
        file_put(&file);
        emu_host->close(fd);
    }
    return rc;
}

struct emu_gmem *emu_gmem_of(int fd, const struct emu_vm *vm, const struct emu_plain *plain)
{
    struct emu_file file = file_of(fd);
    return file.kind == FILE_GMEM && file.vm == vm && file.plain == plain ? file.gmem : NULL;
}

static bool is_offered(size_t i)
{
    return !only || only == types[i];
}

bool emu_offer_only(unsigned vm_type)
{
    for (size_t i = 0; i < TYPES; i++)
        if (types[i]->vm_type == vm_type)
            only = types[i];
    return only && only->vm_type == vm_type;
}

static void announce(void)
{
    char titles[64] = "";
    for (size_t i = 0; i < TYPES; i++)
        if (is_offered(i))
            snprintf(titles + strlen(titles), sizeof(titles) - strlen(titles), "%s%s", titles[0] ? ", " : "",
                     types[i]->title);
    log_warn("this is the EMULATED platform (%s): it shows what hardware would do and gives no "
             "confidentiality",
             titles);
    lie_announce();
}

static struct emu_file kind_of_path(const char *path)
{
    if (strcmp(path, "/dev/kvm") == 0)
        return (struct emu_file){.kind = FILE_KVM};
    for (size_t i = 0; i < TYPES; i++)
        if (is_offered(i) && types[i]->device && strcmp(path, types[i]->device) == 0)
            return (struct emu_file){.kind = FILE_DEVICE, .type = types[i]};
    return (struct emu_file){0};
}

static int emulated_open(const char *path, int flags)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct emu_file file = kind_of_path(path);
    pthread_once(&once, announce);
    int fd = emu_host->open(file.kind == FILE_DEVICE ? "/dev/null" : path, flags);
    if (fd < 0)
        return fd;
    int rc = file_set(fd, file);
    if (!rc)
        return fd;
    emu_host->close(fd);
    errno = -rc;
    return -1;
}

static int create_confidential(const struct emu_type *type)
{
    struct emu_vm *vm;
    int fd;
    int own = emu_host->open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (own < 0)
        return -errno;
    int rc = emu_vm_create(&vm, type, own, &fd);
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

static int create_plain(int kvm_fd)
{
    struct emu_plain *plain;
    const int fd = host_ioctl_value(kvm_fd, KVM_CREATE_VM, KVM_X86_DEFAULT_VM);
    if (fd < 0)
        return fd;
    int rc = plain_new(&plain);
    if (rc == 0 && (rc = file_set(fd, (struct emu_file){.kind = FILE_PLAIN, .plain = plain})) != 0)
        plain_put(plain);
    if (rc)
        emu_host->close(fd);
    return rc ? rc : fd;
}

static int create_vm(int kvm_fd, unsigned long vm_type)
{
    if (vm_type == KVM_X86_DEFAULT_VM)
        return create_plain(kvm_fd);
    for (size_t i = 0; i < TYPES; i++)
        if (is_offered(i) && types[i]->vm_type == vm_type)
            return create_confidential(types[i]);
    return -EINVAL;
}

int emu_check_extension(int fd, unsigned long capability)
{
    int vm_types = 1 << KVM_X86_DEFAULT_VM;
    switch (capability) {
    case KVM_CAP_VM_TYPES:
        for (size_t i = 0; i < TYPES; i++)
            vm_types |= is_offered(i) ? 1 << types[i]->vm_type : 0;
        return vm_types;
    case KVM_CAP_GUEST_MEMFD:
    case KVM_CAP_USER_MEMORY2:
    case KVM_CAP_MEMORY_FAULT_INFO:
        return 1;
    case KVM_CAP_GUEST_MEMFD_FLAGS: /* /dev/kvm says what there is of any machine */
        return (int)gmem_flags(file_of(fd).kind == FILE_KVM);
    case KVM_CAP_MEMORY_ATTRIBUTES:
        return (int)KVM_MEMORY_ATTRIBUTE_PRIVATE;
    case KVM_CAP_EXIT_HYPERCALL:
        return (int)EMU_HYPERCALL_EXITS;
    case KVM_CAP_NR_MEMSLOTS:
        return EMU_SLOTS_MAX;
    case KVM_CAP_SYNC_REGS:
    case KVM_CAP_XEN_HVM:
        return 0;
    default:
        return host_ioctl_value(fd, KVM_CHECK_EXTENSION, capability);
    }
}

static int system_ioctl(int fd, unsigned long request, void *argument)
{
    int rc = EMU_COMMON;
    if (request == KVM_CREATE_VM)
        return create_vm(fd, (uintptr_t)argument);
    if (request == KVM_CHECK_EXTENSION)
        return emu_check_extension(fd, (uintptr_t)argument);
    for (size_t i = 0; rc == EMU_COMMON && i < TYPES; i++)
        if (is_offered(i))
            rc = types[i]->system_ioctl(fd, request, argument);
    return rc == EMU_COMMON ? host_ioctl(fd, request, argument) : rc;
}

static int file_ioctl(int fd, const struct emu_file *file, unsigned long request, void *argument)
{
    switch (file->kind) {
    case FILE_KVM:
        return system_ioctl(fd, request, argument);
    case FILE_PLAIN:
        return plain_ioctl(file->plain, fd, request, argument);
    case FILE_VM:
        return emu_vm_ioctl(file->vm, request, argument);
    case FILE_VCPU:
        return file->vm->type->vcpu_ioctl(file->vcpu, request, argument);
    case FILE_DEVICE:
        return file->type->device_ioctl ? file->type->device_ioctl(request, argument) : -ENOTTY;
    default:
        return -ENOTTY;
    }
}

/* The size of what the emulation itself reads of the caller's, where the request says it; 0: not of these. */
static size_t input_size(unsigned long request)
{
    static const unsigned long inputs[] = {
        KVM_ENABLE_CAP,
        KVM_SET_USER_MEMORY_REGION,
        KVM_SET_USER_MEMORY_REGION2,
        KVM_SET_MEMORY_ATTRIBUTES,
        KVM_CREATE_GUEST_MEMFD,
        KVM_X86_SET_MSR_FILTER,
        KVM_GET_DEVICE_ATTR,
        KVM_HAS_DEVICE_ATTR,
        KVM_SET_SREGS,
        KVM_SET_SREGS2,
        KVM_IOEVENTFD,
    };
    if (request == KVM_MEMORY_ENCRYPT_OP)
        return sizeof(union emu_command);
    for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++)
        if (inputs[i] == request)
            return _IOC_SIZE(request);
    return 0;
}

/* Read once, then checked and used. A command's result is in it, too. */
static int checked_ioctl(int fd, const struct emu_file *file, unsigned long request, void *argument)
{
    uint64_t input[64];
    const size_t size = input_size(request);
    const bool command = request == KVM_MEMORY_ENCRYPT_OP; /* NULL is a question of its own, of SEV */
    if (!size || size > sizeof(input) || (command && !argument))
        return file_ioctl(fd, file, request, argument);
    if (caller_read(input, argument, size) != 0)
        return -EFAULT;
    const int rc = file_ioctl(fd, file, request, input);
    return command && caller_write(argument, input, size) != 0 ? -EFAULT : rc;
}

static int emulated_ioctl(int fd, unsigned long request, void *argument)
{
    const struct emu_file file = file_of(fd);
    if (file.kind == FILE_NOT_OURS)
        return emu_host->ioctl(fd, request, argument);
    const int rc = checked_ioctl(fd, &file, request, argument);
    if (rc >= 0)
        return rc;
    errno = -rc;
    return -1;
}

static void *emulated_mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    const struct emu_file file = file_of(fd);
    if (file.kind == FILE_GMEM)
        return gmem_mmap(file.gmem, address, length, protection, flags, offset);
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
    file_put(&file);
    return rc;
}

enum emu_descriptor emu_descriptor(int fd)
{
    const enum file_kind kind = file_of(fd).kind;
    return kind == FILE_NOT_OURS ? EMU_NOT_OURS : kind == FILE_GMEM ? EMU_GUEST_MEMFD : EMU_KVM;
}

int emu_duplicated(int from, int to)
{
    const struct emu_file file = file_of(from);
    if (file.kind == FILE_NOT_OURS)
        return 0;
    file_get(&file);
    return file_set(to, file);
}

/* The emulated host has a quote generation service of its own; any other is asked for as on a real one. */
static int emulated_quote_service(const char *address)
{
    struct cofre_err err;
    if (address)
        return kvm_backend_kernel.quote_service(address);
    int fd = tdx_quote_service_connect(&err);
    if (fd < 0) {
        log_error("the emulated quote generation service cannot start: %s", err.text);
        errno = ECONNREFUSED;
    }
    return fd;
}

const struct kvm_backend kvm_backend_emulated = {
    .name = "emulated",
    .in_process = true,
    .open = emulated_open,
    .ioctl = emulated_ioctl,
    .mmap = emulated_mmap,
    .munmap = emulated_munmap,
    .close = emulated_close,
    .quote_service = emulated_quote_service,
};
