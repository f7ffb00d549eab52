/* cofred-hands: the part with privileges, with no code of others' about but what it needs. Guests' processes begin as its copies. */
#include "vmm/host/cofred/confine.h"
#include "vmm/host/cofred/part.h"

static int run_hands(const struct config *config, struct cofre_err *err)
{
    int rc = confine_to_parent(err);
    return rc < 0 ? rc : hands_serve(&config->hands, PART_FIRST_FD, err);
}

const struct part_here parts_here[] = {{PART_HANDS, run_hands}, {PARTS, NULL}};
