#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "vmm/base/cleanup.h"
#define LOG_ROOM "hands"
#include "vmm/base/log.h"
#include "vmm/host/hands/channel.h"
#include "vmm/host/hands/guest.h"
#include "vmm/host/hands/hands_server.h"
#include "vmm/host/hands/host.h"
#include "vmm/host/hands/place.h"
#include "vmm/host/hands/privilege.h"

#define EVENTS_AT_ONCE    64
#define DESCRIPTORS_EACH  8 /* that hands itself has open of a guest; with room */
#define DESCRIPTORS_OTHER 128

/* A guest, and what is due to the decider about it. A question that takes time is answered later; there is one at a time. */
struct slot {
    struct guest guest;
    int launches_watch;
    bool tell_launch, tell_end;
    enum hands_what pending; /* 0: none */
    uint32_t serial;
    bool answered; /* the answer below is to be sent */
    int code;
    struct cofre_err why;
};

struct hands {
    struct ground ground;
    int socket, epoll, inotify;
    struct slot **slot;
    unsigned slots;
    struct hands_answer answer; /* the one that waits for room, where waiting is not 0 */
    size_t waiting;
    int waiting_fd;
};

enum source { OF_SOCKET = 1, OF_INOTIFY, OF_PIDFD, OF_EVENTS };

static uint64_t tag(enum source source, uint32_t guest)
{
    return (uint64_t)guest << 8 | source;
}

static int watch(struct hands *h, int fd, uint32_t events, uint64_t data, struct cofre_err *err)
{
    struct epoll_event event = {.events = events, .data.u64 = data};
    if (epoll_ctl(h->epoll, EPOLL_CTL_ADD, fd, &event) == 0 ||
        (errno == EEXIST && epoll_ctl(h->epoll, EPOLL_CTL_MOD, fd, &event) == 0))
        return 0;
    return cofre_fail(err, COFRE_FAILED, "epoll: %s", strerror(errno));
}

static struct slot *find(struct hands *h, uint32_t guest)
{
    for (unsigned i = 0; i < h->slots; i++)
        if (h->slot[i]->guest.record.guest == guest)
            return h->slot[i];
    return NULL;
}

/* What is said */

/* While nothing waits. What finds no room in the socket waits, and no request is read meanwhile. */
static void say(struct hands *h, size_t size, int fd)
{
    struct epoll_event event = {.events = EPOLLOUT, .data.u64 = tag(OF_SOCKET, 0)};
    if (channel_send(h->socket, &h->answer, size, &fd, fd >= 0) == 0 || errno != EAGAIN)
        return; /* a decider that is gone is seen at the next turn */
    h->waiting = size;
    h->waiting_fd = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
    (void)epoll_ctl(h->epoll, EPOLL_CTL_MOD, h->socket, &event);
}

static void begin_answer(struct hands *h, uint32_t what, uint32_t serial, uint32_t guest)
{
    memset(&h->answer, 0, HANDS_ANSWER_HEAD);
    h->answer.header = (struct hands_header){HANDS_VERSION, what, serial, guest};
}

static void say_code(struct hands *h, int code, const struct cofre_err *why)
{
    h->answer.code = code;
    if (code)
        snprintf(h->answer.sentence, sizeof h->answer.sentence, "%s", why->text);
    say(h, HANDS_ANSWER_HEAD, -1);
}

static void say_end(struct hands *h, struct slot *s)
{
    begin_answer(h, HANDS_ENDED, 0, s->guest.record.guest);
    h->answer.ended = s->guest.ended;
    s->tell_end = false;
    say(h, HANDS_ANSWER_HEAD + sizeof h->answer.ended, -1);
}

static void say_launch(struct hands *h, struct slot *s)
{
    begin_answer(h, HANDS_LAUNCHED, 0, s->guest.record.guest);
    s->tell_launch = false;
    say(h, HANDS_ANSWER_HEAD, -1);
}

static void drop(struct hands *h, struct slot *s)
{
    for (unsigned i = 0; i < h->slots; i++)
        if (h->slot[i] == s) {
            h->slot[i] = h->slot[--h->slots];
            break;
        }
    if (s->launches_watch >= 0)
        (void)inotify_rm_watch(h->inotify, s->launches_watch);
    guest_close(&s->guest);
    free(s);
}

