/* A device's thread: waits for descriptors and calls back, one source at a time, with the device's lock held.
 */
#ifndef COFRE_DEVICES_LOOP_H
#define COFRE_DEVICES_LOOP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/error.h"

/* Belongs to whoever watches the descriptor, and stays where it is while it is in the loop. */
struct loop_source {
    int fd;
    void (*ready)(void *context, uint32_t events); /* events as of epoll(7) */
    void *context;
    uint32_t watched; /* what the loop waits for; private to loop.c, as is the next */
    unsigned slot;    /* its place in the loop, while something is watched */
};

struct loop {
    /* Called after each callback, with the lock held; NULL: nothing is to be done then. */
    void (*after)(void *context);
    void *context;

    /* The rest is private to loop.c. */
    pthread_mutex_t lock;
    pthread_t thread;
    bool running;
    int epoll, stop;
    struct loop_source *later;
    _Atomic uint64_t later_at; /* nanoseconds of the monotonic clock; 0: nobody is called later */
    struct loop_place *place;
    unsigned places;
};

int loop_init(struct loop *loop, struct cofre_err *err);
/* Ends the thread, if it was started, after the callback that runs; the lock must not be held. */
void loop_destroy(struct loop *loop);
/* The name is the kind of its thread (vmm/base/thread.h). */
int loop_start(struct loop *loop, const char *name, struct cofre_err *err);
/* What the thread does over and over: waits for one source (milliseconds; -1: without end) and calls it. False: there
 * was none, or the thread is to end. */
bool loop_turn(struct loop *loop, int timeout);

static inline void loop_lock(struct loop *loop)
{
    pthread_mutex_lock(&loop->lock);
}
static inline void loop_unlock(struct loop *loop)
{
    pthread_mutex_unlock(&loop->lock);
}

/* Waits for these events on the source from now on; 0 takes it out of the loop, after which it may be freed.
 * With the lock held or before loop_start. False, with errno, when the descriptor cannot be waited for (a
 * regular file). */
bool loop_watch(struct loop *loop, struct loop_source *source, uint32_t events);

/* Calls the source once, with no event, when that many nanoseconds are over; a loop has one such source, and the first of the times that
 * were asked for counts. From callbacks of the loop's thread, for which it would not wake up otherwise. */
void loop_call_later(struct loop *loop, struct loop_source *source, uint64_t nanoseconds);
/* Nobody is called later. With the lock held. */
void loop_forget_later(struct loop *loop);

#endif
