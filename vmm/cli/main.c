/* cofre: the command line. It finds the verb, and becomes the program that has it: `cofre run` is on a guest's way to its start, and is not
 * to wait for libraries that other verbs are linked with. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/error.h"

#define VMM   "cofre-vmm"
#define TRUST "cofre-trust"
#define TOOL  "cofre-tool" /* vmm/cli/tool.c: every other verb */

static const struct {
    const char *name, *program;
    const char *summary; /* one line, for `cofre --help` */
} verbs[] = {
    {"run", VMM, "boots a guest (this is the program cofre-vmm)"},
    {"trust", TRUST, "judges evidence as a service (this is the program cofre-trust)"},
    {"approval", TOOL, "gives or refuses what waits for a second approver"},
    {"attest", TOOL, "brings the evidence of a running guest into one file"},
    {"collateral", TOOL, "carries vendors' collateral to a cofre-trust without internet"},
    {"connect", TOOL, "speaks to a service in a guest over a channel that ends in it"},
    {"constraint", TOOL, "says what a tenant's guests must be to be started"},
    {"doctor", TOOL, "says what this host can launch, what is missing and what to do"},
    {"emulate", TOOL, "runs another VMM on the emulated platform, for tests"},
    {"emulated-root", TOOL, "writes the root certificate of this host's emulated platform"},
    {"grant", TOOL, "gives roles, or denies them"},
    {"guest", TOOL, "has a host that runs cofred keep guests, and run them"},
    {"host", TOOL, "says what such a host has, and who you are to it"},
    {"id-block", TOOL, "signs what a guest's owner vouches for"},
    {"image", TOOL, "builds what a guest boots of a root file system, and has a host store it"},
    {"inspect", TOOL, "says what a file is and what it says"},
    {"keys", TOOL, "keeps the keys that a cofre-trust releases to guests"},
    {"log", TOOL, "keeps a log that only grows, and verifies it and proofs about it"},
    {"audit", TOOL, "asks a record of operations and launches, and proves its answers to others"},
    {"measure", TOOL, "predicts the launch digest of a guest"},
    {"policy", TOOL, "says what another policy would change"},
    {"quote", TOOL, "judges what a TPM says of its PCRs, and names the key that it is by"},
    {"role", TOOL, "says what a role may do on a host"},
    {"tenant", TOOL, "makes the tenants of a host, with their quotas"},
    {"verify", TOOL, "judges the evidence of a guest"},
};
#define VERBS (sizeof verbs / sizeof *verbs)

static void print_help(FILE *to)
{
    fputs("usage: cofre VERB [OPTION]...\n\n", to);
    for (size_t i = 0; i < VERBS; i++)
        fprintf(to, "  %-14s %s\n", verbs[i].name, verbs[i].summary);
    fputs("\nEach verb explains itself: cofre VERB --help\n", to);
}

/* The one beside this program, or else one on the path. argv[1] is the verb, which only the tool has to be told. */
static int become(const char *program, char **argv)
{
    argv += strcmp(program, TOOL) != 0;
    argv[0] = (char *)program;
    char beside[4096];
    ssize_t n = readlink("/proc/self/exe", beside, sizeof beside - 16);
    while (n > 0 && beside[n - 1] != '/')
        n--;
    if (n > 0) {
        (void)snprintf(beside + n, 16, "%s", program);
        execv(beside, argv);
    }
    execvp(program, argv);
    fprintf(stderr, "cofre: %s cannot be started: %s\n", program, strerror(errno));
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
    for (size_t i = 0; i < VERBS; i++)
        if (strcmp(argv[1], verbs[i].name) == 0)
            return become(verbs[i].program, argv);
    fprintf(stderr, "cofre: there is no verb \"%s\"; cofre --help lists them\n", argv[1]);
    return COFRE_USAGE;
}
