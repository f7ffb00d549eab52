/* What happens to keys, in both kinds of database; and what of that somebody can do who has the database and not the root. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "attest/store/schema.h"
#include "keys/life.h"
#include "keys/roll_back.h"
#include "keys/version.h"
#include "tests/unit/store/database.h"
#include "vmm/base/file.h"

static struct database server;
static bool there;
static const uint8_t root[KEY_ROOT_SIZE] = {7, 1};

static struct db *connect(void)
{
    struct db *db = NULL;
    struct cofre_err err = {""};
    if (!there)
        skip();
    if (db_open(&db, server.name, &err) < 0 || schema_bring(db, &err) < 0 ||
        db_script(db,
                  "DELETE FROM guest_key_grant; DELETE FROM guest_key_version; DELETE FROM guest_key;"
                  " UPDATE guest_key_generation SET number = 0, mac = '', counter = ''",
                  &err) < 0)
        fail_msg("%s", err.text);
    return db;
}

static void close_db(struct db **db)
{
    db_close(*db);
}
#define CLEAN_DB __attribute__((cleanup(close_db))) struct db

/* One change by its words, so that tests read as tables. */
struct act {
    enum key_event event;
    int64_t version;
    const char *name, *policy;
    const uint8_t *root;
    struct view value;
};

static int work(struct db *db, void *context, struct cofre_err *err)
{
    const struct act *a = context;
    const struct key_change c = {db, a->root ? a->root : root, 1000};
    struct key_grant grant = {.version = a->version, .digest = {9}};
    if (a->policy)
        snprintf(grant.policy, sizeof grant.policy, "%s", a->policy);
    switch (a->event) {
    case KEY_EVENT_GRANT:
        return key_give_grant(&c, a->name, &grant, err);
    case KEY_EVENT_REVOKE:
        return key_revoke(&c, a->name, a->policy, err);
    case KEY_EVENT_ROTATE:
        return key_rotate(&c, a->name, a->value, err);
    case KEY_EVENT_RETIRE:
        return key_retire(&c, a->name, a->version, err);
    case KEY_EVENT_DISABLE:
        return key_disable(&c, a->name, err);
    case KEY_EVENT_ENABLE:
        return key_enable(&c, a->name, err);
    default:
        return key_destroy(&c, a->name, err);
    }
}

static int act(struct db *db, struct act a, struct cofre_err *err)
{
    return db_atomically(db, work, &a, err);
}

static int create_work(struct db *db, void *context, struct cofre_err *err)
{
    const struct act *a = context;
    const struct key_change c = {db, root, 1000};
    struct guest_key wish = {.maker = "owner"};
    snprintf(wish.name, sizeof wish.name, "%s", a->name);
    return key_create(&c, &wish, a->value, 0, err);
}

static int create(struct db *db, const char *name, struct view value, struct cofre_err *err)
{
    struct act a = {.name = name, .value = value};
    return db_atomically(db, create_work, &a, err);
}

static struct cofre_err why;
#define MUST(X)                                                                                              \
    do {                                                                                                     \
        if ((X) < 0)                                                                                         \
            fail_msg("%s", why.text);                                                                        \
    } while (0)

static int value_of(struct db *db, const char *name, int64_t version, uint8_t value[KEY_VALUE_MAX],
                    struct cofre_err *err)
{
    struct guest_key key;
    int rc = guest_key_find(&key, db, name, err);
    return rc < 0 ? rc : key_version_open(value, db, root, &key, version, err);
}

static int check_work(struct db *db, void *context, struct cofre_err *err)
{
    return key_generation_check(db, root, context, err);
}

static int check_generation(struct db *db, int64_t *generation, struct cofre_err *err)
{
    return db_atomically(db, check_work, generation, err);
}

#define GIVEN ((struct view){(const uint8_t *)"sixteen bytes or more of a key", 30})

