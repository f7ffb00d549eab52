#include "tests/unit/host/audit/bundled.h"

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
#include <openssl/sha.h>

#include "attest/log/item.h"
#include "vmm/base/file.h"

static const uint8_t evidence[] = "what the guest gave as evidence";

static void must(int rc, const struct cofre_err *err)
{
    if (rc < 0)
        fail_msg("%s", err->text);
}

static int write_launch(struct db *db, void *context, struct cofre_err *err)
{
    struct record *r = context;
    CLEAN_AUDIT_TURN turn = {0};
    struct log_entry launch = {.object_name = "web",
                               .tenant = "acme",
                               .tee = "snp",
                               .guest = 9,
                               .reported = {LOG_MEASUREMENT_SIZE, {3}},
                               .launch_evidence = {.len = LOG_HASH_SIZE}};
    SHA256(evidence, sizeof evidence, launch.launch_evidence.data);
    int rc = audit_begin(&turn, r->audit, db, r->now, err);
    if (rc == 0)
        rc = audit_launch(&turn, &launch, NULL, err);
    return rc < 0 ? rc : audit_sign(&turn, err);
}

/* The fork: what was before the last turn, and then others. */

static int sign_fork(void *context, const struct log_state *state, struct bytes *out, struct cofre_err *err)
{
    const struct record *r = context;
    struct log_head head = {.state = *state, .time = RECORD_TIME, .name = "operations on a test"};
    const struct cose_key *key = &r->keys.key[0];
    return log_head_sign(out, &head, key->key, (struct view){key->kid, key->kid_len}, err);
}

static int check_nothing(void *context, struct view head, const struct log_state *state,
                         struct cofre_err *err)
{
    (void)context, (void)head, (void)state, (void)err;
    return 0;
}

/* The end of the last head but one. */
static size_t before_last_turn(const struct bytes *log)
{
    struct log_item item;
    size_t end = 0, last = 0;
    for (size_t at = LOG_HEADER_SIZE; at < log->len; at += item.prefix + item.len) {
        assert_int_equal(log_item_read(&item, (struct view){log->data + at, log->len - at}, NULL), 1);
        if (item.kind == LOG_ITEM_HEAD) {
            end = last;
            last = at + item.prefix + item.len;
        }
    }
    return end;
}

static void make_fork(struct bundled *b)
{
    struct cofre_err err;
    struct log_file *f = NULL;
    const struct log_heads heads = {.context = &b->record, .sign = sign_fork, .check = check_nothing};
    uint8_t header[LOG_HEADER_SIZE];
    CLEAN_BYTES begun = {0};
    const size_t end = before_last_turn(&b->log);
    must(bytes_copy(&begun, (struct view){b->log.data, end}, &err), &err);
    log_header_write(header, end);
    memcpy(begun.data, header, sizeof header);
    must(file_write(b->path, bytes_view(&begun), 0600, &err), &err);
    must(log_file_open(&f, b->path, &heads, &err), &err);
    while (log_file_tree(f)->size < b->head.state.size)
        must(log_file_append(f, (struct view){(const uint8_t *)"another", 7}, NULL, &err), &err);
    must(log_file_commit(f, &err), &err);
    must(bytes_copy(&b->fork_head, log_file_head(f), &err), &err);
    log_file_close(f);
    must(file_read(&b->fork, b->path, 1 << 20, &err), &err);
}

/* The witness */

static void witness(struct bytes *out, const struct bundled *b, struct view head)
{
    struct cofre_err err;
    struct log_head seen;
    const struct cose_key *key = &b->witnesses.key[0];
    must(log_head_read(&seen, head, &err), &err);
    strcpy(seen.name, "w");
    must(log_head_sign(out, &seen, key->key, (struct view){key->kid, key->kid_len}, &err), &err);
}

static void make_witness(struct bundled *b)
{
    struct cose_key *key = &b->witnesses.key[b->witnesses.count++];
    key->key = EVP_EC_gen("P-256");
    key->alg = cose_alg_of_key(key->key);
    key->kid_len = 1;
    key->kid[0] = 'w';
}

