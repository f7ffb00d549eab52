/* Answers that go on: what happens to guests, by its number, so that who comes back misses nothing of the last EVENTS_KEPT; and the
 * files that a guest's monitor writes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vmm/host/decide/parts.h"

struct stream {
    struct decider *decider;
    struct caller *caller;
    uint64_t id;
    /* Of events: */
    struct access_caller who;
    char tenant[64]; /* "": all that it may see */
    /* Of a file: */
    uint32_t run;
    int fd;
    struct event *look; /* again, for what was written since; NULL: what is there, and no more */
    off_t at;
    TAILQ_ENTRY(stream) entry;
};

static void stream_free(struct stream *s)
{
    TAILQ_REMOVE(&s->decider->streams, s, entry);
    if (s->look)
        event_free(s->look);
    if (s->fd >= 0)
        close(s->fd);
    free(s);
}

static struct stream *stream_new(const struct call *call)
{
    struct stream *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->decider = call->decider;
    s->caller = call->caller;
    s->id = call->request.id;
    s->fd = -1;
    TAILQ_INSERT_TAIL(&s->decider->streams, s, entry);
    return s;
}

void streams_forget(struct decider *d, const struct caller *caller)
{
    struct stream *s, *next;
    for (s = TAILQ_FIRST(&d->streams); s; s = next) {
        next = TAILQ_NEXT(s, entry);
        if (s->caller == caller)
            stream_free(s);
    }
}

void streams_free(struct decider *d)
{
    while (!TAILQ_EMPTY(&d->streams))
        stream_free(TAILQ_FIRST(&d->streams));
}

/* Events */

static void send_if_seen(struct stream *s, const struct happening *h, const struct access_view *view)
{
    if (*s->tenant && strcmp(s->tenant, h->tenant) != 0)
        return;
    if (access_view_guest(view, h->tenant, h->labels))
        caller_event(s->caller, s->id, h->name, h->number, h->what);
}

void event_happens(struct decider *d, const char *name, const struct guest_row *guest)
{
    struct happening *h = &d->happened[d->happenings++ % EVENTS_KEPT];
    struct stream *s;
    tell_guest(d, name, guest);
    json_decref(h->what);
    json_decref(h->labels);
    *h = (struct happening){.number = d->happenings, .labels = json_incref(guest->labels)};
    h->what = json_pack("{s:s, s:s, s:I, s:s}", "tenant", guest->tenant, "guest", guest->name, "number",
                        (json_int_t)guest->number, "state", guest_state_names[guest->state]);
    (void)snprintf(h->name, sizeof h->name, "guest.%s", name);
    (void)snprintf(h->tenant, sizeof h->tenant, "%s", guest->tenant);
    TAILQ_FOREACH(s, &d->streams, entry)
    {
        struct access_view *view = NULL;
        if (s->fd >= 0 || access_view_open(&view, d->db, &s->who, time(NULL), NULL) < 0)
            continue;
        send_if_seen(s, h, view);
        access_view_close(view);
    }
}

void events_free(struct decider *d)
{
    for (size_t i = 0; i < EVENTS_KEPT; i++) {
        json_decref(d->happened[i].what);
        json_decref(d->happened[i].labels);
    }
}

static void begin_events(struct call *call)
{
    struct decider *d = call->decider;
    const char *after = member_text(call->request.query, "after", NULL), *tenant = call_tenant(call);
    struct access_view *view = NULL;
    struct stream *s = call->caller ? stream_new(call) : NULL;
    if (s) {
        s->who = call->who;
        (void)snprintf(s->tenant, sizeof s->tenant, "%s", tenant ? tenant : "");
        caller_begin(s->caller, s->id, 200, call->request.operation->type);
        const uint64_t last = after ? strtoull(after, NULL, 10) : d->happenings;
        if (last < d->happenings && access_view_open(&view, d->db, &s->who, call->now, NULL) == 0) {
            uint64_t number = d->happenings > EVENTS_KEPT ? d->happenings - EVENTS_KEPT : 0;
            for (number = number > last ? number : last; number < d->happenings; number++)
                send_if_seen(s, &d->happened[number % EVENTS_KEPT], view);
            access_view_close(view);
        }
    }
    call_free(call);
}

int work_event_stream(struct call *call, struct cofre_err *err)
{
    (void)err;
    call->hold = true;
    call->then = begin_events;
    return 0;
}

