/*
 * Who may what, through the API of a whole cofred: every role, every operation, from every place, against the table that the rows
 * are held against as well (tests/unit/host/access/cells.c). What is refused has changed nothing, is in the log, and does not tell
 * whether what may not be seen is there.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/host/access/cells.h"
#include "tests/unit/host/cofred/asker.h"
#include "tests/unit/host/cofred/kept.h"
#include "tests/unit/host/cofred/whole.h"
#include "vmm/base/cleanup.h"

#define FIRST_USER  881000
#define FIRST_ASKER 882000 /* and on: a user for each place and role */

static struct whole whole, *const w = &whole;
static const char *missing;
static char kernel[80];
static struct kept kept;
static int64_t last_entry = -1;

/*
 * Requests. In path and body: %t the tenant, %g the guest, %l its labels, %k an image, %n a grant and %a a request of that tenant that
 * waits for a second approver; %? and %, name the tenant where there is one, for a query and a body; %i is the id in what was
 * answered. allowed: the status where it is allowed: some are allowed and cannot be done, so that the next one finds all as it was.
 */
static const struct
try {
    const char *operation, *path, *body;
    int allowed;
    const char *undo_method, *undo_path, *undo_body;
}
tries[CELL_ROWS] = {
/* clang-format off */
#define GUEST "/tenants/%t/guests/%g"
#define DEFINITION "'tee': 'none', 'cpus': 1, 'memory': 67108864, 'kernel': '%k', 'labels': %l"
    {"tenant.create", "/tenants", "{'name': 'new'}", 201, "DELETE", "/tenants/new", NULL},
    {"tenant.list", "/tenants", NULL, 200, NULL, NULL, NULL},
    {"tenant.show", "/tenants/%t", NULL, 200, NULL, NULL, NULL},
    {"tenant.update", "/tenants/%t", "{'quotas': {'guests': 9}}", 200, "PATCH", "/tenants/%t", "{'quotas': {'guests': 8}}"},
    {"tenant.delete", "/tenants/%t", NULL, 202, NULL, NULL, NULL},
    {"guest.create", "/tenants/%t/guests", "{'name': 'new', " DEFINITION "}", 201, "DELETE", "/tenants/%t/guests/new", NULL},
    {"guest.list", "/tenants/%t/guests", NULL, 200, NULL, NULL, NULL},
    {"guest.show", GUEST, NULL, 200, NULL, NULL, NULL},
    {"guest.update", GUEST, "{" DEFINITION "}", 200, NULL, NULL, NULL},
    {"guest.delete", GUEST, NULL, 204, "POST", "/tenants/%t/guests", "{'name': '%g', " DEFINITION "}"},
    {"guest.start", GUEST "/start", NULL, 503, NULL, NULL, NULL},
    {"guest.stop", GUEST "/stop", NULL, 409, NULL, NULL, NULL},
    {"guest.kill", GUEST "/kill", NULL, 409, NULL, NULL, NULL},
    {"guest.restart", GUEST "/restart", NULL, 503, NULL, NULL, NULL},
    {"guest.pause", GUEST "/pause", NULL, 409, NULL, NULL, NULL},
    {"guest.resume", GUEST "/resume", NULL, 409, NULL, NULL, NULL},
    {"guest.limit", GUEST "/limits", "{'cpu_weight': 50}", 200, NULL, NULL, NULL},
    {"guest.wait", GUEST "/wait?state=stopped", NULL, 200, NULL, NULL, NULL},
    {"guest.console", GUEST "/console", NULL, 409, NULL, NULL, NULL},
    {"guest.input", GUEST "/console", "{'data': 'YQ=='}", 409, NULL, NULL, NULL},
    {"guest.logs", GUEST "/logs", NULL, 409, NULL, NULL, NULL},
    {"guest.evidence", GUEST "/evidence", "{'nonce': '000102030405060708090a0b0c0d0e0f'}", 409, NULL, NULL, NULL},
    {"guest.statistics", GUEST "/statistics", NULL, 409, NULL, NULL, NULL},
    {"image.add", "/tenants/%t/images/sha256:1d8e7d4a7bc6fb2b3cb3bb7d4a44c6fd4b7b1ab8b5d5d3f5c1e5e5a1d7b9f0c3", "bytes", 400, NULL, NULL, NULL},
    {"image.list", "/tenants/%t/images", NULL, 200, NULL, NULL, NULL},
    {"image.show", "/tenants/%t/images/%k", NULL, 200, NULL, NULL, NULL},
    {"image.delete", "/tenants/%t/images/%k", NULL, 409, NULL, NULL, NULL},
    {"image.tag", "/tenants/%t/tags/other", "{'image': '%k'}", 200, "DELETE", "/tenants/%t/images/other", NULL},
    {"role.define", "/roles/own", "{'operations': ['guest.list', 'guest.show']}", 200, "PUT", "/roles/own", "{'operations': ['guest.list']}"},
    {"role.list", "/roles", NULL, 200, NULL, NULL, NULL},
    {"role.delete", "/roles/own", NULL, 204, "PUT", "/roles/own", "{'operations': ['guest.list']}"},
    {"grant.add", "/grants", "{'identity': 'uid:17', 'role': 'viewer'%,}", 201, "DELETE", "/grants/%i%?", NULL},
    {"grant.list", "/grants%?", NULL, 200, NULL, NULL, NULL},
    {"grant.remove", "/grants/%n%?", NULL, 204, "POST", "/grants", "{'identity': 'uid:18', 'role': 'viewer'%,}"},
    {"constraint.set", "/tenants/%t/constraints", "{'emulated': true}", 202, NULL, NULL, NULL},
    {"constraint.show", "/tenants/%t/constraints", NULL, 200, NULL, NULL, NULL},
    {"approval.list", "/approvals%?", NULL, 200, NULL, NULL, NULL},
    {"approval.give", "/approvals/%a/give%?", NULL, 409, NULL, NULL, NULL},
    {"approval.refuse", "/approvals/%a/refuse%?", NULL, 409, NULL, NULL, NULL},
    {"audit.entries", "/audit/entries%?", NULL, 200, NULL, NULL, NULL},
    {"audit.head", "/audit/head", NULL, 200, NULL, NULL, NULL},
    {"audit.proof", "/audit/proofs/0", NULL, 200, NULL, NULL, NULL},
    {"audit.consistency", "/audit/consistency?first=1", NULL, 200, NULL, NULL, NULL},
    {"host.show", "/host", NULL, 200, NULL, NULL, NULL},
    {"host.metrics", "/metrics", NULL, 200, NULL, NULL, NULL},
    {"event.stream", "/events%?", NULL, 200, NULL, NULL, NULL},
    {"session.show", "/session", NULL, 200, NULL, NULL, NULL},
    {"audit.retain", "/audit/retain", "{'before': 2}", 200, NULL, NULL, NULL},
    /* clang-format on */
};

