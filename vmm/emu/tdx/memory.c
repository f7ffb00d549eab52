/* What a TD's pages show: its shared bit is the high view. Private pages are in the low one once they are present. */
#include <errno.h>

#include "vmm/emu/tdx/tdx.h"

static int set_private(void *state, uint64_t start, uint64_t end, bool private)
{
    return sept_set_private(state, start, end, private);
}

/* Linux 6.19 and later: TDH.MEM.PAGE.ADD of a mapped page is a bug of KVM's, since it looks first. */
static int may_launch(void *state, uint64_t gfn)
{
    const struct sept *sept = state;
    return gfn_set_has(&sept->present, gfn) || gfn_set_has(&sept->pending, gfn) ? -EIO : 0;
}

static int launched(void *state, uint64_t gfn)
{
    return sept_add(state, gfn);
}

void tdx_memory_init(struct tdx_vm *vm)
{
    vm->emu.memory.pages = (struct memory_pages){
        .state = &vm->sept,
        .private = &vm->sept.private,
        .usable = &vm->sept.present,
        .shows = {[VIEW_LOW] = {SHOW_NOTHING, SHOW_NOTHING, SHOW_GMEM},
                  [VIEW_HIGH] = {SHOW_CALLER, SHOW_NOTHING, SHOW_NOTHING}},
        .shared_view = VIEW_HIGH,
        .set_private = set_private,
        .may_launch = may_launch,
        .launched = launched,
    };
}

/* The first page of a run that KVM cannot give the guest as private, or 0. */
static uint64_t find_violation(struct tdx_vm *vm, uint64_t start, uint64_t end)
{
    for (uint64_t gfn = start; gfn < end; gfn++)
        if (!memory_private_locked(&vm->emu.memory, gfn * EMU_PAGE_SIZE))
            return gfn;
    return 0;
}

enum sept_result tdx_memory_accept(struct tdx_vm *vm, uint64_t *gpa, unsigned *level)
{
    struct emu_memory *memory = &vm->emu.memory;
    MEMORY_LOCKED(memory);
    uint64_t start = *gpa / EMU_PAGE_SIZE;
    uint64_t end = start + sept_pages(*level);
    if (!memory_private_locked(memory, *gpa))
        return SEPT_VIOLATION;
    if (find_violation(vm, start, end)) {
        *level = SEPT_LEVEL_2M; /* KVM maps 4 KiB pages where 2 MiB do not fit */
        return SEPT_SIZE_MISMATCH;
    }
    bool used = !gfn_set_has_none(&vm->sept.used, start, end);
    enum sept_result result = sept_accept(&vm->sept, start, level);
    if (result != SEPT_ACCEPTED)
        return result;
    if ((used && memory_zero_locked(memory, start, end) != 0) ||
        memory_refresh_locked(memory, start, end) != 0)
        return SEPT_NO_MEMORY;
    return SEPT_ACCEPTED;
}

int tdx_memory_touch(struct tdx_vm *vm, uint64_t gpa)
{
    MEMORY_LOCKED(&vm->emu.memory);
    return sept_touch(&vm->sept, gpa / EMU_PAGE_SIZE);
}

int tdx_memory_replace(struct tdx_vm *vm, uint64_t gpa)
{
    struct emu_memory *memory = &vm->emu.memory;
    MEMORY_LOCKED(memory);
    uint64_t gfn = gpa / EMU_PAGE_SIZE;
    if (!gfn_set_has(&vm->sept.present, gfn))
        return -EINVAL;
    int rc = sept_replace(&vm->sept, gfn);
    return rc ? rc : memory_refresh_locked(memory, gfn, gfn + 1);
}
