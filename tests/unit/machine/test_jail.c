/*
 * Plays a process that its guest has taken over. Each attempt of attack.c is made
 *   without the jail, where it must succeed, else it shows nothing and is not counted;
 *   in all of the jail but the lists of system calls: what stops it there is said, and for most something must;
 *   in the jail, by a thread of each kind, in each kind of machine: none may succeed, but
 *     what is on that thread's list because it is its duty.
 * Every attempt has a process of its own, in a fresh jail. TAP; test_jail [UID [kvm]] plays it as that user, and only what is tried
 * on KVM, which must be there then.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/machine/attack.h"
#include "vmm/machine/jail.h"

#define LEAST_TRIED 40 /* where root plays it */
#define SECONDS_MAX 20

static const char *const kinds[] = {"main",  "vcpu",   "block", "console",      "entropy",
                                    "vsock", "quotes", "net",   "vhost-user fs"};
#define KINDS (sizeof kinds / sizeof *kinds)

static const struct {
    const char *name;
    unsigned with;
} machines[] = {{"", 0},
                {", emulated", JAIL_WITH_EMULATION},
                {", with a network", JAIL_WITH_NET | JAIL_WITH_VSOCK},
                {", with vhost-user", JAIL_WITH_VHOST_USER}};
#define MACHINES (sizeof machines / sizeof *machines)

/* How an attempt ended. */
struct outcome {
    bool done; /* it succeeded */
    bool untried;
    int signal; /* that ended its process, or 0 */
    int error;  /* errno */
};

static struct outcome outcome_of(int status)
{
    struct outcome o = {0};
    if (WIFSIGNALED(status))
        o.signal = WTERMSIG(status);
    else if (WEXITSTATUS(status) == 255)
        o.untried = true;
    else
        o.error = WEXITSTATUS(status);
    o.done = !o.signal && !o.untried && o.error == 0;
    return o;
}

static const char *words(struct outcome o, char out[64])
{
    if (o.done)
        strcpy(out, "succeeds");
    else if (o.untried)
        strcpy(out, "cannot be tried");
    else if (o.signal)
        snprintf(out, 64, "%s", o.signal == SIGSYS ? "killed" : strsignal(o.signal));
    else
        snprintf(out, 64, "%s", strerrorname_np(o.error) ?: "refused");
    return out;
}

/* Waits for a child, and ends one that does not come back: nothing that a jail refuses waits. */
static struct outcome wait_for(pid_t child)
{
    int status = 0;
    int fd = pidfd_open(child, 0);
    struct pollfd ended = {.fd = fd, .events = POLLIN};
    if (fd >= 0 && poll(&ended, 1, SECONDS_MAX * 1000) == 0)
        kill(child, SIGKILL);
    if (fd >= 0)
        close(fd);
    if (waitpid(child, &status, 0) < 0)
        return (struct outcome){.error = ECHILD};
    return outcome_of(status);
}

static void attempt(const struct attack *a, const struct scene *scene)
{
    int rc = a->attempt(scene);
    _exit(rc == UNTRIED ? 255 : rc);
}

static struct outcome without_jail(const struct attack *a, struct scene scene)
{
    pid_t child = fork();
    if (child == 0) {
        if (unshare(CLONE_NEWNS) == 0) /* so that what it mounts is gone with it */
            (void)mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
        if ((a->needs_vm && !prepare_vm(&scene)) || (a->needs_ring && !prepare_ring(&scene, false)))
            _exit(255);
        attempt(a, &scene);
    }
    return wait_for(child);
}

/* kind NULL: no list of system calls. */
static struct outcome as_kind(const struct attack *a, struct scene scene, const char *kind, unsigned with)
{
    struct cofre_err err;
    pid_t child = fork();
    if (child == 0) {
        if ((a->needs_vm && !prepare_vm(&scene)) || (a->needs_ring && !prepare_ring(&scene, true)))
            _exit(255);
        if (kind && jail_confine(kind, with, &err))
            _exit(255);
        attempt(a, &scene);
    }
    return wait_for(child);
}

/* What the process in the jail tells of all the attempts that it had made. */
struct report {
    struct outcome unfiltered, kind[MACHINES][KINDS];
    struct jail jail;
};

static int in_jail(const struct attack *a, const struct scene *scene, struct report *out)
{
    struct jail jail;
    struct cofre_err err;
    int up[2];
    if (pipe2(up, O_CLOEXEC) < 0)
        return -1;
    pid_t child = jail_fork(&jail, &err);
    if (child == 0) {
        struct report r = {0};
        if (jail_enter(&jail, &err) || jail_limit_memory(&jail, &err)) {
            fprintf(stderr, "%s\n", err.text);
            _exit(1);
        }
        r.jail = jail;
        r.unfiltered = as_kind(a, *scene, NULL, 0);
        for (size_t e = 0; e < MACHINES; e++)
            for (size_t k = 0; k < KINDS; k++)
                r.kind[e][k] = as_kind(a, *scene, kinds[k], machines[e].with);
        _exit(write(up[1], &r, sizeof r) != (ssize_t)sizeof r);
    }
    close(up[1]);
    ssize_t n = child > 0 ? read(up[0], out, sizeof *out) : -1;
    close(up[0]);
    if (child > 0)
        waitpid(child, NULL, 0);
    return n == (ssize_t)sizeof *out ? 0 : -1;
}

