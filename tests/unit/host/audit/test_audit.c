/* The record of the host manager: what is kept is in it, what is not is not, and it can be checked from outside. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/host/audit/record.h"

static void must(int rc, const struct cofre_err *err)
{
    if (rc < 0)
        fail_msg("%s", err->text);
}

static void read_entry(struct log_entry *out, struct log_file *log, uint64_t number)
{
    CLEAN_BYTES bytes = {0};
    struct cofre_err err;
    must(log_file_entry(log, number, &bytes, &err), &err);
    must(log_entry_read(out, bytes_view(&bytes), &err), &err);
}

static void operations_of_many_turns_come_out_under_signed_heads(void **state)
{
    (void)state;
    struct record r;
    struct log_entry e;
    unsigned next = 1;
    record_make(&r);
    for (unsigned turn = 0; turn < 5; turn++)
        record_grow(&r, turn, &next);
    {
        CLEAN_LOG_FILE *log = record_copy(&r);
        assert_int_equal(log_file_state(log)->size, 11);
        read_entry(&e, log, 0);
        assert_int_equal(e.kind, LOG_ENTRY_GENESIS);
        assert_string_equal(e.name, "operations on a test");
        for (uint64_t i = 1; i < 11; i++) {
            char object[32];
            (void)snprintf(object, sizeof object, "guest/%d", (int)i);
            read_entry(&e, log, i);
            assert_string_equal(e.object_name, object);
            assert_string_equal(e.subject, "uid:1000");
        }
    }
    record_free(&r);
}

static int fail_after_an_entry(struct db *db, void *context, struct cofre_err *err)
{
    struct record *r = context;
    CLEAN_AUDIT_TURN turn = {0};
    const struct audit_operation operation = {.operation = "guest.start", .detail = "never was"};
    int rc = audit_begin(&turn, r->audit, db, r->now, err);
    if (rc == 0)
        rc = audit_operation(&turn, &operation, NULL, err);
    if (rc == 0)
        rc = audit_sign(&turn, err);
    return rc < 0 ? rc : cofre_fail(err, COFRE_NEGATIVE, "the effect failed");
}

static void what_failed_is_in_no_log(void **state)
{
    (void)state;
    struct record r;
    struct cofre_err err;
    unsigned next = 1;
    record_make(&r);
    record_grow(&r, 2, &next);
    assert_int_equal(db_atomically(r.db, fail_after_an_entry, &r, &err), -COFRE_NEGATIVE);
    record_grow(&r, 1, &next);
    {
        CLEAN_LOG_FILE *log = record_copy(&r);
        struct log_entry e;
        assert_int_equal(log_file_state(log)->size, 4);
        read_entry(&e, log, 3);
        assert_string_equal(e.object_name, "guest/3");
    }
    record_free(&r);
}

static int take_one_back(struct db *db, void *context, struct cofre_err *err)
{
    struct record *r = context;
    CLEAN_AUDIT_TURN turn = {0};
    struct audit_mark mark;
    const struct audit_operation never = {.operation = "guest.start", .object = "never was"},
                                 was = {.operation = "guest.start", .object = "was"};
    int rc = audit_begin(&turn, r->audit, db, r->now, err);
    audit_set_mark(&mark, &turn);
    for (int i = 0; rc == 0 && i < 3; i++) {
        rc = db_script(db, "SAVEPOINT one", err);
        if (rc == 0)
            rc = audit_operation(&turn, i < 2 ? &never : &was, NULL, err);
        if (rc == 0 && i < 2)
            rc = db_script(db, "ROLLBACK TO one", err);
        if (i < 2)
            audit_go_back(&turn, &mark);
        if (rc == 0)
            rc = db_script(db, "RELEASE one", err);
    }
    return rc < 0 ? rc : audit_sign(&turn, err);
}

static void what_a_savepoint_took_back_leaves_no_gap(void **state)
{
    (void)state;
    struct record r;
    struct cofre_err err;
    unsigned next = 1;
    record_make(&r);
    record_grow(&r, 2, &next);
    must(db_atomically(r.db, take_one_back, &r, &err), &err);
    record_grow(&r, 2, &next);
    {
        CLEAN_LOG_FILE *log = record_copy(&r);
        struct log_entry e;
        assert_int_equal(log_file_state(log)->size, 6);
        read_entry(&e, log, 3);
        assert_string_equal(e.object_name, "was");
    }
    record_free(&r);
}

static int write_hostile(struct db *db, void *context, struct cofre_err *err)
{
    struct record *r = context;
    CLEAN_AUDIT_TURN turn = {0};
    char long_name[4096];
    memset(long_name, '\n', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = 0;
    const struct audit_operation operation = {.outcome = LOG_OPERATION_REFUSED,
                                              .operation = long_name,
                                              .request = long_name,
                                              .subject = "\xff\xfe\x1b[2J",
                                              .identity = long_name,
                                              .from = long_name,
                                              .tenant = long_name,
                                              .object = long_name,
                                              .before = {(const uint8_t *)"", 0},
                                              .after = {(const uint8_t *)"abc", 3},
                                              .detail = long_name};
    int rc = audit_begin(&turn, r->audit, db, r->now, err);
    if (rc == 0)
        rc = audit_operation(&turn, &operation, NULL, err);
    return rc < 0 ? rc : audit_sign(&turn, err);
}

static void whatever_a_caller_wrote_is_printable_in_it(void **state)
{
    (void)state;
    struct record r;
    struct cofre_err err;
    struct log_entry e;
    static const uint8_t abc[] = {0xba, 0x78, 0x16, 0xbf}, nothing[] = {0xe3, 0xb0, 0xc4, 0x42};
    record_make(&r);
    must(db_atomically(r.db, write_hostile, &r, &err), &err);
    {
        CLEAN_LOG_FILE *log = record_copy(&r);
        read_entry(&e, log, 1);
    }
    assert_string_equal(e.subject, "\\xff\\xfe\\x1b[2J");
    assert_string_equal(e.identity, "\\x0a\\x0a\\x0a...");
    assert_memory_equal(e.after.data, abc, sizeof abc);
    assert_memory_equal(e.before.data, nothing, sizeof nothing);
    record_free(&r);
}

static void refusals_of_the_unknown_are_counted_above_a_rate(void **state)
{
    (void)state;
    struct record r;
    unsigned next = 1, told = 0;
    record_make(&r);
    for (unsigned i = 0; i < 1000; i++)
        told += audit_may_tell(r.audit, r.now);
    assert_int_equal(told, AUDIT_UNKNOWN_A_SECOND);
    assert_false(audit_has_to_tell(r.audit, r.now));
    record_grow(&r, 1, &next); /* in the same second: not yet */
    r.now++;
    assert_true(audit_has_to_tell(r.audit, r.now));
    record_grow(&r, 0, &next);
    assert_false(audit_has_to_tell(r.audit, r.now));
    record_grow(&r, 1, &next);
    assert_true(audit_may_tell(r.audit, r.now));
    {
        CLEAN_LOG_FILE *log = record_copy(&r);
        struct log_entry e;
        assert_int_equal(log_file_state(log)->size, 4);
        read_entry(&e, log, 2);
        assert_int_equal(e.outcome, LOG_OPERATION_REFUSED);
        assert_int_equal(e.count, 1000 - AUDIT_UNKNOWN_A_SECOND);
        assert_string_equal(e.identity, "none");
    }
    record_free(&r);
}

