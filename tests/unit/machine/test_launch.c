/* A guest in a process of its own, on a KVM whose one vCPU does what the test chose: what the parent learns of its end, and
 * what it believes. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <poll.h>
#include <sched.h>

#include "tests/unit/kvm/fake.h"
#include "tests/unit/machine/staged.h"
#include "vmm/base/unix_socket.h"
#include "vmm/devices/rtc.h"
#include "vmm/machine/acpi.h"
#include "vmm/machine/launch.h"
#include "vmm/machine/restart.h"

#define PATIENCE 20000 /* milliseconds */

static struct phases phases;
static struct launch_image image;
static struct boot_config boot;
static struct kvm_backend backend;
static struct machine_config config;
static struct launch launch;
static struct launch_report report;
static struct cofre_err err;
static int output;

static uint16_t guest_reads_from; /* a port, first; 0: nothing */
static uint16_t guest_writes_to;  /* a port, and then runs for ever; 0: at once */
static uint8_t guest_writes;
static struct kvm_run *guest;

static void *recording_mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    return guest = fake_backend.mmap(address, length, protection, flags, fd, offset);
}

static bool run_guest(int fd, unsigned long request, void *argument, int *rc)
{
    (void)fd;
    (void)argument;
    if (request != KVM_RUN)
        return false;
    *rc = 0;
    guest->exit_reason = KVM_EXIT_IO;
    guest->io.direction = guest_reads_from ? KVM_EXIT_IO_IN : KVM_EXIT_IO_OUT;
    guest->io.port = guest_reads_from ? guest_reads_from : guest_writes_to;
    guest->io.size = 1;
    guest->io.count = 1;
    guest->io.data_offset = 4096;
    ((uint8_t *)guest)[4096] = guest_writes;
    if (guest_reads_from) {
        guest_reads_from = 0;
        return true;
    }
    if (guest_writes_to) {
        guest_writes_to = 0;
        return true;
    }
    while (!__atomic_load_n(&guest->immediate_exit, __ATOMIC_SEQ_CST))
        sched_yield();
    errno = EINTR;
    *rc = -1;
    return true;
}

static int set_up(void **state)
{
    (void)state;
    fake_reset();
    fake.answer = run_guest;
    backend = fake_backend;
    backend.mmap = recording_mmap;
    phases_start(&phases, true);
    output = memfd_create("console", MFD_CLOEXEC);
    boot = (struct boot_config){.memory = 256ull << 20, .cpus = 1, .kernel = {(const uint8_t *)"kernel", 6}};
    boot.window = staged_window(&boot);
    image = (struct launch_image){.entry = 0x100000, .cpus = 1};
    config = (struct machine_config){.backend = &backend,
                                     .boot = &boot,
                                     .image = &image,
                                     .phases = &phases,
                                     .console_in = -1,
                                     .console_out = output};
    guest_reads_from = guest_writes_to = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    close(output);
    return 0;
}

static void start(void)
{
    assert_int_equal(launch_start(&launch, &config, (const int[]){-1}, &err), 0);
}

static void finish(void)
{
    struct pollfd fd = {.fd = launch.ended_fd, .events = POLLIN};
    assert_int_equal(poll(&fd, 1, PATIENCE), 1);
    launch_finish(&launch, &report);
}

static void tells_how_the_guest_ended(void **state)
{
    (void)state;
    const struct {
        uint16_t port;
        uint8_t value;
        enum machine_ending how;
    } cases[] = {{ACPI_PORT_SLEEP_CONTROL, ACPI_POWER_OFF, MACHINE_POWER_OFF},
                 {ACPI_PORT_RESET, ACPI_RESET_VALUE, MACHINE_RESET}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        guest_writes_to = cases[i].port;
        guest_writes = cases[i].value;
        start();
        finish();
        assert_int_equal(report.end.how, cases[i].how);
        assert_int_equal(report.end.code, 0);
        assert_string_equal(report.end.why.text, "");
        assert_true(report.seconds[PHASE_LAUNCHED] > 0 && report.seconds[PHASE_ENDED] > 0);
    }
}

static void a_guest_that_is_stopped_says_so(void **state)
{
    (void)state;
    start();
    launch_stop(&launch);
    finish();
    assert_int_equal(report.end.how, MACHINE_STOPPED);
    assert_int_equal(report.end.code, 0);
}

static bool is_told_final(void)
{
    struct pollfd fd = {.fd = launch.control, .events = POLLIN};
    assert_int_equal(poll(&fd, 1, PATIENCE), 1);
    return launch_is_final(&launch, &report);
}

