#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "tdx/launch/quote_client.h"
#include "tests/unit/tdx/service_double.h"

#define BUFFERS     200
#define BUFFER_SIZE 8192u
#define ROOM        (BUFFER_SIZE - TDX_QUOTE_HEADER_SIZE)
#define GPA         0x100000u

/* A guest's shared memory, a buffer for each request, and its interrupt. */
static struct {
    struct guest_memory memory;
    uint8_t *bytes;
    pthread_mutex_t lock;
    pthread_cond_t notified;
    unsigned notifications;
    struct quote_client *client;
} guest = {.lock = PTHREAD_MUTEX_INITIALIZER, .notified = PTHREAD_COND_INITIALIZER};

static void notify(void *context)
{
    assert_ptr_equal(context, &guest);
    pthread_mutex_lock(&guest.lock);
    guest.notifications++;
    pthread_cond_signal(&guest.notified);
    pthread_mutex_unlock(&guest.lock);
}

static void await_notification(void)
{
    pthread_mutex_lock(&guest.lock);
    while (guest.notifications == 0)
        pthread_cond_wait(&guest.notified, &guest.lock);
    guest.notifications = 0;
    pthread_mutex_unlock(&guest.lock);
}

static int set_up(void **state)
{
    (void)state;
    struct cofre_err err;
    guest.memory = (struct guest_memory){0};
    guest.bytes = aligned_alloc(TDX_PAGE_SIZE, BUFFERS * BUFFER_SIZE);
    memset(guest.bytes, 0xee, BUFFERS * BUFFER_SIZE);
    guest.notifications = 0;
    return guest_memory_add(&guest.memory, GPA, BUFFERS * BUFFER_SIZE, guest.bytes, &err);
}

static void start_client(unsigned timeout_ms)
{
    struct cofre_err err;
    const struct quote_client_config config = {.backend = &double_backend,
                                               .memory = &guest.memory,
                                               .notify = notify,
                                               .context = &guest,
                                               .timeout_ms = timeout_ms};
    assert_int_equal(quote_client_new(&guest.client, &config, &err), 0);
}

static int tear_down(void **state)
{
    (void)state;
    quote_client_free(guest.client);
    guest.client = NULL;
    double_join();
    free(guest.bytes);
    return 0;
}

static struct tdx_quote_header *header_of(unsigned buffer)
{
    return (struct tdx_quote_header *)(guest.bytes + buffer * BUFFER_SIZE);
}

static uint64_t status_of(unsigned buffer)
{
    return __atomic_load_n(&header_of(buffer)->status, __ATOMIC_ACQUIRE);
}

static struct double_order order_of(unsigned buffer, enum double_fault fault)
{
    return (struct double_order){.fault = fault, .seed = buffer * 7919 + 1, .room = ROOM};
}

/* What Linux's driver does: clears the buffer, fills in the header and the TDREPORT, and calls. */
static uint64_t ask(unsigned buffer, enum double_fault fault)
{
    const struct double_order order = order_of(buffer, fault);
    uint8_t *b = guest.bytes + buffer * BUFFER_SIZE;
    memset(b, 0, BUFFER_SIZE);
    *header_of(buffer) = (struct tdx_quote_header){.version = 1, .in_len = TDX_REPORT_SIZE};
    memset(b + TDX_QUOTE_HEADER_SIZE, 0xa5, TDX_REPORT_SIZE);
    memcpy(b + TDX_QUOTE_HEADER_SIZE, &order, sizeof order);
    return quote_client_request(guest.client, GPA + buffer * BUFFER_SIZE, BUFFER_SIZE);
}

static void await_answer(unsigned buffer)
{
    while (status_of(buffer) == TDX_QUOTE_IN_FLIGHT)
        await_notification();
}

