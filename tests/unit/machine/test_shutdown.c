#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm/machine/shutdown.h"

/* The other end of a guest's socket: says what it is told to and keeps what it hears. */
struct agent {
    char directory[32], path[48];
    int listener;
    const char *greeting, *answer; /* NULL: closes instead */
    char heard[256];
    pthread_t thread;
};

static void hear_line(struct agent *a, int fd)
{
    char c = 0;
    for (size_t n = strlen(a->heard); n < sizeof a->heard - 1 && c != '\n' && recv(fd, &c, 1, 0) == 1;)
        a->heard[n++] = c;
}

static void *play(void *argument)
{
    struct agent *a = argument;
    int fd = accept(a->listener, NULL, NULL);
    hear_line(a, fd);
    if (a->greeting && send(fd, a->greeting, strlen(a->greeting), MSG_NOSIGNAL) > 0 && a->answer) {
        hear_line(a, fd);
        send(fd, a->answer, strlen(a->answer), MSG_NOSIGNAL);
    }
    close(fd);
    return NULL;
}

static void start(struct agent *a)
{
    strcpy(a->directory, "/tmp/cofre-shutdown-XXXXXX");
    assert_non_null(mkdtemp(a->directory));
    snprintf(a->path, sizeof a->path, "%s/vsock", a->directory);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, a->path);
    a->listener = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(a->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(a->listener, 1), 0);
    assert_int_equal(pthread_create(&a->thread, NULL, play, a), 0);
}

static void end(struct agent *a)
{
    pthread_join(a->thread, NULL);
    close(a->listener);
    unlink(a->path);
    rmdir(a->directory);
}

static void an_agent_is_asked_in_its_protocol(void **state)
{
    (void)state;
    struct agent a = {.greeting = "OK 1024\n", .answer = "{\"ok\":true}\n"};
    struct cofre_err err;
    start(&a);
    assert_int_equal(shutdown_ask(a.path, &err), 0);
    end(&a);
    assert_string_equal(a.heard, "CONNECT 4050\n{\"op\": \"poweroff\"}\n");
}

static void where_nobody_listens_it_is_said(void **state)
{
    (void)state;
    struct cofre_err err;
    assert_int_equal(shutdown_ask("/nonexistent/vsock", &err), -COFRE_FAILED);
    assert_non_null(strstr(err.text, "/nonexistent/vsock"));
}

static void a_guest_without_an_agent_is_noticed(void **state)
{
    (void)state;
    struct agent refused = {.greeting = "ERROR nothing listens\n"};
    struct agent silent = {.greeting = NULL};
    struct agent gone = {.greeting = "OK 1024\n"};
    struct agent *const agents[] = {&refused, &silent, &gone};
    for (size_t i = 0; i < 3; i++) {
        struct cofre_err err;
        start(agents[i]);
        assert_int_equal(shutdown_ask(agents[i]->path, &err), -COFRE_FAILED);
        end(agents[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_agent_is_asked_in_its_protocol),
        cmocka_unit_test(where_nobody_listens_it_is_said),
        cmocka_unit_test(a_guest_without_an_agent_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
