/*
 * A backup of keys. As a document: it opens where it is one that was sealed, and else is refused with a sentence. And, behind the seal,
 * as what lies in it: the keys that are here afterwards have terms and values that they were given once, or nothing has changed.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "attest/store/schema.h"
#include "keys/generation.h"
#include "keys/restore.h"
#include "keys/version.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/fuzzed_database.h"
#include "vmm/base/json.h"

static const uint8_t root[KEY_ROOT_SIZE] = {7, 1};
static const struct key_grant granted = {"web", 4, {9, 8}, 3600};
static const char *const values[] = {"the first value of it", "the second value, longer"};
static struct db *db; /* of an earlier time than the backup */
static json_t *document;
static struct key_backup sealed; /* what lies in it */

/* What was given */

static int create(const struct key_change *c, const char *name, struct cofre_err *err)
{
    struct guest_key wish = {.maker = "owner", .quorum = 1, .per_guest = 3, .per_hour = 50};
    (void)snprintf(wish.name, sizeof wish.name, "%s", name);
    int rc = key_create(c, &wish, (struct view){(const uint8_t *)values[0], strlen(values[0])}, 0, err);
    return rc < 0 ? rc : key_give_grant(c, name, &granted, err);
}

static int rotate(const struct key_change *c, const char *name, struct cofre_err *err)
{
    return key_rotate(c, name, (struct view){(const uint8_t *)values[1], strlen(values[1])}, err);
}

static int retire(const struct key_change *c, const char *name, struct cofre_err *err)
{
    return key_retire(c, name, 1, err);
}

static int back_up(const struct key_change *c, const char *service, struct cofre_err *err)
{
    return key_backup_make(&sealed, &document, c, service, NULL, err);
}

struct deed {
    int (*run)(const struct key_change *c, const char *name, struct cofre_err *err);
    const char *name;
};

static int run(struct db *to, void *context, struct cofre_err *err)
{
    const struct deed *deed = context;
    return deed->run(&(struct key_change){to, root, FUZZ_NOW}, deed->name, err);
}

static void run_all(struct db *to, const struct deed *deed)
{
    for (; deed->run; deed++)
        FUZZ_CHECK(db_atomically(to, run, (void *)deed, NULL) >= 0);
}

static void make_databases(const char *folder)
{
    static const struct deed
        early[] = {{create, "a"}, {rotate, "a"}, {create, "b"}, {create, "c"}, {0}},
        late[] = {{rotate, "b"},      {retire, "b"}, {key_disable, "b"},         {create, "d"},
                  {key_destroy, "d"}, {create, "e"}, {back_up, "https://trust"}, {0}},
        since[] = {{key_destroy, "c"}, {0}};
    char path[96], copy[128];
    struct db *other;
    (void)snprintf(path, sizeof path, "%s/early", folder);
    FUZZ_CHECK(db_open(&db, path, NULL) == 0 && schema_bring(db, NULL) == 0);
    run_all(db, early);
    (void)snprintf(copy, sizeof copy, "VACUUM INTO '%s/late'", folder);
    (void)snprintf(path, sizeof path, "%s/late", folder);
    FUZZ_CHECK(db_script(db, copy, NULL) == 0 && db_open(&other, path, NULL) == 0);
    run_all(other, late);
    db_close(other);
    run_all(db, since);
}

