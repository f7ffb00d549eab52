/* What a start needs, what there is and what is left: numbers of quotas and of the host, at their bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/host/decide/parts.h"
#include "vmm/host/store/tables.h"

#define MIB (1LL << 20)

static char folder[] = "/tmp/cofre-admission-XXXXXX";
static struct db *db;

static int up(void **state)
{
    char path[64];
    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/db", folder);
    assert_int_equal(db_open(&db, path, NULL), 0);
    assert_int_equal(db_script(db, "PRAGMA synchronous = off", NULL), 0);
    assert_int_equal(tables_bring(db, NULL), 0);
    return 0;
}

static int down(void **state)
{
    char command[96];
    (void)state;
    db_close(db);
    (void)snprintf(command, sizeof command, "rm -r '%s'", folder);
    return system(command);
}

/* A tenant's guest, as its row is when it was started with so much. */
struct holds {
    const char *tenant, *state, *tee;
    int64_t cpus, memory, networks;
};

/* page: MiB of a huge one, of which its memory is; 0: none. */
static void add_guest(const struct holds *h, int64_t page)
{
    static unsigned number;
    CLEAN_GUEST_ROW g = {.labels = json_object(), .made = 1};
    CLEAN_JSON *definition = json_object();
    struct cofre_err err = {""};
    (void)snprintf(g.tenant, sizeof g.tenant, "%s", h->tenant);
    (void)snprintf(g.name, sizeof g.name, "g%u", number++);
    assert_int_equal(guest_state_parse(&g.state, h->state, NULL), 0);
    if (guest_row_add(&g, db, definition, "a test", &err) < 0)
        fail_msg("%s", err.text);
    (void)snprintf(g.tee, sizeof g.tee, "%s", h->tee);
    g.cpus = h->cpus;
    g.memory = h->memory * MIB;
    g.networks = h->networks;
    g.huge_page = page * MIB;
    assert_int_equal(guest_row_change(db, &g, &err), 0);
}

static void add_tenant(const char *name)
{
    CLEAN_TENANT t = {.quotas = json_object(), .labels = json_object(), .made = 1};
    (void)snprintf(t.name, sizeof t.name, "%s", name);
    assert_int_equal(tenant_add(db, &t, "a test", NULL), 0);
}

static void empty(void)
{
    assert_int_equal(db_script(db, "DELETE FROM guest; DELETE FROM guest_version; DELETE FROM tenant", NULL),
                     0);
    add_tenant("shop");
    add_tenant("other");
}

static int start_of(const json_t *definition, const char *quotas, const struct hands_host *host,
                    struct cofre_err *err)
{
    static struct decider d;
    static const struct decider_config config = {.reserved_memory = 1024 * MIB};
    struct guest_row guest = {.tenant = "shop", .name = "new"};
    struct call call = {.decider = &d, .db = db, .tenant = {.name = "shop"}};
    CLEAN_JSON *kept = json_loads(quotas, 0, NULL);
    assert_true(definition && kept);
    d.config = &config;
    d.host = *host;
    call.tenant.quotas = kept;
    return admission_check_start(&call, &guest, definition, err);
}

/* What starts is SNP, of 2 CPUs, 512 MiB and one network, in tenant shop; the host has 4 GiB of which 1 is kept, and 2 ASIDs. */
static int start(const char *quotas, bool emulated, struct cofre_err *err)
{
    const struct hands_host host = {.memory = 4096 * MIB, .miscs = 1, .misc = {{"sev_es", 2, 0}}};
    CLEAN_JSON *definition = json_pack("{s:s, s:i, s:I, s:b, s:[{}]}", "tee", "snp", "cpus", 2, "memory",
                                       (json_int_t)512 * MIB, "emulated", emulated, "networks");
    return start_of(definition, quotas, &host, err);
}

