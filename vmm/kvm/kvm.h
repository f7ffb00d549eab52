/*
 * /dev/kvm: the host's KVM, reached through a backend (backend.h). Everything in this room is a typed call
 * for one ioctl; COFRE_LOG=kvm=debug shows each with its arguments and result, and each exit decoded.
 */
#ifndef COFRE_KVM_KVM_H
#define COFRE_KVM_KVM_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/kvm/backend.h"
#include "vmm/kvm/uapi.h"

struct kvm {
    const struct kvm_backend *backend;
    int fd;
    size_t run_size; /* bytes of a vCPU's struct kvm_run mapping */
    bool traced;
};

/* Opens /dev/kvm and checks its API version. COFRE_LACKING, with a remedy, where there is none or it may not
 * be used. */
int kvm_open(struct kvm *out, const struct kvm_backend *backend, struct cofre_err *err);
void kvm_close(struct kvm *kvm);

/* KVM_CHECK_EXTENSION: 0 where the capability is absent, else its value. */
int kvm_check_extension(const struct kvm *kvm, unsigned capability);
/* COFRE_LACKING, naming what it is needed for, where the capability is absent. */
int kvm_require(const struct kvm *kvm, unsigned capability, const char *what, struct cofre_err *err);
/* KVM_GET_DEVICE_ATTR of /dev/kvm: false where the kernel does not have the attribute. */
bool kvm_device_attr(const struct kvm *kvm, unsigned group, unsigned attribute, uint64_t *value);
/* KVM_GET_SUPPORTED_CPUID: at most KVM_CPUID_MAX entries, in a table with room for KVM_CPUID_MAX; the caller
 * frees it. */
#define KVM_CPUID_MAX 256
int kvm_supported_cpuid(const struct kvm *kvm, struct kvm_cpuid2 **out, struct cofre_err *err);

/* For this room's files: the call itself, traced. -1 and errno as ioctl(2). */
int kvm_call(const struct kvm *kvm, int fd, unsigned long request, void *argument);
/* KVM_MEMORY_ENCRYPT_OP with a TDX command on a virtual machine or a vCPU: vm.h and vcpu.h have the two. */
int kvm_tdx_command(const struct kvm *kvm, int fd, uint32_t id, uint32_t flags, uint64_t data,
                    uint64_t *hw_error);
/* Fails with "NAME: what errno means" and returns -COFRE_FAILED. Reads errno. */
int kvm_call_failed(struct cofre_err *err, unsigned long request);

#endif
