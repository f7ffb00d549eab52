/* Where an auditor begins: who he is here, the log, the tenants, and what differed last. */
#include <inttypes.h>

#include "vmm/host/page/parts.h"

static bool ask(const struct page *page, enum page_question question, struct message_request *out)
{
    if (question == ASK_FIRST && page_may_on_host(page, "audit.head")) {
        page_about(out, OPERATION_AUDIT_HEAD);
        return true;
    }
    if (question != ASK_SECOND || !page_may_on_host(page, "audit.entries"))
        return false;
    page_about(out, OPERATION_AUDIT_ENTRIES);
    (void)json_object_set_new(out->query, "newest", json_true());
    (void)json_object_set_new(out->query, "differing", json_true());
    (void)json_object_set_new(out->query, "limit", json_integer(10));
    page_put(out, "kind", "launch");
    return true;
}

static void log_of(FILE *to, const struct page *page)
{
    struct log_head head;
    if (!page->answer[ASK_FIRST].asked) {
        fputs(
            "<p>Your role lets you see what the log says of the tenants below. Its heads and proofs are for "
            "auditors of the host.</p>\n",
            to);
        return;
    }
    if (!page_has(to, page, ASK_FIRST) || !health_head(&head, page->answer[ASK_FIRST].json))
        return;
    fprintf(to, "<p>The log has <strong>%" PRIu64 "</strong> entries; its last head was signed at ",
            head.state.size);
    html_time(to, head.time);
    fputs(". <a href=\"/audit/log\">How it is, and how to check it</a>.</p>\n", to);
}

static void links(FILE *to, const char *name)
{
    static const struct {
        const char *path, *what;
    } pages[] = {{"guests", "guests"}, {"launches", "launches"}, {"operations", "operations"}};
    fputs("<td data-label=\"See\">", to);
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        fprintf(to, "%s<a href=\"/audit/%s?tenant=", i ? " " : "", pages[i].path);
        html_url(to, name);
        fprintf(to, "\">%s<span class=\"aside\"> of ", pages[i].what);
        html_text(to, name);
        fputs("</span></a>", to);
    }
    fputs("</td>", to);
}

static void tenants(FILE *to, const struct page *page)
{
    const json_t *answer = page->answer[ASK_TENANTS].json, *list = member_at(answer, "tenants"), *tenant;
    size_t i;
    fputs("<h2>Tenants</h2>\n", to);
    if (json_array_size(list) == 0) {
        fputs("<p class=\"empty\">There is none that you may see.</p>\n", to);
        return;
    }
    fputs("<table><caption>Tenants that you may see</caption><thead><tr><th scope=\"col\">Tenant</th>"
          "<th scope=\"col\">Made</th><th scope=\"col\">See</th></tr></thead><tbody>",
          to);
    json_array_foreach(list, i, tenant)
    {
        fputs("<tr><th scope=\"row\" data-label=\"Tenant\">", to);
        html_text(to, member_text(tenant, "name", ""));
        fputs("</th><td data-label=\"Made\">", to);
        html_text(to, member_text(tenant, "created", ""));
        fputs("</td>", to);
        links(to, member_text(tenant, "name", ""));
        fputs("</tr>\n", to);
    }
    fputs("</tbody></table>\n", to);
    if (member_text(answer, "next", NULL))
        fputs("<p>There are more; others are reached by their name in the address.</p>\n", to);
}

static void write_page(FILE *to, const struct page *page)
{
    log_of(to, page);
    if (page->answer[ASK_SECOND].asked) {
        fputs("<h2>Launches that differed</h2>\n", to);
        if (page_has(to, page, ASK_SECOND))
            row_launches(to, page, member_at(page->answer[ASK_SECOND].json, "entries"),
                         "The last launches whose measurement was not as predicted or expected");
    }
    tenants(to, page);
}

static const char *const parameters[] = {NULL};
const struct page_kind page_overview = {"/audit", "Overview", parameters, ask, write_page, false};