static void say_late_answer(struct hands *h, struct slot *s)
{
    begin_answer(h, s->pending, s->serial, s->guest.record.guest);
    bool removed = s->pending == HANDS_REMOVE && s->code == 0;
    s->answered = false;
    s->pending = 0;
    say_code(h, s->code, &s->why);
    if (removed)
        drop(h, s);
}

/* Of each guest a launch before its end, and its end before what was asked about it. */
static void say_what_is_due(struct hands *h)
{
    for (unsigned i = 0; i < h->slots && !h->waiting;) {
        struct slot *s = h->slot[i];
        if (s->tell_launch)
            say_launch(h, s);
        else if (s->tell_end)
            say_end(h, s);
        else if (s->answered)
            say_late_answer(h, s);
        else
            i++;
    }
}

/* Guests */

static void finish(struct slot *s, int code)
{
    s->answered = true;
    s->code = code;
}

/* Whether what was asked has come about. */
static void look_at_pending(struct hands *h, struct slot *s)
{
    struct guest *g = &s->guest;
    if (!s->pending || s->answered)
        return;
    if (s->pending == HANDS_REMOVE) {
        if (guest_is_empty(g))
            finish(s, guest_remove(g, &h->ground, &s->why));
    } else if (g->pidfd < 0) {
        finish(s, cofre_fail(&s->why, COFRE_USAGE, "guest %" PRIu32 ": it has ended", g->record.guest));
    } else if (group_frozen(g->events)) {
        finish(s, 0);
    }
}

static void look_at_launches(struct slot *s)
{
    uint32_t launches = s->guest.place >= 0 ? place_launches(s->guest.place) : 0;
    s->tell_launch |= launches != s->guest.launches;
    s->guest.launches = launches;
}

/* Its group is watched as long as it is there; the kernel says so once, by what the descriptor was read for last. */
static int add(struct hands *h, const struct guest *guest, struct cofre_err *err)
{
    struct slot *s = calloc(1, sizeof *s);
    char path[64];
    uint32_t number = guest->record.guest;
    if (!s)
        return cofre_fail(err, COFRE_FAILED, "out of memory");
    s->guest = *guest;
    snprintf(path, sizeof path, "/proc/self/fd/%d/launches", guest->place);
    s->launches_watch = guest->place >= 0 ? inotify_add_watch(h->inotify, path, IN_MODIFY) : -1;
    h->slot[h->slots++] = s;
    look_at_launches(s); /* what came before the watch */
    int rc = 0;
    if (guest->events >= 0)
        rc = watch(h, guest->events, EPOLLPRI, tag(OF_EVENTS, number), err);
    if (rc == 0 && guest->pidfd >= 0)
        rc = watch(h, guest->pidfd, EPOLLIN, tag(OF_PIDFD, number), err);
    return rc;
}

static void on_end(struct hands *h, struct slot *s)
{
    look_at_launches(s);
    guest_take_end(&s->guest);
    s->tell_end = true;
    look_at_pending(h, s);
}

static void on_launches(struct hands *h)
{
    char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t n = read(h->inotify, buffer, sizeof buffer);
    for (const char *at = buffer; n > 0 && at < buffer + n;) {
        const struct inotify_event *event = (const void *)at;
        for (unsigned i = 0; i < h->slots; i++)
            if (event->wd == h->slot[i]->launches_watch || event->mask & IN_Q_OVERFLOW)
                look_at_launches(h->slot[i]);
        at += sizeof *event + event->len;
    }
}

static void find_one(void *context, uint32_t number)
{
    struct hands *h = context;
    struct guest guest;
    struct cofre_err why;
    if (find(h, number) || h->slots == HANDS_GUESTS_MAX)
        return;
    guest_find(&guest, &h->ground, number);
    if (add(h, &guest, &why))
        log_warn("guest %" PRIu32 ": %s", number, why.text);
}

static int find_guests(struct hands *h, struct cofre_err *err)
{
    int rc = places_each(h->ground.places, find_one, h, err);
    return rc ? rc : groups_each(&h->ground.groups, find_one, h, err);
}

/* What is asked */

static bool is_used(const struct hands *h, uid_t user)
{
    for (unsigned i = 0; i < h->slots; i++)
        if (guest_user(&h->slot[i]->guest) == user)
            return true;
    return false;
}