/* The whole buffer is what it has to be: the quote where there is one, else the guest's own bytes. */
static void expect_buffer(unsigned buffer, enum double_fault fault, uint64_t status)
{
    static uint8_t expected[BUFFER_SIZE];
    const struct double_order order = order_of(buffer, fault);
    uint8_t *const data = expected + TDX_QUOTE_HEADER_SIZE;
    memset(expected, 0, sizeof expected);
    memset(data, 0xa5, TDX_REPORT_SIZE);
    memcpy(data, &order, sizeof order);
    struct tdx_quote_header header = {.version = 1, .status = status, .in_len = TDX_REPORT_SIZE};
    if (status == TDX_QUOTE_SUCCESS)
        header.out_len = double_quote(data, &order);
    memcpy(expected, &header, sizeof header);
    assert_int_equal(status_of(buffer), status);
    assert_memory_equal(guest.bytes + buffer * BUFFER_SIZE, expected, BUFFER_SIZE);
}

static void a_quote_reaches_the_guest(void **state)
{
    (void)state;
    start_client(0);
    assert_int_equal(ask(0, DOUBLE_GOOD), TDVMCALL_SUCCESS);
    await_answer(0);
    expect_buffer(0, DOUBLE_GOOD, TDX_QUOTE_SUCCESS);
    assert_int_equal(double_connections(), 1);
}

/* The service's messages, as Intel's library puts them into a buffer: 28 bytes and a TDREPORT; back, 28 and a quote. */
#define HEAD 28u
static const uint8_t request_head[HEAD] = {0, 0,  4, 24, 1, 0, 1, 0, 0, 0, 0,
                                           0, 24, 4, 0,  0, 0, 0, 0, 0, 0, 4};

static struct double_order order_in_message(unsigned buffer, enum double_fault fault)
{
    struct double_order order = order_of(buffer, fault);
    order.room -= HEAD;
    return order;
}

static void fill_with_message(unsigned buffer, struct double_order order)
{
    uint8_t *b = guest.bytes + buffer * BUFFER_SIZE, *data = b + TDX_QUOTE_HEADER_SIZE;
    memset(b, 0, BUFFER_SIZE);
    *header_of(buffer) = (struct tdx_quote_header){.version = 1, .in_len = HEAD + TDX_REPORT_SIZE};
    memcpy(data, request_head, HEAD);
    memcpy(data + HEAD, &order, sizeof order);
}

static uint32_t le32_at(const uint8_t *data)
{
    uint32_t value;
    memcpy(&value, data, sizeof value);
    return value;
}

static void a_question_in_the_services_message_is_answered_in_one(void **state)
{
    (void)state;
    static const enum double_fault good[] = {DOUBLE_GOOD, DOUBLE_GOOD_IN_PIECES, DOUBLE_GOOD_TWICE,
                                             DOUBLE_GOOD_AFTER_KILLS};
    start_client(0);
    for (unsigned i = 0; i < sizeof good / sizeof *good; i++) {
        static uint8_t quote[BUFFER_SIZE];
        const struct double_order order = order_in_message(i, good[i]);
        const uint8_t *data = guest.bytes + i * BUFFER_SIZE + TDX_QUOTE_HEADER_SIZE;
        const uint32_t len = double_quote(quote, &order);
        fill_with_message(i, order);
        assert_int_equal(quote_client_request(guest.client, GPA + i * BUFFER_SIZE, BUFFER_SIZE),
                         TDVMCALL_SUCCESS);
        await_answer(i);
        assert_int_equal(status_of(i), TDX_QUOTE_SUCCESS);
        assert_int_equal(header_of(i)->out_len, HEAD + len);
        assert_int_equal(data[2] << 8 | data[3], 24 + len);
        assert_int_equal(le32_at(data + 8), 1); /* an answer to GET_QUOTE_REQ */
        assert_int_equal(le32_at(data + 12), 24 + len);
        assert_int_equal(le32_at(data + 16), 0);
        assert_int_equal(le32_at(data + 24), len);
        assert_memory_equal(data + HEAD, quote, len);
    }
}

