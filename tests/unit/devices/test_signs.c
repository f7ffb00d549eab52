/* The functions by which a guest says that it dies, or fails to say that it lives: registers, in every order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vmm/devices/pvpanic.h"
#include "vmm/devices/watchdog.h"

static struct pci_bus pci;
static struct cofre_err err;

static void drop(void *context, uint64_t address, uint32_t data)
{
    (void)context;
    (void)address;
    (void)data;
}

/* pvpanic */

static struct pvpanic pvpanic;
static unsigned events, seen;

static void event(void *context, enum pvpanic_event e)
{
    assert_ptr_equal(context, &events);
    events++;
    seen |= e;
}

static int set_up_pvpanic(void **state)
{
    (void)state;
    events = seen = 0;
    pci_bus_init(&pci, (struct pci_window){0xd0000000, 1 << 20}, (struct msi_sink){drop, NULL});
    return pvpanic_attach(&pvpanic, &pci, event, &events, &err);
}

static int tear_down_pvpanic(void **state)
{
    (void)state;
    pvpanic_destroy(&pvpanic);
    pci_bus_destroy(&pci);
    return 0;
}

static void a_panic_device_is_what_its_driver_looks_for(void **state)
{
    (void)state;
    assert_int_equal(pci_config_read(&pci, 1, 0, 4), 0x00111b36);
    assert_int_equal(pci_bar_read(&pvpanic.function, 0, 1), 7);
    assert_int_equal(pci_bar_read(&pvpanic.function, 1, 1), 0);
}

static void each_event_is_told_and_what_is_none_is_not(void **state)
{
    (void)state;
    for (unsigned bit = 1; bit <= 4; bit <<= 1) {
        events = seen = 0;
        pci_bar_write(&pvpanic.function, 0, 1, bit);
        assert_int_equal(events, 1);
        assert_int_equal(seen, bit);
    }
    events = 0;
    pci_bar_write(&pvpanic.function, 0, 1, 0xf8);
    pci_bar_write(&pvpanic.function, 1, 1, 1);
    pci_bar_write(&pvpanic.function, 0, 4, 0xffffff00);
    assert_int_equal(events, 0);
}

/* The watchdog */

static struct watchdog watchdog;
static uint64_t set_to;
static unsigned sets;

static void set(void *context, uint64_t nanoseconds)
{
    assert_ptr_equal(context, &sets);
    sets++;
    set_to = nanoseconds;
}

static int set_up_watchdog(void **state)
{
    (void)state;
    sets = 0;
    set_to = 0;
    pci_bus_init(&pci, (struct pci_window){0xd0000000, 1 << 20}, (struct msi_sink){drop, NULL});
    return watchdog_attach(&watchdog, &pci, (struct watchdog_timer){set, &sets}, true, &err);
}

static int tear_down_watchdog(void **state)
{
    (void)state;
    watchdog_destroy(&watchdog);
    pci_bus_destroy(&pci);
    return 0;
}

static void write_locked(uint64_t offset, unsigned len, uint64_t value)
{
    pci_bar_write(&watchdog.function, offset, len, value);
}

static void write_unlocked(uint64_t offset, unsigned len, uint64_t value)
{
    write_locked(0xc, 2, 0x80);
    write_locked(0xc, 2, 0x86);
    write_locked(offset, len, value);
}

static void enable(unsigned control)
{
    pci_config_write(&pci, 1, 0x68, 1, control);
}

/* As Linux does for a timeout in seconds. */
static void linux_sets(uint32_t seconds)
{
    write_unlocked(0, 4, seconds << 9);
    write_unlocked(4, 4, seconds << 9);
    write_unlocked(0xc, 2, 0x100);
}

static void a_watchdog_is_what_its_driver_looks_for_and_runs_when_it_is_enabled(void **state)
{
    (void)state;
    assert_int_equal(pci_config_read(&pci, 1, 0, 4), 0x25ab8086);
    linux_sets(30);
    assert_int_equal(set_to, 0);
    enable(2);
    assert_int_equal(set_to, 30ull * 1024 * 30 * 32768);
    assert_int_equal(pci_config_read(&pci, 1, 0x68, 1), 2);
}

static void a_sign_of_life_sets_it_back_and_another_write_does_not(void **state)
{
    (void)state;
    enable(2);
    sets = 0;
    write_locked(0xc, 2, 0x100);
    write_locked(0xc, 2, 0x86);
    write_locked(0xc, 2, 0x100);
    write_locked(0xc, 2, 0x80);
    write_locked(0xc, 2, 0x100);
    write_unlocked(8, 4, 0x100);
    assert_int_equal(sets, 0);
    write_unlocked(0xc, 2, 0x100);
    assert_int_equal(sets, 1);
    assert_true(set_to > 0);
    write_locked(0xc, 2, 0x100); /* the unlocking was for one write */
    assert_int_equal(sets, 1);
}

static void disabled_it_never_expires(void **state)
{
    (void)state;
    enable(2);
    assert_true(set_to > 0);
    enable(0);
    assert_int_equal(set_to, 0);
    enable(2);
    pci_config_write(&pci, 1, 0x60, 2, 1 << 5 | 3);
    assert_int_equal(set_to, 0);
}

static void a_lock_is_for_good(void **state)
{
    (void)state;
    enable(3);
    enable(0);
    assert_int_equal(pci_config_read(&pci, 1, 0x68, 1), 3);
    assert_true(set_to > 0);
}

static void the_fast_clock_is_a_thousand_times_as_fast_and_no_time_is_not_never(void **state)
{
    (void)state;
    linux_sets(1);
    pci_config_write(&pci, 1, 0x60, 2, 1 << 2 | 3);
    enable(2);
    assert_int_equal(set_to, 1024ull * 30 * 32);
    linux_sets(0);
    assert_int_equal(set_to, 30 * 32);
    write_unlocked(0, 4, UINT32_MAX);
    write_unlocked(4, 4, UINT32_MAX);
    write_unlocked(0xc, 2, 0x100);
    assert_int_equal(set_to, 2ull * 0xfffff * 30 * 32);
}

static void the_next_launch_finds_out_that_it_expired_once(void **state)
{
    (void)state;
    assert_int_equal(pci_bar_read(&watchdog.function, 0xc, 2), 0x200);
    write_unlocked(0xc, 2, 0x300);
    assert_int_equal(pci_bar_read(&watchdog.function, 0xc, 2), 0);
}

int main(void)
{
#define PVPANIC(test)  cmocka_unit_test_setup_teardown(test, set_up_pvpanic, tear_down_pvpanic)
#define WATCHDOG(test) cmocka_unit_test_setup_teardown(test, set_up_watchdog, tear_down_watchdog)
    const struct CMUnitTest tests[] = {
        PVPANIC(a_panic_device_is_what_its_driver_looks_for),
        PVPANIC(each_event_is_told_and_what_is_none_is_not),
        WATCHDOG(a_watchdog_is_what_its_driver_looks_for_and_runs_when_it_is_enabled),
        WATCHDOG(a_sign_of_life_sets_it_back_and_another_write_does_not),
        WATCHDOG(disabled_it_never_expires),
        WATCHDOG(a_lock_is_for_good),
        WATCHDOG(the_fast_clock_is_a_thousand_times_as_fast_and_no_time_is_not_never),
        WATCHDOG(the_next_launch_finds_out_that_it_expired_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
