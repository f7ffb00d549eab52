/* What systemd hears: by a socket of a file system, and by one of none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/base/cleanup.h"
#include "vmm/host/cofred/notify.h"

/* Listens at the name, '@' before one of no file system, and sets it. */
static int listen_at(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const size_t len = strlen(name);
    memcpy(address.sun_path, name, len);
    if (*name == '@')
        address.sun_path[0] = 0;
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(
        bind(fd, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)), 0);
    setenv("NOTIFY_SOCKET", name, 1);
    return fd;
}

static void hears(const char *name)
{
    char text[32] = "";
    CLEAN_FD fd = listen_at(name);
    assert_true(notify("READY=1"));
    assert_int_equal(recv(fd, text, sizeof text, 0), 7);
    assert_string_equal(text, "READY=1");
}

static void who_listens_hears_it(void **state)
{
    char folder[] = "/tmp/cofre-notify-XXXXXX", name[64];
    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(name, sizeof name, "%s/socket", folder);
    hears(name);
    assert_false(notify("READY=1")); /* it is closed by now */
    (void)unlink(name);
    assert_false(notify("READY=1"));
    (void)rmdir(folder);
    (void)snprintf(name, sizeof name, "@cofre-notify-%d", getpid());
    hears(name);
    assert_false(notify("READY=1"));
}

static void nobody_is_told_where_nobody_is_named(void **state)
{
    char long_name[200];
    (void)state;
    memset(long_name, 'a', sizeof long_name);
    long_name[0] = '/';
    long_name[sizeof long_name - 1] = 0;
    const char *const names[] = {"", "socket", "vsock:2:1234", long_name};
    unsetenv("NOTIFY_SOCKET");
    assert_false(notify("READY=1"));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        setenv("NOTIFY_SOCKET", names[i], 1);
        assert_false(notify("READY=1"));
    }
}

static void a_watchdog_is_of_the_process_that_it_names(void **state)
{
    static const char *const none[] = {"", "0", "-1", "1s", "99999999999999999999"};
    char own[16], other[16];
    (void)state;
    (void)snprintf(own, sizeof own, "%d", getpid());
    (void)snprintf(other, sizeof other, "%d", getppid());
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    assert_int_equal(notify_watchdog(), 0);
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        setenv("WATCHDOG_USEC", none[i], 1);
        assert_int_equal(notify_watchdog(), 0);
    }
    setenv("WATCHDOG_USEC", "120000000", 1);
    assert_int_equal(notify_watchdog(), 120000000);
    setenv("WATCHDOG_PID", own, 1);
    assert_int_equal(notify_watchdog(), 120000000);
    setenv("WATCHDOG_PID", other, 1);
    assert_int_equal(notify_watchdog(), 0);
    setenv("WATCHDOG_PID", "somebody", 1);
    assert_int_equal(notify_watchdog(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_listens_hears_it),
        cmocka_unit_test(nobody_is_told_where_nobody_is_named),
        cmocka_unit_test(a_watchdog_is_of_the_process_that_it_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
