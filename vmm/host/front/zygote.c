#include "vmm/host/front/zygote.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LOG_ROOM "front"
#include "vmm/base/cleanup.h"
#include "vmm/base/json.h"
#include "vmm/base/log.h"
#include "vmm/host/front/document.h"
#include "vmm/host/front/jail.h"
#include "vmm/host/front/pair.h"
#include "vmm/host/page/page.h"

struct zygote {
    int gate;
    const struct parser_limits *limits;
    struct jail jail;
    char *document;
    struct log_allowance said;
};

static void on_child(int number)
{
    (void)number; /* it ends a poll */
}

/* A parser that did not end by itself: a fault, a call that it may not make, or memory. */
static void reap(struct zygote *z)
{
    int status;
    while (waitpid(-1, &status, WNOHANG) > 0) {
        const bool killed = WIFSIGNALED(status);
        const char *last = killed || WEXITSTATUS(status) ? log_allow(&z->said) : NULL;
        if (last)
            log_warn("a parser ended by %s %d%s", killed ? "signal" : "code",
                     killed ? WTERMSIG(status) : WEXITSTATUS(status), last);
    }
}

__attribute__((noreturn)) static void be_parser(struct zygote *z, const int fd[ZYGOTE_ENDS])
{
    close(z->gate);
#ifndef __SANITIZE_ADDRESS__ /* which has something to say there */
    (void)close_range(0, 2, 0);
#endif
    if (jail_parser(&z->jail) < 0)
        _exit(COFRE_LACKING);
    _exit(parser_run(fd[0], fd[1], z->limits, z->document, strlen(z->document)));
}

static void start(struct zygote *z, const int fd[ZYGOTE_ENDS])
{
    const pid_t pid = fork();
    if (pid == 0)
        be_parser(z, fd);
    if (pid < 0)
        log_error("no process for a connection: %s", strerror(errno));
}

static bool serve(struct zygote *z)
{
    int fd[ZYGOTE_ENDS];
    char byte;
    const ssize_t len = pair_receive(z->gate, &byte, sizeof byte, fd, ZYGOTE_ENDS);
    if (len == 1 && fd[1] >= 0)
        start(z, fd);
    for (size_t i = 0; len >= 0 && i < ZYGOTE_ENDS; i++)
        if (fd[i] >= 0)
            close(fd[i]);
    return len > 0 || len == -EAGAIN;
}

/* What is read from files, is read before the jail: the time zone, the seed of jansson's tables, and OpenSSL's. */
static int prepare(struct zygote *z, sigset_t *while_waiting, struct cofre_err *err)
{
    sigset_t ends;
    struct sigaction child = {.sa_handler = on_child}, nothing = {.sa_handler = SIG_IGN};
    tzset();
    json_object_seed(0);
    z->document = document_text();
    if (!z->document)
        return cofre_fail(err, COFRE_FAILED, "no memory for the interface's document");
    int rc = page_prepare(err);
    if (rc < 0)
        return rc;
    (void)sigaction(SIGCHLD, &child, NULL);
    (void)sigaction(SIGPIPE, &nothing, NULL);
    (void)sigemptyset(&ends);
    (void)sigaddset(&ends, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &ends, while_waiting);
    (void)sigdelset(while_waiting, SIGCHLD);
    return jail_zygote(&z->jail, z->gate, err);
}

int zygote_run(int gate, const struct parser_limits *limits, struct cofre_err *err)
{
    struct zygote z = {.gate = gate, .limits = limits};
    struct pollfd fds = {.fd = gate, .events = POLLIN};
    bool goes_on = true;
    sigset_t while_waiting;
    int rc = prepare(&z, &while_waiting, err);
    while (rc == 0 && goes_on) {
        if (ppoll(&fds, 1, NULL, &while_waiting) > 0)
            goes_on = serve(&z);
        reap(&z);
    }
    jail_free(&z.jail);
    free(z.document);
    return rc;
}