static void a_count_that_was_not_kept_is_told_later(void **state)
{
    (void)state;
    struct record r;
    struct cofre_err err;
    unsigned next = 1;
    record_make(&r);
    for (unsigned i = 0; i < AUDIT_UNKNOWN_A_SECOND + 5; i++)
        (void)audit_may_tell(r.audit, r.now);
    r.now++;
    assert_int_equal(db_atomically(r.db, fail_after_an_entry, &r, &err), -COFRE_NEGATIVE);
    record_grow(&r, 0, &next);
    {
        CLEAN_LOG_FILE *log = record_copy(&r);
        struct log_entry e;
        assert_int_equal(log_file_state(log)->size, 2);
        read_entry(&e, log, 1);
        assert_int_equal(e.count, 5);
    }
    record_free(&r);
}

/* Retention */

static int retain(struct db *db, void *context, struct cofre_err *err)
{
    struct record *r = context;
    CLEAN_AUDIT_TURN turn = {0};
    char object[LOG_NAME_MAX + 1];
    const struct audit_operation done = {.subject = "uid:0",
                                         .identity = "socket",
                                         .operation = AUDIT_RETAIN,
                                         .outcome = LOG_OPERATION_DONE,
                                         .object = object};
    int rc = audit_begin(&turn, r->audit, db, r->now, err);
    if (rc == 0)
        assert_int_equal(audit_retain(&turn, 6, object, err), 5);
    if (rc == 0)
        rc = audit_operation(&turn, &done, NULL, err);
    return rc < 0 ? rc : audit_sign(&turn, err);
}