/* What %n and %a are of; the host is the last one. */
static const char *const tenants[] = {"blue", "red", ""};
static struct {
    char grant[24], approval[24];
} made[3];

static size_t tenant_index(const char *tenant)
{
    for (size_t i = 0; i < 2; i++)
        if (strcmp(tenants[i], tenant) == 0)
            return i;
    return 2;
}

/* Words */

struct words {
    const char *tenant, *guest, *id;
    bool nothing; /* %n and %a name nothing: what is allowed shall not be done */
};

static void put_word(FILE *to, char which, const struct words *words)
{
    const char *tenant = words->tenant;
    const size_t index = tenant_index(tenant);
    switch (which) {
    case 't':
        (void)fputs(tenant, to);
        break;
    case 'g':
        (void)fputs(words->guest, to);
        break;
    case 'l':
        (void)fputs(strcmp(words->guest, "vault") == 0 ? "{'tier': 'gold'}" : "{}", to);
        break;
    case 'k':
        (void)fputs(kernel, to);
        break;
    case 'n':
        (void)fputs(made[index].grant, to);
        break;
    case 'a':
        (void)fputs(words->nothing || !*made[index].approval ? "999999" : made[index].approval, to);
        break;
    case 'i':
        (void)fputs(words->id, to);
        break;
    case '?':
        if (*tenant)
            (void)fprintf(to, "?tenant=%s", tenant);
        break;
    case ',':
        if (*tenant)
            (void)fprintf(to, ", 'tenant': '%s'", tenant);
        break;
    default:
        fail_msg("%%%c is no word", which);
    }
}