static void a_message_that_gets_no_quote_has_a_status_and_no_answer(void **state)
{
    (void)state;
    static const struct {
        enum double_fault fault;
        uint64_t status;
    } cases[] = {{DOUBLE_QUOTE_TOO_BIG, TDX_QUOTE_ERROR},
                 {DOUBLE_ERROR_CODE, TDX_QUOTE_ERROR},
                 {DOUBLE_KILLED, TDX_QUOTE_SERVICE_UNAVAILABLE}};
    start_client(0);
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        fill_with_message(i, order_in_message(i, cases[i].fault));
        assert_int_equal(quote_client_request(guest.client, GPA + i * BUFFER_SIZE, BUFFER_SIZE),
                         TDVMCALL_SUCCESS);
        await_answer(i);
        assert_int_equal(status_of(i), cases[i].status);
        assert_int_equal(header_of(i)->out_len, 0);
        assert_memory_equal(guest.bytes + i * BUFFER_SIZE + TDX_QUOTE_HEADER_SIZE, request_head, HEAD);
    }
}

/* The quote alone would fit. */
static void a_buffer_has_room_for_the_message_around_the_quote(void **state)
{
    (void)state;
    static uint8_t quote[BUFFER_SIZE];
    struct double_order order = {.fault = DOUBLE_GOOD, .room = ROOM};
    while (double_quote(quote, &order) <= ROOM - HEAD)
        order.seed++;
    start_client(0);
    fill_with_message(0, order);
    assert_int_equal(quote_client_request(guest.client, GPA, BUFFER_SIZE), TDVMCALL_SUCCESS);
    await_answer(0);
    assert_int_equal(status_of(0), TDX_QUOTE_ERROR);
    assert_int_equal(guest.bytes[BUFFER_SIZE], 0xee); /* the next buffer */
}

/* The service has requests that are not a guest's to make. */
static void any_other_message_is_refused_and_left_alone(void **state)
{
    (void)state;
    static const struct {
        unsigned at;
        uint8_t value;
    } wrong[] = {{0, 1}, {3, 23},  {4, 0},  {4, 2},  {5, 1},  {8, 1},  {8, 2},   {8, 4},
                 {9, 1}, {12, 25}, {15, 1}, {16, 1}, {20, 1}, {21, 3}, {24, 16}, {27, 1}};
    static uint8_t before[BUFFER_SIZE];
    start_client(0);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        fill_with_message(0, order_in_message(0, DOUBLE_GOOD));
        guest.bytes[TDX_QUOTE_HEADER_SIZE + wrong[i].at] = wrong[i].value;
        memcpy(before, guest.bytes, BUFFER_SIZE);
        assert_int_equal(quote_client_request(guest.client, GPA, BUFFER_SIZE), TDVMCALL_INVALID_OPERAND);
        assert_memory_equal(guest.bytes, before, BUFFER_SIZE);
    }
    for (uint32_t len = HEAD + TDX_REPORT_SIZE - 1; len <= HEAD + TDX_REPORT_SIZE + 1; len += 2) {
        fill_with_message(0, order_in_message(0, DOUBLE_GOOD));
        header_of(0)->in_len = len;
        assert_int_equal(quote_client_request(guest.client, GPA, BUFFER_SIZE), TDVMCALL_INVALID_OPERAND);
    }
    assert_int_equal(double_connections(), 0);
}