/* The one that was free longest, more or less: numbers of guests go up. */
static int choose_user(const struct hands *h, uint32_t number, uid_t *out, struct cofre_err *err)
{
    unsigned count = h->ground.config->guests;
    if (h->slots >= count)
        return cofre_fail(err, COFRE_LACKING, "this host is configured for %u guests at a time, and has them",
                          count);
    for (unsigned i = 0; i < count; i++) {
        *out = h->ground.config->first_user + (number + i) % count;
        if (!is_used(h, *out))
            return 0;
    }
    return cofre_fail(err, COFRE_FAILED, "no user is free");
}

static int start(struct hands *h, const struct hands_request *r, const int *fds, struct cofre_err *err)
{
    struct guest guest;
    uid_t user = 0;
    uint32_t number = r->header.guest;
    if (find(h, number))
        return cofre_fail(err, COFRE_USAGE, "guest %" PRIu32 ": the number was used before", number);
    int rc = choose_user(h, number, &user, err);
    if (rc == 0)
        rc = guest_start(&guest, &h->ground, number, user, &r->start, fds, err);
    return rc ? rc : add(h, &guest, err);
}

/* A freeze that was under way does not come about any more. */
static int thaw(struct slot *s, struct cofre_err *err)
{
    struct guest *g = &s->guest;
    if (s->pending == HANDS_FREEZE && !s->answered)
        finish(s, cofre_fail(&s->why, COFRE_USAGE, "guest %" PRIu32 ": it was thawed meanwhile",
                             g->record.guest));
    return g->group >= 0 ? group_freeze(g->group, false, err) : 0;
}

static int signal_guest(const struct guest *g, struct cofre_err *err)
{
    if (g->pidfd >= 0 && syscall(SYS_pidfd_send_signal, g->pidfd, SIGTERM, NULL, 0) == 0)
        return 0;
    return cofre_fail(err, COFRE_USAGE, "guest %" PRIu32 ": %s", g->record.guest,
                      g->pidfd < 0 ? "it has ended" : strerror(errno));
}

/* Answers later. */
static int later(struct hands *h, struct slot *s, const struct hands_header *header, struct cofre_err *err)
{
    struct guest *g = &s->guest;
    if (s->pending)
        return cofre_fail(err, COFRE_USAGE, "guest %" PRIu32 ": something else is being done with it",
                          g->record.guest);
    if (header->what == HANDS_FREEZE && g->pidfd < 0)
        return cofre_fail(err, COFRE_USAGE, "guest %" PRIu32 ": it has ended", g->record.guest);
    int rc = 0;
    if (header->what == HANDS_FREEZE)
        rc = group_freeze(g->group, true, err);
    else if (g->group >= 0)
        rc = group_kill(g->group, err);
    if (rc)
        return rc;
    s->pending = (enum hands_what)header->what;
    s->serial = header->serial;
    look_at_pending(h, s);
    return 0;
}

static void list(struct hands *h)
{
    struct hands_list *out = &h->answer.list;
    out->count = h->slots;
    for (unsigned i = 0; i < h->slots; i++) {
        const struct guest *g = &h->slot[i]->guest;
        out->entry[i] = (struct hands_entry){
            .guest = g->record.guest, .state = guest_state(g), .launches = g->launches, .ended = g->ended};
    }
    say(h, HANDS_ANSWER_HEAD + offsetof(struct hands_list, entry) + h->slots * sizeof out->entry[0], -1);
}

static void host(struct hands *h)
{
    struct cofre_err why;
    struct hands_host *out = &h->answer.host;
    int rc = host_look(&h->ground.groups, out, &why);
    out->guests = h->slots;
    out->guests_max = h->ground.config->guests;
    out->bridges = h->ground.config->bridges;
    if (rc)
        say_code(h, rc, &why);
    else
        say(h, HANDS_ANSWER_HEAD + sizeof *out, -1);
}

static void open_file(struct hands *h, struct slot *s, uint32_t file)
{
    struct cofre_err why;
    const struct guest *g = &s->guest;
    CLEAN_FD fd =
        g->place < 0
            ? cofre_fail(&why, COFRE_LACKING, "guest %" PRIu32 ": its files are gone", g->record.guest)
            : place_file(g->place, (enum hands_file)file, g->record.guest, g->record.user, &why);
    if (fd < 0)
        say_code(h, fd, &why);
    else
        say(h, HANDS_ANSWER_HEAD, fd);
}

static void statistics(struct hands *h, struct slot *s)
{
    struct cofre_err why;
    int rc = guest_statistics(&s->guest, &h->ground, &h->answer.statistics, &why);
    if (rc)
        say_code(h, rc, &why);
    else
        say(h, HANDS_ANSWER_HEAD + sizeof h->answer.statistics, -1);
}

