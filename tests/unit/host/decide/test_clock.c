/* When a TPM is asked to vouch for the log, and what becomes of its answers: a decider's log, its turns, and a TPM that the test is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/log/made_tpm.h"
#include "vmm/base/file.h"
#include "vmm/host/clock/clock.h"
#include "vmm/host/cofred/log_key.h"
#include "vmm/host/decide/parts.h"
#include "vmm/host/store/tables.h"

struct room {
    char folder[64], database[96], key[96], keys[96], images[96];
    struct decider_config config;
    struct decider d;
    int tpm; /* the test's end */
    EVP_PKEY *of_tpm;
};

static void must(int rc, const struct cofre_err *err)
{
    if (rc < 0)
        fail_msg("%s", err->text);
}

static int begin_log(struct db *db, void *context, struct cofre_err *err)
{
    struct decider *d = context;
    CLEAN_AUDIT_TURN turn = {0};
    int rc = audit_begin(&turn, d->audit, db, 1000, err);
    return rc < 0 ? rc : audit_sign(&turn, err);
}

static void paths(struct room *r)
{
    strcpy(r->folder, "/tmp/cofre-clock-XXXXXX");
    assert_non_null(mkdtemp(r->folder));
    (void)snprintf(r->database, sizeof r->database, "%s/cofred.db", r->folder);
    (void)snprintf(r->key, sizeof r->key, "%s/log-key.pem", r->folder);
    (void)snprintf(r->keys, sizeof r->keys, "%s/log-tpm.pub", r->folder);
    (void)snprintf(r->images, sizeof r->images, "%s/images", r->folder);
    assert_int_equal(mkdir(r->images, 0700), 0);
}

static int set_up(void **state)
{
    struct room *r = calloc(1, sizeof *r);
    struct cofre_err err;
    int ends[2];
    paths(r);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    r->tpm = ends[0];
    r->of_tpm = EVP_EC_gen("P-256");
    r->config = (struct decider_config){.journal = -1, .clock = ends[1], .clock_keys = r->keys};
    r->d.config = &r->config;
    STAILQ_INIT(&r->d.waiting);
    LIST_INIT(&r->d.calls);
    must(log_key_make(r->key, &err), &err);
    const struct audit_config audit = {r->key, "operations of a test"};
    must(db_open(&r->d.db, r->database, &err), &err);
    must(tables_bring(r->d.db, &err), &err);
    must(audit_new(&r->d.audit, &audit, &err), &err);
    must(db_atomically(r->d.db, begin_log, &r->d, &err), &err);
    must(images_open(&r->d.images, open(r->images, O_RDONLY | O_DIRECTORY | O_CLOEXEC), &err), &err);
    r->d.base = event_base_new();
    r->d.turn = event_new(r->d.base, -1, 0, turn_run, &r->d);
    must(clock_open(&r->d.clock, &r->d, &err), &err);
    *state = r;
    return 0;
}

static int tear_down(void **state)
{
    struct room *r = *state;
    char command[128];
    clock_close(r->d.clock);
    event_free(r->d.turn);
    event_base_free(r->d.base);
    images_close(r->d.images);
    audit_free(r->d.audit);
    db_close(r->d.db);
    EVP_PKEY_free(r->of_tpm);
    close(r->tpm);
    (void)snprintf(command, sizeof command, "rm -r %s", r->folder);
    assert_int_equal(system(command), 0);
    free(r);
    return 0;
}

/* All that is due, until nothing is. */
static void turn_over(struct room *r)
{
    for (int i = 0; i < 20; i++)
        assert_true(event_base_loop(r->d.base, EVLOOP_NONBLOCK) >= 0);
}

static bool asked(struct room *r, struct clock_question *q)
{
    turn_over(r);
    const ssize_t len = recv(r->tpm, q, sizeof *q, MSG_DONTWAIT);
    assert_true(len < 0 || len == sizeof *q);
    return len > 0;
}

static struct clock_answer answer_to(struct room *r, const struct clock_question *q, EVP_PKEY *by)
{
    struct clock_answer a = {.number = q->number};
    struct log_entry e;
    const struct log_clock clock = {
        .milliseconds = 1000 * q->number, .since_start = 1000 * q->number, .safe = true};
    const TPMS_ATTEST said = made_tpm_says(&q->state, &clock);
    (void)r;
    assert_true(made_tpm_entry(&e, &q->state, &said, by, 0));
    a.clock.attest_len = e.attest.len;
    memcpy(a.clock.attest, e.attest.data, e.attest.len);
    a.clock.signature_len = e.signature.len;
    memcpy(a.clock.signature, e.signature.data, e.signature.len);
    assert_int_equal(ecdsa_key_export(a.clock.key, &ecdsa_p256, by, NULL), 0);
    return a;
}

static void answers(struct room *r, const struct clock_answer *a)
{
    assert_int_equal(send(r->tpm, a, sizeof *a, 0), sizeof *a);
    turn_over(r);
}

static int operate(struct call *call, struct cofre_err *err)
{
    const struct audit_operation o = {
        .outcome = LOG_OPERATION_DONE, .operation = "guest.start", .subject = "uid:1", .identity = "socket"};
    return audit_operation(call->turn, &o, NULL, err);
}

static void grow(struct room *r)
{
    call_later(call_new(&r->d, operate));
    turn_over(r);
}

static int keep(void *context, struct view bytes, struct cofre_err *err)
{
    return log_entry_read(context, bytes, err);
}

static struct log_entry entry(struct room *r, int64_t number)
{
    struct log_entry e;
    struct cofre_err err;
    must(db_log_entry(r->d.db, number, keep, &e, &err), &err);
    return e;
}

