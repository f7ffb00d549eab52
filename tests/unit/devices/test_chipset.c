/* What OVMF asks of a Q35 before it goes on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/devices/chipset.h"

static struct bus ports;
static struct pci_bus pci;
static struct chipset chipset;
static unsigned offs, resets;

static void no_message(void *context, uint64_t address, uint32_t data)
{
    (void)context;
    (void)address;
    (void)data;
}

static void power_off(void *context)
{
    assert_ptr_equal(context, &ports);
    offs++;
}

static void reset(void *context)
{
    assert_ptr_equal(context, &ports);
    resets++;
}

static int make(void **state)
{
    struct cofre_err err;
    (void)state;
    memset(&ports, 0, sizeof ports);
    offs = resets = 0;
    pci_bus_init(&pci, (struct pci_window){CHIPSET_PCI_LOW, 1 << 20}, (struct msi_sink){no_message, NULL});
    chipset = (struct chipset){.power_off = power_off, .reset = reset, .context = &ports};
    return chipset_attach(&chipset, &pci, &ports, &err);
}

static int destroy(void **state)
{
    (void)state;
    chipset_destroy(&chipset);
    pci_bus_destroy(&pci);
    return 0;
}

static uint64_t in(uint16_t port, unsigned len)
{
    uint64_t value;
    bus_read(&ports, port, len, &value);
    return value;
}

static uint32_t config(uint32_t slot, uint32_t offset)
{
    assert_true(bus_write(&ports, 0xcf8, 4, 0x80000000u | slot << 11 | offset));
    return (uint32_t)in(0xcfc, 4);
}

static void configuration_space_is_reached_by_ports(void **state)
{
    (void)state;
    assert_int_equal(config(0, 0), 0x29c08086);
    assert_int_equal(in(0xcf8, 4), 0x80000000u);
    assert_int_equal(in(0xcfe, 2), 0x29c0);
    assert_int_equal(config(CHIPSET_LPC_SLOT, 0) & 0xffff, 0x8086);
    assert_int_equal(config(CHIPSET_LPC_SLOT, 8) >> 16, 0x0601);
    assert_int_equal(config(1, 0), UINT32_MAX);
    bus_write(&ports, 0xcf8, 4, 0x80010000u); /* bus 1 */
    assert_int_equal(in(0xcfc, 4), UINT32_MAX);
    bus_write(&ports, 0xcf8, 4, 0x80000100u); /* function 1 */
    assert_int_equal(in(0xcfc, 4), UINT32_MAX);
    bus_write(&ports, 0xcf8, 4, 0); /* not enabled */
    assert_int_equal(in(0xcfc, 4), UINT32_MAX);
}

static void keeps_what_firmware_sets(void **state)
{
    (void)state;
    assert_int_equal(config(0, 0x60), 0);
    bus_write(&ports, 0xcfc, 4, 0xe0000001u);
    assert_int_equal(config(0, 0x60), 0xe0000001u);
    assert_int_equal(config(CHIPSET_LPC_SLOT, 0x40), 0x601);
    assert_int_equal(config(CHIPSET_LPC_SLOT, 0x44) & 0x80, 0);
    bus_write(&ports, 0xcfc, 1, 0x80);
    assert_int_equal(config(CHIPSET_LPC_SLOT, 0x44) & 0x80, 0x80);
    config(0, 0);
    bus_write(&ports, 0xcfc, 4, 0);
    assert_int_equal(config(0, 0), 0x29c08086);
}

static void the_timer_goes_on(void **state)
{
    (void)state;
    uint64_t first = in(0x608, 4), now = first;
    for (unsigned tries = 0; now == first && tries < 10000000; tries++)
        now = in(0x608, 4);
    assert_int_not_equal(now, first);
    assert_true(now < 1 << 24);
}

static void powers_off_and_resets_by_the_right_values_alone(void **state)
{
    (void)state;
    bus_write(&ports, 0x604, 2, 0);
    bus_write(&ports, 0x604, 2, 1 << 13 | 1 << 10); /* another sleep */
    bus_write(&ports, 0x604, 1, 0x20);
    assert_int_equal(offs, 0);
    bus_write(&ports, 0x604, 2, in(0x604, 2) | 1 << 13);
    assert_int_equal(offs, 0); /* of that type still */
    bus_write(&ports, 0x604, 2, 1 << 13);
    assert_int_equal(offs, 1);
    bus_write(&ports, 0x64, 1, 0xd1);
    bus_write(&ports, 0xcf9, 1, 2);
    bus_write(&ports, 0xcf8, 4, 0x80000600u);
    assert_int_equal(resets, 0);
    bus_write(&ports, 0xcf9, 1, 6);
    bus_write(&ports, 0x64, 1, 0xfe);
    assert_int_equal(resets, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(configuration_space_is_reached_by_ports, make, destroy),
        cmocka_unit_test_setup_teardown(keeps_what_firmware_sets, make, destroy),
        cmocka_unit_test_setup_teardown(the_timer_goes_on, make, destroy),
        cmocka_unit_test_setup_teardown(powers_off_and_resets_by_the_right_values_alone, make, destroy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
