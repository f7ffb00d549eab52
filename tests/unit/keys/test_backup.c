/* Backups of keys, in both kinds of database: what comes back, what stays destroyed, and what is no backup of ours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "attest/store/schema.h"
#include "keys/generation.h"
#include "keys/restore.h"
#include "keys/version.h"
#include "tests/unit/store/database.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/json.h"

static struct database server;
static bool there;
static const uint8_t root[KEY_ROOT_SIZE] = {7, 1}, another_root[KEY_ROOT_SIZE] = {7, 2};
static struct cofre_err why;

#define MUST(X)                                                                                              \
    do {                                                                                                     \
        if ((X) < 0)                                                                                         \
            fail_msg("%s", why.text);                                                                        \
    } while (0)

static void wipe(struct db *db)
{
    MUST(db_script(db,
                   "DELETE FROM guest_key_grant; DELETE FROM guest_key_version; DELETE FROM guest_key;"
                   " UPDATE guest_key_generation SET number = 0, mac = ''",
                   &why));
}

static struct db *connect(void)
{
    struct db *db = NULL;
    if (!there)
        skip();
    MUST(db_open(&db, server.name, &why));
    MUST(schema_bring(db, &why));
    wipe(db);
    return db;
}

static void close_db(struct db **db)
{
    db_close(*db);
}
#define CLEAN_DB __attribute__((cleanup(close_db))) struct db

/* One deed in a transaction. */
struct act {
    const char *name;
    int (*run)(const struct key_change *c, const struct act *a, struct cofre_err *err);
    const char *value; /* 16 bytes or more; NULL: random */
};

static int run_act(struct db *db, void *context, struct cofre_err *err)
{
    const struct act *a = context;
    return a->run(&(struct key_change){db, root, 1000}, a, err);
}

static struct view value_in(const struct act *a)
{
    return (struct view){(const uint8_t *)a->value, a->value ? strlen(a->value) : 0};
}

static int create(const struct key_change *c, const struct act *a, struct cofre_err *err)
{
    struct guest_key wish = {.maker = "owner", .quorum = 1, .per_guest = 3, .per_hour = 50};
    snprintf(wish.name, sizeof wish.name, "%s", a->name);
    return key_create(c, &wish, value_in(a), 0, err);
}

static int grant(const struct key_change *c, const struct act *a, struct cofre_err *err)
{
    return key_give_grant(c, a->name, &(struct key_grant){"web", 4, {9, 8}, 3600}, err);
}

static int rotate(const struct key_change *c, const struct act *a, struct cofre_err *err)
{
    return key_rotate(c, a->name, value_in(a), err);
}

static int disable(const struct key_change *c, const struct act *a, struct cofre_err *err)
{
    return key_disable(c, a->name, err);
}

static int retire(const struct key_change *c, const struct act *a, struct cofre_err *err)
{
    return key_retire(c, a->name, 1, err);
}

static int destroy(const struct key_change *c, const struct act *a, struct cofre_err *err)
{
    return key_destroy(c, a->name, err);
}

static void act(struct db *db, const char *name,
                int (*run)(const struct key_change *, const struct act *, struct cofre_err *),
                const char *value)
{
    struct act a = {name, run, value};
    MUST(db_atomically(db, run_act, &a, &why));
}

static int make(struct db *db, void *context, struct cofre_err *err)
{
    CLEAN_KEY_BACKUP b = {.keys = NULL};
    return key_backup_make(&b, context, &(struct key_change){db, root, 86400}, "https://trust", NULL, err);
}

static json_t *backup(struct db *db)
{
    json_t *document;
    MUST(db_atomically(db, make, &document, &why));
    return document;
}

struct restoring {
    json_t *document;
    const uint8_t *root;
    struct key_restore how;
};

static int restore_work(struct db *db, void *context, struct cofre_err *err)
{
    struct restoring *r = context;
    CLEAN_KEY_BACKUP b = {.keys = NULL};
    int rc = key_backup_read(&b, r->document, r->root ? r->root : root, err);
    return rc < 0 ? rc : key_restore(&(struct key_change){db, root, 1000}, &b, &r->how, err);
}

static int restore(struct db *db, json_t *document, struct key_restore how, json_t **left)
{
    CLEAN_JSON *names = json_array();
    struct restoring r = {document, NULL, how};
    r.how.left = names;
    int rc = db_atomically(db, restore_work, &r, &why);
    if (left)
        *left = json_incref(names);
    return rc;
}

