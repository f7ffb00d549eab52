#include <string.h>

#include "vmm/host/page/parts.h"

static void in_nav(FILE *to, const struct page *page, const struct page_kind *kind)
{
    const bool here = page && page->kind == kind;
    fprintf(to, "<li><a href=\"%s", kind->path);
    if (page && *page->tenant && kind != &page_health && kind != &page_overview) {
        fputs("?tenant=", to);
        html_url(to, page->tenant);
    }
    fprintf(to, "\"%s>%s</a></li>", here ? " aria-current=\"page\"" : "", kind->title);
}

static void who(FILE *to, const struct page *page)
{
    const char *name = page ? member_text(page->answer[ASK_SESSION].json, "identity", NULL) : NULL;
    if (!name)
        return;
    fputs("<p class=\"who\">You are <code>", to);
    html_text(to, name);
    fputs("</code></p>", to);
}

void frame_begin(FILE *to, const struct page *page, const char *title)
{
    static const struct page_kind *const kinds[] = {&page_overview, &page_guests, &page_launches,
                                                    &page_operations, &page_health};
    fprintf(to,
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
            "<meta name=\"color-scheme\" content=\"light dark\"><title>%s - Cofre audit</title>"
            "<link rel=\"stylesheet\" href=\"" PAGE_STYLE_PATH "\"></head>\n<body>"
            "<a class=\"skip\" href=\"#main\">Skip to the content</a>\n"
            "<header><p class=\"brand\">Cofre audit</p>",
            title);
    who(to, page);
    fputs("<nav aria-label=\"Pages\"><ul>", to);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        in_nav(to, page, kinds[i]);
    fprintf(to, "</ul></nav></header>\n<main id=\"main\" tabindex=\"-1\"><h1>%s</h1>\n", title);
}

void frame_end(FILE *to)
{
    fputs(
        "</main>\n<footer><p>What is shown here is this host's word. <code>cofre audit</code> checks the log "
        "by its public key, on your own machine.</p></footer></body></html>\n",
        to);
}

void frame_link(FILE *to, const struct page *page, const char *name, const char *value, const char *text)
{
    const char *other;
    json_t *is;
    fprintf(to, "<a href=\"%s?%s=", page->kind->path, name);
    html_url(to, value);
    if (*page->tenant && strcmp(name, "tenant") != 0) {
        fputs("&amp;tenant=", to);
        html_url(to, page->tenant);
    }
    json_object_foreach(page->query, other, is)
    {
        if (strcmp(other, name) == 0 || strcmp(other, "tenant") == 0)
            continue;
        fprintf(to, "&amp;%s=", other); /* one of the page's own, as page_new has seen */
        html_url(to, json_string_value(is));
    }
    fprintf(to, "\">%s</a>", text);
}

static void option(FILE *to, const char *value, const char *text, bool chosen)
{
    fputs("<option value=\"", to);
    html_text(to, value);
    fprintf(to, "\"%s>", chosen ? " selected" : "");
    html_text(to, text);
    fputs("</option>", to);
}

void frame_tenants(FILE *to, const struct page *page)
{
    const json_t *tenants = member_at(page->answer[ASK_TENANTS].json, "tenants"), *tenant;
    size_t i;
    fputs("<p><label for=\"tenant\">Tenant</label><select id=\"tenant\" name=\"tenant\">", to);
    if (!page->kind->of_tenant && page_may_on_host(page, "audit.entries"))
        option(to, "", "all, and the host", !*page->tenant);
    json_array_foreach(tenants, i, tenant)
    {
        const char *name = member_text(tenant, "name", "");
        option(to, name, name, strcmp(name, page->tenant) == 0);
    }
    fputs("</select></p>", to);
}

void frame_input(FILE *to, const struct page *page, const char *type, const char *name, const char *label)
{
    const char *value = page_parameter(page, name);
    if (strcmp(type, "checkbox") == 0) {
        fprintf(to,
                "<p class=\"check\"><input type=\"checkbox\" id=\"%s\" name=\"%s\" value=\"true\"%s>"
                "<label for=\"%s\">%s</label></p>",
                name, name, value ? " checked" : "", name, label);
        return;
    }
    fprintf(to, "<p><label for=\"%s\">%s</label><input type=\"%s\" id=\"%s\" name=\"%s\" value=\"", name,
            label, type, name, name);
    html_text(to, value);
    fputs("\"></p>", to);
}
