/* From a guest's GetQuote to a quote of the emulated platform: the launch's client against the emulated service. */
#include "fixture.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "tdx/launch/quote_client.h"
#include "tdx/model/quote_service.h"
#include "tdx/quote.h"

#define GPA         0x200000u
#define BUFFER_SIZE 8192u /* as Linux 6.12's */

static int connect_service(const char *address)
{
    struct cofre_err err;
    assert_null(address);
    return tdx_quote_service_connect(&err);
}

static const struct kvm_backend backend = {.name = "emulated", .quote_service = connect_service};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned notifications;
} interrupt = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};

static void notify(void *context)
{
    (void)context;
    pthread_mutex_lock(&interrupt.lock);
    interrupt.notifications++;
    pthread_cond_signal(&interrupt.changed);
    pthread_mutex_unlock(&interrupt.lock);
}

static uint64_t get_quote(const struct tdx_report *report, uint8_t buffer[BUFFER_SIZE])
{
    struct cofre_err err;
    struct guest_memory memory = {0};
    struct quote_client *client;
    const struct quote_client_config config = {.backend = &backend, .memory = &memory, .notify = notify};
    struct tdx_quote_header header = {.version = 1, .in_len = sizeof *report};
    memset(buffer, 0, BUFFER_SIZE);
    memcpy(buffer, &header, sizeof header);
    memcpy(buffer + sizeof header, report, sizeof *report);
    assert_int_equal(guest_memory_add(&memory, GPA, BUFFER_SIZE, buffer, &err), 0);
    assert_int_equal(quote_client_new(&client, &config, &err), 0);
    assert_int_equal(quote_client_request(client, GPA, BUFFER_SIZE), TDVMCALL_SUCCESS);
    pthread_mutex_lock(&interrupt.lock);
    while (interrupt.notifications == 0)
        pthread_cond_wait(&interrupt.changed, &interrupt.lock);
    interrupt.notifications = 0;
    pthread_mutex_unlock(&interrupt.lock);
    quote_client_free(client);
    memcpy(&header, buffer, sizeof header);
    return header.status;
}

static void a_guest_gets_a_quote_of_its_report(void **state)
{
    (void)state;
    struct cofre_err err;
    struct tdx_quote quote;
    struct tdx_platform *platform = open_platform(0);
    struct tdx_td *td = td_in(RUNNING, platform);
    struct tdx_report report = report_of(td, 0x33);
    uint8_t *buffer = aligned_alloc(TDX_PAGE_SIZE, BUFFER_SIZE);
    assert_int_equal(get_quote(&report, buffer), TDX_QUOTE_SUCCESS);

    const struct tdx_quote_header *header = (const struct tdx_quote_header *)buffer;
    const struct view raw = {buffer + sizeof *header, header->out_len};
    assert_int_equal(tdx_quote_parse(&quote, raw, &err), 0);
    assert_memory_equal(quote.body->report_data, report.mac.report_data, TDX_REPORT_DATA_SIZE);
    assert_memory_equal(quote.body->rtmr, report.td.rtmr, sizeof report.td.rtmr);

    report.td.rtmr[0][0] ^= 1; /* the MAC is no longer this report's */
    assert_int_equal(get_quote(&report, buffer), TDX_QUOTE_ERROR);
    assert_int_equal(header->out_len, 0);
    free(buffer);
    tdx_td_free(td);
    tdx_platform_close(platform);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_guest_gets_a_quote_of_its_report)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
