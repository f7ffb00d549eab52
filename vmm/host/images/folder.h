/* The names in a folder. */
#ifndef COFRE_HOST_IMAGES_FOLDER_H
#define COFRE_HOST_IMAGES_FOLDER_H

#include <stddef.h>

#include "vmm/base/error.h"

struct folder_names {
    char **name;
    size_t count;
};

/* All but "." and "..". folder stays the caller's, and so does *out, in any case. */
int folder_list(struct folder_names *out, int folder, struct cofre_err *err);
void folder_free(struct folder_names *names);

#endif
