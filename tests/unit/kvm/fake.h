/*
 * KVM as a test wants it: a backend that records every call and answers as told. Descriptors are real ones, a guest_memfd
 * is a memfd, so that what is done to them otherwise can be seen.
 */
#ifndef TESTS_KVM_FAKE_H
#define TESTS_KVM_FAKE_H

#include <stdbool.h>

#include "vmm/kvm/vcpu.h"

#define FAKE_CALLS_MAX 4096
struct fake_kvm {
    /* Answers a call and returns true, or leaves it to the fake. May change errno. */
    bool (*answer)(int fd, unsigned long request, void *argument, int *rc);
    int open_error;    /* errno of open; 0: it succeeds */
    int api_version;   /* 12 */
    unsigned vm_types; /* KVM_CAP_VM_TYPES */
    unsigned long call[FAKE_CALLS_MAX];
    unsigned calls; /* more than fit are counted only */
    int open_files;
    struct uapi_memory_region2 slot[8]; /* as last set, by number; without guest_memfd guest_memfd is -1 */
    struct uapi_memory_attributes attributes; /* as last set */
    int guest_memfd;                          /* as last made */
    struct kvm_msi msi;                       /* as last sent */
};

extern struct fake_kvm fake;
extern const struct kvm_backend fake_backend;

void fake_reset(void);
unsigned fake_count(unsigned long request); /* how often it was called */

#endif
