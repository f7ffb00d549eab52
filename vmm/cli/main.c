/* cofre: the command line. One file a verb; this one finds the verb. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/error.h"
#include "vmm/cli/verb.h"

static const struct verb verbs[] = {
    {"attest", "brings the evidence of a running guest into one file", verb_attest},
    {"collateral", "carries vendors' collateral to a cofre-trust without internet", verb_collateral},
    {"doctor", "says what this host can launch, what is missing and what to do", verb_doctor},
    {"emulated-root", "writes the root certificate of this host's emulated platform", verb_emulated_root},
    {"id-block", "signs what a guest's owner vouches for", verb_id_block},
    {"inspect", "says what a file is and what it says", verb_inspect},
    {"log", "keeps a log that only grows, and verifies it and proofs about it", verb_log},
    {"measure", "predicts the launch digest of a guest", verb_measure},
    {"verify", "judges the evidence of a guest", verb_verify},
    {NULL, NULL, NULL},
};

static void print_help(FILE *to)
{
    fputs("usage: cofre VERB [OPTION]...\n\n", to);
    fputs("  run            boots a guest (this is the program cofre-vmm)\n", to);
    for (const struct verb *v = verbs; v->name; v++)
        fprintf(to, "  %-14s %s\n", v->name, v->summary);
    fputs("\nEach verb explains itself: cofre VERB --help\n", to);
}

/* `cofre run` is the program cofre-vmm under another name: one process a guest, with its own small set of
 * libraries. */
static int become_vmm(char **argv)
{
    argv[0] = "cofre-vmm";
    char beside[4096];
    ssize_t n = readlink("/proc/self/exe", beside, sizeof beside - sizeof "-vmm");
    if (n > 0) {
        memcpy(beside + n, "-vmm", sizeof "-vmm");
        execv(beside, argv);
    }
    execvp(argv[0], argv);
    perror("cofre: cofre-vmm cannot be started");
    return COFRE_FAILED;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return COFRE_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return 0;
    }
    if (strcmp(argv[1], "run") == 0)
        return become_vmm(argv + 1);
    for (const struct verb *v = verbs; v->name; v++)
        if (strcmp(argv[1], v->name) == 0)
            return v->run(argc - 1, argv + 1);
    fprintf(stderr, "cofre: there is no verb \"%s\"; cofre --help lists them\n", argv[1]);
    return COFRE_USAGE;
}
