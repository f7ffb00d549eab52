/* Where a guest's programs find its secrets: a file for each in a folder that is memory (tmpfs), and nowhere else. */
#ifndef COFRE_AGENT_SECRET_FILES_H
#define COFRE_AGENT_SECRET_FILES_H

#include <sys/types.h>

#include "vmm/base/bytes.h"

/* A descriptor of the folder, the caller's. -COFRE_USAGE: it is not in a tmpfs, or others may write to it. */
int secret_folder_open(const char *path, struct cofre_err *err);

struct secret_owner {
    uid_t uid;
    gid_t gid;
};
/* "UID" or "UID:GID", numbers, since this program knows no names; without GID it is the same number. */
int secret_owner_parse(struct secret_owner *out, const char *text, struct cofre_err *err);

/* The file of that name is this one, mode 0400, whole or not at all. */
int secret_file_write(int folder, const char *name, struct view value, const struct secret_owner *owner,
                      struct cofre_err *err);

#endif
