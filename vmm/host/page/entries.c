/* Lists of the log's entries: launches, and operations. */
#include <string.h>

#include "vmm/base/timestamp.h"
#include "vmm/host/page/parts.h"

#define DAY 86400

/* A day of a form, 2026-11-28; or a time as the interface has it. The day that is last is one of them. */
static void put_time(struct message_request *out, const char *name, const char *text, int64_t more)
{
    char whole[96], time[TIME_TEXT_SIZE];
    int64_t at;
    struct cofre_err err;
    (void)snprintf(whole, sizeof whole, "%.40sT00:00:00Z", text ? text : "");
    if (text && strlen(text) == strlen("2026-11-28") && time_parse(&at, whole, name, &err) == 0) {
        time_format(time, at + more);
        text = time;
    }
    page_put(out, name, text);
}

static bool ask(const struct page *page, enum page_question question, struct message_request *out,
                const char *kind)
{
    static const char *const same[] = {"guest", "who", "operation", "after"};
    if (question != ASK_FIRST)
        return false;
    page_about(out, OPERATION_AUDIT_ENTRIES);
    page_put(out, "kind", kind);
    page_put(out, "tenant", page->tenant);
    put_time(out, "from", page_parameter(page, "from"), 0);
    put_time(out, "to", page_parameter(page, "to"), DAY);
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        page_put(out, same[i], page_parameter(page, same[i]));
    (void)json_object_set_new(out->query, "newest", json_true());
    (void)json_object_set_new(out->query, "limit", json_integer(50));
    if (page_parameter(page, "differing"))
        (void)json_object_set_new(out->query, "differing", json_true());
    return true;
}

static bool ask_launches(const struct page *page, enum page_question question, struct message_request *out)
{
    return ask(page, question, out, "launch");
}

static bool ask_operations(const struct page *page, enum page_question question, struct message_request *out)
{
    return ask(page, question, out, "operation");
}

static void begin_form(FILE *to, const struct page *page)
{
    fprintf(to, "<form method=\"get\" action=\"%s\" role=\"search\" aria-label=\"Which entries\">",
            page->kind->path);
    frame_tenants(to, page);
    frame_input(to, page, "date", "from", "From (UTC)");
    frame_input(to, page, "date", "to", "To, with that day");
}

static void end_form(FILE *to)
{
    fputs("<p><button type=\"submit\">Show</button></p></form>\n", to);
}

static void pages(FILE *to, const struct page *page)
{
    const char *next = member_text(page->answer[ASK_FIRST].json, "next", NULL);
    if (!next && !page_parameter(page, "after"))
        return;
    fputs("<nav class=\"pages\" aria-label=\"Older and newer\"><ul>", to);
    if (page_parameter(page, "after")) {
        fputs("<li>", to);
        frame_link(to, page, "after", "", "Newest");
        fputs("</li>", to);
    }
    if (next) {
        fputs("<li>", to);
        frame_link(to, page, "after", next, "Older");
        fputs("</li>", to);
    }
    fputs("</ul></nav>\n", to);
}

static void write_launches(FILE *to, const struct page *page)
{
    begin_form(to, page);
    frame_input(to, page, "text", "guest", "Guest");
    frame_input(to, page, "checkbox", "differing", "Only those that differ");
    end_form(to);
    if (!page_has(to, page, ASK_FIRST))
        return;
    row_launches(to, page, member_at(page->answer[ASK_FIRST].json, "entries"),
                 "Launches, the newest first; what differs is marked");
    pages(to, page);
}

static void write_operations(FILE *to, const struct page *page)
{
    begin_form(to, page);
    frame_input(to, page, "text", "operation", "Operation, as guest.start or guest.*");
    frame_input(to, page, "text", "who", "Who, as uid:1000");
    end_form(to);
    if (!page_has(to, page, ASK_FIRST))
        return;
    row_operations(to, page, member_at(page->answer[ASK_FIRST].json, "entries"),
                   "Who asked for what, the newest first");
    pages(to, page);
}

static const char *const of_launches[] = {"from", "to", "guest", "differing", "after", NULL},
                         *const of_operations[] = {"from", "to", "operation", "who", "after", NULL};

const struct page_kind page_launches = {"/audit/launches", "Launches",     of_launches,
                                        ask_launches,      write_launches, false},
                       page_operations = {"/audit/operations", "Operations",     of_operations,
                                          ask_operations,      write_operations, false};
