/* A firmware reads what the machine has to say, by ports and by commands; and a hostile one tries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/devices/fw_cfg.h"

#define MEMORY  0x10000u
#define COMMAND 0x1000u
#define TARGET  0x2000u

enum { READ = 2, SKIP = 4, SELECT = 8, WRITE = 16 };

static uint8_t memory[MEMORY];
static struct guest_memory view;
static struct bus ports;
static struct fw_cfg fw_cfg;
static const uint8_t kernel[] = "a kernel", table[] = "a table";

static int make(void **state)
{
    (void)state;
    struct cofre_err err;
    memset(memory, 0xee, sizeof memory);
    memset(&ports, 0, sizeof ports);
    memset(&view, 0, sizeof view);
    assert_int_equal(guest_memory_add(&view, 0, MEMORY, memory, &err), 0);
    fw_cfg_init(&fw_cfg, &view);
    fw_cfg_add(&fw_cfg, FW_CFG_KERNEL_DATA, (struct view){kernel, sizeof kernel});
    fw_cfg_add_file(&fw_cfg, "etc/one", (struct view){table, sizeof table});
    fw_cfg_add_file(&fw_cfg, "etc/two", (struct view){NULL, 0});
    return fw_cfg_map(&fw_cfg, &ports, &err);
}

static int destroy(void **state)
{
    (void)state;
    fw_cfg_destroy(&fw_cfg);
    return 0;
}

static void select_by_port(uint16_t key)
{
    assert_true(bus_write(&ports, FW_CFG_PORT, 2, key));
}

static uint8_t next(void)
{
    uint64_t value;
    assert_true(bus_read(&ports, FW_CFG_PORT + 1, 1, &value));
    return (uint8_t)value;
}

static void run_at(uint64_t gpa)
{
    bus_write(&ports, FW_CFG_PORT + 4, 4, __builtin_bswap32((uint32_t)(gpa >> 32)));
    bus_write(&ports, FW_CFG_PORT + 8, 4, __builtin_bswap32((uint32_t)gpa));
}

/* The outcome: what the command's first number is afterwards. */
static uint32_t run(uint32_t control, uint32_t len, uint64_t address)
{
    const uint32_t numbers[2] = {__builtin_bswap32(control), __builtin_bswap32(len)};
    address = __builtin_bswap64(address);
    memcpy(memory + COMMAND, numbers, sizeof numbers);
    memcpy(memory + COMMAND + 8, &address, sizeof address);
    run_at(COMMAND);
    uint32_t outcome;
    memcpy(&outcome, memory + COMMAND, sizeof outcome);
    return __builtin_bswap32(outcome);
}

static void is_found_by_its_signatures(void **state)
{
    (void)state;
    uint64_t high, low;
    select_by_port(FW_CFG_SIGNATURE);
    for (const char *c = "QEMU"; *c; c++)
        assert_int_equal(next(), *c);
    select_by_port(FW_CFG_INTERFACES);
    assert_int_equal(next(), 3);
    bus_read(&ports, FW_CFG_PORT + 4, 4, &high);
    bus_read(&ports, FW_CFG_PORT + 8, 4, &low);
    assert_memory_equal(&high, "QEMU", 4);
    assert_memory_equal(&low, " CFG", 4);
}

static void names_its_files(void **state)
{
    (void)state;
    static const uint8_t expected[] = {0,    0, 0, 2,   0,   0,   0,   sizeof table, 0,
                                       0x20, 0, 0, 'e', 't', 'c', '/', 'o'};
    select_by_port(FW_CFG_DIRECTORY);
    for (size_t i = 0; i < sizeof expected; i++)
        assert_int_equal(next(), expected[i]);
    assert_int_equal(run(FW_CFG_DIRECTORY << 16 | SELECT | SKIP, 4 + 64, 0), 0);
    assert_int_equal(run(READ, 64, TARGET), 0);
    assert_memory_equal(memory + TARGET, "\0\0\0\0\0\x21\0\0etc/two", 16);
}

