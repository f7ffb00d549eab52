#include "vmm/base/rundir.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME_MAX_LENGTH 64
#define NAME_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."

static int base_directory(char *out, size_t size, struct cofre_err *err)
{
    const char *given = getenv("COFRE_RUN_DIR"), *session = getenv("XDG_RUNTIME_DIR");
    int n;
    if (given && *given)
        n = snprintf(out, size, "%s", given);
    else if (geteuid() == 0)
        n = snprintf(out, size, "/run/cofre");
    else if (session && *session)
        n = snprintf(out, size, "%s/cofre", session);
    else
        return cofre_fail(err, COFRE_USAGE,
                          "set COFRE_RUN_DIR: there is neither /run for this user nor XDG_RUNTIME_DIR");
    return n < (int)size ? n : cofre_fail(err, COFRE_USAGE, "the run directory's name is too long");
}

int rundir_of_guest(char *out, size_t size, const char *name, struct cofre_err *err)
{
    size_t len = strlen(name);
    if (len == 0 || len > NAME_MAX_LENGTH || name[0] == '.' || strspn(name, NAME_CHARACTERS) != len)
        return cofre_fail(
            err, COFRE_USAGE,
            "a guest's name has 1 to %d letters, digits, \"-\", \"_\" and \".\", and does not begin "
            "with \".\"",
            NAME_MAX_LENGTH);
    int used = base_directory(out, size, err);
    if (used < 0)
        return used;
    if (snprintf(out + used, size - (size_t)used, "/%s", name) >= (int)(size - (size_t)used))
        return cofre_fail(err, COFRE_USAGE, "the run directory's name is too long");
    return 0;
}
