/* cofre doctor, cofred: what a host of many tenants needs beside what launches a guest. Where it is configured, it is looked at. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fsverity.h>
#include <linux/magic.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"
#include "vmm/base/json.h"
#include "vmm/cli/doctor.h"

static struct {
    json_t *document;
    const char *state, *group, *decider, *gate, *tpm;
} cofred;

/* cofred --check says what is wrong with one; here it is read for names. */
bool doctor_read_cofred(const char *path, struct cofre_err *err)
{
    CLEAN_BYTES text = {0};
    cofred.state = "/var/lib/cofred";
    if (file_read(&text, path, 1 << 20, err) < 0 ||
        json_read(&cofred.document, bytes_view(&text), COFRE_USAGE, err) < 0)
        return false;
    (void)json_unpack(cofred.document, "{s?s, s?s, s?{s?s}, s?{s?s, s?s}}", "state", &cofred.state, "log_tpm",
                      &cofred.tpm, "guests", "cgroup", &cofred.group, "users", "decider", &cofred.decider,
                      "gate", &cofred.gate);
    return true;
}

void doctor_forget_cofred(void)
{
    json_decref(cofred.document);
    cofred.document = NULL;
}

/* The directory, or the nearest one above it that is there. */
static void nearest(char at[PATH_MAX], const char *path)
{
    (void)snprintf(at, PATH_MAX, "%s", path);
    for (char *end; access(at, F_OK) < 0 && (end = strrchr(at, '/'));)
        *(end == at ? end + 1 : end) = 0;
}

/* In one line of names. */
static bool names(const char *line, const char *name)
{
    const size_t len = strlen(name);
    for (const char *at = line; (at = strstr(at, name)); at += len)
        if ((at == line || at[-1] == ' ') && (at[len] == ' ' || !at[len]))
            return true;
    return false;
}

/* What the group hands out, or, before cofred's first start, what there is to be delegated. */
static bool look_groups(char *what, size_t size)
{
    static const char *const needed[] = {"cpu", "cpuset", "memory", "io", "pids"};
    char at[PATH_MAX], file[PATH_MAX + 32], line[512], lacking[128] = "";
    struct statfs fs;
    nearest(at, cofred.group ? cofred.group : "/sys/fs/cgroup");
    if (statfs(at, &fs) < 0 || fs.f_type != CGROUP2_SUPER_MAGIC) {
        snprintf(what, size, "%s is no control group of version 2", at);
        return false;
    }
    const bool own = cofred.group && strcmp(at, cofred.group) == 0;
    snprintf(file, sizeof file, "%s/cgroup.%s", at, own ? "subtree_control" : "controllers");
    doctor_first_line(file, line, sizeof line);
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (!names(line, needed[i]))
            snprintf(lacking + strlen(lacking), sizeof lacking - strlen(lacking), " %s", needed[i]);
    snprintf(what, size, "%s has %s%s%s", at, line[0] ? line : "no controllers",
             lacking[0] ? ", and lacks" : "", lacking);
    return !lacking[0];
}

static bool look_scarce(char *what, size_t size)
{
    CLEAN_BYTES file = {0};
    if (file_read(&file, "/sys/fs/cgroup/misc.capacity", 4096, NULL) < 0) {
        snprintf(what, size, "there is no /sys/fs/cgroup/misc.capacity");
        return false;
    }
    for (size_t i = 0; i < file.len; i++)
        file.data[i] = file.data[i] == '\n' ? (i + 1 < file.len ? ',' : ' ') : file.data[i];
    snprintf(what, size, "the misc controller has %.*s", file.len ? (int)file.len : 7,
             file.len ? (char *)file.data : "nothing");
    return file.len > 0;
}

/* A file that is none of fs-verity's has no digest (ENODATA); a file system that has none of it says so. */
static bool look_verity(char *what, size_t size)
{
    struct {
        struct fsverity_digest head;
        uint8_t space[64];
    } digest = {.head = {.digest_size = 64}};
    char at[PATH_MAX];
    nearest(at, cofred.state);
    CLEAN_FD fd = open(at, O_RDONLY | O_CLOEXEC);
    const bool good = fd >= 0 && (ioctl(fd, FS_IOC_MEASURE_VERITY, &digest) == 0 || errno == ENODATA);
    snprintf(what, size, "%s %s fs-verity", at, good ? "has" : "has no");
    return good;
}

static bool look_reflink(char *what, size_t size)
{
    static const struct {
        long type;
        const char *name;
    } shares[] = {{XFS_SUPER_MAGIC, "XFS"}, {BTRFS_SUPER_MAGIC, "btrfs"}};
    struct statfs fs;
    char at[PATH_MAX];
    nearest(at, cofred.state);
    const bool there = statfs(at, &fs) == 0;
    for (size_t i = 0; there && i < sizeof shares / sizeof *shares; i++)
        if (fs.f_type == shares[i].type) {
            snprintf(what, size, "%s is on %s, whose files share blocks", at, shares[i].name);
            return true;
        }
    snprintf(what, size, "%s is neither on XFS nor on btrfs", at);
    return false;
}

