/* The types of virtual machine that the emulation knows: the one place that names them all. */
#ifndef COFRE_EMU_TYPES_H
#define COFRE_EMU_TYPES_H

#include "vmm/emu/emu.h"

extern const struct emu_type snp_type; /* snp/vm.c */
extern const struct emu_type tdx_type; /* tdx/vm.c */

#endif
