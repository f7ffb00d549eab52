/* What firmware is told: memory, tables that it can place where it likes, kernel, initrd and command line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/machine/firmware_devices.h"

static struct bus ports;
static struct pci_bus pci;
static struct guest_memory memory;
static struct firmware_devices devices;
static struct cofre_err err;
static uint8_t kernel[4096];
static const uint8_t initrd[] = "an initrd", cmdline[] = {'q', 'u', 'i', 'e', 't'};

static void no_message(void *context, uint64_t address, uint32_t data)
{
    (void)context;
    (void)address;
    (void)data;
}

static void attach(const struct boot_config *config)
{
    memset(&ports, 0, sizeof ports);
    memset(&devices, 0, sizeof devices);
    pci_bus_init(&pci, firmware_pci_window(config->memory), (struct msi_sink){no_message, NULL});
    assert_int_equal(firmware_devices_attach(&devices, config, &memory, &pci, &ports, &err), 0);
}

static void detach(void)
{
    firmware_devices_destroy(&devices);
    pci_bus_destroy(&pci);
}

static void read_item(uint16_t key, void *out, size_t len)
{
    uint64_t byte;
    bus_write(&ports, FW_CFG_PORT, 2, key);
    for (size_t i = 0; i < len; i++) {
        assert_true(bus_read(&ports, FW_CFG_PORT + 1, 1, &byte));
        ((uint8_t *)out)[i] = (uint8_t)byte;
    }
}

static uint32_t number(uint16_t key)
{
    uint8_t value[4];
    read_item(key, value, sizeof value);
    return le32(value);
}

/* Reads a file by its name; its size. */
static size_t read_file(const char *name, uint8_t *out, size_t size)
{
    uint8_t directory[4 + 8 * 64];
    read_item(FW_CFG_DIRECTORY, directory, sizeof directory);
    assert_int_equal(directory[0] | directory[1] | directory[2], 0);
    for (unsigned i = 0; i < directory[3]; i++) {
        const uint8_t *entry = directory + 4 + i * 64;
        size_t len = (size_t)entry[2] << 8 | entry[3];
        if (strcmp((const char *)entry + 8, name) != 0)
            continue;
        assert_true(entry[0] == 0 && entry[1] == 0 && len <= size);
        read_item((uint16_t)(entry[4] << 8 | entry[5]), out, len);
        return len;
    }
    fail_msg("there is no %s", name);
    return 0;
}

static void says_where_memory_is(void **state)
{
    (void)state;
    uint8_t e820[64];
    attach(&(struct boot_config){.memory = 512ull << 20, .cpus = 3});
    assert_int_equal(read_file("etc/e820", e820, sizeof e820), 20);
    assert_int_equal(le64(e820), 0);
    assert_int_equal(le64(e820 + 8), 512 << 20);
    assert_int_equal(le32(e820 + 16), 1);
    assert_int_equal(number(FW_CFG_CPUS), 3);
    detach();
    attach(&(struct boot_config){.memory = 5ull << 30, .cpus = 1});
    assert_int_equal(read_file("etc/e820", e820, sizeof e820), 40);
    assert_int_equal(le64(e820 + 8), 3ull << 30);
    assert_int_equal(le64(e820 + 20), 4ull << 30);
    assert_int_equal(le64(e820 + 28), 2ull << 30);
    detach();
}

static void pci_is_where_firmware_puts_it(void **state)
{
    (void)state;
    static const struct {
        uint64_t memory;
        uint32_t base;
    } windows[] = {{128ull << 20, 0x80000000},
                   {2ull << 30, 0x80000000},
                   {2560ull << 20, 0xa0000000},
                   {8ull << 30, 0xc0000000}};
    for (size_t i = 0; i < sizeof windows / sizeof windows[0]; i++) {
        const struct pci_window window = firmware_pci_window(windows[i].memory);
        assert_int_equal(window.base, windows[i].base);
        assert_int_equal(window.base + window.len, CHIPSET_ECAM_BASE);
    }
}

