/* cofre-trust: the relying party's verifier as a service. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "attest/service/listen.h"
#include "attest/service/service.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"

static const char help[] =
    "usage: cofre-trust --config F\n"
    "\n"
    "Judges the evidence of confidential guests for whoever relies on them, over HTTPS.\n"
    "\n"
    "  --config F   the configuration (docs/trust.md); cofre trust init makes one that works\n"
    "\n"
    "SIGTERM: answers what is under way, and ends. SIGHUP: reads certificates, keys, lists\n"
    "and collateral again.\n"
    "\n"
    "example: cofre-trust --config /etc/cofre/trust.json\n";

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

static void serve(struct trust *trust, int signals)
{
    struct signalfd_siginfo taken;
    struct cofre_err err;
    (void)sd_notify(0, "READY=1");
    while (read(signals, &taken, sizeof taken) == (ssize_t)sizeof taken && taken.ssi_signo == SIGHUP) {
        struct timespec at;
        clock_gettime(CLOCK_MONOTONIC, &at);
        (void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu",
                         (unsigned long long)at.tv_sec * 1000000 + (unsigned long long)at.tv_nsec / 1000);
        if (trust_reload(trust, &err) < 0)
            fprintf(stderr, "cofre-trust: not everything was read again: %s\n", err.text);
        (void)sd_notify(0, "READY=1");
    }
    (void)sd_notify(0, "STOPPING=1");
}

static int run(const struct trust_config *config, struct cofre_err *err)
{
    CLEAN_FD signals = -1;
    int listening[TRUST_ADDRESSES_MAX];
    size_t listeners = 0;
    struct trust *trust = NULL;
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
    serve(trust, signals);
    trust_stop(trust);
    return 0;
}

static int load_and_run(const char *path, struct cofre_err *err)
{
    CLEAN_BYTES file = {0};
    struct trust_config config;
    int rc = file_read(&file, path, TRUST_CONFIG_FILE_MAX, err);
    if (rc < 0)
        return rc;
    rc = trust_config_parse(&config, bytes_view(&file), err);
    if (rc < 0)
        return cofre_within(err, rc, "%s", path);
    rc = run(&config, err);
    trust_config_free(&config);
    return rc;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"help", no_argument, NULL, 'h'}, {0}};
    const char *path = NULL;
    struct cofre_err err = {""};
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o != 'c') {
            fputs(help, o == 'h' ? stdout : stderr);
            return o == 'h' ? 0 : COFRE_USAGE;
        }
        path = optarg;
    }
    int rc = path && optind == argc
                 ? load_and_run(path, &err)
                 : cofre_fail(&err, COFRE_USAGE, "--config is missing, or something follows it; see --help");
    if (rc < 0)
        fprintf(stderr, "cofre-trust: %s\n", err.text);
    return -rc;
}
