#include "vmm/devices/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/thread.h"

/* Where the kernel's event leads. The wait is not under the lock, so a source may leave, and another come to its place,
 * between an event and its callback: the event is then of an earlier turn, and nobody's. */
struct loop_place {
    struct loop_source *source; /* NULL: free */
    uint32_t turn;
};

#define PLACES_FIRST 8 /* doubled when they are all taken */
#define STOP         UINT32_MAX
#define SECOND       1000000000ull
#define MILLISECOND  1000000ull

static uint64_t event_data(const struct loop *loop, unsigned place)
{
    return (uint64_t)(place == STOP ? 0 : loop->place[place].turn) << 32 | place;
}

int loop_init(struct loop *loop, struct cofre_err *err)
{
    *loop = (struct loop){.epoll = -1, .stop = -1};
    CLEAN_FD epoll = epoll_create1(EPOLL_CLOEXEC);
    CLEAN_FD stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = event_data(loop, STOP)};
    if (epoll < 0 || stop < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, stop, &event) < 0)
        return cofre_fail(err, COFRE_FAILED, "event loop of a device: %s", strerror(errno));
    pthread_mutex_init(&loop->lock, NULL);
    loop->epoll = TAKE_FD(epoll);
    loop->stop = TAKE_FD(stop);
    return 0;
}

void loop_destroy(struct loop *loop)
{
    if (loop->epoll < 0)
        return;
    if (loop->running) {
        (void)eventfd_write(loop->stop, 1);
        pthread_join(loop->thread, NULL);
    }
    close(loop->epoll);
    close(loop->stop);
    free(loop->place);
    pthread_mutex_destroy(&loop->lock);
    loop->epoll = loop->stop = -1;
}

static struct loop_source *source_of(const struct loop *loop, uint64_t data)
{
    const struct loop_place *place = &loop->place[(uint32_t)data];
    return place->turn == data >> 32 ? place->source : NULL;
}

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

/* Milliseconds until the source that is called later has its turn, and no more than most; -1 is without end. */
static int until_later(struct loop *loop, int most)
{
    uint64_t at = atomic_load(&loop->later_at), from = at ? now() : 0;
    if (!at)
        return most;
    uint64_t left = at > from ? (at - from + MILLISECOND - 1) / MILLISECOND : 0;
    return most >= 0 && (uint64_t)most < left ? most : left > INT32_MAX ? INT32_MAX : (int)left;
}

static void call(struct loop *loop, struct loop_source *source, uint32_t events)
{
    source->ready(source->context, events);
    if (loop->after)
        loop->after(loop->context);
}

static bool call_what_is_due(struct loop *loop)
{
    if (!atomic_load(&loop->later_at))
        return false;
    loop_lock(loop);
    uint64_t at = atomic_load(&loop->later_at);
    bool due = at && at <= now();
    if (due) {
        atomic_store(&loop->later_at, 0);
        call(loop, loop->later, 0);
    }
    loop_unlock(loop);
    return due;
}

bool loop_turn(struct loop *loop, int timeout)
{
    struct epoll_event event;
    int n = epoll_wait(loop->epoll, &event, 1, until_later(loop, timeout));
    if (n <= 0)
        return call_what_is_due(loop) || (n < 0 && errno == EINTR);
    if ((uint32_t)event.data.u64 == STOP)
        return false;
    loop_lock(loop);
    struct loop_source *source = source_of(loop, event.data.u64);
    if (source)
        call(loop, source, event.events);
    loop_unlock(loop);
    (void)call_what_is_due(loop); /* also where events never cease */
    return true;
}

void loop_call_later(struct loop *loop, struct loop_source *source, uint64_t nanoseconds)
{
    uint64_t at = now() + nanoseconds, before = atomic_load(&loop->later_at);
    if (!before || at < before)
        atomic_store(&loop->later_at, at);
    loop->later = source;
}

void loop_forget_later(struct loop *loop)
{
    atomic_store(&loop->later_at, 0);
}

static void *run(void *context)
{
    while (loop_turn(context, -1))
        continue;
    return NULL;
}

int loop_start(struct loop *loop, const char *name, struct cofre_err *err)
{
    int rc = thread_start(&loop->thread, name, run, loop, err);
    loop->running = rc == 0;
    return rc;
}

static bool find_place(struct loop *loop, unsigned *place)
{
    for (*place = 0; *place < loop->places; ++*place)
        if (!loop->place[*place].source)
            return true;
    unsigned more = loop->places ? 2 * loop->places : PLACES_FIRST;
    struct loop_place *grown = realloc(loop->place, more * sizeof *grown);
    if (!grown)
        return false;
    memset(grown + loop->places, 0, (more - loop->places) * sizeof *grown);
    loop->place = grown;
    loop->places = more;
    return true;
}

static void leave(struct loop *loop, const struct loop_source *source)
{
    loop->place[source->slot].source = NULL;
    loop->place[source->slot].turn++;
}

bool loop_watch(struct loop *loop, struct loop_source *source, uint32_t events)
{
    if (events == source->watched)
        return true;
    errno = EBADF; /* of a loop that has ended */
    if (loop->epoll < 0 || (!source->watched && !find_place(loop, &source->slot)))
        return false;
    struct epoll_event event = {.events = events, .data.u64 = event_data(loop, source->slot)};
    int how = !events ? EPOLL_CTL_DEL : source->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (epoll_ctl(loop->epoll, how, source->fd, &event) < 0)
        return false;
    if (!source->watched)
        loop->place[source->slot].source = source;
    if (!events)
        leave(loop, source);
    source->watched = events;
    return true;
}
