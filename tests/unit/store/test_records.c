/* What the service keeps, in both kinds of database. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "attest/store/challenge.h"
#include "attest/store/credential.h"
#include "attest/store/policy.h"
#include "attest/store/reference.h"
#include "attest/store/result.h"
#include "attest/store/schema.h"
#include "tests/unit/store/database.h"

static struct database server;
static bool there;

/* A database whose tables are there and empty. */
static struct db *connect(void)
{
    struct db *db = NULL;
    struct cofre_err err = {""};
    if (!there)
        skip();
    if (db_open(&db, server.name, &err) < 0 || schema_bring(db, &err) < 0 ||
        db_script(
            db,
            "DELETE FROM challenge; DELETE FROM result; DELETE FROM policy_active;"
            " DELETE FROM policy; DELETE FROM credential; DELETE FROM reference; DELETE FROM reference_file;"
            " UPDATE reference_next SET number = 1",
            &err) < 0)
        fail_msg("%s", err.text);
    return db;
}

static void close_db(struct db **db)
{
    db_close(*db);
}
#define CLEAN_DB __attribute__((cleanup(close_db))) struct db

static struct view nonce_of(uint8_t space[static 32], int i)
{
    memset(space, 0x5a, 32);
    memcpy(space, &i, sizeof i);
    return (struct view){space, 32};
}

static void a_nonce_is_used_once_and_in_time(void **state)
{
    uint8_t space[32];
    (void)state;
    CLEAN_DB *db = connect();
    struct cofre_err err = {""};
    assert_int_equal(challenge_keep(db, nonce_of(space, 1), 100, &err), 0);
    assert_int_equal(challenge_keep(db, nonce_of(space, 2), 100, &err), 0);
    assert_int_equal(challenge_use(db, nonce_of(space, 1), 99, &err), 0);
    assert_int_equal(challenge_use(db, nonce_of(space, 1), 99, &err), -COFRE_NEGATIVE);
    assert_string_equal(err.text, "the nonce was not given out here, or was used before");
    assert_int_equal(challenge_use(db, nonce_of(space, 2), 103, &err), -COFRE_NEGATIVE);
    assert_string_equal(err.text, "the nonce expired 3 s ago");
    assert_int_equal(challenge_use(db, nonce_of(space, 3), 99, &err), -COFRE_NEGATIVE);
    assert_int_equal(challenge_use(db, (struct view){NULL, 0}, 99, &err), -COFRE_NEGATIVE);
}

static void nonces_that_expired_are_dropped(void **state)
{
    uint8_t space[32];
    (void)state;
    CLEAN_DB *db = connect();
    struct cofre_err err = {""};
    for (int i = 0; i < 10; i++)
        assert_int_equal(challenge_keep(db, nonce_of(space, i), 100 + i, &err), 0);
    assert_int_equal(challenge_drop_expired(db, 104, &err), 5);
    assert_int_equal(challenge_drop_expired(db, 104, &err), 0);
    assert_int_equal(challenge_use(db, nonce_of(space, 5), 104, &err), 0);
}

struct kept {
    struct stored_reference last;
    int count;
};

static int take_kept(void *context, const struct stored_reference *s, struct cofre_err *err)
{
    struct kept *kept = context;
    (void)err;
    assert_string_equal(s->file.id, "a file");
    assert_int_equal(s->file.signer.len, 0);
    kept->last = *s;
    kept->count++;
    return 0;
}

static int add_references(struct db *db, void *context, struct cofre_err *err)
{
    static const uint8_t digest[32] = {1}, document[3] = "CRM";
    const struct reference_file file = {.digest = {digest, 32},
                                        .document = {document, 3},
                                        .id = "a file",
                                        .signer = {digest, 0},
                                        .issuer = "",
                                        .imported = 7,
                                        .importer = "me"};
    return (int)stored_reference_add(db, &file, context, err);
}

