/* A guest that starts in OVMF: its launch image is QEMU's layout, and nothing of it lies where the guest has no memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sev/launch/firmware.h"
#include "sev/launch/launch.h"
#include "tests/unit/sev/ovmf_image.h"
#include "vmm/machine/firmware.h"

static const uint8_t kernel[] = "a kernel", initrd[] = "an initrd", cmdline[] = "console=ttyS0";
static struct boot_config config;
static struct launch_image launch;
static struct cofre_err err;

static int make(void **state)
{
    config = (struct boot_config){.tee = BOOT_SNP, .memory = BOOT_MEMORY_MIN, .cpus = 2};
    make_image(state);
    config.firmware = (struct view){image, SIZE};
    return 0;
}

static int destroy(void **state)
{
    (void)state;
    launch_image_free(&launch);
    return 0;
}

static int build(void)
{
    launch_image_free(&launch);
    return firmware_image_build(&config, &snp_tee_ops, &launch, &err);
}

static void with_kernel(void)
{
    config.kernel = (struct view){kernel, sizeof kernel};
    config.initrd = (struct view){initrd, sizeof initrd};
    config.cmdline = (struct view){cmdline, sizeof cmdline - 1};
}

static void predict(uint8_t digest[48], const char *model)
{
    struct tee *tee = NULL;
    struct tee_measurement m;
    assert_int_equal(snp_tee_ops.new(&tee, &err), 0);
    if (model)
        assert_int_equal(snp_tee_ops.set_option(tee, "cpu-model", model, &err), 0);
    assert_int_equal(snp_tee_ops.measure(tee, &launch, &m, &err), 0);
    memcpy(digest, m.value, 48);
    snp_tee_ops.free(tee);
}

static void layout_digest(struct snp_digest *digest, uint32_t signature)
{
    struct snp_ovmf ovmf;
    const struct snp_kernel_items items = {config.kernel, config.initrd, config.cmdline};
    const struct snp_layout layout = {.vmm = SNP_VMM_QEMU,
                                      .cpus = config.cpus,
                                      .cpu_signature = signature,
                                      .guest_features = SNP_FEATURE_ACTIVE,
                                      .kernel = config.kernel.len ? &items : NULL};
    assert_int_equal(snp_ovmf_parse(&ovmf, config.firmware, &err), 0);
    assert_int_equal(snp_layout_digest(digest, &ovmf, &layout, &err), 0);
}

static void is_predicted_as_qemus(void **state)
{
    (void)state;
    struct snp_digest expected;
    uint8_t digest[48], other[48];
    for (unsigned i = 0; i < 4; i++) {
        config.cpus = 1 + i % 2;
        if (i == 2)
            with_kernel();
        assert_int_equal(build(), 0);
        predict(digest, NULL);
        layout_digest(&expected, 0x800f12);
        assert_memory_equal(digest, expected.value, 48);
        predict(other, "EPYC-Milan");
        layout_digest(&expected, 0xa00f11);
        assert_memory_equal(other, expected.value, 48);
        assert_memory_not_equal(digest, other, 48);
    }
}

static void begins_with_the_image_and_then_its_sections(void **state)
{
    (void)state;
    static const enum launch_page_kind kinds[] = {LAUNCH_MEASURED, LAUNCH_ZERO, LAUNCH_SECRETS, LAUNCH_CPUID,
                                                  LAUNCH_MEASURED};
    with_kernel();
    assert_int_equal(build(), 0);
    assert_true(launch.at_reset);
    assert_int_equal(launch.entry, 0x80b004);
    assert_int_equal(launch.count, 5);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(launch.range[i].kind, kinds[i]);
    assert_ptr_equal(launch.range[0].data, image);
    assert_int_equal(launch.range[0].gpa, 0xffffe000);
    assert_false(bytes_are_zero(launch.range[4].data, 4096));
    config.kernel = config.initrd = config.cmdline = (struct view){0};
    assert_int_equal(build(), 0);
    assert_int_equal(launch.range[4].kind, LAUNCH_ZERO);
    assert_null(launch.range[4].data);
}

static void refused(int code, const char *word)
{
    assert_int_equal(build(), -code);
    assert_non_null(strstr(err.text, word));
}

static void sections_lie_in_the_guests_memory(void **state)
{
    (void)state;
    put_section(MEM, (uint32_t)BOOT_MEMORY_MIN - 0x1000, 0x1000, 1);
    assert_int_equal(build(), 0);
    put_section(MEM, (uint32_t)BOOT_MEMORY_MIN, 0x1000, 1);
    refused(COFRE_MALFORMED, "outside of the guest's memory");
    put_section(MEM, (uint32_t)BOOT_MEMORY_MIN - 0x1000, 0x2000, 1);
    refused(COFRE_MALFORMED, "outside of the guest's memory");
    config.memory = 4ull << 30; /* whose low part ends at 3 GiB */
    put_section(MEM, (uint32_t)RAM_LOW_END, 0x1000, 1);
    refused(COFRE_MALFORMED, "outside of the guest's memory");
    put_section(MEM, 0x80d000, 0x1000, 1); /* where the secrets are */
    refused(COFRE_MALFORMED, "overlap");
    put_section(MEM, 0xffffe000, 0x1000, 1);
    refused(COFRE_MALFORMED, "over the image");
}

