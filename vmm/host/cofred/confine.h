/* What a part of cofred gives up, once and for good, before it reads a byte that anybody else wrote. */
#ifndef COFRE_HOST_CONFINE_H
#define COFRE_HOST_CONFINE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "vmm/base/error.h"

enum {
    CONFINE_NO_NETWORK = 1 << 0, /* a network namespace with nothing in it */
    CONFINE_NO_PROGRAMS =
        1 << 1, /* no execve(2), and nothing that reaches into other processes or changes the host */
};

/* From root: becomes that user without groups and capabilities, which nothing gives back; its memory is nobody else's to read;
 * it ends when its parent does. */
int confine(uid_t uid, gid_t gid, unsigned what, struct cofre_err *err);
/* Of the file system nothing but what is below these can be opened from now on, by a name; what is open stays so. After confine(). Where the
 * kernel has no Landlock a line of the log says so. */
struct confine_place {
    const char *path;
    bool kept; /* written to, not only read */
};
int confine_files(const struct confine_place *place, size_t count, struct cofre_err *err);
/* The last of confine() alone, for who stays root. */
int confine_to_parent(struct cofre_err *err);

#endif
