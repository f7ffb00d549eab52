#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <unistd.h>

#include "vmm/devices/serial.h"

enum { DATA = 0, IER = 1, IIR = 2, FCR = 2, LCR = 3, MCR = 4, LSR = 5, MSR = 6, SCRATCH = 7 };

struct port {
    struct bus bus;
    struct serial serial;
    int pipe[2];
    bool level;
    unsigned edges;
};

static void line(void *context, unsigned pin, bool level)
{
    struct port *p = context;
    assert_int_equal(pin, 4);
    assert_true(level != p->level);
    p->level = level;
    p->edges++;
}

static void port_open(struct port *p)
{
    memset(p, 0, sizeof *p);
    assert_int_equal(pipe(p->pipe), 0);
    serial_init(&p->serial, p->pipe[1], (struct irq_line){line, p, 4});
    assert_int_equal(serial_map(&p->serial, &p->bus, SERIAL_COM1, NULL), 0);
}

static void port_close(struct port *p)
{
    serial_destroy(&p->serial);
    close(p->pipe[0]);
    close(p->pipe[1]);
}

static uint8_t in(struct port *p, unsigned reg)
{
    uint64_t value;
    assert_true(bus_read(&p->bus, SERIAL_COM1 + reg, 1, &value));
    return (uint8_t)value;
}

static void out(struct port *p, unsigned reg, uint8_t value)
{
    assert_true(bus_write(&p->bus, SERIAL_COM1 + reg, 1, value));
}

static void output_goes_out_and_the_transmitter_is_always_empty(void **state)
{
    struct port p;
    char text[3] = "";
    (void)state;
    port_open(&p);
    assert_int_equal(in(&p, LSR), 0x60);
    out(&p, DATA, 'o');
    out(&p, DATA, 'k');
    assert_int_equal(in(&p, LSR), 0x60);
    assert_int_equal(read(p.pipe[0], text, 2), 2);
    assert_string_equal(text, "ok");
    assert_int_equal(p.edges, 0);
    port_close(&p);
}

/* What Linux's driver looks at to tell a 16550A from its ancestors. */
static void a_driver_recognises_a_16550a(void **state)
{
    struct port p;
    (void)state;
    port_open(&p);
    out(&p, IER, 0);
    assert_int_equal(in(&p, IER), 0);
    out(&p, IER, 0xff);
    assert_int_equal(in(&p, IER), 0x0f);
    out(&p, IER, 0);
    out(&p, MCR, 0x1a); /* loopback with OUT2 and RTS */
    assert_int_equal(in(&p, MSR) & 0xf0, 0x90);
    out(&p, MCR, 0x15); /* and with DTR and OUT1 */
    assert_int_equal(in(&p, MSR) & 0xf0, 0x60);
    out(&p, MCR, 0);
    assert_int_equal(in(&p, MSR) & 0xf0, 0xb0);
    assert_int_equal(in(&p, IIR), 0x01);
    out(&p, FCR, 0x01);
    assert_int_equal(in(&p, IIR), 0xc1);
    out(&p, SCRATCH, 0xa5);
    assert_int_equal(in(&p, SCRATCH), 0xa5);
    out(&p, LCR, 0x83);
    out(&p, DATA, 0x34);
    out(&p, IER, 0x12);
    assert_int_equal(in(&p, DATA), 0x34);
    assert_int_equal(in(&p, IER), 0x12);
    out(&p, LCR, 0x03);
    assert_int_equal(in(&p, IER), 0);
    assert_int_equal(in(&p, LCR), 3);
    port_close(&p);
}

static void the_transmit_interrupt_comes_after_each_byte(void **state)
{
    struct port p;
    (void)state;
    port_open(&p);
    out(&p, IER, 2);
    assert_true(p.level);
    assert_int_equal(in(&p, IIR), 0x02);
    assert_false(p.level); /* reading the cause acknowledges it */
    assert_int_equal(in(&p, IIR), 0x01);
    out(&p, DATA, 'x');
    assert_true(p.level);
    assert_int_equal(in(&p, IIR), 0x02);
    assert_false(p.level);
    out(&p, DATA, 'y');
    out(&p, IER, 0);
    assert_false(p.level);
    port_close(&p);
}

static void input_is_bounded_and_interrupts_until_it_is_read(void **state)
{
    struct port p;
    (void)state;
    port_open(&p);
    out(&p, IER, 1);
    assert_int_equal(serial_input(&p.serial, "0123456789abcdefgh", 18), SERIAL_FIFO);
    assert_true(p.level);
    assert_int_equal(in(&p, IIR), 0x04);
    for (unsigned i = 0; i < SERIAL_FIFO; i++) {
        assert_int_equal(in(&p, LSR), 0x61);
        assert_int_equal(in(&p, DATA), "0123456789abcdef"[i]);
    }
    assert_false(p.level);
    assert_int_equal(in(&p, LSR), 0x60);
    assert_int_equal(in(&p, DATA), 0);
    assert_int_equal(serial_input(&p.serial, "xy", 2), 2);
    out(&p, FCR, 0x03);
    assert_false(p.level);
    assert_int_equal(in(&p, LSR), 0x60);
    port_close(&p);
}

static void loopback_returns_what_is_sent(void **state)
{
    struct port p;
    (void)state;
    port_open(&p);
    out(&p, MCR, 0x10);
    for (unsigned i = 0; i < 100; i++)
        out(&p, DATA, (uint8_t)i);
    for (unsigned i = 0; i < SERIAL_FIFO; i++)
        assert_int_equal(in(&p, DATA), i);
    out(&p, MCR, 0);
    out(&p, DATA, '!');
    char byte;
    assert_int_equal(read(p.pipe[0], &byte, 1), 1);
    assert_int_equal(byte, '!'); /* and nothing of it got out */
    port_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_goes_out_and_the_transmitter_is_always_empty),
        cmocka_unit_test(a_driver_recognises_a_16550a),
        cmocka_unit_test(the_transmit_interrupt_comes_after_each_byte),
        cmocka_unit_test(input_is_bounded_and_interrupts_until_it_is_read),
        cmocka_unit_test(loopback_returns_what_is_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
