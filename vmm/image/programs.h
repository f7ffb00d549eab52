/* Programs of ours that run in an image's guest. */
#ifndef COFRE_IMAGE_PROGRAMS_H
#define COFRE_IMAGE_PROGRAMS_H

#include "vmm/base/bytes.h"

/* name: "cofre-init". From where the build or the installation has it. */
int program_read(struct bytes *out, const char *name, struct cofre_err *err);

#endif
