/* The decider's end, before a gate and parsers that are the test's own: such as somebody has taken over. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/base/cleanup.h"
#include "vmm/host/front/caller.h"
#include "vmm/host/front/pair.h"

struct decider {
    struct event_base *base;
    struct callers *callers;
    int gate; /* the gate's end */
    struct caller *caller;
    uint64_t id;
    unsigned asked, gone, drained, uid;
};

static void on_request(void *context, struct caller *c, struct message_request *r)
{
    struct decider *d = context;
    d->caller = c;
    d->id = r->id;
    d->asked++;
    d->uid = caller_identity(c)->uid;
}

static void on_gone(void *context, struct caller *c)
{
    (void)c;
    ((struct decider *)context)->gone++;
}

static void on_drained(void *context, struct caller *c)
{
    (void)c;
    ((struct decider *)context)->drained++;
}

static void turn(struct decider *d)
{
    for (int i = 0; i < 4; i++)
        (void)event_base_loop(d->base, EVLOOP_NONBLOCK);
}

static void pair_of(int ends[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
}

static void begin(struct decider *d)
{
    int gate[2];
    const struct callers_handler handler = {on_request, on_gone, on_drained, d};
    const struct callers_limits limits = {.waiting = 1u << 20};
    *d = (struct decider){.base = event_base_new()};
    pair_of(gate);
    d->gate = gate[0];
    assert_int_equal(callers_new(&d->callers, d->base, gate[1], &handler, &limits, NULL), 0);
}

static void end(struct decider *d)
{
    callers_free(d->callers);
    close(d->gate);
    event_base_free(d->base);
}

static struct identity user(unsigned uid)
{
    return (struct identity){
        .version = IDENTITY_VERSION, .kind = IDENTITY_UNIX, .uid = uid, .address = "unix"};
}

/* The parser's end of a new caller's pair. */
static int arrive(struct decider *d, const struct identity *identity)
{
    int ends[2];
    pair_of(ends);
    assert_int_equal(
        pair_send(d->gate, (struct view){(const uint8_t *)identity, sizeof *identity}, &ends[0], 1), 0);
    close(ends[0]);
    turn(d);
    return ends[1];
}

static void ask(struct decider *d, int parser, uint64_t id, enum operation_number operation)
{
    CLEAN_BYTES message = {0};
    struct message_request r = {.id = id, .operation = &operations[operation]};
    if (operation == OPERATION_IMAGE_ADD) {
        r.part.count = 2;
        (void)snprintf(r.part.text[0], OPERATION_PART_MAX, "red");
        (void)snprintf(r.part.text[1], OPERATION_PART_MAX, "sha256:%064d", 0);
        r.upload = 5;
    }
    assert_int_equal(message_request_write(&message, &r, NULL), 0);
    assert_int_equal(pair_send(parser, bytes_view(&message), NULL, 0), 0);
    turn(d);
}

/* True: an answer. False: the pair's end. Its bytes point to where the next call writes. */
static bool answered(int parser, struct message_answer *out, int *fd)
{
    static uint8_t message[MESSAGE_MAX];
    const ssize_t len = pair_receive(parser, message, sizeof message, fd, 1);
    if (len <= 0)
        return false;
    assert_int_equal(message_answer_read(out, (struct view){message, (size_t)len}, NULL), 0);
    return true;
}

static bool is_out(int parser)
{
    char byte;
    return recv(parser, &byte, 1, MSG_DONTWAIT) == 0;
}

static void a_parser_that_was_taken_over_is_who_the_gate_said(void **state)
{
    (void)state;
    struct decider d;
    begin(&d);
    struct identity ann = user(1000), root = user(0);
    CLEAN_FD parser = arrive(&d, &ann);
    ask(&d, parser, 1, OPERATION_SESSION_SHOW);
    assert_int_equal(d.uid, 1000);
    caller_empty(d.caller, d.id, 204);
    /* It sends what the gate would send, with an end of a pair: that is no request, and no caller. */
    int ends[2];
    pair_of(ends);
    assert_int_equal(pair_send(parser, (struct view){(const uint8_t *)&root, sizeof root}, &ends[0], 1), 0);
    turn(&d);
    assert_int_equal(callers_count(d.callers), 0);
    assert_int_equal(d.asked, 1);
    assert_int_equal(d.gone, 1);
    close(ends[0]);
    assert_true(is_out(ends[1])); /* nobody has kept its other end */
    close(ends[1]);
    end(&d);
}

static void each_of_these_puts_a_parser_out(void **state)
{
    (void)state;
    static const char *const messages[] = {"00",
                                           "80",
                                           "8801",
                                           "ffffffff",
                                           "a0",
                                           "8802182e0180f6f6f600",
                                           "8801182f0180f6f6f600",
                                           "8801182e0080f6f6f600",
                                           "8801182e0181616180f6f6f600"};
    struct decider d;
    begin(&d);
    const struct identity ann = user(1000);
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
        CLEAN_BYTES message = {0};
        CLEAN_FD parser = arrive(&d, &ann);
        assert_int_equal(callers_count(d.callers), 1);
        assert_int_equal(hex_decode_some(&message, 64, messages[i], NULL), 0);
        assert_int_equal(pair_send(parser, bytes_view(&message), NULL, 0), 0);
        turn(&d);
        assert_true(is_out(parser));
        assert_int_equal(callers_count(d.callers), 0);
    }
    assert_int_equal(d.asked, 0);
    end(&d);
}

