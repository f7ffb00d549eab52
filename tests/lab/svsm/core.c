#include <string.h>

#include "tests/lab/svsm/guest.h"
#include "tests/lab/svsm/host.h"
#include "tests/lab/svsm/protocol.h"

enum { REMAP_CA = 0, PVALIDATE = 1, QUERY_PROTOCOL = 6 };

#define NO_CHANGE (SVSM_ERR_PROTOCOL_BASE + 0x10) /* PVALIDATE's carry flag */

struct pvalidate_list {
    uint16_t entries, next;
    uint32_t reserved;
    uint64_t entry[];
};

/* Bits 1:0 page size, 2 whether to validate, 3 whether it may have been so, 63:12 the page. */
static uint32_t pvalidate_one(uint64_t entry)
{
    const bool large = (entry & 3) == 1, may_be = entry & 8;
    if ((entry & 3) > 1)
        return SVSM_ERR_INVALID_PARAMETER;
    const int rc =
        entry & 4 ? guest_validate(entry & ~0xfffull, large) : guest_rescind(entry & ~0xfffull, large);
    switch (rc) {
    case GUEST_NO_MEMORY:
        return SVSM_ERR_INVALID_ADDRESS;
    case GUEST_UNCHANGED:
        return may_be ? SVSM_SUCCESS : NO_CHANGE;
    default:
        return rc ? SVSM_ERR_PROTOCOL_BASE + (uint32_t)rc : SVSM_SUCCESS;
    }
}

static uint32_t pvalidate(uint64_t gpa)
{
    struct pvalidate_list head, *list = gpa % 8 ? NULL : guest_memory(gpa, sizeof head);
    if (!list)
        return SVSM_ERR_INVALID_ADDRESS;
    memcpy(&head, list, sizeof head);
    const uint64_t size = sizeof head + 8ull * head.entries;
    if (!head.entries || head.next >= head.entries || gpa / PAGE_SIZE != (gpa + size - 1) / PAGE_SIZE)
        return SVSM_ERR_INVALID_PARAMETER;
    for (uint32_t rc; head.next < head.entries; list->next = ++head.next) {
        const uint64_t entry = list->entry[head.next];
        const uint64_t its_size = (entry & 3) == 1 ? LARGE_PAGE : PAGE_SIZE;
        if (((entry ^ gpa) & ~(its_size - 1)) == 0) /* the list's own page */
            return SVSM_ERR_INVALID_PARAMETER;
        if ((rc = pvalidate_one(entry)) != SVSM_SUCCESS)
            return rc;
    }
    return SVSM_SUCCESS;
}

/* RCX: protocol and version wanted; the versions that there are, 1 to 1, or none. */
static uint32_t query_protocol(struct snp_vmsa *registers)
{
    const bool known = registers->rcx >> 32 < PROTOCOLS && (uint32_t)registers->rcx == 1;
    registers->rcx = known ? 1ull << 32 | 1 : 0;
    return SVSM_SUCCESS;
}

uint32_t core_call(uint32_t call, struct snp_vmsa *registers)
{
    switch (call) {
    case REMAP_CA:
        return guest_move_calling_area(registers->rcx) ? SVSM_SUCCESS : SVSM_ERR_INVALID_ADDRESS;
    case PVALIDATE:
        return pvalidate(registers->rcx);
    case QUERY_PROTOCOL:
        return query_protocol(registers);
    default:
        return SVSM_ERR_UNSUPPORTED_CALL;
    }
}
