/* The commands of KVM_MEMORY_ENCRYPT_OP in words: their names, and what an errno of each means. A TEE's launch has a table. */
#ifndef COFRE_KVM_COMMAND_H
#define COFRE_KVM_COMMAND_H

#include <stdint.h>

#include "vmm/base/error.h"

struct kvm_command_name {
    uint32_t id;
    const char *name; /* "KVM_SEV_INIT2" */
};

#define KVM_EVERY_COMMAND UINT32_MAX
struct kvm_command_reason {
    uint32_t command; /* or KVM_EVERY_COMMAND */
    int error;        /* the errno */
    enum cofre_error code;
    const char *sentence; /* what is wrong and what to do */
};

/* Tables are ended by a NULL name and a NULL sentence. */
const char *kvm_command_name(const struct kvm_command_name *names, uint32_t command);
/* Fails with "NAME: SENTENCE (what errno means; DETAIL)", by the first reason that fits; detail may be empty. */
int kvm_command_failed(struct cofre_err *err, const struct kvm_command_name *names,
                       const struct kvm_command_reason *reasons, uint32_t command, int error,
                       const char *detail);

#endif
