#include "vmm/host/front/caller.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

#define LOG_ROOM "front"
#include "vmm/base/cleanup.h"
#include "vmm/base/log.h"
#include "vmm/host/front/pair.h"

/* A message that the parser has not taken. */
struct waiting {
    struct bytes message;
    int fd; /* that goes with it; -1: none */
    STAILQ_ENTRY(waiting) entry;
};
STAILQ_HEAD(waitings, waiting);

struct caller {
    struct callers *callers;
    struct identity identity;
    int pair;
    struct event *readable, *writable;
    uint64_t open, last; /* the request's id; 0: none. The last one that came */
    bool begun, events;  /* a stream is under way; it is one of events */
    bool whole;          /* it is an answer that only was too long for one message, and no stream */
    bool uploads, granted;
    bool over; /* to be put out */
    struct waitings waitings;
    size_t waiting;
    void *data;
    TAILQ_ENTRY(caller) entry;
};
TAILQ_HEAD(caller_list, caller);

struct callers {
    struct event_base *base;
    int gate;
    struct event *arrives;
    struct callers_handler handler;
    struct callers_limits limits;
    struct caller_list list;
    size_t count;
    struct log_allowance said;
};

static void waiting_free(struct waiting *w)
{
    bytes_free(&w->message);
    if (w->fd >= 0)
        close(w->fd);
    free(w);
}

static void caller_free(struct caller *c)
{
    struct waiting *w;
    while ((w = STAILQ_FIRST(&c->waitings))) {
        STAILQ_REMOVE_HEAD(&c->waitings, entry);
        waiting_free(w);
    }
    if (c->readable)
        event_free(c->readable);
    if (c->writable)
        event_free(c->writable);
    close(c->pair);
    TAILQ_REMOVE(&c->callers->list, c, entry);
    c->callers->count--;
    free(c);
}

static void put_out(struct caller *c)
{
    if (c->callers->handler.gone)
        c->callers->handler.gone(c->callers->handler.context, c);
    caller_free(c);
}

void caller_close(struct caller *c)
{
    c->over = true;
    c->open = 0;
    event_active(c->readable, EV_READ, 0);
}

/* What a parser sent that no parser of ours would: somebody has taken it over, or it is broken. */
static void distrust(struct caller *c, const char *why)
{
    const char *last = log_allow(&c->callers->said);
    if (last)
        log_warn("a connection from %s is ended: %s%s", c->identity.address, why, last);
    c->over = true;
}

/* Writing */

static void flush(struct caller *c)
{
    struct waiting *w;
    int rc = 0;
    while (rc == 0 && (w = STAILQ_FIRST(&c->waitings))) {
        rc = pair_send(c->pair, bytes_view(&w->message), &w->fd, w->fd >= 0);
        if (rc == 0) {
            c->waiting -= w->message.len;
            STAILQ_REMOVE_HEAD(&c->waitings, entry);
            waiting_free(w);
        }
    }
    if (rc == -EAGAIN)
        (void)event_add(c->writable, NULL);
    else if (rc < 0)
        caller_close(c);
}

static void send_answer(struct caller *c, const struct message_answer *answer, int fd)
{
    struct cofre_err err;
    struct waiting *w = calloc(1, sizeof *w);
    if (w)
        w->fd = fd;
    if (!w || message_answer_write(&w->message, answer, &err) < 0) {
        if (w)
            log_error("an answer could not be written: %s", err.text);
        if (!w && fd >= 0)
            close(fd);
        if (w)
            waiting_free(w);
        caller_close(c);
        return;
    }
    c->waiting += w->message.len;
    STAILQ_INSERT_TAIL(&c->waitings, w, entry);
    flush(c);
    if (c->begun && !c->whole && c->waiting > c->callers->limits.waiting)
        caller_close(c);
}

static void on_writable(evutil_socket_t fd, short what, void *context)
{
    struct caller *c = context;
    (void)fd, (void)what;
    flush(c);
    if (!c->over && !c->waiting && c->callers->handler.drained)
        c->callers->handler.drained(c->callers->handler.context, c);
}

/* Reading */