static const struct key_restore as_they_were = {.as_they_were = true}, disabled = {.revive = NULL};

static void refused(struct db *db, json_t *document, struct key_restore how, const char *sentence)
{
    assert_int_equal(restore(db, document, how, NULL), -COFRE_USAGE);
    assert_string_equal(why.text, sentence);
}

static int check_work(struct db *db, void *context, struct cofre_err *err)
{
    return key_generation_check(db, root, context, err);
}

static void generation_is(struct db *db, int64_t wanted)
{
    int64_t generation;
    MUST(db_atomically(db, check_work, &generation, &why));
    assert_int_equal(generation, wanted);
}

static void is(struct db *db, const char *name, enum guest_key_state state, int64_t version,
               const char *value)
{
    struct guest_key key;
    uint8_t found[KEY_VALUE_MAX];
    MUST(guest_key_find(&key, db, name, &why));
    assert_int_equal(key.state, state);
    int len = key_version_open(found, db, root, &key, version, &why);
    if (!value) {
        assert_int_equal(len, -COFRE_NEGATIVE);
        return;
    }
    MUST(len);
    assert_int_equal(len, strlen(value));
    assert_memory_equal(found, value, (size_t)len);
}

#define FIRST  "the first value of it"
#define SECOND "the second value, longer"

/* Four keys in four states, one with two versions and one with a version that is retired. */
static void four_keys(struct db *db)
{
    act(db, "active", create, FIRST);
    act(db, "active", rotate, SECOND);
    act(db, "active", grant, NULL);
    act(db, "disabled", create, FIRST);
    act(db, "disabled", rotate, SECOND);
    act(db, "disabled", retire, NULL);
    act(db, "disabled", disable, NULL);
    act(db, "gone", create, FIRST);
    act(db, "gone", destroy, NULL);
    act(db, "new", create, FIRST);
}

static void what_was_backed_up_comes_back_as_it_was(void **state)
{
    CLEAN_DB *db = connect();
    struct guest_key before, after;
    (void)state;
    four_keys(db);
    CLEAN_JSON *document = backup(db);
    MUST(guest_key_find(&before, db, "active", &why));
    wipe(db);
    MUST(restore(db, document, as_they_were, NULL));
    MUST(guest_key_find(&after, db, "active", &why));
    assert_memory_equal(&before, &after, sizeof before);
    is(db, "active", GUEST_KEY_ACTIVE, 1, FIRST);
    is(db, "active", GUEST_KEY_ACTIVE, 2, SECOND);
    is(db, "disabled", GUEST_KEY_DISABLED, 1, NULL);
    is(db, "disabled", GUEST_KEY_DISABLED, 2, SECOND);
    is(db, "gone", GUEST_KEY_DESTROYED, 1, NULL);
    is(db, "new", GUEST_KEY_CREATED, 1, FIRST);
    generation_is(db, 11);
    act(db, "active", rotate, FIRST); /* and life goes on */
    is(db, "active", GUEST_KEY_ACTIVE, 3, FIRST);
}

/* An empty database does not know what was destroyed since: nothing lives that nobody has looked at. */
static void what_lived_comes_disabled_where_nothing_else_is_said(void **state)
{
    CLEAN_DB *db = connect();
    (void)state;
    four_keys(db);
    CLEAN_JSON *document = backup(db);
    wipe(db);
    MUST(restore(db, document, disabled, NULL));
    is(db, "active", GUEST_KEY_DISABLED, 2, SECOND);
    is(db, "new", GUEST_KEY_DISABLED, 1, FIRST);
    is(db, "gone", GUEST_KEY_DESTROYED, 1, NULL);
}

/* A database of an older time, with a key that was destroyed in it. */
static void what_is_destroyed_here_stays_destroyed(void **state)
{
    CLEAN_DB *db = connect();
    CLEAN_JSON *left = NULL;
    (void)state;
    act(db, "a", create, FIRST);
    CLEAN_JSON *early = backup(db);
    act(db, "b", create, FIRST);
    act(db, "b", rotate, SECOND);
    act(db, "a", rotate, SECOND);
    CLEAN_JSON *late = backup(db);
    wipe(db);
    MUST(restore(db, early, as_they_were, NULL));
    act(db, "a", destroy, NULL);
    MUST(restore(db, late, as_they_were, &left));
    is(db, "a", GUEST_KEY_DESTROYED, 1, NULL);
    is(db, "a", GUEST_KEY_DESTROYED, 2, NULL);
    is(db, "b", GUEST_KEY_CREATED, 2, SECOND);
    assert_int_equal(json_array_size(left), 1);
    assert_string_equal(json_string_value(json_array_get(left, 0)), "a");
    generation_is(db, 5);
}

