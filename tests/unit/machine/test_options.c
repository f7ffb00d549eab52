#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/machine/options.h"

static const struct tee_option snp_options[] = {{"policy", "FLAGS", ""}, {"host-data", "HEX", ""}, {0}};
static const struct tee_ops snp = {.name = "snp", .title = "SNP", .options = snp_options};
static const struct tee_ops *const tees[] = {&snp, NULL};

static struct run_options options;
static struct cofre_err err;

#define ARGS_MAX 64
static int parse(const char *first, ...)
{
    const char *argv[ARGS_MAX] = {"cofre-vmm"};
    int argc = 1;
    va_list args;
    va_start(args, first);
    for (const char *a = first; a && argc < ARGS_MAX - 1; a = va_arg(args, const char *))
        argv[argc++] = a;
    va_end(args);
    err.text[0] = 0;
    return run_options_parse(&options, argc, (char **)(uintptr_t)argv, tees, &err);
}

static void takes_all_that_a_guest_is(void **state)
{
    (void)state;
    assert_int_equal(parse("--tee", "snp", "--emulated", "--kernel", "k", "--initrd", "i", "--cmdline", "a b",
                           "--cpus", "4", "--memory", "5G", "--numa-node", "0", "--disk", "d1", "--disk",
                           "d2,ro", "--vsock-cid", "3", "--policy", "smt", "--host-data", "00", "--name", "n",
                           "--console", "c", "--console-input", "i", "--launches", "l", "--rates", "r",
                           "--no-reboot", "--watchdog", "stop", "--json", NULL),
                     0);
    assert_ptr_equal(options.tee, &snp);
    assert_true(options.emulated && options.json && options.no_reboot && !options.expects && !options.help);
    assert_string_equal(options.guest.kernel, "k");
    assert_string_equal(options.guest.initrd, "i");
    assert_string_equal(options.guest.cmdline, "a b");
    assert_int_equal(options.guest.cpus, 4);
    assert_int_equal(options.guest.memory, 5ull << 30);
    assert_true(options.numa.given);
    assert_int_equal(options.numa.node, 0);
    assert_int_equal(options.devices, 2);
    assert_string_equal(options.device[1].spec, "d2,ro");
    assert_int_equal(options.vsock_cid, 3);
    assert_int_equal(options.tee_options, 2);
    assert_string_equal(options.tee_option[1].name, "host-data");
    assert_string_equal(options.tee_option[1].value, "00");
    assert_string_equal(options.name, "n");
    assert_string_equal(options.console, "c");
    assert_string_equal(options.console_input, "i");
    assert_string_equal(options.launches, "l");
    assert_string_equal(options.rates, "r");
}

static void has_the_defaults_that_measure_has(void **state)
{
    (void)state;
    assert_int_equal(parse("--tee", "none", "--kernel", "k", NULL), 0);
    assert_null(options.tee);
    assert_int_equal(options.guest.cpus, 1);
    assert_int_equal(options.guest.memory, BOOT_MEMORY_DEFAULT);
    assert_false(options.numa.given);
    assert_null(options.guest.cmdline);
    assert_int_equal(options.vsock_cid, 0);
}

static void takes_an_expected_measurement_of_96_digits_only(void **state)
{
    (void)state;
    char hex[98];
    memset(hex, 'a', sizeof hex);
    hex[96] = 0;
    assert_int_equal(parse("--tee", "snp", "--kernel", "k", "--expect-measurement", hex, NULL), 0);
    assert_true(options.expects);
    assert_int_equal(options.expected[47], 0xaa);
    hex[95] = 0;
    assert_int_equal(parse("--tee", "snp", "--kernel", "k", "--expect-measurement", hex, NULL), -COFRE_USAGE);
    hex[95] = 'g';
    assert_int_equal(parse("--tee", "snp", "--kernel", "k", "--expect-measurement", hex, NULL), -COFRE_USAGE);
}

static void a_tee_that_is_not_there_is_refused_with_those_that_are(void **state)
{
    (void)state;
    assert_int_equal(parse("--tee", "sgx", "--kernel", "k", NULL), -COFRE_USAGE);
    assert_non_null(strstr(err.text, "it is snp or none"));
}

static void firmware_needs_no_kernel(void **state)
{
    (void)state;
    assert_int_equal(parse("--tee", "snp", "--firmware", "f", NULL), 0);
    assert_string_equal(options.guest.firmware, "f");
    assert_null(options.guest.kernel);
}

static void an_igvm_file_needs_no_kernel_and_no_firmware(void **state)
{
    (void)state;
    assert_int_equal(parse("--tee", "snp", "--igvm", "f", NULL), 0);
    assert_string_equal(options.guest.igvm, "f");
    assert_null(options.guest.firmware);
    assert_int_equal(parse("--tee", "snp", "--igvm", "f", "--firmware", "g", NULL), -COFRE_USAGE);
    assert_non_null(strstr(err.text, "one of them"));
}

