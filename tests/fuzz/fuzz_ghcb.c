/* A GHCB page as a guest may fill it: what it asks for, where its buffer lies, and the page-state list in that buffer. */
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "vmm/base/bytes.h"
#include "vmm/emu/snp/ghcb.h"

#define GPA 0x7000u

static void check_list(const struct ghcb *page, size_t offset)
{
    struct ghcb_psc_header header;
    uint64_t entry[GHCB_PSC_ENTRIES_MAX] = {0}, status = 0;
    struct ghcb_psc_run run;
    size_t room = GHCB_SHARED_BUFFER_END - offset - sizeof header;
    memcpy(&header, (const uint8_t *)page + offset, sizeof header);
    memcpy(entry, (const uint8_t *)page + offset + sizeof header, room / 8 * 8);
    unsigned at = header.current, end = header.end;
    if (end >= room / 8)
        return;
    while (ghcb_psc_next(entry, at, end, &run, &status)) {
        FUZZ_CHECK(run.index >= at && run.entries > 0 && run.index + run.entries <= end + 1);
        FUZZ_CHECK(run.pages > 0 && run.pages <= 512ull * run.entries && run.gfn < 1ull << 40);
        FUZZ_CHECK(!run.large || (run.gfn % 512 == 0 && run.pages % 512 == 0));
        for (at = run.index; at < run.index + run.entries; at++)
            entry[at] = ghcb_psc_done(entry[at]);
    }
    FUZZ_CHECK(status == 0 || status == GHCB_PSC_ERROR_INVALID_ENTRY);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ghcb page = {0};
    size_t offset;
    memcpy(&page, data, size < sizeof page ? size : sizeof page);
    (void)ghcb_termination_reason(page.exit_info_1 & 0xf, page.exit_info_1 >> 4 & 0xff);
    struct ghcb_io io = ghcb_io_decode(page.exit_info_1);
    FUZZ_CHECK(io.size <= 4 && io.size != 3);
    if (ghcb_check(&page) != GHCB_OK)
        return 0;
    FUZZ_CHECK(page.usage == 0 && GHCB_IS_VALID(&page, exit_code) && GHCB_IS_VALID(&page, exit_info_1));
    if (ghcb_scratch(page.scratch, GPA, page.exit_info_2, &offset))
        FUZZ_CHECK(offset >= GHCB_SHARED_BUFFER && page.exit_info_2 <= GHCB_SHARED_BUFFER_END - offset);
    if (page.exit_code == GHCB_PSC &&
        ghcb_scratch(page.scratch, GPA, sizeof(struct ghcb_psc_header), &offset))
        check_list(&page, offset);
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    static const uint32_t events[] = {GHCB_PSC,           GHCB_CPUID,       GHCB_IOIO,   GHCB_MSR,
                                      GHCB_GUEST_REQUEST, GHCB_AP_CREATION, GHCB_VMMCALL};
    struct ghcb page = {.exit_info_1 = 0x1000,
                        .exit_info_2 = 0x2000,
                        .scratch = GPA + GHCB_SHARED_BUFFER,
                        .protocol = GHCB_PROTOCOL_MAX};
    if (index >= sizeof events / sizeof *events)
        return 0;
    memset(page.valid, 0xff, sizeof page.valid);
    page.exit_code = events[index];
    put_le16(page.shared_buffer + 2, 5); /* the last entry */
    for (uint64_t i = 0; i < 6; i++)
        put_le64(page.shared_buffer + 8 + 8 * i,
                 (0x200 * i + 0x1000) << 12 | (1 + i % 2) << 52 | (i / 2 % 2) << 56);
    FUZZ_CHECK(ghcb_check(&page) == GHCB_OK);
    memcpy(out, &page, sizeof page);
    return sizeof page;
}