static void proofs_stay_valid_when_old_entries_are_removed(void **state)
{
    (void)state;
    struct record r;
    struct cofre_err err;
    unsigned next = 1;
    CLEAN_BYTES entry = {0}, before = {0}, after = {0}, growth = {0}, old_head = {0};
    struct log_receipt proof;
    struct log_head older;
    record_make(&r);
    record_grow(&r, 9, &next);
    {
        CLEAN_LOG_FILE *log = record_copy(&r);
        must(log_file_entry(log, 3, &entry, &err), &err);
        must(bytes_copy(&old_head, log_file_head(log), &err), &err);
    }
    must(db_log_prove(r.db, LOG_RECEIPT_INCLUSION, 3, &before, &err), &err);
    must(db_atomically(r.db, retain, &r, &err), &err);
    record_grow(&r, 2, &next);
    must(db_log_prove(r.db, LOG_RECEIPT_INCLUSION, 3, &after, &err), &err);
    must(db_log_prove(r.db, LOG_RECEIPT_CONSISTENCY, 10, &growth, &err), &err);
    const struct bytes *receipts[] = {&before, &after};
    for (size_t i = 0; i < 2; i++) {
        must(log_receipt_verify_inclusion(&proof, bytes_view(receipts[i]), bytes_view(&entry), &r.keys, &err),
             &err);
        assert_int_equal(proof.inclusion.index, 3);
    }
    assert_int_equal(proof.head.state.size, 13);
    must(log_head_verify(&older, bytes_view(&old_head), &r.keys, &err), &err);
    must(log_receipt_verify_consistency(&proof, bytes_view(&growth), &older, &r.keys, &err), &err);
    {
        CLEAN_LOG_FILE *log = record_copy(&r);
        struct log_entry e;
        for (uint64_t i = 0; i < 13; i++) {
            CLEAN_BYTES bytes = {0};
            const bool removed = i >= 1 && i < 6;
            assert_int_equal(log_file_entry(log, i, &bytes, &err), removed ? -COFRE_NEGATIVE : 0);
        }
        read_entry(&e, log, 10);
        assert_string_equal(e.operation, AUDIT_RETAIN);
        assert_string_equal(e.object_name, "entries 1 to 5");
    }
    record_free(&r);
}

static int retain_too_much(struct db *db, void *context, struct cofre_err *err)
{
    struct record *r = context;
    CLEAN_AUDIT_TURN turn = {0};
    char object[LOG_NAME_MAX + 1];
    int rc = audit_begin(&turn, r->audit, db, r->now, err);
    return rc < 0 ? rc : (int)audit_retain(&turn, 4, object, err);
}

static void entries_that_are_not_there_are_not_removed(void **state)
{
    (void)state;
    struct record r;
    struct cofre_err err;
    unsigned next = 1;
    record_make(&r);
    record_grow(&r, 2, &next);
    assert_int_equal(db_atomically(r.db, retain_too_much, &r, &err), -COFRE_USAGE);
    record_free(&r);
}

/* Launches */

#define HEX16 "00112233445566778899aabbccddeeff"
#define GIVEN HEX16 HEX16 HEX16
#define OTHER HEX16 HEX16 "ffeeddccbbaa99887766554433221100"

