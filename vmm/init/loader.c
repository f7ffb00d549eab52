#include "vmm/init/loader.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

#include "vmm/base/bytes.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"

#define ORDER_MAX 65536

static int load(int folder, const char *name)
{
    CLEAN_FD fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && syscall(SYS_finit_module, fd, "", 0) == 0 ? 0 : errno;
}

/* There already, or nothing here that it is for. */
static bool is_no_matter(int error)
{
    return error == 0 || error == EEXIST || error == ENODEV;
}

int loader_run(const char *path, FILE *say, struct cofre_err *err)
{
    CLEAN_BYTES order = {0};
    char name[256];
    (void)snprintf(name, sizeof name, "%s/order", path);
    int rc = file_read(&order, name, ORDER_MAX, err);
    CLEAN_FD folder = rc < 0 ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (rc == 0 && folder < 0)
        return cofre_fail(err, COFRE_FAILED, "%s: %s", path, strerror(errno));
    for (size_t at = 0, end; rc == 0 && at < order.len; at = end + 1) {
        for (end = at; end < order.len && order.data[end] != '\n';)
            end++;
        if (end == at || end - at >= sizeof name)
            continue;
        memcpy(name, order.data + at, end - at);
        name[end - at] = '\0';
        int error = load(folder, name);
        if (!is_no_matter(error))
            fprintf(say, "cofre-init: module %s: %s\n", name, strerror(error));
    }
    return rc;
}
