/* Intel's things put together as the file that `cofre verify --collateral` takes (tdx/collateral.h), and read as one. */
#ifndef COFRE_ATTEST_COLLATERAL_TDX_FILE_H
#define COFRE_ATTEST_COLLATERAL_TDX_FILE_H

#include "attest/collateral/item.h"
#include "tdx/collateral.h"

struct tdx_part {
    enum collateral_kind kind;
    const struct collateral_item *item;
};

int tdx_file_read(struct tdx_collateral *out, const struct tdx_part *part, size_t parts,
                  struct cofre_err *err);

#endif
