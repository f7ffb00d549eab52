/* Page state change (GHCB specification 4.1.6), as KVM does it: adjacent entries become one exit to the caller. */
#include <errno.h>
#include <string.h>

#include "vmm/emu/host.h"
#include "vmm/emu/lies.h"
#include "vmm/emu/snp/event.h"

static int next_run(struct snp_vcpu *vcpu);

/* The guest's list, read anew for each run: it says itself how far it has come. */
struct list {
    struct ghcb_psc_header header;
    uint64_t entry[GHCB_PSC_ENTRIES_MAX];
};
static_assert(offsetof(struct list, entry) == 8, "list");

static int put_entry(struct snp_vcpu *vcpu, unsigned index, uint64_t entry)
{
    uint64_t at = vcpu->psc.scratch + sizeof(struct ghcb_psc_header) + 8ull * index;
    return memory_write_shared(&vcpu->emu.vm->memory, at, &entry, sizeof(entry));
}

/* Marks the run that was in flight as done. */
static int advance(struct snp_vcpu *vcpu, const struct list *list)
{
    struct snp_psc *psc = &vcpu->psc;
    int rc = 0;
    for (; !rc && psc->in_flight; psc->in_flight--, psc->index++)
        rc = put_entry(vcpu, psc->index, ghcb_psc_done(list->entry[psc->index]));
    uint16_t current = (uint16_t)psc->index;
    return rc ? rc : memory_write_shared(&vcpu->emu.vm->memory, psc->scratch, &current, sizeof(current));
}

static int read_list(struct snp_vcpu *vcpu, struct list *list)
{
    memset(list, 0, sizeof(*list));
    return memory_read_shared(&vcpu->emu.vm->memory, vcpu->psc.scratch, list,
                              sizeof(list->header) + 8 * vcpu->psc.limit);
}

/* A validated page that the guest uses right now (its stack) goes, another comes: the RMP knows. */
static int take_page_away(struct snp_vcpu *vcpu)
{
    static atomic_bool done;
    struct kvm_regs regs;
    uint64_t gpa;
    bool unchanged;
    if (!lie_is(LIE_REMAPPED_PAGE) || atomic_exchange(&done, true))
        return 0;
    int rc = host_ioctl(vcpu->emu.fd, KVM_GET_REGS, &regs);
    if (rc || emu_vcpu_translate(&vcpu->emu, regs.rsp, &gpa) != 0)
        return rc;
    snp_pvalidate(snp_vm_of(vcpu), 0, (gpa & ~SNP_C_MASK) / EMU_PAGE_SIZE, false, false, &unchanged);
    return 0;
}

static int complete(struct emu_vcpu *emu)
{
    struct snp_vcpu *vcpu = snp_vcpu(emu);
    struct list list;
    bool converted;
    int rc = event_map_gpa_result(vcpu, &converted);
    if (!rc)
        rc = take_page_away(vcpu);
    if (rc)
        return rc;
    if (!converted)
        return event_answer(vcpu, 0, GHCB_PSC_ERROR_GENERIC);
    rc = read_list(vcpu, &list);
    if (!rc)
        rc = advance(vcpu, &list);
    return rc ? rc : next_run(vcpu);
}

static int next_run(struct snp_vcpu *vcpu)
{
    struct snp_psc *psc = &vcpu->psc;
    struct ghcb_psc_run run;
    struct list list;
    uint64_t status;
    int rc = read_list(vcpu, &list);
    if (rc)
        return rc;
    if (list.header.end >= psc->limit)
        return event_answer(vcpu, 0, GHCB_PSC_ERROR_INVALID_HDR);
    psc->index = list.header.current;
    while (ghcb_psc_next(list.entry, psc->index, list.header.end, &run, &status)) {
        psc->index = run.index;
        psc->in_flight = run.entries;
        if (run.operation)
            return event_exit_map_gpa(vcpu, run.gfn, run.pages, run.operation == GHCB_PAGE_PRIVATE, run.large,
                                      complete);
        rc = advance(vcpu, &list); /* SMASH and UNSMASH are hints */
        if (rc)
            return rc;
    }
    if (status == 0) {
        uint16_t current = (uint16_t)(list.header.end + 1);
        rc = memory_write_shared(&vcpu->emu.vm->memory, psc->scratch, &current, sizeof(current));
    }
    return rc ? rc : event_answer(vcpu, 0, status);
}

int event_page_state_change(struct snp_vcpu *vcpu, const struct ghcb *ghcb)
{
    size_t offset;
    if (!ghcb_scratch(ghcb->scratch, vcpu->ghcb.value, sizeof(struct ghcb_psc_header), &offset))
        return event_refuse(vcpu, GHCB_INVALID_SCRATCH);
    if (!(vcpu->emu.vm->hypercall_exits & 1ull << KVM_HC_MAP_GPA_RANGE))
        return event_answer(vcpu, 0, GHCB_PSC_ERROR_GENERIC);
    size_t room = GHCB_SHARED_BUFFER_END - offset - sizeof(struct ghcb_psc_header);
    vcpu->psc = (struct snp_psc){.scratch = ghcb->scratch, .limit = (unsigned)(room / 8)};
    return next_run(vcpu);
}