static bool on_duty(const struct attack *a, const char *kind, unsigned with)
{
    if (a->net_duty && (with & JAIL_WITH_NET) && strcmp(kind, " net ") == 0)
        return true;
    return a->duty && strstr(a->duty, kind) && (!a->duty_with || a->duty_with & with);
}

/* Empty where the jail held. */
static void judge(const struct attack *a, const struct report *r, bool all_layers, char *out, size_t size)
{
    out[0] = 0;
    if (r->unfiltered.done && !a->filter_only && all_layers)
        snprintf(out, size, "nothing but the list of system calls stops it");
    for (size_t e = 0; e < MACHINES; e++)
        for (size_t k = 0; k < KINDS; k++) {
            char kind[32], w[64]; /* the kind as duties have it */
            snprintf(kind, sizeof kind, " %s ", kinds[k]);
            bool duty = on_duty(a, kind, machines[e].with);
            const struct outcome *o = &r->kind[e][k];
            if (o->untried || o->done != duty)
                snprintf(out, size, "a thread of kind %s%s: %s", kinds[k], machines[e].name, words(*o, w));
        }
}

/* The scene */

static int listener(int family, int type, void *address, socklen_t len)
{
    int fd = socket(family, type | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, address, len) < 0 || (type == SOCK_STREAM && listen(fd, 64) < 0)) {
        perror("Bail out! a listener of the scene");
        exit(1);
    }
    return fd;
}

static uint16_t local_port(int type)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = listener(AF_INET, type, &a, len);
    getsockname(fd, (struct sockaddr *)&a, &len);
    return ntohs(a.sin_port);
}

static void listen_unix(struct scene *s)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    strcpy(a.sun_path, s->unix_path);
    listener(AF_UNIX, SOCK_STREAM, &a, sizeof a);
    chmod(s->unix_path, 0777);
    a = (struct sockaddr_un){.sun_family = AF_UNIX};
    strcpy(a.sun_path + 1, s->abstract);
    listener(AF_UNIX, SOCK_STREAM, &a,
             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(s->abstract)));
}

static pid_t stand_by(void)
{
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    return child;
}

static void set_scene(struct scene *s)
{
    int pair[2], master;
    *s = (struct scene){.parent = getpid(), .terminal = -1, .vm = -1, .vcpu = -1};
    strcpy(s->directory, "/tmp/cofre-jail-XXXXXX");
    if (!mkdtemp(s->directory)) {
        perror("Bail out! a directory");
        exit(1);
    }
    chmod(s->directory, 0777);
    snprintf(s->file, sizeof s->file, "%s/file", s->directory);
    snprintf(s->unix_path, sizeof s->unix_path, "%s/socket", s->directory);
    snprintf(s->abstract, sizeof s->abstract, "cofre-jail-%d", (int)getpid());
    s->lock = open(s->file, O_CREAT | O_RDWR | O_CLOEXEC, 0666);
    fchmod(s->lock, 0666);
    if (ftruncate(s->lock, 4096) < 0 || flock(s->lock, LOCK_EX) < 0)
        perror("# the scene's file");
    s->read_only = open(s->file, O_RDONLY | O_CLOEXEC);
    s->root = open("/", O_PATH | O_CLOEXEC);
    s->program = open("/bin/true", O_RDONLY | O_CLOEXEC);
    s->bystander = stand_by();
    s->bystander_process = pidfd_open(s->bystander, 0);
    s->mount_namespace = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0)
        s->pair = pair[0];
    if (openpty(&master, &s->terminal, NULL, NULL, NULL) < 0)
        s->terminal = -1;
    else
        fcntl(s->terminal, F_SETFD, FD_CLOEXEC);
    s->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    s->tcp_port = local_port(SOCK_STREAM);
    s->udp_port = local_port(SOCK_DGRAM);
    listen_unix(s);
    s->page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void leave_scene(const struct scene *s)
{
    kill(s->bystander, SIGKILL);
    waitpid(s->bystander, NULL, 0);
    const char *const left[] = {"file", "socket", "new", "node", "link", "renamed"};
    for (size_t i = 0; i < sizeof left / sizeof *left; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", s->directory, left[i]);
        unlink(path);
    }
    char path[128];
    snprintf(path, sizeof path, "%s/dir", s->directory);
    rmdir(path);
    rmdir(s->directory);
}

static bool play(size_t number, const struct attack *a, const struct scene *scene, unsigned *tried)
{
    struct report r;
    char was[64], layers[64], wrong[128], missing[256];
    struct outcome freely = without_jail(a, *scene);
    if (!freely.done) {
        printf("ok %zu - %s # SKIP shows nothing here: without a jail, too, %s\n", number, a->name,
               words(freely, was));
        return true;
    }
    if (in_jail(a, scene, &r) < 0) {
        printf("not ok %zu - %s (no jail)\n", number, a->name);
        return false;
    }
    ++*tried;
    jail_missing(&r.jail, missing, sizeof missing);
    judge(a, &r, !missing[0], wrong, sizeof wrong);
    printf("%s %zu - %-55s jail without lists: %-10s with: %s\n", wrong[0] ? "not ok" : "ok", number, a->name,
           words(r.unfiltered, layers), wrong[0] ? wrong : words(r.kind[0][2], was));
    return !wrong[0];
}

