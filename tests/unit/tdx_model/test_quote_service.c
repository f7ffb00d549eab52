/* The emulated quote service: what qgsd answers, and what it does not. */
#include "fixture.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tdx/model/quote_service.h"
#include "tdx/qgs.h"
#include "tdx/quote.h"
#include "vmm/base/bytes.h"

static struct tdx_platform *platform;
static struct tdx_td *td;

static int set_up(void **state)
{
    (void)state;
    platform = open_platform(0);
    td = td_in(RUNNING, platform);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tdx_td_free(td);
    tdx_platform_close(platform);
    return 0;
}

static int connect_to_service(void)
{
    struct cofre_err err;
    int fd = tdx_quote_service_connect(&err);
    if (fd < 0)
        fail_msg("%s", err.text);
    return fd;
}

/* The socket does not block; here the answer is waited for. */
static bool wait_for(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, 20000) == 1;
}

/* All that comes until the service closes. */
static size_t read_all(int fd, uint8_t *data, size_t size)
{
    size_t len = 0;
    while (len < size && wait_for(fd)) {
        ssize_t n = recv(fd, data + len, size - len, 0);
        if (n <= 0)
            return len;
        len += (size_t)n;
    }
    fail_msg("the service neither answered nor closed");
    return 0;
}

struct answer {
    uint8_t data[65536];
    size_t len; /* 0: closed without an answer */
};

static void ask(struct answer *answer, const void *message, uint32_t len, uint32_t announced)
{
    uint8_t prefix[QGS_LENGTH_SIZE];
    int fd = connect_to_service();
    qgs_length_put(prefix, announced);
    assert_int_equal(send(fd, prefix, sizeof prefix, 0), sizeof prefix);
    assert_int_equal(send(fd, message, len, 0), len);
    shutdown(fd, SHUT_WR);
    answer->len = read_all(fd, answer->data, sizeof answer->data);
    close(fd);
}

struct quote_request {
    struct qgs_get_quote_req head;
    struct tdx_report report;
    uint8_t id_list[16];
};

static struct quote_request good_request(void)
{
    struct quote_request request = {.report = report_of(td, 0x11)};
    request.head.header = (struct qgs_header){.major_version = 1,
                                              .minor_version = 0,
                                              .type = QGS_GET_QUOTE_REQ,
                                              .size = sizeof request - sizeof request.id_list};
    request.head.report_size = sizeof request.report;
    return request;
}

static struct qgs_get_quote_resp check_answer(const struct answer *answer, uint32_t type)
{
    struct qgs_get_quote_resp response;
    assert_true(answer->len >= QGS_LENGTH_SIZE + sizeof response);
    assert_int_equal(qgs_length_get(answer->data), answer->len - QGS_LENGTH_SIZE);
    memcpy(&response, answer->data + QGS_LENGTH_SIZE, sizeof response);
    assert_int_equal(response.header.major_version, 1);
    assert_int_equal(response.header.type, type);
    assert_int_equal(response.header.size, answer->len - QGS_LENGTH_SIZE);
    return response;
}

static void check_quote(const struct answer *answer, const struct tdx_report *report)
{
    struct tdx_quote quote;
    struct cofre_err err;
    struct qgs_get_quote_resp response = check_answer(answer, QGS_GET_QUOTE_RESP);
    assert_int_equal(response.header.error_code, QGS_SUCCESS);
    assert_int_equal(response.selected_id_size, 0);
    assert_int_equal(response.quote_size, answer->len - QGS_LENGTH_SIZE - sizeof response);
    struct view raw = {answer->data + QGS_LENGTH_SIZE + sizeof response, response.quote_size};
    assert_int_equal(tdx_quote_parse(&quote, raw, &err), 0);
    assert_int_equal(quote.version, 4);
    assert_memory_equal(quote.body->report_data, report->mac.report_data, TDX_REPORT_DATA_SIZE);
    assert_memory_equal(quote.body->mrtd, report->td.mrtd, TDX_DIGEST_SIZE);
}

static void a_report_of_this_processor_gets_a_quote(void **state)
{
    (void)state;
    struct answer answer;
    struct quote_request request = good_request();
    ask(&answer, &request, request.head.header.size, request.head.header.size);
    check_quote(&answer, &request.report);
    request.head.id_list_size = sizeof request.id_list; /* its own choice is all that it has */
    request.head.header.size += sizeof request.id_list;
    ask(&answer, &request, request.head.header.size, request.head.header.size);
    check_quote(&answer, &request.report);
}

