/* Who may what, as it is meant: every role, every operation, from every place. Written by hand, and by nothing that is tested. */
#ifndef COFRE_TEST_HOST_CELLS_H
#define COFRE_TEST_HOST_CELLS_H

#include <stdbool.h>

#include "vmm/host/interface/operation.h"

#define CELL_ROLES  8
#define CELL_PLACES 8
#define CELL_ROWS   48

/* The last one has no grant. */
extern const char *const cell_roles[CELL_ROLES];

/* Where and for what the role is granted, and where the operation is asked for. "": all tenants; the host. Guest web has no labels,
 * vault has tier gold; a guest that is to be made has those of the guest that is named. */
extern const struct cell_place {
    const char *granted, *labels;
    bool denied; /* administrator is denied there as well */
    const char *asked, *guest;
} cell_places[CELL_PLACES];

/* A allowed, R refused, N not to be seen, - there is no such place for it; a letter for each role. */
extern const struct cell_row {
    const char *operation, *outcome[CELL_PLACES];
} cell_rows[CELL_ROWS];

#endif
