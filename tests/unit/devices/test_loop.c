#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm/devices/loop.h"

#define SOURCES 20 /* more than a loop has places for at first */
#define ROUNDS  1000

struct bell {
    struct loop_source source;
    atomic_bool watched;
    atomic_uint rung;
};

static atomic_uint rung_unwatched, rung_for_nothing;

static void ring(void *context, uint32_t events)
{
    struct bell *b = context;
    eventfd_t count;
    (void)events;
    if (!b->watched)
        rung_unwatched++;
    if (eventfd_read(b->source.fd, &count) < 0)
        rung_for_nothing++;
    b->rung++;
}

static struct bell *bell_new(void)
{
    struct bell *b = calloc(1, sizeof *b);
    assert_non_null(b);
    b->source =
        (struct loop_source){.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), .ready = ring, .context = b};
    assert_true(b->source.fd >= 0);
    return b;
}

static void bell_free(struct bell *b)
{
    close(b->source.fd);
    free(b);
}

static void each_source_is_called_for_its_own_events(void **state)
{
    struct loop loop;
    struct bell *bell[SOURCES];
    (void)state;
    assert_int_equal(loop_init(&loop, NULL), 0);
    for (unsigned i = 0; i < SOURCES; i++) {
        bell[i] = bell_new();
        bell[i]->watched = true;
        assert_true(loop_watch(&loop, &bell[i]->source, EPOLLIN));
    }
    assert_false(loop_turn(&loop, 0));
    for (unsigned i = 0; i < SOURCES; i++) {
        assert_int_equal(eventfd_write(bell[i]->source.fd, 1), 0);
        assert_true(loop_turn(&loop, 0));
        for (unsigned j = 0; j < SOURCES; j++)
            assert_int_equal(bell[j]->rung, j <= i);
    }
    loop_destroy(&loop);
    for (unsigned i = 0; i < SOURCES; i++) {
        assert_false(loop_watch(&loop, &bell[i]->source, 0)); /* the loop is no more, and is not looked at */
        bell_free(bell[i]);
    }
}

static void count(void *context)
{
    ++*(unsigned *)context;
}

static void what_comes_after_a_callback_comes_after_each(void **state)
{
    struct loop loop;
    unsigned times = 0;
    (void)state;
    assert_int_equal(loop_init(&loop, NULL), 0);
    loop.after = count;
    loop.context = &times;
    struct bell *b = bell_new();
    b->watched = true;
    assert_true(loop_watch(&loop, &b->source, EPOLLIN));
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(eventfd_write(b->source.fd, 1), 0);
        assert_true(loop_turn(&loop, 0));
        assert_int_equal(times, i);
    }
    assert_false(loop_turn(&loop, 0));
    assert_int_equal(times, 3);
    loop_destroy(&loop);
    bell_free(b);
}

/* Of the loop's thread: it is about to wait; it was told of an event, and has called nobody yet. */
static sem_t waits, told;

int __real_epoll_wait(int epoll, struct epoll_event *events, int most, int timeout);
int __wrap_epoll_wait(int epoll, struct epoll_event *events, int most, int timeout);
int __wrap_epoll_wait(int epoll, struct epoll_event *events, int most, int timeout)
{
    int count;
    (void)sem_post(&waits);
    while ((count = __real_epoll_wait(epoll, events, most, timeout)) < 0 && errno == EINTR)
        continue; /* it was stopped, and waits on */
    if (count > 0)
        (void)sem_post(&told);
    return count;
}

static void wait_for(sem_t *what)
{
    while (sem_wait(what) < 0)
        assert_int_equal(errno, EINTR);
}

/* The thread waits without the lock: an event is on its way while its source leaves and another takes its place. */
static void a_source_that_left_is_not_called(void **state)
{
    struct loop loop;
    unsigned rung = 0;
    (void)state;
    assert_int_equal(sem_init(&waits, 0, 0), 0);
    assert_int_equal(sem_init(&told, 0, 0), 0);
    assert_int_equal(loop_init(&loop, NULL), 0);
    assert_int_equal(loop_start(&loop, "loop", NULL), 0);
    wait_for(&waits);
    struct bell *before = NULL;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct bell *b = bell_new();
        loop_lock(&loop);
        if (before) {
            if (i % 2) {
                assert_int_equal(eventfd_write(before->source.fd, 1), 0);
                wait_for(&told);
            }
            assert_true(loop_watch(&loop, &before->source, 0));
            before->watched = false;
            rung += before->rung;
        }
        b->watched = true;
        assert_true(loop_watch(&loop, &b->source, EPOLLIN));
        if (before)
            assert_int_equal(b->source.slot, before->source.slot);
        loop_unlock(&loop);
        if (i % 2) {
            wait_for(&waits);
            assert_int_equal(eventfd_write(b->source.fd, 1), 0); /* every other one gets its event */
            wait_for(&told);
            wait_for(&waits);
        }
        if (before)
            bell_free(before);
        before = b;
    }
    loop_destroy(&loop);
    assert_int_equal(rung_unwatched, 0);
    assert_int_equal(rung_for_nothing, 0);
    assert_int_equal(rung + before->rung, ROUNDS / 2);
    bell_free(before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_source_is_called_for_its_own_events),
        cmocka_unit_test(what_comes_after_a_callback_comes_after_each),
        cmocka_unit_test(a_source_that_left_is_not_called),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
