/* Who may what: every cell of the table of roles, operations and places, as it is meant; and what holds of any grants. */
#include "tests/unit/host/access/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/host/access/cells.h"
#include "tests/unit/host/access/made.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"
#include "vmm/base/json.h"
#include "vmm/host/access/held.h"
#include "vmm/host/access/role.h"

static char letter(enum access_outcome outcome)
{
    return "ARNH"[outcome];
}

static enum access_outcome decide(struct made *made, const struct access_caller *caller,
                                  const char *operation, const char *tenant, const json_t *labels,
                                  struct access_decision *out)
{
    struct access_request r = {
        .operation = operation_find(operation), .tenant = *tenant ? tenant : NULL, .now = NOW};
    struct cofre_err err = {""};
    assert_non_null(r.operation);
    if (strstr(r.operation->path, "{guest}"))
        r.resource = "web";
    if (r.resource || strcmp(operation, "guest.create") == 0)
        r.labels = labels;
    if (strcmp(operation, "guest.update") == 0)
        r.labels_after = labels;
    assert_int_equal(access_decide(out, made->access, made->db, caller, &r, &err), 0);
    assert_true(*out->reason);
    assert_true(out->outcome == ACCESS_ALLOWED || *out->answer);
    return out->outcome;
}

static void check_cell(struct made *made, const struct cell_place *place, size_t column)
{
    const struct access_caller caller = made_caller("user:ann");
    const char *role = cell_roles[column];
    CLEAN_JSON *labels = strcmp(place->guest, "vault") == 0 ? made_json("{'tier': 'gold'}") : NULL;
    struct cofre_err err = {""};
    struct access_decision decision;
    if (*role)
        (void)made_grant(made, "user:ann", role, place->granted, place->labels, false);
    if (*role && place->denied)
        (void)made_grant(made, "user:ann", "administrator", place->granted, "{}", true);
    for (size_t i = 0; i < CELL_ROWS; i++) {
        const char wanted = cell_rows[i].outcome[place - cell_places][column];
        if (wanted == '-')
            continue;
        const char got =
            letter(decide(made, &caller, cell_rows[i].operation, place->asked, labels, &decision));
        if (got != wanted)
            fail_msg("%s of %s in \"%s\" for %s, asked in \"%s\" of %s: %c instead of %c (%s)",
                     cell_rows[i].operation, role, place->granted, place->labels, place->asked, place->guest,
                     got, wanted, decision.reason);
    }
    assert_true(db_script(made->db, "DELETE FROM access_grant", &err) == 0);
}

static void every_cell_of_the_table_is_as_it_is_meant(void **state)
{
    struct made made;
    (void)state;
    made_start(&made);
    for (size_t place = 0; place < CELL_PLACES; place++)
        for (size_t column = 0; column < CELL_ROLES; column++)
            check_cell(&made, &cell_places[place], column);
    made_end(&made);
}

static void the_table_has_every_operation_and_every_role(void **state)
{
    (void)state;
    assert_int_equal(CELL_ROWS, OPERATIONS);
    for (size_t i = 0; i < OPERATIONS; i++)
        assert_string_equal(cell_rows[i].operation, operations[i].name);
    assert_int_equal(CELL_ROLES - 1, role_built_in_count);
    for (size_t i = 0; i + 1 < CELL_ROLES; i++)
        assert_string_equal(cell_roles[i], role_built_in[i].name);
}

/* Who is nobody may not even what everybody may. */
static void nobody_is_refused_everything(void **state)
{
    struct made made;
    const struct access_caller nobody = {.from = "192.0.2.7:1"};
    struct access_decision decision;
    (void)state;
    made_start(&made);
    for (size_t i = 0; i < OPERATIONS; i++)
        assert_int_equal(decide(&made, &nobody, operations[i].name, "blue", NULL, &decision), ACCESS_REFUSED);
    made_end(&made);
}

/* How much was asked of the database, which is what a refusal takes its time for. */
static unsigned statements;
int __real_db_run(struct db *db, const char *sql, const struct db_value *value, size_t values, db_row row,
                  void *context, struct cofre_err *err);
int __wrap_db_run(struct db *db, const char *sql, const struct db_value *value, size_t values, db_row row,
                  void *context, struct cofre_err *err);
int __wrap_db_run(struct db *db, const char *sql, const struct db_value *value, size_t values, db_row row,
                  void *context, struct cofre_err *err)
{
    statements++;
    return __real_db_run(db, sql, value, values, row, context, err);
}

static struct access_decision decide_counted(struct made *made, const struct access_caller *caller,
                                             const struct access_request *request, unsigned *count)
{
    struct access_decision decision;
    struct cofre_err err;
    statements = 0;
    assert_int_equal(access_decide(&decision, made->access, made->db, caller, request, &err), 0);
    *count = statements;
    return decision;
}

