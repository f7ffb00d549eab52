/* The initrd of an image: a cpio archive in which nothing but names, modes and contents differs from one file to another. */
#ifndef COFRE_IMAGE_INITRD_H
#define COFRE_IMAGE_INITRD_H

#include "vmm/base/bytes.h"

struct initrd;

int initrd_make(struct initrd **out, const char *path, struct cofre_err *err);
/* In the order in which the kernel is to make them; directories of a name first. name: without a "/" before it. */
int initrd_add_directory(struct initrd *initrd, const char *name, struct cofre_err *err);
int initrd_add_file(struct initrd *initrd, const char *name, unsigned mode, struct view content,
                    struct cofre_err *err);
/* Frees in any case. */
int initrd_finish(struct initrd *initrd, struct cofre_err *err);

/* What a file of a compression that libarchive reads has in it, at most max bytes; one that is not compressed, as it is. name is
 * for sentences. */
int initrd_unpack(struct bytes *out, struct view packed, size_t max, const char *name, struct cofre_err *err);

#endif