static void hands_over_the_kernel_in_its_two_parts(void **state)
{
    (void)state;
    uint8_t part[4096];
    const struct boot_config config = {.memory = 512ull << 20,
                                       .cpus = 1,
                                       .kernel = {kernel, sizeof kernel},
                                       .initrd = {initrd, sizeof initrd},
                                       .cmdline = {cmdline, sizeof cmdline}};
    for (size_t i = 0; i < sizeof kernel; i++)
        kernel[i] = (uint8_t)(i * 7 + i / 256);
    kernel[0x1f1] = 3;
    attach(&config);
    assert_int_equal(number(FW_CFG_SETUP_SIZE), 4 * 512);
    assert_int_equal(number(FW_CFG_KERNEL_SIZE), 4096 - 4 * 512);
    read_item(FW_CFG_SETUP_DATA, part, 4 * 512);
    read_item(FW_CFG_KERNEL_DATA, part + 4 * 512, 4096 - 4 * 512);
    assert_memory_equal(part, kernel, sizeof kernel);
    assert_int_equal(number(FW_CFG_INITRD_SIZE), sizeof initrd);
    read_item(FW_CFG_INITRD_DATA, part, sizeof initrd);
    assert_memory_equal(part, initrd, sizeof initrd);
    assert_int_equal(number(FW_CFG_CMDLINE_SIZE), sizeof cmdline + 1);
    read_item(FW_CFG_CMDLINE_DATA, part, sizeof cmdline + 1);
    assert_string_equal((const char *)part, "quiet");
    detach();
    kernel[0x1f1] = 200; /* sectors that it does not have */
    attach(&config);
    assert_int_equal(number(FW_CFG_SETUP_SIZE), sizeof kernel);
    assert_int_equal(number(FW_CFG_KERNEL_SIZE), 0);
    detach();
    attach(&(struct boot_config){.memory = 512ull << 20, .cpus = 1, .kernel = {kernel, 3}});
    assert_int_equal(number(FW_CFG_SETUP_SIZE), 3);
    assert_int_equal(number(FW_CFG_CMDLINE_SIZE), 1);
    detach();
    attach(&(struct boot_config){.memory = 512ull << 20, .cpus = 1});
    assert_int_equal(number(FW_CFG_SETUP_SIZE), 0);
    assert_int_equal(number(FW_CFG_CMDLINE_SIZE), 0);
    detach();
}

/* As firmware does: the tables somewhere, and the script's commands on them. */
static void run_script(uint8_t *tables, size_t len, uint64_t gpa, const uint8_t *script, size_t script_len)
{
    for (const uint8_t *c = script; c < script + script_len; c += 128) {
        assert_string_equal((const char *)c + 4, "etc/acpi/tables");
        if (le32(c) == 2) {
            uint32_t at = le32(c + 116);
            assert_true(at + c[120] <= len && (c[120] == 4 || c[120] == 8));
            assert_string_equal((const char *)c + 60, "etc/acpi/tables");
            uint64_t value = (c[120] == 8 ? le64(tables + at) : le32(tables + at)) + gpa;
            put_le32(tables + at, (uint32_t)value);
            if (c[120] == 8)
                put_le32(tables + at + 4, (uint32_t)(value >> 32));
        } else if (le32(c) == 3) {
            uint32_t at = le32(c + 60), start = le32(c + 64), size = le32(c + 68);
            uint8_t sum = 0;
            assert_true(at < len && start + size <= len);
            for (uint32_t i = 0; i < size; i++)
                sum = (uint8_t)(sum + tables[start + i]);
            tables[at] = (uint8_t)-sum;
        } else {
            assert_int_equal(le32(c), 1);
            assert_ptr_equal(c, script);
        }
    }
}

static void a_table_is_whole(const uint8_t *t, const char *signature)
{
    uint8_t sum = 0;
    for (uint32_t i = 0; i < le32(t + 4); i++)
        sum = (uint8_t)(sum + t[i]);
    assert_int_equal(sum, 0);
    assert_memory_equal(t, signature, 4);
}

static void its_script_places_the_tables(void **state)
{
    (void)state;
    static uint8_t tables[SHIM_ACPI_SIZE], script[4096];
    const uint64_t gpa = 0x7f000000;
    attach(&(struct boot_config){.memory = 512ull << 20, .cpus = 4});
    size_t len = read_file("etc/acpi/tables", tables, sizeof tables);
    size_t script_len = read_file("etc/table-loader", script, sizeof script);
    assert_true(script_len && script_len % 128 == 0);
    run_script(tables, len, gpa, script, script_len);
    const uint8_t *xsdt = tables + (le64(tables + 24) - gpa);
    a_table_is_whole(xsdt, "XSDT");
    const uint8_t *fadt = tables + (le64(xsdt + 36) - gpa);
    a_table_is_whole(fadt, "FACP");
    assert_int_equal(le32(fadt + 40), le64(fadt + 140));
    a_table_is_whole(tables + (le64(fadt + 140) - gpa), "DSDT");
    a_table_is_whole(tables + (le64(xsdt + 44) - gpa), "APIC");
    const uint8_t *mcfg = tables + (le64(xsdt + 52) - gpa);
    a_table_is_whole(mcfg, "MCFG");
    assert_int_equal(le64(mcfg + 44), CHIPSET_ECAM_BASE);
    uint8_t sum = 0;
    for (size_t i = 0; i < 20; i++)
        sum = (uint8_t)(sum + tables[i]);
    assert_int_equal(sum, 0);
    detach();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_where_memory_is),
        cmocka_unit_test(pci_is_where_firmware_puts_it),
        cmocka_unit_test(hands_over_the_kernel_in_its_two_parts),
        cmocka_unit_test(its_script_places_the_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
