#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm/base/rundir.h"

static void a_guest_has_a_directory_of_its_name(void **state)
{
    (void)state;
    char path[64];
    struct cofre_err err;
    setenv("COFRE_RUN_DIR", "/tmp/r", 1);
    assert_int_equal(rundir_of_guest(path, sizeof path, "web-1", &err), 0);
    assert_string_equal(path, "/tmp/r/web-1");
}

static void names_that_lead_elsewhere_are_refused(void **state)
{
    (void)state;
    const char *const names[] = {
        "",        ".",           "..",
        ".hidden", "a/b",         "/etc",
        "a b",     "caf\xc3\xa9", "0123456789012345678901234567890123456789012345678901234567890123x"};
    char path[128];
    struct cofre_err err;
    setenv("COFRE_RUN_DIR", "/tmp/r", 1);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_int_equal(rundir_of_guest(path, sizeof path, names[i], &err), -COFRE_USAGE);
}

static void a_directory_that_does_not_fit_is_refused_not_cut(void **state)
{
    (void)state;
    char path[12];
    struct cofre_err err;
    setenv("COFRE_RUN_DIR", "/tmp/r", 1);
    assert_int_equal(rundir_of_guest(path, sizeof path, "guest", &err), -COFRE_USAGE);
    assert_int_equal(rundir_of_guest(path, sizeof path, "gues", &err), 0);
    setenv("COFRE_RUN_DIR", "/tmp/a-long-directory", 1);
    assert_int_equal(rundir_of_guest(path, sizeof path, "g", &err), -COFRE_USAGE);
}

/* A directory for one test, with "guest" in it. */
static char base[] = "/tmp/cofre-rundir-XXXXXX", guest[64];

static int set_up(void **state)
{
    (void)state;
    strcpy(base + sizeof base - 7, "XXXXXX");
    snprintf(guest, sizeof guest, "%s/guest", mkdtemp(base));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return rmdir(base);
}

static void put_socket(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", guest, name);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    close(fd);
}

static bool has(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", guest, name);
    return access(path, F_OK) == 0;
}

static void a_claimed_name_is_refused_to_another_until_it_is_released(void **state)
{
    (void)state;
    struct cofre_err err;
    int first = rundir_claim(guest, &err);
    assert_true(first >= 0);
    assert_int_equal(rundir_claim(guest, &err), -COFRE_USAGE);
    assert_non_null(strstr(err.text, "the name guest"));
    put_socket("vsock");
    rundir_release(guest, first);
    assert_false(has(""));
    int second = rundir_claim(guest, &err);
    assert_true(second >= 0);
    rundir_release(guest, second);
}

static void what_a_killed_guest_left_is_removed_but_not_what_others_put_there(void **state)
{
    (void)state;
    struct cofre_err err;
    char path[128];
    assert_int_equal(mkdir(guest, 0700), 0);
    put_socket("vsock");
    put_socket("vsock_5000");
    int claim = rundir_claim(guest, &err);
    assert_true(claim >= 0);
    assert_false(has("vsock"));
    assert_true(has("vsock_5000"));
    rundir_release(guest, claim);
    assert_true(has("vsock_5000"));
    snprintf(path, sizeof path, "%s/vsock_5000", guest);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(guest), 0);
}

static void a_link_is_not_followed(void **state)
{
    (void)state;
    struct cofre_err err;
    assert_int_equal(symlink("/tmp", guest), 0);
    assert_int_equal(rundir_claim(guest, &err), -COFRE_FAILED);
    assert_int_equal(unlink(guest), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_guest_has_a_directory_of_its_name),
        cmocka_unit_test(names_that_lead_elsewhere_are_refused),
        cmocka_unit_test(a_directory_that_does_not_fit_is_refused_not_cut),
        cmocka_unit_test_setup_teardown(a_claimed_name_is_refused_to_another_until_it_is_released, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_a_killed_guest_left_is_removed_but_not_what_others_put_there,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_link_is_not_followed, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
