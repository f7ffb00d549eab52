#define LOG_ROOM "emu"
#include "vmm/emu/lies.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/error.h"
#include "vmm/base/log.h"
#include "vmm/emu/memory.h"

static const struct {
    enum lie lie;
    const char *name;
    const char *what;
} lies[] = {
    {LIE_CPUID_PAGE, "cpuid-page",
     "the CPUID page is loaded past the firmware's check, with a feature removed"},
    {LIE_REMAPPED_PAGE, "remapped-page", "one page that the guest has is replaced by another"},
    {LIE_REPLAYED_REQUEST, "replayed-request",
     "the second guest request is answered with the first one's response"},
    {LIE_ALTERED_CERTIFICATES, "altered-certificates", "one bit of the certificate table is flipped"},
    {LIE_STALE_PAGE_STATE, "stale-page-state", "one page is given to the guest already marked as validated"},
    {LIE_CHANGED_MEMORY, "changed-memory", "one bit of shared memory is changed before the guest reads it"},
    {LIE_CHANGED_PAGE, "changed-page", "one page is changed before it is launched"},
    {LIE_ADDED_PAGE, "added-page", "one page that the guest accepts is accepted before it asks"},
    {LIE_WRONG_CPUID, "wrong-cpuid", "a CPUID bit is configured that no TD may have"},
};

static enum lie told;
static const char *told_what;
static uint64_t told_at;

static void read_environment(void)
{
    const char *name = getenv("COFRE_EMULATED_LIE");
    if (!name || !*name)
        return;
    size_t len = strcspn(name, "@");
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++)
        if (strlen(lies[i].name) == len && strncmp(lies[i].name, name, len) == 0) {
            told = lies[i].lie;
            told_at = name[len] ? strtoull(name + len + 1, NULL, 0) : 0;
            told_what = lies[i].what;
            return;
        }
    log_error(
        "COFRE_EMULATED_LIE names no lie: \"%.64s\"; known are cpuid-page, remapped-page[@ADDRESS], "
        "replayed-request, "
        "altered-certificates, stale-page-state, changed-page[@ADDRESS], changed-memory@ADDRESS, added-page, "
        "wrong-cpuid",
        name);
    _Exit(COFRE_USAGE);
}

bool lie_is(enum lie lie)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, read_environment);
    return told == lie;
}

uint64_t lie_address(void)
{
    return told_at;
}

void lie_change_memory(struct emu_memory *memory)
{
    uint8_t byte;
    if (!lie_is(LIE_CHANGED_MEMORY) || memory_read_shared(memory, told_at, &byte, 1) != 0)
        return;
    byte ^= 1;
    memory_write_shared(memory, told_at, &byte, 1);
}

void lie_announce(void)
{
    if (!lie_is(LIE_NONE))
        log_warn("THIS HOST LIES, for a test: %s", told_what);
}
