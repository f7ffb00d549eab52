#include "tests/unit/cli/run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "vmm/base/file.h"

char cli_output[65536];
static char directory[] = "/tmp/cofre-test-XXXXXX";

int cli_setup(void **state)
{
    (void)state;
    return mkdtemp(directory) ? 0 : -1;
}

int cli_teardown(void **state)
{
    (void)state;
    char command[CLI_PATH_SIZE];
    (void)snprintf(command, sizeof command, "rm -r %s", directory);
    return system(command);
}

int cli_run(const char *arguments)
{
    char command[8192];
    int n = snprintf(command, sizeof command, "cd %s && %s %s 2>&1", directory, getenv("COFRE_PROGRAM"),
                     arguments);
    assert_true(n > 0 && (size_t)n < sizeof command);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    cli_output[fread(cli_output, 1, sizeof cli_output - 1, pipe)] = '\0';
    int status = pclose(pipe);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

json_t *cli_inspected(const char *name)
{
    char arguments[256];
    (void)snprintf(arguments, sizeof arguments, "inspect '%s' --json", name);
    if (cli_run(arguments) != 0)
        fail_msg("%s", cli_output);
    json_t *all = json_loads(cli_output, 0, NULL);
    assert_non_null(all);
    return all;
}

const char *cli_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

void cli_path(char path[CLI_PATH_SIZE], const char *name)
{
    (void)snprintf(path, CLI_PATH_SIZE, "%s/%s", directory, name);
}

void cli_read(struct bytes *out, const char *name)
{
    char path[CLI_PATH_SIZE];
    cli_path(path, name);
    assert_int_equal(file_read(out, path, 1u << 24, NULL), 0);
}

void cli_write(const char *name, struct view data)
{
    char path[CLI_PATH_SIZE];
    cli_path(path, name);
    assert_int_equal(file_write(path, data, 0600, NULL), 0);
}
