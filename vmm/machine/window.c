#include "vmm/machine/window.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"
#include "vmm/machine/boot.h"

#define WINDOW_MAX (STAGING_END - STAGING_BASE)

struct item {
    const char *option, *path; /* path: NULL where there is none */
    int fd;
    size_t size;
};

static int open_item(struct item *item, struct cofre_err *err)
{
    int rc = item->path ? file_open(&item->fd, &item->size, item->path, WINDOW_MAX, err) : 0;
    return rc ? cofre_within(err, rc, "%s", item->option) : 0;
}

static int map_failed(const char *what, struct cofre_err *err)
{
    return cofre_fail(err, COFRE_FAILED, "mapping %s: %s", what, strerror(errno));
}

static int map_item(const struct item *item, uint8_t *at, struct cofre_err *err)
{
    const int flags = MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE;
    if (item->size && mmap(at, item->size, PROT_READ | PROT_WRITE, flags, item->fd, 0) == MAP_FAILED)
        return cofre_within(err, map_failed(item->path, err), "%s", item->option);
    return 0;
}

/* Anonymous memory first, so that nothing else comes to lie between the items. */
static int map_all(struct window *out, const struct item *kernel, const struct item *initrd,
                   struct view cmdline, struct cofre_err *err)
{
    struct boot_staging at;
    const struct boot_config sizes = {
        .kernel.len = kernel->size, .initrd.len = initrd->size, .cmdline = cmdline};
    int rc = boot_staging_layout(&sizes, &at, err);
    if (rc || at.size == 0)
        return rc;
    void *host =
        mmap(NULL, at.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (host == MAP_FAILED)
        return map_failed("the staging window", err);
    out->host = host;
    out->size = at.size;
    rc = map_item(kernel, out->host + at.kernel, err);
    if (rc == 0)
        rc = map_item(initrd, out->host + at.initrd, err);
    if (rc)
        return rc;
    if (cmdline.len)
        memcpy(out->host + at.cmdline, cmdline.data, cmdline.len);
    out->kernel = (struct view){out->host + at.kernel, kernel->size};
    out->initrd = (struct view){out->host + at.initrd, initrd->size};
    out->cmdline = (struct view){out->host + at.cmdline, cmdline.len};
    return 0;
}

int window_open(struct window *out, const char *kernel, const char *initrd, struct view cmdline,
                struct cofre_err *err)
{
    struct item items[] = {{"--kernel", kernel, -1, 0}, {"--initrd", initrd, -1, 0}};
    *out = (struct window){0};
    int rc = open_item(&items[0], err);
    if (rc == 0)
        rc = open_item(&items[1], err);
    if (rc == 0)
        rc = map_all(out, &items[0], &items[1], cmdline, err);
    cleanup_close(&items[0].fd);
    cleanup_close(&items[1].fd);
    return rc;
}

void window_close(struct window *window)
{
    if (window->host)
        munmap(window->host, window->size);
    *window = (struct window){0};
}