static void what_is_not_there_and_what_is_not_to_be_seen_have_one_answer(void **state)
{
    unsigned of_hidden, of_missing, of_foreign;
    struct made made;
    CLEAN_JSON *labels = made_json("{'tier': 'gold'}");
    const struct access_caller ann = made_caller("user:ann");
    (void)state;
    made_start(&made);
    (void)made_grant(&made, "user:ann", "operator", "blue", "{'tier': 'tin'}", false);
    for (size_t i = 0; i < OPERATIONS; i++) {
        if (!strstr(operations[i].path, "{guest}"))
            continue;
        struct access_request r = {
            .operation = &operations[i], .tenant = "blue", .resource = "db", .labels = labels, .now = NOW};
        const struct access_decision hidden = decide_counted(&made, &ann, &r, &of_hidden);
        r.labels = NULL;
        r.absent = true;
        const struct access_decision missing = decide_counted(&made, &ann, &r, &of_missing);
        assert_int_equal(hidden.outcome, ACCESS_ABSENT);
        assert_int_equal(missing.outcome, ACCESS_ABSENT);
        assert_string_equal(hidden.answer, missing.answer);
        assert_int_equal(of_hidden, of_missing);
        r.tenant = "red";
        const struct access_decision no_tenant = decide_counted(&made, &ann, &r, &of_missing);
        r.absent = false;
        r.labels = labels;
        const struct access_decision foreign = decide_counted(&made, &ann, &r, &of_foreign);
        assert_int_equal(foreign.outcome, ACCESS_ABSENT);
        assert_string_equal(foreign.answer, no_tenant.answer);
        assert_int_equal(of_foreign, of_missing);
        assert_true(of_foreign > 0 && of_foreign == of_hidden);
    }
    made_end(&made);
}

