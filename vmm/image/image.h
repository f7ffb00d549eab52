/* An image: from a root file system to the files that `cofre run` boots a guest of. The same input is the same bytes. */
#ifndef COFRE_IMAGE_IMAGE_H
#define COFRE_IMAGE_IMAGE_H

#include "vmm/init/root.h"

struct image_spec {
    const char *rootfs; /* folder or tar, with boot/vmlinuz-VERSION and lib/modules/VERSION */
    const char *folder; /* where the files go; is made, or what has their names there is replaced */
    enum root_kind root;
    bool integrity;  /* of ROOT_LUKS: each sector has a tag, and one that was changed is not read */
    const char *key; /* of ROOT_LUKS: the file with the 32 bytes that open it; made where it is not there */
    const char *ca;  /* of ROOT_LUKS: who vouches for the service that has the key, PEM */
    const char *cmdline; /* what the kernel gets besides */
    uint64_t size;       /* bytes of the file system; 0: what it takes */
    int64_t time;        /* no file is newer (SOURCE_DATE_EPOCH); INT64_MAX: the newest file's own time */
};

/* Paths of the files. */
struct image {
    char *kernel, *initrd, *disk;
    char *cmdline; /* itself; it is also in the folder's file "cmdline" */
};

/* image_free in any case. */
int image_build(struct image *out, const struct image_spec *spec, struct cofre_err *err);
void image_free(struct image *image);

/* "FOLDER/NAME", the caller's to free. */
int image_path(char **out, const char *folder, const char *name, struct cofre_err *err);

#endif
