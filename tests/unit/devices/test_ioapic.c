#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "vmm/devices/ioapic.h"

#define LEVEL   (1u << 15)
#define MASKED  (1u << 16)
#define WAITING (1u << 14)

struct board {
    struct bus bus;
    struct ioapic ioapic;
    unsigned messages, routes, pin;
    uint64_t address, route_address;
    uint32_t data, route_data;
};

static void message(void *context, uint64_t address, uint32_t data)
{
    struct board *b = context;
    b->messages++;
    b->address = address;
    b->data = data;
}

static void route(void *context, unsigned pin, uint64_t address, uint32_t data)
{
    struct board *b = context;
    b->routes++;
    b->pin = pin;
    b->route_address = address;
    b->route_data = data;
}

static void board_open(struct board *b)
{
    memset(b, 0, sizeof *b);
    ioapic_init(&b->ioapic, &(struct ioapic_ops){{message, b}, route, b});
    assert_int_equal(ioapic_map(&b->ioapic, &b->bus, IOAPIC_BASE, NULL), 0);
}

static uint32_t get(struct board *b, unsigned index)
{
    uint64_t value;
    assert_true(bus_write(&b->bus, IOAPIC_BASE, 4, index));
    assert_true(bus_read(&b->bus, IOAPIC_BASE + 0x10, 4, &value));
    return (uint32_t)value;
}

static void set(struct board *b, unsigned index, uint32_t value)
{
    assert_true(bus_write(&b->bus, IOAPIC_BASE, 4, index));
    assert_true(bus_write(&b->bus, IOAPIC_BASE + 0x10, 4, value));
}

static void set_pin_entry(struct board *b, unsigned pin, uint8_t destination, uint32_t low)
{
    set(b, 0x11 + 2 * pin, (uint32_t)destination << 24);
    set(b, 0x10 + 2 * pin, low);
}

static void it_tells_version_and_pins(void **state)
{
    struct board b;
    (void)state;
    board_open(&b);
    assert_int_equal(get(&b, 1), 0x170020);
    set(&b, 0, UINT32_MAX);
    assert_int_equal(get(&b, 0), 0x0f000000);
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
        assert_int_equal(get(&b, 0x10 + 2 * pin), MASKED);
    ioapic_destroy(&b.ioapic);
}

static void registers_that_do_not_exist_do_nothing(void **state)
{
    struct board b;
    uint64_t value;
    (void)state;
    board_open(&b);
    for (unsigned index = 3; index < 0x100; index++) {
        if (index >= 0x10 && index < 0x40)
            continue;
        set(&b, index, 0);
        assert_int_equal(get(&b, index), UINT32_MAX);
    }
    for (unsigned offset = 0; offset < 0x1000; offset++)
        for (unsigned len = 1; len <= 8; len *= 2)
            if (offset + len <= 0x1000 && offset != 0x10) {
                assert_true(bus_write(&b.bus, IOAPIC_BASE + offset, len, UINT64_MAX));
                assert_true(bus_read(&b.bus, IOAPIC_BASE + offset, len, &value));
            }
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
        assert_int_equal(get(&b, 0x10 + 2 * pin), MASKED);
    ioapic_set_pin(&b.ioapic, IOAPIC_PINS, true);
    ioapic_set_pin(&b.ioapic, UINT32_MAX, true);
    assert_int_equal(b.messages, 0);
    ioapic_destroy(&b.ioapic);
}

static void an_edge_is_one_message(void **state)
{
    struct board b;
    (void)state;
    board_open(&b);
    struct irq_line serial = ioapic_line(&b.ioapic, 4);
    set_pin_entry(&b, 4, 3, 0x0831); /* logical destination 3, fixed, vector 0x31 */
    serial.set(serial.context, serial.pin, true);
    assert_int_equal(b.messages, 1);
    assert_int_equal(b.address, 0xfee03004);
    assert_int_equal(b.data, 0x31);
    serial.set(serial.context, serial.pin, true);
    assert_int_equal(b.messages, 1);
    serial.set(serial.context, serial.pin, false);
    serial.set(serial.context, serial.pin, true);
    assert_int_equal(b.messages, 2);
    ioapic_destroy(&b.ioapic);
}