static void a_reference_value_is_kept_as_it_was_and_retired_once(void **state)
{
    (void)state;
    struct reference value[2] = {{.name = "web", .version = 9, .tee = REFERENCE_TDX, .until = INT64_MAX},
                                 {.name = "web", .tee = REFERENCE_SNP, .keys = REFERENCE_VLEK, .from = 5}};
    struct references all = {value, 2};
    struct kept kept = {.count = 0};
    uint8_t digest[48] = {0xab};
    CLEAN_DB *db = connect();
    struct cofre_err err = {""};
    reference_set(&value[0], REFERENCE_MRTD, digest);
    reference_set(&value[0], REFERENCE_TEE_TCB_SVN, digest);
    value[0].field[REFERENCE_TEE_TCB_SVN].at_least = true;
    reference_set(&value[1], REFERENCE_MEASUREMENT, digest);
    assert_int_equal(db_atomically(db, add_references, &all, &err), 1);
    assert_int_equal(db_atomically(db, add_references, &all, &err), -COFRE_NEGATIVE);
    assert_int_equal(stored_reference_list(db, REFERENCE_TDX, "web", take_kept, &kept, &err), 1);
    assert_int_equal(kept.last.number, 1);
    assert_memory_equal(kept.last.value.field, value[0].field, sizeof value[0].field);
    assert_int_equal(kept.last.value.until, INT64_MAX);
    assert_int_equal(stored_reference_list(db, REFERENCE_TDX, "db", take_kept, &kept, &err), 0);
    assert_int_equal(stored_reference_find(db, 2, take_kept, &kept, &err), 0);
    assert_memory_equal(kept.last.value.field, value[1].field, sizeof value[1].field);
    assert_int_equal(kept.last.value.keys, REFERENCE_VLEK);
    assert_int_equal(kept.last.value.from, 5);
    assert_int_equal(stored_reference_retire(db, 2, 77, "me", "a hole", &err), 0);
    assert_int_equal(stored_reference_retire(db, 2, 78, "me", "another", &err), -COFRE_NEGATIVE);
    assert_int_equal(stored_reference_find(db, 2, take_kept, &kept, &err), 0);
    assert_int_equal(kept.last.value.retired, 77);
    assert_string_equal(kept.last.value.reason, "a hole");
    assert_int_equal(stored_reference_find(db, 3, take_kept, &kept, &err), -COFRE_NEGATIVE);
    assert_int_equal(stored_reference_list_all(db, take_kept, &kept, &err), 2);
}

#define IMPORTERS 4
#define IMPORTS   10

static int add_one(struct db *db, void *context, struct cofre_err *err)
{
    struct reference value[2] = {{.name = "web", .tee = REFERENCE_TDX},
                                 {.name = "web", .tee = REFERENCE_TDX}};
    const struct references all = {value, 2};
    static const uint8_t document[1];
    const struct reference_file file = {.digest = *(const struct view *)context,
                                        .document = {document, 1},
                                        .id = "a file",
                                        .signer = {document, 0},
                                        .issuer = "",
                                        .importer = "me"};
    return (int)stored_reference_add(db, &file, &all, err);
}

static void *import_some(void *context)
{
    struct db *db = NULL;
    struct cofre_err err = {""};
    uint8_t space[32];
    bool good = db_open(&db, server.name, &err) == 0;
    for (int i = 0; i < IMPORTS && good; i++) {
        struct view digest = nonce_of(space, *(const int *)context * IMPORTS + i);
        good = db_atomically(db, add_one, &digest, &err) > 0;
    }
    if (!good)
        fprintf(stderr, "%s\n", err.text);
    db_close(db);
    return good ? context : NULL;
}

/* In the order of their numbers, which leave none out. */
static int take_next(void *context, const struct stored_reference *s, struct cofre_err *err)
{
    (void)err;
    assert_int_equal(s->number, ++*(int64_t *)context);
    return 0;
}

