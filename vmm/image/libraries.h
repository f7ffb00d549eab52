/* The shared libraries of a program, as this machine's dynamic linker finds them: what an initrd needs beside it. */
#ifndef COFRE_IMAGE_LIBRARIES_H
#define COFRE_IMAGE_LIBRARIES_H

#include "vmm/base/bytes.h"

#define LIBRARIES_LINKER "/lib64/ld-linux-x86-64.so.2"
#define LIBRARIES_MAX    64

struct libraries {
    char *path[LIBRARIES_MAX]; /* absolute, by name; without the linker itself */
    size_t count;
};

/* libraries_free in any case. -COFRE_LACKING where one is not there. */
int libraries_of(struct libraries *out, const char *program, struct cofre_err *err);
void libraries_free(struct libraries *libraries);

#endif
