/* The plain KVM under the emulation: system calls, behind a pointer so that a unit test can stand in for the kernel. */
#ifndef COFRE_EMU_HOST_H
#define COFRE_EMU_HOST_H

#include "vmm/kvm/backend.h"

extern const struct kvm_backend *emu_host;

/* One ioctl of the plain KVM: its result, or -errno. */
int host_ioctl(int fd, unsigned long request, void *argument);
int host_ioctl_value(int fd, unsigned long request, unsigned long argument);

#endif
