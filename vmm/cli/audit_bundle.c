/* cofre audit bundle: entries with all that proves them, in one file. */
#include <stdlib.h>
#include <string.h>

#include "vmm/base/file.h"
#include "vmm/cli/audit.h"

#define SIGNATURES_MAX (64 * LOG_HEAD_MAX)

static int prove_entry(struct log_bundle_entry *e, struct log_file *f, struct cofre_err *err)
{
    struct log_receipt proof = {
        .kind = LOG_RECEIPT_INCLUSION,
        .inclusion = {.size = log_file_state(f)->size, .index = e->number},
    };
    int rc = log_tree_prove_inclusion(log_file_tree(f), &proof.inclusion, err);
    if (rc == 0)
        rc = log_receipt_make(&e->owned_receipt, log_file_head(f), &proof, err);
    e->receipt = bytes_view(&e->owned_receipt);
    return rc;
}

/* Of the tree of this one entry. */
static int read_leaf(struct log_hash *out, struct log_file *f, uint64_t number, struct cofre_err *err)
{
    const struct log_hash_list *list = &log_file_tree(f)->list;
    return list->read(list->context, log_tree_leaf(number), out, err);
}

/* A receipt that the log grew from so many entries on. */
static int prove_growth(struct bytes *out, struct log_file *f, uint64_t from, struct cofre_err *err)
{
    struct log_receipt proof = {.kind = LOG_RECEIPT_CONSISTENCY,
                                .consistency = {.size1 = from, .size2 = log_file_state(f)->size}};
    int rc = log_tree_prove_consistency(log_file_tree(f), &proof.consistency, err);
    return rc < 0 ? rc : log_receipt_make(out, log_file_head(f), &proof, err);
}

/* That the head which a TPM vouches for is one of this log's. */
static int prove_clock(struct log_bundle_entry *e, struct log_file *f, struct cofre_err *err)
{
    struct log_entry read;
    if (!e->entry.data || log_entry_read(&read, e->entry, NULL) < 0 || read.kind != LOG_ENTRY_CLOCK)
        return 0;
    int rc = prove_growth(&e->owned_growth, f, (uint64_t)read.size, err);
    e->growth = bytes_view(&e->owned_growth);
    return rc;
}

static int add_entry(struct log_bundle *b, size_t *room, struct log_file *f, uint64_t number,
                     struct bytes *bytes, struct cofre_err *err)
{
    if (b->entries == LOG_BUNDLE_ENTRIES_MAX)
        return cofre_fail(err, COFRE_USAGE,
                          "that would be more than %d entries, as many as a bundle may have",
                          LOG_BUNDLE_ENTRIES_MAX);
    if (b->entries == *room) {
        *room = *room ? 2 * *room : 64;
        struct log_bundle_entry *more = realloc(b->entry, *room * sizeof *more);
        if (!more)
            return cofre_fail(err, COFRE_FAILED, "out of memory");
        b->entry = more;
    }
    struct log_bundle_entry *e = &b->entry[b->entries++];
    *e = (struct log_bundle_entry){.number = number, .owned_entry = *bytes};
    *bytes = (struct bytes){0};
    e->entry = bytes_view(&e->owned_entry);
    int rc = e->entry.data ? 0 : read_leaf(&e->leaf, f, number, err);
    if (rc == 0)
        rc = prove_entry(e, f, err);
    return rc < 0 ? rc : prove_clock(e, f, err);
}

/* By nothing but numbers: then all are there, whatever they are. */
static bool is_range(const struct audit_call *call)
{
    for (unsigned i = AUDIT_ON; i <= AUDIT_EVIDENCE; i++)
        if (call->option[i])
            return false;
    return !call->differing;
}

/* Behind those that are asked for: the first word of a TPM that covers all of them. */
static int add_clock(struct log_bundle *b, size_t *room, struct log_file *f, struct cofre_err *err)
{
    const uint64_t last = b->entry[b->entries - 1].number;
    int rc = 1;
    for (uint64_t n = last + 1; rc > 0 && n < log_file_state(f)->size; n++) {
        CLEAN_BYTES bytes = {0};
        struct log_entry e;
        rc = audit_read(&e, &bytes, f, n, err);
        if (rc == 0 && e.kind == LOG_ENTRY_CLOCK && (uint64_t)e.size > last)
            return add_entry(b, room, f, n, &bytes, err);
        rc = rc == 0 ? 1 : rc;
    }
    return rc < 0 ? rc : 0;
}

static int add_entries(struct log_bundle *b, struct log_file *f, const struct audit_call *call,
                       struct cofre_err *err)
{
    CLEAN_AUDIT_FILTER filter = {0};
    size_t room = 0;
    int rc = audit_filter_read(&filter, call, log_file_state(f)->size, err);
    b->is_range = is_range(call);
    for (uint64_t n = filter.first; rc == 0 && n <= filter.last; n++) {
        CLEAN_BYTES bytes = {0};
        struct log_entry e;
        rc = audit_read(&e, &bytes, f, n, err);
        if (rc >= 0 && (b->is_range || (rc == 0 && audit_filter_takes(&filter, &e))))
            rc = add_entry(b, &room, f, n, &bytes, err);
        rc = rc > 0 ? 0 : rc;
    }
    if (rc == 0 && b->entries == 0)
        rc = cofre_fail(err, COFRE_NEGATIVE, "the log has no such entry");
    return rc == 0 && !b->is_range ? add_clock(b, &room, f, err) : rc;
}

