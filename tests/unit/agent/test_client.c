#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm/agent/client.h"

/* The other end of a guest's socket: says what it is told to and keeps what it hears. */
struct agent {
    char directory[32], path[48];
    int listener;
    const char *greeting, *answer; /* NULL: closes instead */
    bool dawdles;                  /* instead of an answer: a byte whenever the asker's socket can take one */
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
    if (a->dawdles) {
        struct pollfd gone = {.fd = fd};
        hear_line(a, fd);
        while (send(fd, "x", 1, MSG_NOSIGNAL) == 1 && poll(&gone, 1, 10) == 0)
            continue;
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
    CLEAN_BYTES answer = {0};
    start(&a);
    assert_int_equal(agent_ask(&answer, a.path, "{\"op\": \"poweroff\"}", 60, &err), 0);
    end(&a);
    assert_string_equal(a.heard, "CONNECT 4050\n{\"op\": \"poweroff\"}\n");
    assert_string_equal((char *)answer.data, "{\"ok\":true}");
}

static void where_nobody_listens_it_is_said(void **state)
{
    (void)state;
    struct cofre_err err;
    CLEAN_BYTES answer = {0};
    assert_int_equal(agent_ask(&answer, "/nonexistent/vsock", "{}", 60, &err), -COFRE_USAGE);
    assert_non_null(strstr(err.text, "/nonexistent/vsock"));
    assert_null(answer.data);
}

static void assert_fails(struct agent *a, unsigned seconds, int code, const char *because)
{
    struct cofre_err err;
    CLEAN_BYTES answer = {0};
    start(a);
    assert_int_equal(agent_ask(&answer, a->path, "{}", seconds, &err), -code);
    end(a);
    assert_non_null(strstr(err.text, because));
    assert_null(answer.data);
}

static void a_guest_without_an_agent_is_noticed(void **state)
{
    (void)state;
    assert_fails(&(struct agent){.greeting = "ERROR nothing listens\n"}, 60, COFRE_FAILED, "nothing listens");
    assert_fails(&(struct agent){.greeting = NULL}, 60, COFRE_FAILED, "closed before it answered");
    assert_fails(&(struct agent){.greeting = "OK 1024\n"}, 60, COFRE_FAILED, "closed before it answered");
    assert_fails(&(struct agent){.greeting = "OK 1024\n", .answer = "{\"ok\":"}, 60, COFRE_FAILED, "closed");
}

static void a_greeting_without_end_is_not_read_for_ever(void **state)
{
    (void)state;
    static char endless[1024];
    memset(endless, 'O', sizeof endless - 1);
    assert_fails(&(struct agent){.greeting = endless}, 60, COFRE_MALFORMED, "256 bytes");
}

static void an_answer_without_end_is_not_read_for_ever(void **state)
{
    (void)state;
    char *endless = malloc(AGENT_ANSWER_MAX + 2);
    assert_non_null(endless);
    memset(endless, 'x', AGENT_ANSWER_MAX + 1);
    endless[AGENT_ANSWER_MAX + 1] = 0;
    assert_fails(&(struct agent){.greeting = "OK 1024\n", .answer = endless}, 60, COFRE_MALFORMED,
                 "in one line");
    free(endless);
}

/* One that goes on sending, a byte at a time, but never ends its line. */
static void a_guest_that_dawdles_is_left_in_time(void **state)
{
    (void)state;
    assert_fails(&(struct agent){.greeting = "OK 1024\n", .dawdles = true}, 1, COFRE_FAILED,
                 "within 1 seconds");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_agent_is_asked_in_its_protocol),
        cmocka_unit_test(where_nobody_listens_it_is_said),
        cmocka_unit_test(a_guest_without_an_agent_is_noticed),
        cmocka_unit_test(a_greeting_without_end_is_not_read_for_ever),
        cmocka_unit_test(an_answer_without_end_is_not_read_for_ever),
        cmocka_unit_test(a_guest_that_dawdles_is_left_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
