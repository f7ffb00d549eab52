#include "vmm/host/hands/guest.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "vmm/base/cleanup.h"
#define LOG_ROOM "hands"
#include "vmm/base/log.h"
#include "vmm/host/hands/command.h"
#include "vmm/host/hands/flat.h"
#include "vmm/host/hands/place.h"
#include "vmm/host/hands/tap.h"

#define NOT_KNOWN (-1)
#define MAY_LOCK  (8ull << 20) /* bytes, whoever has no RAM to lock: the kernel's usual limit */

/* Descriptors of the message */

/* The whole device of a partition: only that has limits. */
static dev_t whole_device(dev_t device)
{
    char name[64], text[64];
    unsigned number[2];
    snprintf(name, sizeof name, "/sys/dev/block/%u:%u/partition", major(device), minor(device));
    if (access(name, F_OK) < 0)
        return device;
    snprintf(name, sizeof name, "/sys/dev/block/%u:%u/../dev", major(device), minor(device));
    if (flat_read(AT_FDCWD, name, text, sizeof text, NULL) ||
        sscanf(text, "%u:%u", &number[0], &number[1]) != 2)
        return device;
    return makedev(number[0], number[1]);
}

static int check_descriptor(int fd, const char *what, int access, bool disk, struct stat *st,
                            struct cofre_err *err)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fstat(fd, st) < 0)
        return cofre_fail(err, COFRE_MALFORMED, "%s: %s", what, strerror(errno));
    if (!S_ISREG(st->st_mode) && !(disk && S_ISBLK(st->st_mode)))
        return cofre_fail(err, COFRE_MALFORMED, "%s: its descriptor is of no file", what);
    if (flags & (O_PATH | O_APPEND) || (flags & O_ACCMODE) != access)
        return cofre_fail(err, COFRE_MALFORMED, "%s: its descriptor is not open for what it is for", what);
    return 0;
}

/* A device number without a major is no device's that could be limited. */
static void note_device(struct record *record, const struct stat *st)
{
    dev_t device = S_ISBLK(st->st_mode) ? st->st_rdev : st->st_dev;
    device = major(device) ? whole_device(device) : 0;
    for (unsigned i = 0; i < record->devices; i++)
        if (record->device[i] == device)
            return;
    record->device[record->devices++] = device;
}

static int take_descriptors(struct record *record, struct command_descriptors *out,
                            const struct hands_start *s, const int *fd, struct cofre_err *err)
{
    static const char *const names[] = {"kernel", "initrd", "id_block", "id_auth", "certificates"};
    struct stat st;
    int rc = 0;
    for (unsigned i = 0; i < sizeof names / sizeof *names && rc == 0; i++) {
        out->file[i] = s->given & HANDS_KERNEL << i ? *fd++ : -1;
        if (out->file[i] >= 0)
            rc = check_descriptor(out->file[i], names[i], O_RDONLY, false, &st, err);
    }
    for (unsigned i = 0; i < s->disks && rc == 0; i++) {
        char name[24];
        snprintf(name, sizeof name, "disks[%u]", i);
        out->disk[i] = *fd++;
        rc = check_descriptor(out->disk[i], name, s->disk[i].read_only ? O_RDONLY : O_RDWR, true, &st, err);
        if (rc == 0)
            note_device(record, &st);
    }
    return rc;
}

/* Start */

/* Of taps in the kernel; of disks and passt in the devices themselves. */
static int set_rates(int place, const struct record *record, const struct hands_limits *limits,
                     struct cofre_err *err)
{
    char name[IFNAMSIZ];
    int rc = 0;
    for (unsigned i = 0; i < HANDS_NETWORKS_MAX && rc == 0; i++)
        if (record->taps >> i & 1) {
            tap_name(name, record->guest, i);
            rc = tap_rate(name, limits->network_in, limits->network_out, err);
        }
    return rc ? rc : place_rates_set(place, limits, err);
}

