/* Of the decider's program: the part, or what cofred's command line asks for that is done with the database and is over then. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "attest/store/db_kind.h"
#include "attest/store/db_log.h"
#include "vmm/base/cleanup.h"
#include "vmm/host/cofred/asked.h"
#include "vmm/host/cofred/backup.h"
#include "vmm/host/cofred/part.h"

/* cofred's database is a file. */
const struct db_server db_servers[] = {{0}};

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

int main(int argc, char **argv)
{
    struct asked asked;
    struct cofre_err err = {""};
    (void)signal(SIGPIPE, SIG_IGN);
    if (argc == 3 && strcmp(argv[1], "--part") == 0)
        part_run(argv[2]);
    const int over = asked_read(&asked, argc, argv);
    if (over >= 0)
        return over;
    const int rc = asked_of_database(&asked)
                       ? with_database(&asked, &err)
                       : cofre_fail(&err, COFRE_USAGE, "this is a part of cofred, which starts it");
    if (rc < 0)
        fprintf(stderr, "cofred: %s\n", err.text);
    return -rc;
}