static bool is_tried_on_kvm(const struct attack *a)
{
    return a->needs_vm || strstr(a->name, "/dev/kvm");
}

/* The jail is what it says it is, as the kernel sees it: of the process that stays in it, by /proc from outside. */
static bool status_has(pid_t pid, const char *line)
{
    char path[64], text[256];
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *f = fopen(path, "re");
    bool found = false;
    while (f && fgets(text, sizeof text, f))
        found |= strncmp(text, line, strlen(line)) == 0;
    if (f)
        fclose(f);
    if (!found)
        printf("# its status has no line with %s\n", line);
    return found;
}

static bool looks_jailed(size_t number, bool root)
{
    struct jail jail;
    struct cofre_err err;
    int up[2], down[2];
    if (pipe2(up, O_CLOEXEC) < 0 || pipe2(down, O_CLOEXEC) < 0)
        return false;
    pid_t child = jail_fork(&jail, &err);
    if (child == 0) {
        char byte;
        close(down[1]);
        if (jail_enter(&jail, &err) || jail_confine("main", 0, &err) || write(up[1], "", 1) != 1)
            _exit(1);
        (void)!read(down[0], &byte, 1);
        _exit(0);
    }
    close(up[1]);
    char byte;
    bool good = child > 0 && read(up[0], &byte, 1) == 1;
    static const char *const lines[] = {"CapInh:\t0000000000000000",
                                        "CapPrm:\t0000000000000000",
                                        "CapEff:\t0000000000000000",
                                        "CapBnd:\t0000000000000000",
                                        "CapAmb:\t0000000000000000",
                                        "NoNewPrivs:\t1",
                                        "Seccomp:\t2"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines && good; i++)
        good = (i == 3 && !root) || status_has(child, lines[i]);
    if (root)
        good = good && status_has(child, "Uid:\t65534\t65534\t65534\t65534") &&
               status_has(child, "Groups:\t \n");
    close(down[1]);
    if (child > 0)
        waitpid(child, NULL, 0);
    printf("%s %zu - no capability, no new privileges, a filter%s, as the kernel says\n",
           good ? "ok" : "not ok", number, root ? ", nobody in no group" : "");
    return good;
}

static bool closes_what_was_inherited(size_t number, const struct scene *s)
{
    struct jail jail;
    struct cofre_err err;
    int inherited = fcntl(s->read_only, F_DUPFD, 100); /* a number that nothing else gets meanwhile */
    pid_t child = jail_fork(&jail, &err);
    if (child == 0) {
        if (jail_enter(&jail, &err)) {
            printf("# %s\n", err.text);
            _exit(1);
        }
        _exit(fcntl(inherited, F_GETFD) >= 0 ? 2 : fcntl(s->read_only, F_GETFD) < 0 ? 3 : 0);
    }
    int status = -1;
    waitpid(child, &status, 0);
    close(inherited);
    if (status)
        printf("# it ended with %#x\n", (unsigned)status);
    printf("%s %zu - descriptors inherited from who started the program are closed, its own are not\n",
           status ? "not ok" : "ok", number);
    return status == 0;
}

static bool refuses_an_unknown_kind(size_t number)
{
    struct cofre_err err;
    bool good = jail_confine("surprise", 0, &err) < 0 && strstr(err.text, "surprise");
    printf("%s %zu - a thread of a kind without a list does not run\n", good ? "ok" : "not ok", number);
    return good;
}

int main(int argc, char **argv)
{
    uid_t user = argc > 1 ? (uid_t)atoi(argv[1]) : getuid();
    if (user != getuid() &&
        (setgroups(0, NULL) < 0 || setresgid(user, user, user) < 0 || setresuid(user, user, user) < 0)) {
        perror("Bail out! that user");
        return 1;
    }
    prctl(PR_SET_DUMPABLE, 1);
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    struct scene scene;
    set_scene(&scene);
    bool only_kvm = argc > 2, good = true;
    unsigned tried = 0, least = user == 0 && !only_kvm ? LEAST_TRIED : 0;
    size_t n = 0;
    for (size_t i = 0; i < attack_count; i++)
        if (!only_kvm || is_tried_on_kvm(&attacks[i])) {
            least += only_kvm;
            good &= play(++n, &attacks[i], &scene, &tried);
        }
    good &= looks_jailed(++n, user == 0);
    good &= closes_what_was_inherited(++n, &scene);
    good &= refuses_an_unknown_kind(++n);
    bool enough = tried >= least;
    printf("%s %zu - %u attempts succeed without the jail\n", enough ? "ok" : "not ok", ++n, tried);
    printf("1..%zu\n", n);
    leave_scene(&scene);
    return good && enough ? 0 : 1;
}