static void a_key_is_what_it_was_made_with(void **state)
{
    CLEAN_DB *db = connect();
    uint8_t value[KEY_VALUE_MAX], other[KEY_VALUE_MAX];
    (void)state;
    MUST(create(db, "given", GIVEN, &why));
    MUST(create(db, "random", (struct view){0}, &why));
    MUST(create(db, "another", (struct view){0}, &why));
    assert_int_equal(value_of(db, "given", 1, value, NULL), 30);
    assert_memory_equal(value, GIVEN.data, 30);
    assert_int_equal(value_of(db, "random", 1, value, NULL), KEY_SIZE_DEFAULT);
    assert_int_equal(value_of(db, "another", 1, other, NULL), KEY_SIZE_DEFAULT);
    assert_memory_not_equal(value, other, KEY_SIZE_DEFAULT);
}

static void a_name_is_taken_once(void **state)
{
    CLEAN_DB *db = connect();
    struct cofre_err err;
    (void)state;
    MUST(create(db, "disk", GIVEN, &why));
    assert_int_equal(create(db, "disk", GIVEN, &err), -COFRE_USAGE);
    assert_string_equal(err.text, "there is, or was, a key \"disk\": the name is taken");
    MUST(act(db, (struct act){.event = KEY_EVENT_DESTROY, .name = "disk"}, &why));
    assert_int_equal(create(db, "disk", GIVEN, &err), -COFRE_USAGE);
}

static void values_that_are_too_long_are_no_keys(void **state)
{
    CLEAN_DB *db = connect();
    static const uint8_t bytes[KEY_VALUE_MAX + 1];
    struct cofre_err err;
    int64_t generation;
    (void)state;
    assert_int_equal(create(db, "disk", (struct view){bytes, KEY_VALUE_MAX + 1}, &err), -COFRE_USAGE);
    assert_string_equal(err.text, "a key has 1 to 8192 bytes, not 8193");
    assert_int_equal(check_generation(db, &generation, NULL), 0);
    assert_int_equal(generation, 0); /* nothing was kept */
    MUST(create(db, "disk", (struct view){bytes, KEY_VALUE_MAX}, &why));
    MUST(create(db, "pin", (struct view){bytes, KEY_VALUE_MIN}, &why));
}

/* The table of states, written down a second time: - where it cannot be. */
static void each_state_allows_what_it_allows_and_no_more(void **state)
{
    static const struct {
        enum key_event event;
        const char *after[GUEST_KEY_STATES]; /* from created, active, disabled, destroyed */
    } cells[] = {
        {KEY_EVENT_GRANT, {"active", "active", "-", "-"}},
        {KEY_EVENT_REVOKE, {"-", "active", "disabled", "-"}},
        {KEY_EVENT_ROTATE, {"created", "active", "-", "-"}},
        {KEY_EVENT_RETIRE, {"created", "active", "disabled", "-"}},
        {KEY_EVENT_DISABLE, {"disabled", "disabled", "-", "-"}},
        {KEY_EVENT_ENABLE, {"-", "-", "active", "-"}},
        {KEY_EVENT_DESTROY, {"destroyed", "destroyed", "destroyed", "destroyed"}},
    };
    if (server.postgres)
        skip(); /* a table of ours, in a hundred transactions */
    CLEAN_DB *db = connect();
    (void)state;
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++)
        for (int from = 0; from < GUEST_KEY_STATES; from++) {
            char name[16];
            struct cofre_err err = {""};
            struct guest_key key;
            snprintf(name, sizeof name, "k%zu.%d", i, from);
            MUST(create(db, name, GIVEN, &why));
            MUST(act(db, (struct act){.event = KEY_EVENT_ROTATE, .name = name}, &why));
            if (from != GUEST_KEY_CREATED)
                MUST(act(db,
                         (struct act){.event = KEY_EVENT_GRANT, .version = 1, .name = name, .policy = "web"},
                         &why));
            if (from == GUEST_KEY_DISABLED)
                MUST(act(db, (struct act){.event = KEY_EVENT_DISABLE, .name = name}, &why));
            if (from == GUEST_KEY_DESTROYED)
                MUST(act(db, (struct act){.event = KEY_EVENT_DESTROY, .name = name}, &why));
            const bool may = strcmp(cells[i].after[from], "-") != 0;
            int rc = act(
                db, (struct act){.event = cells[i].event, .version = 1, .name = name, .policy = "web"}, &err);
            if ((rc >= 0) != may || (!may && rc != -COFRE_USAGE))
                fail_msg("%zu from %s: %d %s", i, guest_key_state_names[from], rc, err.text);
            MUST(guest_key_find(&key, db, name, &why));
            assert_string_equal(guest_key_state_names[key.state],
                                may ? cells[i].after[from] : guest_key_state_names[from]);
        }
}

