/* The guest's end of channels, served by processes of their own; the evidence is made up, and so is who judges it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attest/channel/address.h"
#include "attest/evidence.h"
#include "sev/abi.h"
#include "vmm/agent/channel.h"
#include "vmm/agent/evidence_file.h"
#include "vmm/agent/provider.h"

/* A provider that puts the report data where a report has it. */
static int made_up(const uint8_t report_data[REPORT_DATA_SIZE], struct agent_evidence *out,
                   struct cofre_err *err)
{
    struct snp_report report = {.version = 2};
    memcpy(report.report_data, report_data, REPORT_DATA_SIZE);
    out->tee = "snp";
    return bytes_copy(&out->report, (struct view){(const uint8_t *)&report, sizeof report}, err);
}
static int (*const provider)(const uint8_t *, struct agent_evidence *, struct cofre_err *) = made_up;

static int judge(void *context, struct view file, const uint8_t report_data[CHANNEL_REPORT_DATA],
                 struct cofre_err *err)
{
    CLEAN_EVIDENCE evidence = {0};
    int rc = evidence_parse(&evidence, file, err);
    ++*(unsigned *)context;
    if (rc < 0)
        return rc;
    const struct snp_report *report = (const void *)evidence.report.data;
    return memcmp(report->report_data, report_data, CHANNEL_REPORT_DATA) == 0
               ? 0
               : cofre_fail(err, COFRE_NEGATIVE, "other report data");
}

static void port_of(char out[32], int listener)
{
    struct sockaddr_in at;
    socklen_t len = sizeof at;
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len), 0);
    snprintf(out, 32, "127.0.0.1:%u", ntohs(at.sin_port));
}

/* The program in the guest: says everything back, once. */
static void *echo(void *context)
{
    char data[4096];
    ssize_t n;
    int fd = accept(*(int *)context, NULL, NULL);
    while (fd >= 0 && (n = read(fd, data, sizeof data)) > 0 && write(fd, data, (size_t)n) == n)
        continue;
    close(fd);
    return NULL;
}

struct agent {
    int listener, stop[2], local;
    char address[32], to[32];
    pid_t pid;
};

static void start_agent(struct agent *a)
{
    struct cofre_err err = {""};
    a->local = address_listen("127.0.0.1:0", &err);
    a->listener = address_listen("127.0.0.1:0", &err);
    assert_true(a->local >= 0 && a->listener >= 0);
    port_of(a->to, a->local);
    port_of(a->address, a->listener);
    assert_int_equal(pipe(a->stop), 0);
    a->pid = fork();
    assert_true(a->pid >= 0);
    if (a->pid)
        return;
    CLEAN_IDENTITY identity = {0};
    const struct channel_acts acts = {.context = (void *)(uintptr_t)&provider, .evidence = evidence_file};
    const struct agent_channel how = {.to = a->to, .identity = &identity, .acts = &acts};
    close(a->stop[1]);
    (void)signal(SIGPIPE, SIG_IGN);
    int rc = channel_identity_new(&identity, &err);
    _exit(rc < 0 || agent_channel_serve(&how, a->listener, a->stop[0], &err) < 0);
}

static void stop_agent(struct agent *a)
{
    int status;
    close(a->stop[1]);
    assert_int_equal(waitpid(a->pid, &status, 0), a->pid);
    assert_int_equal(status, 0);
    close(a->stop[0]);
    close(a->listener);
    close(a->local);
}

static void channels_end_in_the_guest_one_after_the_other(void **state)
{
    (void)state;
    struct agent agent;
    struct cofre_err err = {""};
    unsigned judged = 0;
    start_agent(&agent);
    for (int i = 0; i < 3; i++) {
        pthread_t thread;
        struct channel *channel;
        char back[8] = "";
        const struct channel_options options = {
            .end = CHANNEL_CLIENT, .acts = {.context = &judged, .judge = judge}, .seconds = 20};
        pthread_create(&thread, NULL, echo, &agent.local);
        int fd = address_connect(agent.address, true, 5, &err);
        if (fd < 0 || channel_open(&channel, fd, &options, &err) < 0)
            fail_msg("%s", err.text);
        assert_int_equal(channel_write(channel, "hello", 5, 5000, &err), 0);
        for (ssize_t len = 0, n; len < 5; len += n)
            assert_true((n = channel_read(channel, back + len, 5 - (size_t)len, 5000, &err)) > 0);
        assert_string_equal(back, "hello");
        channel_close(channel);
        pthread_join(thread, NULL);
    }
    assert_int_equal(judged, 3);
    stop_agent(&agent);
}

static void nobody_reaches_the_program_without_a_channel(void **state)
{
    (void)state;
    struct agent agent;
    struct cofre_err err;
    char byte;
    start_agent(&agent);
    int fd = address_connect(agent.address, true, 5, &err);
    assert_true(fd >= 0);
    assert_int_equal(send(fd, "GET / HTTP/1.1\r\n\r\n", 18, 0), 18);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    while (recv(fd, &byte, 1, 0) != 0 && errno != ECONNRESET) /* TLS's alert, and the end */
        continue;
    close(fd);
    assert_int_equal(fcntl(agent.local, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(accept(agent.local, NULL, NULL), -1);
    assert_int_equal(errno, EAGAIN);
    stop_agent(&agent);
}

/* The program is not there: that is not a channel that ended in order. */
static void a_program_that_is_not_there_cuts_the_channel(void **state)
{
    (void)state;
    struct agent agent;
    struct cofre_err err = {""};
    unsigned judged = 0;
    char byte;
    start_agent(&agent);
    assert_int_equal(shutdown(agent.local, SHUT_RDWR), 0); /* listens no more */
    struct channel *channel;
    const struct channel_options options = {
        .end = CHANNEL_CLIENT, .acts = {.context = &judged, .judge = judge}, .seconds = 20};
    int fd = address_connect(agent.address, true, 5, &err);
    if (fd < 0 || channel_open(&channel, fd, &options, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(channel_read(channel, &byte, 1, 20000, &err), -COFRE_FAILED);
    assert_string_equal(err.text, "the other end closed the connection during reading");
    channel_close(channel);
    stop_agent(&agent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(channels_end_in_the_guest_one_after_the_other),
        cmocka_unit_test(a_program_that_is_not_there_cuts_the_channel),
        cmocka_unit_test(nobody_reaches_the_program_without_a_channel),
    };
    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
