/*
 * The emulation shows one page of the caller's memory to the guest at a second address of its own, and only a shared
 * mapping can be had twice. Memory that is a private mapping (malloc, MAP_ANONYMOUS | MAP_PRIVATE) is therefore
 * replaced, in place and with its contents, by a shared one.
 */
#ifndef COFRE_EMU_ADOPT_H
#define COFRE_EMU_ADOPT_H

#include <stddef.h>
#include <stdint.h>

/* Page-aligned; 0 or -errno. The caller must not write to it meanwhile. */
int adopt_shared(uint8_t *hva, size_t size);

#endif
