/* The log: its head, what of it is there, and whether it grew out of a head that the reader has. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/host/page/parts.h"

bool health_head(struct log_head *out, const json_t *shown)
{
    CLEAN_BYTES bytes = {0};
    struct cofre_err err;
    return base64_decode(&bytes, LOG_HEAD_MAX, member_text(shown, "head", ""), &err) == 0 &&
           log_head_read(out, bytes_view(&bytes), &err) == 0;
}

void health_path(struct log_path *out, const json_t *path)
{
    const json_t *hash;
    size_t i;
    *out = (struct log_path){.count = 0};
    json_array_foreach(path, i, hash)
    {
        const char *text = json_string_value(hash);
        if (out->count == LOG_PATH_MAX || !text ||
            !hex_decode(out->hash[out->count].data, LOG_HASH_SIZE, text))
            return; /* a path that is too short holds for nothing */
        out->count++;
    }
}

static bool ask(const struct page *page, enum page_question question, struct message_request *out)
{
    const char *size = page_parameter(page, "size");
    if (question == ASK_FIRST && page_may_on_host(page, "audit.head")) {
        page_about(out, OPERATION_AUDIT_HEAD);
        return true;
    }
    if (question != ASK_SECOND || !size || page->answer[ASK_FIRST].status != 200)
        return false;
    page_about(out, OPERATION_AUDIT_CONSISTENCY);
    (void)json_object_set_new(out->query, "first", json_integer(strtoll(size, NULL, 10)));
    (void)json_object_set_new(
        out->query, "second",
        json_integer((json_int_t)member_unsigned(page->answer[ASK_FIRST].json, "size", 0)));
    return true;
}

static void row(FILE *to, const char *name)
{
    fprintf(to, "<dt>%s</dt><dd>", name);
}

static void facts(FILE *to, const struct page *page, const struct log_head *head)
{
    const json_t *shown = page->answer[ASK_FIRST].json;
    const uint64_t first = member_unsigned(shown, "first", 1);
    fputs("<dl>", to);
    row(to, "Name");
    html_text(to, head->name);
    fprintf(to, "</dd><dt>Entries</dt><dd>%" PRIu64 "</dd>", head->state.size);
    row(to, "Last head signed");
    html_time(to, head->time);
    fputs("</dd>", to);
    row(to, "Complete");
    if (first <= 1)
        fputs("yes: nothing that an entry says was removed", to);
    else
        fprintf(to,
                "what entries 1 to %" PRIu64
                " said was removed; their hashes are there, and each proof holds. "
                "<a href=\"/audit/operations?operation=audit.retain\">Who removed it</a>",
                first - 1);
    fputs("</dd>", to);
    row(to, "Root");
    html_hex(to, head->state.root.data, LOG_HASH_SIZE);
    fputs("</dd>", to);
    row(to, "The log's id");
    html_hex(to, head->state.id.data, LOG_HASH_SIZE);
    fputs("</dd>", to);
    row(to, "Witnesses");
    fputs("their signatures are kept by them and not by this host: ask them, and give what they have to "
          "<code>cofre audit complete --witnesses</code></dd></dl>\n",
          to);
}

/* 1: it grew, 0: it did not, -1: what was given is no root. */
static int grew(const struct page *page, const struct log_head *head)
{
    struct log_consistency proof = {.size1 = strtoull(page_parameter(page, "size"), NULL, 10),
                                    .size2 = head->state.size};
    const char *text = page_parameter(page, "root");
    struct log_hash older, newer;
    struct cofre_err err;
    if (!text || strlen(text) != 2 * LOG_HASH_SIZE || !hex_decode(older.data, LOG_HASH_SIZE, text))
        return -1;
    health_path(&proof.path, member_at(page->answer[ASK_SECOND].json, "path"));
    return log_consistency_root(&newer, &proof, &older, &err) == 0 &&
           log_hash_equal(&newer, &head->state.root);
}

static void growth(FILE *to, const struct page *page, const struct log_head *head)
{
    static const char *const words[] = {
        "<p class=\"problem\">The root is to be 64 hexadecimal digits.</p>\n",
        "<p class=\"problem\"><strong>No.</strong> The log did not grow out of that head: keep the head, and "
        "ask why.</p>\n",
        "<p class=\"good\"><strong>Yes.</strong> The log grew out of that head, and nothing before it was "
        "changed.</p>\n"};
    fputs("<h2>Did it grow out of a head that you kept?</h2>\n<form method=\"get\" action=\"/audit/log\">",
          to);
    frame_input(to, page, "text", "size", "Its number of entries");
    frame_input(to, page, "text", "root", "Its root");
    fputs("<p><button type=\"submit\">Compare</button></p></form>\n<div role=\"status\">", to);
    if (page->answer[ASK_SECOND].asked && page_has(to, page, ASK_SECOND))
        fputs(words[grew(page, head) + 1], to);
    fputs("</div>\n", to);
}

static void write_page(FILE *to, const struct page *page)
{
    struct log_head head;
    if (!page->answer[ASK_FIRST].asked) {
        fputs("<p class=\"empty\">The log's heads and proofs are for auditors of the host.</p>\n", to);
        return;
    }
    if (!page_has(to, page, ASK_FIRST))
        return;
    if (!health_head(&head, page->answer[ASK_FIRST].json)) {
        fputs("<p class=\"problem\">The head that cofred gives is none.</p>\n", to);
        return;
    }
    facts(to, page, &head);
    growth(to, page, &head);
    fputs("<h2>Check it yourself</h2>\n<p>With the log's public key, and a copy that grows each time:</p>\n"
          "<pre tabindex=\"0\"><code>cofre audit complete --server ADDRESS --log copy --keys "
          "log.pub</code></pre>\n"
          "<details><summary>The signed head (COSE, base64)</summary><pre tabindex=\"0\"><code>",
          to);
    html_text(to, member_text(page->answer[ASK_FIRST].json, "head", ""));
    fputs("</code></pre></details>\n", to);
}

static const char *const parameters[] = {"size", "root", NULL};
const struct page_kind page_health = {"/audit/log", "Log", parameters, ask, write_page, false};
