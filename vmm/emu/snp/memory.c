/*
 * What an SNP guest's pages show: its C-bit is the high view. The low view shows private pages too, since page-table
 * walks and instruction fetches are private without a C-bit.
 */
#include <errno.h>
#include <string.h>

#include "vmm/emu/snp/snp.h"

static int set_private(void *state, uint64_t start, uint64_t end, bool private)
{
    return rmp_set_private(state, start, end, private);
}

static int may_launch(void *state, uint64_t gfn)
{
    return gfn_set_has(&((const struct rmp *)state)->launched, gfn) ? -EEXIST : 0;
}

static int launched(void *state, uint64_t gfn)
{
    return rmp_launch(state, gfn);
}

void snp_memory_init(struct snp_vm *vm)
{
    vm->emu.memory.pages = (struct memory_pages){
        .state = &vm->rmp,
        .private = &vm->rmp.private,
        .usable = &vm->rmp.validated,
        .shows = {[VIEW_LOW] = {SHOW_CALLER, SHOW_NOTHING, SHOW_GMEM},
                  [VIEW_HIGH] = {SHOW_NOTHING, SHOW_NOTHING, SHOW_GMEM}},
        .shared_view = VIEW_LOW,
        .set_private = set_private,
        .may_launch = may_launch,
        .launched = launched,
    };
}

enum rmp_status snp_pvalidate(struct snp_vm *vm, uint64_t gfn, bool large, bool validate, bool *unchanged)
{
    struct emu_memory *memory = &vm->emu.memory;
    MEMORY_LOCKED(memory);
    enum rmp_status status = rmp_pvalidate(&vm->rmp, gfn, large, validate, unchanged);
    if (status == RMP_SUCCESS && !*unchanged &&
        memory_refresh_locked(memory, gfn, gfn + (large ? RMP_LARGE_PAGES : 1)) != 0)
        return RMP_NO_MEMORY;
    return status;
}

enum rmp_status snp_rmpadjust(struct snp_vm *vm, uint64_t gfn, bool large, uint64_t attributes)
{
    MEMORY_LOCKED(&vm->emu.memory);
    return rmp_adjust(&vm->rmp, gfn, large, attributes);
}

int snp_read_vmsa(struct snp_vm *vm, uint64_t gpa, void *out)
{
    MEMORY_LOCKED(&vm->emu.memory);
    uint64_t gfn = gpa / EMU_PAGE_SIZE;
    const uint8_t *page = memory_private_locked(&vm->emu.memory, gpa);
    if (!page || gpa % EMU_PAGE_SIZE || !gfn_set_has(&vm->rmp.validated, gfn) ||
        !gfn_set_has(&vm->rmp.vmsa, gfn))
        return -EINVAL;
    memcpy(out, page, EMU_PAGE_SIZE);
    return 0;
}