static int make_taps(int place, struct record *record, struct command_descriptors *d,
                     const struct ground *ground, const struct hands_start *s, struct cofre_err *err)
{
    char name[IFNAMSIZ];
    int rc = 0;
    for (unsigned i = 0; i < s->networks && rc == 0; i++) {
        const struct hands_network *n = &s->network[i];
        if (n->kind != HANDS_TAP)
            continue;
        if (n->bridge >= ground->config->bridges)
            return cofre_fail(err, COFRE_USAGE, "networks[%u]: there is no such bridge here", i);
        tap_name(name, record->guest, i);
        d->tap[i] = tap_make(name, err);
        if (d->tap[i] < 0)
            return d->tap[i];
        record->taps |= 1u << i;
        rc = tap_attach(name, ground->config->bridge[n->bridge], err);
    }
    return rc ? rc : set_rates(place, record, &s->limits, err);
}

/* What is open for cofre-vmm only. */
struct outfit {
    struct place_files files;
    struct command_descriptors descriptors;
};

static void outfit_close(struct outfit *o)
{
    place_files_close(&o->files);
    for (unsigned i = 0; i < HANDS_NETWORKS_MAX; i++)
        cleanup_close(&o->descriptors.tap[i]);
}

static void inherit(struct spawn *spawn, const int *fd, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        spawn->inherited[spawn->inherited_count++] = fd[i];
}

static int spawn(struct guest *g, const struct ground *ground, const struct hands_start *s,
                 const struct outfit *o, struct cofre_err *err)
{
    const struct command_descriptors *d = &o->descriptors;
    char run[PATH_MAX], emulated[PATH_MAX];
    CLEAN_FREE struct command *command = malloc(sizeof *command);
    struct spawned process;
    if (!command)
        return cofre_fail(err, COFRE_FAILED, "out of memory");
    command_make(command, ground->config->program, g->record.guest, s, d);
    snprintf(run, sizeof run, "%s/%" PRIu32 "/run", ground->config->directory, g->record.guest);
    snprintf(emulated, sizeof emulated, "%s/%" PRIu32 "/emulated", ground->config->directory,
             g->record.guest);
    struct spawn how = {.program = ground->config->program,
                        .argv = command->argv,
                        .run_directory = run,
                        .emulated = s->emulated ? emulated : NULL,
                        .group = g->group,
                        .user = g->record.user,
                        .may_lock = MAY_LOCK + (s->locked ? s->memory : 0),
                        .group_count = ground->device_groups,
                        .standard = {o->files.input, o->files.result, o->files.log}};
    memcpy(how.groups, ground->device_group, sizeof how.groups);
    inherit(&how, d->file, 5);
    inherit(&how, d->disk, s->disks);
    inherit(&how, d->tap, s->networks);
    inherit(&how, (const int[]){d->console, d->launches, d->rates}, 3);
    int rc = spawn_hold(&how, &process, err);
    if (rc)
        return rc;
    g->pidfd = process.pidfd;
    g->record.pid = process.pid;
    g->record.started = process_started(process.pid);
    rc = record_write(g->place, &g->record, err);
    if (rc == 0)
        rc = spawn_release(&process, err);
    else
        close(process.go);
    return rc;
}

static int make(struct guest *g, const struct ground *ground, const struct hands_start *s, struct outfit *o,
                struct cofre_err *err)
{
    g->place = place_make(ground->places, g->record.guest, g->record.user, err);
    if (g->place < 0)
        return g->place;
    int rc = record_write(g->place, &g->record, err);
    if (rc)
        return rc;
    g->group = group_make(&ground->groups, g->record.guest, s, err);
    if (g->group < 0)
        return g->group;
    g->events = group_events_open(g->group);
    rc = group_limit(&ground->groups, g->group, &s->limits, g->record.device, g->record.devices, err);
    if (rc == 0)
        rc = make_taps(g->place, &g->record, &o->descriptors, ground, s, err);
    if (rc == 0 && s->emulated)
        rc = place_copy_emulated(g->place, ground->config->emulated, g->record.user, err);
    if (rc == 0)
        rc = place_files_open(g->place, &o->files, err);
    o->descriptors.console = o->files.console;
    o->descriptors.launches = o->files.launches;
    o->descriptors.rates = o->files.rates;
    return rc ? rc : spawn(g, ground, s, o, err);
}