static const struct {
    const char *quotas;
    struct holds holds[4];
    const char *refusal; /* NULL: it may */
    bool emulated;
} cases[] = {
    {"{}", {{NULL}}, NULL, false},
    /* each quota at its bound, and one below */
    {"{\"running\": 1}", {{NULL}}, NULL, false},
    {"{\"running\": 0}",
     {{NULL}},
     "guests that run: this guest needs 1, and tenant shop has 0 of 0 left",
     false},
    {"{\"cpus\": 2}", {{NULL}}, NULL, false},
    {"{\"cpus\": 1}", {{NULL}}, "CPUs: this guest needs 2, and tenant shop has 1 of 1 left", false},
    {"{\"memory\": 536870912}", {{NULL}}, NULL, false},
    {"{\"memory\": 536870911}",
     {{NULL}},
     "memory: this guest needs 512 MiB, and tenant shop has 511 of 511 MiB left",
     false},
    {"{\"networks\": 0}",
     {{NULL}},
     "network interfaces: this guest needs 1, and tenant shop has 0 of 0 left",
     false},
    {"{\"snp_guests\": 0}",
     {{NULL}},
     "SNP guests: this guest needs 1, and tenant shop has 0 of 0 left",
     false},
    {"{\"tdx_guests\": 0}", {{NULL}}, NULL, false},
    /* what counts, and what does not */
    {"{\"cpus\": 5}", {{"shop", "running", "none", 3, 1, 0}}, NULL, false},
    {"{\"cpus\": 5}",
     {{"shop", "running", "none", 4, 1, 0}},
     "CPUs: this guest needs 2, and tenant shop has 1 of 5 left",
     false},
    {"{\"cpus\": 5}", {{"shop", "starting", "none", 4, 1, 0}}, "CPUs: ", false},
    {"{\"cpus\": 5}", {{"shop", "paused", "none", 4, 1, 0}}, "CPUs: ", false},
    {"{\"cpus\": 5}", {{"shop", "stopping", "none", 4, 1, 0}}, "CPUs: ", false},
    {"{\"cpus\": 5}",
     {{"shop", "stopped", "none", 4, 1, 0},
      {"shop", "failed", "none", 4, 1, 0},
      {"shop", "deleting", "none", 4, 1, 0}},
     NULL,
     false},
    {"{\"cpus\": 5}", {{"other", "running", "none", 4, 1, 0}}, NULL, false},
    {"{\"running\": 2}",
     {{"shop", "running", "none", 1, 1, 0}, {"shop", "paused", "none", 1, 1, 0}},
     "guests that run: this guest needs 1, and tenant shop has 0 of 2 left",
     false},
    {"{\"networks\": 3}", {{"shop", "running", "none", 1, 1, 3}}, "network interfaces: ", false},
    {"{\"snp_guests\": 1}", {{"shop", "running", "tdx", 1, 1, 0}}, NULL, false},
    {"{\"snp_guests\": 1}", {{"shop", "running", "snp", 1, 1, 0}}, "SNP guests: ", false},
    /* a quota that was lowered under what runs */
    {"{\"cpus\": 3}",
     {{"shop", "running", "none", 8, 1, 0}},
     "CPUs: this guest needs 2, and tenant shop has 0 of 3 left",
     false},
    /* the host: all tenants' together */
    {"{}", {{"other", "running", "none", 1, 2560, 0}}, NULL, false},
    {"{}",
     {{"other", "running", "none", 1, 2561, 0}},
     "memory: this guest needs 512 MiB, and the host has 511 of 3072 MiB left",
     false},
    {"{}", {{"other", "running", "snp", 1, 1, 0}}, NULL, false},
    {"{}",
     {{"other", "running", "snp", 1, 1, 0}, {"shop", "stopping", "snp", 1, 1, 0}},
     "ASIDs for SNP guests: this guest needs 1, and the host has 0 of 2 left",
     false},
    {"{}", {{"other", "running", "snp", 1, 1, 0}, {"shop", "stopping", "snp", 1, 1, 0}}, NULL, true},
};