static void reads_zeros_beyond_an_item_and_where_there_is_none(void **state)
{
    (void)state;
    select_by_port(FW_CFG_FIRST_FILE);
    for (size_t i = 0; i < sizeof table; i++)
        assert_int_equal(next(), table[i]);
    assert_int_equal(next(), 0);
    select_by_port(0x7777);
    assert_int_equal(next(), 0);
    select_by_port(FW_CFG_FIRST_FILE + 1);
    assert_int_equal(next(), 0);
    assert_int_equal(run(FW_CFG_KERNEL_DATA << 16 | SELECT | READ, 64, TARGET), 0);
    assert_string_equal((char *)memory + TARGET, (const char *)kernel);
    assert_true(bytes_are_zero(memory + TARGET + sizeof kernel, 64 - sizeof kernel));
    assert_int_equal(memory[TARGET + 64], 0xee);
}

static void goes_on_where_the_last_read_ended(void **state)
{
    (void)state;
    assert_int_equal(run(FW_CFG_KERNEL_DATA << 16 | SELECT | SKIP, 2, 0), 0);
    assert_int_equal(run(READ, 3, TARGET), 0);
    assert_memory_equal(memory + TARGET, "ker", 3);
    assert_int_equal(next(), 'n');
    assert_int_equal(run(SKIP, UINT32_MAX, 0), 0);
    assert_int_equal(run(SKIP, UINT32_MAX, 0), 0);
    assert_int_equal(next(), 0);
}

static void refuses_to_be_written(void **state)
{
    (void)state;
    memcpy(memory + TARGET, "changed!", 8);
    assert_int_equal(run(FW_CFG_KERNEL_DATA << 16 | SELECT | WRITE, 8, TARGET), 1);
    bus_write(&ports, FW_CFG_PORT + 1, 1, 'x');
    select_by_port(FW_CFG_KERNEL_DATA);
    assert_int_equal(next(), 'a');
}

static void touches_nothing_outside_of_memory(void **state)
{
    (void)state;
    static const struct {
        uint64_t address;
        uint32_t len;
    } targets[] = {{MEMORY, 1}, {MEMORY - 4, 5}, {UINT64_MAX - 3, 8}, {TARGET, MEMORY}, {TARGET, UINT32_MAX}};
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        assert_int_equal(run(FW_CFG_KERNEL_DATA << 16 | SELECT | READ, targets[i].len, targets[i].address),
                         1);
        assert_int_equal(memory[TARGET], 0xee);
        assert_int_equal(memory[MEMORY - 4], 0xee);
        assert_int_equal(next(), 'a'); /* and nothing was taken */
    }
    assert_int_equal(run(READ, 0, MEMORY), 0);
    run_at(MEMORY - 8);
    run_at(UINT64_MAX);
    assert_int_equal(memory[MEMORY - 8], 0xee);
}

static void takes_no_access_of_another_width(void **state)
{
    (void)state;
    uint64_t value;
    select_by_port(FW_CFG_KERNEL_DATA);
    bus_read(&ports, FW_CFG_PORT + 1, 2, &value);
    assert_int_equal(value, 0);
    bus_write(&ports, FW_CFG_PORT, 1, FW_CFG_SIGNATURE);
    bus_write(&ports, FW_CFG_PORT, 4, FW_CFG_SIGNATURE);
    assert_int_equal(next(), 'a');
    bus_write(&ports, FW_CFG_PORT + 8, 2, 0);
    bus_write(&ports, FW_CFG_PORT + 4, 8, 0);
    assert_int_equal(memory[COMMAND], 0xee);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(is_found_by_its_signatures, make, destroy),
        cmocka_unit_test_setup_teardown(names_its_files, make, destroy),
        cmocka_unit_test_setup_teardown(reads_zeros_beyond_an_item_and_where_there_is_none, make, destroy),
        cmocka_unit_test_setup_teardown(goes_on_where_the_last_read_ended, make, destroy),
        cmocka_unit_test_setup_teardown(refuses_to_be_written, make, destroy),
        cmocka_unit_test_setup_teardown(touches_nothing_outside_of_memory, make, destroy),
        cmocka_unit_test_setup_teardown(takes_no_access_of_another_width, make, destroy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
