#include "vmm/host/images/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int add(struct folder_names *names, const char *name)
{
    char **more = realloc(names->name, (names->count + 1) * sizeof *more);
    if (!more)
        return -1;
    names->name = more;
    more[names->count] = strdup(name);
    return more[names->count] ? (int)names->count++ : -1;
}

int folder_list(struct folder_names *out, int folder, struct cofre_err *err)
{
    *out = (struct folder_names){0};
    int again = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = again < 0 ? NULL : fdopendir(again);
    bool ok = dir != NULL;
    if (!dir && again >= 0)
        close(again);
    while (ok) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (!entry) {
            ok = errno == 0;
            break;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            ok = add(out, entry->d_name) >= 0;
    }
    int error = errno;
    if (dir)
        closedir(dir);
    return ok ? 0
              : cofre_fail(err, COFRE_FAILED, "the storage of images: a folder cannot be read: %s",
                           strerror(error ? error : ENOMEM));
}

void folder_free(struct folder_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->name[i]);
    free(names->name);
    *names = (struct folder_names){0};
}
