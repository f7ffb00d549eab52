/* cofred: the host manager. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "attest/store/db_log.h"
#include "vmm/base/cleanup.h"
#include "vmm/host/cofred/backup.h"
#include "vmm/host/cofred/part.h"
#include "vmm/host/cofred/supervisor.h"

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

struct asked {
    const char *config, *part, *copy, *backup, *restore, *head;
    bool checks, accept_loss;
};

static int check(const char *path, struct cofre_err *err)
{
    struct config config;
    int rc = config_read(&config, path, err);
    config_free(&config);
    if (rc == 0)
        printf("%s: nothing is wrong with it\n", path);
    return rc;
}

static int write_log(const char *database, const char *out, struct cofre_err *err)
{
    struct db *db = NULL;
    if (access(database, R_OK) < 0)
        return cofre_fail(err, COFRE_LACKING, "%s: %s", database, strerror(errno));
    int rc = db_open(&db, database, err);
    CLEAN_FILE *to = rc == 0 ? fopen(out, "we") : NULL;
    if (rc == 0)
        rc = to ? db_log_copy(db, to, err) : cofre_fail(err, COFRE_FAILED, "%s: %s", out, strerror(errno));
    if (rc == 0 && fflush(to) != 0)
        rc = cofre_fail(err, COFRE_FAILED, "%s: %s", out, strerror(errno));
    db_close(db);
    return rc;
}

static int copy_log(const struct config *config, const char *out, struct cofre_err *err)
{
    char database[PATH_MAX];
    (void)snprintf(database, sizeof database, "%s/" BACKUP_DATABASE, config->state);
    return write_log(database, out, err);
}

/* What is done with the database of a configuration, and is over then. */
static int with_database(const struct asked *asked, struct cofre_err *err)
{
    struct config config;
    int rc = config_read(&config, asked->config, err);
    if (rc == 0)
        rc = asked->copy     ? copy_log(&config, asked->copy, err)
             : asked->backup ? backup_make(&config, asked->backup, err)
                             : backup_restore(&config, asked->restore, asked->head, asked->accept_loss, err);
    config_free(&config);
    return rc;
}

/* What the words do not say by themselves. */
static const char *wrong(const struct asked *a)
{
    if (!a->config && !a->part)
        return "--config is missing";
    if (a->checks + !!a->copy + !!a->backup + !!a->restore > 1)
        return "--check, --copy-log, --backup and --restore exclude each other";
    if ((a->head && !a->restore) || (a->accept_loss && !a->head))
        return "--head belongs to --restore, and --accept-loss to --head";
    return NULL;
}

/* --part is the supervisor's, and no option of anybody else's. */
int main(int argc, char **argv)
{
    enum { CONFIG, COPY_LOG, BACKUP, RESTORE, HEAD, PART, TEXTS, CHECK = TEXTS, ACCEPT_LOSS, HELP };
    static const struct option options[] = {{"config", required_argument, NULL, CONFIG},
                                            {"check", no_argument, NULL, CHECK},
                                            {"copy-log", required_argument, NULL, COPY_LOG},
                                            {"backup", required_argument, NULL, BACKUP},
                                            {"restore", required_argument, NULL, RESTORE},
                                            {"head", required_argument, NULL, HEAD},
                                            {"accept-loss", no_argument, NULL, ACCEPT_LOSS},
                                            {"part", required_argument, NULL, PART},
                                            {"help", no_argument, NULL, HELP},
                                            {0}};
    struct asked asked = {0};
    const char **const texts[] = {
        [CONFIG] = &asked.config,   [COPY_LOG] = &asked.copy, [BACKUP] = &asked.backup,
        [RESTORE] = &asked.restore, [HEAD] = &asked.head,     [PART] = &asked.part};
    struct cofre_err err = {""};
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == HELP || o == '?') {
            fputs(help, o == HELP ? stdout : stderr);
            return o == HELP ? 0 : COFRE_USAGE;
        }
        asked.checks |= o == CHECK;
        asked.accept_loss |= o == ACCEPT_LOSS;
        if (o < TEXTS)
            *texts[o] = optarg;
    }
    const char *why = optind != argc ? "it takes options alone" : wrong(&asked);
    if (why) {
        fprintf(stderr, "cofred: %s; see --help\n", why);
        return COFRE_USAGE;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    if (asked.part)
        part_run(asked.part);
    const int rc = asked.checks                                  ? check(asked.config, &err)
                   : asked.copy || asked.backup || asked.restore ? with_database(&asked, &err)
                                                                 : supervise(asked.config, &err);
    if (rc < 0)
        fprintf(stderr, "cofred: %s\n", err.text);
    return -rc;
}