static void requests_that_are_taken_apart_but_not_met_get_an_error(void **state)
{
    (void)state;
    struct answer answer;
    const struct quote_request good = good_request();
    for (int i = 0; i < 7; i++) {
        struct quote_request request = good;
        if (i == 0)
            request.report.mac.report_data[0] ^= 1;
        if (i == 1)
            request.report.td.rtmr[2][47] ^= 0x80;
        if (i == 2)
            request.report.reserved[3] = 1;
        if (i == 3)
            request.head.report_size--;
        if (i == 4)
            request.head.report_size = 0xffffffff;
        if (i == 5)
            request.head.id_list_size = 1;
        if (i == 6)
            request.head.header.error_code = 1;
        ask(&answer, &request, request.head.header.size, request.head.header.size);
        struct qgs_get_quote_resp response = check_answer(&answer, QGS_GET_QUOTE_RESP);
        assert_int_equal(response.header.error_code, QGS_ERROR_UNEXPECTED);
        assert_int_equal(response.quote_size, 0);
        assert_int_equal(response.header.size, sizeof response);
    }
}

static void what_it_does_not_have_it_says(void **state)
{
    (void)state;
    struct answer answer;
    const uint32_t sizes[][2] = {{2, 48}, {4, 28}};
    for (size_t i = 0; i < 2; i++) {
        struct qgs_header header = {
            .major_version = 1, .minor_version = 1, .type = sizes[i][0], .size = sizeof header};
        ask(&answer, &header, sizeof header, sizeof header);
        struct qgs_get_quote_resp response = check_answer(&answer, sizes[i][0] + 1);
        assert_int_equal(response.header.error_code, QGS_ERROR_UNEXPECTED);
        assert_int_equal(response.header.size, sizes[i][1]);
    }
}

static void other_messages_are_not_answered(void **state)
{
    (void)state;
    struct answer answer;
    const struct quote_request good = good_request();
    const uint32_t size = good.head.header.size;
    for (int i = 0; i < 7; i++) {
        struct quote_request request = good;
        uint32_t announced = size, len = size;
        if (i == 0)
            request.head.header.major_version = 2;
        if (i == 1)
            request.head.header.type = QGS_GET_QUOTE_RESP;
        if (i == 2)
            request.head.header.type = 6;
        if (i == 3)
            request.head.header.size = size - 1;
        if (i == 4)
            announced = 15;
        if (i == 5)
            announced = 0xffffffff;
        if (i == 6)
            len = 100; /* and no more */
        ask(&answer, &request, len, announced);
        assert_int_equal(answer.len, 0);
    }
}

static void *ask_for_quotes(void *unused)
{
    (void)unused;
    struct answer *answer = malloc(sizeof *answer);
    assert_non_null(answer);
    for (int i = 0; i < 4; i++) {
        struct quote_request request = good_request();
        ask(answer, &request, request.head.header.size, request.head.header.size);
        check_quote(answer, &request.report);
    }
    free(answer);
    return NULL;
}

static void several_guests_are_served_at_once(void **state)
{
    (void)state;
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_for_quotes, NULL), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}

static void a_caller_that_goes_away_harms_nobody(void **state)
{
    (void)state;
    struct answer answer;
    uint8_t prefix[QGS_LENGTH_SIZE];
    struct quote_request request = good_request();
    for (int i = 0; i < 3; i++) {
        int fd = connect_to_service();
        qgs_length_put(prefix, request.head.header.size);
        if (i > 0)
            assert_int_equal(send(fd, prefix, sizeof prefix, 0), sizeof prefix);
        if (i > 1)
            assert_int_equal(send(fd, &request, request.head.header.size, 0), request.head.header.size);
        close(fd);
    }
    ask(&answer, &request, request.head.header.size, request.head.header.size);
    check_quote(&answer, &request.report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_report_of_this_processor_gets_a_quote),
        cmocka_unit_test(requests_that_are_taken_apart_but_not_met_get_an_error),
        cmocka_unit_test(what_it_does_not_have_it_says),
        cmocka_unit_test(other_messages_are_not_answered),
        cmocka_unit_test(several_guests_are_served_at_once),
        cmocka_unit_test(a_caller_that_goes_away_harms_nobody),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
