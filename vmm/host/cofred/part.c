#include "vmm/host/cofred/part.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name, *program;
} parts[PARTS] = {[PART_HANDS] = {"hands", "cofred-hands"},       [PART_ZYGOTE] = {"zygote", "cofred-parser"},
                  [PART_DECIDER] = {"decider", "cofred-decider"}, [PART_GATE] = {"gate", "cofred-gate"},
                  [PART_KEYS] = {"keys", "cofred-keys"},          [PART_TPM] = {"tpm", "cofred-tpm"}};

const char *part_name(enum part part)
{
    return parts[part].name;
}

int part_open(enum part part, struct cofre_err *err)
{
    char own[PATH_MAX], path[PATH_MAX];
    const ssize_t len = readlink("/proc/self/exe", own, sizeof own - 1);
    own[len > 0 ? len : 0] = 0;
    const char *end = strrchr(own, '/');
    (void)snprintf(path, sizeof path, "%.*s/%s", end ? (int)(end - own) : 0, own, parts[part].program);
    const int fd = open(path, O_PATH | O_CLOEXEC);
    return fd >= 0 ? fd : cofre_fail(err, COFRE_LACKING, "%s, a part of it: %s", path, strerror(errno));
}
