#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_guest_has_a_directory_of_its_name),
        cmocka_unit_test(names_that_lead_elsewhere_are_refused),
        cmocka_unit_test(a_directory_that_does_not_fit_is_refused_not_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
