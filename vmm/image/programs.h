/* Programs of ours that run in an image's guest. */
#ifndef COFRE_IMAGE_PROGRAMS_H
#define COFRE_IMAGE_PROGRAMS_H

#include "vmm/base/bytes.h"

/* Where the build or the installation has it, the caller's to free. name: "cofre-init". */
int program_path(char **out, const char *name, struct cofre_err *err);
int program_read(struct bytes *out, const char *name, struct cofre_err *err);

#endif
