/* Landlock (Documentation/userspace-api/landlock.rst): a ruleset that handles all that the kernel knows of and allows
 * none of it. Bookworm's headers are of ABI 2, so the structure and the later bits are named here. */
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/syscall.h>

#include "vmm/base/cleanup.h"
#include "vmm/machine/jail_parts.h"

/* struct landlock_ruleset_attr; a kernel of an older ABI gets its beginning. */
struct ruleset {
    uint64_t fs; /* bits of LANDLOCK_ACCESS_FS */
    uint64_t net;
    uint64_t scoped;
};

/* What each ABI added, from the first on. */
static const struct {
    unsigned fs_bits;
    uint64_t net, scoped;
    size_t size;
} abis[] = {
    {13, 0, 0, 8},  /* ABI 1 */
    {14, 0, 0, 8},  /* 2: LANDLOCK_ACCESS_FS_REFER */
    {15, 0, 0, 8},  /* 3: truncate */
    {15, 3, 0, 16}, /* 4: bind and connect of TCP */
    {16, 3, 0, 16}, /* 5: ioctl of devices that are opened from now on */
    {16, 3, 3, 24}, /* 6: abstract unix sockets, signals */
};

#define KNOWN ((int)(sizeof abis / sizeof *abis))

void jail_landlock_enter(struct jail *jail)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi <= 0)
        return;
    int known = abi < KNOWN ? (int)abi : KNOWN;
    const struct ruleset all = {.fs = (1ull << abis[known - 1].fs_bits) - 1,
                                .net = abis[known - 1].net,
                                .scoped = abis[known - 1].scoped};
    CLEAN_FD ruleset = (int)syscall(SYS_landlock_create_ruleset, &all, abis[known - 1].size, 0);
    if (ruleset < 0 || syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
        return;
    jail->layer[JAIL_LANDLOCK] = true;
    jail->landlock_abi = known;
}
