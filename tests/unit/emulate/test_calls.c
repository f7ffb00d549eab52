/* A program with the library of cofre emulate before it, on an emulated TDX host: its quote generation service, and guest_memfd where
 * this host has a /dev/kvm. The program knows nothing of Cofre but what the service speaks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tdx/qgs.h"
#include "vmm/kvm/uapi.h"

#define USUAL "/var/run/tdx-qgs/qgs.socket"

static int reach(int type, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    const int fd = socket(AF_UNIX, type, 0);
    assert_true(fd >= 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    const int error = errno;
    close(fd);
    return -error;
}

/* A request without a report gets the service's error. */
static void the_usual_socket_is_the_emulated_service(void **state)
{
    (void)state;
    const struct {
        uint8_t len[QGS_LENGTH_SIZE];
        struct qgs_get_quote_req message;
    } ask = {{0, 0, 0, sizeof ask.message},
             {.header = {QGS_MAJOR_VERSION, QGS_MINOR_VERSION, QGS_GET_QUOTE_REQ, sizeof ask.message, 0}}};
    struct {
        uint8_t len[QGS_LENGTH_SIZE];
        struct qgs_get_quote_resp message;
    } answer;
    const int fd = reach(SOCK_STREAM, USUAL);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, &ask, sizeof ask), sizeof ask);
    assert_int_equal(recv(fd, &answer, sizeof answer, MSG_WAITALL), sizeof answer);
    assert_int_equal(answer.message.header.type, QGS_GET_QUOTE_RESP);
    assert_int_equal(answer.message.header.error_code, QGS_ERROR_UNEXPECTED);
    assert_int_equal(answer.message.quote_size, 0);
    close(fd);
}

static void a_descriptor_keeps_its_number_and_its_flags(void **state)
{
    (void)state;
    const int plain = reach(SOCK_STREAM, USUAL);
    const int other = reach(SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, USUAL);
    assert_int_equal(fcntl(plain, F_GETFL) & O_NONBLOCK, 0);
    assert_int_equal(fcntl(plain, F_GETFD) & FD_CLOEXEC, 0);
    assert_int_equal(fcntl(other, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    assert_int_equal(fcntl(other, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    close(plain);
    close(other);
}

static void other_sockets_are_the_hosts_own(void **state)
{
    (void)state;
    assert_int_equal(reach(SOCK_STREAM, USUAL "x"), -ENOENT);
    assert_int_equal(reach(SOCK_STREAM, "/var/run/tdx-qgs/qgs.socke"), -ENOENT);
    assert_int_equal(connect(-1, NULL, 0), -1);
}

static void a_guest_memfd_is_as_linux_has_it(void **state)
{
    (void)state;
    struct uapi_create_guest_memfd create = {.size = 0x4000,
                                             .flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED};
    const int kvm = open("/dev/kvm", O_RDWR), vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, 0ul);
    struct stat file;
    char byte = 0;
    if (vm < 0) {
        print_message("# skipped: this host has no /dev/kvm that makes machines\n");
        skip();
    }
    const int fd = ioctl(vm, KVM_CREATE_GUEST_MEMFD, &create);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, 0), -1);
    assert_int_equal(write(fd, &byte, 1), -1);
    assert_int_equal(ftruncate(fd, 0), -1);
    assert_int_equal(fstat(fd, &file), 0);
    assert_int_equal(file.st_size, 0x4000);
    assert_int_equal(file.st_blksize, 4096);
    assert_int_equal(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0x3000, 0x1000), 0);
    assert_int_equal(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0x3000, 0x2000), -1);
    assert_int_equal(fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0x3000, 0x2000), 0);
    assert_int_equal(fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 1, 0x1000), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(fallocate(fd, 0, 0, 0x1000), -1);
    const int copy = dup(fd);
    close(fd);
    uint8_t *mine = mmap(NULL, 0x4000, PROT_READ | PROT_WRITE, MAP_SHARED, copy, 0);
    assert_true(mine != MAP_FAILED);
    mine[0] = 1;
    assert_int_equal(madvise(mine, 0x4000, 25 /* MADV_COLLAPSE */), -1);
    munmap(mine, 0x4000);
    close(copy);
    close(vm);
    close(kvm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_usual_socket_is_the_emulated_service),
        cmocka_unit_test(a_descriptor_keeps_its_number_and_its_flags),
        cmocka_unit_test(other_sockets_are_the_hosts_own),
        cmocka_unit_test(a_guest_memfd_is_as_linux_has_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
