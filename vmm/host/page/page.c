#include "vmm/host/page/page.h"

#include <stdlib.h>
#include <string.h>

#include "attest/log/hash.h"
#include "vmm/base/number.h"
#include "vmm/host/page/parts.h"

#define ENTRIES "/audit/entries/"

static const struct page_kind *const kinds[] = {&page_overview,   &page_guests, &page_launches,
                                                &page_operations, &page_health, &page_entry};
#define KINDS (sizeof kinds / sizeof *kinds)

int page_prepare(struct cofre_err *err)
{
    CLEAN_HASHER hasher = {0};
    struct log_hash hash;
    int rc = log_hasher_init(&hasher, err);
    return rc < 0 ? rc : log_hash_empty(&hasher, &hash, err);
}

bool page_is(const char *path)
{
    const size_t len = strlen("/audit");
    return strncmp(path, "/audit", len) == 0 && (path[len] == 0 || path[len] == '/');
}

static const struct page_kind *find(const char *path, uint64_t *number, struct cofre_err *err)
{
    for (size_t i = 0; i < KINDS; i++)
        if (strcmp(kinds[i]->path, path) == 0 && kinds[i] != &page_entry)
            return kinds[i];
    if (strncmp(path, ENTRIES, strlen(ENTRIES)) == 0 &&
        number_parse(number, path + strlen(ENTRIES), "entry", 0, INT64_MAX - 1, err) == 0)
        return &page_entry;
    (void)cofre_fail(err, COFRE_NEGATIVE, "there is no page at this address");
    return NULL;
}

static bool is_parameter(const struct page_kind *kind, const char *name)
{
    bool is = strcmp(name, "tenant") == 0;
    for (const char *const *known = kind->parameters; !is && *known; known++)
        is = strcmp(*known, name) == 0;
    return is;
}

static int check(const struct page_kind *kind, const json_t *query, struct cofre_err *err)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)query, name, value)
    {
        if (!is_parameter(kind, name))
            return cofre_fail(err, COFRE_MALFORMED, "%.64s: this page has no such parameter", name);
    }
    const char *tenant = member_text(query, "tenant", NULL);
    return tenant ? schema_check_text(tenant, SCHEMA_IS_NAME, "tenant", err) : 0;
}

int page_new(struct page **out, const char *path, const json_t *query, const char *token,
             struct cofre_err *err)
{
    uint64_t number = 0;
    const struct page_kind *kind = find(path, &number, err);
    *out = NULL;
    if (!kind)
        return -COFRE_NEGATIVE;
    int rc = check(kind, query, err);
    if (rc < 0)
        return rc;
    struct page *p = calloc(1, sizeof *p);
    if (!p)
        return cofre_fail(err, COFRE_FAILED, "there is no memory left");
    p->kind = kind;
    p->number = number;
    p->query = json_deep_copy(query);
    p->token = token ? strdup(token) : NULL;
    if (!p->query || (token && !p->token)) { /* without it the page would be asked for as another */
        page_free(p);
        return cofre_fail(err, COFRE_FAILED, "there is no memory left");
    }
    (void)snprintf(p->tenant, sizeof p->tenant, "%s", member_text(query, "tenant", ""));
    *out = p;
    return 0;
}

void page_free(struct page *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < PAGE_QUESTIONS; i++)
        json_decref(p->answer[i].json);
    json_decref(p->query);
    if (p->token)
        explicit_bzero(p->token, strlen(p->token));
    free(p->token);
    free(p);
}

const char *page_parameter(const struct page *page, const char *name)
{
    return member_text(page->query, name, NULL);
}

/* Questions */

static bool has(const json_t *list, const char *text)
{
    const json_t *one;
    size_t i;
    json_array_foreach(list, i, one) if (strcmp(json_string_value(one) ? json_string_value(one) : "", text) ==
                                         0) return true;
    return false;
}

bool page_may_on_host(const struct page *page, const char *operation)
{
    const json_t *session = page->answer[ASK_SESSION].json, *grant;
    size_t i;
    if (!has(member_at(session, "operations"), operation))
        return false;
    json_array_foreach(member_at(session, "grants"), i, grant)
    {
        if (!member_at(grant, "tenant") && !member_boolean(grant, "deny", false))
            return true;
    }
    return false;
}

void page_about(struct message_request *out, enum operation_number operation)
{
    out->operation = &operations[operation];
    out->query = out->operation->query ? json_object() : NULL;
}

void page_put(struct message_request *out, const char *name, const char *text)
{
    if (text && *text)
        (void)json_object_set_new(out->query, name, json_string(text));
}

