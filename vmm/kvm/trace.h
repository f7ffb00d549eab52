/* KVM's calls and exits in words, for the trace and for sentences about them. */
#ifndef COFRE_KVM_TRACE_H
#define COFRE_KVM_TRACE_H

#include <stddef.h>

#include "vmm/kvm/uapi.h"

const char *kvm_request_name(unsigned long request); /* "KVM_RUN"; "an unknown ioctl" */
/* The call's key arguments, as far as this program uses them. */
void kvm_request_describe(char *out, size_t size, unsigned long request, const void *argument);
const char *kvm_exit_name(uint32_t reason); /* "KVM_EXIT_IO"; "an unknown exit" */
void kvm_exit_describe(char *out, size_t size, const struct kvm_run *run);

#endif