static void what_is_no_request_is_refused_and_left_alone(void **state)
{
    (void)state;
    static const struct {
        uint64_t gpa, size;
        uint64_t version;
        uint32_t in_len;
        uint64_t answer;
    } wrong[] = {
        {GPA + 24, BUFFER_SIZE, 1, TDX_REPORT_SIZE, TDVMCALL_ALIGN_ERROR},
        {GPA, BUFFER_SIZE - 1, 1, TDX_REPORT_SIZE, TDVMCALL_ALIGN_ERROR},
        {GPA, 0, 1, TDX_REPORT_SIZE, TDVMCALL_INVALID_OPERAND},
        {GPA - 4096, BUFFER_SIZE, 1, TDX_REPORT_SIZE, TDVMCALL_INVALID_OPERAND},
        {GPA, (BUFFERS + 1) * BUFFER_SIZE, 1, TDX_REPORT_SIZE, TDVMCALL_INVALID_OPERAND},
        {GPA, -(uint64_t)4096, 1, TDX_REPORT_SIZE, TDVMCALL_INVALID_OPERAND},
        {GPA | TDX_SHARED_BIT, BUFFER_SIZE, 1, TDX_REPORT_SIZE, TDVMCALL_INVALID_OPERAND},
        {GPA, BUFFER_SIZE, 0, TDX_REPORT_SIZE, TDVMCALL_INVALID_OPERAND},
        {GPA, BUFFER_SIZE, 2, TDX_REPORT_SIZE, TDVMCALL_INVALID_OPERAND},
        {GPA, BUFFER_SIZE, 1, TDX_REPORT_SIZE - 1, TDVMCALL_INVALID_OPERAND},
        {GPA, BUFFER_SIZE, 1, 0xffffffff, TDVMCALL_INVALID_OPERAND},
    };
    start_client(0);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        static uint8_t before[BUFFER_SIZE];
        *header_of(0) = (struct tdx_quote_header){.version = wrong[i].version, .in_len = wrong[i].in_len};
        memcpy(before, guest.bytes, BUFFER_SIZE);
        assert_int_equal(quote_client_request(guest.client, wrong[i].gpa, wrong[i].size), wrong[i].answer);
        assert_memory_equal(guest.bytes, before, BUFFER_SIZE);
    }
    assert_int_equal(double_connections(), 0);
}

static void a_buffer_in_flight_is_not_taken_twice(void **state)
{
    (void)state;
    start_client(0);
    assert_int_equal(ask(1, DOUBLE_SILENT), TDVMCALL_SUCCESS);
    assert_int_equal(quote_client_request(guest.client, GPA + BUFFER_SIZE, BUFFER_SIZE),
                     TDVMCALL_INVALID_OPERAND);
    *header_of(0) = (struct tdx_quote_header){.version = 1, .in_len = TDX_REPORT_SIZE};
    assert_int_equal(quote_client_request(guest.client, GPA, BUFFER_SIZE + 4096), TDVMCALL_INVALID_OPERAND);
    expect_buffer(1, DOUBLE_SILENT, TDX_QUOTE_IN_FLIGHT);
}

static void one_too_many_is_told_to_come_again(void **state)
{
    (void)state;
    start_client(0);
    for (unsigned i = 0; i < QUOTE_OUTSTANDING_MAX; i++)
        assert_int_equal(ask(i, DOUBLE_SILENT), TDVMCALL_SUCCESS);
    assert_int_equal(ask(QUOTE_OUTSTANDING_MAX, DOUBLE_GOOD), TDVMCALL_RETRY);
    assert_int_equal(status_of(QUOTE_OUTSTANDING_MAX), 0);
}

static void the_end_of_the_machine_ends_what_is_outstanding(void **state)
{
    (void)state;
    start_client(0);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(ask(i, DOUBLE_SILENT), TDVMCALL_SUCCESS);
    quote_client_free(guest.client);
    guest.client = NULL;
    for (unsigned i = 0; i < 5; i++)
        expect_buffer(i, DOUBLE_SILENT, TDX_QUOTE_SERVICE_UNAVAILABLE);
}

static void a_service_that_comes_back_is_found(void **state)
{
    (void)state;
    start_client(0);
    double_refuse(ECONNREFUSED, 3);
    assert_int_equal(ask(0, DOUBLE_GOOD), TDVMCALL_SUCCESS);
    await_answer(0);
    expect_buffer(0, DOUBLE_GOOD, TDX_QUOTE_SUCCESS);
}

static void a_service_that_is_not_there_is_unavailable_in_time(void **state)
{
    (void)state;
    start_client(50);
    double_refuse(ENOENT, 1000000);
    assert_int_equal(ask(0, DOUBLE_GOOD), TDVMCALL_SUCCESS);
    await_answer(0);
    expect_buffer(0, DOUBLE_GOOD, TDX_QUOTE_SERVICE_UNAVAILABLE);
}

