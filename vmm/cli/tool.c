/* cofre-tool: the verbs of `cofre` that are no programs of their own. One file a verb; this one finds the verb. */
#include <stdio.h>
#include <string.h>

#include "vmm/base/error.h"
#include "vmm/cli/verb.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} verbs[] = {
    {"approval", verb_host},
    {"attest", verb_attest},
    {"collateral", verb_collateral},
    {"connect", verb_connect},
    {"constraint", verb_host},
    {"doctor", verb_doctor},
    {"emulate", verb_emulate},
    {"emulated-root", verb_emulated_root},
    {"grant", verb_host},
    {"guest", verb_host},
    {"host", verb_host},
    {"id-block", verb_id_block},
    {"image", verb_image},
    {"inspect", verb_inspect},
    {"keys", verb_keys},
    {"log", verb_log},
    {"audit", verb_audit},
    {"measure", verb_measure},
    {"policy", verb_policy},
    {"quote", verb_quote},
    {"role", verb_host},
    {"tenant", verb_host},
    {"verify", verb_verify},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < sizeof verbs / sizeof *verbs; i++)
        if (strcmp(argv[1], verbs[i].name) == 0)
            return verbs[i].run(argc - 1, argv + 1);
    fputs("cofre-tool: this is a part of cofre; cofre --help lists what there is\n", stderr);
    return COFRE_USAGE;
}
