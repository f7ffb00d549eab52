/* cofred comes back: each state that a row can say, with each thing that hands can have of its run. A whole decider, and hands made up. */
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

#include "attest/store/db_log.h"
#include "tests/unit/host/decide/made_up_hands.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/json.h"
#include "vmm/host/store/guest.h"
#include "vmm/host/store/tenant.h"

#define NEW_RUNS 1000 /* the first that the decider draws */
#define NOBODYS  999
#define RUNS     1100

enum finding { NOTHING = 0, RUNNING = HANDS_IS_RUNNING, FROZEN = HANDS_IS_FROZEN, ENDED = HANDS_HAS_ENDED };

/* unseen: launches that hands has and the row has not. asked: of hands about its run, and then about the run that it has in the end where that is a
 * new one. "gone": there is no such row any more. */
static const struct {
    const char *state;
    enum finding finding;
    const char *asked, *becomes, *restart;
    bool again;
    unsigned unseen;
    int32_t status; /* of an end */
} cases[] = {
    {"stopped", NOTHING, "", "stopped", "never", false, 0, 0},
    {"stopped", RUNNING, "kill ", "stopped", "never", false, 0, 0},
    {"stopped", FROZEN, "kill ", "stopped", "never", false, 0, 0},
    {"stopped", ENDED, "", "stopped", "never", false, 0, 0},
    {"failed", NOTHING, "", "failed", "never", false, 0, 0},
    {"failed", RUNNING, "kill ", "failed", "never", false, 0, 0},
    {"failed", FROZEN, "kill ", "failed", "never", false, 0, 0},
    {"failed", ENDED, "", "failed", "never", false, 0, 0},
    {"starting", NOTHING, "start ", "starting", "never", false, 0, 0},
    {"starting", RUNNING, "", "starting", "never", false, 0, 0},
    {"starting", FROZEN, "thaw ", "starting", "never", false, 0, 0},
    {"starting", ENDED, "open open ", "failed", "never", false, 0, 0},
    {"running", NOTHING, "", "failed", "never", false, 0, 0},
    {"running", RUNNING, "", "running", "never", false, 0, 0},
    {"running", FROZEN, "thaw ", "running", "never", false, 0, 0},
    {"running", ENDED, "open open ", "stopped", "never", false, 0, 0},
    {"paused", NOTHING, "", "failed", "never", false, 0, 0},
    {"paused", RUNNING, "freeze ", "paused", "never", false, 0, 0},
    {"paused", FROZEN, "", "paused", "never", false, 0, 0},
    {"paused", ENDED, "open open ", "stopped", "never", false, 0, 0},
    {"stopping", NOTHING, "", "stopped", "never", false, 0, 0},
    {"stopping", RUNNING, "thaw terminate ", "stopping", "never", false, 0, 0},
    {"stopping", FROZEN, "thaw terminate ", "stopping", "never", false, 0, 0},
    {"stopping", ENDED, "open open ", "stopped", "never", false, 0, 0},
    {"deleting", NOTHING, "", "gone", "never", false, 0, 0},
    {"deleting", RUNNING, "remove ", "gone", "never", false, 0, 0},
    {"deleting", FROZEN, "remove ", "gone", "never", false, 0, 0},
    {"deleting", ENDED, "remove ", "gone", "never", false, 0, 0},
    /* its launch was not seen, and is before its end */
    {"starting", RUNNING, "open ", "running", "never", false, 1, 0},
    {"starting", ENDED, "open open open ", "stopped", "never", false, 1, 0},
    {"running", ENDED, "open open open ", "stopped", "never", false, 1, 0},
    {"stopping", ENDED, "open open open ", "stopped", "never", false, 1, 0},
    /* it launched again and again while nobody saw it */
    {"starting", RUNNING, "open ", "running", "never", false, 3, 0},
    {"running", RUNNING, "open ", "running", "never", false, 2, 0},
    {"running", ENDED, "open open open ", "stopped", "never", false, 4, 0},
    /* hands does not know how it ended: a start that was cut off begins again, what had launched has failed */
    {"starting", ENDED, "remove start ", "starting", "never", false, 0, -1},
    {"starting", ENDED, "open open open ", "failed", "never", false, 1, -1},
    {"running", ENDED, "open open ", "failed", "never", false, 0, -1},
    {"stopping", ENDED, "open open ", "stopped", "never", false, 0, -1},
    /* it is to be started again */
    {"stopped", NOTHING, "remove start ", "starting", "never", true, 0, 0},
    {"failed", ENDED, "remove start ", "starting", "never", true, 0, 0},
    {"running", NOTHING, "remove start ", "starting", "always", false, 0, 0},
    {"running", ENDED, "open open remove start ", "starting", "always", false, 0, 0},
    {"stopping", NOTHING, "", "stopped", "always", false, 0, 0},
};
#define CASES (sizeof cases / sizeof *cases)

