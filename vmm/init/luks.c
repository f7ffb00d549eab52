#include "vmm/init/luks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/init/root.h"

#define PAUSE_MAX_MS 60000u
#define KEPT         "/kept" /* what the disk has of the key, sealed: in the initrd, which is memory */

static bool read_word(char *out, size_t size, struct view cmdline, const char *name)
{
    struct view value;
    *out = '\0';
    if (!root_word(cmdline, name, &value) || !value.len || value.len >= size)
        return false;
    memcpy(out, value.data, value.len);
    out[value.len] = '\0';
    return true;
}

int luks_source_read(struct luks_source *out, struct view cmdline, struct cofre_err *err)
{
    const struct {
        const char *name;
        char *text;
        size_t size;
        bool optional;
    } words[] = {{"cofre.trust", out->trust, sizeof out->trust, false},
                 {"cofre.relay", out->relay, sizeof out->relay, true},
                 {"cofre.policy", out->policy, sizeof out->policy, false},
                 {"cofre.key", out->key, sizeof out->key, false}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        struct view value;
        if (!read_word(words[i].text, words[i].size, cmdline, words[i].name) &&
            !(words[i].optional && !root_word(cmdline, words[i].name, &value)))
            return cofre_fail(err, COFRE_MALFORMED, "the command line has no %s= that can be used",
                              words[i].name);
    }
    return 0;
}

unsigned luks_pause(unsigned attempt, uint32_t random)
{
    const unsigned whole = attempt < 6 ? 1000u << attempt : PAUSE_MAX_MS;
    return whole / 2 + random % (whole + 1);
}

/* A program with these ends for standard input and output (-1: as they are). */
static pid_t start(char *const argv[], int in, int out)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    if ((in >= 0 && dup2(in, STDIN_FILENO) < 0) || (out >= 0 && dup2(out, STDOUT_FILENO) < 0))
        _exit(COFRE_FAILED);
    execv(argv[0], argv);
    fprintf(stderr, "cofre-init: %s: %s\n", argv[0], strerror(errno));
    _exit(COFRE_FAILED);
}

static int end_of(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return COFRE_FAILED;
    return WIFEXITED(status) ? WEXITSTATUS(status) : COFRE_FAILED;
}

static pid_t start_agent(const struct luks_source *s, int out)
{
    char *argv[16] = {"/bin/cofre-agent",
                      "key",
                      "--from",
                      (char *)s->trust,
                      "--ca",
                      "/etc/cofre/ca.pem",
                      "--policy",
                      (char *)s->policy,
                      "--name",
                      (char *)s->key,
                      "--keep",
                      KEPT};
    if (*s->relay) {
        argv[12] = "--relay";
        argv[13] = (char *)s->relay;
    }
    return start(argv, -1, out);
}

/* The disk's header is looked at, too, before anybody is asked for a key. */
static int take_kept(const char *disk)
{
    char *const take[] = {"/bin/cofre-unlock", "--kept", (char *)disk, KEPT, NULL};
    const pid_t pid = start(take, -1, -1);
    return pid > 0 ? end_of(pid) : COFRE_FAILED;
}

/* The code of who opens the disk, COFRE_LACKING where it got no key. The agent has said why, or has ended well. */
static int attempt(const struct luks_source *source, const char *disk)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return COFRE_FAILED;
    char *const unlock[] = {"/bin/cofre-unlock", (char *)disk, KEPT, NULL};
    const pid_t agent = start_agent(source, ends[1]), opener = start(unlock, ends[0], -1);
    close(ends[0]);
    close(ends[1]);
    if (agent > 0)
        (void)end_of(agent);
    return opener > 0 ? end_of(opener) : COFRE_FAILED;
}

static void wait_ms(unsigned ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        ;
}

static int attempt_until_there_is_a_key(const struct luks_source *source, const char *disk)
{
    int code;
    for (unsigned number = 0; (code = attempt(source, disk)) == COFRE_LACKING; number++) {
        uint32_t random = 0;
        if (getrandom(&random, sizeof random, 0) != sizeof random)
            random = 0; /* then it asks when others do */
        const unsigned pause = luks_pause(number, random);
        fprintf(stderr, "cofre-init: there is no key for the root yet; it is asked for again in %u.%u s\n",
                pause / 1000, pause % 1000 / 100);
        wait_ms(pause);
    }
    return code;
}

int luks_open(const struct luks_source *source, const char *disk, struct cofre_err *err)
{
    int code = take_kept(disk);
    if (code == 0)
        code = attempt_until_there_is_a_key(source, disk);
    return code ? cofre_fail(err, (enum cofre_error)code, "the root cannot be opened") : 0;
}
