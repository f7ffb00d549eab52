#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/devices/driver.h"
#include "vmm/devices/console.h"
#include "vmm/devices/entropy.h"

#define BUFFER   (DRIVER_GPA + DRIVER_BUFFER)
#define RECEIVE  0
#define TRANSMIT 1

struct console_test {
    struct driver d;
    int in[2], out[2]; /* pipes */
};

static void console_open(struct console_test *c)
{
    struct virtio_device *device;
    assert_int_equal(pipe(c->in), 0);
    assert_int_equal(pipe(c->out), 0);
    assert_int_equal(virtio_console_new(&device, c->in[0], c->out[1], NULL), 0);
    driver_open(&c->d, device);
    driver_go(&c->d, 0);
}

static void console_close(struct console_test *c)
{
    driver_close(&c->d);
    for (unsigned i = 0; i < 2; i++) {
        if (c->in[i] >= 0)
            close(c->in[i]);
        if (c->out[i] >= 0)
            close(c->out[i]);
    }
}

static void output_comes_out_in_order(void **state)
{
    struct console_test c;
    char text[12] = "";
    (void)state;
    console_open(&c);
    memcpy(at(&c.d, BUFFER), "one two three", 13);
    assert_int_equal(driver_ask(&c.d, TRANSMIT, BUFFER, 4, 0, 0), 0);
    assert_int_equal(driver_ask(&c.d, TRANSMIT, BUFFER + 4, 4, 0, 0), 0);
    assert_int_equal(read(c.out[0], text, 4), 4);
    assert_int_equal(read(c.out[0], text + 4, 4), 4);
    assert_string_equal(text, "one two ");
    console_close(&c);
}

static void input_fills_the_guests_buffers(void **state)
{
    struct console_test c;
    uint16_t head;
    (void)state;
    console_open(&c);
    for (uint16_t i = 0; i < 4; i++) {
        c.d.queue[RECEIVE].desc[i] = (struct desc){BUFFER + i * 16, 16, DESC_WRITE, 0};
        driver_post(&c.d, RECEIVE, i);
    }
    assert_int_equal(write(c.in[1], "0123456789abcdefXYZ", 19), 19);
    assert_int_equal(driver_wait(&c.d, RECEIVE, &head), 16);
    assert_memory_equal(at(&c.d, BUFFER + head * 16), "0123456789abcdef", 16);
    assert_int_equal(driver_wait(&c.d, RECEIVE, &head), 3);
    assert_memory_equal(at(&c.d, BUFFER + head * 16), "XYZ", 3);
    close(c.in[1]); /* the end of input: the console goes on without */
    c.in[1] = -1;
    memcpy(at(&c.d, BUFFER), "out", 3);
    assert_int_equal(driver_ask(&c.d, TRANSMIT, BUFFER, 3, 0, 0), 0);
    console_close(&c);
}

static void input_waits_for_a_buffer(void **state)
{
    struct console_test c;
    (void)state;
    console_open(&c);
    assert_int_equal(write(c.in[1], "typed ahead", 11), 11);
    assert_int_equal(driver_ask(&c.d, RECEIVE, 0, 0, BUFFER, 5), 5);
    assert_memory_equal(at(&c.d, BUFFER), "typed", 5);
    assert_int_equal(driver_ask(&c.d, RECEIVE, 0, 0, BUFFER, 64), 6);
    assert_memory_equal(at(&c.d, BUFFER), " ahead", 6);
    console_close(&c);
}