static void older_versions_are_there_until_they_are_retired(void **state)
{
    CLEAN_DB *db = connect();
    uint8_t value[KEY_VALUE_MAX];
    struct cofre_err err;
    (void)state;
    MUST(create(db, "disk", GIVEN, &why));
    assert_int_equal(act(db, (struct act){.event = KEY_EVENT_ROTATE, .name = "disk"}, NULL), 2);
    assert_int_equal(
        act(db, (struct act){.event = KEY_EVENT_GRANT, .version = 1, .name = "disk", .policy = "web"}, NULL),
        0);
    assert_int_equal(value_of(db, "disk", 1, value, NULL), 30); /* under other terms by now, and the same */
    assert_memory_equal(value, GIVEN.data, 30);
    assert_int_equal(value_of(db, "disk", 2, value, NULL), 30); /* as long as the one before */
    assert_memory_not_equal(value, GIVEN.data, 30);
    assert_int_equal(act(db, (struct act){.event = KEY_EVENT_RETIRE, .version = 2, .name = "disk"}, &err),
                     -COFRE_USAGE);
    assert_string_equal(err.text, "version 2 of the key \"disk\" is the current one: rotate the key first");
    MUST(act(db, (struct act){.event = KEY_EVENT_RETIRE, .version = 1, .name = "disk"}, &why));
    assert_int_equal(value_of(db, "disk", 1, value, &err), -COFRE_NEGATIVE);
    assert_string_equal(err.text, "the key \"disk\" has no version 1");
    assert_int_equal(act(db, (struct act){.event = KEY_EVENT_RETIRE, .version = 1, .name = "disk"}, &err),
                     -COFRE_NEGATIVE);
}

static void what_is_not_there_is_told_so(void **state)
{
    CLEAN_DB *db = connect();
    struct cofre_err err;
    (void)state;
    assert_int_equal(act(db, (struct act){.event = KEY_EVENT_DISABLE, .name = "disk"}, &err),
                     -COFRE_NEGATIVE);
    assert_string_equal(err.text, "there is no key \"disk\"");
    MUST(create(db, "disk", GIVEN, &why));
    MUST(
        act(db, (struct act){.event = KEY_EVENT_GRANT, .version = 1, .name = "disk", .policy = "web"}, &why));
    assert_int_equal(
        act(db, (struct act){.event = KEY_EVENT_REVOKE, .version = 0, .name = "disk", .policy = "db"}, &err),
        -COFRE_NEGATIVE);
    assert_string_equal(err.text, "the key \"disk\" is not granted to the policy \"db\"");
}

/* Each line is what somebody does to the database; the key does not open any more, and no change goes on from there. */
static void who_can_write_to_the_database_can_loosen_nothing(void **state)
{
    static const char *const lies[] = {
        "UPDATE guest_key_grant SET version = 2",
        "UPDATE guest_key_grant SET policy = 'lax'",
        "UPDATE guest_key_grant SET digest = mac FROM guest_key_generation",
        "DELETE FROM guest_key_grant",
        "INSERT INTO guest_key_grant (name, policy, version, digest) SELECT name, 'lax', 1, digest FROM "
        "guest_key_grant",
        "UPDATE guest_key SET state = 'created'",
        "UPDATE guest_key SET quorum = 1",
        "UPDATE guest_key SET per_guest = 5",
        "UPDATE guest_key SET per_hour = 5",
        "UPDATE guest_key SET maker = 'x'",
        "UPDATE guest_key SET made = 1",
    };
    uint8_t value[KEY_VALUE_MAX];
    struct cofre_err err;
    (void)state;
    for (size_t i = 0; i < (server.postgres ? 3 : sizeof lies / sizeof *lies); i++) {
        CLEAN_DB *db = connect();
        int64_t generation;
        MUST(create(db, "disk", GIVEN, &why));
        MUST(act(db, (struct act){.event = KEY_EVENT_GRANT, .version = 1, .name = "disk", .policy = "web"},
                 &why));
        MUST(check_generation(db, &generation, &why));
        MUST(db_script(db, lies[i], &why));
        if (value_of(db, "disk", 1, value, &err) != -COFRE_FAILED)
            fail_msg("%s", lies[i]);
        assert_string_equal(err.text,
                            "version 1 of the key \"disk\" does not open: it, or the key's terms, were "
                            "changed in the database, or the root is another");
        assert_true(bytes_are_zero(value, 30));
        assert_int_equal(check_generation(db, &generation, &err), -COFRE_FAILED);
        assert_int_equal(act(db, (struct act){.event = KEY_EVENT_ROTATE, .name = "disk"}, &err),
                         -COFRE_FAILED);
        assert_string_equal(err.text,
                            "the keys in the database are not those of generation 2: they were changed "
                            "beside the service, or the root is another");
    }
}

