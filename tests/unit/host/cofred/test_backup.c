/* cofred's backup: made while it runs, restored where its disk is lost, refused where it is not what it was. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/sha.h>

#include <cmocka.h>

#include "tests/unit/host/cofred/whole.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"
#include "vmm/host/interface/schema.h"

static struct whole whole, *const w = &whole;
static const char *missing;
static char first[80], second[80], head[80]; /* two backups, and the newer one's head */
static char said[1024];

static void need(void)
{
    if (!missing)
        return;
    print_message("skipped: %s\n", missing);
    skip();
}

static void run(const char *format, ...)
{
    char command[1024];
    va_list values;
    va_start(values, format);
    (void)vsnprintf(command, sizeof command, format, values);
    va_end(values);
    assert_int_equal(system(command), 0);
}

/* Its exit code; what it said is in said. */
static int cofred(const char *config, const char *options, ...)
{
    char command[1200], rest[512];
    va_list values;
    va_start(values, options);
    (void)vsnprintf(rest, sizeof rest, options, values);
    va_end(values);
    (void)snprintf(command, sizeof command, "'%s' --config '%s' %s 2>&1", w->program, config, rest);
    FILE *out = popen(command, "r");
    assert_non_null(out);
    const size_t len = fread(said, 1, sizeof said - 1, out);
    said[len] = 0;
    const int status = pclose(out);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void assert_says(const char *words)
{
    if (!strstr(said, words))
        fail_msg("it does not say \"%s\": %s", words, said);
}

/* The line and the database of a backup. */
static json_t *line_of(const char *path, struct bytes *database)
{
    CLEAN_BYTES file = {0};
    assert_int_equal(file_read(&file, path, 64 << 20, NULL), 0);
    const uint8_t *end = memchr(file.data, '\n', file.len);
    assert_non_null(end);
    json_t *line = json_loadb((const char *)file.data, (size_t)(end - file.data), 0, NULL);
    assert_non_null(line);
    const struct view rest = {end + 1, file.len - (size_t)(end + 1 - file.data)};
    if (database)
        assert_int_equal(bytes_copy(database, rest, NULL), 0);
    return line;
}

static void keep_head(const char *from, const char *to)
{
    CLEAN_JSON *line = line_of(from, NULL);
    CLEAN_BYTES raw = {0};
    assert_int_equal(hex_decode_some(&raw, 4096, member_text(line, "head", ""), NULL), 0);
    assert_int_equal(file_write(to, bytes_view(&raw), 0600, NULL), 0);
}

/* As somebody writes it who knows the format: digest and length are right. */
static void write_backup(const char *path, json_t *line, struct view database)
{
    uint8_t sha256[32];
    char hex[65];
    (void)SHA256(database.data, database.len, sha256);
    hex_encode(hex, sha256, sizeof sha256);
    (void)json_object_set_new(line, "sha256", json_string(hex));
    (void)json_object_set_new(line, "size", json_integer((json_int_t)database.len));
    CLEAN_FREE char *text = json_dumps(line, JSON_COMPACT);
    CLEAN_FILE *to = fopen(path, "w");
    assert_non_null(to);
    assert_true(fprintf(to, "%s\n", text) > 0);
    assert_int_equal(fwrite(database.data, 1, database.len, to), database.len);
}

static const char *at(const char *name)
{
    static char path[4][160];
    static unsigned next;
    char *out = path[next++ % 4];
    (void)snprintf(out, sizeof path[0], "%s/%s", w->world.directory, name);
    return out;
}

static void lose_the_disk(void)
{
    run("rm -rf '%s'", w->state);
}

/* Two backups of one host, with an operation between them; then the disk is gone. */
static int up(void **state)
{
    char kernel[80];
    (void)state;
    if (missing)
        return 0;
    (void)snprintf(first, sizeof first, "%s", at("first"));
    (void)snprintf(second, sizeof second, "%s", at("second"));
    (void)snprintf(head, sizeof head, "%s", at("head"));
    whole_start(w);
    json_decref(
        whole_must(w, 201, "POST", "/tenants", "{'name': 'shop', 'quotas': {'guests': 3, 'running': 1}}"));
    whole_image(w, "shop", "kernel of the test", kernel);
    char body[256];
    (void)snprintf(body, sizeof body,
                   "{'name': 'web', 'tee': 'none', 'cpus': 1, 'memory': 67108864, 'kernel': '%s'}", kernel);
    json_decref(whole_must(w, 201, "POST", "/tenants/shop/guests", body));
    assert_int_equal(cofred(w->config, "--backup '%s'", first), 0);
    json_decref(whole_must(w, 201, "POST", "/tenants", "{'name': 'mill'}"));
    assert_int_equal(cofred(w->config, "--backup '%s'", second), 0);
    keep_head(second, head);
    assert_int_equal(whole_stop(w, SIGTERM), 0);
    return 0;
}

static int each(void **state)
{
    (void)state;
    if (!missing)
        lose_the_disk();
    return 0;
}

static int down(void **state)
{
    (void)state;
    if (!missing)
        run("rm -f '%s'/first '%s'/second '%s'/head '%s'/bad '%s'/other.json", w->world.directory,
            w->world.directory, w->world.directory, w->world.directory, w->world.directory);
    return 0;
}

static void assert_refused(const char *backup, const char *why)
{
    char database[160];
    assert_int_not_equal(cofred(w->config, "--restore '%s'", backup), 0);
    assert_says(why);
    (void)snprintf(database, sizeof database, "%s/cofred.db", w->state);
    assert_int_equal(access(database, F_OK), -1);
    run("[ -z \"$(ls -A '%s' | grep -vx issuers)\" ]", w->state); /* nor anything else of it */
}

/* Where it is cut and changed; each is a start of cofred's program. */
static size_t places(void)
{
    const char *set = getenv("COFRE_BACKUP_PLACES");
    const int count = set ? atoi(set) : 2;
    return count > 0 ? (size_t)count : 1;
}

/* Of what takes another whole cofred, or another restoring, a third, another one at each run; COFRE_BACKUP=0, 1 or 2 is one of them again, and
 * "all" all. */
static bool is_tried(size_t i)
{
    const char *which = getenv("COFRE_BACKUP");
    const size_t third = which ? (size_t)atoi(which) : (size_t)getpid();
    const bool tried = (which && strcmp(which, "all") == 0) || i % 3 == third % 3;
    if (!tried)
        print_message("# number %zu is not tried in this run\n", i);
    return tried;
}

/* Tests */

static void what_was_defined_is_there_again_under_a_log_that_says_what_it_is(void **state)
{
    (void)state;
    need();
    if (!is_tried(2))
        return;
    CLEAN_JSON *line = line_of(second, NULL);
    assert_int_equal(cofred(w->config, "--restore '%s' --head '%s'", second, head), 0);
    run("ls '%s'/log-*.pub >/dev/null && ! ls '%s'/log-key.pem 2>/dev/null", w->state, w->state);
    whole_start(w);
    json_decref(whole_must(w, 200, "GET", "/tenants/mill", NULL));
    CLEAN_JSON *guest = whole_must(w, 200, "GET", "/tenants/shop/guests/web", NULL);
    assert_string_equal(member_text(guest, "state", ""), "stopped");
    CLEAN_JSON *entries = whole_must(w, 200, "GET", "/audit/entries", NULL);
    CLEAN_FREE char *text = json_dumps(entries, JSON_COMPACT);
    assert_non_null(strstr(text, "host.restore"));
    assert_null(strstr(text, "tenant.create"));
    assert_int_equal(cofred(w->config, "--backup '%s'", at("bad")), 0);
    CLEAN_JSON *next = line_of(at("bad"), NULL);
    assert_string_not_equal(member_text(next, "key", ""), member_text(line, "key", ""));
    assert_int_equal(whole_stop(w, SIGTERM), 0);
    assert_int_equal(cofred(w->config, "--restore '%s'", second), COFRE_LACKING);
    assert_says("takes no database's place");
    run("rm '%s'", at("bad"));
}

static void a_cut_one_is_refused_wherever_it_was_cut(void **state)
{
    (void)state;
    need();
    CLEAN_BYTES file = {0};
    assert_int_equal(file_read(&file, second, 64 << 20, NULL), 0);
    for (size_t len = 0; len < file.len; len += file.len / places()) {
        assert_int_equal(file_write(at("bad"), (struct view){file.data, len}, 0600, NULL), 0);
        assert_refused(at("bad"), len < 1024 ? "only the beginning of one" : "it was cut");
    }
}

static void a_changed_one_is_refused_wherever_it_was_changed(void **state)
{
    (void)state;
    need();
    CLEAN_BYTES file = {0};
    assert_int_equal(file_read(&file, second, 64 << 20, NULL), 0);
    for (size_t at_byte = 3; at_byte < file.len; at_byte += file.len / places()) {
        file.data[at_byte] ^= 1;
        assert_int_equal(file_write(at("bad"), bytes_view(&file), 0600, NULL), 0);
        assert_refused(at("bad"), at("bad"));
        file.data[at_byte] ^= 1;
    }
}

/* Its digest is right; what is wrong is in the database. */
static void one_that_was_written_anew_is_refused_by_its_log_and_tables(void **state)
{
    static const struct {
        const char *sql, *why;
    } changes[] = {
        {"UPDATE log_entry SET entry = x'a0' WHERE number = 2", "entries are others"},
        {"DELETE FROM log_head WHERE size = (SELECT MAX(size) FROM log_head)", "ends elsewhere"},
        {"CREATE TRIGGER t AFTER DELETE ON log_entry BEGIN DELETE FROM tenant; END",
         "tables are not cofred's"},
        {"CREATE VIEW v AS SELECT 1", "tables are not cofred's"},
        {"PRAGMA foreign_keys = OFF; DELETE FROM tenant WHERE name = 'shop'", "names one that is not there"},
        {"UPDATE schema_version SET version = 900", "use a newer one"},
    };
    (void)state;
    need();
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        if (!is_tried(i))
            continue;
        CLEAN_BYTES database = {0}, changed = {0};
        CLEAN_JSON *line = line_of(second, &database);
        sqlite3 *db;
        char *why = NULL;
        assert_int_equal(file_write(at("bad.db"), bytes_view(&database), 0600, NULL), 0);
        assert_int_equal(sqlite3_open(at("bad.db"), &db), SQLITE_OK);
        if (sqlite3_exec(db, changes[i].sql, NULL, NULL, &why) != SQLITE_OK)
            fail_msg("%s: %s", changes[i].sql, why);
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
        assert_int_equal(file_read(&changed, at("bad.db"), 64 << 20, NULL), 0);
        write_backup(at("bad"), line, bytes_view(&changed));
        assert_refused(at("bad"), changes[i].why);
    }
    run("rm -f '%s'", at("bad.db"));
}