static void what_was_destroyed_since_is_destroyed_by_a_later_backup(void **state)
{
    CLEAN_DB *db = connect();
    (void)state;
    act(db, "a", create, FIRST);
    act(db, "b", create, FIRST);
    CLEAN_JSON *early = backup(db);
    act(db, "a", destroy, NULL);
    act(db, "b", rotate, SECOND);
    act(db, "b", retire, NULL);
    CLEAN_JSON *late = backup(db);
    wipe(db);
    MUST(restore(db, early, as_they_were, NULL));
    MUST(restore(db, late, as_they_were, NULL));
    is(db, "a", GUEST_KEY_DESTROYED, 1, NULL);
    is(db, "b", GUEST_KEY_CREATED, 1, NULL);
    is(db, "b", GUEST_KEY_CREATED, 2, SECOND);
}

static void an_older_backup_undoes_nothing(void **state)
{
    CLEAN_DB *db = connect();
    (void)state;
    act(db, "a", create, FIRST);
    CLEAN_JSON *document = backup(db);
    refused(
        db, document, as_they_were,
        "the backup of 1970-01-02T00:00:00Z has the keys of generation 1, and here they are of generation "
        "1: there is nothing to bring, and what happened since would be undone");
    act(db, "a", destroy, NULL);
    refused(
        db, document, as_they_were,
        "the backup of 1970-01-02T00:00:00Z has the keys of generation 1, and here they are of generation "
        "2: there is nothing to bring, and what happened since would be undone");
    is(db, "a", GUEST_KEY_DESTROYED, 1, NULL);
    generation_is(db, 2);
}

static void histories_that_parted_lose_no_value(void **state)
{
    CLEAN_DB *db = connect();
    static const char sentence[] = "the key \"a\" is another here than in the backup: since their histories "
                                   "parted, a restore would lose a value";
    (void)state;
    act(db, "a", create, FIRST);
    act(db, "a", rotate, SECOND);
    act(db, "b", create, FIRST);
    act(db, "b", rotate, FIRST);
    CLEAN_JSON *document = backup(db);
    wipe(db);
    act(db, "a", create, SECOND); /* another value */
    refused(db, document, as_they_were, sentence);
    is(db, "a", GUEST_KEY_CREATED, 1, SECOND);
    wipe(db);
    act(db, "a", create, FIRST);
    act(db, "a", rotate, SECOND);
    act(db, "a", rotate, SECOND); /* a version that the backup does not know */
    refused(db, document, as_they_were, sentence);
    wipe(db);
    act(db, "c", create, FIRST); /* a key that it does not know */
    assert_int_equal(restore(db, document, as_they_were, NULL), -COFRE_USAGE);
    assert_non_null(strstr(why.text, "the key \"c\" is another here"));
    wipe(db);
    act(db, "a", create, FIRST); /* a part of the backup's */
    MUST(restore(db, document, as_they_were, NULL));
    is(db, "a", GUEST_KEY_CREATED, 2, SECOND);
}

static void a_destroyed_key_is_brought_back_by_its_name_alone(void **state)
{
    CLEAN_DB *db = connect();
    const struct key_restore a = {.revive = "a"}, b = {.revive = "b"}, c = {.revive = "c"};
    (void)state;
    act(db, "a", create, FIRST);
    act(db, "a", grant, NULL);
    act(db, "b", create, FIRST);
    CLEAN_JSON *document = backup(db);
    act(db, "b", rotate, SECOND);
    act(db, "c", create, FIRST);
    act(db, "c", destroy, NULL);
    refused(db, document, a, "the key \"a\" is active here: only a destroyed one is revived");
    refused(db, document, c, "the backup has no value of the key \"c\"");
    assert_int_equal(restore(db, document, (struct key_restore){.revive = "d"}, NULL), -COFRE_NEGATIVE);
    act(db, "a", destroy, NULL);
    MUST(restore(db, document, a, NULL));
    is(db, "a", GUEST_KEY_DISABLED, 1, FIRST);
    is(db, "b", GUEST_KEY_CREATED, 2, SECOND);
    generation_is(db, 8);
    refused(db, document, b, "the key \"b\" is created here: only a destroyed one is revived");
}