static void a_message_that_is_too_long_puts_a_parser_out(void **state)
{
    (void)state;
    static uint8_t message[MESSAGE_MAX + 100];
    struct decider d;
    begin(&d);
    const struct identity ann = user(1000);
    CLEAN_FD parser = arrive(&d, &ann);
    assert_int_equal(pair_send(parser, (struct view){message, sizeof message}, NULL, 0), 0);
    turn(&d);
    assert_true(is_out(parser));
    end(&d);
}

static void one_request_is_open_at_a_time(void **state)
{
    (void)state;
    struct decider d;
    begin(&d);
    const struct identity ann = user(1000);
    CLEAN_FD first = arrive(&d, &ann), second = arrive(&d, &ann);
    ask(&d, first, 1, OPERATION_SESSION_SHOW);
    ask(&d, first, 2, OPERATION_SESSION_SHOW);
    assert_int_equal(d.asked, 1);
    assert_true(is_out(first));
    ask(&d, second, 5, OPERATION_SESSION_SHOW);
    caller_empty(d.caller, 5, 204);
    ask(&d, second, 5, OPERATION_SESSION_SHOW); /* an id again */
    assert_int_equal(d.asked, 2);
    assert_int_equal(callers_count(d.callers), 0);
    end(&d);
}

static void a_request_has_one_answer(void **state)
{
    (void)state;
    struct decider d;
    begin(&d);
    const struct identity ann = user(1000);
    CLEAN_FD parser = arrive(&d, &ann);
    CLEAN_MESSAGE_ANSWER answer = {0};
    int fd;
    ask(&d, parser, 7, OPERATION_SESSION_SHOW);
    assert_int_equal(caller_open(d.caller), 7);
    caller_empty(d.caller, 6, 204);                                    /* of another request */
    caller_chunk(d.caller, 7, (struct view){(const uint8_t *)"a", 1}); /* of no stream */
    caller_end(d.caller, 7);
    assert_false(answered(parser, &answer, &fd));
    caller_problem(d.caller, 7, 404, 0, "no-such-guest", "there is no guest \xff\n%s", "here");
    caller_empty(d.caller, 7, 204);
    assert_true(answered(parser, &answer, &fd));
    assert_int_equal(answer.kind, MESSAGE_PROBLEM);
    assert_string_equal(answer.text, ""); /* it was no UTF-8 */
    message_answer_free(&answer);
    assert_false(answered(parser, &answer, &fd));
    assert_int_equal(caller_open(d.caller), 0);
    end(&d);
}

static void an_upload_has_one_descriptor(void **state)
{
    (void)state;
    struct decider d;
    begin(&d);
    const struct identity ann = user(1000);
    CLEAN_FD parser = arrive(&d, &ann);
    CLEAN_MESSAGE_ANSWER answer = {0};
    char bytes[8] = "";
    int to, from, again;
    ask(&d, parser, 1, OPERATION_SESSION_SHOW);
    assert_int_equal(caller_upload(d.caller, 1, &from, NULL), -COFRE_FAILED); /* it uploads nothing */
    caller_empty(d.caller, 1, 204);
    assert_true(answered(parser, &answer, &to));
    message_answer_free(&answer);
    ask(&d, parser, 2, OPERATION_IMAGE_ADD);
    assert_int_equal(caller_upload(d.caller, 2, &from, NULL), 0);
    assert_int_equal(caller_upload(d.caller, 2, &again, NULL), -COFRE_FAILED);
    assert_true(answered(parser, &answer, &to));
    assert_int_equal(answer.kind, MESSAGE_UPLOAD);
    assert_true(to >= 0);
    assert_int_equal(write(to, "bytes", 5), 5);
    assert_int_equal(read(from, bytes, sizeof bytes), 5);
    assert_int_equal(read(from, bytes, sizeof bytes), -1);
    assert_int_equal(errno, EAGAIN);
    close(to);
    assert_int_equal(read(from, bytes, sizeof bytes), 0);
    close(from);
    caller_empty(d.caller, 2, 204);
    end(&d);
}

