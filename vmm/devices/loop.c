#include "vmm/devices/loop.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/thread.h"

int loop_init(struct loop *loop, struct cofre_err *err)
{
    *loop = (struct loop){.epoll = -1, .stop = -1};
    CLEAN_FD epoll = epoll_create1(EPOLL_CLOEXEC);
    CLEAN_FD stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
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
    pthread_mutex_destroy(&loop->lock);
    loop->epoll = loop->stop = -1;
}

/* One event at a time, fetched under the lock: sources leave the loop under the lock, so it is always a
 * living one's. */
static bool serve_one(struct loop *loop)
{
    struct epoll_event event;
    loop_lock(loop);
    int n = epoll_wait(loop->epoll, &event, 1, 0);
    struct loop_source *source = n > 0 ? event.data.ptr : NULL;
    if (source)
        source->ready(source->context, event.events);
    loop_unlock(loop);
    return n <= 0 || source;
}

static void *run(void *context)
{
    struct loop *loop = context;
    struct pollfd any = {.fd = loop->epoll, .events = POLLIN};
    while (poll(&any, 1, -1) < 0 || serve_one(loop))
        continue;
    return NULL;
}

int loop_start(struct loop *loop, const char *name, struct cofre_err *err)
{
    int rc = thread_start(&loop->thread, name, run, loop, err);
    loop->running = rc == 0;
    return rc;
}

bool loop_watch(struct loop *loop, struct loop_source *source, uint32_t events)
{
    if (events == source->watched)
        return true;
    struct epoll_event event = {.events = events, .data.ptr = source};
    int how = !events ? EPOLL_CTL_DEL : source->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (epoll_ctl(loop->epoll, how, source->fd, &event) < 0)
        return false;
    source->watched = events;
    return true;
}