static void a_final_launch_is_told_while_the_guest_runs(void **state)
{
    (void)state;
    start();
    assert_true(is_told_final());
    assert_int_equal(report.end.how, MACHINE_RUNNING);
    assert_true(report.seconds[PHASE_LAUNCHED] > 0 && report.seconds[PHASE_ENDED] == 0);
    struct pollfd ended = {.fd = launch.ended_fd, .events = POLLIN};
    assert_int_equal(poll(&ended, 1, 0), 0);
    launch_stop(&launch);
    finish();
    assert_int_equal(report.end.how, MACHINE_STOPPED);
    assert_true(report.seconds[PHASE_LAUNCHED] > 0 && report.seconds[PHASE_ENDED] > 0);
}

static void a_launch_that_fails_gives_its_reason_and_never_ran(void **state)
{
    (void)state;
    config.vsock_cid = 2; /* the host's own */
    config.vsock_directory = "";
    start();
    assert_false(is_told_final());
    finish();
    assert_int_equal(report.end.how, MACHINE_RUNNING);
    assert_int_not_equal(report.end.code, 0);
    assert_string_not_equal(report.end.why.text, "");
}

static void a_process_that_is_killed_is_told_from_a_guest_that_ended(void **state)
{
    (void)state;
    start();
    launch_kill(&launch);
    finish();
    assert_int_equal(report.end.how, MACHINE_FAILED);
    assert_int_equal(report.end.code, COFRE_FAILED);
    assert_non_null(strstr(report.end.why.text, "signal 9"));
}

static char directory[32], disk[48], socket_path[48];

/* A guest with a socket and a disk. */
static void add_devices(void)
{
    strcpy(directory, "/tmp/cofre-launch-XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(disk, sizeof disk, "%s/disk", directory);
    snprintf(socket_path, sizeof socket_path, "%s/vsock", directory);
    int fd = open(disk, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    assert_int_equal(ftruncate(fd, 1 << 20), 0);
    close(fd);
    config.vsock_cid = 3;
    config.vsock_directory = directory;
    config.device[0] = (struct device_request){&device_kinds[0], disk};
    config.devices = 1;
}

static void remove_devices(void)
{
    unlink(disk);
    unlink(socket_path);
    assert_int_equal(rmdir(directory), 0);
}

static int connect_to_guest(void)
{
    int fd = -1;
    while ((fd = unix_connect(socket_path)) < 0) { /* it opens its socket before its threads are there */
        assert_true(errno == ENOENT || errno == ECONNREFUSED);
        sched_yield();
    }
    return fd;
}

static void a_jailed_guests_devices_serve_and_are_put_away(void **state)
{
    (void)state;
    static const char answer[] = "ERROR the guest has no vsock driver yet\n";
    char got[64] = "";
    add_devices();
    start();
    int fd = connect_to_guest();
    assert_int_equal(write(fd, "CONNECT 1\n", 10), 10);
    struct pollfd answered = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&answered, 1, PATIENCE), 1);
    assert_int_equal(read(fd, got, sizeof got), strlen(answer));
    assert_string_equal(got, answer);
    close(fd);
    launch_stop(&launch);
    finish();
    assert_string_equal(report.end.why.text, "");
    assert_int_equal(report.end.how, MACHINE_STOPPED);
    remove_devices();
}

/* C libraries open the time zone's file when they first tell the time. */
static void the_clock_is_read_in_the_jail(void **state)
{
    (void)state;
    guest_reads_from = RTC_PORT + 1;
    guest_writes_to = ACPI_PORT_SLEEP_CONTROL;
    guest_writes = ACPI_POWER_OFF;
    start();
    finish();
    assert_string_equal(report.end.why.text, "");
    assert_int_equal(report.end.how, MACHINE_POWER_OFF);
}

static void a_process_that_its_jail_ended_says_where_to_look(void **state)
{
    (void)state;
    struct launch_report r = {.end = {.how = MACHINE_RESET}};
    launch_report_check(&r, SIGSYS);
    assert_int_equal(r.end.how, MACHINE_FAILED);
    assert_non_null(strstr(r.end.why.text, "COFRE_LOG=jail=debug"));
}

