/* What a part of cofred can still open, tried in processes that gave the rest up. */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/host/cofred/confine.h"

static char own[] = "/tmp/cofre-own-XXXXXX", read_only[] = "/tmp/cofre-read-XXXXXX",
            others[] = "/tmp/cofre-others-XXXXXX";

static const char *path_in(const char *folder, const char *name)
{
    static char out[4][128];
    static unsigned next;
    char *path = out[next++ % 4];
    (void)snprintf(path, sizeof out[0], "%s/%s", folder, name);
    return path;
}

static void make_file(const char *path)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    assert_true(fd >= 0);
    close(fd);
}

static int up(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(own));
    assert_non_null(mkdtemp(read_only));
    assert_non_null(mkdtemp(others));
    make_file(path_in(own, "file"));
    make_file(path_in(read_only, "file"));
    make_file(path_in(others, "file"));
    return symlink(path_in(others, "file"), path_in(own, "link"));
}

static int down(void **state)
{
    static const char *const names[] = {"file", "link", "made", "moved"};
    const char *const folders[] = {own, read_only, others};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        for (size_t j = 0; j < 4; j++)
            (void)unlink(path_in(folders[i], names[j]));
        (void)rmdir(path_in(folders[i], "folder"));
        assert_int_equal(rmdir(folders[i]), 0);
    }
    return 0;
}

static int result(int rc)
{
    return rc < 0 ? errno : 0;
}

static int what_is_done(int number)
{
    switch (number) {
    case 0:
        return result(open(path_in(own, "file"), O_RDWR | O_CLOEXEC));
    case 1:
        return result(open(path_in(own, "made"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    case 2:
        return result(mkdir(path_in(own, "folder"), 0700));
    case 3:
        return result(rename(path_in(own, "made"), path_in(own, "folder/made"))) ||
               result(rename(path_in(own, "folder/made"), path_in(own, "made")));
    case 4:
        return result(open(path_in(read_only, "file"), O_RDONLY | O_CLOEXEC));
    case 5:
        return result(open(path_in(read_only, "file"), O_WRONLY | O_CLOEXEC));
    case 6:
        return result(open(path_in(read_only, "made"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    case 7:
        return result(open(path_in(others, "file"), O_RDONLY | O_CLOEXEC));
    case 8:
        return result(open(path_in(own, "link"), O_RDONLY | O_CLOEXEC));
    case 9:
        return result(rename(path_in(own, "file"), path_in(others, "moved")));
    case 10:
        return result(open("/etc/passwd", O_RDONLY | O_CLOEXEC));
    case 11:
        return result(open("/proc/self/status", O_RDONLY | O_CLOEXEC));
    case 12:
        return result(symlink("/etc/passwd", path_in(own, "moved")));
    default:
        return result(mknod(path_in(own, "moved"), S_IFIFO | 0600, 0));
    }
}

static int tried(int number)
{
    const pid_t pid = fork();
    int status;
    if (pid == 0) {
        const struct confine_place places[] = {{own, true}, {read_only, false}, {"/nowhere", false}};
        struct cofre_err err;
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || confine_files(places, 3, &err) < 0)
            _exit(255);
        _exit(what_is_done(number));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void a_part_opens_what_is_its_own_and_nothing_else(void **state)
{
    static const int wanted[] = {0,      0,      0,      0,      0,      EACCES, EACCES,
                                 EACCES, EACCES, EACCES, EACCES, EACCES, EACCES, EACCES};
    (void)state;
    if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) < 3) {
        print_message("skipped: this kernel has no Landlock of ABI 3\n");
        skip();
    }
    for (int i = 0; i < (int)(sizeof wanted / sizeof *wanted); i++) {
        const int is = tried(i);
        if (is != wanted[i] && !(wanted[i] == EACCES && is == EXDEV))
            fail_msg("case %d: %s", i, strerror(is));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_part_opens_what_is_its_own_and_nothing_else)};
    return cmocka_run_group_tests(tests, up, down);
}