static int add_older(struct log_bundle *b, struct bytes *head, struct bytes *growth, struct log_file *f,
                     const struct log_checker *c, const char *path, struct cofre_err *err)
{
    struct log_head older;
    if (!path)
        return 0;
    int rc = log_read_head(&older, path, &c->keys, err);
    if (rc == 0)
        rc = file_read(head, path, LOG_HEAD_MAX, err);
    if (rc == 0 && older.state.size >= log_file_state(f)->size)
        rc = cofre_fail(err, COFRE_USAGE, "%s: the log has not grown since", path);
    if (rc == 0)
        rc = prove_growth(growth, f, older.state.size, err);
    b->older = bytes_view(head);
    b->growth = bytes_view(growth);
    return rc;
}

/* Those of --witnesses, which audit_open has judged; one of each witness. */
static int add_witnesses(struct log_bundle *b, struct bytes *file, struct log_file *f,
                         const struct log_checker *c, const struct audit_call *call, struct cofre_err *err)
{
    CLEAN_COSE_KEYS keys = {0};
    struct log_witnesses all;
    if (!call->option[AUDIT_WITNESSES])
        return 0;
    int rc = log_read_keys(&keys, call->option[AUDIT_WITNESS_KEYS], err);
    if (rc == 0)
        rc = file_read(file, call->option[AUDIT_WITNESSES], SIGNATURES_MAX, err);
    if (rc == 0)
        rc = log_witnesses_read(&all, bytes_view(file), &keys, &c->keys, err);
    for (size_t i = 0; rc == 0 && i < all.count; i++) {
        struct log_bundle_witness *w = &b->witness[b->witnesses++];
        w->signature = all.witness[i].message;
        if (all.witness[i].head.state.size < log_file_state(f)->size)
            rc = prove_growth(&w->owned_growth, f, all.witness[i].head.state.size, err);
        w->growth = bytes_view(&w->owned_growth);
    }
    return rc;
}

static int add_files(struct log_bundle *b, const struct audit_call *call, struct cofre_err *err)
{
    int rc = 0;
    for (size_t i = 0; i < call->files && rc == 0; i++) {
        struct log_bundle_file *file = &b->file[b->files++];
        rc = file_read(&file->owned_data, call->file[i], LOG_BUNDLE_SIZE_MAX, err);
        file->data = bytes_view(&file->owned_data);
        if (rc == 0 && file->data.len == 0)
            rc = cofre_fail(err, COFRE_USAGE, "--file %s: it is empty", call->file[i]);
    }
    return rc;
}

/* As whoever gets it does, but for the witnesses, who were judged above. */
static int check(struct log_bundle_proven *proven, struct view bytes, const struct cose_keys *keys,
                 struct cofre_err *err)
{
    CLEAN_LOG_BUNDLE again = {0};
    int rc = log_bundle_read(&again, bytes, err);
    return rc < 0 ? rc : log_bundle_verify(proven, &again, keys, NULL, 0, err);
}

int audit_make_bundle(const struct audit_call *call, json_t *result, struct cofre_err *err)
{
    CLEAN_LOG_CHECKER c = {0};
    CLEAN_LOG_FILE *f = NULL;
    CLEAN_LOG_BUNDLE b = {0};
    CLEAN_BYTES older = {0}, growth = {0}, signatures = {0}, out = {0};
    struct log_bundle_proven proven;
    int rc = audit_open(&f, &c, call, false, result, err);
    if (rc < 0)
        return rc;
    if (log_file_state(f)->size < 2)
        return cofre_fail(err, COFRE_NEGATIVE,
                          "the log has only its first entry, of which there is no receipt");
    b.head = log_file_head(f);
    rc = add_entries(&b, f, call, err);
    if (rc == 0)
        rc = add_older(&b, &older, &growth, f, &c, call->option[AUDIT_FROM], err);
    if (rc == 0)
        rc = add_witnesses(&b, &signatures, f, &c, call, err);
    if (rc == 0)
        rc = add_files(&b, call, err);
    if (rc == 0)
        rc = log_bundle_write(&out, &b, err);
    if (rc == 0)
        rc = check(&proven, bytes_view(&out), &c.keys, err);
    if (rc < 0)
        return rc;
    json_object_set_new(result, "bundled", json_integer((json_int_t)b.entries));
    json_object_set_new(result, "bytes", json_integer((json_int_t)out.len));
    return file_write(call->option[AUDIT_OUT], bytes_view(&out), 0644, err);
}
