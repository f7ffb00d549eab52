/* Every figure of another calculator, through the library. A case whose firmware or kernel is not on this machine is
 * skipped with a sentence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sev/layout.h"
#include "tests/unit/sev/expected.h"

static struct view view_of_text(const char *text)
{
    return (struct view){(const uint8_t *)text, text ? strlen(text) : 0};
}

static int digest_of(const json_t *test, const struct expected_inputs *in, struct snp_digest *out,
                     struct cofre_err *err)
{
    const struct snp_kernel_items items = {bytes_view(&in->kernel), view_of_text(in->initrd),
                                           view_of_text(in->cmdline)};
    struct snp_layout layout = {.vmm = SNP_VMM_QEMU,
                                .cpus = expected_vcpus(test),
                                .guest_features = strtoull(expected_text(test, "guest_features"), NULL, 16),
                                .kernel = in->kernel.len ? &items : NULL};
    struct snp_ovmf ovmf;
    int rc = snp_cpu_signature(&layout.cpu_signature, expected_text(test, "vcpu_type"), err);
    if (rc == 0)
        rc = snp_ovmf_parse(&ovmf, bytes_view(&in->firmware), err);
    return rc < 0 ? rc : snp_layout_digest(out, &ovmf, &layout, err);
}

static void digest_is_as_another_calculator_found(void **state)
{
    const json_t *test = *state;
    struct expected_inputs in;
    struct snp_digest digest;
    struct cofre_err err = {{0}};
    char text[2 * SNP_DIGEST_SIZE + 1];
    const char *missing = expected_read(&in, test);
    int rc = missing ? 0 : digest_of(test, &in, &digest, &err);
    expected_free(&in);
    if (missing) {
        print_message("# skipped: not on this machine: %s\n", missing);
        skip();
    }
    if (rc < 0)
        fail_msg("%s", err.text);
    assert_string_equal(expected_text(test, "vmm"), "QEMU");
    hex_encode(text, digest.value, sizeof digest.value);
    assert_string_equal(text, expected_text(test, "launch_digest"));
}

int main(void)
{
    return expected_run(digest_is_as_another_calculator_found);
}