static void one_keys_bytes_are_no_other_keys(void **state)
{
    CLEAN_DB *db = connect();
    uint8_t value[KEY_VALUE_MAX];
    (void)state;
    MUST(create(db, "a", GIVEN, &why));
    MUST(create(db, "b", GIVEN, &why));
    MUST(act(db, (struct act){.event = KEY_EVENT_ROTATE, .name = "b"}, &why));
    MUST(db_script(db,
                   "UPDATE guest_key_version SET wrapped = (SELECT w.wrapped FROM guest_key_version w WHERE "
                   "w.name = 'a')"
                   " WHERE name = 'b' AND version = 1",
                   &why));
    assert_int_equal(value_of(db, "b", 1, value, NULL), -COFRE_FAILED);
    MUST(db_script(
        db,
        "UPDATE guest_key_version SET wrapped = (SELECT w.wrapped FROM guest_key_version w WHERE w.name = 'b'"
        " AND w.version = 2) WHERE name = 'b' AND version = 1",
        &why));
    assert_int_equal(value_of(db, "b", 1, value, NULL), -COFRE_FAILED);
    assert_int_equal(value_of(db, "b", 2, value, NULL), 30);
}

/* A row that was right once is right to AES-GCM for ever; the generation knows better. */
static void a_row_that_is_put_back_is_noticed(void **state)
{
    CLEAN_DB *db = connect();
    uint8_t value[KEY_VALUE_MAX];
    int64_t generation;
    struct cofre_err err;
    (void)state;
    MUST(create(db, "disk", GIVEN, &why));
    MUST(
        act(db, (struct act){.event = KEY_EVENT_GRANT, .version = 1, .name = "disk", .policy = "web"}, &why));
    MUST(db_script(db,
                   "CREATE TABLE old_grant AS SELECT * FROM guest_key_grant;"
                   "CREATE TABLE old_version AS SELECT * FROM guest_key_version",
                   &why));
    MUST(act(db, (struct act){.event = KEY_EVENT_REVOKE, .version = 0, .name = "disk", .policy = "web"},
             &why));
    MUST(db_script(db,
                   "INSERT INTO guest_key_grant SELECT * FROM old_grant; DELETE FROM guest_key_version;"
                   "INSERT INTO guest_key_version SELECT * FROM old_version; DROP TABLE old_grant; DROP "
                   "TABLE old_version",
                   &why));
    assert_int_equal(value_of(db, "disk", 1, value, NULL), 30);
    assert_int_equal(check_generation(db, &generation, &err), -COFRE_FAILED);
}

static void keys_that_nobody_authenticated_are_noticed(void **state)
{
    CLEAN_DB *db = connect();
    int64_t generation;
    struct cofre_err err;
    (void)state;
    MUST(create(db, "disk", GIVEN, &why));
    MUST(db_script(db, "UPDATE guest_key_generation SET number = 0", &why));
    assert_int_equal(check_generation(db, &generation, &err), -COFRE_FAILED);
    assert_string_equal(err.text, "the database has 1 keys that nobody authenticated");
}

/* What the keys are anchored to, checked with them. */
static int check_anchor(struct db *db, void *context, struct cofre_err *err)
{
    int64_t generation;
    return key_generation_check_anchor(db, root, &generation, context, err);
}

