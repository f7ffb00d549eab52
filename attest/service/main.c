/* cofre-trust: the relying party's verifier as a service. */
#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "attest/service/command.h"

static const char help[] =
    "usage: cofre-trust --config F\n"
    "       cofre-trust init DIR [--host NAME] [--listen ADDRESS] [--json]\n"
    "       cofre-trust grant --config F --to NAME --roles WORDS [--policy NAME] [--days N] [--json]\n"
    "       cofre-trust log --config F --out F\n"
    "       cofre-trust accept-keys --config F\n"
    "\n"
    "Judges the evidence of confidential guests for whoever relies on them, over HTTPS.\n"
    "init makes all that it needs in a new directory, and prints the first administrator's token;\n"
    "grant lets somebody else in, and prints that token. Each is shown once and kept as a digest.\n"
    "log copies the log of verdicts into a file, for cofre log show and cofre log verify.\n"
    "accept-keys takes the database's keys for the newest, against the TPM's counter.\n"
    "\n"
    "  --config F         the configuration (docs/trust.md)\n"
    "  --host NAME        by which clients reach it: localhost without this\n"
    "  --listen ADDRESS   with a port: 127.0.0.1:8443 without this\n"
    "  --to NAME          who is let in\n"
    "  --roles WORDS      any of submit, read, values, policies, audit, administer, with spaces between\n"
    "  --policy NAME      the only policy that it may use\n"
    "  --days N           for which it is let in: 365 without this\n"
    "  --out F            where the copy of the log goes\n"
    "  --json             the result as one JSON object\n"
    "\n"
    "SIGTERM: answers what is under way, and ends. SIGHUP: reads certificates, keys, lists\n"
    "and collateral again.\n"
    "\n"
    "example: cofre-trust --config /etc/cofre/trust.json\n";

enum { CONFIG, HOST, LISTEN, TO, ROLES, POLICY, DAYS, OUT, TEXTS, JSON = TEXTS, HELP };
static const struct option options[] = {
    {"config", required_argument, NULL, CONFIG},
    {"host", required_argument, NULL, HOST},
    {"listen", required_argument, NULL, LISTEN},
    {"to", required_argument, NULL, TO},
    {"roles", required_argument, NULL, ROLES},
    {"policy", required_argument, NULL, POLICY},
    {"days", required_argument, NULL, DAYS},
    {"out", required_argument, NULL, OUT},
    {"json", no_argument, NULL, JSON},
    {"help", no_argument, NULL, HELP},
    {0},
};
/* Where a command has the option's text. */
static const size_t places[TEXTS] = {
    [CONFIG] = offsetof(struct command, config), [HOST] = offsetof(struct command, host),
    [LISTEN] = offsetof(struct command, listen), [TO] = offsetof(struct command, to),
    [ROLES] = offsetof(struct command, roles),   [POLICY] = offsetof(struct command, scope),
    [DAYS] = offsetof(struct command, days),     [OUT] = offsetof(struct command, out),
};

#define BIT(OPTION) (1u << (OPTION))
static const struct action {
    const char *name; /* "" serves */
    int words;        /* that stand without a "--" */
    unsigned needs, takes;
    int (*run)(const struct command *command, struct cofre_err *err);
} actions[] = {
    {"", 0, BIT(CONFIG), 0, command_serve},
    {"init", 2, 0, BIT(HOST) | BIT(LISTEN) | BIT(JSON), command_init},
    {"log", 1, BIT(CONFIG) | BIT(OUT), 0, command_log},
    {"accept-keys", 1, BIT(CONFIG), 0, command_accept_keys},
    {"grant", 1, BIT(CONFIG) | BIT(TO) | BIT(ROLES), BIT(POLICY) | BIT(DAYS) | BIT(JSON), command_grant},
};

static int run(int words, char **word, unsigned given, struct command *command, struct cofre_err *err)
{
    for (const struct action *a = actions; a < actions + sizeof actions / sizeof *actions; a++) {
        if (strcmp(a->name, words ? word[0] : "") != 0)
            continue;
        if (words != a->words)
            return cofre_fail(err, COFRE_USAGE, "%s: %s", a->name,
                              words < a->words ? "a directory is missing" : "something follows it");
        for (unsigned i = 0; options[i].name; i++) {
            if (a->needs >> i & ~given >> i & 1)
                return cofre_fail(err, COFRE_USAGE, "--%s is missing; see --help", options[i].name);
            if (given >> i & ~(a->needs | a->takes) >> i & 1)
                return cofre_fail(err, COFRE_USAGE, "--%s has no place here; see --help", options[i].name);
        }
        command->directory = a->words > 1 ? word[1] : NULL;
        return a->run(command, err);
    }
    return cofre_fail(err, COFRE_USAGE, "there is no \"%s\"; see --help", word[0]);
}

int main(int argc, char **argv)
{
    struct command command = {0};
    struct cofre_err err = {""};
    unsigned given = 0;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == HELP || o == '?') {
            fputs(help, o == HELP ? stdout : stderr);
            return o == HELP ? 0 : COFRE_USAGE;
        }
        given |= BIT(o);
        if (o == JSON)
            command.json = true;
        else
            *(const char **)(void *)((char *)&command + places[o]) = optarg;
    }
    int rc = run(argc - optind, argv + optind, given, &command, &err);
    if (rc < 0)
        fprintf(stderr, "cofre-trust: %s\n", err.text);
    return -rc;
}
