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

int snp_memory_show(struct snp_vm *vm, unsigned vmpl)
{
    const uint64_t end = EMU_HIGH_MASK / EMU_PAGE_SIZE;
    struct emu_memory *memory = &vm->emu.memory;
    MEMORY_LOCKED(memory);
    const struct gfn_set *before = memory->pages.usable, *now = rmp_usable(&vm->rmp, vmpl);
    int rc = 0;
    memory->pages.usable = now;
    for (uint64_t gfn = 0, stop; !rc && before != now && gfn < end; gfn = stop) {
        stop = gfn_set_run_end(now, gfn, gfn_set_run_end(before, gfn, end));
        if (gfn_set_has(before, gfn) != gfn_set_has(now, gfn))
            rc = memory_refresh_locked(memory, gfn, stop);
    }
    return rc;
}

bool snp_is_closed(struct snp_vm *vm, unsigned vmpl, uint64_t gpa)
{
    MEMORY_LOCKED(&vm->emu.memory);
    return gfn_set_has(&vm->rmp.validated, gpa / EMU_PAGE_SIZE) &&
           !gfn_set_has(rmp_usable(&vm->rmp, vmpl), gpa / EMU_PAGE_SIZE);
}

enum rmp_status snp_pvalidate(struct snp_vm *vm, unsigned vmpl, uint64_t gfn, bool large, bool validate,
                              bool *unchanged)
{
    struct emu_memory *memory = &vm->emu.memory;
    MEMORY_LOCKED(memory);
    enum rmp_status status = rmp_pvalidate(&vm->rmp, vmpl, gfn, large, validate, unchanged);
    if (status == RMP_SUCCESS && !*unchanged &&
        memory_refresh_locked(memory, gfn, gfn + (large ? RMP_LARGE_PAGES : 1)) != 0)
        return RMP_NO_MEMORY;
    return status;
}

enum rmp_status snp_rmpadjust(struct snp_vm *vm, unsigned vmpl, uint64_t gfn, bool large, uint64_t attributes)
{
    MEMORY_LOCKED(&vm->emu.memory);
    return rmp_adjust(&vm->rmp, vmpl, gfn, large, attributes);
}

static uint8_t *vmsa_locked(struct snp_vm *vm, uint64_t gpa)
{
    const uint64_t gfn = gpa / EMU_PAGE_SIZE;
    const bool is_one =
        gpa % EMU_PAGE_SIZE == 0 && gfn_set_has(&vm->rmp.validated, gfn) && gfn_set_has(&vm->rmp.vmsa, gfn);
    return is_one ? memory_private_locked(&vm->emu.memory, gpa) : NULL;
}

int snp_read_vmsa(struct snp_vm *vm, uint64_t gpa, void *out)
{
    MEMORY_LOCKED(&vm->emu.memory);
    const uint8_t *page = vmsa_locked(vm, gpa);
    if (!page)
        return -EINVAL;
    memcpy(out, page, EMU_PAGE_SIZE);
    return 0;
}

int snp_write_vmsa(struct snp_vm *vm, uint64_t gpa, const void *vmsa)
{
    MEMORY_LOCKED(&vm->emu.memory);
    uint8_t *page = vmsa_locked(vm, gpa);
    if (!page)
        return -EINVAL;
    memcpy(page, vmsa, EMU_PAGE_SIZE);
    return 0;
}