static void results_of_launches_become_members(void **state)
{
    (void)state;
    static const struct {
        const char *result;
        int rc;
        int64_t outcome;
    } cases[] = {
        {"{'tee':'snp','emulated':true,'measurement':{'predicted':'" GIVEN "','given':'" GIVEN
         "'},'registers':{}}",
         0, LOG_LAUNCH_RUNS},
        {"{'tee':'snp','emulated':true,'measurement':{'predicted':'" GIVEN "','given':'" OTHER
         "'},'registers':{}}",
         0, LOG_LAUNCH_STOPPED},
        {"{'tee':'none','emulated':false,'measurement':null,'registers':{}}", 0, LOG_LAUNCH_RUNS},
        {"{'tee':'tdx','emulated':false,'measurement':{'predicted':'" GIVEN
         "','given':null},'registers':{'RTMR1':'" GIVEN "'}}",
         0, LOG_LAUNCH_RUNS},
        {"{'tee':'tdx','emulated':false,'measurement':null,'registers':{'RTMR1':'00'}}", -COFRE_MALFORMED, 0},
        {"{'tee':'snp','emulated':true,'measurement':{'predicted':'zz','given':null}}", -COFRE_MALFORMED, 0},
        {"{'tee':'a name that is much too long','emulated':true}", -COFRE_MALFORMED, 0},
        {"{'tee':'snp','emulated':1}", -COFRE_MALFORMED, 0},
        {"[]", -COFRE_MALFORMED, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[2048];
        struct log_entry e = {.kind = LOG_ENTRY_LAUNCH};
        struct cofre_err err;
        (void)snprintf(text, sizeof text, "%s", cases[i].result);
        for (char *c = text; *c; c++)
            *c = *c == '\'' ? '"' : *c;
        json_t *result = json_loads(text, 0, NULL);
        assert_non_null(result);
        assert_int_equal(audit_launch_result(&e, result, &err), cases[i].rc);
        if (cases[i].rc == 0)
            assert_int_equal(e.outcome, cases[i].outcome);
        json_decref(result);
    }
}

static int write_launch(struct db *db, void *context, struct cofre_err *err)
{
    struct record *r = context;
    CLEAN_AUDIT_TURN turn = {0};
    struct log_entry launch = {.object_name = "web",
                               .tenant = "acme",
                               .tee = "snp",
                               .guest = 9,
                               .detail = "said: \x1b]0;",
                               .reported = {LOG_MEASUREMENT_SIZE, {3}}};
    int rc = audit_begin(&turn, r->audit, db, r->now, err);
    if (rc == 0)
        rc = audit_launch(&turn, &launch, NULL, err);
    return rc < 0 ? rc : audit_sign(&turn, err);
}

static void a_launch_is_an_entry(void **state)
{
    (void)state;
    struct record r;
    struct cofre_err err;
    struct log_entry e;
    record_make(&r);
    must(db_atomically(r.db, write_launch, &r, &err), &err);
    {
        CLEAN_LOG_FILE *log = record_copy(&r);
        read_entry(&e, log, 1);
    }
    assert_int_equal(e.kind, LOG_ENTRY_LAUNCH);
    assert_int_equal(e.guest, 9);
    assert_int_equal(e.time, RECORD_TIME);
    assert_string_equal(e.detail, "said: \\x1b]0;");
    record_free(&r);
}

static void keys_and_names_that_are_none_are_refused(void **state)
{
    (void)state;
    struct record r;
    struct audit *audit = NULL;
    struct cofre_err err;
    record_make(&r);
    assert_int_equal(audit_new(&audit, &(struct audit_config){r.key, ""}, &err), -COFRE_USAGE);
    assert_int_equal(audit_new(&audit, &(struct audit_config){r.database, "a log"}, &err), -COFRE_MALFORMED);
    assert_true(audit_new(&audit, &(struct audit_config){"/nowhere/log.pem", "a log"}, &err) < 0);
    assert_null(audit);
    record_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operations_of_many_turns_come_out_under_signed_heads),
        cmocka_unit_test(what_failed_is_in_no_log),
        cmocka_unit_test(what_a_savepoint_took_back_leaves_no_gap),
        cmocka_unit_test(whatever_a_caller_wrote_is_printable_in_it),
        cmocka_unit_test(refusals_of_the_unknown_are_counted_above_a_rate),
        cmocka_unit_test(a_count_that_was_not_kept_is_told_later),
        cmocka_unit_test(proofs_stay_valid_when_old_entries_are_removed),
        cmocka_unit_test(entries_that_are_not_there_are_not_removed),
        cmocka_unit_test(results_of_launches_become_members),
        cmocka_unit_test(a_launch_is_an_entry),
        cmocka_unit_test(keys_and_names_that_are_none_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
