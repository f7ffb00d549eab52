/* Every figure of another calculator, through the command line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/cli/run.h"
#include "tests/unit/sev/expected.h"

/* Fills command with the call; the files lie in the directory. vmm: QEMU with its features, or Cofre. */
static void write_command(char *command, size_t size, const char *vmm, const json_t *test,
                          const struct expected_inputs *in)
{
    int n = snprintf(command, size, "measure --tee snp --vmm %s --firmware firmware --cpus %u --cpu-model %s",
                     vmm, expected_vcpus(test), expected_text(test, "vcpu_type"));
    if (in->kernel_path)
        n += snprintf(command + n, size - (size_t)n, " --kernel '%s'", in->kernel_path);
    if (in->initrd[0])
        n += snprintf(command + n, size - (size_t)n, " --initrd initrd");
    if (in->cmdline)
        n += snprintf(command + n, size - (size_t)n, " --cmdline '%s'", in->cmdline);
    assert_true((size_t)n < size);
}

static void command_prints_what_another_calculator_found(void **state)
{
    const json_t *test = *state;
    struct expected_inputs in;
    char command[8000], own[8000], vmm[64], expected[256];
    const char *missing = expected_read(&in, test);
    if (!missing) {
        cli_write("firmware", bytes_view(&in.firmware));
        cli_write("initrd", (struct view){(const uint8_t *)in.initrd, strlen(in.initrd)});
        (void)snprintf(vmm, sizeof vmm, "qemu --guest-features %s", expected_text(test, "guest_features"));
        write_command(command, sizeof command, vmm, test, &in);
        write_command(own, sizeof own, "cofre", test, &in);
    }
    expected_free(&in);
    if (missing) {
        print_message("# skipped: not on this machine: %s\n", missing);
        skip();
    }
    assert_int_equal(cli_run(command), 0);
    (void)snprintf(expected, sizeof expected, "%s\n", expected_text(test, "launch_digest"));
    assert_string_equal(cli_output, expected);
    if (strcmp(expected_text(test, "guest_features"), "0x1") != 0)
        return; /* our launch asks KVM for no other */
    assert_int_equal(cli_run(own), 0);
    assert_string_equal(cli_output, expected);
}

int main(void)
{
    if (cli_setup(NULL) < 0)
        return 1;
    int rc = expected_run(command_prints_what_another_calculator_found);
    return cli_teardown(NULL) == 0 ? rc : 1;
}
