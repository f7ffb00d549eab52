/* What TDX guests measure, through the command line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>
#include <openssl/sha.h>

#include "tests/unit/cli/run.h"
#include "vmm/machine/bounce.h"

#define MIB    (1ull << 20)
#define DIGEST SHA384_DIGEST_LENGTH
#define HEX    (2 * DIGEST)

/* As test_tdvf.c has it, with where it is from. */
static const char debian_mrtd[] = "a7a1f751abc454f9cbab198ca8d2edb2821935df525c7418"
                                  "2b5e776cb0929e8c59aefecce725b0d08a5e9d3d3183bd08";

static uint8_t kernel[0x3001], initrd[777];

/* A bzImage as its header says it, and something that stands for the shim: any is measured alike. */
static int write_files(void **state)
{
    static const uint8_t shim[100] = {0xfa, 0xfc};
    char path[CLI_PATH_SIZE];
    if (cli_setup(state) < 0)
        return -1;
    kernel[0x1f1] = 1;
    put_le16(kernel + 0x1fe, 0xaa55);
    kernel[0x201] = 0x6a;
    memcpy(kernel + 0x202, "HdrS", 4);
    put_le16(kernel + 0x206, 0x020f);
    kernel[0x211] = 1;
    put_le32(kernel + 0x22c, 0x7fffffff);
    put_le32(kernel + 0x230, 0x200000);
    kernel[0x234] = 1;
    put_le16(kernel + 0x236, 1);
    put_le32(kernel + 0x238, 2047);
    put_le64(kernel + 0x258, 16 << 20);
    put_le32(kernel + 0x260, 60 << 20);
    memset(initrd, 7, sizeof initrd);
    cli_write("kernel", (struct view){kernel, sizeof kernel});
    cli_write("initrd", (struct view){initrd, sizeof initrd});
    cli_write("shim", (struct view){shim, sizeof shim});
    cli_path(path, "shim");
    return setenv("COFRE_SHIM", path, 1);
}

/* The object that --json prints; the caller frees it. */
static json_t *measured(const char *options)
{
    char command[512];
    (void)snprintf(command, sizeof command, "measure --tee tdx --json --kernel kernel %s", options);
    if (cli_run(command) != 0)
        fail_msg("%s", cli_output);
    json_t *all = json_loads(cli_output, 0, NULL);
    assert_non_null(all);
    return all;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    if (!text || strlen(text) != HEX)
        fail_msg("%s is not a digest", key);
    return text;
}

/* register = SHA-384(register | SHA-384(data)), on hexadecimal text. */
static void extend(char hex[HEX + 1], const void *data, size_t len)
{
    uint8_t both[2 * DIGEST], value[DIGEST];
    assert_true(hex_decode(both, DIGEST, hex));
    SHA384(data, len, both + DIGEST);
    SHA384(both, sizeof both, value);
    hex_encode(hex, value, sizeof value);
}

/* By the command line that a guest without devices gets: the one given, and the size of its bounce buffers. */
static void extend_cmdline(char hex[HEX + 1], const char *given, unsigned cpus, uint64_t memory)
{
    struct bytes cmdline;
    assert_int_equal(bounce_cmdline(&cmdline, given, bounce_size(NULL, 0, cpus, memory), NULL), 0);
    extend(hex, cmdline.data, cmdline.len);
    bytes_free(&cmdline);
}

static void zeros(char hex[HEX + 1])
{
    memset(hex, '0', HEX);
    hex[HEX] = '\0';
}

static void the_registers_are_what_is_booted(void **state)
{
    (void)state;
    char want[HEX + 1];
    json_t *all = measured("--initrd initrd --cmdline 'quiet panic=1' --cpus 2 --memory 1G");
    zeros(want);
    assert_string_equal(text_of(all, "rtmr3"), want);
    assert_string_not_equal(text_of(all, "rtmr0"), want);
    extend(want, kernel, sizeof kernel);
    assert_string_equal(text_of(all, "rtmr1"), want);
    zeros(want);
    extend_cmdline(want, "quiet panic=1", 2, 1024 * MIB);
    extend(want, initrd, sizeof initrd);
    assert_string_equal(text_of(all, "rtmr2"), want);
    assert_int_equal(json_integer_value(json_object_get(all, "cpus")), 2);
    json_decref(all);
}

static void what_is_absent_is_not_measured(void **state)
{
    (void)state;
    char want[HEX + 1];
    json_t *all = measured("");
    zeros(want);
    extend_cmdline(want, "", 1, 512 * MIB);
    assert_string_equal(text_of(all, "rtmr2"), want);
    json_decref(all);
}

/* Each option changes what it is about, and nothing else; the size of bounce buffers is on the command line. */
static void mrtd_is_of_the_layout_and_the_registers_of_what_it_boots(void **state)
{
    (void)state;
    static const char *const registers[] = {"mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3"};
    const struct {
        const char *options;
        bool changed[5];
    } cases[] = {
        {"--initrd initrd --cmdline quiet", {0}},
        {"--initrd initrd --cmdline quiet --cpus 1 --memory 512M", {0}},
        {"--initrd initrd --cmdline verbose", {false, false, false, true}},
        {"--initrd kernel --cmdline quiet", {false, false, false, true}},
        {"--initrd initrd --cmdline quiet --kernel other", {false, false, true}},
        {"--initrd initrd --cmdline quiet --cpus 3", {true, false, false, true}},
        {"--initrd initrd --cmdline quiet --disk image", {false, false, false, true}},
        {"--initrd initrd --cmdline quiet --memory 5G", {false, true}},
    };
    json_t *first = measured(cases[0].options);
    kernel[0x3000] = 1;
    cli_write("other", (struct view){kernel, sizeof kernel});
    kernel[0x3000] = 0;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *all = measured(cases[i].options);
        for (int j = 0; j < 5; j++) {
            bool same = strcmp(text_of(all, registers[j]), text_of(first, registers[j])) == 0;
            if (same == cases[i].changed[j])
                fail_msg("%s: %s is %s", cases[i].options, registers[j], same ? "the same" : "another");
        }
        json_decref(all);
    }
    json_decref(first);
}