static size_t keys_kept(struct room *r)
{
    CLEAN_BYTES file = {0};
    CLEAN_COSE_KEYS keys = {0};
    assert_int_equal(file_read(&file, r->keys, 65536, NULL), 0);
    assert_int_equal(cose_keys_parse_pem(&keys, bytes_view(&file), NULL), 0);
    return keys.count;
}

static void it_is_asked_at_the_start_and_when_the_log_grew_and_not_about_its_own_word(void **state)
{
    struct room *r = *state;
    struct clock_question q, none;
    clock_begin(r->d.clock);
    assert_true(asked(r, &q));
    assert_int_equal(q.state.size, 1);
    struct clock_answer a = answer_to(r, &q, r->of_tpm);
    answers(r, &a);
    assert_int_equal(entry(r, 1).kind, LOG_ENTRY_CLOCK);
    assert_int_equal(entry(r, 1).size, 1);
    assert_false(asked(r, &none));
    assert_int_equal(clock_figures(r->d.clock)->size, 1);

    grow(r);
    assert_true(asked(r, &q));
    assert_int_equal(q.state.size, 3);
    grow(r); /* while it is asked */
    assert_false(asked(r, &none));
    a = answer_to(r, &q, r->of_tpm);
    answers(r, &a);
    assert_int_equal(entry(r, 4).kind, LOG_ENTRY_CLOCK);
    assert_true(asked(r, &q));
    assert_int_equal(q.state.size, 5);
    assert_int_equal(keys_kept(r), 1);
}

static void what_does_not_verify_is_no_entry_and_is_told_once(void **state)
{
    struct room *r = *state;
    struct clock_question q;
    clock_begin(r->d.clock);
    for (unsigned i = 0; i < 4; i++) {
        if (i)
            grow(r);
        assert_true(asked(r, &q));
        struct clock_answer a = answer_to(r, &q, r->of_tpm);
        if (i == 0)
            a.clock.signature[20] ^= 1;
        if (i == 1)
            a.clock.attest_len = 255;
        if (i == 2)
            a = (struct clock_answer){.number = q.number, .rc = -COFRE_LACKING, .why = "it is gone"};
        if (i == 3)
            memset(a.clock.key, 0, sizeof a.clock.key);
        answers(r, &a);
        assert_false(asked(r, &q)); /* by its failure alone */
        assert_true(clock_figures(r->d.clock)->fails);
    }
    assert_int_equal(clock_figures(r->d.clock)->failures, 4);
    assert_string_equal(entry(r, 1).operation, "audit.attest");
    assert_int_equal(entry(r, 1).outcome, LOG_OPERATION_FAILED);
    for (int64_t n = 2; n < 5; n++)
        assert_string_equal(entry(r, n).operation, "guest.start");
    grow(r);
    assert_true(asked(r, &q));
    const struct clock_answer good = answer_to(r, &q, r->of_tpm);
    answers(r, &good);
    assert_false(clock_figures(r->d.clock)->fails);
    assert_int_equal(entry(r, 6).kind, LOG_ENTRY_CLOCK);
}

static void an_answer_to_another_question_is_none(void **state)
{
    struct room *r = *state;
    struct clock_question q;
    clock_begin(r->d.clock);
    assert_true(asked(r, &q));
    struct clock_answer a = answer_to(r, &q, r->of_tpm);
    a.number--;
    answers(r, &a);
    assert_int_equal(clock_figures(r->d.clock)->size, 0);
    assert_int_equal(send(r->tpm, &a, sizeof a - 1, 0), sizeof a - 1);
    turn_over(r);
    assert_int_equal(clock_figures(r->d.clock)->size, 0);
    a.number++;
    answers(r, &a);
    assert_int_equal(clock_figures(r->d.clock)->size, 1);
    answers(r, &a); /* once more: nobody asked */
    assert_int_equal(clock_figures(r->d.clock)->failures, 0);
}

static void another_tpms_key_is_kept_beside_the_first(void **state)
{
    struct room *r = *state;
    struct clock_question q;
    EVP_PKEY *other = EVP_EC_gen("P-256");
    clock_begin(r->d.clock);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(asked(r, &q));
        const struct clock_answer a = answer_to(r, &q, i ? other : r->of_tpm);
        answers(r, &a);
        grow(r);
    }
    assert_int_equal(keys_kept(r), 2);
    EVP_PKEY_free(other);
}

static void an_end_waits_for_what_is_not_vouched_for_alone(void **state)
{
    struct room *r = *state;
    struct clock_question q;
    clock_begin(r->d.clock);
    assert_true(asked(r, &q));
    struct clock_answer a = answer_to(r, &q, r->of_tpm);
    answers(r, &a);
    assert_false(clock_holds_end(r->d.clock)); /* nothing is left */
    grow(r);
    assert_true(asked(r, &q));
    assert_true(clock_holds_end(r->d.clock));
    assert_false(clock_holds_end(r->d.clock)); /* told twice, it ends */
    a = answer_to(r, &q, r->of_tpm);
    answers(r, &a);
    assert_int_equal(entry(r, 3).kind, LOG_ENTRY_CLOCK);
    assert_true(event_base_got_break(r->d.base) || !asked(r, &q));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(it_is_asked_at_the_start_and_when_the_log_grew_and_not_about_its_own_word),
        TEST(what_does_not_verify_is_no_entry_and_is_told_once),
        TEST(an_answer_to_another_question_is_none),
        TEST(another_tpms_key_is_kept_beside_the_first),
        TEST(an_end_waits_for_what_is_not_vouched_for_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