static void what_cannot_start_is_refused(void **state)
{
    (void)state;
    config.initrd = (struct view){initrd, sizeof initrd};
    refused(COFRE_USAGE, "--kernel");
    with_kernel();
    config.cpus = 0;
    refused(COFRE_USAGE, "vCPUs");
    config.cpus = 1;
    config.memory++;
    refused(COFRE_USAGE, "2 MiB");
    config.memory--;
    put_section(KERNEL, 0x810000, 0x1000, 1);
    refused(COFRE_MALFORMED, "kernel hashes");
    put_section(MEM, 0x800000, 0x1000, 77);
    config.kernel = config.initrd = config.cmdline = (struct view){0};
    refused(COFRE_MALFORMED, "77");
    image[TABLE - 1] ^= 1;
    refused(COFRE_MALFORMED, "no SEV metadata");
    config.firmware.len = SIZE - 1;
    refused(COFRE_MALFORMED, "");
}

static void a_cpu_model_is_about_firmware(void **state)
{
    (void)state;
    struct tee *tee = NULL;
    struct tee_measurement m;
    const struct launch_image own = {.entry = SHIM_BASE, .cpus = 1};
    assert_int_equal(snp_tee_ops.new(&tee, &err), 0);
    assert_int_equal(snp_tee_ops.set_option(tee, "cpu-model", "Pentium", &err), -COFRE_USAGE);
    assert_int_equal(snp_tee_ops.set_option(tee, "cpu-model", "EPYC", &err), 0);
    assert_int_equal(snp_tee_ops.measure(tee, &own, &m, &err), -COFRE_USAGE);
    snp_tee_ops.free(tee);
}

static void a_plain_guest_has_the_image_alone(void **state)
{
    (void)state;
    config.tee = BOOT_PLAIN;
    assert_int_equal(firmware_image_build(&config, NULL, &launch, &err), 0);
    assert_int_equal(launch.count, 1);
    assert_int_equal(launch.range[0].gpa, 0xffffe000);
    assert_true(launch.at_reset);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(is_predicted_as_qemus, make, destroy),
        cmocka_unit_test_setup_teardown(begins_with_the_image_and_then_its_sections, make, destroy),
        cmocka_unit_test_setup_teardown(sections_lie_in_the_guests_memory, make, destroy),
        cmocka_unit_test_setup_teardown(what_cannot_start_is_refused, make, destroy),
        cmocka_unit_test_setup_teardown(a_cpu_model_is_about_firmware, make, destroy),
        cmocka_unit_test_setup_teardown(a_plain_guest_has_the_image_alone, make, destroy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
