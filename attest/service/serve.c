/* cofre-trust without a command: it serves, until a signal ends it. */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "attest/service/command.h"
#include "attest/service/listen.h"
#include "attest/service/service.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/log.h"

#define LOG_ROOM     "trust"
#define MEMORY_SPARE (16 << 20) /* bytes */

static int64_t now(void)
{
    return time(NULL);
}

/* As many descriptors as there may be connections, and a rest for files and databases. */
static int raise_limit(const struct trust_config *config, struct cofre_err *err)
{
    const rlim_t needed = config->limits.connections + 64 + 8 * config->workers;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return cofre_fail(err, COFRE_FAILED, "getrlimit: %s", strerror(errno));
    if (limit.rlim_cur >= needed)
        return 0;
    limit.rlim_cur = needed;
    if (limit.rlim_max < needed)
        limit.rlim_max = needed;
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
        return 0;
    return cofre_fail(err, COFRE_LACKING,
                      "limits.connections wants %llu open files, which this process may not have (ulimit -n)",
                      (unsigned long long)needed);
}

/* All threads are born with the signals blocked; this one reads them. */
static int hold_signals(int *fd, struct cofre_err *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    *fd = signalfd(-1, &set, SFD_CLOEXEC);
    return *fd >= 0 ? 0 : cofre_fail(err, COFRE_FAILED, "signalfd: %s", strerror(errno));
}

/* A configuration that is no good changes nothing. */
static void reload(struct trust *trust, const char *path)
{
    struct trust_config config;
    struct cofre_err err;
    int rc = trust_config_read(&config, path, &err);
    if (rc == 0)
        rc = trust_reload(trust, &config, &err);
    if (rc < 0)
        log_error("not everything was read again, and is as it was: %s", err.text);
    else
        log_info("what %s names was read again", path);
    trust_config_free(&config);
}

static void serve(struct trust *trust, int signals, const char *path)
{
    struct signalfd_siginfo taken;
    (void)sd_notify(0, "READY=1");
    while (read(signals, &taken, sizeof taken) == (ssize_t)sizeof taken && taken.ssi_signo == SIGHUP) {
        struct timespec at;
        clock_gettime(CLOCK_MONOTONIC, &at);
        (void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu",
                         (unsigned long long)at.tv_sec * 1000000 + (unsigned long long)at.tv_nsec / 1000);
        reload(trust, path);
        (void)sd_notify(0, "READY=1");
    }
    (void)sd_notify(0, "STOPPING=1");
}

static int run(const struct trust_config *config, const char *path, struct cofre_err *err)
{
    CLEAN_FD signals = -1;
    int listening[TRUST_ADDRESSES_MAX];
    size_t listeners = 0;
    struct trust *trust = NULL;
    /* What a request took the next one needs: it is not given back to the kernel page by page in between. */
    (void)mallopt(M_TRIM_THRESHOLD, MEMORY_SPARE);
    int rc = hold_signals(&signals, err);
    if (rc == 0)
        rc = raise_limit(config, err);
    if (rc == 0)
        rc = listen_open(listening, TRUST_ADDRESSES_MAX, &listeners, config->address, config->addresses, err);
    if (rc == 0)
        rc = trust_start(&trust, config, listening, listeners, now, err);
    while (listeners)
        close(listening[--listeners]);
    if (rc < 0)
        return rc;
    serve(trust, signals, path);
    trust_stop(trust);
    return 0;
}

int command_serve(const struct command *command, struct cofre_err *err)
{
    struct trust_config config;
    int rc = trust_config_read(&config, command->config, err);
    if (rc < 0)
        return rc;
    rc = run(&config, command->config, err);
    trust_config_free(&config);
    return rc;
}
