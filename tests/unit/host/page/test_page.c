/* The auditors' page, before a cofred that is made up: what it asks, and what it makes of answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/ec.h>
#include <openssl/evp.h>

#include "attest/log/entry.h"
#include "attest/log/head.h"
#include "vmm/base/clean_openssl.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/json.h"
#include "vmm/base/number.h"
#include "vmm/host/page/page.h"

#define HOSTILE "\"><script>alert('x')</script><img src=x onerror=y>&\xe2\x80\xae"

/* Who reads, and what cofred has: a log of two entries, of which the second is a launch. */
static struct {
    const char *tenant;    /* of the reader's grant; NULL: the host and all */
    const char *name;      /* in all that is answered */
    int status;            /* of ASK_FIRST and on, where it is not 200 */
    bool another;          /* the proof is of another entry */
    char asked[512];       /* operations, and queries */
    char *head, *entry[2]; /* base64 */
    struct log_hash leaf[2], root;
} world;

static void make_entry(size_t i, const struct log_entry *e)
{
    CLEAN_BYTES bytes = {0};
    CLEAN_HASHER hasher = {0};
    struct cofre_err err = {""};
    if (log_entry_write(&bytes, e, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(log_hasher_init(&hasher, &err), 0);
    assert_int_equal(log_hash_leaf(&hasher, &world.leaf[i], bytes_view(&bytes), &err), 0);
    assert_int_equal(base64_encode(&world.entry[i], bytes_view(&bytes), &err), 0);
}

static void make_head(void)
{
    CLEAN_BYTES message = {0};
    CLEAN_HASHER hasher = {0};
    CLEAN(pkey) EVP_PKEY *key = EVP_EC_gen("P-256");
    struct cofre_err err = {""};
    struct log_head head = {.state.size = 2, .time = 1800000000};
    assert_int_equal(log_hasher_init(&hasher, &err), 0);
    assert_int_equal(log_hash_node(&hasher, &world.root, &world.leaf[0], &world.leaf[1], &err), 0);
    head.state.root = world.root;
    head.state.id = world.leaf[0];
    (void)snprintf(head.name, sizeof head.name, "%s", HOSTILE);
    const struct view kid = {(const uint8_t *)"k", 1};
    if (log_head_sign(&message, &head, key, kid, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(base64_encode(&world.head, bytes_view(&message), &err), 0);
}

static int make_world(void **state)
{
    struct log_entry first = {.kind = LOG_ENTRY_OPERATION, .time = 1800000000, .count = 1},
                     second = {.kind = LOG_ENTRY_LAUNCH, .time = 1800000000, .guest = 7};
    (void)state;
    strcpy(first.operation, "guest.start");
    strcpy(first.identity, "socket");
    strcpy(first.subject, "cert:CN=<b>ann</b>");
    strcpy(first.tenant, "blue");
    strcpy(first.detail, "<script>alert(1)</script>");
    strcpy(second.tee, "snp");
    strcpy(second.tenant, "blue");
    strcpy(second.object_name, "web");
    strcpy(second.detail, "\"><img src=x onerror=y>");
    second.predicted.len = second.reported.len = LOG_MEASUREMENT_SIZE;
    second.reported.data[0] = 0xff;
    make_entry(0, &first);
    make_entry(1, &second);
    make_head();
    return 0;
}

static int free_world(void **state)
{
    (void)state;
    free(world.head);
    free(world.entry[0]);
    free(world.entry[1]);
    return 0;
}

static json_t *hash(const struct log_hash *h)
{
    char text[2 * LOG_HASH_SIZE + 1];
    hex_encode(text, h->data, LOG_HASH_SIZE);
    return json_string(text);
}

static json_t *session(void)
{
    json_t *grant = json_pack("{s:s, s:s, s:s, s:s*}", "id", "1", "identity", "uid:1", "role", "auditor",
                              "tenant", world.tenant);
    return json_pack("{s:s, s:[s,s,s,s,s], s:[o]}", "identity", world.name, "operations", "audit.entries",
                     "audit.head", "audit.proof", "audit.consistency", "guest.list", "grants", grant);
}

static json_t *answer_to(const struct message_request *r)
{
    const char *after = member_text(r->query, "after", NULL);
    const size_t i = after || member_text(r->query, "kind", NULL);
    switch (operation_number(r->operation)) {
    case OPERATION_SESSION_SHOW:
        return session();
    case OPERATION_TENANT_LIST:
        return json_pack("{s:[{s:s, s:s}]}", "tenants", "name", world.tenant ? world.tenant : world.name,
                         "created", world.name);
    case OPERATION_GUEST_LIST:
        return json_pack("{s:[{s:s, s:s, s:s, s:s, s:s}], s:s}", "guests", "name", world.name, "state",
                         world.name, "why", world.name, "measurement", world.name, "tee", world.name, "next",
                         world.name);
    case OPERATION_AUDIT_ENTRIES:
        return json_pack("{s:[{s:i, s:{s:s}}], s:s}", "entries", "index", (int)i, "entry", "bytes",
                         world.entry[i], "next", world.name);
    case OPERATION_AUDIT_HEAD:
        return json_pack("{s:i, s:s, s:i}", "size", 2, "head", world.head, "first", 1);
    case OPERATION_AUDIT_PROOF:
        return json_pack("{s:i, s:i, s:[o], s:s}", "index", 1, "size", 2, "path",
                         hash(&world.leaf[world.another]), "receipt", world.name);
    case OPERATION_AUDIT_CONSISTENCY:
        return json_pack("{s:i, s:i, s:[o]}", "first", 1, "second", 2, "path", hash(&world.leaf[1]));
    default:
        fail_msg("the page asks %s", r->operation->name);
        return NULL;
    }
}

static void note(const struct message_request *r)
{
    const size_t len = strlen(world.asked);
    CLEAN_FREE char *query = r->query ? json_dumps(r->query, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    (void)snprintf(world.asked + len, sizeof world.asked - len, "%s%s%s ", r->operation->name,
                   r->part.count ? r->part.text[0] : "", query ? query : "");
}

/* As the parser does: each question has to be one that it may send. */
static void reply(struct page *page, struct message_request *r, unsigned count)
{
    CLEAN_BYTES message = {0};
    CLEAN_MESSAGE_REQUEST again = {0};
    struct cofre_err err = {""};
    struct message_answer a = {.kind = MESSAGE_JSON, .status = 200};
    r->id = count;
    if (message_request_write(&message, r, &err) < 0 ||
        message_request_read(&again, bytes_view(&message), &err) < 0)
        fail_msg("%s: %s", r->operation->name, err.text);
    assert_string_equal(again.token, "a.token");
    note(r);
    if (world.status && count > 2) {
        a.kind = MESSAGE_PROBLEM;
        a.status = world.status;
        (void)snprintf(a.text, sizeof a.text, "%s", world.name);
    } else
        a.json = answer_to(r);
    page_take(page, &a);
    message_answer_free(&a);
}

/* path, with parameters as JSON. The caller frees the page's text. */
static char *look(const char *path, const char *parameters, int *status)
{
    char quoted[256];
    struct page *page = NULL;
    struct cofre_err err = {""};
    (void)snprintf(quoted, sizeof quoted, "%s", parameters);
    for (char *c = quoted; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    CLEAN_JSON *query = json_loads(quoted, 0, NULL);
    assert_non_null(query);
    world.asked[0] = 0;
    int rc = page_new(&page, path, query, "a.token", &err);
    if (rc < 0) {
        assert_null(page);
        *status = rc;
        return NULL;
    }
    for (unsigned count = 1;; count++) {
        CLEAN_MESSAGE_REQUEST r = {0};
        if (!page_ask(page, &r))
            break;
        reply(page, &r, count);
    }
    char *text = page_text(page, status);
    page_free(page);
    assert_non_null(text);
    return text;
}

static void as(const char *tenant, const char *name)
{
    world.tenant = tenant;
    world.name = name;
    world.status = 0;
    world.another = false;
}

static void assert_asked(const char *path, const char *parameters, const char *asked)
{
    int status;
    CLEAN_FREE char *text = look(path, parameters, &status);
    assert_int_equal(status, 200);
    assert_string_equal(world.asked, asked);
}

#define WHO "session.show tenant.list{\"limit\":500} "

static void a_page_asks_what_its_reader_may_know(void **state)
{
    (void)state;
    as(NULL, "blue");
    assert_asked("/audit/log", "{}", WHO "audit.head ");
    assert_asked("/audit/entries/1", "{}",
                 WHO "audit.entries{\"after\":\"0\",\"limit\":1} audit.head audit.proof1{\"size\":2} ");
    assert_asked("/audit/launches", "{}",
                 WHO "audit.entries{\"kind\":\"launch\",\"limit\":50,\"newest\":true} ");
    as("blue", "blue");
    assert_asked("/audit", "{}", WHO);
    assert_asked("/audit/log", "{}", WHO);
    assert_asked("/audit/entries/1", "{}",
                 WHO "audit.entries{\"after\":\"0\",\"limit\":1,\"tenant\":\"blue\"} ");
    assert_asked("/audit/launches", "{}",
                 WHO "audit.entries{\"kind\":\"launch\",\"limit\":50,\"newest\":true,\"tenant\":\"blue\"} ");
    assert_asked("/audit/guests", "{}", WHO "guest.listblue{} ");
}

static void the_last_day_of_an_interval_is_in_it(void **state)
{
    (void)state;
    as("blue", "blue");
    assert_asked(
        "/audit/operations", "{'from': '2026-11-01', 'to': '2026-11-30', 'operation': 'guest.*'}",
        WHO
        "audit.entries{\"from\":\"2026-11-01T00:00:00Z\",\"kind\":\"operation\",\"limit\":50,"
        "\"newest\":true,\"operation\":\"guest.*\",\"tenant\":\"blue\",\"to\":\"2026-12-01T00:00:00Z\"} ");
}

static void what_is_no_question_is_not_asked(void **state)
{
    static const struct {
        const char *path, *parameters;
        int status;
    } cases[] = {{"/audit/nothing", "{}", -COFRE_NEGATIVE},
                 {"/audit/entries/", "{}", -COFRE_NEGATIVE},
                 {"/audit/entries/-1", "{}", -COFRE_NEGATIVE},
                 {"/audit/entries/9223372036854775807", "{}", -COFRE_NEGATIVE},
                 {"/audit/entries/1/2", "{}", -COFRE_NEGATIVE},
                 {"/audit", "{'tenant': 'No Name'}", -COFRE_MALFORMED},
                 {"/audit/guests", "{'label': 'a'}", -COFRE_MALFORMED},
                 {"/audit/launches", "{'from': 'yesterday'}", 400},
                 {"/audit/launches", "{'after': '-1'}", 400},
                 {"/audit/launches", "{'guest': '<b>'}", 400},
                 {"/audit/operations", "{'operation': 'x y'}", 400},
                 {"/audit/log", "{'size': 'x', 'root': 'x'}", 400}};
    (void)state;
    as(NULL, "blue");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int status = 0;
        CLEAN_FREE char *text = look(cases[i].path, cases[i].parameters, &status);
        if (status != cases[i].status)
            fail_msg("%s %s: %d", cases[i].path, cases[i].parameters, status);
        assert_null(strstr(world.asked, "audit.entries"));
        assert_null(strstr(world.asked, "audit.consistency"));
    }
}

/* Tags of the page's own, and attributes in quotes: what others wrote opens neither. */
static void assert_inert(const char *path, const char *text)
{
    static const char *const never[] = {"<script", "<img", "<b>", "onerror=y>", "\xe2", "alert('x')"};
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        if (strstr(text, never[i]))
            fail_msg("%s has %s in\n%s", path, never[i], text);
}

static void whatever_others_wrote_is_text(void **state)
{
    static const struct {
        const char *path, *parameters;
    } pages[] = {{"/audit", "{}"},
                 {"/audit/guests", "{'tenant': 'blue'}"},
                 {"/audit/launches", "{}"},
                 {"/audit/launches", "{'guest': '\\\"><script>'}"},
                 {"/audit/operations", "{'who': '<script>alert(1)</script>', 'after': '3'}"},
                 {"/audit/log", "{'size': '1', 'root': '<script>'}"},
                 {"/audit/entries/0", "{}"},
                 {"/audit/entries/1", "{}"}};
    (void)state;
    for (int refused = 0; refused < 2; refused++)
        for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
            int status;
            as(NULL, HOSTILE);
            world.status = refused ? 403 : 0;
            CLEAN_FREE char *text = look(pages[i].path, pages[i].parameters, &status);
            assert_inert(pages[i].path, text);
            assert_non_null(strstr(text, "&lt;script&gt;"));
        }
    CLEAN_FREE char *refusal = page_refusal(400, HOSTILE);
    assert_inert("a refusal", refusal);
    assert_non_null(strstr(refusal, "\\xe2\\x80\\xae"));
}

static void a_proof_is_computed_and_not_believed(void **state)
{
    int status;
    (void)state;
    as(NULL, "blue");
    CLEAN_FREE char *good = look("/audit/entries/1", "{}", &status);
    assert_non_null(strstr(good, "class=\"good\""));
    assert_non_null(strstr(good, "<mark>ff</mark>"));
    world.another = true;
    CLEAN_FREE char *bad = look("/audit/entries/1", "{}", &status);
    assert_null(strstr(bad, "class=\"good\""));
    assert_non_null(strstr(bad, "does not lead to the root"));
}

static void a_log_that_grew_out_of_another_head_is_called_so(void **state)
{
    char text[2 * LOG_HASH_SIZE + 1], parameters[160];
    int status;
    (void)state;
    as(NULL, "blue");
    for (size_t i = 0; i < 2; i++) {
        hex_encode(text, world.leaf[i].data, LOG_HASH_SIZE);
        (void)snprintf(parameters, sizeof parameters, "{'size': '1', 'root': '%s'}", text);
        CLEAN_FREE char *page = look("/audit/log", parameters, &status);
        assert_true((strstr(page, "<strong>Yes.</strong>") != NULL) == (i == 0));
        assert_true((strstr(page, "<strong>No.</strong>") != NULL) == (i == 1));
    }
}

static void what_is_refused_is_the_page_s_status(void **state)
{
    int status;
    (void)state;
    as("blue", "blue");
    world.status = 404;
    CLEAN_FREE char *text = look("/audit/launches", "{'tenant': 'red'}", &status);
    assert_int_equal(status, 404);
    assert_non_null(strstr(text, "class=\"problem\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_asks_what_its_reader_may_know),
        cmocka_unit_test(the_last_day_of_an_interval_is_in_it),
        cmocka_unit_test(what_is_no_question_is_not_asked),
        cmocka_unit_test(whatever_others_wrote_is_text),
        cmocka_unit_test(a_proof_is_computed_and_not_believed),
        cmocka_unit_test(a_log_that_grew_out_of_another_head_is_called_so),
        cmocka_unit_test(what_is_refused_is_the_page_s_status),
    };
    return cmocka_run_group_tests(tests, make_world, free_world);
}
