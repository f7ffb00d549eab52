/* cofre connect: standard input and output over a channel to an attested guest, when its evidence has passed. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "attest/channel/address.h"
#include "attest/channel/carry.h"
#include "attest/channel/judge.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/json.h"
#include "vmm/cli/judge_by.h"
#include "vmm/cli/verb.h"

static const char help[] =
    "usage: cofre connect ADDRESS [--listen] [--policy F] [--measurement HEX] [--reference F]...\n"
    "                     [--reference-keys F] [--trust-root F]... [--cert F]... [--collateral F]\n"
    "                     [--crl F]... [--json]\n"
    "\n"
    "Connects to a service in a guest (cofre-agent channel) by TLS that ends in the guest, and lets\n"
    "standard input and output through when the guest's evidence has passed: it is of this very\n"
    "connection, so that nobody in between can have relayed it. The verdict goes to standard error.\n"
    "\n"
    "ADDRESS is HOST:PORT, vsock:CID:PORT, or PATH:PORT with a guest's vsock socket of cofre run.\n"
    "\n"
    "  --listen           waits at ADDRESS for one guest that dials (cofre-agent channel --dial)\n"
    "  --policy F         what is accepted, as cofre verify has it\n"
    "  --measurement HEX  the launch digest or MRTD must be this one\n"
    "  --reference F      a CoRIM whose values the policy names\n"
    "  --reference-keys F the keys that may have signed it\n"
    "  --trust-root F     trusts this root besides the vendors'\n"
    "  --cert F           certificates, where the guest's host hands none over\n"
    "  --collateral F     Intel's collateral, which a TDX guest cannot be judged without\n"
    "  --crl F            revocation lists\n"
    "  --json             prints the verdict as one JSON object, to standard error too\n"
    "\n"
    "Exit code: 0 verified, and both ends have ended in order; 1 not verified; 2 wrong usage; 3 malformed\n"
    "evidence or files; 5 no connection, or one that was cut off.\n"
    "\n"
    "example: cofre connect 192.0.2.7:4433 --measurement $DIGEST --policy policy.json <request\n";

#define SECONDS 60 /* to connect; and for handshake and evidence */

struct arguments {
    const char *address;
    struct judge_by by;
    uint32_t given;
    bool listen, json;
};

static void arguments_free(struct arguments *a)
{
    judge_by_free(&a->by);
}

static int one_guest(const char *address, struct cofre_err *err)
{
    CLEAN_FD listener = address_listen(address, err);
    if (listener < 0)
        return listener;
    fprintf(stderr, "cofre: waits for a guest at %s\n", address);
    int fd;
    do
        fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    return fd >= 0 ? fd : cofre_fail(err, COFRE_FAILED, "%s: accept: %s", address, strerror(errno));
}

static int print_verdict(const struct channel_judge *judge, bool json, struct cofre_err *err)
{
    if (!judge->judged)
        return 0;
    if (!json) {
        verdict_print(&judge->verdict, stderr, isatty(STDERR_FILENO));
        return 0;
    }
    CLEAN_JSON *object = verdict_json(&judge->verdict);
    if (!object || json_dumpf(object, stderr, JSON_INDENT(2)) < 0)
        return cofre_fail(err, COFRE_FAILED, "the verdict could not be written");
    fputc('\n', stderr);
    return 0;
}

static int open_channel(struct channel **out, const struct arguments *a, struct channel_judge *judge,
                        struct cofre_err *err)
{
    CLEAN_IDENTITY identity = {0};
    int rc = a->listen ? channel_identity_new(&identity, err) : 0; /* TLS wants one of its server */
    if (rc < 0)
        return rc;
    int fd = a->listen ? one_guest(a->address, err) : address_connect(a->address, true, SECONDS, err);
    if (fd < 0)
        return fd;
    const struct channel_options options = {.end = a->listen ? CHANNEL_SERVER : CHANNEL_CLIENT,
                                            .identity = a->listen ? &identity : NULL,
                                            .acts = {.context = judge, .judge = channel_judge},
                                            .seconds = SECONDS};
    judge->by.at = time(NULL);
    rc = channel_open(out, fd, &options, err);
    return rc < 0 ? cofre_within(err, rc, "%s", a->address) : 0;
}

static int connect_and_carry(struct arguments *a, struct cofre_err *err)
{
    struct channel *channel = NULL;
    struct channel_judge judge = {0};
    struct cofre_err unprinted;
    int rc = judge_by_finish(&a->by, &judge.by, err);
    if (rc == 0)
        rc = open_channel(&channel, a, &judge, err);
    int printed = print_verdict(&judge, a->json, rc < 0 ? &unprinted : err);
    verdict_free(&judge.verdict);
    if (rc == 0)
        rc = printed;
    if (rc == 0)
        rc = channel_carry(channel, &(struct channel_carriage){STDIN_FILENO, STDOUT_FILENO, true}, err);
    (rc < 0 ? channel_cut : channel_close)(channel);
    return rc;
}

static int take_option(struct arguments *a, int o, const char *name, struct cofre_err *err)
{
    int rc = option_once(&a->given, JUDGE_BY_ONCE, o, name, err);
    if (rc < 0)
        return rc;
    if (o == 'i' || o == 'j') {
        *(o == 'i' ? &a->listen : &a->json) = true;
        return 0;
    }
    return judge_by_take(&a->by, o, optarg, err);
}

int verb_connect(int argc, char **argv)
{
    static const struct option options[] = {
        JUDGE_BY_OPTIONS,
        {"listen", no_argument, NULL, 'i'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    __attribute__((cleanup(arguments_free))) struct arguments a = {0};
    struct cofre_err err = {""};
    int rc = 0, which = 0;
    for (int o; rc == 0 && (o = getopt_long(argc, argv, "", options, &which)) != -1;) {
        if (o == 'h' || o == '?') {
            fputs(help, o == 'h' ? stdout : stderr);
            return o == 'h' ? 0 : COFRE_USAGE;
        }
        rc = take_option(&a, o, options[which].name, &err);
    }
    if (rc == 0 && optind != argc - 1)
        rc = cofre_fail(&err, COFRE_USAGE, "one address is due; see cofre connect --help");
    if (rc == 0) {
        a.address = argv[optind];
        (void)signal(SIGPIPE, SIG_IGN);
        rc = connect_and_carry(&a, &err);
    }
    if (rc < 0)
        fprintf(stderr, "cofre connect: %s\n", err.text);
    return -rc;
}