static void labels_bound_a_grant_and_a_denial(void **state)
{
    struct made made;
    struct access_decision decision;
    struct cofre_err err;
    CLEAN_JSON *dev = made_json("{'env': 'dev', 'team': 'a'}"),
               *prod = made_json("{'env': 'prod', 'team': 'a'}"),
               *secret = made_json("{'env': 'dev', 'secret': 'yes'}");
    const struct access_caller ann = made_caller("user:ann");
    (void)state;
    made_start(&made);
    (void)made_grant(&made, "user:ann", "launcher", "blue", "{'env': 'dev'}", false);
    (void)made_grant(&made, "user:ann", "viewer", "blue", "{}", false);
    (void)made_grant(&made, "user:ann", "launcher", "blue", "{'secret': 'yes'}", true);
    const struct {
        const char *operation;
        const json_t *labels, *after;
        enum access_outcome outcome;
    } cases[] = {
        {"guest.start", dev, NULL, ACCESS_ALLOWED},
        {"guest.start", prod, NULL, ACCESS_REFUSED},
        {"guest.show", prod, NULL, ACCESS_ALLOWED},
        {"guest.start", secret, NULL, ACCESS_ABSENT},
        {"guest.show", secret, NULL, ACCESS_ABSENT},
        {"guest.update", dev, dev, ACCESS_ALLOWED},
        {"guest.update", dev, prod, ACCESS_REFUSED},
        {"guest.update", prod, dev, ACCESS_REFUSED},
        {"guest.update", dev, secret, ACCESS_REFUSED},
        {"guest.create", dev, NULL, ACCESS_ALLOWED},
        {"guest.create", prod, NULL, ACCESS_REFUSED},
        {"guest.list", NULL, NULL, ACCESS_ALLOWED},
        {"image.add", NULL, NULL, ACCESS_REFUSED},
        {"guest.update", dev, NULL, ACCESS_REFUSED}, /* which takes its labels away */
        {"guest.create", NULL, NULL, ACCESS_REFUSED},
        {"guest.start", NULL, NULL, ACCESS_REFUSED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct access_request r = {.operation = operation_find(cases[i].operation),
                                   .tenant = "blue",
                                   .resource = "web",
                                   .labels = cases[i].labels,
                                   .labels_after = cases[i].after,
                                   .now = NOW};
        assert_int_equal(access_decide(&decision, made.access, made.db, &ann, &r, &err), 0);
        if (decision.outcome != cases[i].outcome)
            fail_msg("case %zu, %s: %s", i, cases[i].operation, decision.reason);
    }
    struct access_view *view = NULL;
    assert_int_equal(access_view_open(&view, made.db, &ann, NOW, &err), 0);
    assert_true(access_view_tenant(view, "blue"));
    assert_false(access_view_tenant(view, "red"));
    assert_true(access_view_guest(view, "blue", prod));
    assert_false(access_view_guest(view, "blue", secret));
    assert_false(access_view_guest(view, "red", dev));
    access_view_close(view);
    made_end(&made);
}

static void a_grant_ends_when_it_says(void **state)
{
    struct made made;
    struct access_decision decision;
    struct cofre_err err;
    const struct access_caller ann = made_caller("user:ann");
    (void)state;
    made_start(&made);
    (void)made_grant(&made, "user:ann", "viewer", "blue", "{}", false);
    assert_int_equal(db_script(made.db, "UPDATE access_grant SET until = 1800000001", &err), 0);
    struct access_request r = {.operation = operation_find("guest.list"), .tenant = "blue", .now = NOW};
    assert_int_equal(access_decide(&decision, made.access, made.db, &ann, &r, &err), 0);
    assert_int_equal(decision.outcome, ACCESS_ALLOWED);
    r.now = NOW + 1;
    assert_int_equal(access_decide(&decision, made.access, made.db, &ann, &r, &err), 0);
    assert_int_equal(decision.outcome, ACCESS_ABSENT);
    made_end(&made);
}

/* Sets of grants at random, and one denial more, on all that can be asked: what is allowed afterwards was allowed before. */
static uint64_t numbers = 88172645463325252u;
static unsigned draw(unsigned below)
{
    numbers ^= numbers << 13;
    numbers ^= numbers >> 7;
    numbers ^= numbers << 17;
    return (unsigned)(numbers % below);
}

static const char *const label_texts[] = {"{}", "{'env': 'dev'}", "{'env': 'prod'}",
                                          "{'env': 'dev', 'team': 'a'}"};

static void add_at_random(struct made *made, bool deny)
{
    static const char *const tenants[] = {"", "blue", "red"}, *const names[] = {"user:ann", "group:corp:all"};
    (void)made_grant(made, names[draw(2)], cell_roles[draw(CELL_ROLES - 1)], tenants[draw(3)],
                     label_texts[draw(4)], deny);
}

static void read_all(const struct held *held, bool may[3][5][OPERATIONS], bool sees[3][5])
{
    static const char *const tenants[] = {NULL, "blue", "red"};
    for (size_t t = 0; t < 3; t++)
        for (size_t l = 0; l < 5; l++) {
            CLEAN_JSON *labels = l < 4 ? made_json(label_texts[l]) : NULL;
            const struct held_place place = {tenants[t], labels};
            int64_t number;
            for (enum operation_number o = 0; o < OPERATIONS; o++)
                may[t][l][o] = held_may(held, o, &place, &number, NULL) == 0;
            sees[t][l] = tenants[t] &&
                         (labels ? held_sees_guest(held, tenants[t], labels) : held_sees(held, tenants[t]));
        }
}

static void one_denial_more_never_allows_more(void **state)
{
    struct made made;
    struct cofre_err err;
    const struct access_caller ann = made_member("user:ann", "group:corp:all");
    static bool before[3][5][OPERATIONS], after[3][5][OPERATIONS];
    bool seen_before[3][5], seen_after[3][5];
    unsigned lost = 0;
    (void)state;
    made_start(&made);
    for (int round = 0; round < 60; round++) {
        CLEAN_HELD held = {0}, more = {0};
        assert_int_equal(db_script(made.db, "DELETE FROM access_grant", &err), 0);
        for (unsigned i = draw(5); i-- > 0;)
            add_at_random(&made, draw(3) == 0);
        add_at_random(&made, false);
        assert_int_equal(held_load(&held, made.db, &ann, NOW, &err), 0);
        read_all(&held, before, seen_before);
        add_at_random(&made, true);
        assert_int_equal(held_load(&more, made.db, &ann, NOW, &err), 0);
        read_all(&more, after, seen_after);
        for (size_t i = 0; i < sizeof before; i++) {
            assert_true(((bool *)before)[i] || !((bool *)after)[i]);
            lost += ((bool *)before)[i] && !((bool *)after)[i];
        }
        for (size_t i = 0; i < sizeof seen_before; i++)
            assert_true(((bool *)seen_before)[i] || !((bool *)seen_after)[i]);
    }
    assert_true(lost > 1000); /* denials took something */
    made_end(&made);
}

/* docs/cofred.md, between its two comments: a line for each role, with its patterns in its order. */
static void the_document_has_the_roles_that_the_program_has(void **state)
{
    char path[4096], wanted[2048];
    CLEAN_BYTES file = {0};
    struct cofre_err err;
    (void)state;
    (void)snprintf(path, sizeof path, "%s/docs/cofred.md", getenv("COFRE_SOURCE"));
    assert_int_equal(file_read(&file, path, 1 << 20, &err), 0);
    for (size_t i = 0; i < role_built_in_count; i++) {
        const struct role *role = &role_built_in[i];
        size_t len = (size_t)snprintf(wanted, sizeof wanted, "\n| `%s` | %s | ", role->name, role->help);
        for (size_t j = 0; role->patterns[j]; j++)
            len += (size_t)snprintf(wanted + len, sizeof wanted - len, "%s`%s`", j ? ", " : "",
                                    role->patterns[j]);
        (void)snprintf(wanted + len, sizeof wanted - len, " |\n");
        if (!memmem(file.data, file.len, wanted, strlen(wanted)))
            fail_msg("docs/cofred.md has no line \"%s\"", wanted + 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_has_every_operation_and_every_role),
        cmocka_unit_test(every_cell_of_the_table_is_as_it_is_meant),
        cmocka_unit_test(nobody_is_refused_everything),
        cmocka_unit_test(what_is_not_there_and_what_is_not_to_be_seen_have_one_answer),
        cmocka_unit_test(labels_bound_a_grant_and_a_denial),
        cmocka_unit_test(a_grant_ends_when_it_says),
        cmocka_unit_test(one_denial_more_never_allows_more),
        cmocka_unit_test(the_document_has_the_roles_that_the_program_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
