#include <inttypes.h>
#include <string.h>

#include "vmm/host/page/parts.h"

#define BYTES_MAX (1u << 20)

static bool read_bytes(struct row *out, const char *text)
{
    CLEAN_BYTES bytes = {0};
    CLEAN_HASHER hasher = {0};
    struct cofre_err err;
    if (base64_decode(&bytes, BYTES_MAX, text, &err) < 0 || log_hasher_init(&hasher, &err) < 0 ||
        log_hash_leaf(&hasher, &out->leaf, bytes_view(&bytes), &err) < 0)
        return false;
    out->unknown = log_entry_read(&out->e, bytes_view(&bytes), &err) < 0;
    return true;
}

bool row_read(struct row *out, const json_t *shown)
{
    const char *bytes = member_text(member_at(shown, "entry"), "bytes", NULL),
               *leaf = member_text(shown, "leaf", NULL);
    *out = (struct row){.number = member_unsigned(shown, "index", 0), .removed = !bytes};
    return bytes ? read_bytes(out, bytes) : leaf && hex_decode(out->leaf.data, sizeof out->leaf.data, leaf);
}

static bool differ(const struct log_measurement *a, const struct log_measurement *b)
{
    return a->len && b->len && memcmp(a, b, sizeof *a) != 0;
}

bool row_differs(const struct log_entry *e)
{
    return differ(&e->predicted, &e->reported) || differ(&e->expected, &e->reported) ||
           differ(&e->expected, &e->predicted);
}

const char *row_outcome(const struct log_entry *e)
{
    static const char *const ends[] = {"begun", "refused", "failed", "done"}, *const launches[] = {"runs",
                                                                                                   "stopped",
                                                                                                   "failed"};
    const size_t i = (size_t)e->outcome;
    if (e->kind == LOG_ENTRY_LAUNCH)
        return i < LOG_LAUNCH_OUTCOMES ? launches[i] : "";
    return e->kind == LOG_ENTRY_OPERATION && i < LOG_OPERATION_OUTCOMES ? ends[i] : "";
}

/* Where it is not the other, the bytes that are not are marked. */
void row_measurement(FILE *to, const struct log_measurement *m, const struct log_measurement *other)
{
    if (!m->len) {
        fputs("<span class=\"none\">none</span>", to);
        return;
    }
    if (!differ(m, other)) {
        html_hex(to, m->data, m->len);
        return;
    }
    fputs("<code class=\"hex\">", to);
    for (size_t i = 0; i < m->len; i++)
        fprintf(to, m->data[i] == other->data[i] ? "%s%02x" : "%s<mark>%02x</mark>",
                i && i % 8 == 0 ? "<wbr>" : "", m->data[i]);
    fputs("</code>", to);
}

void row_link(FILE *to, const struct page *page, uint64_t number)
{
    fprintf(to, "<a href=\"/audit/entries/%" PRIu64, number);
    if (*page->tenant) {
        fputs("?tenant=", to);
        html_url(to, page->tenant);
    }
    fprintf(to, "\">%" PRIu64 "</a>", number);
}

/* Lists. A cell has its column's name, for narrow screens, where each row is a list of its own. */

static void cell(FILE *to, const char *name, const char *text)
{
    fprintf(to, "<td data-label=\"%s\">", name);
    *text ? html_text(to, text) : (void)fputs("<span class=\"none\">none</span>", to);
    fputs("</td>", to);
}

static void outcome(FILE *to, const struct log_entry *e)
{
    const char *word = row_outcome(e);
    fprintf(to, "<td data-label=\"Outcome\"><span class=\"outcome %s\">%s</span></td>", word, word);
}

static void begin(FILE *to, const char *caption, const char *const *columns)
{
    fprintf(to, "<table><caption>%s</caption><thead><tr>", caption);
    for (; *columns; columns++)
        fprintf(to, "<th scope=\"col\">%s</th>", *columns);
    fputs("</tr></thead><tbody>", to);
}

static void first_cells(FILE *to, const struct page *page, const struct row *r)
{
    fputs("<tr><th scope=\"row\" data-label=\"Entry\">", to);
    row_link(to, page, r->number);
    fputs("</th><td data-label=\"Time\">", to);
    html_time(to, r->e.time);
    fputs("</td>", to);
}

static void launch(FILE *to, const struct page *page, const struct row *r)
{
    const struct log_entry *e = &r->e;
    first_cells(to, page, r);
    cell(to, "Tenant", e->tenant);
    cell(to, "Guest", e->object_name);
    fputs("<td data-label=\"TEE\">", to);
    html_text(to, e->tee);
    fprintf(to, "%s</td><td data-label=\"Predicted\">", e->emulated ? " (emulated)" : "");
    row_measurement(to, &e->predicted, &e->reported);
    fputs("</td><td data-label=\"Reported\">", to);
    row_measurement(to, &e->reported, e->predicted.len ? &e->predicted : &e->expected);
    fprintf(to, "</td><td data-label=\"Same\">%s</td>",
            row_differs(e)    ? "<strong class=\"differs\">differs</strong>"
            : e->reported.len ? "same"
                              : "<span class=\"none\">not measured</span>");
    outcome(to, e);
    cell(to, "What happened", e->detail);
    fputs("</tr>\n", to);
}

static void operation(FILE *to, const struct page *page, const struct row *r)
{
    const struct log_entry *e = &r->e;
    first_cells(to, page, r);
    cell(to, "Who", e->subject);
    cell(to, "From", e->from);
    cell(to, "Operation", e->operation);
    cell(to, "Tenant", e->tenant);
    cell(to, "Object", e->object_name);
    outcome(to, e);
    fputs("<td data-label=\"Changed\">", to);
    fputs(e->before.len && e->after.len ? memcmp(&e->before, &e->after, sizeof e->before) ? "yes" : "no"
          : e->after.len                ? "made"
          : e->before.len               ? "removed"
                                        : "<span class=\"none\">none</span>",
          to);
    fputs("</td>", to);
    cell(to, "Detail", e->detail);
    fputs("</tr>\n", to);
}

static void rows(FILE *to, const struct page *page, const json_t *entries,
                 void (*write)(FILE *to, const struct page *page, const struct row *r))
{
    const json_t *shown;
    size_t i;
    json_array_foreach(entries, i, shown)
    {
        struct row r;
        if (row_read(&r, shown) && !r.removed && !r.unknown)
            write(to, page, &r);
    }
    fputs("</tbody></table>\n", to);
}

static bool is_empty(FILE *to, const json_t *entries)
{
    if (json_array_size(entries))
        return false;
    fputs("<p class=\"empty\">There is none.</p>\n", to);
    return true;
}

void row_launches(FILE *to, const struct page *page, const json_t *entries, const char *caption)
{
    static const char *const columns[] = {"Entry",    "Time", "Tenant",  "Guest",         "TEE", "Predicted",
                                          "Reported", "Same", "Outcome", "What happened", NULL};
    if (is_empty(to, entries))
        return;
    begin(to, caption, columns);
    rows(to, page, entries, launch);
}

void row_operations(FILE *to, const struct page *page, const json_t *entries, const char *caption)
{
    static const char *const columns[] = {"Entry",  "Time",    "Who",     "From",   "Operation", "Tenant",
                                          "Object", "Outcome", "Changed", "Detail", NULL};
    if (is_empty(to, entries))
        return;
    begin(to, caption, columns);
    rows(to, page, entries, operation);
}
