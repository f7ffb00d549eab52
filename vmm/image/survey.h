/* What is learned of a root file system before a file system is made of it. */
#ifndef COFRE_IMAGE_SURVEY_H
#define COFRE_IMAGE_SURVEY_H

#include "vmm/image/modules.h"
#include "vmm/image/tree.h"

#define SURVEY_KERNEL_MAX (128u << 20)
#define SURVEY_MODULE_MAX (64u << 20)

struct survey {
    uint64_t content, entries; /* bytes of files, each in whole blocks; how many entries */
    int64_t newest;            /* time of change */
    uint8_t digest[32];        /* of all that an entry is: other input has another one */
    char *version;             /* of the kernel, from its file's name */
    struct bytes kernel, dep,
        builtin; /* boot/vmlinuz-VERSION, and of lib/modules/VERSION modules.dep and modules.builtin */
};

/* time: as image_spec's; files newer than it count as of then. survey_free in any case. */
int survey_make(struct survey *out, const char *rootfs, int64_t time, struct cofre_err *err);
void survey_free(struct survey *survey);

/* The modules' files, unpacked, in their order. Frees nothing on failure: bytes_free each in any case. */
int survey_modules(struct bytes out[MODULES_MAX], const struct modules *modules, const struct survey *survey,
                   const char *rootfs, struct cofre_err *err);

#endif
