/* Every figure of another calculator, through the command line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/sev/expected.h"
#include "vmm/base/file.h"

static char directory[] = "/tmp/cofre-test-XXXXXX";

static void path_in(char path[128], const char *name)
{
    (void)snprintf(path, 128, "%s/%s", directory, name);
}

static void put(const char *name, struct view data)
{
    char path[128];
    path_in(path, name);
    assert_int_equal(file_write(path, data, 0600, NULL), 0);
}

/* Fills command with the call; the files lie in the directory. */
static void write_command(char *command, size_t size, const json_t *test, const struct expected_inputs *in)
{
    int n = snprintf(command, size,
                     "%s measure --tee snp --vmm qemu --firmware %s/firmware --cpus %u --cpu-model %s "
                     "--guest-features %s",
                     getenv("COFRE_PROGRAM"), directory, expected_vcpus(test),
                     expected_text(test, "vcpu_type"), expected_text(test, "guest_features"));
    if (in->kernel_path)
        n += snprintf(command + n, size - (size_t)n, " --kernel '%s'", in->kernel_path);
    if (in->initrd[0])
        n += snprintf(command + n, size - (size_t)n, " --initrd %s/initrd", directory);
    if (in->cmdline)
        n += snprintf(command + n, size - (size_t)n, " --cmdline '%s'", in->cmdline);
    assert_true((size_t)n < size);
}

static void command_prints_what_another_calculator_found(void **state)
{
    const json_t *test = *state;
    struct expected_inputs in;
    char command[8192], text[256] = "", expected[256];
    const char *missing = expected_read(&in, test);
    if (!missing) {
        put("firmware", bytes_view(&in.firmware));
        put("initrd", (struct view){(const uint8_t *)in.initrd, strlen(in.initrd)});
        write_command(command, sizeof command, test, &in);
    }
    expected_free(&in);
    if (missing) {
        print_message("# skipped: not on this machine: %s\n", missing);
        skip();
    }
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    text[fread(text, 1, sizeof text - 1, pipe)] = '\0';
    assert_int_equal(pclose(pipe), 0);
    (void)snprintf(expected, sizeof expected, "%s\n", expected_text(test, "launch_digest"));
    assert_string_equal(text, expected);
}

int main(void)
{
    char path[128];
    if (!mkdtemp(directory))
        return 1;
    int rc = expected_run(command_prints_what_another_calculator_found);
    path_in(path, "firmware");
    unlink(path);
    path_in(path, "initrd");
    unlink(path);
    rmdir(directory);
    return rc;
}