/* The bundle */

static void receipt(struct bytes *out, struct log_file *f, struct log_receipt *proof)
{
    struct cofre_err err;
    must(proof->kind == LOG_RECEIPT_INCLUSION
             ? log_tree_prove_inclusion(log_file_tree(f), &proof->inclusion, &err)
             : log_tree_prove_consistency(log_file_tree(f), &proof->consistency, &err),
         &err);
    must(log_receipt_make(out, log_file_head(f), proof, &err), &err);
}

static void add_entry(struct log_bundle *bundle, struct log_file *f, uint64_t number)
{
    struct cofre_err err;
    struct log_bundle_entry *e = &bundle->entry[bundle->entries++];
    struct log_receipt proof = {.inclusion = {.size = log_file_state(f)->size, .index = number}};
    e->number = number;
    must(log_file_entry(f, number, &e->owned_entry, &err), &err);
    receipt(&e->owned_receipt, f, &proof);
    e->entry = bytes_view(&e->owned_entry);
    e->receipt = bytes_view(&e->owned_receipt);
}

static void make_bundle(struct bundled *b, struct log_file *f, struct view older)
{
    CLEAN_LOG_BUNDLE bundle = {
        .head = log_file_head(f), .is_range = true, .older = older, .witnesses = 1, .files = 1};
    CLEAN_BYTES growth = {0}, signature = {0};
    struct cofre_err err;
    struct log_head from;
    must(log_head_read(&from, older, &err), &err);
    struct log_receipt grown = {.kind = LOG_RECEIPT_CONSISTENCY,
                                .consistency = {.size1 = from.state.size, .size2 = log_file_state(f)->size}};
    receipt(&growth, f, &grown);
    bundle.growth = bytes_view(&growth);
    witness(&signature, b, log_file_head(f));
    bundle.witness[0].signature = bytes_view(&signature);
    bundle.file[0].data = (struct view){evidence, sizeof evidence};
    bundle.entry = calloc(log_file_state(f)->size, sizeof *bundle.entry);
    for (uint64_t n = 1; n < log_file_state(f)->size; n++)
        add_entry(&bundle, f, n);
    must(log_bundle_write(&b->bundle, &bundle, &err), &err);
}

void bundled_make(struct bundled *b)
{
    struct cofre_err err;
    CLEAN_BYTES older = {0};
    unsigned next = 1;
    *b = (struct bundled){0};
    record_make(&b->record);
    record_make(&b->other);
    make_witness(b);
    (void)snprintf(b->path, sizeof b->path, "%s/tried", b->record.folder);
    record_grow(&b->record, 3, &next);
    {
        CLEAN_LOG_FILE *f = record_copy(&b->record);
        must(bytes_copy(&older, log_file_head(f), &err), &err);
    }
    must(db_atomically(b->record.db, write_launch, &b->record, &err), &err);
    record_grow(&b->record, 2, &next);
    CLEAN_LOG_FILE *f = record_copy(&b->record);
    must(log_head_read(&b->head, log_file_head(f), &err), &err);
    must(file_read(&b->log, b->record.copy, 1 << 20, &err), &err);
    make_bundle(b, f, bytes_view(&older));
    make_fork(b);
    witness(&b->fork_witness, b, bytes_view(&b->fork_head));
    record_grow(&b->other, 6, &next);
    CLEAN_LOG_FILE *other = record_copy(&b->other);
    must(bytes_copy(&b->other_head, log_file_head(other), &err), &err);
}

void bundled_free(struct bundled *b)
{
    bytes_free(&b->log);
    bytes_free(&b->bundle);
    bytes_free(&b->fork);
    bytes_free(&b->fork_head);
    bytes_free(&b->fork_witness);
    bytes_free(&b->other_head);
    cose_keys_free(&b->witnesses);
    record_free(&b->record);
    record_free(&b->other);
}
