/* cofre policy test: what another policy would change of verdicts on evidence that was kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "sev/abi.h"
#include "tests/unit/cli/run.h"
#include "vmm/base/file.h"

static void write_text(const char *name, const char *text)
{
    cli_write(name, (struct view){(const uint8_t *)text, strlen(text)});
}

static void in_directory(const char *command)
{
    char path[CLI_PATH_SIZE], line[512];
    cli_path(path, "");
    snprintf(line, sizeof line, "cd '%s' && %s", path, command);
    assert_int_equal(system(line), 0);
}

/* Reports that nobody signed: two SVNs of a guest, and a file that is none. */
static int setup(void **state)
{
    if (cli_setup(state) < 0)
        return -1;
    in_directory("mkdir kept");
    for (unsigned svn = 1; svn <= 2; svn++) {
        struct snp_report report = {.version = 3, .guest_svn = svn};
        char name[32];
        snprintf(name, sizeof name, "kept/svn%u", svn);
        cli_write(name, (struct view){(const uint8_t *)&report, sizeof report});
    }
    write_text("kept/notes", "no evidence");
    write_text("svn1.json", "{\"snp\": {\"min_guest_svn\": 1}}");
    write_text("svn2.json", "{\"snp\": {\"min_guest_svn\": 2}}");
    return 0;
}

static json_t *tested(int code, const char *arguments)
{
    char line[512];
    snprintf(line, sizeof line, "policy test --json %s", arguments);
    if (cli_run(line) != code)
        fail_msg("%s: %.2000s", line, cli_output);
    json_t *object = json_loads(cli_output, 0, NULL);
    assert_non_null(object);
    return object;
}

static void checks_that_differ_are_shown(void **state)
{
    (void)state;
    json_t *result = tested(0, "--policy svn2.json --old svn1.json --evidence kept");
    json_t *evidence = json_object_get(result, "evidence");
    assert_int_equal(json_array_size(evidence), 2);
    assert_int_equal(json_integer_value(json_object_get(result, "changed")),
                     0); /* nobody's fails in any case */
    json_t *first = json_array_get(evidence, 0);
    assert_string_equal(cli_text(first, "file"), "kept/svn1");
    json_t *check = json_array_get(json_object_get(first, "checks"), 0);
    assert_int_equal(json_array_size(json_object_get(first, "checks")), 1);
    assert_string_equal(cli_text(check, "id"), "snp.guest_svn");
    assert_string_equal(cli_text(check, "old"), "pass");
    assert_string_equal(cli_text(check, "new"), "fail");
    assert_string_equal(cli_text(check, "why"), "guest SVN 1 is below the policy's 2");
    assert_int_equal(json_array_size(json_object_get(json_array_get(evidence, 1), "checks")), 0);
    assert_string_equal(json_string_value(json_array_get(json_object_get(result, "left_out"), 0)),
                        "kept/notes");
    json_decref(result);
}

/* Real reports, whose verdicts pass; skips where they are not there. */
static void a_verdict_that_would_change_is_exit_1(void **state)
{
    (void)state;
    char evidence[4096], arguments[16000];
    CLEAN_BYTES file = {0};
    const char *named = getenv("COFRE_EVIDENCE"), *shared = getenv("COFRE_SHARED");
    snprintf(evidence, sizeof evidence, "%s%s",
             named    ? named
             : shared ? shared
                      : "../shared",
             named ? "" : "/evidence");
    char *path = realpath(evidence, NULL), report[4200];
    snprintf(report, sizeof report, "%s/snp/b-report.bin", path ? path : "");
    if (!path || file_read(&file, report, 1u << 20, NULL) < 0) {
        free(path);
        print_message("# skipped: shared/evidence is not there; COFRE_EVIDENCE names the folder\n");
        skip();
    }
    write_text("smt.json", "{\"snp\": {\"guest_policy\": {\"smt\": \"forbidden\"}}}");
    snprintf(arguments, sizeof arguments,
             "--policy smt.json --evidence %s/snp/b-report.bin --cert %s/snp/b-vcek.der --at "
             "2024-06-01T00:00:00Z",
             path, path);
    json_t *result = tested(1, arguments);
    json_t *one = json_array_get(json_object_get(result, "evidence"), 0);
    assert_int_equal(json_integer_value(json_object_get(result, "changed")), 1);
    assert_string_equal(cli_text(one, "old"), "pass");
    assert_string_equal(cli_text(one, "new"), "fail");
    json_decref(result);
    snprintf(arguments, sizeof arguments,
             "policy test --policy smt.json --old smt.json --evidence %s/snp/b-report.bin --cert "
             "%s/snp/b-vcek.der --at 2024-06-01T00:00:00Z",
             path, path);
    assert_int_equal(cli_run(arguments), 0);
    assert_non_null(strstr(cli_output, "0 of 1 verdicts would change."));
    free(path);
}

static void wrong_usage_is_said(void **state)
{
    (void)state;
    static const struct {
        const char *arguments, *why;
        int code;
    } cases[] = {
        {"policy", "cofre policy test", 2},
        {"policy show --policy svn1.json --evidence kept", "cofre policy test", 2},
        {"policy test --policy svn1.json", "--evidence is missing", 2},
        {"policy test --evidence kept", "--policy is missing", 2},
        {"policy test --policy svn1.json --policy svn2.json --evidence kept", "given twice", 2},
        {"policy test --policy kept/notes --evidence kept", "kept/notes: policy", 2},
        {"policy test --policy svn1.json --evidence kept/notes", "kept/notes: ", 3},
        {"policy test --policy svn1.json --evidence absent", "absent", 2},
        {"policy test --policy svn1.json --evidence empty", "there is no evidence in what --evidence names",
         3},
    };
    in_directory("mkdir empty");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int code = cli_run(cases[i].arguments);
        if (code != cases[i].code || !strstr(cli_output, cases[i].why))
            fail_msg("%s: %d, %s", cases[i].arguments, code, cli_output);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checks_that_differ_are_shown),
        cmocka_unit_test(a_verdict_that_would_change_is_exit_1),
        cmocka_unit_test(wrong_usage_is_said),
    };
    return cmocka_run_group_tests(tests, setup, cli_teardown);
}