static void of_several_who_import_at_once_each_gets_its_numbers(void **state)
{
    pthread_t thread[IMPORTERS];
    int which[IMPORTERS];
    int64_t last = 0;
    void *good;
    (void)state;
    CLEAN_DB *db = connect();
    struct cofre_err err = {""};
    for (int i = 0; i < IMPORTERS; i++) {
        which[i] = i;
        assert_int_equal(pthread_create(&thread[i], NULL, import_some, &which[i]), 0);
    }
    for (int i = 0; i < IMPORTERS; i++) {
        pthread_join(thread[i], &good);
        assert_non_null(good);
    }
    assert_int_equal(stored_reference_list_all(db, take_next, &last, &err), 2 * IMPORTERS * IMPORTS);
}

#define INSTANCES 6
#define NONCES    40

static atomic_int accepted, refused, failures;

static int use(struct db *db, void *context, struct cofre_err *err)
{
    return challenge_use(db, *(const struct view *)context, 50, err);
}

static void *use_all(void *context)
{
    struct db *db = NULL;
    struct cofre_err err;
    (void)context;
    int rc = db_open(&db, server.name, &err);
    for (int i = 0; i < NONCES && db; i++) {
        uint8_t space[32];
        struct view nonce = nonce_of(space, i);
        rc = db_atomically(db, use, &nonce, &err);
        atomic_fetch_add(rc == 0 ? &accepted : rc == -COFRE_NEGATIVE ? &refused : &failures, 1);
    }
    if (rc < 0 && rc != -COFRE_NEGATIVE)
        fprintf(stderr, "%s\n", err.text);
    db_close(db);
    return NULL;
}

static void of_several_instances_one_gets_a_nonce(void **state)
{
    uint8_t space[32];
    pthread_t thread[INSTANCES];
    (void)state;
    CLEAN_DB *db = connect();
    struct cofre_err err = {""};
    for (int i = 0; i < NONCES; i++)
        assert_int_equal(challenge_keep(db, nonce_of(space, i), 100, &err), 0);
    for (int i = 0; i < INSTANCES; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, use_all, NULL), 0);
    for (int i = 0; i < INSTANCES; i++)
        pthread_join(thread[i], NULL);
    assert_int_equal(failures, 0);
    assert_int_equal(accepted, NONCES);
    assert_int_equal(refused, (INSTANCES - 1) * NONCES);
}

static struct result example(const char *id, struct view request, int64_t made)
{
    static const uint8_t evidence[32] = {7, 8, 9};
    return (struct result){
        .id = id,
        .request = request,
        .made = made,
        .tee = "tdx",
        .outcome = "pass",
        .policy = "web",
        .policy_version = 3,
        .evidence = {evidence, sizeof evidence},
        .submitter = "guest-1",
        .verdict = "{\"verdict\": \"pass\"}",
        .cwt = {(const uint8_t *)"\xd2\0\1", 3},
        .jwt = "e30.e30.e30",
        .log_index = 41,
    };
}

struct seen {
    const struct result *expected;
    int64_t made[8];
    int count;
};

static int take(void *context, const struct result *r, struct cofre_err *err)
{
    struct seen *seen = context;
    const struct result *e = seen->expected;
    (void)err;
    if (e) {
        assert_string_equal(r->id, e->id);
        assert_true(view_equal(r->request, e->request));
        assert_string_equal(r->tee, e->tee);
        assert_string_equal(r->outcome, e->outcome);
        assert_string_equal(r->policy, e->policy);
        assert_int_equal(r->policy_version, e->policy_version);
        assert_true(view_equal(r->evidence, e->evidence));
        assert_string_equal(r->submitter, e->submitter);
        assert_string_equal(r->verdict, e->verdict);
        assert_true(view_equal(r->cwt, e->cwt));
        assert_string_equal(r->jwt, e->jwt);
        assert_int_equal(r->log_index, e->log_index);
    }
    seen->made[seen->count++] = r->made;
    return 0;
}

