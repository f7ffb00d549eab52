/* What is said at one end of a relay is heard at the other, as it was, and so is its end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/agent/relay.h"

#define LONG (1u << 20)

static int at_port(uint16_t port, bool listens)
{
    struct sockaddr_in in = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal((listens ? bind : connect)(fd, (struct sockaddr *)&in, sizeof in), 0);
    if (listens)
        assert_int_equal(listen(fd, 4), 0);
    return fd;
}

/* A service that says back what it hears, when it has heard it all. */
struct service {
    int listener;
    char address[32];
    pthread_t thread;
    unsigned connections;
};

static size_t hear(int fd, char *out, size_t max)
{
    size_t len = 0;
    for (ssize_t n = 1; n > 0 && len < max; len += (size_t)n)
        assert_true((n = read(fd, out + len, max - len)) >= 0);
    return len;
}

static void say(int fd, const char *text, size_t len)
{
    for (ssize_t n; len; text += n, len -= (size_t)n)
        assert_true((n = write(fd, text, len)) > 0);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
}

static void *serve(void *context)
{
    struct service *s = context;
    char *heard = malloc(LONG);
    for (unsigned i = 0; i < s->connections; i++) {
        int fd = accept(s->listener, NULL, NULL);
        say(fd, heard, hear(fd, heard, LONG));
        close(fd);
    }
    free(heard);
    return NULL;
}

static void start(struct service *s, unsigned connections)
{
    struct sockaddr_in in;
    socklen_t len = sizeof in;
    s->connections = connections;
    s->listener = at_port(0, true);
    assert_int_equal(getsockname(s->listener, (struct sockaddr *)&in, &len), 0);
    (void)snprintf(s->address, sizeof s->address, "127.0.0.1:%u", ntohs(in.sin_port));
    if (connections)
        assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void stop(struct service *s)
{
    if (s->connections)
        pthread_join(s->thread, NULL);
    close(s->listener);
}

static void carries_to_and_fro(void **state)
{
    (void)state;
    struct service s;
    struct relay relay;
    char *sent = malloc(LONG), *back = malloc(LONG + 1);
    for (size_t i = 0; i < LONG; i++)
        sent[i] = (char)(i * 7 + i / 4096);
    start(&s, 2);
    assert_int_equal(relay_start(&relay, s.address, NULL), 0);
    for (int i = 0; i < 2; i++) { /* one connection after the other */
        const size_t len = i ? LONG - 1 : 5;
        int fd = at_port(relay.port, false);
        say(fd, sent, len);
        assert_int_equal(hear(fd, back, LONG + 1), len);
        assert_memory_equal(back, sent, len);
        close(fd);
    }
    relay_stop(&relay);
    assert_int_equal(relay.process, 0);
    stop(&s);
    free(sent);
    free(back);
}

static void where_nobody_is_behind_it_the_connection_ends(void **state)
{
    (void)state;
    struct relay relay;
    char byte;
    struct service s;
    start(&s, 0);
    stop(&s); /* a port where nobody listens */
    assert_int_equal(relay_start(&relay, s.address, NULL), 0);
    for (int i = 0; i < 2; i++) {
        int fd = at_port(relay.port, false);
        assert_int_equal(read(fd, &byte, 1), 0);
        close(fd);
    }
    relay_stop(&relay);
    relay_stop(&relay); /* does nothing */
}

static void is_gone_when_it_is_stopped(void **state)
{
    (void)state;
    struct relay relay;
    assert_int_equal(relay_start(&relay, "127.0.0.1:1", NULL), 0);
    const pid_t process = relay.process;
    assert_int_equal(kill(process, 0), 0);
    relay_stop(&relay);
    assert_int_equal(kill(process, 0), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(carries_to_and_fro),
        cmocka_unit_test(where_nobody_is_behind_it_the_connection_ends),
        cmocka_unit_test(is_gone_when_it_is_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