static void on_request(struct caller *c, struct view message)
{
    CLEAN_MESSAGE_REQUEST request = {0};
    struct cofre_err err;
    if (message_request_read(&request, message, &err) < 0) {
        distrust(c, err.text);
        return;
    }
    if (c->open || request.id <= c->last) {
        distrust(c, "its parser asked before it was answered");
        return;
    }
    c->open = c->last = request.id;
    c->begun = c->events = c->whole = c->granted = false;
    c->uploads = request.operation->flags & OPERATION_UPLOADS;
    c->callers->handler.request(c->callers->handler.context, c, &request);
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
    struct caller *c = context;
    static uint8_t message[MESSAGE_MAX + 1]; /* one event loop */
    (void)what;
    while (!c->over) {
        const ssize_t len = pair_receive(fd, message, sizeof message, NULL, 0);
        if (len == -EAGAIN)
            break;
        if (len <= 0)
            c->over = true;
        else
            on_request(c, (struct view){message, (size_t)len});
        explicit_bzero(message, len > 0 ? (size_t)len : 0); /* a token may have been in it */
    }
    if (c->over)
        put_out(c);
}

/* Arriving */

static void caller_new(struct callers *callers, const struct identity *identity, int fd)
{
    struct caller *c = calloc(1, sizeof *c);
    if (!c) {
        close(fd);
        return;
    }
    *c = (struct caller){.callers = callers, .identity = *identity, .pair = fd};
    STAILQ_INIT(&c->waitings);
    TAILQ_INSERT_TAIL(&callers->list, c, entry);
    callers->count++;
    c->readable = event_new(callers->base, fd, EV_READ | EV_PERSIST, on_readable, c);
    c->writable = event_new(callers->base, fd, EV_WRITE, on_writable, c);
    if (!c->readable || !c->writable || event_add(c->readable, NULL) < 0)
        caller_free(c);
}

static void on_arrival(evutil_socket_t gate, short what, void *context)
{
    struct callers *callers = context;
    struct identity identity;
    ssize_t len;
    int fd;
    (void)what;
    while ((len = pair_receive(gate, &identity, sizeof identity, &fd, 1)) > 0)
        if (fd >= 0 && len == sizeof identity && identity_is_good(&identity))
            caller_new(callers, &identity, fd);
        else if (fd >= 0)
            close(fd);
    if (len == 0) /* the gate is gone; whoever started both does the rest */
        (void)event_del(callers->arrives);
}

void callers_free(struct callers *callers)
{
    struct caller *c;
    if (!callers)
        return;
    while ((c = TAILQ_FIRST(&callers->list)))
        put_out(c);
    if (callers->arrives)
        event_free(callers->arrives);
    close(callers->gate);
    free(callers);
}

int callers_new(struct callers **out, struct event_base *base, int gate,
                const struct callers_handler *handler, const struct callers_limits *limits,
                struct cofre_err *err)
{
    struct callers *callers = calloc(1, sizeof *callers);
    *out = NULL;
    if (!callers) {
        close(gate);
        return cofre_fail(err, COFRE_FAILED, "no memory for callers");
    }
    *callers = (struct callers){.base = base, .gate = gate, .handler = *handler, .limits = *limits};
    TAILQ_INIT(&callers->list);
    callers->arrives = event_new(base, gate, EV_READ | EV_PERSIST, on_arrival, callers);
    if (!callers->arrives || event_add(callers->arrives, NULL) < 0) {
        callers_free(callers);
        return cofre_fail(err, COFRE_FAILED, "no event for callers");
    }
    *out = callers;
    return 0;
}

size_t callers_count(const struct callers *callers)
{
    return callers->count;
}

const struct identity *caller_identity(const struct caller *c)
{
    return &c->identity;
}

uint64_t caller_open(const struct caller *c)
{
    return c->open;
}

void caller_set_data(struct caller *c, void *data)
{
    c->data = data;
}

void *caller_data(const struct caller *c)
{
    return c->data;
}

size_t caller_waiting(const struct caller *c)
{
    return c->waiting;
}

/* Answers. One to a request that is not open goes nowhere; nor does a second, or a first after a stream has begun. */

static bool may_answer(const struct caller *c, uint64_t id)
{
    return !c->over && id && id == c->open && !c->begun;
}

static void send_last(struct caller *c, const struct message_answer *answer)
{
    c->open = 0;
    send_answer(c, answer, -1);
}