static char *in_words(const char *text, const struct words *words)
{
    char *out = NULL;
    size_t size;
    if (!text)
        return NULL;
    FILE *to = open_memstream(&out, &size);
    for (const char *c = text; *c; c++)
        if (*c == '%')
            put_word(to, *++c, words);
        else
            (void)fputc(*c, to);
    (void)fclose(to);
    return out;
}

static char *request_text(const char *method, const char *path_form, const char *body_form,
                          const struct words *words)
{
    CLEAN_FREE char *path = in_words(path_form, words), *body = in_words(body_form, words);
    return asker_request(method, path, "", body);
}

static char *try_text(const struct try *try, const struct words *words)
{
    return request_text(operation_find(try->operation)->method, try->path, try->body, words);
}

/* Askers: one connection each, that is kept as long as cofred keeps it. */

static struct asker askers[CELL_PLACES][CELL_ROLES], root = {NULL, 0, -1};

static void read_as(struct asker *a, struct answer *out)
{
    if (!asker_read(a, out))
        fail_msg("user %u has no answer", a->user);
}

/* Only its head: what follows may not end. */
static int status_of_stream(struct asker *a)
{
    char text[64] = "";
    size_t len = 0;
    for (ssize_t got; len < sizeof text - 1 && !strchr(text, '\n'); len += (size_t)got)
        if ((got = recv(a->fd, text + len, 1, 0)) <= 0)
            break;
    asker_hang_up(a);
    return atoi(text + strlen("HTTP/1.1 "));
}

/* The host that the table is about */

static json_t *must_answer(int status, const char *method, const char *path, const char *body)
{
    CLEAN_FREE char *text = request_text(method, path, body, &(struct words){.tenant = "", .guest = ""});
    CLEAN_ANSWER answer = {0};
    asker_send(&root, text, strlen(text));
    read_as(&root, &answer);
    if (answer.status != status)
        fail_msg("%s %s: %d, where %d is due: %s", method, path, answer.status, status, answer.body);
    return json_loads(answer.body, 0, NULL);
}

static void must(int status, const char *method, const char *path, const char *body)
{
    json_decref(must_answer(status, method, path, body));
}

static void keep_id(char out[24], json_t *answer, const char *member)
{
    const json_t *id = json_object_get(answer, member);
    if (json_is_string(id))
        (void)snprintf(out, 24, "%s", json_string_value(id));
    else
        (void)snprintf(out, 24, "%lld", (long long)json_integer_value(id));
    json_decref(answer);
}

static void make_grant(size_t index)
{
    char body[160];
    (void)snprintf(body, sizeof body, "{'identity': 'uid:18', 'role': 'viewer'%s%s%s}",
                   *tenants[index] ? ", 'tenant': '" : "", tenants[index], *tenants[index] ? "'" : "");
    keep_id(made[index].grant, must_answer(201, "POST", "/grants", body), "id");
}

