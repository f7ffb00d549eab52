/* cofre: the command line. One file a verb; this one finds the verb. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/error.h"
#include "vmm/cli/verb.h"

static const struct verb verbs[] = {
    {"attest", "brings the evidence of a running guest into one file", verb_attest},
    {"collateral", "carries vendors' collateral to a cofre-trust without internet", verb_collateral},
    {"connect", "speaks to a service in a guest over a channel that ends in it", verb_connect},
    {"doctor", "says what this host can launch, what is missing and what to do", verb_doctor},
    {"emulated-root", "writes the root certificate of this host's emulated platform", verb_emulated_root},
    {"id-block", "signs what a guest's owner vouches for", verb_id_block},
    {"image", "builds what a guest boots of a root file system", verb_image},
    {"inspect", "says what a file is and what it says", verb_inspect},
    {"keys", "keeps the keys that a cofre-trust releases to guests", verb_keys},
    {"log", "keeps a log that only grows, and verifies it and proofs about it", verb_log},
    {"measure", "predicts the launch digest of a guest", verb_measure},
    {"policy", "says what another policy would change", verb_policy},
    {"verify", "judges the evidence of a guest", verb_verify},
    {NULL, NULL, NULL},
};

static void print_help(FILE *to)
{
    fputs("usage: cofre VERB [OPTION]...\n\n", to);
    fputs("  run            boots a guest (this is the program cofre-vmm)\n"
          "  trust          judges evidence as a service (this is the program cofre-trust)\n",
          to);
    for (const struct verb *v = verbs; v->name; v++)
        fprintf(to, "  %-14s %s\n", v->name, v->summary);
    fputs("\nEach verb explains itself: cofre VERB --help\n", to);
}

/* `cofre run` and `cofre trust` are programs of their own under other names: one process a guest, and each with its own
 * small set of libraries. */
static int become(char *program, char **argv)
{
    argv[0] = program;
    char beside[4096];
    ssize_t n = readlink("/proc/self/exe", beside, sizeof beside - 16);
    while (n > 0 && beside[n - 1] != '/')
        n--;
    if (n > 0) {
        (void)snprintf(beside + n, 16, "%s", program);
        execv(beside, argv);
    }
    execvp(argv[0], argv);
    fprintf(stderr, "cofre: %s cannot be started: %s\n", program, strerror(errno));
    return COFRE_FAILED;
}

static int become_other(char **argv)
{
    static char vmm[] = "cofre-vmm", trust[] = "cofre-trust";
    return become(strcmp(argv[0], "run") == 0 ? vmm : trust, argv);
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
    if (strcmp(argv[1], "run") == 0 || strcmp(argv[1], "trust") == 0)
        return become_other(argv + 1);
    for (const struct verb *v = verbs; v->name; v++)
        if (strcmp(argv[1], v->name) == 0)
            return v->run(argc - 1, argv + 1);
    fprintf(stderr, "cofre: there is no verb \"%s\"; cofre --help lists them\n", argv[1]);
    return COFRE_USAGE;
}
