/* One entry, all that it says, and that it is in the log. */
#include <inttypes.h>
#include <string.h>

#include "vmm/host/page/parts.h"

static void ask_entry(const struct page *page, struct message_request *out)
{
    char after[24];
    page_about(out, OPERATION_AUDIT_ENTRIES);
    (void)snprintf(after, sizeof after, "%" PRIu64, page->number - 1);
    page_put(out, "after", page->number ? after : NULL);
    page_put(out, "tenant", page->tenant);
    (void)json_object_set_new(out->query, "limit", json_integer(1));
}

static bool ask(const struct page *page, enum page_question question, struct message_request *out)
{
    if (question == ASK_FIRST) {
        ask_entry(page, out);
        return true;
    }
    if (!page_may_on_host(page, question == ASK_SECOND ? "audit.head" : "audit.proof"))
        return false;
    if (question == ASK_SECOND) {
        page_about(out, OPERATION_AUDIT_HEAD);
        return true;
    }
    const uint64_t size = member_unsigned(page->answer[ASK_SECOND].json, "size", 0);
    if (page->number >= size)
        return false;
    page_about(out, OPERATION_AUDIT_PROOF);
    out->part.count = 1;
    (void)snprintf(out->part.text[0], sizeof out->part.text[0], "%" PRIu64, page->number);
    (void)json_object_set_new(out->query, "size", json_integer((json_int_t)size));
    return true;
}

static void text(FILE *to, const char *name, const char *value)
{
    if (!*value)
        return;
    fprintf(to, "<dt>%s</dt><dd>", name);
    html_text(to, value);
    fputs("</dd>", to);
}

static void hex(FILE *to, const char *name, const uint8_t *data, size_t len)
{
    if (!len)
        return;
    fprintf(to, "<dt>%s</dt><dd>", name);
    html_hex(to, data, len);
    fputs("</dd>", to);
}

static void measurement(FILE *to, const char *name, const struct log_measurement *m,
                        const struct log_measurement *other)
{
    fprintf(to, "<dt>%s</dt><dd>", name);
    row_measurement(to, m, other);
    fputs("</dd>", to);
}

static void registers(FILE *to, const struct log_entry *e)
{
    for (size_t i = 0; i < LOG_REGISTERS_SIZE / LOG_MEASUREMENT_SIZE; i++) {
        struct log_measurement due = {0}, is = {0};
        const size_t at = i * LOG_MEASUREMENT_SIZE;
        char name[32];
        if (e->predicted_registers.len)
            due.len = LOG_MEASUREMENT_SIZE, memcpy(due.data, e->predicted_registers.data + at, due.len);
        if (e->reported_registers.len)
            is.len = LOG_MEASUREMENT_SIZE, memcpy(is.data, e->reported_registers.data + at, is.len);
        if (!due.len && !is.len)
            continue;
        (void)snprintf(name, sizeof name, "RTMR %zu, predicted", i);
        measurement(to, name, &due, &is);
        (void)snprintf(name, sizeof name, "RTMR %zu, reported", i);
        measurement(to, name, &is, &due);
    }
}

static void launch(FILE *to, const struct log_entry *e)
{
    const struct log_measurement *due = e->predicted.len ? &e->predicted : &e->expected;
    const struct {
        const char *name;
        const struct log_digest *digest;
    } inputs[] = {{"Kernel, SHA-256", &e->kernel},        {"Initrd, SHA-256", &e->initrd},
                  {"Command line, SHA-256", &e->cmdline}, {"Firmware, SHA-256", &e->firmware},
                  {"ID block, SHA-256", &e->id_block},    {"Evidence, SHA-256", &e->launch_evidence}};
    fprintf(to, "<dt>Guest's number</dt><dd>%" PRId64 "</dd>", e->guest);
    text(to, "TEE", e->tee);
    fprintf(to, "<dt>Emulated</dt><dd>%s</dd><dt>Measurements</dt><dd>%s</dd>", e->emulated ? "yes" : "no",
            row_differs(e)    ? "<strong class=\"differs\">they differ</strong>"
            : e->reported.len ? "they are the same"
                              : "it was not measured");
    measurement(to, "Expected by the definition", &e->expected, &e->reported);
    measurement(to, "Predicted from its inputs", &e->predicted, &e->reported);
    measurement(to, "Reported by the firmware", &e->reported, due);
    registers(to, e);
    fprintf(to, "<dt>Policy or attributes</dt><dd><code>0x%" PRIx64 "</code></dd>", e->guest_policy);
    hex(to, "Host data or MRCONFIGID", e->host_data.data, e->host_data.len);
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++)
        hex(to, inputs[i].name, inputs[i].digest->data, inputs[i].digest->len);
}

static void operation(FILE *to, const struct log_entry *e)
{
    text(to, "Operation", e->operation);
    text(to, "Who", e->subject);
    text(to, "Shown by", e->identity);
    text(to, "From", e->from);
    hex(to, "Before, SHA-256", e->before.data, e->before.len);
    hex(to, "After, SHA-256", e->after.data, e->after.len);
    if (e->count > 1)
        fprintf(to, "<dt>Stands for</dt><dd>%" PRId64 " requests</dd>", e->count);
}