/* No guest of it may run, so that a start is refused for its quota; and what would delete it waits for a second approver. */
static void make_tenant(size_t index)
{
    const char *name = tenants[index];
    char path[128], body[400];
    (void)snprintf(body, sizeof body, "{'name': '%s', 'quotas': {'guests': 8, 'running': 0}}", name);
    must(201, "POST", "/tenants", body);
    whole_image(w, name, "kernel of the test", kernel);
    static const char *const guests[][2] = {{"web", "{}"}, {"vault", "{'tier': 'gold'}"}};
    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(path, sizeof path, "/tenants/%s/guests", name);
        (void)snprintf(body, sizeof body,
                       "{'name': '%s', 'tee': 'none', 'cpus': 1, 'memory': 67108864, 'kernel': '%s', "
                       "'labels': %s}",
                       guests[i][0], kernel, guests[i][1]);
        must(201, "POST", path, body);
    }
    (void)snprintf(path, sizeof path, "/tenants/%s/constraints", name);
    must(200, "PUT", path, "{'approval': ['tenant.delete']}");
    (void)snprintf(path, sizeof path, "/tenants/%s", name);
    keep_id(made[index].approval, must_answer(202, "DELETE", path, NULL), "approval");
}

static void grant_to(unsigned user, const char *role, const char *tenant, const char *labels, bool deny)
{
    char body[300];
    (void)snprintf(body, sizeof body, "{'identity': 'uid:%u', 'role': '%s', 'labels': %s, 'deny': %s%s%s%s}",
                   user, role, labels, deny ? "true" : "false", *tenant ? ", 'tenant': '" : "", tenant,
                   *tenant ? "'" : "");
    must(201, "POST", "/grants", body);
}

static int up(void **state)
{
    (void)state;
    if (missing)
        return 0;
    root.socket = w->socket;
    whole_start(w);
    kept_open(&kept, w->state);
    for (size_t i = 0; i < 2; i++)
        make_tenant(i);
    must(200, "PUT", "/roles/own", "{'operations': ['guest.list']}");
    for (size_t i = 0; i < 3; i++)
        make_grant(i);
    for (size_t p = 0; p < CELL_PLACES; p++)
        for (size_t r = 0; r < CELL_ROLES; r++) {
            const struct cell_place *place = &cell_places[p];
            askers[p][r] = (struct asker){w->socket, FIRST_ASKER + (unsigned)(p * CELL_ROLES + r), -1};
            if (*cell_roles[r])
                grant_to(askers[p][r].user, cell_roles[r], place->granted, place->labels, false);
            if (*cell_roles[r] && place->denied)
                grant_to(askers[p][r].user, "administrator", place->granted, "{}", true);
        }
    return 0;
}

static int down(void **state)
{
    (void)state;
    if (missing)
        return 0;
    for (size_t p = 0; p < CELL_PLACES; p++)
        for (size_t r = 0; r < CELL_ROLES; r++)
            asker_hang_up(&askers[p][r]);
    asker_hang_up(&root);
    kept_close(&kept);
    return whole_stop(w, SIGTERM);
}

/* One cell */

struct cell {
    size_t place, role, row;
};

static char wanted(const struct cell *c)
{
    return cell_rows[c->row].outcome[c->place][c->role];
}

static void wrong(const struct cell *c, int status, const char *what)
{
    const struct cell_place *p = &cell_places[c->place];
    fail_msg("%s of %s in \"%s\" for %s%s, asked in \"%s\" of %s: status %d, where %c is meant: %s",
             cell_rows[c->row].operation, cell_roles[c->role], p->granted, p->labels,
             p->denied ? " and denied" : "", p->asked, p->guest, status, wanted(c), what);
}

/* Head and body without what is about the moment. */
static void without_date(struct answer *a)
{
    char *date = strstr(a->head, "Date:"), *end = date ? strchr(date, '\n') : NULL;
    if (end)
        memmove(date, end + 1, strlen(end + 1) + 1);
}

static void rename_in(char *text, const char *from, const char *to)
{
    assert_int_equal(strlen(from), strlen(to));
    if (strcmp(from, to) == 0)
        return;
    for (char *at = text; (at = strstr(at, from));)
        memcpy(at, to, strlen(to));
}

/* The same asked of a tenant, or a guest, that is not there, of a name of the same length. */
static struct words words_of_nothing(const struct cell *c)
{
    const struct cell_place *p = &cell_places[c->place];
    const bool by_tenant = cell_rows[OPERATION_TENANT_SHOW].outcome[c->place][c->role] == 'N';
    if (by_tenant)
        return (struct words){.tenant = strcmp(p->asked, "red") == 0 ? "rod" : "blub", .guest = p->guest};
    return (struct words){.tenant = p->asked, .guest = strcmp(p->guest, "vault") == 0 ? "vaunt" : "wed"};
}