/* Who does not read has what is held for it bounded; others are as they were. */
static void a_stream_that_nobody_reads_is_put_out(void **state)
{
    (void)state;
    static const uint8_t chunk[MESSAGE_CHUNK_MAX];
    struct decider d;
    begin(&d);
    const struct identity ann = user(1000);
    CLEAN_FD slow = arrive(&d, &ann), other = arrive(&d, &ann);
    ask(&d, slow, 1, OPERATION_SESSION_SHOW);
    caller_begin(d.caller, 1, 200, "text/plain");
    size_t sent = 0;
    for (; caller_open(d.caller) == 1 && sent < 100; sent++)
        caller_chunk(d.caller, 1, (struct view){chunk, sizeof chunk});
    assert_true(sent > 20 && sent < 60);
    turn(&d);
    assert_int_equal(d.gone, 1);
    assert_int_equal(callers_count(d.callers), 1);
    ask(&d, other, 1, OPERATION_SESSION_SHOW);
    assert_int_equal(d.asked, 2);
    end(&d);
}

static void who_reads_again_is_told(void **state)
{
    (void)state;
    static const uint8_t chunk[MESSAGE_CHUNK_MAX];
    struct decider d;
    begin(&d);
    const struct identity ann = user(1000);
    CLEAN_FD parser = arrive(&d, &ann);
    ask(&d, parser, 1, OPERATION_SESSION_SHOW);
    caller_begin(d.caller, 1, 200, "text/plain");
    size_t sent = 0, came = 0;
    for (; !caller_waiting(d.caller); sent++)
        caller_chunk(d.caller, 1, (struct view){chunk, sizeof chunk});
    assert_int_equal(d.drained, 0);
    for (int round = 0; round < 10 && !d.drained; round++) {
        struct message_answer answer = {0};
        int fd;
        for (; answered(parser, &answer, &fd); message_answer_free(&answer))
            came += answer.kind == MESSAGE_CHUNK;
        turn(&d);
    }
    assert_int_equal(d.drained, 1);
    assert_int_equal(caller_waiting(d.caller), 0);
    assert_true(came >= sent - 1);
    end(&d);
}

static void what_the_gate_sends_is_checked_too(void **state)
{
    (void)state;
    struct decider d;
    begin(&d);
    struct identity bad[] = {user(1), user(1), user(1), user(1), user(1)};
    bad[0].version++;
    bad[1].kind = IDENTITY_KINDS;
    bad[2].subject[0] = 'a'; /* a user has none */
    memset(bad[3].address, 'a', sizeof bad[3].address);
    bad[4].kind = IDENTITY_CERTIFICATE; /* without a subject */
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CLEAN_FD parser = arrive(&d, &bad[i]);
        assert_int_equal(callers_count(d.callers), 0);
        assert_true(is_out(parser));
    }
    assert_int_equal(pair_send(d.gate, (struct view){(const uint8_t *)"a", 1}, NULL, 0), 0);
    turn(&d);
    assert_int_equal(callers_count(d.callers), 0);
    end(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_parser_that_was_taken_over_is_who_the_gate_said),
        cmocka_unit_test(each_of_these_puts_a_parser_out),
        cmocka_unit_test(a_message_that_is_too_long_puts_a_parser_out),
        cmocka_unit_test(one_request_is_open_at_a_time),
        cmocka_unit_test(a_request_has_one_answer),
        cmocka_unit_test(an_upload_has_one_descriptor),
        cmocka_unit_test(a_stream_that_nobody_reads_is_put_out),
        cmocka_unit_test(who_reads_again_is_told),
        cmocka_unit_test(what_the_gate_sends_is_checked_too),
    };
    return cmocka_run_group_tests_name("host/caller", tests, NULL, NULL);
}