/* The write end of a pipe is in all four processes; the pipe ends when the last of them is gone. */
static void the_guest_ends_with_the_process_that_started_it(void **state)
{
    (void)state;
    int ends[2];
    add_devices();
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t parent = fork();
    if (parent == 0) {
        if (launch_start(&launch, &config, (const int[]){ends[0], -1}, &err))
            _exit(1);
        kill(getpid(), SIGKILL);
    }
    close(ends[1]);
    int status;
    assert_int_equal(waitpid(parent, &status, 0), parent);
    assert_true(WIFSIGNALED(status));
    struct pollfd fd = {.fd = ends[0], .events = POLLIN};
    assert_int_equal(poll(&fd, 1, PATIENCE), 1);
    assert_int_equal(fd.revents, POLLHUP);
    close(ends[0]);
    assert_int_equal(unix_connect(socket_path), -1);
    assert_int_equal(errno, ENOENT); /* who connects it has removed it */
    remove_devices();
}

static void nothing_is_left_in_the_parent(void **state)
{
    (void)state;
    int before = dup(0);
    close(before);
    for (int i = 0; i < 3; i++) {
        guest_writes_to = ACPI_PORT_RESET;
        guest_writes = ACPI_RESET_VALUE;
        start();
        finish();
    }
    int after = dup(0);
    close(after);
    assert_int_equal(before, after); /* the lowest free descriptor */
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static void what_a_guest_may_have_written_is_not_believed(void **state)
{
    (void)state;
    struct launch_report r = {.end = {.how = MACHINE_RESET}};
    launch_report_check(&r, 0);
    assert_int_equal(r.end.how, MACHINE_RESET);

    r = (struct launch_report){.end = {.how = (enum machine_ending)77}};
    launch_report_check(&r, 0);
    assert_int_equal(r.end.how, MACHINE_FAILED);
    assert_int_equal(r.end.code, COFRE_FAILED);

    r = (struct launch_report){.end = {.how = MACHINE_RESET, .code = -1}};
    launch_report_check(&r, 0);
    assert_int_equal(r.end.how, MACHINE_FAILED);

    r = (struct launch_report){.end = {.how = MACHINE_RESET, .code = COFRE_FAILED + 1}};
    launch_report_check(&r, 0);
    assert_int_equal(r.end.how, MACHINE_FAILED);

    r = (struct launch_report){.end = {.how = MACHINE_RUNNING}};
    launch_report_check(&r, 0);
    assert_int_equal(r.end.how, MACHINE_FAILED);
    assert_non_null(strstr(r.end.why.text, "without saying how"));

    r = (struct launch_report){.end = {.how = MACHINE_FAILED, .code = 5}};
    memset(r.end.why.text, '\xff', sizeof r.end.why.text);
    memcpy(r.end.why.text, "\x1b[2J", 4);
    r.seconds[PHASE_SHIM] = NAN;
    r.seconds[PHASE_LINUX] = -1;
    r.seconds[PHASE_ENDED] = INFINITY;
    launch_report_check(&r, 0);
    assert_int_equal(strlen(r.end.why.text), sizeof r.end.why.text - 1);
    assert_memory_equal(r.end.why.text, "?[2J?", 5);
    assert_true(r.seconds[PHASE_SHIM] == 0 && r.seconds[PHASE_LINUX] == 0 && r.seconds[PHASE_ENDED] == 0);
}

static void a_guest_that_only_restarts_waits_longer_and_longer(void **state)
{
    (void)state;
    struct restarts restarts = {0};
    const unsigned waits[] = {0, 1, 2, 4, 8, 16, 32, 60, 60, 60};
    for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++)
        assert_int_equal(restart_wait(&restarts, 3), waits[i]);
    assert_int_equal(restart_wait(&restarts, RESTART_SETTLED), 0);
    assert_int_equal(restart_wait(&restarts, 3), 0);
    assert_int_equal(restart_wait(&restarts, 3), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tells_how_the_guest_ended, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_guest_that_is_stopped_says_so, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_final_launch_is_told_while_the_guest_runs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_launch_that_fails_gives_its_reason_and_never_ran, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_process_that_is_killed_is_told_from_a_guest_that_ended, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_jailed_guests_devices_serve_and_are_put_away, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_clock_is_read_in_the_jail, set_up, tear_down),
        cmocka_unit_test(a_process_that_its_jail_ended_says_where_to_look),
        cmocka_unit_test_setup_teardown(the_guest_ends_with_the_process_that_started_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_is_left_in_the_parent, set_up, tear_down),
        cmocka_unit_test(what_a_guest_may_have_written_is_not_believed),
        cmocka_unit_test(a_guest_that_only_restarts_waits_longer_and_longer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
