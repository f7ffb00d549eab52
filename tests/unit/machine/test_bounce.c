#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/machine/bounce.h"

#define MIB (1ull << 20)

static const struct device_kind disk = {.option = "disk", .requests = 64, .request_size = 128 << 10};
static const struct device_kind net = {.option = "net", .requests = 256, .request_size = 68 << 10};

static uint64_t size_of(const struct device_request *devices, unsigned count)
{
    return bounce_size(devices, count, 1, 4096 * MIB);
}

static void follows_from_cpus_devices_and_queues(void **state)
{
    (void)state;
    assert_int_equal(size_of(NULL, 0), 5 * MIB);
    assert_int_equal(bounce_size(NULL, 0, 8, 4096 * MIB), 12 * MIB);
    assert_int_equal(size_of((struct device_request[]){{&disk, "f"}}, 1), 13 * MIB);
    assert_int_equal(size_of((struct device_request[]){{&disk, "f,queues=4"}}, 1), 37 * MIB);
    assert_int_equal(size_of((struct device_request[]){{&disk, "f"}, {&net, "passt,queues=2"}}, 2), 47 * MIB);
}

static void a_number_of_queues_that_is_none_or_mad_is_bounded(void **state)
{
    (void)state;
    assert_int_equal(size_of((struct device_request[]){{&disk, "f,queues="}}, 1), 13 * MIB);
    assert_int_equal(size_of((struct device_request[]){{&disk, "f,queues=0"}}, 1), 13 * MIB);
    assert_int_equal(size_of((struct device_request[]){{&disk, "f,queues=99999999999999999999"}}, 1),
                     517 * MIB);
}

static void a_small_guest_keeps_three_quarters_of_its_memory(void **state)
{
    (void)state;
    const struct device_request many[] = {{&net, "passt"}, {&net, "passt"}, {&net, "passt"}, {&net, "passt"}};
    assert_int_equal(bounce_size(many, 4, 1, 128 * MIB), 32 * MIB);
    assert_int_equal(bounce_size(many, 4, 1, 130 * MIB), 32 * MIB);
    assert_true(bounce_size((struct device_request[]){{&net, "p,queues=64"}, {&net, "p,queues=64"}}, 2, 255,
                            1ull << 40) <= 1024 * MIB);
}

static void linux_default_is_never_asked_for_because_linux_would_enlarge_it(void **state)
{
    (void)state;
    assert_int_equal(bounce_size(NULL, 0, 60, 4096 * MIB), 65 * MIB);
    assert_int_equal(bounce_size(NULL, 0, 200, 256 * MIB), 65 * MIB);
}

static void assert_cmdline(const char *given, uint64_t size, const char *expected)
{
    struct bytes line;
    struct cofre_err err;
    assert_int_equal(bounce_cmdline(&line, given, size, &err), 0);
    assert_int_equal(line.len, strlen(expected));
    assert_memory_equal(line.data, expected, line.len);
    bytes_free(&line);
}

static void comes_before_the_command_line_unless_that_has_one(void **state)
{
    (void)state;
    assert_cmdline("", 5 * MIB, "swiotlb=2560");
    assert_cmdline("quiet -- arg", 5 * MIB, "swiotlb=2560 quiet -- arg");
    assert_cmdline("swiotlb=1024", 5 * MIB, "swiotlb=1024");
    assert_cmdline("quiet swiotlb=force", 5 * MIB, "quiet swiotlb=force");
    assert_cmdline("noswiotlb=1", 5 * MIB, "swiotlb=2560 noswiotlb=1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_from_cpus_devices_and_queues),
        cmocka_unit_test(a_number_of_queues_that_is_none_or_mad_is_bounded),
        cmocka_unit_test(a_small_guest_keeps_three_quarters_of_its_memory),
        cmocka_unit_test(linux_default_is_never_asked_for_because_linux_would_enlarge_it),
        cmocka_unit_test(comes_before_the_command_line_unless_that_has_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
