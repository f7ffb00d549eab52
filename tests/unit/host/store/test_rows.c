/* Rows of tenants and guests: what is written is read, names and numbers are somebody's once, versions, and lists by the page. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/json.h"
#include "vmm/host/interface/schema.h"
#include "vmm/host/store/guest.h"
#include "vmm/host/store/tables.h"
#include "vmm/host/store/tenant.h"

#define MANY 300 /* more than two pages of the statement's */

static char folder[64];
static struct db *db;
static struct cofre_err err;

static int up(void **state)
{
    char path[96];
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/cofre-rows-XXXXXX");
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/db", folder);
    assert_int_equal(db_open(&db, path, &err), 0);
    return db_script(db, "PRAGMA synchronous = off", &err) < 0 ? -1 : tables_bring(db, &err);
}

static int down(void **state)
{
    char command[128];
    (void)state;
    db_close(db);
    (void)snprintf(command, sizeof command, "rm -r '%s'", folder);
    return system(command);
}

static void must(int rc)
{
    if (rc < 0)
        fail_msg("%s", err.text);
}

static void add_tenant(const char *name)
{
    CLEAN_TENANT t = {
        .quotas = json_pack("{s:i}", "cpus", 4), .labels = json_pack("{s:s}", "a", "b"), .made = 7};
    (void)snprintf(t.name, sizeof t.name, "%s", name);
    must(tenant_add(db, &t, "uid:1", &err));
}

static uint32_t add_guest(const char *tenant, const char *name, enum guest_state state)
{
    CLEAN_GUEST_ROW g = {.state = state, .labels = json_pack("{s:s}", "tier", "web"), .made = 9};
    CLEAN_JSON *definition = json_pack("{s:i}", "cpus", 1);
    (void)snprintf(g.tenant, sizeof g.tenant, "%s", tenant);
    (void)snprintf(g.name, sizeof g.name, "%s", name);
    must(guest_row_add(&g, db, definition, "uid:1", &err));
    return g.number;
}

static void what_is_written_of_a_guest_is_read(void **state)
{
    CLEAN_GUEST_ROW g = {.number = 0}, again = {.number = 0};
    (void)state;
    add_tenant("shop");
    const uint32_t number = add_guest("shop", "web", GUEST_STOPPED);
    must(guest_row_find(&g, db, "shop", "web", &err));
    assert_int_equal(g.number, number);
    assert_int_equal(g.version, 1);
    assert_int_equal(g.run, 0);
    g.state = GUEST_PAUSED;
    g.run = 77;
    g.started_version = 1;
    g.launches = 3;
    g.asked = g.again = true;
    g.cpus = 2;
    g.memory = INT64_C(1) << 40;
    g.networks = 1;
    g.early = 5;
    g.started = 11;
    g.ended = 12;
    (void)snprintf(g.why, sizeof g.why, "it's \"so\"");
    (void)snprintf(g.tee, sizeof g.tee, "snp");
    (void)snprintf(g.measurement, sizeof g.measurement, "aa");
    (void)snprintf(g.expected, sizeof g.expected, "bb");
    (void)snprintf(g.request, sizeof g.request, "cc");
    must(guest_row_change(db, &g, &err));
    assert_int_equal(guest_row_find_run(&again, db, 77, &err), 0);
    CLEAN_JSON *labels = json_incref(g.labels);
    assert_true(json_equal(labels, again.labels));
    json_t *const own = again.labels;
    again.labels = g.labels; /* all else is compared as it lies: both began as zeros */
    assert_memory_equal(&g, &again, sizeof g);
    again.labels = own;
}

static void what_is_not_there_is_told_from_what_fails(void **state)
{
    CLEAN_GUEST_ROW g = {.number = 0};
    CLEAN_TENANT t = {.made = 0};
    (void)state;
    assert_int_equal(guest_row_find(&g, db, "shop", "web", &err), 1);
    assert_int_equal(guest_row_find_run(&g, db, 5, &err), 1);
    assert_int_equal(tenant_find(&t, db, "shop", &err), 1);
    add_tenant("shop");
    (void)add_guest("shop", "web", GUEST_STOPPED);
    assert_int_equal(db_script(db, "UPDATE guest SET state = 'dancing'", &err), 0);
    assert_int_equal(guest_row_find(&g, db, "shop", "web", &err), -COFRE_FAILED);
    assert_int_equal(db_script(db, "UPDATE tenant SET quotas = '{'", &err), 0);
    assert_int_equal(tenant_find(&t, db, "shop", &err), -COFRE_FAILED);
}

static void a_name_is_one_guest_s_of_its_tenant_and_a_number_one_guest_s_for_ever(void **state)
{
    CLEAN_GUEST_ROW twice = {.tenant = "shop", .name = "web", .labels = json_object()};
    CLEAN_JSON *definition = json_object();
    uint32_t run[2];
    (void)state;
    add_tenant("shop");
    add_tenant("other");
    const uint32_t first = add_guest("shop", "web", GUEST_STOPPED),
                   second = add_guest("other", "web", GUEST_STOPPED);
    assert_int_not_equal(first, second);
    assert_int_equal(guest_row_add(&twice, db, definition, "uid:1", &err), -COFRE_USAGE);
    must(guest_row_remove(db, second, &err));
    assert_true(add_guest("other", "web", GUEST_STOPPED) > second);
    must(guest_draw_run(&run[0], db, &err));
    must(guest_draw_run(&run[1], db, &err));
    assert_int_equal(run[1], run[0] + 1);
    assert_int_equal(db_script(db, "UPDATE host_number SET run = 4294967295", &err), 0);
    assert_int_equal(guest_draw_run(&run[0], db, &err), -COFRE_FAILED);
}

