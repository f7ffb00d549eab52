#include "vmm/host/hands/group.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/number.h"
#include "vmm/host/hands/command.h"
#include "vmm/host/hands/controllers.h"
#include "vmm/host/hands/flat.h"

#define MANAGER     "manager"
#define TENANT      "tenant-"
#define TENANT_NAME (sizeof TENANT - 1 + HANDS_TENANT_SIZE)

const struct controller controllers[CONTROLLERS] = {
    {"cpu", HANDS_CPU},   {"cpuset", HANDS_CPUSET}, {"memory", HANDS_MEMORY},   {"io", HANDS_IO},
    {"pids", HANDS_PIDS}, {"misc", HANDS_MISC},     {"hugetlb", HANDS_HUGETLB},
};

static int open_directory(int at, const char *path)
{
    return openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

/* Each part of the path that is not there. */
static int make_path(const char *path, struct cofre_err *err)
{
    char part[PATH_MAX];
    if (path[0] != '/' || strlen(path) >= sizeof part)
        return cofre_fail(err, COFRE_USAGE, "%s: a control group is named by its whole path", path);
    for (const char *end = path; end;) {
        end = strchr(end + 1, '/');
        snprintf(part, sizeof part, "%.*s", end ? (int)(end - path) : (int)strlen(path), path);
        if (mkdir(part, 0755) < 0 && errno != EEXIST)
            return cofre_fail(err, COFRE_FAILED, "control group %s: %s", part, strerror(errno));
    }
    return 0;
}

/* The root group cannot be a parent: its limits are the host's. */
static int check_kind(const struct groups *g, struct cofre_err *err)
{
    struct statfs fs;
    if (fstatfs(g->parent, &fs) < 0 || fs.f_type != CGROUP2_SUPER_MAGIC)
        return cofre_fail(err, COFRE_LACKING,
                          "%s: not in a file system of control groups of version 2 (mount -t cgroup2)",
                          g->path);
    return faccessat(g->parent, "cgroup.type", F_OK, 0) == 0
               ? 0
               : cofre_fail(err, COFRE_USAGE, "%s: the root of all groups cannot be delegated", g->path);
}

/* Processes of other pid namespaces are 0 here, and not ours to move. */
static int move_processes(const struct groups *g, struct cofre_err *err)
{
    char text[FLAT_SIZE];
    int rc = flat_read(g->parent, "cgroup.procs", text, sizeof text, err);
    if (rc || !text[0])
        return rc;
    if (mkdirat(g->parent, MANAGER, 0755) < 0 && errno != EEXIST)
        return cofre_fail(err, COFRE_FAILED, "control group %s/%s: %s", g->path, MANAGER, strerror(errno));
    char *rest = text;
    for (char *pid; rc == 0 && (pid = strsep(&rest, "\n")) && *pid;)
        if (flat_write(g->parent, MANAGER "/cgroup.procs", pid, err) && errno != ESRCH)
            rc = cofre_within(err, -COFRE_FAILED, "control group %s", g->path);
    return rc;
}

/* In one line of names. */
static bool has_name(const char *list, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = list; (at = strstr(at, name)); at += length)
        if ((at == list || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\n' || !at[length]))
            return true;
    return false;
}

/* Each by itself, so that one which the kernel refuses keeps no other away. */
static int enable(struct groups *g, struct cofre_err *err)
{
    char have[1024], word[16];
    int rc = flat_read(g->parent, "cgroup.controllers", have, sizeof have, err);
    for (unsigned i = 0; i < CONTROLLERS && rc == 0; i++) {
        snprintf(word, sizeof word, "+%s", controllers[i].name);
        if (has_name(have, controllers[i].name))
            (void)flat_write(g->parent, "cgroup.subtree_control", word, NULL);
    }
    if (rc == 0)
        rc = flat_read(g->parent, "cgroup.subtree_control", have, sizeof have, err);
    for (unsigned i = 0; i < CONTROLLERS && rc == 0; i++)
        if (has_name(have, controllers[i].name))
            g->controllers |= controllers[i].bit;
    return rc ? cofre_within(err, rc, "control group %s", g->path) : 0;
}

int groups_open(struct groups *out, const char *path, struct cofre_err *err)
{
    *out = (struct groups){.parent = -1, .path = path};
    int rc = make_path(path, err);
    if (rc)
        return rc;
    out->parent = open_directory(AT_FDCWD, path);
    if (out->parent < 0)
        return cofre_fail(err, COFRE_FAILED, "control group %s: %s", path, strerror(errno));
    rc = check_kind(out, err);
    if (rc == 0)
        rc = move_processes(out, err);
    return rc ? rc : enable(out, err);
}

void groups_close(struct groups *groups)
{
    cleanup_close(&groups->parent);
    groups->parent = -1;
}

/* Names in misc.max, one a line; all of them 0, but one of what this TEE takes of each guest. */
static int forbid_misc(int group, const char *allowed, struct cofre_err *err)
{
    char text[FLAT_SIZE], line[128];
    int rc = flat_read(group, "misc.max", text, sizeof text, err);
    char *rest = text;
    for (char *name; rc == 0 && (name = strsep(&rest, "\n")) && *name;) {
        name[strcspn(name, " ")] = 0;
        snprintf(line, sizeof line, "%.64s %d", name, strcmp(name, allowed) == 0);
        rc = flat_write(group, "misc.max", line, err);
    }
    return rc;
}

/* "hugetlb.2MB.max", "hugetlb.2MB.rsvd.max" and their like, whichever sizes this processor has. */
static int limit_huge_pages(int group, const struct hands_start *start, struct cofre_err *err)
{
    static const char *const sizes[] = {"none", "hugetlb.2MB.", "hugetlb.1GB."};
    const char *own = sizes[start->pages];
    char most[24];
    int rc = 0;
    snprintf(most, sizeof most, "%" PRIu64, start->memory);
    DIR *files = fdopendir(open_directory(group, "."));
    for (struct dirent *e; files && rc == 0 && (e = readdir(files));) {
        const char *end = strrchr(e->d_name, '.');
        if (strncmp(e->d_name, "hugetlb.", 8) == 0 && end && strcmp(end, ".max") == 0)
            rc = flat_write(group, e->d_name, strncmp(e->d_name, own, strlen(own)) == 0 ? most : "0", err);
    }
    if (files)
        closedir(files);
    return rc;
}

static int forbid(const struct groups *g, int group, const struct hands_start *start, struct cofre_err *err)
{
    const char *const scarce[] = {"", "sev_es", "tdx"};
    int rc = 0;
    if (start->pages && !(g->controllers & HANDS_HUGETLB))
        return cofre_fail(
            err, COFRE_LACKING,
            "memory_pages: the control group %s has no controller \"hugetlb\", by which a guest is held "
            "to its own huge pages: this kernel lacks it, or it was not delegated to cofred",
            g->path);
    if (g->controllers & HANDS_MEMORY) {
        rc = flat_write(group, "memory.oom.group", "1", err);
        if (rc == 0 && faccessat(group, "memory.swap.max", F_OK, 0) == 0)
            rc = flat_write(group, "memory.swap.max", "0", err);
    }
    if (rc == 0 && g->controllers & HANDS_HUGETLB)
        rc = limit_huge_pages(group, start, err);
    if (rc == 0 && g->controllers & HANDS_MISC)
        rc = forbid_misc(group, start->emulated ? "" : scarce[start->tee], err);
    return rc;
}

/* Tenants' groups */

static void tenant_name(char out[static TENANT_NAME], const char *tenant)
{
    (void)snprintf(out, TENANT_NAME, TENANT "%s", tenant);
}

/* The directory of a tenant's group. */
static int open_tenant(const struct groups *g, const char *tenant)
{
    char name[TENANT_NAME];
    tenant_name(name, tenant);
    return open_directory(g->parent, *tenant ? name : ".");
}

/* One that is there may be of a hands that was cut off before it gave it its controllers. */
static int make_tenant(const struct groups *g, const char *tenant, struct cofre_err *err)
{
    char name[TENANT_NAME], words[128] = "";
    tenant_name(name, tenant);
    if (mkdirat(g->parent, name, 0755) < 0 && errno != EEXIST)
        return cofre_fail(err, COFRE_FAILED, "control group %s/%s: %s", g->path, name, strerror(errno));
    CLEAN_FD group = open_tenant(g, tenant);
    for (unsigned i = 0; i < CONTROLLERS; i++)
        if (g->controllers & controllers[i].bit)
            (void)snprintf(words + strlen(words), sizeof words - strlen(words), "+%s ", controllers[i].name);
    int rc = group < 0 ? cofre_fail(err, COFRE_FAILED, "%s", strerror(errno))
             : *words  ? flat_write(group, "cgroup.subtree_control", words, err)
                       : 0;
    return rc ? cofre_within(err, rc, "control group %s/%s", g->path, name) : TAKE_FD(group);
}

/* With its last guest's. */
static void remove_tenant(const struct groups *g, const char *tenant)
{
    char name[TENANT_NAME];
    tenant_name(name, tenant);
    if (*tenant)
        (void)unlinkat(g->parent, name, AT_REMOVEDIR);
}

/* Guests' */

int group_make(const struct groups *g, uint32_t guest, const struct hands_start *start, struct cofre_err *err)
{
    char name[COMMAND_NAME_SIZE];
    command_name(name, guest);
    CLEAN_FD tenant = make_tenant(g, start->tenant, err);
    if (tenant < 0)
        return tenant;
    if (mkdirat(tenant, name, 0755) < 0)
        return cofre_fail(err, errno == EEXIST ? COFRE_USAGE : COFRE_FAILED,
                          "control group %s of tenant %s: %s", name, start->tenant, strerror(errno));
    CLEAN_FD group = open_directory(tenant, name);
    int rc = group < 0 ? cofre_fail(err, COFRE_FAILED, "control group %s: %s", name, strerror(errno))
                       : forbid(g, group, start, err);
    if (rc == 0)
        return TAKE_FD(group);
    (void)unlinkat(tenant, name, AT_REMOVEDIR);
    remove_tenant(g, start->tenant);
    return rc;
}

int group_open(const struct groups *g, const char *tenant, uint32_t guest, struct cofre_err *err)
{
    char name[COMMAND_NAME_SIZE];
    command_name(name, guest);
    CLEAN_FD among = open_tenant(g, tenant);
    int group = among < 0 ? -1 : open_directory(among, name);
    return group >= 0 ? group
                      : cofre_fail(err, errno == ENOENT ? COFRE_LACKING : COFRE_FAILED,
                                   "control group %s of tenant %s: %s", name, tenant, strerror(errno));
}

int group_remove(const struct groups *g, const char *tenant, uint32_t guest, struct cofre_err *err)
{
    char name[COMMAND_NAME_SIZE];
    command_name(name, guest);
    CLEAN_FD among = open_tenant(g, tenant);
    if ((among < 0 || unlinkat(among, name, AT_REMOVEDIR) < 0) && errno != ENOENT)
        return cofre_fail(err, COFRE_FAILED, "control group %s of tenant %s cannot be removed: %s", name,
                          tenant, strerror(errno));
    remove_tenant(g, tenant);
    return 0;
}

/* Groups in one whose names are what hands makes. */
static int each_guest(int among, const char *tenant,
                      void (*call)(void *context, const char *tenant, uint32_t guest), void *context)
{
    DIR *entries = fdopendir(open_directory(among, "."));
    if (!entries)
        return -1;
    for (struct dirent *e; (e = readdir(entries));) {
        uint64_t guest;
        char name[COMMAND_NAME_SIZE];
        if (strncmp(e->d_name, "guest-", 6) != 0 ||
            number_parse(&guest, e->d_name + 6, "guest", 1, UINT32_MAX, NULL))
            continue;
        command_name(name, (uint32_t)guest);
        if (strcmp(name, e->d_name) == 0)
            call(context, tenant, (uint32_t)guest);
    }
    closedir(entries);
    return 0;
}

/* A tenant's without a guest's is of a start, or of a removal, that was cut off. */
int groups_each(const struct groups *g, void (*call)(void *context, const char *tenant, uint32_t guest),
                void *context, struct cofre_err *err)
{
    DIR *entries = fdopendir(open_directory(g->parent, "."));
    int rc = entries ? each_guest(g->parent, "", call, context) : -1;
    for (struct dirent *e; rc == 0 && (e = readdir(entries));) {
        const char *tenant = e->d_name + sizeof TENANT - 1;
        if (strncmp(e->d_name, TENANT, sizeof TENANT - 1) != 0 || strlen(tenant) >= HANDS_TENANT_SIZE)
            continue;
        remove_tenant(g, tenant);
        CLEAN_FD among = open_tenant(g, tenant);
        if (among >= 0)
            rc = each_guest(among, tenant, call, context);
    }
    if (rc < 0)
        rc = cofre_fail(err, COFRE_FAILED, "control group %s: %s", g->path, strerror(errno));
    if (entries)
        closedir(entries);
    return rc;
}

int group_freeze(int group, bool freeze, struct cofre_err *err)
{
    return flat_write(group, "cgroup.freeze", freeze ? "1" : "0", err);
}

int group_kill(int group, struct cofre_err *err)
{
    return flat_write(group, "cgroup.kill", "1", err);
}

int group_events_open(int group)
{
    return openat(group, "cgroup.events", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

/* A group that cannot be asked any more has been removed. */
static bool event(int events, const char *key)
{
    char text[256] = "";
    uint64_t value;
    ssize_t n = pread(events, text, sizeof text - 1, 0);
    return n > 0 && flat_keyed(&value, text, key) && value;
}

bool group_populated(int events)
{
    return event(events, "populated");
}

bool group_frozen(int events)
{
    return event(events, "frozen");
}

/* "0::/cofre.slice/guest-7" among the lines: a path as this process' namespace sees it, so that only its end is compared. */
bool group_has(uint32_t guest, pid_t pid)
{
    char name[COMMAND_NAME_SIZE], file[32], text[FLAT_SIZE];
    command_name(name, guest);
    snprintf(file, sizeof file, "/proc/%d/cgroup", pid);
    if (flat_read(AT_FDCWD, file, text, sizeof text, NULL))
        return false;
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n"));) {
        const char *end = strrchr(line, '/');
        if (strncmp(line, "0::", 3) == 0)
            return end && strcmp(end + 1, name) == 0;
    }
    return false;
}