static void names_the_option_that_is_wrong(void **state)
{
    (void)state;
    const struct {
        const char *arg[4];
        const char *says;
    } wrong[] = {
        {{"--kernel", "k"}, "--tee"},
        {{"--tee", "none"}, "--kernel"},
        {{"--tee"}, "--tee"},
        {{"--no-such"}, "--no-such"},
        {{"word", "--tee", "none"}, "word"},
        {{"--cpus", "0"}, "--cpus"},
        {{"--cpus", "256"}, "--cpus"},
        {{"--cpus", "-1"}, "--cpus"},
        {{"--memory", "1X"}, "--memory"},
        {{"--numa-node", "-1"}, "--numa-node"},
        {{"--numa-node", "1024"}, "--numa-node"},
        {{"--memory", ""}, "--memory"},
        {{"--memory", "1G,"}, "\"\" is none of pages=2M"},
        {{"--memory", "1G,pages=4K"}, "\"pages=4K\" is none of pages=2M"},
        {{"--memory", ",locked"}, "--memory"},
        {{"--memory", "1536M,pages=1G"}, "no whole number of huge pages"},
        {{"--memory", "1048576K,locked,locked,locked,locked,locked,locked,locked,locked,locked"}, "too long"},
        {{"--vsock-cid", "2"}, "--vsock-cid"},
        {{"--vsock-cid", "4294967295"}, "--vsock-cid"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        const char *const *a = wrong[i].arg;
        int rc = i < 4 ? parse(a[0], a[1], NULL) : parse("--tee", "none", "--kernel", "k", a[0], a[1], NULL);
        assert_int_equal(rc, -COFRE_USAGE);
        assert_non_null(strstr(err.text, wrong[i].says));
    }
}

static void memory_is_of_a_kind(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        uint64_t huge;
        bool locked;
    } good[] = {{"1G", 0, false},
                {"1G,locked", 0, true},
                {"1G,pages=2M", MEMORY_HUGE_2M, false},
                {"1G,locked,pages=1G", MEMORY_HUGE_1G, true}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(parse("--tee", "none", "--kernel", "k", "--memory", good[i].value, NULL), 0);
        assert_int_equal(options.guest.memory, 1ull << 30);
        assert_int_equal(options.memory.huge, good[i].huge);
        assert_int_equal(options.memory.locked, good[i].locked);
    }
    assert_int_equal(parse("--tee", "snp", "--kernel", "k", "--memory", "1G,locked", NULL), 0);
    assert_int_equal(parse("--tee", "snp", "--kernel", "k", "--memory", "1G,pages=2M", NULL), -COFRE_USAGE);
    assert_non_null(strstr(err.text, "huge pages are for plain guests"));
}

static void a_plain_guest_takes_nothing_of_a_tee(void **state)
{
    (void)state;
    assert_int_equal(parse("--tee", "none", "--kernel", "k", "--policy", "smt", NULL), -COFRE_USAGE);
    assert_non_null(strstr(err.text, "--policy"));
    assert_int_equal(parse("--tee", "none", "--kernel", "k", "--emulated", NULL), -COFRE_USAGE);
    char hex[97];
    memset(hex, '0', 96);
    hex[96] = 0;
    assert_int_equal(parse("--tee", "none", "--kernel", "k", "--expect-measurement", hex, NULL),
                     -COFRE_USAGE);
}

static void too_many_devices_are_refused(void **state)
{
    (void)state;
#define D  "--disk", "d"
#define D4 D, D, D, D
    assert_int_equal(parse("--tee", "none", "--kernel", "k", D4, D4, D4, D4, D4, D4, NULL), 0);
    assert_int_equal(parse("--tee", "none", "--kernel", "k", D4, D4, D4, D4, D4, D4, D, NULL), -COFRE_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_all_that_a_guest_is),
        cmocka_unit_test(has_the_defaults_that_measure_has),
        cmocka_unit_test(takes_an_expected_measurement_of_96_digits_only),
        cmocka_unit_test(a_tee_that_is_not_there_is_refused_with_those_that_are),
        cmocka_unit_test(firmware_needs_no_kernel),
        cmocka_unit_test(an_igvm_file_needs_no_kernel_and_no_firmware),
        cmocka_unit_test(names_the_option_that_is_wrong),
        cmocka_unit_test(memory_is_of_a_kind),
        cmocka_unit_test(a_plain_guest_takes_nothing_of_a_tee),
        cmocka_unit_test(too_many_devices_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