static void ask_of_nothing(const struct cell *c)
{
    const struct words words = words_of_nothing(c);
    CLEAN_FREE char *text = try_text(&tries[c->row], &words);
    asker_send(&askers[c->place][c->role], text, strlen(text));
}

static void compare_to_nothing(const struct cell *c, struct answer *seen)
{
    const struct cell_place *p = &cell_places[c->place];
    const struct words words = words_of_nothing(c);
    CLEAN_ANSWER nothing = {0};
    read_as(&askers[c->place][c->role], &nothing);
    without_date(&nothing);
    without_date(seen);
    rename_in(nothing.body, words.tenant, p->asked);
    rename_in(nothing.body, words.guest, p->guest);
    if (strcmp(nothing.head, seen->head) != 0 || strcmp(nothing.body, seen->body) != 0)
        wrong(c, nothing.status, nothing.body);
}

static const char *problem_code(const struct answer *a, json_t **owned)
{
    *owned = json_loads(a->body, 0, NULL);
    return member_text(*owned, "code", "");
}

static void check_refusal(const struct cell *c, struct answer *a)
{
    CLEAN_JSON *problem = NULL;
    const char *code = problem_code(a, &problem);
    const bool hidden = wanted(c) == 'N';
    if (a->status != (hidden ? 404 : 403) || strcmp(code, hidden ? "not-found" : "forbidden") != 0)
        wrong(c, a->status, a->body);
}

static void undo(const struct cell *c, const struct try *try, const struct words *words)
{
    if (!try->undo_method)
        return;
    CLEAN_FREE char *text = request_text(try->undo_method, try->undo_path, try->undo_body, words);
    CLEAN_ANSWER answer = {0};
    asker_send(&root, text, strlen(text));
    read_as(&root, &answer);
    if (answer.status / 100 != 2)
        wrong(c, answer.status, answer.body);
    if (strcmp(try->operation, "grant.remove") == 0)
        keep_id(made[tenant_index(words->tenant)].grant, json_loads(answer.body, 0, NULL), "id");
}

static void check_allowed(const struct cell *c)
{
    const struct try *try = &tries[c->row];
    const struct cell_place *p = &cell_places[c->place];
    struct asker *a = &askers[c->place][c->role];
    struct words words = {p->asked, p->guest, NULL, true};
    CLEAN_FREE char *text = try_text(try, &words);
    CLEAN_ANSWER answer = {0};
    asker_send(a, text, strlen(text));
    if (strcmp(try->operation, "event.stream") == 0)
        answer.status = status_of_stream(a);
    else
        read_as(a, &answer);
    if (answer.status != try->allowed)
        wrong(c, answer.status, answer.body ? answer.body : "a stream");
    CLEAN_JSON *shown = answer.body ? json_loads(answer.body, 0, NULL) : NULL;
    words.id = member_text(shown, "id", "");
    undo(c, try, &words);
}

/* Of each user and operation, how many refusals must be in the log, and are not. */
static unsigned due[CELL_PLACES * CELL_ROLES][CELL_ROWS];

static void take_entry(void *context, const struct log_entry *e)
{
    (void)context;
    if (e->kind != LOG_ENTRY_OPERATION || e->outcome != LOG_OPERATION_REFUSED)
        return;
    unsigned user = 0;
    assert_int_equal(sscanf(e->subject, "uid:%u", &user), 1);
    assert_in_range(user, FIRST_ASKER, FIRST_ASKER + CELL_PLACES * CELL_ROLES - 1);
    for (size_t i = 0; i < CELL_ROWS; i++)
        if (strcmp(cell_rows[i].operation, e->operation) == 0) {
            if (due[user - FIRST_ASKER][i]-- == 0)
                fail_msg("the log has a refusal more of %s for %s", e->operation, e->subject);
            return;
        }
    fail_msg("the log has a refusal of %s", e->operation);
}