static void one_that_is_older_than_what_was_seen_is_restored_by_who_accepts_the_loss(void **state)
{
    (void)state;
    need();
    if (!is_tried(0))
        return;
    assert_int_equal(cofred(w->config, "--restore '%s' --head '%s'", first, head), COFRE_NEGATIVE);
    assert_says("there may be a newer one");
    assert_int_equal(cofred(w->config, "--restore '%s' --head '%s' --accept-loss", first, head), 0);
    whole_start(w);
    json_decref(whole_must(w, 404, "GET", "/tenants/mill", NULL));
    json_decref(whole_must(w, 200, "GET", "/tenants/shop", NULL));
    CLEAN_JSON *entries = whole_must(w, 200, "GET", "/audit/entries", NULL);
    CLEAN_FREE char *text = json_dumps(entries, JSON_COMPACT);
    assert_non_null(strstr(text, "are known to be lost"));
    assert_int_equal(whole_stop(w, SIGTERM), 0);
}

/* Another log of the same name, and another name. */
static void another_host_s_is_refused(void **state)
{
    (void)state;
    need();
    if (!is_tried(1))
        return;
    CLEAN_BYTES config = {0};
    (void)unlink(at("bad"));
    whole_start(w); /* a host without a backup */
    assert_int_equal(cofred(w->config, "--backup '%s'", at("bad")), 0);
    assert_int_equal(whole_stop(w, SIGTERM), 0);
    lose_the_disk();
    assert_int_equal(cofred(w->config, "--restore '%s' --head '%s'", at("bad"), head), COFRE_NEGATIVE);
    assert_says("another log");
    assert_int_equal(cofred(w->config, "--restore '%s' --head '%s' --accept-loss", at("bad"), head),
                     COFRE_NEGATIVE);
    assert_int_equal(file_read(&config, w->config, 65536, NULL), 0);
    run("sed 's/operations of a test/operations of another host/' '%s' >'%s'", w->config, at("other.json"));
    assert_int_equal(cofred(at("other.json"), "--restore '%s'", second), COFRE_NEGATIVE);
    assert_says("operations of another host");
    run("rm '%s'", at("bad"));
}