struct seen {
    char asked[RUNS][64];
    unsigned starts, starts_before_removal;
};

static const char *const words[] = {
    [HANDS_START] = "start ",         [HANDS_FREEZE] = "freeze ", [HANDS_THAW] = "thaw ",
    [HANDS_TERMINATE] = "terminate ", [HANDS_KILL] = "kill ",     [HANDS_OPEN] = "open ",
    [HANDS_REMOVE] = "remove ",       [HANDS_HOST] = NULL,
};

static void take_note(void *context, const struct hands_request *request)
{
    struct seen *seen = context;
    const uint32_t run = request->header.guest;
    assert_true(run < RUNS && request->header.what < sizeof words / sizeof *words &&
                words[request->header.what]);
    (void)strcat(seen->asked[run], words[request->header.what]);
    seen->starts += request->header.what == HANDS_START;
    if (run == NOBODYS)
        seen->starts_before_removal = seen->starts;
}

static uint32_t run_of(size_t i)
{
    return (uint32_t)i + 1;
}

static int add_row(struct db *db, size_t i, const char *kernel, struct cofre_err *err)
{
    CLEAN_GUEST_ROW g = {.tenant = "shop", .made = 1, .labels = json_object()};
    CLEAN_JSON *definition = json_pack("{s:s, s:i, s:I, s:s, s:s}", "tee", "none", "cpus", 1, "memory",
                                       (json_int_t)64 << 20, "kernel", kernel, "restart", cases[i].restart);
    (void)snprintf(g.name, sizeof g.name, "case-%zu", i);
    int rc = guest_state_parse(&g.state, cases[i].state, err);
    if (rc == 0)
        rc = guest_row_add(&g, db, definition, "a test", err);
    g.run = run_of(i);
    g.started_version = 1;
    g.started = 1;
    g.launches = g.state == GUEST_STARTING ? 0 : 1;
    g.again = cases[i].again;
    g.asked = g.state == GUEST_STOPPING;
    (void)snprintf(g.tee, sizeof g.tee, "none");
    return rc < 0 ? rc : guest_row_change(db, &g, err);
}

struct rows {
    const char *kernel;
};

static int add_rows(struct db *db, void *context, struct cofre_err *err)
{
    const struct rows *rows = context;
    CLEAN_TENANT shop = {.name = "shop", .quotas = json_object(), .labels = json_object(), .made = 1};
    int rc = tenant_add(db, &shop, "a test", err);
    for (size_t i = 0; rc >= 0 && i < CASES; i++)
        rc = add_row(db, i, rows->kernel, err);
    if (rc >= 0)
        rc = DB_RUN(db, "UPDATE host_number SET run = $1", NULL, NULL, err, db_integer(NEW_RUNS));
    return rc < 0 ? rc : 0;
}

static void make_list(struct hands_list *list)
{
    for (size_t i = 0; i < CASES; i++)
        if (cases[i].finding)
            list->entry[list->count++] = (struct hands_entry){
                .guest = run_of(i),
                .state = cases[i].finding,
                .launches = (strcmp(cases[i].state, "starting") != 0) + cases[i].unseen,
                .ended = {.status = cases[i].status},
            };
    list->entry[list->count++] = (struct hands_entry){.guest = NOBODYS, .state = HANDS_IS_RUNNING};
}

static int count_launch(void *context, struct view bytes, struct cofre_err *err)
{
    struct log_entry entry;
    unsigned(*launches)[CASES] = context;
    size_t i;
    int rc = log_entry_read(&entry, bytes, err);
    if (rc == 0 && entry.kind == LOG_ENTRY_LAUNCH && entry.outcome == LOG_LAUNCH_RUNS &&
        sscanf(entry.object_name, "case-%zu", &i) == 1 && i < CASES)
        (*launches)[i]++;
    return rc;
}