static void tpm_word(FILE *to, const struct log_entry *e)
{
    fprintf(to, "<dt>Vouches for</dt><dd>the first %" PRId64 " entries</dd>", e->size);
    hex(to, "Their root", e->root.data, LOG_HASH_SIZE);
    hex(to, "Thumbprint of the TPM's key", e->tpm_key.data, LOG_HASH_SIZE);
    hex(to, "What the TPM said", e->attest.data, e->attest.len);
    hex(to, "Its signature", e->signature.data, e->signature.len);
}

static void facts(FILE *to, const struct row *r)
{
    static const char *const kinds[] = {
        "the log's first entry", "a verdict", "a change",
        "an operation",          "a launch",  "a TPM's word on its clock and on the log"};
    const struct log_entry *e = &r->e;
    fputs("<dl>", to);
    text(to, "It is", r->unknown ? "of a kind that is not known here" : kinds[e->kind]);
    fputs("<dt>Time</dt><dd>", to);
    html_time(to, e->time);
    fputs("</dd>", to);
    text(to, "Outcome", row_outcome(e));
    text(to, "Tenant", e->tenant);
    text(to, e->kind == LOG_ENTRY_LAUNCH ? "Guest" : "Object", e->object_name);
    text(to, "Log", e->name);
    if (e->kind == LOG_ENTRY_LAUNCH)
        launch(to, e);
    if (e->kind == LOG_ENTRY_OPERATION)
        operation(to, e);
    if (e->kind == LOG_ENTRY_CLOCK)
        tpm_word(to, e);
    text(to, "Detail", e->detail);
    text(to, "Request", e->request);
    fputs("</dl>\n", to);
}

/* The proof */

static bool holds(const struct page *page, const struct row *r, struct log_inclusion *proof,
                  const struct log_head *head)
{
    struct log_hash root;
    struct cofre_err err;
    const json_t *shown = page->answer[ASK_THIRD].json;
    *proof = (struct log_inclusion){.size = head->state.size, .index = r->number};
    health_path(&proof->path, member_at(shown, "path"));
    return member_unsigned(shown, "size", 0) == proof->size &&
           log_inclusion_root(&root, proof, &r->leaf, &err) == 0 && log_hash_equal(&root, &head->state.root);
}

static void path(FILE *to, const struct log_inclusion *proof)
{
    fputs("<details><summary>The hashes from the entry to the root</summary><ol class=\"path\">", to);
    for (size_t i = 0; i < proof->path.count; i++) {
        fputs("<li>", to);
        html_hex(to, proof->path.hash[i].data, LOG_HASH_SIZE);
        fputs("</li>", to);
    }
    fputs("</ol></details>\n", to);
}

static void proof(FILE *to, const struct page *page, const struct row *r)
{
    struct log_inclusion p;
    struct log_head head;
    fputs("<h2>Proof</h2>\n", to);
    if (!page->answer[ASK_SECOND].asked) {
        fputs("<p>Proofs are for auditors of the host.</p>\n", to);
        return;
    }
    if (!page_has(to, page, ASK_SECOND) || !page_has(to, page, ASK_THIRD) ||
        !health_head(&head, page->answer[ASK_SECOND].json))
        return;
    fputs(holds(page, r, &p, &head)
              ? "<p class=\"good\">The entry's hash leads to the root of the newest signed head.</p>\n"
              : "<p class=\"problem\"><strong>The entry's hash does not lead to the root of the newest "
                "head.</strong> "
                "Keep this page.</p>\n",
          to);
    fputs("<dl><dt>The entry's hash</dt><dd>", to);
    html_hex(to, r->leaf.data, LOG_HASH_SIZE);
    fprintf(to, "</dd><dt>Head</dt><dd>%" PRIu64 " entries, ", head.state.size);
    html_time(to, head.time);
    fputs("</dd><dt>Root</dt><dd>", to);
    html_hex(to, head.state.root.data, LOG_HASH_SIZE);
    fputs("</dd></dl>\n", to);
    path(to, &p);
    fputs("<details><summary>Receipt (COSE, RFC 9942, base64)</summary><pre tabindex=\"0\"><code>", to);
    html_text(to, member_text(page->answer[ASK_THIRD].json, "receipt",
                              "the log has grown meanwhile: load this page again"));
    fputs("</code></pre></details>\n", to);
}

static void write_page(FILE *to, const struct page *page)
{
    struct row r;
    if (!page_has(to, page, ASK_FIRST))
        return;
    const json_t *shown = json_array_get(member_at(page->answer[ASK_FIRST].json, "entries"), 0);
    if (!shown || !row_read(&r, shown) || r.number != page->number) {
        fprintf(to, "<p class=\"problem\">There is no entry %" PRIu64 ", or none that you may see.</p>\n",
                page->number);
        return;
    }
    fprintf(to, "<p>Number %" PRIu64 "</p>\n", r.number);
    if (r.removed)
        fputs("<p class=\"problem\">What it said was removed; its hash is left.</p>\n", to);
    else
        facts(to, &r);
    proof(to, page, &r);
}

static const char *const parameters[] = {NULL};
const struct page_kind page_entry = {"/audit/entries", "Entry", parameters, ask, write_page, false};