/* What each fault has to end with; those that only time ends are apart, with a client that has little of it. */
static const uint64_t outcome[DOUBLE_FAULTS] = {
    [DOUBLE_GOOD] = TDX_QUOTE_SUCCESS,
    [DOUBLE_GOOD_IN_PIECES] = TDX_QUOTE_SUCCESS,
    [DOUBLE_GOOD_TWICE] = TDX_QUOTE_SUCCESS,
    [DOUBLE_GOOD_MINOR_VERSION] = TDX_QUOTE_SUCCESS,
    [DOUBLE_GOOD_AFTER_KILLS] = TDX_QUOTE_SUCCESS,
    [DOUBLE_GOOD_AFTER_TRUNCATED] = TDX_QUOTE_SUCCESS,
    [DOUBLE_KILLED] = TDX_QUOTE_SERVICE_UNAVAILABLE,
    [DOUBLE_CLOSED] = TDX_QUOTE_SERVICE_UNAVAILABLE,
    [DOUBLE_TRUNCATED] = TDX_QUOTE_SERVICE_UNAVAILABLE,
    [DOUBLE_LENGTH_BEYOND] = TDX_QUOTE_SERVICE_UNAVAILABLE,
    [DOUBLE_LENGTH_HUGE] = TDX_QUOTE_ERROR,
    [DOUBLE_LENGTH_SHORT] = TDX_QUOTE_ERROR,
    [DOUBLE_QUOTE_TOO_BIG] = TDX_QUOTE_ERROR,
    [DOUBLE_QUOTE_EMPTY] = TDX_QUOTE_ERROR,
    [DOUBLE_ERROR_CODE] = TDX_QUOTE_ERROR,
    [DOUBLE_WRONG_TYPE] = TDX_QUOTE_ERROR,
    [DOUBLE_WRONG_VERSION] = TDX_QUOTE_ERROR,
    [DOUBLE_GARBLED] = TDX_QUOTE_ERROR,
    [DOUBLE_NOISE] = TDX_QUOTE_ERROR,
    [DOUBLE_SILENT] = TDX_QUOTE_SERVICE_UNAVAILABLE,
    [DOUBLE_STUCK] = TDX_QUOTE_SERVICE_UNAVAILABLE,
};

static void ask_until_taken(unsigned buffer, enum double_fault fault)
{
    for (uint64_t answer; (answer = ask(buffer, fault)) != TDVMCALL_SUCCESS; await_notification())
        assert_int_equal(answer, TDVMCALL_RETRY);
}

/* Buffers from..to-1, each with a fault of first..last in turn; then one good request. */
static void suffer(unsigned from, unsigned to, enum double_fault first, enum double_fault last)
{
    const unsigned kinds = last - first + 1;
    for (unsigned i = from; i < to; i++)
        ask_until_taken(i, first + i % kinds);
    for (unsigned i = from; i < to; i++)
        await_answer(i);
    for (unsigned i = from; i < to; i++)
        expect_buffer(i, first + i % kinds, outcome[first + i % kinds]);
}

static void two_hundred_faults_end_in_exact_statuses(void **state)
{
    (void)state;
    start_client(0);
    suffer(0, 160, DOUBLE_GOOD, DOUBLE_NOISE);
    ask_until_taken(0, DOUBLE_GOOD);
    await_answer(0);
    expect_buffer(0, DOUBLE_GOOD, TDX_QUOTE_SUCCESS);
    quote_client_free(guest.client);

    start_client(20);
    suffer(160, 200, DOUBLE_SILENT, DOUBLE_STUCK);
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        test(a_quote_reaches_the_guest),
        test(a_question_in_the_services_message_is_answered_in_one),
        test(a_message_that_gets_no_quote_has_a_status_and_no_answer),
        test(a_buffer_has_room_for_the_message_around_the_quote),
        test(any_other_message_is_refused_and_left_alone),
        test(what_is_no_request_is_refused_and_left_alone),
        test(a_buffer_in_flight_is_not_taken_twice),
        test(one_too_many_is_told_to_come_again),
        test(the_end_of_the_machine_ends_what_is_outstanding),
        test(a_service_that_comes_back_is_found),
        test(a_service_that_is_not_there_is_unavailable_in_time),
        test(two_hundred_faults_end_in_exact_statuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
