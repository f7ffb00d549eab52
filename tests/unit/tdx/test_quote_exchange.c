#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tdx/launch/quote_exchange.h"

/* The other end of the last connection, and how often somebody tried to connect. */
static struct {
    int peer, error;
    unsigned attempts;
} service;

static int connect_service(const char *address)
{
    assert_string_equal(address, "unix:/somewhere");
    service.attempts++;
    errno = service.error;
    int fds[2];
    if (service.error || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return -1;
    service.peer = fds[1];
    return fds[0];
}

static const struct kvm_backend backend = {.name = "test", .quote_service = connect_service};
static const uint8_t report[TDX_REPORT_SIZE] = {0x81};
static struct quote_exchange exchange;
static struct cofre_err err;

static int set_up(void **state)
{
    (void)state;
    service.peer = -1;
    service.error = 0;
    service.attempts = 0;
    err.text[0] = 0;
    return quote_exchange_start(&exchange, &backend, "unix:/somewhere", report, 100, 1000, 31000, &err);
}

static int tear_down(void **state)
{
    (void)state;
    quote_exchange_end(&exchange);
    if (service.peer >= 0)
        close(service.peer);
    return 0;
}

static void answer_with(const void *data, size_t len)
{
    assert_int_equal(send(service.peer, data, len, MSG_NOSIGNAL), len);
}

static void asks_as_the_protocol_says(void **state)
{
    (void)state;
    uint8_t asked[2048];
    assert_false(quote_exchange_advance(&exchange, 1000, &err));
    assert_int_equal(recv(service.peer, asked, sizeof asked, MSG_DONTWAIT), 4 + 24 + 1024);
    const uint8_t head[28] = {0, 0, 4, 24, 1, 0, 1, 0, 0, 0, 0, 0, 24, 4, 0, 0, 0, 0, 0, 0, 0, 4};
    assert_memory_equal(asked, head, sizeof head);
    assert_memory_equal(asked + 28, report, sizeof report);
}

static void waits_for_room_then_for_the_answer_until_the_deadline(void **state)
{
    (void)state;
    struct pollfd fd;
    assert_int_equal(quote_exchange_wait(&exchange, &fd), 1000);
    assert_int_equal(fd.fd, -1);
    assert_false(quote_exchange_advance(&exchange, 1000, &err));
    assert_int_equal(quote_exchange_wait(&exchange, &fd), 31000);
    assert_int_equal(fd.fd, exchange.fd);
    assert_int_equal(fd.events, POLLIN);
}

static void takes_an_answer_byte_by_byte(void **state)
{
    (void)state;
    const uint8_t answer[4 + 24 + 3] = {0, 0, 0, 27, 1, 0, 1, 0, 1, 0, 0, 0, 27,  0,   0,  0,
                                        0, 0, 0, 0,  0, 0, 0, 0, 3, 0, 0, 0, 'a', 'b', 'c'};
    for (size_t i = 0; i < sizeof answer; i++) {
        assert_false(quote_exchange_advance(&exchange, 1000, &err));
        answer_with(&answer[i], 1);
    }
    assert_true(quote_exchange_advance(&exchange, 1000, &err));
    assert_int_equal(exchange.status, TDX_QUOTE_SUCCESS);
    struct view quote = quote_exchange_quote(&exchange);
    assert_int_equal(quote.len, 3);
    assert_memory_equal(quote.data, "abc", 3);
    assert_int_equal(exchange.fd, -1);
}

static void the_deadline_ends_it(void **state)
{
    (void)state;
    assert_false(quote_exchange_advance(&exchange, 30999, &err));
    assert_true(quote_exchange_advance(&exchange, 31000, &err));
    assert_int_equal(exchange.status, TDX_QUOTE_SERVICE_UNAVAILABLE);
    assert_non_null(strstr(err.text, "in time"));
    assert_int_equal(quote_exchange_quote(&exchange).len, 0);
}

static void an_answer_at_the_deadline_still_counts(void **state)
{
    (void)state;
    const uint8_t error[4 + 24] = {0, 0, 0, 24, 1, 0, 1, 0, 1, 0, 0, 0, 24, 0, 0, 0, 1, 0x20, 1};
    assert_false(quote_exchange_advance(&exchange, 1000, &err));
    answer_with(error, sizeof error);
    assert_true(quote_exchange_advance(&exchange, 31000, &err));
    assert_int_equal(exchange.status, TDX_QUOTE_ERROR);
    assert_non_null(strstr(err.text, "0x12001"));
}

static void an_absent_service_is_tried_ever_more_slowly(void **state)
{
    (void)state;
    static const int64_t pauses[] = {10, 20, 40, 80, 160, 320, 640, 1000, 1000};
    int64_t now = 1000;
    struct pollfd fd;
    service.error = ECONNREFUSED;
    for (size_t i = 0; i < sizeof pauses / sizeof *pauses; i++) {
        assert_false(quote_exchange_advance(&exchange, now, &err));
        assert_int_equal(service.attempts, i + 1);
        assert_int_equal(quote_exchange_wait(&exchange, &fd), now + pauses[i]);
        assert_int_equal(fd.fd, -1);
        now += pauses[i];
        assert_false(quote_exchange_advance(&exchange, now - 1, &err));
        assert_int_equal(service.attempts, i + 1);
    }
    assert_true(quote_exchange_advance(&exchange, 31000, &err));
    assert_int_equal(exchange.status, TDX_QUOTE_SERVICE_UNAVAILABLE);
    assert_non_null(strstr(err.text, "unix:/somewhere"));
    assert_non_null(strstr(err.text, "Connection refused"));
}

static void no_address_is_not_tried_again(void **state)
{
    (void)state;
    service.error = EINVAL;
    assert_true(quote_exchange_advance(&exchange, 1000, &err));
    assert_int_equal(exchange.status, TDX_QUOTE_SERVICE_UNAVAILABLE);
    assert_int_equal(service.attempts, 1);
}

static void three_dropped_connections_are_enough(void **state)
{
    (void)state;
    int64_t now = 1000;
    for (unsigned i = 0; i < 3; i++, now += 1000) {
        assert_false(quote_exchange_advance(&exchange, now, &err));
        assert_int_equal(service.attempts, i + 1);
        close(service.peer);
        service.peer = -1;
        assert_int_equal(quote_exchange_advance(&exchange, now, &err), i == 2);
    }
    assert_int_equal(exchange.status, TDX_QUOTE_SERVICE_UNAVAILABLE);
    assert_non_null(strstr(err.text, "3 times"));
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        test(asks_as_the_protocol_says),
        test(waits_for_room_then_for_the_answer_until_the_deadline),
        test(takes_an_answer_byte_by_byte),
        test(the_deadline_ends_it),
        test(an_answer_at_the_deadline_still_counts),
        test(an_absent_service_is_tried_ever_more_slowly),
        test(no_address_is_not_tried_again),
        test(three_dropped_connections_are_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
