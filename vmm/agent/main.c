/* cofre-agent: runs inside the guest, as a service or beside an init script, and answers requests for
 * evidence. What else it can do are commands of its own. */
#include <errno.h>
#include <getopt.h>
#include <linux/vm_sockets.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/agent/channel.h"
#include "vmm/agent/help.h"
#include "vmm/agent/key.h"
#include "vmm/agent/provider.h"
#include "vmm/agent/replay.h"
#include "vmm/agent/result.h"
#include "vmm/agent/secrets.h"
#include "vmm/agent/server.h"
#include "vmm/base/cleanup.h"

/* The guest's own command, so that its services end in order. */
static int start_poweroff(struct cofre_err *err)
{
    char *const argv[] = {"poweroff", NULL};
    pid_t pid;
    int error = posix_spawnp(&pid, "poweroff", NULL, NULL, argv, environ);
    return error ? cofre_fail(err, COFRE_FAILED, "poweroff cannot be started: %s", strerror(error)) : 0;
}

static int listen_on_vsock(unsigned port, struct cofre_err *err)
{
    CLEAN_FD fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return cofre_fail(err, COFRE_LACKING,
                          "this kernel has no vsock: %s; load the module vmw_vsock_virtio_transport",
                          strerror(errno));
    struct sockaddr_vm address = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = port};
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, SERVER_PEERS_MAX) < 0)
        return cofre_fail(err, COFRE_FAILED, "vsock port %u cannot be listened on: %s", port,
                          strerror(errno));
    return TAKE_FD(fd);
}

static int signal_descriptor(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGCHLD, SIG_IGN); /* poweroff's end is not waited for */
    return signalfd(-1, &set, SFD_CLOEXEC);
}

static int serve(unsigned port, struct cofre_err *err)
{
    static const struct agent_actions actions = {evidence_get, start_poweroff, service_evidence_get};
    CLEAN_FD stop = signal_descriptor();
    if (stop < 0)
        return cofre_fail(err, COFRE_FAILED, "signals: %s", strerror(errno));
    CLEAN_FD listener = listen_on_vsock(port, err);
    if (listener < 0)
        return listener;
    fprintf(stderr, "cofre-agent: ready on vsock port %u\n", port);
    return server_run(listener, stop, &actions, err);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"port", required_argument, NULL, 'p'},
                                            {"replay", no_argument, NULL, 'r'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
    } commands[] = {{"channel", agent_channel_command},
                    {"key", agent_key_command},
                    {"result", agent_result_command},
                    {"secrets", agent_secrets_command}};
    for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof *commands; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    unsigned long port = AGENT_PORT;
    bool replay = false;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        char *end = NULL;
        if (o == 'h')
            return agent_help(true);
        if (o == 'r') {
            replay = true;
            continue;
        }
        if (o == 'p')
            port = strtoul(optarg, &end, 10);
        if (o != 'p' || *end || end == optarg || port == 0 || port >= UINT32_MAX)
            return agent_help(false);
    }
    if (optind != argc)
        return agent_help(false);
    struct cofre_err err;
    int rc = replay ? replay_here(stdout, &err) : serve((unsigned)port, &err);
    if (rc < 0)
        fprintf(stderr, "cofre-agent: %s\n", err.text);
    return -rc;
}
