/* Stands in for cofre-vmm: does what the words behind --cmdline say, in their order, with what it was started with. Static, so
 * that it runs as any user. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static char **words;
static int console = -1, launches = -1;

static int descriptor(const char *option)
{
    for (char **w = words; w[0] && w[1]; w++)
        if (strcmp(w[0], option) == 0)
            return atoi(w[1] + 3);
    return -1;
}

static const char *value(const char *option)
{
    for (char **w = words; w[0] && w[1]; w++)
        if (strcmp(w[0], option) == 0)
            return w[1];
    return "";
}

static const char *path(const char *name)
{
    static char out[4096];
    snprintf(out, sizeof out, "%s/%s", getenv("COFRE_RUN_DIR"), name);
    return out;
}

static void who(void)
{
    char line[256];
    FILE *status = fopen("/proc/self/status", "r");
    dprintf(console, "user %u %u groups %u %u environment %s%s\n", getuid(), geteuid(), getgid(), getegid(),
            environ[0], environ[1] ? " and more" : "");
    while (status && fgets(line, sizeof line, status))
        if (strncmp(line, "Cap", 3) == 0 || strncmp(line, "NoNewPrivs", 10) == 0 ||
            strncmp(line, "Groups", 6) == 0 || strncmp(line, "Seccomp:", 8) == 0)
            dprintf(console, "%s", line);
}

/* Every descriptor that is open, and of what. */
static void descriptors(void)
{
    char name[64], to[256];
    for (int fd = 0; fd < 4096; fd++) {
        snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(name, to, sizeof to - 1);
        if (n > 0)
            dprintf(console, "fd %d %.*s\n", fd, (int)n, to);
    }
    dprintf(console, "no other\n");
}

static void kernel(void)
{
    char text[256];
    ssize_t n = pread(descriptor("--kernel"), text, sizeof text, 0);
    dprintf(console, "kernel %.*s\n", (int)(n > 0 ? n : 0), text);
}

static void emulated(void)
{
    char name[4096], text[64];
    snprintf(name, sizeof name, "%s/vcek.key", getenv("COFRE_EMULATED_DIR"));
    int fd = open(name, O_RDONLY);
    ssize_t n = read(fd, text, sizeof text);
    int written = open(name, O_WRONLY);
    dprintf(console, "read %.*s, write: %s\n", (int)(n > 0 ? n : 0), text,
            written < 0 ? strerror(errno) : "it can be");
}

static void may_lock(void)
{
    struct rlimit limit = {0};
    getrlimit(RLIMIT_MEMLOCK, &limit);
    dprintf(console, "memory %s, may lock %llu %llu\n", value("--memory"), (unsigned long long)limit.rlim_cur,
            (unsigned long long)limit.rlim_max);
}

static void fork_many(const char *count)
{
    for (int i = 0; i < atoi(count); i++) {
        pid_t pid = fork();
        if (pid == 0)
            for (;;)
                pause();
        dprintf(console, pid < 0 ? "fork refused\n" : "forked\n");
    }
}

/* A tree as a host would not like to have it. */
static void litter(void)
{
    char at[4096] = "";
    for (int depth = 0; depth < 60; depth++) {
        strcat(at, "/d");
        if (mkdir(path(at + 1), 0700) < 0)
            dprintf(console, "mkdir: %s\n", strerror(errno));
    }
    for (int i = 0; i < 200; i++) {
        char name[32];
        snprintf(name, sizeof name, "file-%d", i);
        close(open(path(name), O_WRONLY | O_CREAT, 0));
    }
    if (symlink("/etc", path("link")) < 0 || mkdir(path("closed"), 0700) < 0 ||
        mkdir(path("closed/within"), 0) < 0 || chmod(path("closed"), 0) < 0)
        dprintf(console, "litter: %s\n", strerror(errno));
}

/* The name of its sockets' door leads somewhere else. */
static void bend(const char *to)
{
    char name[128];
    snprintf(name, sizeof name, "%s", value("--name"));
    mkdir(path(name), 0700);
    snprintf(name, sizeof name, "%s/vsock", value("--name"));
    if (symlink(to, path(name)) < 0)
        dprintf(console, "symlink: %s\n", strerror(errno));
}

static void vsock(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    char name[128];
    snprintf(name, sizeof name, "%s", value("--name"));
    mkdir(path(name), 0700);
    snprintf(name, sizeof name, "%s/vsock", value("--name"));
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path(name));
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    if (bind(s, (void *)&a, sizeof a) < 0 || listen(s, 8) < 0)
        dprintf(console, "vsock: %s\n", strerror(errno));
}

static void spin(void)
{
    for (volatile unsigned long i = 0;; i++)
        continue;
}

static void on_term(int number)
{
    (void)number;
    dprintf(console, "asked to end\n");
    printf("{\"ended\": \"power-off\", \"exit_code\": 0}\n");
    fflush(stdout);
    _exit(0);
}

static void echo(void)
{
    char text[128];
    ssize_t n = read(0, text, sizeof text);
    dprintf(console, "input %.*s", (int)(n > 0 ? n : 0), text);
}

static void obey(char *word)
{
    char *argument = strchr(word, '=');
    if (argument)
        *argument++ = 0;
    if (strcmp(word, "who") == 0)
        who();
    else if (strcmp(word, "descriptors") == 0)
        descriptors();
    else if (strcmp(word, "kernel") == 0)
        kernel();
    else if (strcmp(word, "launch") == 0)
        dprintf(launches, "{}\n");
    else if (strcmp(word, "emulated") == 0)
        emulated();
    else if (strcmp(word, "fork") == 0)
        fork_many(argument);
    else if (strcmp(word, "may-lock") == 0)
        may_lock();
    else if (strcmp(word, "litter") == 0)
        litter();
    else if (strcmp(word, "bend") == 0)
        bend(argument);
    else if (strcmp(word, "vsock") == 0)
        vsock();
    else if (strcmp(word, "echo") == 0)
        echo();
    else if (strcmp(word, "spin") == 0)
        spin();
    else if (strcmp(word, "abort") == 0)
        abort();
    else if (strcmp(word, "exit") == 0)
        exit(atoi(argument));
    else if (strcmp(word, "wait") == 0)
        for (;;)
            pause();
    else
        dprintf(console, "no such word: %s\n", word);
}

int main(int argc, char **argv)
{
    (void)argc;
    words = argv;
    console = descriptor("--console");
    launches = descriptor("--launches");
    signal(SIGTERM, on_term);
    fprintf(stderr, "stand-in: %s\n", value("--name"));
    char *rest = strdup(value("--cmdline"));
    for (char *word; (word = strsep(&rest, " "));)
        obey(word);
    dprintf(console, "done\n");
    return 0;
}
