/* cofred: the host manager. This program is the supervisor alone, and has the libraries that a supervisor needs. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/host/cofred/asked.h"
#include "vmm/host/cofred/part.h"
#include "vmm/host/cofred/supervisor.h"

static int check(const char *path, struct cofre_err *err)
{
    struct config config;
    int rc = config_read(&config, path, err);
    config_free(&config);
    if (rc == 0)
        printf("%s: nothing is wrong with it\n", path);
    return rc;
}

/* What has to do with the database is the decider's program's, with the same words. */
static int become_decider(char **argv, struct cofre_err *err)
{
    CLEAN_FD program = part_open(PART_DECIDER, err);
    if (program < 0)
        return program;
    (void)fexecve(program, argv, environ);
    return cofre_fail(err, COFRE_LACKING, "the decider's program: %s", strerror(errno));
}

int main(int argc, char **argv)
{
    struct asked asked;
    struct cofre_err err = {""};
    const int over = asked_read(&asked, argc, argv);
    if (over >= 0)
        return over;
    (void)signal(SIGPIPE, SIG_IGN);
    const int rc = asked.checks                ? check(asked.config, &err)
                   : asked_of_database(&asked) ? become_decider(argv, &err)
                                               : supervise(asked.config, &err);
    if (rc < 0)
        fprintf(stderr, "cofred: %s\n", err.text);
    return -rc;
}