static void a_start_is_let_or_refused_with_what_is_left(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cofre_err err = {""};
        empty();
        for (size_t h = 0; h < 4 && cases[i].holds[h].tenant; h++)
            add_guest(&cases[i].holds[h], 0);
        const int rc = start(cases[i].quotas, cases[i].emulated, &err);
        const char *refusal = cases[i].refusal;
        if (rc != (refusal ? -COFRE_LACKING : 0) ||
            (refusal && strncmp(err.text, refusal, strlen(refusal)) != 0))
            fail_msg("case %zu, %s: %d \"%s\", where \"%s\" is due", i, cases[i].quotas, rc, err.text,
                     refusal ? refusal : "no refusal");
    }
}

/* Of 4 GiB 1 is kept, and a pool is 128 pages of 2 MiB and 1 of 1 GiB; 1792 MiB are left for others. */
static void huge_pages_are_counted_apart_from_other_memory(void **state)
{
    static const struct {
        const char *page; /* of what starts */
        int64_t memory;
        struct holds holds;
        int64_t held_page;
        const char *refusal;
    } rows[] = {
        {NULL, 1792, {NULL, NULL, NULL, 0, 0, 0}, 0, NULL},
        {NULL,
         1794,
         {NULL, NULL, NULL, 0, 0, 0},
         0,
         "memory: this guest needs 1794 MiB, and the host has 1792 of 1792 MiB left"},
        {NULL, 1792, {"other", "running", "none", 1, 256, 0}, 2, NULL},
        {"2M", 256, {"other", "running", "none", 1, 1792, 0}, 0, NULL},
        {"2M",
         258,
         {NULL, NULL, NULL, 0, 0, 0},
         0,
         "huge pages of 2 MiB: this guest needs 129, and the host has 128 of 128 left"},
        {"2M", 192, {"other", "starting", "none", 1, 64, 0}, 2, NULL},
        {"2M",
         194,
         {"other", "starting", "none", 1, 64, 0},
         2,
         "huge pages of 2 MiB: this guest needs 97, and the host has 96 of 128 left"},
        {"2M", 256, {"other", "stopped", "none", 1, 256, 0}, 2, NULL},
        {"2M", 256, {"other", "running", "none", 1, 1024, 0}, 1024, NULL},
        {"1G", 1024, {NULL, NULL, NULL, 0, 0, 0}, 0, NULL},
        {"1G",
         1024,
         {"shop", "paused", "none", 1, 1024, 0},
         1024,
         "huge pages of 1 GiB: this guest needs 1, and the host has 0 of 1 left"},
    };
    const struct hands_host host = {.memory = 4096 * MIB, .huge_2m = 128, .huge_1g = 1};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct cofre_err err = {""};
        CLEAN_JSON *definition = json_pack("{s:s, s:I, s:s*}", "tee", "none", "memory",
                                           (json_int_t)(rows[i].memory * MIB), "memory_pages", rows[i].page);
        empty();
        if (rows[i].holds.tenant)
            add_guest(&rows[i].holds, rows[i].held_page);
        const int rc = start_of(definition, "{}", &host, &err);
        assert_int_equal(rc, rows[i].refusal ? -COFRE_LACKING : 0);
        assert_string_equal(err.text, rows[i].refusal ? rows[i].refusal : "");
    }
}

static void guests_that_are_defined_count_in_whatever_state(void **state)
{
    static const char *const states[] = {"stopped", "running", "failed", "deleting"};
    struct call call = {.db = db, .tenant = {.name = "shop"}};
    CLEAN_JSON *quotas = json_pack("{s:i}", "guests", 4);
    struct cofre_err err = {""};
    (void)state;
    call.tenant.quotas = quotas;
    empty();
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(admission_check_guests(&call, &err), 0);
        add_guest(&(struct holds){"shop", states[i], "none", 1, 1, 0}, 0);
    }
    add_guest(&(struct holds){"other", "stopped", "none", 1, 1, 0}, 0);
    assert_int_equal(admission_check_guests(&call, &err), -COFRE_LACKING);
    assert_string_equal(err.text, "tenant shop has 4 guests, and its quota is 4");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_start_is_let_or_refused_with_what_is_left),
        cmocka_unit_test(huge_pages_are_counted_apart_from_other_memory),
        cmocka_unit_test(guests_that_are_defined_count_in_whatever_state),
    };
    return cmocka_run_group_tests(tests, up, down);
}
