/* What a GHCB page says: no state, no guest memory. */
#include <string.h>

#include "vmm/emu/snp/ghcb.h"

bool ghcb_is_valid(const struct ghcb *ghcb, size_t offset)
{
    size_t quadword = offset / 8;
    return quadword / 8 < sizeof(ghcb->valid) && ghcb->valid[quadword / 8] >> (quadword % 8) & 1;
}

enum { NEED_RAX = 1, NEED_RCX = 2, NEED_RDX = 4, NEED_RBX = 8, NEED_SCRATCH = 16, NEED_CPL = 32 };

/* The events that are served, and the input that each must give whatever its parameters (table 6). */
static const struct {
    uint32_t event;
    unsigned need;
} events[] = {
    {GHCB_READ_DR7, 0},
    {GHCB_WRITE_DR7, NEED_RAX},
    {GHCB_RDTSC, 0},
    {GHCB_RDPMC, NEED_RCX},
    {GHCB_CPUID, NEED_RAX | NEED_RCX},
    {GHCB_INVD, 0},
    {GHCB_IOIO, 0},
    {GHCB_MSR, NEED_RCX},
    {GHCB_VMMCALL, NEED_RAX | NEED_CPL},
    {GHCB_RDTSCP, 0},
    {GHCB_WBINVD, 0},
    {GHCB_MONITOR, NEED_RAX | NEED_RCX | NEED_RDX},
    {GHCB_MWAIT, NEED_RAX | NEED_RCX},
    {GHCB_MMIO_READ, NEED_SCRATCH},
    {GHCB_MMIO_WRITE, NEED_SCRATCH},
    {GHCB_NMI_COMPLETE, 0},
    {GHCB_AP_RESET_HOLD, 0},
    {GHCB_AP_JUMP_TABLE, 0},
    {GHCB_PSC, NEED_SCRATCH},
    {GHCB_GUEST_REQUEST, 0},
    {GHCB_EXT_GUEST_REQUEST, 0},
    {GHCB_AP_CREATION, 0},
    {GHCB_RUN_VMPL, 0},
    {GHCB_HV_FEATURES, 0},
    {GHCB_TERMINATE, 0},
    {GHCB_UNSUPPORTED_EVENT, 0},
};

static bool has_input(const struct ghcb *g, unsigned need)
{
    return (!(need & NEED_RAX) || GHCB_IS_VALID(g, rax)) && (!(need & NEED_RCX) || GHCB_IS_VALID(g, rcx)) &&
           (!(need & NEED_RDX) || GHCB_IS_VALID(g, rdx)) && (!(need & NEED_RBX) || GHCB_IS_VALID(g, rbx)) &&
           (!(need & NEED_SCRATCH) || GHCB_IS_VALID(g, scratch)) &&
           (!(need & NEED_CPL) || ghcb_is_valid(g, offsetof(struct ghcb, cpl)));
}

/* Input that depends on other input. */
static unsigned further_need(const struct ghcb *g)
{
    switch (g->exit_code) {
    case GHCB_IOIO: {
        struct ghcb_io io = ghcb_io_decode(g->exit_info_1);
        return io.string ? NEED_SCRATCH : io.in ? 0 : NEED_RAX;
    }
    case GHCB_MSR:
        return g->exit_info_1 ? NEED_RAX | NEED_RDX : 0;
    case GHCB_AP_CREATION:
        return (g->exit_info_1 & 0xffff) != 2 ? NEED_RAX : 0; /* all but DESTROY */
    default:
        return 0;
    }
}

static bool addresses_are_right(const struct ghcb *g)
{
    if (g->exit_code == GHCB_GUEST_REQUEST || g->exit_code == GHCB_EXT_GUEST_REQUEST)
        return g->exit_info_1 % 4096 == 0 && g->exit_info_2 % 4096 == 0 && g->exit_info_1 != g->exit_info_2;
    return true;
}

