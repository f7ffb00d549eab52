#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm/kvm/backend.h"

static void what_is_no_address_is_invalid(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        "/run/qgs",
                                        "unix:",
                                        "tcp:1:2",
                                        "vsock:",
                                        "vsock:2",
                                        "vsock:2:",
                                        "vsock::4050",
                                        "vsock:-1:1",
                                        "vsock:2:1x",
                                        "vsock: 2:1",
                                        "vsock:2:+1",
                                        "vsock:4294967296:1",
                                        "vsock:2:4294967296"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        errno = 0;
        assert_int_equal(kvm_backend_kernel.quote_service(wrong[i]), -1);
        assert_int_equal(errno, EINVAL);
    }
    char deep[200] = "unix:";
    memset(deep + 5, 'a', sizeof deep - 6);
    assert_int_equal(kvm_backend_kernel.quote_service(deep), -1);
    assert_int_equal(errno, EINVAL);
}

static void an_absent_socket_has_the_system_s_error(void **state)
{
    (void)state;
    assert_int_equal(kvm_backend_kernel.quote_service("unix:/nonexistent/qgs.socket"), -1);
    assert_int_equal(errno, ENOENT);
}

static void a_connection_is_close_on_exec_and_does_not_wait(void **state)
{
    (void)state;
    char directory[] = "/tmp/cofre-qgs-XXXXXX", address[64];
    assert_non_null(mkdtemp(directory));
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    snprintf(local.sun_path, sizeof local.sun_path, "%s/socket", directory);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&local, sizeof local), 0);
    assert_int_equal(listen(listener, 1), 0);

    snprintf(address, sizeof address, "unix:%s", local.sun_path);
    int fd = kvm_backend_kernel.quote_service(address);
    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    int peer = accept(listener, NULL, NULL);
    assert_int_equal(send(peer, "x", 1, 0), 1);
    char byte;
    assert_int_equal(recv(fd, &byte, 1, 0), 1);
    close(peer);
    close(fd);
    close(listener);
    unlink(local.sun_path);
    rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_address_is_invalid),
        cmocka_unit_test(an_absent_socket_has_the_system_s_error),
        cmocka_unit_test(a_connection_is_close_on_exec_and_does_not_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