/* About a guest that is there. */
static void serve_guest(struct hands *h, const struct hands_request *r, struct slot *s)
{
    struct cofre_err why = {{0}};
    struct guest *g = &s->guest;
    int rc = 0;
    switch (r->header.what) {
    case HANDS_STATISTICS:
        statistics(h, s);
        return;
    case HANDS_OPEN:
        open_file(h, s, r->open.file);
        return;
    case HANDS_FREEZE:
    case HANDS_REMOVE:
        rc = later(h, s, &r->header, &why);
        if (rc == 0)
            return;
        break;
    case HANDS_LIMIT:
        rc = guest_limit(g, &h->ground, &r->limits, &why);
        break;
    case HANDS_THAW:
        rc = thaw(s, &why);
        break;
    case HANDS_TERMINATE:
        rc = signal_guest(g, &why);
        break;
    case HANDS_KILL:
        rc = g->group >= 0 ? group_kill(g->group, &why) : 0;
        break;
    default:
        rc = cofre_fail(&why, COFRE_MALFORMED, "hands does not know that request");
    }
    say_code(h, rc, &why);
}

static void serve_checked(struct hands *h, const struct hands_request *r, const int *fds)
{
    struct cofre_err why = {{0}};
    struct slot *s = find(h, r->header.guest);
    if (r->header.what == HANDS_LIST)
        list(h);
    else if (r->header.what == HANDS_HOST)
        host(h);
    else if (r->header.what == HANDS_START)
        say_code(h, start(h, r, fds, &why), &why);
    else if (s)
        serve_guest(h, r, s);
    else if (r->header.what == HANDS_REMOVE)
        say_code(h, 0, NULL); /* nothing of it is there */
    else
        say_code(h,
                 cofre_fail(&why, COFRE_LACKING, "guest %" PRIu32 ": there is none of this number",
                            r->header.guest),
                 &why);
}

/* One request. A record that does not even say what it is ends the decider's connection, and so hands: false. */
static bool serve(struct hands *h)
{
    struct hands_request request;
    struct cofre_err why = {{0}};
    int fds[HANDS_DESCRIPTORS_MAX];
    unsigned count = 0;
    ssize_t size = channel_receive(h->socket, &request, sizeof request, fds, &count, HANDS_DESCRIPTORS_MAX);
    if (size < 0)
        return errno == EAGAIN || errno == EINTR;
    if ((size_t)size < sizeof request.header)
        return false;
    begin_answer(h, request.header.what, request.header.serial, request.header.guest);
    int rc = hands_request_check(&request, (size_t)size, &why);
    if (rc == 0 && count != hands_request_descriptors(&request))
        rc = cofre_fail(&why, COFRE_MALFORMED, "a message between cofred's parts: %u descriptors", count);
    if (rc)
        say_code(h, rc, &why);
    else
        serve_checked(h, &request, fds);
    for (unsigned i = 0; i < count; i++)
        close(fds[i]);
    return true;
}

/* The loop */

static void send_what_waits(struct hands *h)
{
    size_t size = h->waiting;
    CLEAN_FD fd = TAKE_FD(h->waiting_fd);
    h->waiting = 0;
    (void)watch(h, h->socket, EPOLLIN, tag(OF_SOCKET, 0), NULL);
    say(h, size, fd);
}

static bool on_socket(struct hands *h, uint32_t events)
{
    if (events & EPOLLOUT && h->waiting)
        send_what_waits(h);
    if (events & EPOLLIN && !h->waiting)
        return serve(h);
    return !(events & (EPOLLHUP | EPOLLERR));
}

/* False when the decider is gone. An event may be of a guest that an earlier one of the same turn has removed. */
static bool on_event(struct hands *h, const struct epoll_event *event)
{
    struct slot *s = find(h, (uint32_t)(event->data.u64 >> 8));
    switch ((enum source)(event->data.u64 & 0xff)) {
    case OF_SOCKET:
        return on_socket(h, event->events);
    case OF_INOTIFY:
        on_launches(h);
        return true;
    case OF_PIDFD:
        if (s && s->guest.pidfd >= 0)
            on_end(h, s);
        return true;
    case OF_EVENTS:
        if (s) {
            (void)group_populated(s->guest.events); /* read, so that the next change is told */
            look_at_pending(h, s);
        }
        return true;
    }
    return true;
}