static void prepare(void)
{
    char folder[64], command[96];
    if (db)
        return;
    /* Where a synchronised write costs nothing. */
    (void)snprintf(folder, sizeof folder, "%s/cofre-fuzz-XXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    FUZZ_CHECK(mkdtemp(folder));
    make_databases(folder);
    fuzzed_database_remember(db, folder);
    (void)snprintf(command, sizeof command, "rm -r %s", folder);
    FUZZ_CHECK(system(command) == 0); /* every file that is needed is open */
}

/* What must hold */

static int check_value(void *context, const struct key_version *v, struct cofre_err *err)
{
    uint8_t value[KEY_VALUE_MAX];
    const int len = key_version_open(value, db, root, context, v->version, err);
    FUZZ_CHECK(len > 0 && v->version >= 1 && v->version <= 2);
    FUZZ_CHECK((size_t)len == strlen(values[v->version - 1]) &&
               memcmp(value, values[v->version - 1], (size_t)len) == 0);
    return 0;
}

static int check_key(void *context, const struct guest_key *listed, struct cofre_err *err)
{
    const struct key_restore *how = context;
    struct guest_key key;
    uint8_t value[KEY_VALUE_MAX];
    FUZZ_CHECK(guest_key_find(&key, db, listed->name, err) == 0);
    const int versions = key_versions_list(db, key.name, check_value, &key, err);
    if (key.state == GUEST_KEY_DESTROYED) {
        FUZZ_CHECK(versions == 0);
        return 0;
    }
    FUZZ_CHECK(versions > 0 && key_version_open(value, db, root, &key, key.current, err) > 0);
    FUZZ_CHECK(strcmp(key.maker, "owner") == 0 && key.quorum == 1 && key.per_guest == 3 &&
               key.per_hour == 50 && key.made == FUZZ_NOW && key.grants == 1 &&
               memcmp(&key.grant[0], &granted, sizeof granted) == 0);
    FUZZ_CHECK(how->as_they_were || how->revive || key.state == GUEST_KEY_DISABLED);
    FUZZ_CHECK(strcmp(key.name, "c") != 0 || how->revive);
    return 0;
}

struct restoring {
    struct key_backup backup;
    struct key_restore how;
};

static int restore(struct db *to, void *context, struct cofre_err *err)
{
    struct restoring *r = context;
    return key_restore(&(struct key_change){to, root, FUZZ_NOW}, &r->backup, &r->how, err);
}

static int check_all(struct db *to, void *context, struct cofre_err *err)
{
    struct restoring *r = context;
    int64_t generation;
    FUZZ_CHECK(key_generation_check(to, root, &generation, err) == 0 && generation == r->how.generation);
    return guest_key_list(to, check_key, &r->how, err);
}

/* {"keys": what lies in a backup, "generation", "as_they_were", "revive"} */
static void try_content(json_t *content)
{
    struct cofre_err err = {""};
    CLEAN_JSON *left = json_array();
    struct restoring r = {.backup = {.generation = json_integer_value(json_object_get(content, "generation")),
                                     .keys = json_object_get(content, "keys")},
                          .how = {.as_they_were = json_is_true(json_object_get(content, "as_they_were")),
                                  .revive = json_string_value(json_object_get(content, "revive")),
                                  .left = left}};
    if (!json_is_array(r.backup.keys) || r.backup.generation < 0)
        return; /* key_backup_read gives no others */
    const int rc = db_atomically(db, restore, &r, &err);
    if (rc < 0)
        FUZZ_CHECK(*err.text && fuzzed_database_changes().count == 0);
    else
        FUZZ_CHECK(db_atomically(db, check_all, &r, &err) >= 0);
    fuzzed_database_set_back();
}

static void try_document(json_t *read)
{
    CLEAN_KEY_BACKUP b = {.keys = NULL};
    struct cofre_err err = {""};
    const int rc = key_backup_read(&b, read, root, &err);
    FUZZ_CHECK(rc == 0 || (rc == -COFRE_USAGE && *err.text && !b.keys));
    FUZZ_CHECK(rc < 0 || (json_equal(read, document) && json_equal(b.keys, sealed.keys) &&
                          b.generation == sealed.generation && b.made == sealed.made &&
                          memcmp(b.digest, sealed.digest, sizeof b.digest) == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEAN_JSON *object = NULL;
    prepare();
    if (json_read(&object, (struct view){data, size}, COFRE_MALFORMED, NULL) < 0)
        return 0;
    try_document(object);
    try_content(object);
    return 0;
}

/* The document; all of it, as it was; what lives comes disabled; the one that is destroyed here alone. */
size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    prepare();
    CLEAN_JSON *content =
        json_pack("{s:O, s:I}", "keys", sealed.keys, "generation", (json_int_t)sealed.generation);
    if (index == 1)
        json_object_set_new(content, "as_they_were", json_true());
    if (index == 3)
        json_object_set_new(content, "revive", json_string("c"));
    if (index > 3)
        return 0;
    const size_t len =
        json_dumpb(index == 0 ? document : content, (char *)out, FUZZ_SEED_MAX, JSON_INDENT(1));
    FUZZ_CHECK(len > 0 && len < FUZZ_SEED_MAX);
    return len;
}