void caller_empty(struct caller *c, uint64_t id, int status)
{
    if (may_answer(c, id))
        send_last(c, &(struct message_answer){.id = id, .kind = MESSAGE_EMPTY, .status = status});
}

void caller_problem(struct caller *c, uint64_t id, int status, unsigned retry, const char *code,
                    const char *format, ...)
{
    struct message_answer answer = {.id = id, .kind = MESSAGE_PROBLEM, .status = status, .number = retry};
    struct cofre_err sentence;
    va_list args;
    if (!may_answer(c, id))
        return;
    va_start(args, format);
    (void)vsnprintf(sentence.text, sizeof sentence.text, format, args);
    va_end(args);
    (void)snprintf(answer.code, sizeof answer.code, "%s", code);
    (void)cofre_fail((struct cofre_err *)answer.text, COFRE_FAILED, "%s", sentence.text); /* one line */
    CLEAN_JSON *utf8 = json_string(answer.text);
    if (!utf8)
        *answer.text = 0; /* what is not UTF-8 is not repeated */
    send_last(c, &answer);
}

void caller_begin(struct caller *c, uint64_t id, int status, const char *type)
{
    struct message_answer answer = {.id = id, .kind = MESSAGE_BEGIN, .status = status};
    if (!may_answer(c, id))
        return;
    c->begun = true;
    c->events = strcmp(type, "text/event-stream") == 0;
    (void)snprintf(answer.code, sizeof answer.code, "%s", type);
    send_answer(c, &answer, -1);
}

void caller_chunk(struct caller *c, uint64_t id, struct view data)
{
    while (data.len && !c->over && c->begun && !c->events && id == c->open) {
        const size_t len = data.len < MESSAGE_CHUNK_MAX ? data.len : MESSAGE_CHUNK_MAX;
        send_answer(c, &(struct message_answer){.id = id, .kind = MESSAGE_CHUNK, .data = {data.data, len}},
                    -1);
        data = (struct view){data.data + len, data.len - len};
    }
}

void caller_event(struct caller *c, uint64_t id, const char *name, uint64_t number, const json_t *json)
{
    struct message_answer answer = {
        .id = id, .kind = MESSAGE_EVENT, .number = number, .json = (json_t *)json};
    if (c->over || !c->begun || !c->events || id != c->open)
        return;
    (void)snprintf(answer.code, sizeof answer.code, "%s", name);
    send_answer(c, &answer, -1);
}

void caller_end(struct caller *c, uint64_t id)
{
    if (!c->over && c->begun && id == c->open)
        send_last(c, &(struct message_answer){.id = id, .kind = MESSAGE_END});
}

static void answer_in_chunks(struct caller *c, uint64_t id, int status, const json_t *json)
{
    CLEAN_FREE char *text = json_dumps(json, JSON_COMPACT);
    if (!text) {
        caller_close(c);
        return;
    }
    c->whole = true;
    caller_begin(c, id, status, "application/json");
    caller_chunk(c, id, (struct view){(const uint8_t *)text, strlen(text)});
    caller_end(c, id);
}

void caller_answer(struct caller *c, uint64_t id, int status, const json_t *json)
{
    const struct message_answer answer = {
        .id = id, .kind = MESSAGE_JSON, .status = status, .json = (json_t *)json};
    CLEAN_BYTES message = {0};
    struct cofre_err err;
    if (!may_answer(c, id))
        return;
    if (message_answer_write(&message, &answer, &err) == -COFRE_USAGE)
        answer_in_chunks(c, id, status, json);
    else
        send_last(c, &answer);
}

int caller_upload(struct caller *c, uint64_t id, int *fd, struct cofre_err *err)
{
    int ends[2];
    *fd = -1;
    if (!may_answer(c, id) || !c->uploads || c->granted)
        return cofre_fail(err, COFRE_FAILED, "there is no upload that waits");
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
        return cofre_fail(err, COFRE_FAILED, "no sockets for an upload: %s", strerror(errno));
    c->granted = true;
    (void)shutdown(ends[0], SHUT_WR);
    send_answer(c, &(struct message_answer){.id = id, .kind = MESSAGE_UPLOAD}, ends[1]);
    *fd = ends[0];
    return 0;
}