static void one_that_is_there_is_never_written_over(void **state)
{
    (void)state;
    need();
    struct stat before, after;
    assert_int_equal(stat(first, &before), 0);
    assert_int_not_equal(cofred(w->config, "--backup '%s'", first), 0);
    assert_says("File exists");
    assert_int_equal(stat(first, &after), 0);
    assert_int_equal(before.st_size, after.st_size);
    assert_int_equal(before.st_mode & 0777, 0600);
}

#define TEST(name) cmocka_unit_test_setup(name, each)
int main(int argc, char **argv)
{
    const struct whole_wish wish = {886000, "", "", ""}; /* users that no other test has guests of */
    missing =
        argc == 3 ? whole_make_as(w, argv[1], argv[2], &wish) : "neither cofred nor a stand-in was named";
    const struct CMUnitTest tests[] = {
        TEST(what_was_defined_is_there_again_under_a_log_that_says_what_it_is),
        TEST(a_cut_one_is_refused_wherever_it_was_cut),
        TEST(a_changed_one_is_refused_wherever_it_was_changed),
        TEST(one_that_was_written_anew_is_refused_by_its_log_and_tables),
        TEST(one_that_is_older_than_what_was_seen_is_restored_by_who_accepts_the_loss),
        TEST(another_host_s_is_refused),
        TEST(one_that_is_there_is_never_written_over),
    };
    int rc = cmocka_run_group_tests(tests, up, down);
    whole_free(w);
    return rc;
}
