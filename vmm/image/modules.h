/* Which of a kernel's modules an image's initrd has, and the order in which they are loaded: those of a table, before each what
 * modules.dep says that it needs. */
#ifndef COFRE_IMAGE_MODULES_H
#define COFRE_IMAGE_MODULES_H

#include "vmm/base/bytes.h"

enum modules_for {
    MODULES_ALWAYS = 1, /* devices, and where evidence comes from */
    MODULES_VERITY = 2,
    MODULES_LUKS = 4,
    MODULES_INTEGRITY = 8, /* of LUKS, besides */
};

#define MODULES_MAX 128

struct modules {
    char *path[MODULES_MAX]; /* below the folder of modules.dep: kernel/drivers/md/dm-mod.ko.xz; in order */
    size_t count;
};

/*
 * dep is modules.dep, builtin modules.builtin (modprobe's, of depmod(8)); whose is the folder, for sentences. A module that the
 * guest cannot do without, and that is neither there nor in the kernel, is -COFRE_LACKING. modules_free in any case.
 */
int modules_choose(struct modules *out, struct view dep, struct view builtin, unsigned for_what,
                   const char *whose, struct cofre_err *err);
void modules_free(struct modules *modules);

/* The name of a module's file: "dm_mod" of "kernel/drivers/md/dm-mod.ko.xz". False where it is none's. */
#define MODULE_NAME_SIZE 64
bool module_name(char out[MODULE_NAME_SIZE], struct view path);

#endif
