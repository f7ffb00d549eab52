/* Plain machines on the emulated host: this host's own, with what newer kernels give them besides. That is guest_memfd, which a slot of
 * such a machine shows its guest where it can be mapped, and else lies unused: a plain machine has no private pages. */
#ifndef COFRE_EMU_PLAIN_H
#define COFRE_EMU_PLAIN_H

#include "vmm/emu/gmem.h"

struct emu_plain;

int plain_new(struct emu_plain **out);
void plain_get(struct emu_plain *plain);
void plain_put(struct emu_plain *plain);

/* fd is the caller's descriptor of the machine, which is this host's as well. */
int plain_ioctl(struct emu_plain *plain, int fd, unsigned long request, void *argument);

#endif
