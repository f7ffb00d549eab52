/* The staging window's memory. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/machine/boot.h"
#include "vmm/machine/window.h"

static struct window window;
static struct cofre_err err;
static char kernel[32], initrd[32];
static const struct view cmdline = {(const uint8_t *)"quiet", 5};

static void make_file(char *path, size_t size, char byte)
{
    char data[0x3000];
    strcpy(path, "/tmp/cofre-window-XXXXXX");
    int fd = mkstemp(path);
    memset(data, byte, sizeof data);
    assert_true(size <= sizeof data && write(fd, data, size) == (ssize_t)size);
    close(fd);
}

static int set_up(void **state)
{
    (void)state;
    make_file(kernel, 0x1800, 'k');
    make_file(initrd, 0x1000, 'i');
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    window_close(&window);
    unlink(kernel);
    unlink(initrd);
    return 0;
}

static void items_begin_on_pages_and_zeros_are_between(void **state)
{
    (void)state;
    assert_int_equal(window_open(&window, kernel, initrd, cmdline, &err), 0);
    assert_int_equal(window.size, 0x4000);
    assert_ptr_equal(window.kernel.data, window.host);
    assert_int_equal(window.kernel.len, 0x1800);
    assert_true(window.host[0] == 'k' && window.host[0x17ff] == 'k');
    assert_true(bytes_are_zero(window.host + 0x1800, 0x800));
    assert_ptr_equal(window.initrd.data, window.host + 0x2000);
    assert_true(window.host[0x2000] == 'i' && window.host[0x2fff] == 'i');
    assert_memory_equal(window.host + 0x3000, "quiet\0", 6);
    assert_int_equal(window.cmdline.len, 5);
}

static void what_the_guest_writes_stays_out_of_the_file(void **state)
{
    (void)state;
    assert_int_equal(window_open(&window, kernel, NULL, cmdline, &err), 0);
    window.host[0] = 'x';
    window_close(&window);
    assert_int_equal(window_open(&window, kernel, NULL, cmdline, &err), 0);
    assert_int_equal(window.host[0], 'k');
    assert_int_equal(window.initrd.len, 0);
}

static void a_pipe_is_read_to_its_end(void **state)
{
    (void)state;
    char path[32];
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "from a pipe", 11), 11);
    close(ends[1]);
    snprintf(path, sizeof path, "/dev/fd/%d", ends[0]);
    assert_int_equal(window_open(&window, kernel, path, cmdline, &err), 0);
    close(ends[0]);
    assert_int_equal(window.initrd.len, 11);
    assert_memory_equal(window.initrd.data, "from a pipe\0", 12);
}

static void says_which_file_it_lacks(void **state)
{
    (void)state;
    assert_int_equal(window_open(&window, kernel, "/nowhere", cmdline, &err), -COFRE_USAGE);
    assert_non_null(strstr(err.text, "--initrd: /nowhere: cannot be opened"));
    assert_int_equal(window_open(&window, "/tmp", NULL, cmdline, &err), -COFRE_USAGE);
    assert_non_null(strstr(err.text, "--kernel: /tmp: is a directory"));
}

static void refuses_what_does_not_fit(void **state)
{
    (void)state;
    assert_int_equal(truncate(initrd, STAGING_END - STAGING_BASE + 1), 0);
    assert_int_equal(window_open(&window, kernel, initrd, cmdline, &err), -COFRE_MALFORMED);
    assert_non_null(strstr(err.text, "longer than"));
    assert_int_equal(truncate(initrd, STAGING_END - STAGING_BASE), 0);
    assert_int_equal(window_open(&window, kernel, initrd, cmdline, &err), -COFRE_USAGE);
    assert_non_null(strstr(err.text, "do not fit"));
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(items_begin_on_pages_and_zeros_are_between),
        T(what_the_guest_writes_stays_out_of_the_file),
        T(a_pipe_is_read_to_its_end),
        T(says_which_file_it_lacks),
        T(refuses_what_does_not_fit),
    };
    return cmocka_run_group_tests_name("machine/window", tests, NULL, NULL);
}
