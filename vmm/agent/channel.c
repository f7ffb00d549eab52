#include "vmm/agent/channel.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "attest/channel/address.h"
#include "attest/channel/carry.h"
#include "vmm/agent/evidence_file.h"
#include "vmm/agent/help.h"
#include "vmm/base/cleanup.h"

#define CONNECT_SECONDS 10

int agent_channel_run(const struct agent_channel *how, int fd, enum channel_end end, struct cofre_err *err)
{
    struct channel *channel;
    const struct channel_options options = {
        .end = end, .identity = how->identity, .acts = *how->acts, .seconds = AGENT_CHANNEL_SECONDS};
    int rc = channel_open(&channel, fd, &options, err);
    if (rc < 0)
        return rc;
    CLEAN_FD local = address_connect(how->to, false, CONNECT_SECONDS, err);
    rc = local < 0 ? local
                   : channel_carry(channel, &(struct channel_carriage){.in = local, .out = local}, err);
    (rc < 0 ? channel_cut : channel_close)(channel);
    return rc;
}

static void serve_one(const struct agent_channel *how, int fd)
{
    struct cofre_err err;
    if (agent_channel_run(how, fd, CHANNEL_SERVER, &err) < 0)
        fprintf(stderr, "cofre-agent: a channel: %s\n", err.text);
}

/* Those that have ended; where there are as many as there may be, one is waited for. */
static void reap(unsigned *children)
{
    while (*children) {
        pid_t pid = waitpid(-1, NULL, *children < AGENT_CHANNELS_MAX ? WNOHANG : 0);
        if (pid == 0 || (pid < 0 && errno != EINTR))
            return;
        *children -= pid > 0;
    }
}

static void welcome(const struct agent_channel *how, int listener, int stop_fd, unsigned *children)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    /* A peer whose machine is gone does not keep its place. (A vsock has no such thing, and needs none.) */
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &(int){1}, sizeof(int));
    pid_t pid = fork();
    if (pid == 0) {
        close(listener);
        close(stop_fd);
        serve_one(how, fd);
        _exit(0);
    }
    if (pid < 0)
        fprintf(stderr, "cofre-agent: a channel: fork: %s\n", strerror(errno));
    *children += pid > 0;
    close(fd);
}

int agent_channel_serve(const struct agent_channel *how, int listener, int stop_fd, struct cofre_err *err)
{
    struct pollfd fds[] = {{stop_fd, POLLIN, 0}, {listener, POLLIN, 0}};
    for (unsigned children = 0; !fds[0].revents;) {
        reap(&children);
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return cofre_fail(err, COFRE_FAILED, "waiting for channels: %s", strerror(errno));
        if (fds[1].revents)
            welcome(how, listener, stop_fd, &children);
    }
    return 0;
}

struct arguments {
    const char *listen, *dial, *to;
};

static int serve(const struct arguments *a, const struct agent_channel *how, struct cofre_err *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    CLEAN_FD listener = address_listen(a->listen, err);
    if (listener < 0)
        return listener;
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    CLEAN_FD stop = signalfd(-1, &set, SFD_CLOEXEC);
    if (stop < 0)
        return cofre_fail(err, COFRE_FAILED, "signals: %s", strerror(errno));
    fprintf(stderr, "cofre-agent: channels end at %s, for %s\n", a->listen, a->to);
    return agent_channel_serve(how, listener, stop, err);
}

static int dial(const struct arguments *a, const struct agent_channel *how, struct cofre_err *err)
{
    int fd = address_connect(a->dial, false, CONNECT_SECONDS, err);
    return fd < 0 ? fd : agent_channel_run(how, fd, CHANNEL_CLIENT, err);
}

static int run(const struct arguments *a, struct cofre_err *err)
{
    static const struct channel_acts acts = {.evidence = evidence_file};
    CLEAN_IDENTITY identity = {0};
    int rc = channel_identity_new(&identity, err);
    const struct agent_channel how = {.to = a->to, .identity = &identity, .acts = &acts};
    (void)signal(SIGPIPE, SIG_IGN);
    return rc < 0 ? rc : a->listen ? serve(a, &how, err) : dial(a, &how, err);
}

int agent_channel_command(int argc, char **argv)
{
    static const struct option options[] = {{"listen", required_argument, NULL, 'l'},
                                            {"dial", required_argument, NULL, 'd'},
                                            {"to", required_argument, NULL, 't'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    struct arguments a = {0};
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        const char **const texts[] = {['l'] = &a.listen, ['d'] = &a.dial, ['t'] = &a.to};
        if (o == 'h' || o == '?')
            return agent_help(o == 'h');
        *texts[o] = optarg;
    }
    if (optind != argc || !a.listen == !a.dial || !a.to)
        return agent_help(false);
    struct cofre_err err;
    int rc = run(&a, &err);
    if (rc < 0)
        fprintf(stderr, "cofre-agent: %s\n", err.text);
    return -rc;
}