/* A process that was never let go ends by itself. */
static void undo(struct guest *g, const struct ground *ground)
{
    struct cofre_err why;
    siginfo_t info;
    if (g->pidfd >= 0)
        (void)waitid(P_PIDFD, (id_t)g->pidfd, &info, WEXITED);
    if (guest_remove(g, ground, &why))
        log_warn("guest %" PRIu32 ": what its start made is not all removed: %s", g->record.guest, why.text);
    guest_close(g);
}

static int check_lock(const struct hands_start *s, struct cofre_err *err)
{
    struct rlimit limit;
    if (!s->locked || s->pages || getrlimit(RLIMIT_MEMLOCK, &limit) < 0 || s->memory <= limit.rlim_max)
        return 0;
    return cofre_fail(err, COFRE_LACKING,
                      "memory_locked: this guest locks %" PRIu64 " MiB, and cofred lets each lock %" PRIu64
                      " (LimitMEMLOCK= of its unit)",
                      s->memory >> 20, (uint64_t)limit.rlim_max >> 20);
}

int guest_start(struct guest *g, const struct ground *ground, uint32_t number, uid_t user,
                const struct hands_start *s, const int *fds, struct cofre_err *err)
{
    struct outfit outfit = {.files = {-1, -1, -1, -1, -1, -1}};
    *g = (struct guest){.record = {.guest = number, .user = user, .status = NOT_KNOWN, .limits = s->limits},
                        .place = -1,
                        .group = -1,
                        .events = -1,
                        .pidfd = -1,
                        .ended = {.status = NOT_KNOWN}};
    memcpy(g->record.boot, ground->boot, sizeof g->record.boot);
    memset(outfit.descriptors.tap, -1, sizeof outfit.descriptors.tap);
    if (s->emulated && !ground->config->emulated)
        return cofre_fail(err, COFRE_LACKING, "emulated: this host is not configured for emulated guests");
    if (access(ground->config->program, X_OK) < 0)
        return cofre_fail(err, COFRE_LACKING, "%s: %s", ground->config->program, strerror(errno));
    int rc = check_lock(s, err);
    if (rc == 0)
        rc = take_descriptors(&g->record, &outfit.descriptors, s, fds, err);
    if (rc)
        return rc;
    rc = make(g, ground, s, &outfit, err);
    outfit_close(&outfit);
    if (rc)
        undo(g, ground);
    return rc;
}

/* After a restart */

/* First the descriptor, then the looks: what it was opened for may have ended, and its number be another's. */
static int find_process(const struct record *r, const struct ground *ground)
{
    if (r->pid <= 0 || r->ended || memcmp(r->boot, ground->boot, sizeof r->boot) != 0)
        return -1;
    CLEAN_FD pidfd = (int)syscall(SYS_pidfd_open, r->pid, 0);
    if (pidfd < 0)
        return -1;
    bool same = process_started(r->pid) == r->started && group_has(r->guest, r->pid);
    return same ? TAKE_FD(pidfd) : -1;
}

void guest_find(struct guest *g, const struct ground *ground, uint32_t number)
{
    struct cofre_err why;
    *g = (struct guest){.place = place_open(ground->places, number, NULL),
                        .group = group_open(&ground->groups, number, NULL),
                        .events = -1,
                        .pidfd = -1};
    if (g->place < 0 || record_read(&g->record, g->place, number, &why)) {
        if (g->place >= 0)
            log_warn("%s", why.text);
        g->record = (struct record){.guest = number, .status = NOT_KNOWN, .ended = 1};
    }
    if (g->group >= 0) {
        g->events = group_events_open(g->group);
        g->pidfd = find_process(&g->record, ground);
        g->ended.out_of_memory = group_out_of_memory(g->group);
    }
    g->ended.status = g->record.status;
    if (g->pidfd < 0 && g->group >= 0)
        (void)group_kill(g->group, NULL);
    g->launches = g->place >= 0 ? place_launches(g->place) : 0;
}

