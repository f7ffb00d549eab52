/* The library that `cofre emulate` loads before a program: descriptors.c has its calls, processor.c its CPUID. */
#ifndef COFRE_EMULATE_EMULATE_H
#define COFRE_EMULATE_EMULATE_H

#include <dlfcn.h>
#include <stdbool.h>

#include "vmm/kvm/backend.h"

#define HOOK __attribute__((visibility("default")))

/* The next of that name: the C library's. A program may call before its libraries' constructors have run, ours too. */
#define NEXT(name)                                                                                           \
    ({                                                                                                       \
        static __typeof__(name) *next;                                                                       \
        if (!next)                                                                                           \
            next = (__typeof__(name) *)dlsym(RTLD_NEXT, #name);                                              \
        next;                                                                                                \
    })

#define EMULATE_TEE     "COFRE_EMULATE" /* in the environment: "snp" or "tdx" */
#define EMULATE_LIBRARY "cofre-emulate.so"

extern bool emulate_is_tdx; /* of the host that is emulated */

/* CPUID in the program's own code answers as a host's with SEV-SNP does. */
void processor_emulate(void);

#endif
