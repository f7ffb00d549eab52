#include "vmm/image/programs.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"

#define PROGRAM_MAX (64u << 20)

/* The build tree has room/program, and them in init/guest; an installed program finds them by its configured path. */
int program_path(char **out, const char *name, struct cofre_err *err)
{
    char path[PATH_MAX + 64];
    ssize_t len = readlink("/proc/self/exe", path, PATH_MAX);
    if (len > 0) {
        path[len] = '\0';
        char *slash = strrchr(path, '/');
        (void)snprintf(slash ? slash : path, 64, "/../init/guest/%s", name);
    }
    if (len <= 0 || access(path, R_OK) < 0)
        (void)snprintf(path, sizeof path, COFRE_LIBDIR "/guest/%s", name);
    *out = strdup(path);
    return *out ? 0 : cofre_fail(err, COFRE_FAILED, "%s: out of memory", name);
}

int program_read(struct bytes *out, const char *name, struct cofre_err *err)
{
    CLEAN_FREE char *path = NULL;
    int rc = program_path(&path, name, err);
    return rc < 0 ? rc : file_read(out, path, PROGRAM_MAX, err);
}