static void what_is_not_as_it_was_made_is_refused(void **state)
{
    CLEAN_DB *db = connect();
    (void)state;
    four_keys(db);
    CLEAN_JSON *document = backup(db);
    static const struct {
        const char *member, *value, *sentence; /* value: JSON; NULL: the member goes */
    } lies[] = {
        {"cofre_keys_backup", "2", "it is no backup of keys of version 1"},
        {"cofre_keys_backup", NULL, "it is no backup of keys of version 1"},
        {"id", "\"00112233445566778899aabbccddeeff\"", "the backup was changed, or is not whole"},
        {"id", "\"00\"", "the backup is not whole: id and generation are none"},
        {"service", "\"https://other\"", "the backup was changed, or is not whole"},
        {"generation", "11", "the backup was changed, or is not whole"},
        {"generation", "-1", "the backup is not whole: id and generation are none"},
        {"made", "\"2030-01-01T00:00:00Z\"", "the backup was changed, or is not whole"},
        {"made", "\"soon\"", NULL},
        {"count", "5", "the backup was changed, or is not whole"},
        {"root", "{}", "the backup was changed, or is not whole"},
        {"sealed", NULL, "the backup is not whole: Object item not found: sealed"},
        {"sealed", "\"\"", "the backup was changed, or is not whole"},
        {"sealed", "\"AAAA\"", "the backup was changed, or is not whole"},
        {"sealed", "\"*\"", "the backup was changed, or is not whole"},
        {"more", "1", NULL},
    };
    wipe(db);
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        CLEAN_JSON *changed = json_deep_copy(document);
        json_object_del(changed, lies[i].member);
        if (lies[i].value)
            json_object_set_new(changed, lies[i].member, json_loads(lies[i].value, JSON_DECODE_ANY, NULL));
        assert_int_equal(restore(db, changed, as_they_were, NULL), -COFRE_USAGE);
        if (lies[i].sentence)
            assert_string_equal(why.text, lies[i].sentence);
        generation_is(db, 0);
    }
    MUST(restore(db, document, as_they_were, NULL)); /* by itself it is good */
}

/* Each byte of what is sealed, and each end of it. */
static void each_byte_counts(void **state)
{
    CLEAN_DB *db = connect();
    (void)state;
    act(db, "a", create, FIRST);
    CLEAN_JSON *document = backup(db);
    CLEAN_BYTES sealed = {0};
    MUST(base64_decode(&sealed, 1 << 20, json_string_value(json_object_get(document, "sealed")), &why));
    const size_t len = sealed.len;
    for (size_t i = 0; i < 2 * len; i++) {
        char *text;
        CLEAN_JSON *changed = json_copy(document);
        if (i < len)
            sealed.data[i] ^= 1;
        MUST(base64_encode(&text, (struct view){sealed.data, i < len ? len : i - len}, &why));
        json_object_set_new(changed, "sealed", json_string(text));
        free(text);
        CLEAN_KEY_BACKUP b = {.keys = NULL};
        assert_int_equal(key_backup_read(&b, changed, root, &why), -COFRE_USAGE);
        assert_string_equal(why.text, "the backup was changed, or is not whole");
        if (i < len)
            sealed.data[i] ^= 1;
    }
}

static int restore_content(struct db *db, void *context, struct cofre_err *err)
{
    CLEAN_JSON *left = json_array();
    struct key_backup b = {.generation = 11, .keys = context};
    struct key_restore how = {.as_they_were = true, .left = left};
    return key_restore(&(struct key_change){db, root, 1000}, &b, &how, err);
}

