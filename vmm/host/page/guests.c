/* A tenant's guests. */
#include <inttypes.h>
#include <string.h>

#include "vmm/host/page/parts.h"

static bool ask(const struct page *page, enum page_question question, struct message_request *out)
{
    if (question != ASK_FIRST)
        return false;
    page_about(out, OPERATION_GUEST_LIST);
    out->part.count = 1;
    (void)snprintf(out->part.text[0], sizeof out->part.text[0], "%s", page->tenant);
    page_put(out, "after", page_parameter(page, "after"));
    return true;
}

static void cell(FILE *to, const char *name, const char *text)
{
    fprintf(to, "<td data-label=\"%s\">", name);
    text ? html_text(to, text) : (void)fputs("<span class=\"none\">none</span>", to);
    fputs("</td>", to);
}

static void measurement(FILE *to, const char *name, const json_t *guest, const char *member)
{
    struct log_measurement m = {.len = LOG_MEASUREMENT_SIZE};
    const char *text = member_text(guest, member, NULL);
    if (!text || strlen(text) != 2 * sizeof m.data || !hex_decode(m.data, sizeof m.data, text))
        m.len = 0;
    fprintf(to, "<td data-label=\"%s\">", name);
    row_measurement(to, &m, &m);
    fputs("</td>", to);
}

static void row(FILE *to, const struct page *page, const json_t *guest)
{
    const char *name = member_text(guest, "name", ""), *is = member_text(guest, "measurement", NULL),
               *due = member_text(guest, "expected", NULL);
    fputs("<tr><th scope=\"row\" data-label=\"Guest\"><a href=\"/audit/launches?tenant=", to);
    html_url(to, page->tenant);
    fputs("&amp;guest=", to);
    html_url(to, name);
    fputs("\">", to);
    html_text(to, name);
    fprintf(to, "</a></th><td data-label=\"Number\">%" PRIu64 "</td>", member_unsigned(guest, "number", 0));
    cell(to, "State", member_text(guest, "state", NULL));
    cell(to, "TEE", member_text(guest, "tee", NULL));
    measurement(to, "Predicted", guest, "expected");
    measurement(to, "Reported", guest, "measurement");
    fprintf(to, "<td data-label=\"Same\">%s</td>",
            !is || !due            ? "<span class=\"none\">not measured</span>"
            : strcmp(is, due) == 0 ? "same"
                                   : "<strong class=\"differs\">differs</strong>");
    cell(to, "Started", member_text(guest, "started", NULL));
    cell(to, "Why", member_text(guest, "why", NULL));
    fputs("</tr>\n", to);
}

static void table(FILE *to, const struct page *page, const json_t *guests)
{
    const json_t *guest;
    size_t i;
    fputs("<table><caption>Guests, by name; a guest leads to its launches</caption><thead><tr>"
          "<th scope=\"col\">Guest</th><th scope=\"col\">Number</th><th scope=\"col\">State</th>"
          "<th scope=\"col\">TEE</th><th scope=\"col\">Predicted</th><th scope=\"col\">Reported</th>"
          "<th scope=\"col\">Same</th><th scope=\"col\">Started</th><th "
          "scope=\"col\">Why</th></tr></thead><tbody>",
          to);
    json_array_foreach(guests, i, guest) row(to, page, guest);
    fputs("</tbody></table>\n", to);
}

static void write_page(FILE *to, const struct page *page)
{
    const json_t *answer = page->answer[ASK_FIRST].json, *guests = member_at(answer, "guests");
    const char *next = member_text(answer, "next", NULL);
    fprintf(to, "<form method=\"get\" action=\"%s\" role=\"search\" aria-label=\"Whose guests\">",
            page->kind->path);
    frame_tenants(to, page);
    fputs("<p><button type=\"submit\">Show</button></p></form>\n", to);
    if (!*page->tenant) {
        fputs("<p class=\"empty\">There is no tenant that you may see.</p>\n", to);
        return;
    }
    if (!page_has(to, page, ASK_FIRST))
        return;
    json_array_size(guests) ? table(to, page, guests)
                            : (void)fputs("<p class=\"empty\">There is none.</p>\n", to);
    if (next) {
        fputs("<nav class=\"pages\" aria-label=\"More guests\"><ul><li>", to);
        frame_link(to, page, "after", next, "Next");
        fputs("</li></ul></nav>\n", to);
    }
}

static const char *const parameters[] = {"after", NULL};
const struct page_kind page_guests = {"/audit/guests", "Guests", parameters, ask, write_page, true};