static void check_log(void)
{
    kept_entries(&kept, &last_entry, take_entry, NULL);
    for (size_t user = 0; user < CELL_PLACES * CELL_ROLES; user++)
        for (size_t row = 0; row < CELL_ROWS; row++)
            if (due[user][row])
                fail_msg("the log has no refusal of %s for user %zu", cell_rows[row].operation, user);
}

/* All roles' refusals come at once, as they would. */
static unsigned refuse_row(size_t place, size_t row)
{
    const struct cell_place *p = &cell_places[place];
    CLEAN_FREE char *text = try_text(&tries[row], &(struct words){p->asked, p->guest, NULL, false});
    const char *outcomes = cell_rows[row].outcome[place];
    struct answer answer[CELL_ROLES] = {0};
    unsigned refused = 0;
    for (size_t role = 0; role < CELL_ROLES; role++)
        if (strchr("RN", outcomes[role]))
            asker_send(&askers[place][role], text, strlen(text));
    for (size_t role = 0; role < CELL_ROLES; role++) {
        const struct cell c = {place, role, row};
        if (!strchr("RN", outcomes[role]))
            continue;
        read_as(&askers[place][role], &answer[role]);
        check_refusal(&c, &answer[role]);
        due[place * CELL_ROLES + role][row] += outcomes[role] == 'N' ? 2 : 1;
        if (outcomes[role] == 'N')
            ask_of_nothing(&c);
        refused++;
    }
    for (size_t role = 0; role < CELL_ROLES; role++) {
        if (outcomes[role] == 'N')
            compare_to_nothing(&(struct cell){place, role, row}, &answer[role]);
        answer_free(&answer[role]);
    }
    return refused;
}

/* What is allowed comes one after the other. */
static void check_row(size_t place, size_t row, unsigned *refused, unsigned *allowed)
{
    const char *outcomes = cell_rows[row].outcome[place];
    const struct kept_digest before = kept_digest(&kept);
    *refused += refuse_row(place, row);
    const struct kept_digest after = kept_digest(&kept);
    if (!kept_equal(&before, &after))
        fail_msg("a refused %s has changed something", cell_rows[row].operation);
    for (size_t role = 0; role < CELL_ROLES; role++)
        if (outcomes[role] == 'A') {
            check_allowed(&(struct cell){place, role, row});
            (*allowed)++;
        }
}

/* A sixth of the rows of each place, all roles, others at each run; COFRE_CELLS=0 to 5 is one of them again, "all" all of them. */
static void every_cell_of_the_table_is_as_it_is_meant(void **state)
{
    unsigned refused = 0, allowed = 0;
    const char *which = getenv("COFRE_CELLS");
    const bool all = which && strcmp(which, "all") == 0;
    const size_t sixth = (which ? (size_t)atoi(which) : (size_t)getpid()) % 6;
    (void)state;
    if (missing) {
        print_message("skipped: %s\n", missing);
        skip();
    }
    for (size_t place = 0; place < CELL_PLACES; place++) {
        for (size_t row = 0; row < CELL_ROWS; row++) {
            assert_string_equal(tries[row].operation, cell_rows[row].operation);
            if (*cell_rows[row].outcome[place] != '-' && (all || (place + row) % 6 == sixth))
                check_row(place, row, &refused, &allowed);
        }
        check_log();
    }
    print_message("# %u were allowed, %u refused, of sixth %zu\n", allowed, refused, sixth);
    assert_true(allowed > 20 && refused > 100);
}

int main(int argc, char **argv)
{
    const struct whole_wish wish = {FIRST_USER, "", "", ""};
    missing =
        argc == 3 ? whole_make_as(w, argv[1], argv[2], &wish) : "neither cofred nor a stand-in was named";
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_cell_of_the_table_is_as_it_is_meant)};
    int rc = cmocka_run_group_tests(tests, up, down);
    whole_free(w);
    return rc;
}