void guest_close(struct guest *g)
{
    int *const all[] = {&g->place, &g->group, &g->events, &g->pidfd};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        cleanup_close(all[i]);
        *all[i] = -1;
    }
}

/* While it is there */

int guest_limit(struct guest *g, const struct ground *ground, const struct hands_limits *limits,
                struct cofre_err *err)
{
    struct record *r = &g->record;
    if (g->pidfd < 0)
        return cofre_fail(err, COFRE_USAGE, "guest %" PRIu32 ": it has ended", r->guest);
    int rc = group_limit(&ground->groups, g->group, limits, r->device, r->devices, err);
    if (rc == 0)
        rc = set_rates(g->place, r, limits, err);
    if (rc == 0) {
        r->limits = *limits;
        return record_write(g->place, r, err);
    }
    struct cofre_err why; /* what was changed before is as it was */
    if (group_limit(&ground->groups, g->group, &r->limits, r->device, r->devices, &why) ||
        set_rates(g->place, r, &r->limits, &why))
        log_warn("guest %" PRIu32 ": its limits before: %s", r->guest, why.text);
    return rc;
}

enum hands_state guest_state(const struct guest *g)
{
    if (g->pidfd < 0)
        return HANDS_HAS_ENDED;
    return group_frozen(g->events) ? HANDS_IS_FROZEN : HANDS_IS_RUNNING;
}

int guest_statistics(const struct guest *g, const struct ground *ground, struct hands_statistics *out,
                     struct cofre_err *err)
{
    char name[IFNAMSIZ];
    struct tap_numbers numbers = {0};
    *out = (struct hands_statistics){.state = guest_state(g)};
    if (g->group < 0)
        return cofre_fail(err, COFRE_LACKING, "guest %" PRIu32 ": its control group is gone",
                          g->record.guest);
    int rc = group_statistics(&ground->groups, g->group, out, err);
    for (unsigned i = 0; i < HANDS_NETWORKS_MAX && rc == 0; i++)
        if (g->record.taps >> i & 1) {
            tap_name(name, g->record.guest, i);
            rc = tap_count(name, &numbers, err);
        }
    out->network_in = numbers.in;
    out->network_out = numbers.out;
    out->network_in_packets = numbers.in_packets;
    out->network_out_packets = numbers.out_packets;
    return rc;
}

/* End */

void guest_take_end(struct guest *g)
{
    siginfo_t info = {0};
    struct cofre_err why;
    if (waitid(P_PIDFD, (id_t)g->pidfd, &info, WEXITED | WNOHANG) == 0 && info.si_pid)
        g->record.status = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
    cleanup_close(&g->pidfd);
    g->pidfd = -1;
    g->record.ended = 1;
    g->ended.status = g->record.status;
    g->ended.out_of_memory = group_out_of_memory(g->group);
    if (group_kill(g->group, &why) || record_write(g->place, &g->record, &why))
        log_warn("guest %" PRIu32 ", which has ended: %s", g->record.guest, why.text);
}

bool guest_is_empty(const struct guest *g)
{
    return g->pidfd < 0 && (g->events < 0 || !group_populated(g->events));
}

uid_t guest_user(const struct guest *g)
{
    struct stat st;
    if (!g->record.user && g->place >= 0 && fstatat(g->place, "run", &st, AT_SYMLINK_NOFOLLOW) == 0)
        return st.st_uid;
    return g->record.user;
}

int guest_remove(struct guest *g, const struct ground *ground, struct cofre_err *err)
{
    int rc = place_remove(ground->places, g->record.guest, guest_user(g), err);
    return rc ? rc : group_remove(&ground->groups, g->record.guest, err);
}