/* Each launch that was not seen is in the log, once. */
static void check_launches(struct db *db)
{
    unsigned launches[CASES] = {0};
    struct cofre_err err = {""};
    int64_t entry = 0;
    while (db_log_entry(db, entry, count_launch, &launches, &err) >= 0)
        entry++;
    for (size_t i = 0; i < CASES; i++)
        if (launches[i] != cases[i].unseen)
            fail_msg("case %zu: %u launches are in the log, of %u", i, launches[i], cases[i].unseen);
}

static void check_row(struct db *db, size_t i, const struct seen *seen)
{
    CLEAN_GUEST_ROW g = {.number = 0};
    char name[64], asked[256];
    struct cofre_err err;
    (void)snprintf(name, sizeof name, "case-%zu", i);
    const int rc = guest_row_find(&g, db, "shop", name, &err);
    assert_true(rc >= 0);
    const char *state = rc == 1 ? "gone" : guest_state_names[g.state];
    (void)snprintf(asked, sizeof asked, "%s%s", seen->asked[run_of(i)],
                   rc == 0 && g.run != run_of(i) ? seen->asked[g.run] : "");
    if (strcmp(state, cases[i].becomes) != 0 || strcmp(asked, cases[i].asked) != 0)
        fail_msg("%s, of which hands has %d: it is %s (%s) and hands was asked: %s; not %s, and: %s",
                 cases[i].state, cases[i].finding, state, g.why, asked, cases[i].becomes, cases[i].asked);
}

/* Of each guest, by its number in the table, in which states journald was told that it is. */
static void read_journal(int journal, char told[CASES][64])
{
    char text[4096];
    ssize_t n;
    while ((n = recv(journal, text, sizeof text - 1, MSG_DONTWAIT)) > 0) {
        text[n] = 0;
        const char *guest = strstr(text, "\nCOFRE_GUEST=case-"), *state = strstr(text, "\nCOFRE_STATE=");
        assert_non_null(guest);
        assert_non_null(state);
        assert_non_null(strstr(text, "\nCOFRE_TENANT=shop\n"));
        const bool failed = strncmp(state + 13, "failed\n", 7) == 0;
        assert_int_equal(strstr(text, "\nPRIORITY=3\n") != NULL, failed);
        char *one = told[strtoul(guest + 18, NULL, 10)];
        (void)snprintf(one + strlen(one), 64 - strlen(one), "%.*s ", (int)strcspn(state + 13, "\n"),
                       state + 13);
    }
}

/* The state that a guest came to, where it is another than it was in. */
static void check_told(const char *told, size_t i)
{
    if (strcmp(cases[i].state, cases[i].becomes) == 0 || strcmp(cases[i].becomes, "gone") == 0)
        return;
    if (!strstr(told, cases[i].becomes))
        fail_msg("%s became %s, and journald was told: %s", cases[i].state, cases[i].becomes, told);
}

static void each_row_and_what_hands_has_of_it_come_to_one_state(void **state)
{
    static struct hands_list list;
    static struct seen seen;
    static char told[CASES][64];
    struct made_decider m;
    struct db *db = NULL;
    struct cofre_err err = {""};
    char kernel[IMAGE_DIGEST_TEXT];
    (void)state;
    made_decider_make(&m);
    made_decider_image(&m, "shop", kernel);
    assert_int_equal(db_open(&db, m.database, &err), 0);
    struct rows rows = {kernel};
    if (db_atomically(db, add_rows, &rows, &err) < 0)
        fail_msg("%s", err.text);
    make_list(&list);
    made_decider_run(&m, &list, take_note, &seen);
    assert_false(m.heard_early); /* what somebody started then would be begun twice, */
    assert_false(m.asked_early); /* as would what the news start again */
    read_journal(m.journal[1], told);
    for (size_t i = 0; i < CASES; i++) {
        check_row(db, i, &seen);
        check_told(told[i], i);
    }
    check_launches(db);
    assert_string_equal(seen.asked[NOBODYS], "remove ");
    assert_int_equal(seen.starts_before_removal, 0);
    db_close(db);
    close(m.journal[1]);
    made_decider_remove(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_row_and_what_hands_has_of_it_come_to_one_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
