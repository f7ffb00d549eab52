/* What the gate, the zygote and a parser may still do, tried in processes that are one. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/host/front/jail.h"

enum who { GATE, ZYGOTE, PARSER, WHO };
static const char *const names[WHO] = {"the gate", "the zygote", "a parser"};

/* A parser's jail is in the zygote's. */
static void be(enum who who)
{
    struct jail jail;
    struct cofre_err err;
    int pair[2];
    (void)signal(SIGSYS, SIG_DFL);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0 ||
        (who == GATE ? jail_gate(&err) : jail_zygote(&jail, pair[1], &err)) < 0)
        _exit(100);
    if (who == PARSER && jail_parser(&jail) < 0)
        _exit(101);
}

/* In a child: the jail, then the call; what it came to. */
static int try_in_jail(enum who who, long (*call)(void))
{
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        be(who);
        _exit(call() < 0 ? 1 : 0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static bool is_killed(int status)
{
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
}

/* By number: the C library may ask the kernel for something else, or not ask it at all. */
#define CALL(name, ...)                                                                                      \
    static long try_##name(void)                                                                             \
    {                                                                                                        \
        return syscall(SYS_##name, __VA_ARGS__);                                                             \
    }
CALL(open, "/etc/passwd", O_RDONLY, 0)
CALL(openat, AT_FDCWD, "/etc/passwd", O_RDONLY, 0)
CALL(creat, "/tmp/cofre-jail", 0600)
CALL(stat, "/etc/passwd", NULL)
CALL(unlink, "/tmp/cofre-jail")
CALL(socket, AF_INET, SOCK_STREAM, 0)
CALL(socketpair, AF_INET, SOCK_STREAM, 0, NULL)
static long try_pair(void)
{
    return syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, NULL);
}
CALL(recvmsg, -1, NULL, 0)
CALL(epoll_create1, 0)
CALL(connect, 3, NULL, 0)
CALL(bind, 3, NULL, 0)
CALL(accept4, 3, NULL, NULL, 0)
CALL(execve, "/bin/true", NULL, NULL)
CALL(execveat, AT_FDCWD, "/bin/true", NULL, NULL, 0)
CALL(fork, 0)
CALL(vfork, 0)
CALL(clone3, NULL, 0)
static int pipe_ends[2];
CALL(pipe2, pipe_ends, 0)
CALL(clone, SIGCHLD, 0, 0, 0, 0)
CALL(kill, 1, 0)
CALL(tgkill, 1, 1, 0)
CALL(pidfd_open, 1, 0)
CALL(ptrace, PTRACE_ATTACH, 1, 0, 0)
CALL(process_vm_readv, 1, NULL, 0, NULL, 0, 0)
CALL(io_uring_setup, 1, NULL)
CALL(memfd_create, "a", 0)
CALL(ioctl, 0, 0, 0)
static long try_fionread(void)
{
    return syscall(SYS_ioctl, -1, FIONREAD, NULL);
}
CALL(unshare, CLONE_NEWUSER)
CALL(setns, 0, 0)
CALL(mount, "a", "/", "tmpfs", 0, NULL)
CALL(chroot, "/")
CALL(bpf, 0, NULL, 0)
CALL(keyctl, 0, 0)
CALL(setuid, 0)
CALL(prlimit64, 0, RLIMIT_CORE, NULL, NULL)
CALL(prctl, PR_SET_DUMPABLE, 1, 0, 0, 0)
CALL(shmget, 1, 4096, 0600)
static long try_executable(void)
{
    return syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}
CALL(mmap, NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
CALL(write, -1, "", 0)
CALL(wait4, -1, NULL, WNOHANG, NULL)

static const struct {
    const char *name;
    long (*call)(void);
    bool may[WHO];
} calls[] = {
#define ROW(name, gate, zygote, parser)                                                                      \
    {                                                                                                        \
#name, try_##name,                                                                                   \
        {                                                                                                    \
            gate, zygote, parser                                                                             \
        }                                                                                                    \
    }
    ROW(open, false, false, false),
    ROW(openat, false, false, false),
    ROW(creat, false, false, false),
    ROW(stat, false, false, false),
    ROW(unlink, false, false, false),
    ROW(socket, false, false, false),
    ROW(socketpair, false, false, false),
    ROW(connect, false, false, false),
    ROW(bind, false, false, false),
    ROW(accept4, true, false, false),
    ROW(execve, false, false, false),
    ROW(execveat, false, false, false),
    ROW(fork, false, false, false),
    ROW(vfork, false, false, false),
    ROW(clone3, false, false, false),
    ROW(clone, false, true, false),
    ROW(pipe2, false, true, false),
    ROW(kill, false, false, false),
    ROW(tgkill, false, false, false),
    ROW(pidfd_open, false, false, false),
    ROW(ptrace, false, false, false),
    ROW(process_vm_readv, false, false, false),
    ROW(io_uring_setup, false, false, false),
    ROW(memfd_create, false, false, false),
    ROW(ioctl, false, false, false),
    ROW(fionread, true, false, false),
    ROW(pair, true, false, false),
    ROW(recvmsg, false, true, true),
    ROW(epoll_create1, false, true, true),
    ROW(unshare, false, false, false),
    ROW(setns, false, false, false),
    ROW(mount, false, false, false),
    ROW(chroot, false, false, false),
    ROW(bpf, false, false, false),
    ROW(keyctl, false, false, false),
    ROW(setuid, false, false, false),
    ROW(prlimit64, false, false, false),
    ROW(prctl, false, true, false),
    ROW(shmget, false, false, false),
    ROW(executable, false, false, false),
    ROW(mmap, true, true, true),
    ROW(write, true, true, true),
    ROW(wait4, false, true, false),
};

static void what_is_not_on_the_list_ends_the_process(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        for (enum who who = GATE; who < WHO; who++) {
            const int status = try_in_jail(who, calls[i].call);
            if (is_killed(status) == calls[i].may[who] || (WIFEXITED(status) && WEXITSTATUS(status) >= 100))
                fail_msg("%s by %s: status %#x", calls[i].name, names[who], (unsigned)status);
        }
}

/* 0: no descriptor is open beside 0 to 2 and the one that was to be kept. */
static long count_descriptors(void)
{
    int open = 0;
    for (int fd = 3; fd < 64; fd++)
        open += fcntl(fd, F_GETFD) >= 0;
    return open == 1 ? 0 : -1;
}

static void nothing_that_was_open_is_still(void **state)
{
    (void)state;
    int fd[8];
    for (size_t i = 0; i < 8; i++)
        assert_true((fd[i] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0);
    const int status = try_in_jail(ZYGOTE, count_descriptors);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    for (size_t i = 0; i < 8; i++)
        close(fd[i]);
}

/* A line of the log, where that is a file: it is lost, and the process lives. */
static long write_line(void)
{
    const int file = STDERR_FILENO;
    return write(file, "a line\n", 7) < 0 && errno == EFBIG ? 0 : -1;
}

static void a_line_to_a_file_is_lost_and_ends_nobody(void **state)
{
    (void)state;
    FILE *file = tmpfile();
    const int before = dup(STDERR_FILENO);
    assert_true(file && before >= 0 && dup2(fileno(file), STDERR_FILENO) >= 0);
    const int status = try_in_jail(ZYGOTE, write_line);
    assert_true(dup2(before, STDERR_FILENO) >= 0);
    close(before);
    (void)fclose(file);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_on_the_list_ends_the_process),
        cmocka_unit_test(nothing_that_was_open_is_still),
        cmocka_unit_test(a_line_to_a_file_is_lost_and_ends_nobody),
    };
    return cmocka_run_group_tests_name("host/jail", tests, NULL, NULL);
}