/* A pipe that nobody reads fills: the request stays with the device, which can still be reset and ended. */
static void a_reader_that_does_not_read_halts_only_the_console(void **state)
{
    struct console_test c;
    static char text[65536];
    (void)state;
    console_open(&c);
    assert_int_equal(fcntl(c.out[1], F_SETPIPE_SZ, 65536), 65536);
    c.d.queue[TRANSMIT].desc[0] = (struct desc){BUFFER, 0x18000, 0, 0}; /* 96 KiB */
    memset(at(&c.d, BUFFER), 'x', 0x18000);
    driver_post(&c.d, TRANSMIT, 0);
    size_t got = 0;
    while (got < 0x18000) { /* as it is read, the rest follows */
        ssize_t n = read(c.out[0], text, sizeof text);
        assert_true(n > 0);
        for (ssize_t i = 0; i < n; i++)
            assert_int_equal(text[i], 'x');
        got += (size_t)n;
    }
    assert_int_equal(driver_wait(&c.d, TRANSMIT, NULL), 0);
    driver_post(&c.d, TRANSMIT, 0); /* nobody reads this one */
    driver_post(&c.d, TRANSMIT, 0);
    driver_reset(&c.d);
    driver_go(&c.d, 0);
    c.d.queue[TRANSMIT].desc[0] = (struct desc){BUFFER, 0x18000, 0, 0};
    driver_post(&c.d, TRANSMIT, 0);
    console_close(&c);
}

static void output_that_nobody_can_read_any_more_is_dropped(void **state)
{
    struct console_test c;
    (void)state;
    console_open(&c);
    close(c.out[0]);
    c.out[0] = -1;
    assert_int_equal(driver_ask(&c.d, TRANSMIT, BUFFER, 100, 0, 0), 0);
    assert_int_equal(driver_ask(&c.d, TRANSMIT, BUFFER, 100, 0, 0), 0);
    console_close(&c);
}

static void regular_files_serve_as_well(void **state)
{
    struct driver d;
    struct virtio_device *device;
    char path[] = "/tmp/cofre-test-console-XXXXXX", text[5] = "";
    int out = mkstemp(path), in = open("/dev/null", O_RDONLY);
    (void)state;
    assert_true(out >= 0 && in >= 0);
    unlink(path);
    assert_int_equal(virtio_console_new(&device, in, out, NULL), 0);
    driver_open(&d, device);
    driver_go(&d, 0);
    d.queue[RECEIVE].desc[0] = (struct desc){BUFFER + 64, 16, DESC_WRITE, 0};
    driver_post(&d, RECEIVE, 0);
    memcpy(at(&d, BUFFER), "text", 4);
    assert_int_equal(driver_ask(&d, TRANSMIT, BUFFER, 4, 0, 0), 0);
    assert_int_equal(pread(out, text, 4, 0), 4);
    assert_string_equal(text, "text");
    driver_close(&d);
    close(in);
    close(out);
}

static void entropy_fills_what_it_says_and_no_more(void **state)
{
    struct driver d;
    struct virtio_device *device;
    uint8_t zeroes[300] = {0}, first[64];
    (void)state;
    assert_int_equal(virtio_entropy_new(&device, NULL), 0);
    driver_open(&d, device);
    driver_go(&d, 0);
    assert_int_equal(driver_ask(&d, 0, 0, 0, BUFFER, 64), 64);
    memcpy(first, at(&d, BUFFER), 64);
    assert_memory_not_equal(first, zeroes, 64);
    assert_memory_equal((uint8_t *)at(&d, BUFFER) + 64, zeroes, 64);
    assert_int_equal(driver_ask(&d, 0, 0, 0, BUFFER, 64), 64);
    assert_memory_not_equal(first, at(&d, BUFFER), 64);
    assert_int_equal(driver_ask(&d, 0, 0, 0, BUFFER, 0x1000), 256);
    assert_memory_equal((uint8_t *)at(&d, BUFFER) + 256, zeroes, 300);
    assert_int_equal(driver_ask(&d, 0, BUFFER, 16, 0, 0), 0); /* nothing to fill */
    driver_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_comes_out_in_order),
        cmocka_unit_test(input_fills_the_guests_buffers),
        cmocka_unit_test(input_waits_for_a_buffer),
        cmocka_unit_test(a_reader_that_does_not_read_halts_only_the_console),
        cmocka_unit_test(output_that_nobody_can_read_any_more_is_dropped),
        cmocka_unit_test(regular_files_serve_as_well),
        cmocka_unit_test(entropy_fills_what_it_says_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