/* Whoever seals has the root; but what would open no more, or live with another's limits, is not written down. */
static void what_lies_in_it_is_held_to_its_bounds(void **state)
{
    CLEAN_DB *db = connect();
    CLEAN_KEY_BACKUP b = {.keys = NULL};
    (void)state;
    four_keys(db);
    CLEAN_JSON *document = backup(db);
    MUST(key_backup_read(&b, document, root, &why));
    static const struct {
        size_t key; /* active, disabled, gone, new */
        const char *member, *value;
    } lies[] = {{0, "versions", "[]"},
                {0, "current", "3"},
                {0, "current", "0"},
                {0, "quorum", "9"},
                {0, "quorum", "-1"},
                {2, "per_guest", "0"},
                {2, "per_hour", "1000001"},
                {2, "versions", "[{\"version\": 1, \"made\": 1, \"wrapped\": \"AAAA\"}]"},
                {3, "versions", "[{\"version\": 0, \"made\": 1, \"wrapped\": \"AAAA\"}]"},
                {3, "state", "\"destroyed\""}};
    wipe(db);
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        CLEAN_JSON *keys = json_deep_copy(b.keys);
        json_object_set_new(json_array_get(keys, lies[i].key), lies[i].member,
                            json_loads(lies[i].value, JSON_DECODE_ANY, NULL));
        assert_int_equal(db_atomically(db, restore_content, keys, &why), -COFRE_FAILED);
        assert_string_equal(why.text, "what is in the backup is no key");
        generation_is(db, 0);
    }
    MUST(db_atomically(db, restore_content, b.keys, &why));
}

static void another_services_backup_is_refused(void **state)
{
    CLEAN_DB *db = connect();
    CLEAN_KEY_BACKUP b = {.keys = NULL};
    (void)state;
    act(db, "a", create, FIRST);
    CLEAN_JSON *document = backup(db);
    assert_int_equal(key_backup_read(&b, document, another_root, &why), -COFRE_USAGE);
    assert_string_equal(why.text, "the backup was made under another root than this service has");
    CLEAN_FREE char *text = json_dumps(document, 0);
    assert_null(strstr(text, "owner")); /* nothing of the keys is told to who has no root */
}

static void a_restore_is_all_or_nothing(void **state)
{
    CLEAN_DB *db = connect();
    (void)state;
    four_keys(db);
    CLEAN_JSON *document = backup(db);
    wipe(db);
    MUST(db_script(db, "ALTER TABLE guest_key_version RENAME TO hidden", &why));
    assert_true(restore(db, document, as_they_were, NULL) < 0);
    MUST(db_script(db, "ALTER TABLE hidden RENAME TO guest_key_version", &why));
    generation_is(db, 0);
    struct guest_key key;
    assert_int_equal(guest_key_find(&key, db, "active", &why), -COFRE_NEGATIVE);
    MUST(restore(db, document, as_they_were, NULL));
}

/* Neither is a backup made of what nobody vouches for, nor is one brought to it. */
static void keys_that_were_changed_beside_the_service_are_left_alone(void **state)
{
    CLEAN_DB *db = connect();
    json_t *none = NULL;
    (void)state;
    act(db, "a", create, FIRST);
    act(db, "a", rotate, SECOND);
    CLEAN_JSON *document = backup(db);
    wipe(db);
    act(db, "a", create, FIRST);
    MUST(db_script(db, "UPDATE guest_key SET quorum = 0", &why));
    assert_int_equal(db_atomically(db, make, &none, &why), -COFRE_FAILED);
    assert_null(none);
    assert_int_equal(restore(db, document, as_they_were, NULL), -COFRE_FAILED);
    assert_non_null(strstr(why.text, "are not those of generation 1"));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_backed_up_comes_back_as_it_was),
        cmocka_unit_test(what_lived_comes_disabled_where_nothing_else_is_said),
        cmocka_unit_test(what_is_destroyed_here_stays_destroyed),
        cmocka_unit_test(what_was_destroyed_since_is_destroyed_by_a_later_backup),
        cmocka_unit_test(an_older_backup_undoes_nothing),
        cmocka_unit_test(histories_that_parted_lose_no_value),
        cmocka_unit_test(a_destroyed_key_is_brought_back_by_its_name_alone),
        cmocka_unit_test(what_is_not_as_it_was_made_is_refused),
        cmocka_unit_test(each_byte_counts),
        cmocka_unit_test(what_lies_in_it_is_held_to_its_bounds),
        cmocka_unit_test(another_services_backup_is_refused),
        cmocka_unit_test(a_restore_is_all_or_nothing),
        cmocka_unit_test(keys_that_were_changed_beside_the_service_are_left_alone),
    };
    there = database_start(&server, argc > 1 ? argv[1] : "sqlite");
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    database_remove(&server);
    return failed;
}