static void versions_stay_that_the_next_start_or_the_running_one_needs(void **state)
{
    CLEAN_GUEST_ROW g = {.number = 0};
    (void)state;
    add_tenant("shop");
    (void)add_guest("shop", "web", GUEST_RUNNING);
    must(guest_row_find(&g, db, "shop", "web", &err));
    g.started_version = 2;
    for (int cpus = 2; cpus <= 4; cpus++) {
        CLEAN_JSON *definition = json_pack("{s:i}", "cpus", cpus);
        must(guest_redefine(&g, db, definition, 10, "uid:1", &err));
    }
    assert_int_equal(g.version, 4);
    must(guest_forget_versions(db, &g, &err));
    static const bool stays[] = {false, false, true, false, true};
    for (int64_t version = 1; version <= 4; version++) {
        CLEAN_JSON *definition = NULL;
        const int rc = guest_definition(&definition, db, g.number, version, &err);
        assert_int_equal(rc, stays[version] ? 0 : -COFRE_FAILED);
        if (rc == 0)
            assert_int_equal(member_unsigned(definition, "cpus", 0), version);
    }
}

/* Lists */

struct taken {
    unsigned count, enough;
    char first[64], last[64];
};

static int take(struct taken *t, const char *name)
{
    if (t->count++ == 0)
        (void)snprintf(t->first, sizeof t->first, "%s", name);
    assert_true(strcmp(t->last, name) < 0); /* in order, none twice */
    (void)snprintf(t->last, sizeof t->last, "%s", name);
    return t->count == t->enough;
}

static int take_guest(void *context, const struct guest_row *guest, struct cofre_err *why)
{
    (void)why;
    return take(context, guest->name);
}

static int take_tenant(void *context, const struct tenant *tenant, struct cofre_err *why)
{
    (void)why;
    return take(context, tenant->name);
}

static int refuse(void *context, const struct guest_row *guest, struct cofre_err *why)
{
    (void)context;
    return cofre_fail(why, COFRE_NEGATIVE, "not %s", guest->name);
}

static int add_many(struct db *of, void *context, struct cofre_err *why)
{
    char name[64];
    (void)of, (void)context, (void)why;
    add_tenant("other");
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(name, sizeof name, "t%03d", i);
        add_tenant(name);
        (void)snprintf(name, sizeof name, "g%03d", i);
        (void)add_guest("t000", name, i % 100 == 99 ? GUEST_FAILED : GUEST_STOPPED);
    }
    (void)add_guest("other", "x", GUEST_STOPPED);
    return 0;
}

static void lists_give_all_of_them_once_or_as_many_as_are_wanted(void **state)
{
    static const struct {
        const char *after, *state;
        unsigned enough, count;
        const char *first, *last;
    } cases[] = {
        {"", NULL, 0, MANY, "g000", "g299"},
        {"", NULL, 1, 1, "g000", "g000"},
        {"", NULL, 128, 128, "g000", "g127"},
        {"", NULL, 129, 129, "g000", "g128"},
        {"g127", NULL, 0, 172, "g128", "g299"},
        {"g171", NULL, 0, 128, "g172", "g299"},
        {"g299", NULL, 0, 0, "", ""},
        {"", "failed", 0, 3, "g099", "g299"},
        {"g099", "failed", 1, 1, "g199", "g199"},
        {"", "running", 0, 0, "", ""},
    };
    struct taken all = {.count = 0}, few = {.enough = 200};
    (void)state;
    must(db_atomically(db, add_many, NULL, &err));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct taken t = {.enough = cases[i].enough};
        must(guests_list(db, "t000", cases[i].after, cases[i].state, take_guest, &t, &err));
        if (t.count != cases[i].count || strcmp(t.first, cases[i].first) != 0 ||
            strcmp(t.last, cases[i].last) != 0)
            fail_msg("case %zu: %u from %s to %s", i, t.count, t.first, t.last);
    }
    must(tenants_list(db, "", take_tenant, &all, &err));
    assert_int_equal(all.count, MANY + 1);
    must(tenants_list(db, "t000", take_tenant, &few, &err));
    assert_int_equal(few.count, 200);
    assert_int_equal(guests_list(db, "t000", "", NULL, refuse, NULL, &err), -COFRE_NEGATIVE);
    int64_t count = 0;
    must(guests_count(&count, db, "t000", &err));
    assert_int_equal(count, MANY);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, up, down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_written_of_a_guest_is_read),
        TEST(what_is_not_there_is_told_from_what_fails),
        TEST(a_name_is_one_guest_s_of_its_tenant_and_a_number_one_guest_s_for_ever),
        TEST(versions_stay_that_the_next_start_or_the_running_one_needs),
        TEST(lists_give_all_of_them_once_or_as_many_as_are_wanted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
