#include "vmm/host/front/zygote.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
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

#define PAUSE_MS 1000 /* before the next, where one ended that had served nobody */

#define HOLE_MAX  65528 /* bytes; larger ones are given back, but for the pages at their ends */
#define HOLE_STEP 16
#define HOLE_MIN  24

struct zygote {
    int gate;
    const struct parser_limits *limits;
    struct jail jail;
    char *document;
    int waiting; /* of the parser that waits: a byte, when it has a connection; its end, when it has not. -1: none waits */
    int64_t pause; /* until then there is no other; milliseconds of CLOCK_MONOTONIC */
    struct log_allowance said;
};

/*
 * A page that a parser writes to and this process has written to before is copied for it, and costs twice what a new one does. So what is free
 * between what is used, and lies in such pages, is used up: parsers begin behind it, on pages that are nobody's. (The supervisor has the
 * C library keep nothing in its caches.)
 */
static void use_up_memory(void)
{
#ifndef __SANITIZE_ADDRESS__ /* its memory is another */
    (void)mallopt(M_MXFAST, 0);
    (void)malloc_trim(0);
    const uintptr_t end = (uintptr_t)sbrk(0) - mallinfo2().keepcost;
    for (size_t size = HOLE_MAX; size >= HOLE_MIN; size -= HOLE_STEP)
        for (bool fits = true; fits;) {
            void *taken = malloc(size);
            fits = taken && (uintptr_t)taken < end;
            if (!fits)
                free(taken);
        }
    (void)malloc_trim(0);
#endif
}

static int64_t now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

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

/* The next connection's two ends; false: the gate is gone. A message that is none of the gate's is nobody's connection. */
static bool await_connection(int gate, int fd[ZYGOTE_ENDS])
{
    struct pollfd fds = {.fd = gate, .events = POLLIN};
    char byte;
    for (;;) {
        (void)poll(&fds, 1, -1);
        const ssize_t len = pair_receive(gate, &byte, sizeof byte, fd, ZYGOTE_ENDS);
        if (len == 1 && fd[1] >= 0)
            return true;
        if (len == 0 || (len < 0 && len != -EAGAIN && len != -EBADMSG))
            return false;
        for (size_t i = 0; len > 0 && i < ZYGOTE_ENDS; i++)
            if (fd[i] >= 0)
                close(fd[i]);
    }
}

/* All that can be done without a connection is done before there is one. With it the way to any other is closed. */
__attribute__((noreturn)) static void be_parser(struct zygote *z, int waits)
{
    int fd[ZYGOTE_ENDS];
#ifndef __SANITIZE_ADDRESS__ /* which has something to say there */
    (void)close_range(0, 2, 0);
#endif
    if (jail_parser(&z->jail) < 0)
        _exit(COFRE_LACKING);
    struct parser *parser = parser_new(z->limits, z->document, strlen(z->document));
    if (!parser)
        _exit(COFRE_FAILED);
    if (!await_connection(z->gate, fd))
        _exit(0);
    close(z->gate);
    if (write(waits, "", 1) != 1) /* only now another is made: of two, never both can take one */
        _exit(COFRE_FAILED);
    close(waits);
    _exit(parser_serve(parser, fd[0], fd[1]));
}

static void start(struct zygote *z)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) {
        log_error("no pipe for a parser: %s", strerror(errno));
        z->pause = now() + PAUSE_MS;
        return;
    }
    const pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        be_parser(z, ends[1]);
    }
    close(ends[1]);
    z->waiting = ends[0];
    if (pid < 0)
        log_error("no process for a connection: %s", strerror(errno));
}

/* The one that waited does so no longer. */
static void take(struct zygote *z)
{
    char byte;
    if (read(z->waiting, &byte, 1) != 1)
        z->pause = now() + PAUSE_MS;
    close(z->waiting);
    z->waiting = -1;
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

/* Of the gate's socket, which parsers read, this process sees the end only. */
static bool turn(struct zygote *z, const sigset_t *while_waiting)
{
    if (z->waiting < 0 && now() >= z->pause)
        start(z);
    struct pollfd fds[] = {{.fd = z->gate}, {.fd = z->waiting, .events = POLLIN}};
    const struct timespec pause = {.tv_sec = PAUSE_MS / 1000};
    if (ppoll(fds, 2, z->waiting < 0 ? &pause : NULL, while_waiting) > 0 && fds[1].revents)
        take(z);
    reap(z);
    return !(fds[0].revents & (POLLHUP | POLLERR | POLLNVAL));
}

int zygote_run(int gate, const struct parser_limits *limits, struct cofre_err *err)
{
    struct zygote z = {.gate = gate, .limits = limits, .waiting = -1};
    sigset_t while_waiting;
    const int rc = prepare(&z, &while_waiting, err);
    if (rc == 0)
        use_up_memory();
    while (rc == 0 && turn(&z, &while_waiting))
        ;
    if (z.waiting >= 0)
        close(z.waiting);
    jail_free(&z.jail);
    free(z.document);
    return rc;
}