static const struct seal_counter tpm = {.index = 1, .id = {3, 2, 1}, .first = 40};

static int anchor(struct db *db, void *context, struct cofre_err *err)
{
    struct key_anchor before;
    int64_t generation;
    (void)context;
    int rc = key_generation_check_anchor(db, root, &generation, &before, err);
    if (rc < 0)
        return rc;
    const struct key_anchor first = roll_back_anchor(&tpm, tpm.first);
    return key_generation_anchor(db, root, generation, &first, err);
}

static void each_change_counts_the_anchor_up(void **state)
{
    CLEAN_DB *db = connect();
    struct key_anchor now;
    (void)state;
    MUST(create(db, "disk", GIVEN, &why));
    MUST(db_atomically(db, check_anchor, &now, &why));
    assert_false(now.there);
    MUST(db_atomically(db, anchor, NULL, &why));
    MUST(create(db, "other", GIVEN, &why));
    MUST(act(db, (struct act){.event = KEY_EVENT_ROTATE, .name = "disk"}, &why));
    MUST(db_atomically(db, check_anchor, &now, &why));
    assert_true(now.there && memcmp(now.counter, tpm.id, sizeof now.counter) == 0);
    assert_int_equal(now.value, tpm.first + 3);
}

static void an_anchor_that_was_changed_is_noticed(void **state)
{
    CLEAN_DB *db = connect();
    struct key_anchor now;
    struct cofre_err err;
    (void)state;
    MUST(create(db, "disk", GIVEN, &why));
    MUST(db_atomically(db, anchor, NULL, &why));
    MUST(db_script(db, "CREATE TABLE old_generation AS SELECT counter FROM guest_key_generation", &why));
    MUST(create(db, "other", GIVEN, &why));
    MUST(db_script(db,
                   "UPDATE guest_key_generation SET counter = (SELECT counter FROM old_generation);"
                   " DROP TABLE old_generation",
                   &why));
    assert_int_equal(db_atomically(db, check_anchor, &now, &err), -COFRE_FAILED);
    assert_non_null(strstr(err.text, "they were changed beside the service"));
    MUST(db_script(db, "UPDATE guest_key_generation SET counter = ''", &why));
    assert_int_equal(db_atomically(db, check_anchor, &now, &err), -COFRE_FAILED);
}

#define OUT "; if it is the right database, accept its keys (cofre-trust accept-keys)"

static void a_counter_says_which_keys_are_the_newest(void **state)
{
    static const struct {
        struct key_anchor anchor;
        uint64_t value;
        int found;
        const char *sentence;
    } cases[] = {
        {{true, {3, 2, 1}, 50}, 50, ROLL_BACK_NONE, NULL},
        {{true, {3, 2, 1}, 51}, 50, ROLL_BACK_COUNT, NULL},
        {{false, {0}, 0}, 40, ROLL_BACK_FIRST, NULL},
        {{true, {3, 2, 1}, 52},
         50,
         -COFRE_NEGATIVE,
         "the keys in the database count to 52, and the TPM's counter to 50 only: keys were changed without "
         "this "
         "TPM" OUT},
        {{true, {3, 2, 1}, 49},
         50,
         -COFRE_NEGATIVE,
         "the keys in the database are of an older time: they count to 49, and the TPM's counter to 50; "
         "bring the "
         "newer database back" OUT},
        {{true, {3, 2, 2}, 50},
         50,
         -COFRE_NEGATIVE,
         "the keys in the database go by another counter than the TPM's: the root has another slot "
         "since" OUT},
        {{false, {0}, 0},
         41,
         -COFRE_NEGATIVE,
         "the keys in the database go by no counter, and the TPM's has counted from 40 to 41 since it was "
         "made" OUT},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cofre_err err = {""};
        assert_int_equal(roll_back_judge(&cases[i].anchor, &tpm, cases[i].value, &err), cases[i].found);
        assert_string_equal(err.text, cases[i].sentence ? cases[i].sentence : "");
    }
}

