#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/machine/door.h"

/* Leads to port 7 only: one end of a pair, whose other end has the word already. */
static int connect_seven(void *context, uint32_t number)
{
    int pair[2];
    if (number != 7) {
        errno = ECONNREFUSED;
        return -1;
    }
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
        return -1;
    (void)!write(pair[1], context, strlen(context));
    close(pair[1]);
    return pair[0];
}

static char word[] = "come in";
static const struct door leads_to_seven = {.way = {[DOOR_VSOCK] = {connect_seven, word}}};

struct opened {
    pid_t pid;
    int fd;
};

static struct opened open_door(void)
{
    struct opened o;
    struct cofre_err err;
    assert_int_equal(door_open(&leads_to_seven, &o.pid, &o.fd, &err), 0);
    door_use(o.fd);
    return o;
}

static void shut(struct opened o)
{
    int status = -1;
    close(o.fd);
    assert_int_equal(waitpid(o.pid, &status, 0), o.pid);
    assert_int_equal(status, 0);
}

static void brings_the_connection_that_was_asked_for(void **state)
{
    (void)state;
    struct opened o = open_door();
    char got[16] = "";
    int fd = door_connect(DOOR_VSOCK, 7);
    assert_true(fd >= 0);
    assert_int_equal(read(fd, got, sizeof got), strlen(word));
    assert_string_equal(got, word);
    close(fd);
    shut(o);
}

static void says_why_there_is_none(void **state)
{
    (void)state;
    struct opened o = open_door();
    assert_int_equal(door_connect(DOOR_VSOCK, 8), -1);
    assert_int_equal(errno, ECONNREFUSED);
    shut(o);
}

static void leads_nowhere_that_it_was_not_told_of(void **state)
{
    (void)state;
    struct opened o = open_door();
    assert_int_equal(door_connect(DOOR_QUOTES, 7), -1);
    assert_int_equal(errno, EACCES);
    assert_int_equal(door_connect(DOORS, 7), -1);
    assert_int_equal(errno, EACCES);
    assert_int_equal(door_connect((enum door_to) - 1, 7), -1);
    assert_int_equal(errno, EACCES);
    shut(o);
}

static void a_message_that_is_none_shuts_it(void **state)
{
    (void)state;
    const size_t sizes[] = {1, 7, 9, 4096};
    char bytes[4096] = {0};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct opened o = open_door();
        assert_int_equal(send(o.fd, bytes, sizes[i], 0), sizes[i]);
        assert_int_equal(waitpid(o.pid, NULL, 0), o.pid);
        assert_int_equal(door_connect(DOOR_VSOCK, 7), -1);
        close(o.fd);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(brings_the_connection_that_was_asked_for),
        cmocka_unit_test(says_why_there_is_none),
        cmocka_unit_test(leads_nowhere_that_it_was_not_told_of),
        cmocka_unit_test(a_message_that_is_none_shuts_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
