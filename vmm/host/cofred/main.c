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
#include "vmm/host/cofred/config.h"
#include "vmm/host/cofred/part.h"
#include "vmm/host/cofred/supervisor.h"

static const char help[] =
    "usage: cofred --config F [--check | --copy-log F]\n"
    "\n"
    "Runs guests for many tenants: who asks, by its API, gets what roles allow, and all of it is on record.\n"
    "\n"
    "  --config F    the configuration (docs/cofred.md)\n"
    "  --check       says what is wrong with it, and starts nothing\n"
    "  --copy-log F  writes the log of operations into a file, for cofre audit, also while cofred runs\n"
    "  --help        this text\n"
    "\n"
    "SIGTERM: ends, and leaves guests running; the next start finds them. SIGHUP: reads the\n"
    "configuration again, and where it is good starts its parts again with it.\n"
    "\n"
    "example: cofred --config /etc/cofre/cofred.json\n";

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

static int copy_log(const char *path, const char *out, struct cofre_err *err)
{
    struct config config;
    char database[PATH_MAX];
    int rc = config_read(&config, path, err);
    if (rc == 0) {
        (void)snprintf(database, sizeof database, "%s/cofred.db", config.state);
        rc = write_log(database, out, err);
    }
    config_free(&config);
    return rc;
}

/* --part is the supervisor's, and no option of anybody else's. */
int main(int argc, char **argv)
{
    enum { CONFIG, CHECK, COPY_LOG, PART, HELP };
    static const struct option options[] = {{"config", required_argument, NULL, CONFIG},
                                            {"check", no_argument, NULL, CHECK},
                                            {"copy-log", required_argument, NULL, COPY_LOG},
                                            {"part", required_argument, NULL, PART},
                                            {"help", no_argument, NULL, HELP},
                                            {0}};
    const char *config = NULL, *part = NULL, *copy = NULL;
    bool checks = false;
    struct cofre_err err = {""};
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == HELP || o == '?') {
            fputs(help, o == HELP ? stdout : stderr);
            return o == HELP ? 0 : COFRE_USAGE;
        }
        config = o == CONFIG ? optarg : config;
        part = o == PART ? optarg : part;
        copy = o == COPY_LOG ? optarg : copy;
        checks |= o == CHECK;
    }
    if (optind != argc || (!config && !part)) {
        fprintf(stderr, "cofred: %s; see --help\n",
                optind != argc ? "it takes options alone" : "--config is missing");
        return COFRE_USAGE;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    const int rc = part     ? part_run(part, &err)
                   : checks ? check(config, &err)
                   : copy   ? copy_log(config, copy, &err)
                            : supervise(config, &err);
    if (rc < 0)
        fprintf(stderr, "cofred: %s%s%s\n", part ? part : "", part ? ": " : "", err.text);
    if (part) /* what a sanitizer does at an exit takes what a part has given up */
        _exit(-rc);
    return -rc;
}
