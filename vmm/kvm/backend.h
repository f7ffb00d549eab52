/*
 * Where KVM's calls go. The real backend is the kernel; the emulated one (vmm/emu) offers the same ioctls for SEV-SNP
 * and TDX virtual machines on top of a plain KVM. The boundary is the ioctl surface itself: descriptors, ioctl, mmap,
 * and the exits in struct kvm_run; and the one service of a TDX host that stands beside KVM.
 */
#ifndef COFRE_KVM_BACKEND_H
#define COFRE_KVM_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Where Intel's qgsd listens (DCAP, quote_wrapper/qgs/server_main.cpp). */
#define KVM_QUOTE_SERVICE "unix:/var/run/tdx-qgs/qgs.socket"

struct kvm_backend {
    const char *name; /* "kernel" or "emulated" */
    bool in_process;  /* the work of firmware or module is done by the process that calls, in KVM_RUN */
    /* All as the system calls: -1 and errno on failure. path is "/dev/kvm" or "/dev/sev". */
    int (*open)(const char *path, int flags);
    int (*ioctl)(int fd, unsigned long request, void *argument);
    void *(*mmap)(void *address, size_t length, int protection, int flags, int fd, off_t offset);
    int (*munmap)(void *address, size_t length);
    int (*close)(int fd);
    /* A new connection to the host's quote generation service, close-on-exec and not blocking: a descriptor, perhaps
     * still connecting, or -1 and errno. address is "unix:PATH" or "vsock:CID:PORT", else EINVAL; NULL is where the host
     * usually has it (the emulated platform: its own). */
    int (*quote_service)(const char *address);
};

extern const struct kvm_backend kvm_backend_kernel;   /* vmm/kvm/kernel.c */
extern const struct kvm_backend kvm_backend_emulated; /* vmm/emu/backend.c */

#endif