/* Then the command line is what it was, whatever the guest has. */
static void a_command_line_that_has_a_size_of_bounce_buffers_is_measured_as_it_is(void **state)
{
    (void)state;
    static const char cmdline[] = "swiotlb=8192 quiet";
    static const char *const more[] = {"", " --cpus 3", " --disk image"};
    char want[HEX + 1];
    zeros(want);
    extend(want, cmdline, sizeof cmdline - 1);
    for (size_t i = 0; i < sizeof more / sizeof more[0]; i++) {
        char options[64];
        (void)snprintf(options, sizeof options, "--cmdline '%s'%s", cmdline, more[i]);
        json_t *all = measured(options);
        assert_string_equal(text_of(all, "rtmr2"), want);
        json_decref(all);
    }
}

static void a_line_each_is_for_people(void **state)
{
    (void)state;
    char want[5 * 128], *at = want;
    static const char *const lines[][2] = {
        {"MRTD", "mrtd"}, {"RTMR0", "rtmr0"}, {"RTMR1", "rtmr1"}, {"RTMR2", "rtmr2"}, {"RTMR3", "rtmr3"}};
    json_t *all = measured("--cmdline quiet");
    for (int i = 0; i < 5; i++)
        at += sprintf(at, "%s %s\n", lines[i][0], text_of(all, lines[i][1]));
    json_decref(all);
    assert_int_equal(cli_run("measure --tee tdx --kernel kernel --cmdline quiet"), 0);
    assert_string_equal(cli_output, want);
}

static void firmware_has_an_mrtd_whoever_launches_it_and_no_registers(void **state)
{
    (void)state;
    const char *shared = getenv("COFRE_SHARED");
    char command[4200], want[128];
    (void)snprintf(command, sizeof command,
                   "--help > /dev/null; xz -dc '%s/firmware/debian-sid-OVMF.inteltdx.ms.fd.xz' > fd",
                   shared ? shared : "../shared");
    if (cli_run(command) != 0) {
        print_message("# skipped: ../shared/firmware has no OVMF.inteltdx.ms.fd, or xz is not here\n");
        skip();
    }
    (void)snprintf(want, sizeof want, "MRTD %s\n", debian_mrtd);
    assert_int_equal(cli_run("measure --tee tdx --vmm qemu --firmware fd"), 0);
    assert_string_equal(cli_output, want);
    assert_int_equal(cli_run("measure --tee tdx --firmware fd --memory 4G --cpus 3"), 0); /* by Cofre */
    assert_string_equal(cli_output, want);
    assert_int_equal(cli_run("measure --tee tdx --vmm gce --firmware fd --json"), 0);
    json_t *all = json_loads(cli_output, 0, NULL);
    assert_string_equal(text_of(all, "mrtd"), debian_mrtd);
    assert_null(json_object_get(all, "rtmr0"));
    assert_null(json_object_get(all, "cpus"));
    json_decref(all);
}

static void what_does_not_apply_is_refused(void **state)
{
    (void)state;
    const struct {
        const char *options;
        int code;
        const char *says;
    } cases[] = {
        {"", 2, "--tee is missing"},
        {"--tee sgx", 2, "only guests of snp and tdx"},
        {"--tee tdx", 2, "--kernel is missing"},
        {"--tee tdx --vmm ec2 --firmware kernel", 2, "--vmm ec2 has no guests of Intel TDX"},
        {"--tee tdx --vmm qemu", 2, "--firmware is missing"},
        {"--tee tdx --vmm bochs --firmware kernel", 2, "not known"},
        {"--tee tdx --kernel kernel --firmware kernel", 3, "not whole pages"},
        {"--tee tdx --vmm qemu --firmware kernel --kernel kernel", 2, "--kernel has no part"},
        {"--tee tdx --vmm gce --firmware kernel --cpus 2", 2, "--cpus has no part"},
        {"--tee tdx --vmm qemu --firmware kernel --cpu-model EPYC", 2, "--cpu-model has no part"},
        {"--tee tdx --kernel kernel --guest-features 1", 2, "--guest-features has no part"},
        {"--tee tdx --kernel kernel --cpus 0", 2, "--cpus"},
        {"--tee tdx --vmm qemu --firmware kernel", 3, "not whole pages"},
        {"--tee tdx --kernel initrd", 3, "bzImage"},
        {"--tee tdx --kernel kernel --mrconfigid 00", 2, "mrconfigid"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char command[512];
        (void)snprintf(command, sizeof command, "measure %s", cases[i].options);
        int code = cli_run(command);
        if (code != cases[i].code || !strstr(cli_output, cases[i].says))
            fail_msg("%s: exit %d: %s", cases[i].options, code, cli_output);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_registers_are_what_is_booted),
        cmocka_unit_test(what_is_absent_is_not_measured),
        cmocka_unit_test(mrtd_is_of_the_layout_and_the_registers_of_what_it_boots),
        cmocka_unit_test(a_command_line_that_has_a_size_of_bounce_buffers_is_measured_as_it_is),
        cmocka_unit_test(a_line_each_is_for_people),
        cmocka_unit_test(firmware_has_an_mrtd_whoever_launches_it_and_no_registers),
        cmocka_unit_test(what_does_not_apply_is_refused),
    };
    return cmocka_run_group_tests(tests, write_files, cli_teardown);
}