static int loop(struct hands *h, struct cofre_err *err)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    for (;;) {
        int n = epoll_wait(h->epoll, events, EVENTS_AT_ONCE, -1);
        if (n < 0 && errno != EINTR)
            return cofre_fail(err, COFRE_FAILED, "epoll_wait: %s", strerror(errno));
        for (int i = 0; i < n; i++)
            if (!on_event(h, &events[i]))
                return 0;
        say_what_is_due(h);
    }
}

static int check_config(const struct hands_config *c, struct cofre_err *err)
{
    if (c->guests < 1 || c->guests > HANDS_GUESTS_MAX)
        return cofre_fail(err, COFRE_USAGE, "guests: %u; it is 1 to %d", c->guests, HANDS_GUESTS_MAX);
    if (c->first_user < 1000 || c->first_user > UINT32_MAX - HANDS_GUESTS_MAX - 1)
        return cofre_fail(err, COFRE_USAGE, "users: %u is the system's, or too large", c->first_user);
    if (c->bridges > HANDS_BRIDGES_MAX)
        return cofre_fail(err, COFRE_USAGE, "bridges: at most %d", HANDS_BRIDGES_MAX);
    return 0;
}

/* Each guest costs a few descriptors. */
static int raise_descriptors(const struct hands_config *c, struct cofre_err *err)
{
    rlim_t need = DESCRIPTORS_EACH * (rlim_t)c->guests + DESCRIPTORS_OTHER;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return cofre_fail(err, COFRE_FAILED, "getrlimit: %s", strerror(errno));
    if (limit.rlim_cur >= need)
        return 0;
    limit.rlim_cur = need;
    if (limit.rlim_max < need)
        limit.rlim_max = need;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0
               ? 0
               : cofre_fail(err, COFRE_LACKING, "%u guests take %llu descriptors: %s", c->guests,
                            (unsigned long long)need, strerror(errno));
}

/* What one guest may lock is less, and set for each (spawn.c). Where this may not be raised, guests that lock more are refused. */
static void raise_locked(void)
{
    (void)setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY});
}

static int set_up(struct hands *h, struct cofre_err *err)
{
    const struct hands_config *c = h->ground.config;
    umask(022);
    (void)signal(SIGPIPE, SIG_IGN);
    int rc = check_config(c, err);
    raise_locked();
    if (rc == 0)
        rc = raise_descriptors(c, err);
    if (rc == 0)
        rc = boot_id(h->ground.boot, err);
    if (rc == 0)
        rc = groups_open(&h->ground.groups, c->cgroup, err);
    if (rc)
        return rc;
    h->ground.places = places_open(c->directory, err);
    if (h->ground.places < 0)
        return h->ground.places;
    h->ground.device_groups = spawn_device_groups(h->ground.device_group);
    h->slot = calloc(HANDS_GUESTS_MAX, sizeof *h->slot);
    h->epoll = epoll_create1(EPOLL_CLOEXEC);
    h->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (!h->slot || h->epoll < 0 || h->inotify < 0)
        return cofre_fail(err, COFRE_FAILED, "epoll, inotify or memory: %s", strerror(errno));
    rc = watch(h, h->socket, EPOLLIN, tag(OF_SOCKET, 0), err);
    if (rc == 0)
        rc = watch(h, h->inotify, EPOLLIN, tag(OF_INOTIFY, 0), err);
    if (rc == 0)
        rc = privilege_reduce(err);
    return rc ? rc : find_guests(h, err);
}

static void free_hands(struct hands *h)
{
    while (h->slots)
        drop(h, h->slot[0]);
    free(h->slot);
    groups_close(&h->ground.groups);
    int *const all[] = {&h->ground.places, &h->epoll, &h->inotify, &h->socket, &h->waiting_fd};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        cleanup_close(all[i]);
    free(h);
}

int hands_serve(const struct hands_config *config, int socket, struct cofre_err *err)
{
    struct hands *h = calloc(1, sizeof *h);
    if (!h) {
        close(socket);
        return cofre_fail(err, COFRE_FAILED, "out of memory");
    }
    h->socket = socket;
    h->ground = (struct ground){.config = config, .groups = {.parent = -1}, .places = -1};
    h->epoll = h->inotify = h->waiting_fd = -1;
    int rc = set_up(h, err);
    if (rc == 0)
        rc = loop(h, err);
    free_hands(h);
    return rc;
}