/* Files that a guest's monitor writes: its console, its lines. */

#define CHUNK   16384
#define WAITING 262144 /* bytes that who reads has not taken; no more is read until it has */

static void feed(struct stream *s)
{
    uint8_t chunk[CHUNK];
    ssize_t got = 0;
    while (caller_waiting(s->caller) < WAITING && (got = pread(s->fd, chunk, sizeof chunk, s->at)) > 0) {
        s->at += got;
        caller_chunk(s->caller, s->id, (struct view){chunk, (size_t)got});
    }
    if (got > 0 || s->look) /* more to come */
        return;
    caller_end(s->caller, s->id);
    stream_free(s);
}

static void look(evutil_socket_t fd, short events, void *context)
{
    (void)fd;
    (void)events;
    feed(context);
}

void streams_drained(struct decider *d, struct caller *caller)
{
    struct stream *s, *next;
    for (s = TAILQ_FIRST(&d->streams); s; s = next) {
        next = TAILQ_NEXT(s, entry);
        if (s->caller == caller && s->fd >= 0)
            feed(s);
    }
}

void streams_of_run_end(struct decider *d, uint32_t run)
{
    struct stream *s, *next;
    for (s = TAILQ_FIRST(&d->streams); s; s = next) {
        next = TAILQ_NEXT(s, entry);
        if (s->fd < 0 || s->run != run || !s->look)
            continue;
        event_free(TAKE_PTR(s->look));
        feed(s);
    }
}

static off_t start_of_last_lines(int fd, uint64_t lines)
{
    off_t at = lseek(fd, 0, SEEK_END);
    char c;
    for (lines++; at > 0 && lines; at--)
        if (pread(fd, &c, 1, at - 1) == 1 && c == '\n' && --lines == 0)
            break;
    return at;
}

/* By the clock: inotify asks who watches for the right to open the file, which is the guest's own; the decider has a descriptor alone. */
static void follow(struct stream *s)
{
    const struct timeval pause = {.tv_usec = 200000};
    s->look = event_new(s->decider->base, -1, EV_PERSIST, look, s);
    if (s->look && event_add(s->look, &pause) < 0)
        event_free(TAKE_PTR(s->look));
}

static void file_opened(void *context, int rc, const struct hands_answer *answer, int fd,
                        const struct cofre_err *why)
{
    struct call *call = context;
    const json_t *query = call->request.query;
    const uint64_t lines = call_query(call, "lines", 0);
    struct stream *s = rc == 0 && call->caller ? stream_new(call) : NULL;
    (void)answer;
    if (rc < 0) {
        call->rc = rc;
        call->err = *why;
        call->decided = true;
        call_finish(call);
        return;
    }
    if (!s) {
        close(fd);
        call_free(call);
        return;
    }
    s->fd = fd;
    s->run = call->guest.run;
    s->at = lines ? start_of_last_lines(fd, lines) : (off_t)call_query(call, "from", 0);
    caller_begin(s->caller, s->id, 200, call->request.operation->type);
    if (member_boolean(query, "follow", false) && call->guest.state != GUEST_STOPPED &&
        call->guest.state != GUEST_FAILED)
        follow(s);
    call_free(call);
    feed(s);
}

static void open_file(struct call *call, enum hands_file file)
{
    const struct hands_open open = {.file = file};
    struct cofre_err err = {""};
    int rc = hands_client_ask(call->decider->hands, HANDS_OPEN, call->guest.run, &open, NULL, 0, file_opened,
                              call, &err);
    if (rc < 0)
        file_opened(call, rc, NULL, -1, &err);
}

static void open_console(struct call *call)
{
    open_file(call, HANDS_FILE_CONSOLE);
}

static void open_log(struct call *call)
{
    open_file(call, HANDS_FILE_LOG);
}

static int stream(struct call *call, call_then *then, struct cofre_err *err)
{
    if (!call->guest.run)
        return cofre_fail(err, COFRE_USAGE, "guest %s was never started", call->guest.name);
    call->hold = true;
    call->then = then;
    return 0;
}

int work_guest_console(struct call *call, struct cofre_err *err)
{
    return stream(call, open_console, err);
}

int work_guest_logs(struct call *call, struct cofre_err *err)
{
    return stream(call, open_log, err);
}