static bool ask(const struct page *p, enum page_question question, struct message_request *out)
{
    if (question == ASK_SESSION)
        page_about(out, OPERATION_SESSION_SHOW);
    else if (p->answer[ASK_SESSION].status != 200)
        return false;
    else if (question == ASK_TENANTS) {
        page_about(out, OPERATION_TENANT_LIST);
        (void)json_object_set_new(out->query, "limit", json_integer(500));
    } else
        return (!p->kind->of_tenant || *p->tenant) && p->kind->ask(p, question, out);
    return true;
}

/* By the operation's own table, which cofred holds questions against as well: there a wrong one would be a parser that went mad. */
static bool is_good(struct page_answer *a, const struct message_request *question, const char *token)
{
    struct cofre_err err;
    const struct schema *schema = question->operation->query;
    if (token && !question->token) {
        a->status = 503;
        (void)snprintf(a->text, sizeof a->text, "there is no memory left");
        return false;
    }
    if (!schema || schema_check(question->query, schema, &err) == 0)
        return true;
    a->status = 400;
    (void)snprintf(a->text, sizeof a->text, "%s", err.text);
    return false;
}

bool page_ask(struct page *p, struct message_request *out)
{
    for (; p->next < PAGE_QUESTIONS; p->next++) {
        struct page_answer *a = &p->answer[p->next];
        if (!ask(p, p->next, out))
            continue;
        a->asked = true;
        out->token = p->token ? strdup(p->token) : NULL;
        if (is_good(a, out, p->token))
            return true;
        message_request_free(out);
    }
    return false;
}

/* Who sees one tenant alone is asked about it; where there is none of the host, the first one is shown. */
static void choose_tenant(struct page *p)
{
    const json_t *tenants = member_at(p->answer[ASK_TENANTS].json, "tenants");
    const bool whole = !p->kind->of_tenant && page_may_on_host(p, "audit.entries");
    if (!*p->tenant && !whole && p->kind != &page_overview && p->kind != &page_health)
        (void)snprintf(p->tenant, sizeof p->tenant, "%s",
                       member_text(json_array_get(tenants, 0), "name", ""));
}

void page_take(struct page *p, struct message_answer *answer)
{
    if (p->next >= PAGE_QUESTIONS)
        return;
    struct page_answer *a = &p->answer[p->next];
    a->status = answer->status;
    a->json = answer->json;
    answer->json = NULL;
    (void)snprintf(a->text, sizeof a->text, "%s", answer->kind == MESSAGE_PROBLEM ? answer->text : "");
    if (p->next == ASK_TENANTS)
        choose_tenant(p);
    p->next++;
}

bool page_has(FILE *to, const struct page *page, enum page_question question)
{
    const struct page_answer *a = &page->answer[question];
    if (a->status == 200 && a->json)
        return true;
    if (a->asked) {
        fputs("<p class=\"problem\">", to);
        html_text(to, a->text);
        fputs("</p>\n", to);
    }
    return false;
}

/* The answer */

static int status_of(const struct page *p)
{
    for (size_t i = 0; i < PAGE_QUESTIONS; i++)
        if (p->answer[i].asked && p->answer[i].status != 200)
            return p->answer[i].status;
    return 200;
}

static void write_page(FILE *to, const struct page *p)
{
    frame_begin(to, p, p->kind->title);
    if (!page_has(to, p, ASK_SESSION))
        fputs("<p>Show a client certificate that this host knows, or ask by the socket of cofred.</p>\n", to);
    else if (page_has(to, p, ASK_TENANTS))
        p->kind->write(to, p);
    frame_end(to);
}

char *page_text(const struct page *p, int *status)
{
    char *text = NULL;
    size_t len;
    FILE *to = open_memstream(&text, &len);
    if (!to)
        return NULL;
    *status = status_of(p);
    write_page(to, p);
    const bool failed = ferror(to);
    if (fclose(to) == 0 && !failed)
        return text;
    free(text);
    return NULL;
}

char *page_refusal(int status, const char *sentence)
{
    char *text = NULL;
    size_t len;
    FILE *to = open_memstream(&text, &len);
    if (!to)
        return NULL;
    frame_begin(to, NULL, status == 404 ? "Not found" : "Not shown");
    fputs("<p class=\"problem\">", to);
    html_text(to, sentence);
    fputs("</p>\n", to);
    frame_end(to);
    if (fclose(to) == 0)
        return text;
    free(text);
    return NULL;
}