/* Hosted guests have no PATH, and so the C library's own. */
static bool look_passt(char *what, size_t size)
{
    const bool there = access("/usr/bin/passt", X_OK) == 0;
    snprintf(what, size, there ? "/usr/bin/passt is there" : "there is no /usr/bin/passt");
    return there;
}

static bool is_user(const char *name)
{
    char *end;
    return name && *name && (getpwnam(name) || (strtoul(name, &end, 10) && !*end));
}

static bool look_users(char *what, size_t size)
{
    const bool decider = is_user(cofred.decider), gate = is_user(cofred.gate);
    snprintf(what, size, "%s%s, %s%s", cofred.decider ? cofred.decider : "users.decider",
             decider ? "" : " is nobody here", cofred.gate ? cofred.gate : "users.gate",
             gate ? "" : " is nobody here");
    return decider && gate;
}

/* Guests' users get its group, unless that is root's. */
static bool look_kvm_group(char *what, size_t size)
{
    struct stat is;
    if (stat("/dev/kvm", &is) < 0) {
        snprintf(what, size, "/dev/kvm: %s", strerror(errno));
        return false;
    }
    snprintf(what, size, "/dev/kvm is group %u's, mode %04o", is.st_gid, is.st_mode & 07777);
    return (is.st_mode & 06) == 06 || ((is.st_mode & 060) == 060 && is.st_gid != 0);
}

static bool look_clock(char *what, size_t size)
{
    struct timex t = {0};
    const bool good = adjtimex(&t) >= 0 && !(t.status & STA_UNSYNC);
    snprintf(what, size, good ? "the clock is kept by another one" : "nobody says that the clock is right");
    return good;
}

static bool look_huge_pages(char *what, size_t size)
{
    char pages[32], free_pages[32];
    doctor_first_line("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", pages, sizeof pages);
    doctor_first_line("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", free_pages,
                      sizeof free_pages);
    snprintf(what, size, "%s huge pages of 2 MiB, %s of them free", pages[0] ? pages : "no",
             free_pages[0] ? free_pages : "0");
    return atol(pages) > 0;
}

static bool look_tpm(char *what, size_t size)
{
    struct stat is = {0};
    const char *path = cofred.tpm ? cofred.tpm : "/dev/tpmrm0";
    const bool there = stat(path, &is) == 0,
               may = (is.st_mode & 06) == 06 || ((is.st_mode & 060) == 060 && is.st_gid);
    if (!there)
        snprintf(what, size, "there is no %s", path);
    else if (!may)
        snprintf(what, size, "%s is for root alone (group %u, mode %04o)", path, is.st_gid,
                 is.st_mode & 07777);
    else
        snprintf(what, size,
                 cofred.tpm ? "%s is to vouch for the log" : "%s is there, and log_tpm does not say so",
                 path);
    return there && may && cofred.tpm;
}

static const struct finding findings[] = {
    {"groups", 0, "limits of guests that need what is missing are refused",
     "boot with systemd.unified_cgroup_hierarchy=1; the unit's Delegate= and ExecStartPre= have what "
     "cofred's group needs",
     look_groups},
    {"scarce", 0, "no SEV-SNP or TDX guest is counted against what the processor has of ASIDs or key IDs",
     "use a kernel with CONFIG_CGROUP_MISC=y, on a processor and with firmware settings that have them",
     look_scarce},
    {"verity", 0, "what vouches for images is that nobody else than cofred and root writes there",
     "put the directory on a file system that has it: mkfs.ext4 -O verity, or btrfs", look_verity},
    {"reflink", 0, "each disk of mode copy takes the room and the time of a whole copy",
     "put the directory on XFS or btrfs", look_reflink},
    {"passt", 0, "guests have networks by taps and bridges alone", "apt-get install passt", look_passt},
    {"users", 0, "cofred does not start", "systemd-sysusers, or name others in the configuration",
     look_users},
    {"kvm-group", 0, "guests, which are users of their own, cannot open it",
     "give /dev/kvm to the group kvm, mode 0660 (udev does so where the group is there)", look_kvm_group},
    {"clock", 0, "times in the log are this host's guess, and access tokens may be refused",
     "apt-get install systemd-timesyncd, or chrony", look_clock},
    {"huge-pages", 0, "guests that ask for huge pages are not started",
     "sysctl vm.nr_hugepages=N, early, for guests whose definition asks for them", look_huge_pages},
    {"tpm", 0, "what vouches for the log is a key in a file, which root can copy",
     "enable the TPM in the firmware settings, apt-get install tpm-udev, and name /dev/tpmrm0 as log_tpm in "
     "cofred.json",
     look_tpm},
};

const struct findings doctor_cofred = {NULL, findings, sizeof findings / sizeof *findings};