static void a_result_is_found_by_id_and_by_request(void **state)
{
    uint8_t space[32], other[32];
    (void)state;
    CLEAN_DB *db = connect();
    struct cofre_err err = {""};
    const struct result r = example("00112233445566778899aabbccddeeff", nonce_of(space, 1), 1234);
    struct seen seen = {.expected = &r};
    assert_int_equal(result_keep(db, &r, &err), 0);
    assert_int_equal(result_find(db, r.id, take, &seen, &err), 0);
    assert_int_equal(result_find_request(db, r.request, take, &seen, &err), 0);
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.made[0], 1234);
    assert_int_equal(result_find(db, "00", take, &seen, &err), -COFRE_NEGATIVE);
    assert_int_equal(result_find_request(db, nonce_of(other, 2), take, &seen, &err), -COFRE_NEGATIVE);
    assert_string_equal(err.text, "there is no such result");
    assert_int_equal(seen.count, 2);
}

static void a_request_has_one_result(void **state)
{
    uint8_t space[32];
    (void)state;
    CLEAN_DB *db = connect();
    struct cofre_err err = {""};
    struct seen seen = {0};
    const struct result first = example("01", nonce_of(space, 1), 10),
                        second = example("02", first.request, 20);
    assert_int_equal(result_keep(db, &first, &err), 0);
    assert_int_equal(result_keep(db, &second, &err), -COFRE_NEGATIVE);
    assert_int_equal(result_find_request(db, first.request, take, &seen, &err), 0);
    assert_int_equal(seen.made[0], 10);
    assert_int_equal(result_find(db, "02", take, &seen, &err), -COFRE_NEGATIVE);
}

static void results_on_evidence_come_newest_first(void **state)
{
    (void)state;
    CLEAN_DB *db = connect();
    struct cofre_err err = {""};
    struct seen seen = {0};
    struct result r = example("", (struct view){NULL, 0}, 0);
    for (int i = 0; i < 5; i++) {
        char id[RESULT_ID_SIZE];
        uint8_t space[32];
        (void)snprintf(id, sizeof id, "%d", i);
        r = example(id, nonce_of(space, i), (i * 3) % 5);
        assert_int_equal(result_keep(db, &r, &err), 0);
    }
    assert_int_equal(result_find_evidence(db, r.evidence, 3, take, &seen, &err), 3);
    assert_int_equal(seen.made[0], 4);
    assert_int_equal(seen.made[1], 3);
    assert_int_equal(seen.made[2], 2);
}

struct policies {
    char text[512];
};

static int take_policy(void *context, const struct stored_policy *p, struct cofre_err *err)
{
    struct policies *seen = context;
    (void)err;
    size_t used = strlen(seen->text);
    (void)snprintf(seen->text + used, sizeof seen->text - used, "%s %d %s %s %d%s; ", p->name,
                   (int)p->version, p->document ? p->document : "-", p->made_by, (int)p->made,
                   p->active ? " active" : "");
    return 0;
}

static int add_policy(struct db *db, void *context, struct cofre_err *err)
{
    return stored_policy_add(db, "web", context, 7, "ann", err);
}

static void policies_get_versions_of_which_one_is_active(void **state)
{
    (void)state;
    CLEAN_DB *db = connect();
    struct cofre_err err = {""};
    struct policies seen = {""};
    assert_int_equal(stored_policy_find(db, "web", 0, take_policy, &seen, &err), -COFRE_NEGATIVE);
    assert_int_equal(db_atomically(db, add_policy, "{1}", &err), 1);
    assert_int_equal(db_atomically(db, add_policy, "{2}", &err), 2);
    assert_int_equal(stored_policy_add(db, "batch", "{b}", 8, "bob", &err), 1);
    assert_int_equal(stored_policy_find(db, "web", 0, take_policy, &seen, &err), -COFRE_NEGATIVE);
    assert_string_equal(err.text, "no policy \"web\" is active");
    assert_int_equal(stored_policy_activate(db, "web", 3, 9, "cy", &err), -COFRE_NEGATIVE);
    assert_int_equal(stored_policy_activate(db, "web", 2, 9, "cy", &err), 0);
    assert_int_equal(stored_policy_find(db, "web", 0, take_policy, &seen, &err), 0);
    assert_string_equal(seen.text, "web 2 {2} ann 7 active; ");
    assert_int_equal(stored_policy_activate(db, "web", 1, 9, "cy", &err),
                     0); /* back, which is an activation, too */
    seen.text[0] = 0;
    assert_int_equal(stored_policy_list(db, NULL, take_policy, &seen, &err), 3);
    assert_string_equal(seen.text, "batch 1 - bob 8; web 1 - ann 7 active; web 2 - ann 7; ");
    seen.text[0] = 0;
    assert_int_equal(stored_policy_list(db, "web", take_policy, &seen, &err), 2);
    assert_int_equal(stored_policy_find(db, "web", 2, take_policy, &seen, &err), 0);
    assert_string_equal(seen.text, "web 1 - ann 7 active; web 2 - ann 7; web 2 {2} ann 7; ");
}