static void another_root_opens_nothing(void **state)
{
    static const uint8_t other[KEY_ROOT_SIZE] = {7, 2};
    CLEAN_DB *db = connect();
    uint8_t value[KEY_VALUE_MAX];
    struct guest_key key;
    (void)state;
    MUST(create(db, "disk", GIVEN, &why));
    MUST(guest_key_find(&key, db, "disk", &why));
    assert_int_equal(key_version_open(value, db, other, &key, 1, NULL), -COFRE_FAILED);
    assert_int_equal(act(db, (struct act){.event = KEY_EVENT_ROTATE, .name = "disk", .root = other}, NULL),
                     -COFRE_FAILED);
}

/* Destruction: what the files hold is searched, not what the tables say. */

#define SEEN_MAX 16
struct seen {
    uint8_t wrapped[SEEN_MAX][64];
    size_t count;
};

static int see(void *context, const struct key_version *v, struct cofre_err *err)
{
    struct seen *s = context;
    (void)err;
    assert_true(s->count < SEEN_MAX && v->wrapped.len <= 64);
    memcpy(s->wrapped[s->count++], v->wrapped.data, 30 + KEY_WRAP_OVERHEAD);
    return 0;
}

static size_t found_in(const char *suffix, const struct seen *s)
{
    char path[256];
    CLEAN_BYTES file = {0};
    size_t found = 0;
    snprintf(path, sizeof path, "%s%s", server.name, suffix);
    if (file_read(&file, path, 64 << 20, NULL) < 0)
        return 0;
    for (size_t i = 0; i < s->count; i++)
        found += memmem(file.data, file.len, s->wrapped[i], 30 + KEY_WRAP_OVERHEAD) != NULL;
    return found;
}

static void of_a_destroyed_key_no_byte_is_left_in_the_files(void **state)
{
    static const char *const files[] = {"", "-wal", "-shm", "-journal"};
    if (server.postgres)
        skip(); /* which cannot promise it: attest/store/db.h */
    CLEAN_DB *db = connect(), *reader = NULL;
    struct seen s = {.count = 0};
    size_t before = 0;
    (void)state;
    MUST(db_open(&reader, server.name, &why));
    MUST(create(db, "disk", GIVEN, &why));
    MUST(create(db, "kept", GIVEN, &why));
    MUST(key_versions_list(db, "disk", see, &s, &why));
    for (int i = 0; i < 3; i++) { /* each wraps all of them anew */
        MUST(act(db, (struct act){.event = KEY_EVENT_ROTATE, .name = "disk"}, &why));
        MUST(key_versions_list(reader, "disk", see, &s, &why));
    }
    for (size_t i = 0; i < 4; i++)
        before += found_in(files[i], &s);
    assert_true(before >= 4); /* the search finds what is there */
    MUST(act(db, (struct act){.event = KEY_EVENT_DESTROY, .name = "disk"}, &why));
    MUST(db_forget(db, &why));
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(found_in(files[i], &s), 0);
    s.count = 0;
    MUST(key_versions_list(reader, "kept", see, &s, &why));
    assert_int_equal(found_in("", &s), 1);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_what_it_was_made_with),
        cmocka_unit_test(a_name_is_taken_once),
        cmocka_unit_test(values_that_are_too_long_are_no_keys),
        cmocka_unit_test(each_state_allows_what_it_allows_and_no_more),
        cmocka_unit_test(older_versions_are_there_until_they_are_retired),
        cmocka_unit_test(what_is_not_there_is_told_so),
        cmocka_unit_test(who_can_write_to_the_database_can_loosen_nothing),
        cmocka_unit_test(one_keys_bytes_are_no_other_keys),
        cmocka_unit_test(a_row_that_is_put_back_is_noticed),
        cmocka_unit_test(keys_that_nobody_authenticated_are_noticed),
        cmocka_unit_test(each_change_counts_the_anchor_up),
        cmocka_unit_test(an_anchor_that_was_changed_is_noticed),
        cmocka_unit_test(a_counter_says_which_keys_are_the_newest),
        cmocka_unit_test(another_root_opens_nothing),
        cmocka_unit_test(of_a_destroyed_key_no_byte_is_left_in_the_files),
    };
    there = database_start(&server, argc > 1 ? argv[1] : "sqlite");
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    database_remove(&server);
    return failed;
}
