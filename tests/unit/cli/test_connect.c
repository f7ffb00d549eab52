/* cofre connect as a user runs it, against a guest's end in this process whose evidence is an emulated SNP guest's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "attest/channel/address.h"
#include "attest/channel/channel.h"
#include "attest/evidence.h"
#include "run.h"
#include "tests/unit/model/fixture.h"

static struct psp *psp;

static int setup(void **state)
{
    CLEAN_BYTES root = {0};
    if (cli_setup(state) != 0)
        return -1;
    signal(SIGPIPE, SIG_IGN);
    psp = open_platform((struct psp_options){.product = SNP_PRODUCT_MILAN});
    assert_int_equal(psp_root(psp, &root, NULL), 0);
    cli_write("root.pem", bytes_view(&root));
    cli_write("chips.json", (struct view){(const uint8_t *)"{\"snp\": {\"products\": [\"Turin\"]}}", 32});
    cli_write("request", (struct view){(const uint8_t *)"a question\n", 11});
    return 0;
}

static int teardown(void **state)
{
    psp_close(psp);
    return cli_teardown(state);
}

static int evidence(void *context, struct bytes *file, const uint8_t report_data[CHANNEL_REPORT_DATA],
                    struct cofre_err *err)
{
    (void)context;
    struct snp_report_req request = {0};
    CLEAN_EVIDENCE e = {.tee = "snp"};
    struct snp_secrets_page secrets;
    memcpy(request.report_data, report_data, CHANNEL_REPORT_DATA);
    struct psp_guest *guest = launch_guest(psp, &secrets, NULL);
    struct snp_report_rsp response = ask_report(guest, &secrets, 0, 1, &request);
    psp_guest_free(guest);
    const struct view report = {(const uint8_t *)&response.report, sizeof response.report};
    int rc = bytes_copy(&e.report, report, err);
    rc = rc < 0 ? rc : psp_cert_table(psp, &e.certificates, err);
    return rc < 0 ? rc : evidence_write(file, &e, err);
}

/* The guest's end: one connection, in which it reads a line, says "an answer", and ends, or is cut off. */
struct guest {
    int listener;     /* or -1: it dials */
    char address[32]; /* where it listens, or dials to */
    bool cut;
    char heard[64];
    pthread_t thread;
};

static int connection(struct guest *g)
{
    struct cofre_err err;
    int fd = -1;
    if (g->listener >= 0)
        return accept(g->listener, NULL, NULL);
    while ((fd = address_connect(g->address, false, 5, &err)) < 0)
        sched_yield(); /* the program is not there yet */
    return fd;
}

static void *answer(void *context)
{
    struct guest *g = context;
    struct channel *channel;
    CLEAN_IDENTITY identity = {0};
    const struct channel_options options = {.end = g->listener < 0 ? CHANNEL_CLIENT : CHANNEL_SERVER,
                                            .identity = &identity,
                                            .acts = {.evidence = evidence},
                                            .seconds = 20};
    int fd = connection(g);
    if (channel_identity_new(&identity, NULL) < 0 || channel_open(&channel, fd, &options, NULL) < 0)
        return NULL;
    ssize_t n, len = 0;
    while (len < 63 && (n = channel_read(channel, g->heard + len, 63 - (size_t)len, 20000, NULL)) > 0)
        len += n;
    (void)channel_write(channel, "an answer\n", 10, 20000, NULL);
    (g->cut ? channel_cut : channel_close)(channel);
    return NULL;
}

static void start(struct guest *g)
{
    struct sockaddr_in at;
    socklen_t len = sizeof at;
    int fd = address_listen("127.0.0.1:0", NULL);
    assert_true(fd >= 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    snprintf(g->address, sizeof g->address, "127.0.0.1:%u", ntohs(at.sin_port));
    if (g->listener < 0)
        close(fd); /* the program takes the port */
    else
        g->listener = fd;
    assert_int_equal(pthread_create(&g->thread, NULL, answer, g), 0);
}

static void finish(struct guest *g)
{
    pthread_join(g->thread, NULL);
    if (g->listener >= 0)
        close(g->listener);
}

/* The exit code of "cofre connect ADDRESS OPTIONS", with standard output in the file out and the rest in cli_output. */
static int connected(struct guest *g, const char *options)
{
    char line[256];
    start(g);
    snprintf(line, sizeof line, "connect %s %s <request >out 2>said; code=$?; cat said; exit $code #",
             g->address, options);
    int code = cli_run(line);
    finish(g);
    return code;
}

static void out_is(const char *text)
{
    CLEAN_BYTES out = {0};
    cli_read(&out, "out");
    assert_int_equal(out.len, strlen(text));
    assert_memory_equal(out.data, text, out.len);
}

static void input_and_output_go_through_after_the_verdict(void **state)
{
    (void)state;
    struct guest g = {0};
    assert_int_equal(connected(&g, "--trust-root root.pem"), 0);
    assert_string_equal(g.heard, "a question\n");
    out_is("an answer\n");
    assert_non_null(strstr(cli_output, "the evidence is bound to this channel and its key"));
    assert_non_null(strstr(cli_output, "EMULATED"));
}

static void a_guest_may_dial(void **state)
{
    (void)state;
    struct guest g = {.listener = -1};
    assert_int_equal(connected(&g, "--trust-root root.pem --listen"), 0);
    assert_string_equal(g.heard, "a question\n");
    out_is("an answer\n");
}

static void nothing_goes_through_where_the_verdict_is_negative(void **state)
{
    (void)state;
    static const char *const options[] = {"", "--trust-root root.pem --policy chips.json --json"};
    for (size_t i = 0; i < 2; i++) {
        struct guest g = {0};
        assert_int_equal(connected(&g, options[i]), 1);
        assert_string_equal(g.heard, "");
        out_is("");
        assert_non_null(strstr(cli_output, "the other end's evidence is not accepted: "));
    }
    assert_non_null(strstr(cli_output, "\"verdict\": \"fail\""));
}

static void a_connection_that_is_cut_off_is_a_failure(void **state)
{
    (void)state;
    struct guest g = {.cut = true};
    assert_int_equal(connected(&g, "--trust-root root.pem"), 5);
    assert_non_null(strstr(cli_output, "cofre connect: the other end closed the connection during reading"));
    out_is("an answer\n");
}

static void wrong_usage_is_told(void **state)
{
    (void)state;
    assert_int_equal(cli_run("connect"), 2);
    assert_int_equal(cli_run("connect a:1 b:1"), 2);
    assert_int_equal(cli_run("connect nowhere"), 2);
    assert_non_null(strstr(cli_output, "\"nowhere\" is no address"));
    assert_int_equal(cli_run("connect a:1 --policy chips.json --policy chips.json"), 2);
    assert_non_null(strstr(cli_output, "--policy is given twice"));
    assert_int_equal(cli_run("connect 127.0.0.1:1 </dev/null"), 5);
    assert_non_null(strstr(cli_output, "no connection: Connection refused"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(input_and_output_go_through_after_the_verdict),
        cmocka_unit_test(a_guest_may_dial),
        cmocka_unit_test(nothing_goes_through_where_the_verdict_is_negative),
        cmocka_unit_test(a_connection_that_is_cut_off_is_a_failure),
        cmocka_unit_test(wrong_usage_is_told),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
