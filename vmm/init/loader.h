/* The modules that the initrd brings: /modules/order has their names, one a line, in the order in which they are loaded. */
#ifndef COFRE_INIT_LOADER_H
#define COFRE_INIT_LOADER_H

#include <stdio.h>

#include "vmm/base/error.h"

/* One that does not load is said to say: hardware may lack what it is for (either TEE's is there), and what cannot be done without
 * is missed later, by name. */
int loader_run(const char *folder, FILE *say, struct cofre_err *err);

#endif
