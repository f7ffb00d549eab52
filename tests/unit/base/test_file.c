/* Files by a name, or by a descriptor that is open. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"

static char path[] = "/tmp/cofre-file-XXXXXX";

static int set_up(void **state)
{
    (void)state;
    CLEAN_FD fd = mkstemp(path);
    return fd >= 0 && write(fd, "contents", 8) == 8 ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return unlink(path);
}

static void name_of(char out[16], int fd)
{
    (void)snprintf(out, 16, "fd=%d", fd);
}

static void a_descriptor_has_one_name(void **state)
{
    (void)state;
    assert_int_equal(file_named_descriptor("fd=7"), 7);
    const char *const others[] = {"fd=", "fd", "fd=x", "fd=-1", "fd=7 ", "./fd=7", "fd=99999999999", "FD=7"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_int_equal(file_named_descriptor(others[i]), -1);
}

/* Again and again: each launch reads its files anew. */
static void an_open_file_is_read_from_its_beginning(void **state)
{
    (void)state;
    char name[16];
    CLEAN_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    name_of(name, fd);
    for (unsigned i = 0; i < 3; i++) {
        CLEAN_BYTES data = {0};
        assert_int_equal(file_read(&data, name, 100, NULL), 0);
        assert_int_equal(data.len, 8);
        assert_memory_equal(data.data, "contents", 8);
        size_t size;
        CLEAN_FD mapped = -1;
        assert_int_equal(file_open(&mapped, &size, name, 100, NULL), 0);
        assert_int_equal(size, 8);
    }
    CLEAN_BYTES data = {0};
    assert_int_equal(file_read(&data, name, 7, NULL), -COFRE_MALFORMED);
}

static void the_copy_is_closed_on_execve(void **state)
{
    (void)state;
    char name[16];
    CLEAN_FD fd = open(path, O_RDWR); /* as one that was inherited */
    name_of(name, fd);
    CLEAN_FD copy = file_open_named(name, O_RDWR, 0);
    assert_true(copy >= 0 && copy != fd);
    assert_int_equal(fcntl(copy, F_GETFD), FD_CLOEXEC);
}

static void what_it_is_not_open_for_is_refused(void **state)
{
    (void)state;
    char name[16];
    const struct {
        int has, wanted;
        bool good;
    } all[] = {
        {O_RDONLY, O_RDONLY, true}, {O_RDONLY, O_RDWR, false},   {O_RDONLY, O_WRONLY, false},
        {O_RDWR, O_RDONLY, true},   {O_WRONLY, O_RDONLY, false}, {O_WRONLY, O_WRONLY, true},
        {O_WRONLY, O_RDWR, false},  {O_PATH, O_RDONLY, false},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        CLEAN_FD fd = open(path, all[i].has | O_CLOEXEC);
        name_of(name, fd);
        errno = 0;
        CLEAN_FD copy = file_open_named(name, all[i].wanted, 0);
        assert_int_equal(copy >= 0, all[i].good);
        assert_int_equal(errno, all[i].good ? 0 : EACCES);
    }
    assert_int_equal(file_open_named("fd=1000000", O_RDONLY, 0), -1);
    assert_int_equal(errno, EBADF);
}

static void a_lock_is_one_s_until_that_one_ends(void **state)
{
    (void)state;
    CLEAN_FD mine = open(path, O_RDONLY | O_CLOEXEC);
    int told[2];
    assert_int_equal(pipe2(told, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        int theirs = open(path, O_RDONLY | O_CLOEXEC);
        _exit(file_lock(theirs, 0) < 0 || write(told[1], "", 1) != 1 || pause());
    }
    char ready;
    assert_int_equal(read(told[0], &ready, 1), 1);
    assert_int_equal(file_lock(mine, 0), -1);
    assert_int_equal(errno, EWOULDBLOCK);
    assert_int_equal(kill(pid, SIGKILL), 0); /* and not yet waited for */
    assert_int_equal(file_lock(mine, 60), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(file_lock(-1, 60), -1);
    assert_int_equal(errno, EBADF);
    close(told[0]);
    close(told[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_descriptor_has_one_name),
        cmocka_unit_test(an_open_file_is_read_from_its_beginning),
        cmocka_unit_test(the_copy_is_closed_on_execve),
        cmocka_unit_test(what_it_is_not_open_for_is_refused),
        cmocka_unit_test(a_lock_is_one_s_until_that_one_ends),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