enum ghcb_refusal ghcb_check(const struct ghcb *g)
{
    if (g->usage != 0)
        return GHCB_INVALID_USAGE;
    if (!GHCB_IS_VALID(g, exit_code) || !GHCB_IS_VALID(g, exit_info_1) || !GHCB_IS_VALID(g, exit_info_2))
        return GHCB_MISSING_INPUT;
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        if (events[i].event != g->exit_code)
            continue;
        bool cpuid_lacks_xcr0 =
            g->exit_code == GHCB_CPUID && (uint32_t)g->rax == 0xd && !GHCB_IS_VALID(g, xcr0);
        if (!has_input(g, events[i].need | further_need(g)) || cpuid_lacks_xcr0 || !addresses_are_right(g))
            return GHCB_MISSING_INPUT;
        return GHCB_OK;
    }
    return GHCB_INVALID_EVENT;
}

bool ghcb_scratch(uint64_t scratch, uint64_t ghcb_gpa, uint64_t len, size_t *offset)
{
    if (scratch - ghcb_gpa >= GHCB_SHARED_BUFFER_END || scratch < ghcb_gpa)
        return false;
    size_t at = (size_t)(scratch - ghcb_gpa);
    if (at < GHCB_SHARED_BUFFER || len > GHCB_SHARED_BUFFER_END - at)
        return false;
    *offset = at;
    return true;
}

struct psc_entry {
    uint64_t gfn;
    unsigned done, pages, operation;
    bool large;
};

static struct psc_entry psc_decode(uint64_t e)
{
    bool large = e >> 56 & 1;
    return (struct psc_entry){
        .done = e & 0xfff,
        .gfn = e >> 12 & 0xffffffffffull,
        .operation = e >> 52 & 0xf,
        .large = large,
        .pages = large ? 512 : 1,
    };
}

uint64_t ghcb_psc_done(uint64_t entry)
{
    return (entry & ~0xfffull) | psc_decode(entry).pages;
}

static unsigned known_operation(unsigned operation)
{
    return operation == GHCB_PAGE_PRIVATE || operation == GHCB_PAGE_SHARED ? operation : 0;
}

bool ghcb_psc_next(const uint64_t *entries, unsigned from, unsigned end, struct ghcb_psc_run *run,
                   uint64_t *status)
{
    struct psc_entry first = {0};
    unsigned i = from;
    for (; i <= end; i++) {
        first = psc_decode(entries[i]);
        if (first.done > first.pages || first.gfn % first.pages) {
            *status = GHCB_PSC_ERROR_INVALID_ENTRY;
            return false;
        }
        if (first.done < first.pages)
            break;
    }
    *status = 0;
    if (i > end)
        return false;
    /* The rest of a large page that was converted in part goes page by page, and alone. */
    *run = (struct ghcb_psc_run){
        .index = i,
        .entries = 1,
        .gfn = first.gfn + first.done,
        .pages = first.pages - first.done,
        .large = first.large && first.done == 0,
        .operation = known_operation(first.operation),
    };
    while (++i <= end) {
        struct psc_entry next = psc_decode(entries[i]);
        if (next.operation != first.operation || next.gfn != run->gfn + run->pages || next.done ||
            next.large != run->large)
            break;
        run->entries++;
        run->pages += next.pages;
    }
    return true;
}

struct ghcb_io ghcb_io_decode(uint64_t info)
{
    unsigned size = info >> 4 & 7;
    bool is_one = size == 1 || size == 2 || size == 4;
    return (struct ghcb_io){
        .port = (uint16_t)(info >> 16),
        .size = is_one ? (uint8_t)size : 0,
        .in = info & 1,
        .string = info >> 2 & 1,
    };
}

/* Set 0: the specification's (2.3.1); set 1: Linux's (arch/x86/include/asm/sev-common.h). */
static const char *const reasons[2][10] = {
    {"it gave no particular reason", "the GHCB protocol version is not supported",
     "the SEV-SNP features that it needs are not offered"},
    {"Linux: its GHCB could not be registered", "Linux: a page state change failed",
     "Linux: PVALIDATE failed", "Linux: it does not run at VMPL0", "Linux: the CPUID table is not valid",
     "Linux: CPUID could not be asked of the host", "Linux: the secrets page is missing or not valid",
     "Linux: no SVSM is present though it runs below VMPL0",
     "Linux: an SVSM is present though it runs at VMPL0",
     "Linux: the SVSM's calling area is not page-aligned"},
};

const char *ghcb_termination_reason(unsigned set, unsigned code)
{
    const char *reason = set < 2 && code < 10 ? reasons[set][code] : NULL;
    return reason ? reason : "for a reason of its own";
}
