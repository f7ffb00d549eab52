#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/host/hands/channel.h"
#include "vmm/host/hands/hands_client.h"

/* A request: first among those to be sent, with copies of its descriptors, then among those that wait for their answer. */
struct asked {
    struct asked *next;
    hands_answered *answered;
    void *context;
    bool sent;
    int fds[HANDS_DESCRIPTORS_MAX];
    unsigned count;
    struct hands_request request;
};

struct hands_client {
    int socket;
    struct event *readable, *writable;
    struct hands_client_calls calls;
    void *context;
    uint32_t serial;
    struct asked *first, **end; /* in the order of asking */
    bool calling,
        gone; /* freed within one of its calls it is gone, and its memory there until that returns */
};

static void forget(struct asked *a)
{
    while (a->count)
        close(a->fds[--a->count]);
    free(a);
}

static struct asked *take(struct hands_client *c, uint32_t serial)
{
    for (struct asked **at = &c->first; *at; at = &(*at)->next)
        if ((*at)->request.header.serial == serial && (*at)->sent) {
            struct asked *a = *at;
            *at = a->next;
            if (c->end == &a->next)
                c->end = at;
            return a;
        }
    return NULL;
}

/* Its owner's call has returned: false where the client was freed within it. */
static bool called(struct hands_client *c)
{
    c->calling = false;
    if (!c->gone)
        return true;
    free(c);
    return false;
}

/* The rest has an end: what was asked is answered, and the owner told. */
static void lose(struct hands_client *c, const struct cofre_err *why)
{
    event_del(c->readable);
    event_del(c->writable);
    c->calling = true;
    while (c->first) {
        struct asked *a = c->first;
        c->first = a->next;
        if (!c->first)
            c->end = &c->first;
        a->answered(a->context, -COFRE_FAILED, NULL, -1, why);
        forget(a);
    }
    if (called(c))
        c->calls.lost(c->context, why);
}

static void send_what_waits(struct hands_client *c)
{
    for (struct asked *a = c->first; a; a = a->next) {
        if (a->sent)
            continue;
        size_t size = hands_request_size(a->request.header.what);
        if (channel_send(c->socket, &a->request, size, a->fds, a->count) < 0) {
            if (errno == EAGAIN)
                event_add(c->writable, NULL);
            return; /* hands that is gone is seen by reading */
        }
        a->sent = true;
        while (a->count)
            close(a->fds[--a->count]);
    }
}

static void on_writable(evutil_socket_t socket, short what, void *context)
{
    (void)socket, (void)what;
    send_what_waits(context);
}

/* False where it is not what hands says. */
static bool deliver(struct hands_client *c, const struct hands_answer *answer, int fd, struct cofre_err *err)
{
    if (answer->header.serial == 0) {
        c->calls.news(c->context, answer);
        return true;
    }
    struct asked *a = take(c, answer->header.serial);
    bool same = a && a->request.header.what == answer->header.what &&
                a->request.header.guest == answer->header.guest &&
                (fd >= 0) == (answer->header.what == HANDS_OPEN && answer->code == 0);
    if (!same) {
        cofre_fail(err, COFRE_MALFORMED, "hands answered what it was not asked");
        if (a)
            a->answered(a->context, -COFRE_FAILED, NULL, -1, err);
    } else if (answer->code) {
        struct cofre_err why;
        cofre_fail(&why, COFRE_FAILED, "%s", answer->sentence);
        a->answered(a->context, answer->code, NULL, -1, &why);
    } else {
        a->answered(a->context, 0, answer, fd, NULL);
    }
    if (a)
        forget(a);
    return same;
}

/* One record a turn, so that a loop's other events have theirs. */
static void on_readable(evutil_socket_t socket, short what, void *context)
{
    (void)what;
    struct hands_client *c = context;
    struct hands_answer answer;
    struct cofre_err why;
    unsigned count;
    int fd = -1;
    ssize_t size = channel_receive(socket, &answer, sizeof answer, &fd, &count, 1);
    if (size < 0 && errno == EAGAIN)
        return;
    if (size < 0) {
        cofre_fail(&why, COFRE_FAILED, "hands, the privileged part of cofred, is gone: %s", strerror(errno));
        lose(c, &why);
        return;
    }
    c->calling = true;
    bool good =
        hands_answer_check(&answer, (size_t)size, &why) == 0 && deliver(c, &answer, count ? fd : -1, &why);
    if (!good && count)
        close(fd);
    if (called(c) && !good)
        lose(c, &why);
}

int hands_client_new(struct hands_client **out, struct event_base *base, int socket,
                     const struct hands_client_calls *calls, void *context, struct cofre_err *err)
{
    struct hands_client *c = calloc(1, sizeof *c);
    *out = NULL;
    if (!c) {
        close(socket);
        return cofre_fail(err, COFRE_FAILED, "out of memory");
    }
    c->socket = socket;
    c->calls = *calls;
    c->context = context;
    c->end = &c->first;
    c->readable = event_new(base, socket, EV_READ | EV_PERSIST, on_readable, c);
    c->writable = event_new(base, socket, EV_WRITE, on_writable, c);
    if (!c->readable || !c->writable || event_add(c->readable, NULL) < 0) {
        hands_client_free(c);
        return cofre_fail(err, COFRE_FAILED, "out of memory");
    }
    *out = c;
    return 0;
}

void hands_client_free(struct hands_client *c)
{
    if (!c)
        return;
    for (struct asked *next; c->first; c->first = next) {
        next = c->first->next;
        forget(c->first);
    }
    if (c->readable)
        event_free(c->readable);
    if (c->writable)
        event_free(c->writable);
    close(c->socket);
    c->gone = true;
    if (!c->calling)
        free(c);
}

static int copy_descriptors(struct asked *a, const int *fds, unsigned count, struct cofre_err *err)
{
    for (; a->count < count; a->count++) {
        a->fds[a->count] = fcntl(fds[a->count], F_DUPFD_CLOEXEC, 0);
        if (a->fds[a->count] < 0)
            return cofre_fail(err, COFRE_FAILED, "descriptor %d: %s", fds[a->count], strerror(errno));
    }
    return 0;
}

static int prepare(struct asked *a, const void *body, const int *fds, unsigned count, struct cofre_err *err)
{
    size_t size = hands_request_size(a->request.header.what);
    if (!size || (size > sizeof a->request.header) != (body != NULL))
        return cofre_fail(err, COFRE_MALFORMED, "there is no such request to hands");
    if (body)
        memcpy(&a->request.start, body, size - sizeof a->request.header);
    int rc = hands_request_check(&a->request, size, err);
    if (rc)
        return rc;
    if (count != hands_request_descriptors(&a->request))
        return cofre_fail(err, COFRE_MALFORMED, "%u descriptors for %u of a request", count,
                          hands_request_descriptors(&a->request));
    return copy_descriptors(a, fds, count, err);
}

int hands_client_ask(struct hands_client *c, enum hands_what what, uint32_t guest, const void *body,
                     const int *fds, unsigned count, hands_answered *answered, void *context,
                     struct cofre_err *err)
{
    struct asked *a = calloc(1, sizeof *a);
    if (!a)
        return cofre_fail(err, COFRE_FAILED, "out of memory");
    a->answered = answered;
    a->context = context;
    c->serial += c->serial == UINT32_MAX ? 2 : 1;
    a->request.header = (struct hands_header){HANDS_VERSION, what, c->serial, guest};
    int rc = prepare(a, body, fds, count, err);
    if (rc) {
        forget(a);
        return rc;
    }
    *c->end = a;
    c->end = &a->next;
    send_what_waits(c);
    return 0;
}
