#include "vmm/kvm/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/log.h"
#include "vmm/kvm/trace.h"

#define LOG_ROOM "kvm"

int kvm_call(const struct kvm *kvm, int fd, unsigned long request, void *argument)
{
    int rc = kvm->backend->ioctl(fd, request, argument);
    if (!kvm->traced)
        return rc;
    int saved = errno;
    char words[512];
    kvm_request_describe(words, sizeof words, request, argument);
    log_debug("[%d] %s(%s) = %d%s%s", fd, kvm_request_name(request), words, rc, rc < 0 ? " " : "",
              rc < 0 ? strerrorname_np(saved) : "");
    errno = saved;
    return rc;
}

int kvm_call_failed(struct cofre_err *err, unsigned long request)
{
    return cofre_fail(err, COFRE_FAILED, "%s: %s", kvm_request_name(request), strerror(errno));
}

static int open_failed(struct cofre_err *err)
{
    switch (errno) {
    case ENOENT:
    case ENXIO:
    case ENODEV:
        return cofre_fail(
            err, COFRE_LACKING,
            "/dev/kvm: not there. This host offers no hardware virtualisation: enable SVM or VT-x in its "
            "firmware and load the module (modprobe kvm-amd, or kvm-intel); without such hardware, "
            "vmm/quickstart runs guests in a software machine");
    case EACCES:
    case EPERM:
        return cofre_fail(
            err, COFRE_LACKING,
            "/dev/kvm: permission denied. Run as root, or join the group that owns it (usermod -aG kvm "
            "USER, then log in again)");
    default:
        return cofre_fail(err, COFRE_LACKING, "/dev/kvm: %s", strerror(errno));
    }
}

int kvm_open(struct kvm *out, const struct kvm_backend *backend, struct cofre_err *err)
{
    *out = (struct kvm){.backend = backend, .fd = -1, .traced = log_wanted(LOG_ROOM, LOG_DEBUG)};
    out->fd = backend->open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (out->fd < 0)
        return open_failed(err);
    int version = kvm_call(out, out->fd, KVM_GET_API_VERSION, NULL);
    int run_size = version == KVM_API_VERSION ? kvm_call(out, out->fd, KVM_GET_VCPU_MMAP_SIZE, NULL) : 0;
    if (run_size >= (int)sizeof(struct kvm_run)) {
        out->run_size = (size_t)run_size;
        return 0;
    }
    kvm_close(out);
    return cofre_fail(err, COFRE_LACKING,
                      "/dev/kvm: speaks version %d of KVM's interface; version %d is needed", version,
                      KVM_API_VERSION);
}

void kvm_close(struct kvm *kvm)
{
    if (kvm->fd >= 0)
        kvm->backend->close(kvm->fd);
    kvm->fd = -1;
}

int kvm_check_extension(const struct kvm *kvm, unsigned capability)
{
    int rc = kvm_call(kvm, kvm->fd, KVM_CHECK_EXTENSION, (void *)(uintptr_t)capability);
    return rc < 0 ? 0 : rc;
}

int kvm_require(const struct kvm *kvm, unsigned capability, const char *what, struct cofre_err *err)
{
    if (kvm_check_extension(kvm, capability))
        return 0;
    return cofre_fail(err, COFRE_LACKING,
                      "this host's KVM lacks %s (capability %u): a newer kernel is needed", what, capability);
}

bool kvm_device_attr(const struct kvm *kvm, unsigned group, unsigned attribute, uint64_t *value)
{
    struct kvm_device_attr attr = {.group = group, .attr = attribute, .addr = (uintptr_t)value};
    return kvm_call(kvm, kvm->fd, KVM_GET_DEVICE_ATTR, &attr) == 0;
}

int kvm_supported_cpuid(const struct kvm *kvm, struct kvm_cpuid2 **out, struct cofre_err *err)
{
    CLEAN_FREE struct kvm_cpuid2 *table = calloc(1, sizeof *table + KVM_CPUID_MAX * sizeof table->entries[0]);
    if (!table)
        return cofre_fail(err, COFRE_FAILED, "CPUID table: out of memory");
    table->nent = KVM_CPUID_MAX;
    if (kvm_call(kvm, kvm->fd, KVM_GET_SUPPORTED_CPUID, table) < 0)
        return kvm_call_failed(err, KVM_GET_SUPPORTED_CPUID);
    *out = TAKE_PTR(table);
    return 0;
}
