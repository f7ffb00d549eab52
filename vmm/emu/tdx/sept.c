#include "vmm/emu/tdx/sept.h"

#include <errno.h>

void sept_free(struct sept *sept)
{
    gfn_set_free(&sept->private);
    gfn_set_free(&sept->present);
    gfn_set_free(&sept->large);
    gfn_set_free(&sept->pending);
    gfn_set_free(&sept->used);
}

/* Pages leave; a 2 MiB mapping that loses one is 512 of 4 KiB from then on. */
static int remove_pages(struct sept *sept, uint64_t start, uint64_t end)
{
    uint64_t first = start / 512 * 512;
    uint64_t last = (end + 511) / 512 * 512;
    int rc = gfn_set_remove(&sept->present, start, end);
    if (!rc)
        rc = gfn_set_remove(&sept->large, first, last);
    return rc ? rc : gfn_set_remove(&sept->pending, start, end);
}

int sept_set_private(struct sept *sept, uint64_t start, uint64_t end, bool private)
{
    if (private)
        return gfn_set_add(&sept->private, start, end);
    int rc = gfn_set_remove(&sept->private, start, end);
    return rc ? rc : remove_pages(sept, start, end);
}

static int make_present(struct sept *sept, uint64_t start, uint64_t end)
{
    int rc = gfn_set_remove(&sept->pending, start, end);
    if (!rc)
        rc = gfn_set_add(&sept->used, start, end);
    return rc ? rc : gfn_set_add(&sept->present, start, end);
}

int sept_add(struct sept *sept, uint64_t gfn)
{
    if (gfn_set_has(&sept->present, gfn) || gfn_set_has(&sept->pending, gfn))
        return -EEXIST;
    return make_present(sept, gfn, gfn + 1);
}

int sept_touch(struct sept *sept, uint64_t gfn)
{
    return gfn_set_add(&sept->pending, gfn, gfn + 1);
}

int sept_replace(struct sept *sept, uint64_t gfn)
{
    int rc = remove_pages(sept, gfn, gfn + 1);
    return rc ? rc : sept_touch(sept, gfn);
}

static enum sept_result accept_small(struct sept *sept, uint64_t gfn, unsigned *level)
{
    if (!gfn_set_has(&sept->private, gfn))
        return SEPT_VIOLATION;
    if (gfn_set_has(&sept->present, gfn)) {
        *level = gfn_set_has(&sept->large, gfn) ? SEPT_LEVEL_2M : SEPT_LEVEL_4K;
        return SEPT_ALREADY_ACCEPTED;
    }
    return make_present(sept, gfn, gfn + 1) ? SEPT_NO_MEMORY : SEPT_ACCEPTED;
}

static enum sept_result accept_large(struct sept *sept, uint64_t gfn)
{
    uint64_t end = gfn + sept_pages(SEPT_LEVEL_2M);
    if (gfn_set_has(&sept->large, gfn))
        return SEPT_ALREADY_ACCEPTED;
    if (!gfn_set_has_none(&sept->present, gfn, end) || !gfn_set_has_none(&sept->pending, gfn, end))
        return SEPT_SIZE_MISMATCH;
    if (!gfn_set_has_all(&sept->private, gfn, end))
        return SEPT_VIOLATION;
    if (make_present(sept, gfn, end) || gfn_set_add(&sept->large, gfn, end))
        return SEPT_NO_MEMORY;
    return SEPT_ACCEPTED;
}

enum sept_result sept_accept(struct sept *sept, uint64_t gfn, unsigned *level)
{
    return *level == SEPT_LEVEL_2M ? accept_large(sept, gfn) : accept_small(sept, gfn, level);
}