static int take_credential(void *context, const struct credential *c, struct cofre_err *err)
{
    char *seen = context;
    (void)err;
    (void)snprintf(seen + strlen(seen), 200, "%s:%s:%s; ", c->name, c->roles, c->scope);
    return 0;
}

static void credentials_are_found_until_they_expire_or_go(void **state)
{
    uint8_t one[32], two[32];
    char seen[512] = "";
    (void)state;
    CLEAN_DB *db = connect();
    struct cofre_err err = {""};
    struct credential c = {.digest = nonce_of(one, 1),
                           .name = "ann",
                           .roles = "submit audit",
                           .scope = "web",
                           .made = 1,
                           .expires = 100,
                           .made_by = "init"};
    assert_int_equal(credential_add(db, &c, &err), 0);
    assert_int_equal(credential_add(db, &c, &err), -COFRE_NEGATIVE);
    c = (struct credential){.digest = nonce_of(two, 2),
                            .name = "bob",
                            .roles = "administer",
                            .scope = "",
                            .made = 2,
                            .expires = 100,
                            .made_by = "ann"};
    assert_int_equal(credential_add(db, &c, &err), 0);
    assert_int_equal(credential_find(db, nonce_of(one, 1), 99, take_credential, seen, &err), 0);
    assert_string_equal(seen, "ann:submit audit:web; ");
    assert_int_equal(credential_find(db, nonce_of(one, 1), 100, take_credential, seen, &err),
                     -COFRE_NEGATIVE);
    assert_int_equal(credential_find(db, nonce_of(one, 3), 1, take_credential, seen, &err), -COFRE_NEGATIVE);
    seen[0] = 0;
    assert_int_equal(credential_list(db, take_credential, seen, &err), 2);
    assert_string_equal(seen, "ann:submit audit:web; bob:administer:; ");
    assert_int_equal(credential_remove(db, "ann", &err), 0);
    assert_int_equal(credential_remove(db, "ann", &err), -COFRE_NEGATIVE);
    assert_int_equal(credential_find(db, nonce_of(one, 1), 99, take_credential, seen, &err), -COFRE_NEGATIVE);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_nonce_is_used_once_and_in_time),
        cmocka_unit_test(nonces_that_expired_are_dropped),
        cmocka_unit_test(a_reference_value_is_kept_as_it_was_and_retired_once),
        cmocka_unit_test(of_several_who_import_at_once_each_gets_its_numbers),
        cmocka_unit_test(of_several_instances_one_gets_a_nonce),
        cmocka_unit_test(a_result_is_found_by_id_and_by_request),
        cmocka_unit_test(a_request_has_one_result),
        cmocka_unit_test(results_on_evidence_come_newest_first),
        cmocka_unit_test(policies_get_versions_of_which_one_is_active),
        cmocka_unit_test(credentials_are_found_until_they_expire_or_go),
    };
    there = database_start(&server, argc > 1 ? argv[1] : "sqlite");
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    database_remove(&server);
    return failed;
}
