/* The shim's page tables and the acceptance of RAM. */
#ifndef COFRE_SHIM_MEMORY_H
#define COFRE_SHIM_MEMORY_H

#include "vmm/shim/tee.h"

/* The shim's own RAM from SHIM_OWN on, after the page tables that memory.c keeps there. */
#define OWN_PARAMS       (SHIM_OWN + 0x4000) /* boot_params */
#define OWN_CC           (SHIM_OWN + 0x5000)
#define OWN_CMDLINE      (SHIM_OWN + 0x6000)
#define OWN_CMDLINE_SIZE 0x10000
#define OWN_HEADER       (OWN_CMDLINE + OWN_CMDLINE_SIZE) /* one page */

/* Accepts the shim's own RAM, then maps low memory 1:1 (private) and the staging window (shared). */
void memory_map(const struct shim_tee *tee);
/* Accept RAM below SHIM_BASE; and a range of it from SHIM_END on, in whole RAM_STEPs. Each page is accepted once: they end
 * the guest when a page cannot be, or has been before. */
void memory_accept_first(const struct shim_tee *tee);
void memory_accept(const struct shim_tee *tee, uint64_t start, uint64_t end);

#endif
