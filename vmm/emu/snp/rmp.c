#include "vmm/emu/snp/rmp.h"

void rmp_free(struct rmp *rmp)
{
    gfn_set_free(&rmp->private);
    gfn_set_free(&rmp->launched);
    gfn_set_free(&rmp->validated);
    gfn_set_free(&rmp->vmsa);
    for (unsigned i = 0; i < RMP_VMPLS - 1; i++)
        gfn_set_free(&rmp->open[i]);
}

const struct gfn_set *rmp_usable(const struct rmp *rmp, unsigned vmpl)
{
    return vmpl ? &rmp->open[vmpl - 1] : &rmp->validated;
}

static int close_to_lower(struct rmp *rmp, uint64_t start, uint64_t end)
{
    int rc = 0;
    for (unsigned i = 0; !rc && i < RMP_VMPLS - 1; i++)
        rc = gfn_set_remove(&rmp->open[i], start, end);
    return rc;
}

int rmp_set_private(struct rmp *rmp, uint64_t start, uint64_t end, bool private)
{
    if (private)
        return gfn_set_add(&rmp->private, start, end);
    int rc = gfn_set_remove(&rmp->private, start, end);
    if (!rc)
        rc = gfn_set_remove(&rmp->launched, start, end);
    if (!rc)
        rc = gfn_set_remove(&rmp->validated, start, end);
    if (!rc)
        rc = gfn_set_remove(&rmp->vmsa, start, end);
    return rc ? rc : close_to_lower(rmp, start, end);
}

int rmp_launch(struct rmp *rmp, uint64_t gfn)
{
    int rc = gfn_set_add(&rmp->launched, gfn, gfn + 1);
    return rc ? rc : gfn_set_add(&rmp->validated, gfn, gfn + 1);
}

enum rmp_status rmp_pvalidate(struct rmp *rmp, unsigned vmpl, uint64_t gfn, bool large, bool validate,
                              bool *unchanged)
{
    uint64_t end = gfn + (large ? RMP_LARGE_PAGES : 1);
    *unchanged = false;
    if (large && gfn % RMP_LARGE_PAGES != 0)
        return RMP_FAIL_INPUT;
    if (vmpl != 0) /* an SVSM validates for its guest (58019, SVSM_CORE_PVALIDATE) */
        return RMP_FAIL_PERMISSION;
    if (!gfn_set_has_all(&rmp->private, gfn, end))
        return RMP_NOT_ASSIGNED;
    bool was = gfn_set_has(&rmp->validated, gfn);
    /* Differing 4 KiB pages cannot be behind one 2 MiB entry of the table. */
    if (gfn_set_run_end(&rmp->validated, gfn, end) != end)
        return RMP_FAIL_SIZEMISMATCH;
    if (was == validate) {
        *unchanged = true;
        return RMP_SUCCESS;
    }
    int rc = validate ? gfn_set_add(&rmp->validated, gfn, end) : close_to_lower(rmp, gfn, end);
    if (!rc && !validate)
        rc = gfn_set_remove(&rmp->validated, gfn, end);
    return rc ? RMP_NO_MEMORY : RMP_SUCCESS;
}

enum rmp_status rmp_adjust(struct rmp *rmp, unsigned vmpl, uint64_t gfn, bool large, uint64_t attributes)
{
    uint64_t end = gfn + (large ? RMP_LARGE_PAGES : 1);
    unsigned target_vmpl = attributes & 0xff;
    bool vmsa = attributes & RMPADJUST_VMSA;
    const bool open = (attributes & RMPADJUST_READ) && (attributes & RMPADJUST_WRITE);
    if ((large && (vmsa || gfn % RMP_LARGE_PAGES != 0)) || target_vmpl >= RMP_VMPLS)
        return RMP_FAIL_INPUT;
    if (target_vmpl <= vmpl) /* only a less privileged level's permissions can be changed */
        return RMP_FAIL_PERMISSION;
    if (!gfn_set_has_all(&rmp->private, gfn, end))
        return RMP_NOT_ASSIGNED;
    if (!gfn_set_has_all(&rmp->validated, gfn, end))
        return RMP_NOT_VALIDATED;
    if (!gfn_set_has_all(rmp_usable(rmp, vmpl), gfn, end)) /* nobody gives what he has not */
        return RMP_FAIL_PERMISSION;
    struct gfn_set *opened = &rmp->open[target_vmpl - 1];
    int rc = open ? gfn_set_add(opened, gfn, end) : gfn_set_remove(opened, gfn, end);
    if (!rc)
        rc = vmsa ? gfn_set_add(&rmp->vmsa, gfn, end) : gfn_set_remove(&rmp->vmsa, gfn, end);
    return rc ? RMP_NO_MEMORY : RMP_SUCCESS;
}
