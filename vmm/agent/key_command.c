#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "vmm/agent/evidence_file.h"
#include "vmm/agent/help.h"
#include "vmm/agent/key.h"
#include "vmm/agent/provider.h"
#include "vmm/agent/secrets.h"
#include "vmm/agent/service.h"
#include "vmm/base/number.h"
#include "vmm/base/timestamp.h"

struct arguments {
    struct service service;
    const char *name, *version, *fd, *keep;
};

/* A disk, a terminal and what is swapped are no place for a key. (A memfd is a file of a tmpfs: the guest has no swap, or an
 * encrypted one.) */
static int check_descriptor(int fd, struct cofre_err *err)
{
    struct stat st;
    struct statfs fs;
    if (fstat(fd, &st) < 0)
        return cofre_fail(err, COFRE_USAGE, "--fd %d: %s", fd, strerror(errno));
    const bool file = S_ISREG(st.st_mode) &&
                      (fstatfs(fd, &fs) < 0 || (fs.f_type != TMPFS_MAGIC && fs.f_type != RAMFS_MAGIC));
    if (file || isatty(fd))
        return cofre_fail(err, COFRE_USAGE,
                          "--fd %d is %s: a key goes to a pipe, a socket or a file of a tmpfs", fd,
                          file ? "a file" : "a terminal");
    return 0;
}

static int hand_over(int fd, struct view key, struct cofre_err *err)
{
    for (size_t done = 0; done < key.len;) {
        const ssize_t n = write(fd, key.data + done, key.len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return cofre_fail(err, COFRE_FAILED, "the key cannot be written: %s", strerror(errno));
        done += (size_t)n;
    }
    return 0;
}

/* On whose word the guest goes on. */
static void tell(const struct arguments *a, const struct agent_secrets *got)
{
    char until[TIME_TEXT_SIZE];
    if (got->from_file) {
        fprintf(stderr, "cofre-agent: %s; what was kept of the key \"%s\" is used\n", got->why.text, a->name);
        return;
    }
    time_format(until, got->secret[0].until);
    fprintf(stderr, "cofre-agent: the key \"%s\" comes from %s%s%s\n", a->name, a->service.from,
            got->kept ? ", and is kept until " : "", got->kept ? until : "");
    if (got->why.text[0])
        fprintf(stderr, "cofre-agent: %s\n", got->why.text);
}

static int get_and_hand_over(struct arguments *a, int64_t version, int fd, struct cofre_err *err)
{
    static struct agent_secrets got;
    const struct agent_secrets_request request = {.service = &a->service.options,
                                                  .policy = a->service.policy,
                                                  .name = &a->name,
                                                  .names = 1,
                                                  .version = version,
                                                  .keep = a->keep,
                                                  .now = time(NULL),
                                                  .evidence = evidence_file,
                                                  .root = sev_guest_root,
                                                  .derive = sev_guest_derive};
    int rc = agent_secrets_get(&got, &request, err);
    if (rc < 0)
        return rc;
    rc = hand_over(fd, got.secret[0].value, err);
    if (rc == 0)
        tell(a, &got);
    agent_secrets_free(&got);
    return rc;
}

static int run(struct arguments *a, struct cofre_err *err)
{
    uint64_t version = 0, fd = STDOUT_FILENO;
    if (a->keep && a->version)
        return cofre_fail(err, COFRE_USAGE,
                          "--keep: what is kept is the current version, not one by its number");
    int rc = a->version ? number_parse(&version, a->version, "--version", 1, INT32_MAX, err) : 0;
    if (rc == 0 && a->fd)
        rc = number_parse(&fd, a->fd, "--fd", 0, 1 << 20, err);
    if (rc == 0)
        rc = check_descriptor((int)fd, err);
    if (rc == 0)
        rc = agent_key_lock_memory(err);
    if (rc == 0)
        rc = service_prepare(&a->service, NULL, err);
    return rc < 0 ? rc : get_and_hand_over(a, (int64_t)version, (int)fd, err);
}

int agent_key_command(int argc, char **argv)
{
    struct arguments a = {.name = NULL};
    const struct service_option own[] = {{.name = "name", .value = &a.name},
                                         {.name = "version", .value = &a.version},
                                         {.name = "fd", .value = &a.fd},
                                         {.name = "keep", .value = &a.keep},
                                         {0}};
    struct cofre_err err;
    int code;
    if (!service_read_options(&a.service, own, argc, argv, &code))
        return code;
    if (!a.name)
        return agent_help(false);
    int rc = run(&a, &err);
    service_free(&a.service);
    if (rc < 0)
        fprintf(stderr, "cofre-agent: %s\n", err.text);
    return -rc;
}
