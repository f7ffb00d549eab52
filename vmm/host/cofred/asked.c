#include "vmm/host/cofred/asked.h"

#include <getopt.h>
#include <stddef.h>
#include <stdio.h>

#include "vmm/base/error.h"

static const char help[] =
    "usage: cofred --config F [--check | --copy-log F | --backup F | --restore F]\n"
    "\n"
    "Runs guests for many tenants: who asks, by its API, gets what roles allow, and all of it is on record.\n"
    "\n"
    "  --config F    the configuration (docs/cofred.md)\n"
    "  --check       says what is wrong with it, and starts nothing\n"
    "  --copy-log F  writes the log of operations into a file, for cofre audit, also while cofred runs\n"
    "  --backup F    writes the database into a new file, also while cofred runs; keys and images are not in "
    "it\n"
    "  --restore F   makes the database of a backup, where there is none; it goes on with a log of its own\n"
    "  --head F      to restore: a head of the log that was kept elsewhere, which a newer backup has than an "
    "old one\n"
    "  --accept-loss to restore: entries between the backup and that head are lost, and the log says so\n"
    "  --help        this text\n"
    "\n"
    "SIGTERM: ends, and leaves guests running; the next start finds them. SIGHUP: reads the\n"
    "configuration again, and where it is good starts its parts again with it.\n"
    "\n"
    "example: cofred --config /etc/cofre/cofred.json\n";

/* What the words do not say by themselves. */
static const char *wrong(const struct asked *a)
{
    if (!a->config)
        return "--config is missing";
    if (a->checks + !!a->copy + !!a->backup + !!a->restore > 1)
        return "--check, --copy-log, --backup and --restore exclude each other";
    if ((a->head && !a->restore) || (a->accept_loss && !a->head))
        return "--head belongs to --restore, and --accept-loss to --head";
    return NULL;
}

int asked_read(struct asked *out, int argc, char **argv)
{
    enum { CONFIG, COPY_LOG, BACKUP, RESTORE, HEAD, TEXTS, CHECK = TEXTS, ACCEPT_LOSS, HELP };
    static const struct option options[] = {{"config", required_argument, NULL, CONFIG},
                                            {"check", no_argument, NULL, CHECK},
                                            {"copy-log", required_argument, NULL, COPY_LOG},
                                            {"backup", required_argument, NULL, BACKUP},
                                            {"restore", required_argument, NULL, RESTORE},
                                            {"head", required_argument, NULL, HEAD},
                                            {"accept-loss", no_argument, NULL, ACCEPT_LOSS},
                                            {"help", no_argument, NULL, HELP},
                                            {0}};
    const char **const texts[] = {[CONFIG] = &out->config,
                                  [COPY_LOG] = &out->copy,
                                  [BACKUP] = &out->backup,
                                  [RESTORE] = &out->restore,
                                  [HEAD] = &out->head};
    *out = (struct asked){0};
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == HELP || o == '?') {
            fputs(help, o == HELP ? stdout : stderr);
            return o == HELP ? 0 : COFRE_USAGE;
        }
        out->checks |= o == CHECK;
        out->accept_loss |= o == ACCEPT_LOSS;
        if (o < TEXTS)
            *texts[o] = optarg;
    }
    const char *why = optind != argc ? "it takes options alone" : wrong(out);
    if (!why)
        return -1;
    fprintf(stderr, "cofred: %s; see --help\n", why);
    return COFRE_USAGE;
}