static void a_masked_edge_is_sent_when_it_is_unmasked(void **state)
{
    struct board b;
    (void)state;
    board_open(&b);
    ioapic_set_pin(&b.ioapic, 5, true);
    ioapic_set_pin(&b.ioapic, 5, false);
    assert_int_equal(b.messages, 0);
    set_pin_entry(&b, 5, 0, 0x40);
    assert_int_equal(b.messages, 1);
    set(&b, 0x10 + 10, 0x40 | MASKED);
    set(&b, 0x10 + 10, 0x40);
    assert_int_equal(b.messages, 1);
    ioapic_destroy(&b.ioapic);
}

static void a_level_waits_for_its_end_of_interrupt(void **state)
{
    struct board b;
    (void)state;
    board_open(&b);
    set_pin_entry(&b, 9, 1, 0x52 | LEVEL);
    ioapic_set_pin(&b.ioapic, 9, true);
    assert_int_equal(b.messages, 1);
    assert_int_equal(b.address, 0xfee01000);
    assert_int_equal(b.data, 0x52 | LEVEL | 1 << 14);
    assert_int_equal(get(&b, 0x10 + 18), 0x52 | LEVEL | WAITING);
    ioapic_set_pin(&b.ioapic, 9, true);
    assert_int_equal(b.messages, 1);
    ioapic_eoi(&b.ioapic, 0x53);
    assert_int_equal(b.messages, 1);
    ioapic_eoi(&b.ioapic, 0x52); /* still high: again */
    assert_int_equal(b.messages, 2);
    ioapic_set_pin(&b.ioapic, 9, false);
    assert_true(bus_write(&b.bus, IOAPIC_BASE + 0x40, 4, 0x52)); /* the guest's own register */
    assert_int_equal(b.messages, 2);
    assert_int_equal(get(&b, 0x10 + 18), 0x52 | LEVEL);
    ioapic_destroy(&b.ioapic);
}

static void read_only_bits_stay_and_edge_mode_ends_a_level(void **state)
{
    struct board b;
    (void)state;
    board_open(&b);
    set(&b, 0x10, WAITING | 1u << 12 | MASKED);
    assert_int_equal(get(&b, 0x10), MASKED);
    set(&b, 0x11, UINT32_MAX);
    assert_int_equal(get(&b, 0x11), 0xff000000);
    set_pin_entry(&b, 0, 0, 0x60 | LEVEL);
    ioapic_set_pin(&b.ioapic, 0, true);
    ioapic_set_pin(&b.ioapic, 0, false);
    set(&b, 0x10, 0x60 | LEVEL);
    assert_int_equal(get(&b, 0x10), 0x60 | LEVEL | WAITING);
    set(&b, 0x10, 0x60 | MASKED);
    set(&b, 0x10, 0x60 | LEVEL);
    assert_int_equal(get(&b, 0x10), 0x60 | LEVEL);
    assert_int_equal(b.messages, 1);
    ioapic_destroy(&b.ioapic);
}

static void the_machine_hears_of_changed_messages_only(void **state)
{
    struct board b;
    (void)state;
    board_open(&b);
    set_pin_entry(&b, 7, 2, 0x70 | LEVEL);
    assert_int_equal(b.pin, 7);
    assert_int_equal(b.route_address, 0xfee02000);
    assert_int_equal(b.route_data, 0x70 | LEVEL | 1 << 14);
    unsigned routes = b.routes;
    set(&b, 0x10 + 14, 0x70 | LEVEL | MASKED);
    set(&b, 0x10 + 14, 0x70 | LEVEL);
    assert_int_equal(b.routes, routes);
    ioapic_destroy(&b.ioapic);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_tells_version_and_pins),
        cmocka_unit_test(registers_that_do_not_exist_do_nothing),
        cmocka_unit_test(an_edge_is_one_message),
        cmocka_unit_test(a_masked_edge_is_sent_when_it_is_unmasked),
        cmocka_unit_test(a_level_waits_for_its_end_of_interrupt),
        cmocka_unit_test(read_only_bits_stay_and_edge_mode_ends_a_level),
        cmocka_unit_test(the_machine_hears_of_changed_messages_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
