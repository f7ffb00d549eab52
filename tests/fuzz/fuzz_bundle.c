/* Bundles, from whoever: what verifies is of the log that was signed, entry for entry. */
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

#include "attest/log/bundle.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/log/signed_log.h"

#define SIZE 11

static struct signed_log made;
static struct cose_keys witnesses;

/* Fixed keys, so that seeds verify in every run. */
static const char keeper_pem[] = "-----BEGIN PRIVATE KEY-----\n"
                                 "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgMJOW4E/zXf0VW2rO\n"
                                 "83Zo7SQlWpMJ6hl3BFen6WiPT4yhRANCAAR99mL3pxEb77XO/i2qygveWsnl73K5\n"
                                 "H80HLAzqur8FJTikzJf4r7xz6KBBjCBE6Bxv1loCRo/6x7VS05xKE4dc\n"
                                 "-----END PRIVATE KEY-----\n";
static const char witness_pem[] = "-----BEGIN PRIVATE KEY-----\n"
                                  "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgHiS1pf0Fd/Eys3K8\n"
                                  "IDK5FvJC4nENUvqoee3BfVrJvFOhRANCAAQa9TsSlbapqXIce6SASZ7mw9wW2yAi\n"
                                  "7eq5aBJO6f7i0YGD6iqJtnipyAYRCziZIIE+6IvJsRv40HUdp7UJyLFx\n"
                                  "-----END PRIVATE KEY-----\n";

static EVP_PKEY *read_key(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    FUZZ_CHECK(key);
    return key;
}

static struct signed_log *log_of_target(void)
{
    if (witnesses.count)
        return &made;
    FUZZ_CHECK(signed_log_make(&made, "P-256", 0));
    EVP_PKEY_free(made.keys.key[0].key);
    made.keys.key[0].key = read_key(keeper_pem);
    struct cose_key *w = &witnesses.key[witnesses.count++];
    w->key = read_key(witness_pem);
    w->alg = cose_alg_of_key(w->key);
    w->kid_len = 1;
    w->kid[0] = 'w';
    return &made;
}

/* The log's entries are their numbers. */
static void check_entry(struct signed_log *log, const struct log_bundle_entry *e)
{
    struct log_hash leaf;
    FUZZ_CHECK(e->number < SIGNED_LOG_SIZE);
    if (e->entry.data) {
        FUZZ_CHECK(e->entry.len == 1 && e->entry.data[0] == e->number);
        return;
    }
    FUZZ_CHECK(log->tree.list.read(log->tree.list.context, log_tree_leaf(e->number), &leaf, NULL) == 0);
    FUZZ_CHECK(log_hash_equal(&leaf, &e->leaf));
}

static void check_head(struct signed_log *log, const struct log_head *head)
{
    struct log_hash root;
    FUZZ_CHECK(log_tree_root(&log->tree, head->state.size, &root, NULL) == 0);
    FUZZ_CHECK(log_hash_equal(&root, &head->state.root) && log_hash_equal(&log->id, &head->state.id));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct signed_log *log = log_of_target();
    CLEAN_LOG_BUNDLE b = {0};
    struct log_bundle_proven p;
    struct cofre_err err = {""};
    if (log_bundle_read(&b, (struct view){data, size}, &err) < 0) {
        FUZZ_CHECK(*err.text && !b.entry);
        return 0;
    }
    for (size_t i = 1; i < b.entries; i++)
        FUZZ_CHECK(b.entry[i].number > b.entry[i - 1].number &&
                   (!b.is_range || b.entry[i].number == b.entry[i - 1].number + 1));
    if (log_bundle_verify(&p, &b, &log->keys, &witnesses, 0, &err) < 0) {
        FUZZ_CHECK(*err.text);
        return 0;
    }
    check_head(log, &p.head);
    if (p.older.state.size)
        check_head(log, &p.older);
    for (size_t i = 0; i < b.entries; i++)
        check_entry(log, &b.entry[i]);
    for (size_t i = 0; i < p.witnesses.count; i++)
        check_head(log, &p.witnesses.witness[i].head);
    return 0;
}

static void add_entry(struct log_bundle *b, struct signed_log *log, uint64_t number, bool removed)
{
    struct log_bundle_entry *e = &b->entry[b->entries++];
    const uint8_t content = (uint8_t)number;
    e->number = number;
    FUZZ_CHECK(bytes_copy(&e->owned_entry, (struct view){&content, 1}, NULL) == 0);
    FUZZ_CHECK(signed_log_inclusion(log, number, SIZE, &e->owned_receipt));
    FUZZ_CHECK(log->tree.list.read(log->tree.list.context, log_tree_leaf(number), &e->leaf, NULL) == 0);
    e->entry = removed ? (struct view){0} : bytes_view(&e->owned_entry);
    e->receipt = bytes_view(&e->owned_receipt);
}

/* By the witness, who has seen so many. */
static void sign_as_witness(struct bytes *out, struct signed_log *log, uint64_t size)
{
    struct log_head head = {.time = FUZZ_NOW, .name = "w", .state = {.size = size, .id = log->id}};
    FUZZ_CHECK(log_tree_root(&log->tree, size, &head.state.root, NULL) == 0);
    FUZZ_CHECK(
        log_head_sign(out, &head, witnesses.key[0].key, (struct view){witnesses.key[0].kid, 1}, NULL) == 0);
}

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    struct signed_log *log = log_of_target();
    CLEAN_LOG_BUNDLE b = {.is_range = index == 1};
    CLEAN_BYTES head = {0}, older = {0}, growth = {0}, signature = {0}, seed = {0};
    static const uint8_t file[] = "a list";
    if (index > 1)
        return 0;
    b.entry = calloc(4, sizeof *b.entry);
    FUZZ_CHECK(b.entry && signed_log_head(log, SIZE, &head));
    b.head = bytes_view(&head);
    for (uint64_t n = 4; n < 7; n++)
        if (index == 1 || n != 5)
            add_entry(&b, log, n, index == 1 && n == 5);
    if (index == 1) {
        FUZZ_CHECK(signed_log_head(log, 6, &older) && signed_log_consistency(log, 6, SIZE, &growth));
        sign_as_witness(&signature, log, 6);
        b.older = bytes_view(&older);
        b.growth = bytes_view(&growth);
        b.witnesses = b.files = 1;
        b.witness[0].signature = bytes_view(&signature);
        b.witness[0].growth = bytes_view(&growth);
        b.file[0].data = (struct view){file, sizeof file};
    }
    FUZZ_CHECK(log_bundle_write(&seed, &b, NULL) == 0 && seed.len <= FUZZ_SEED_MAX);
    memcpy(out, seed.data, seed.len);
    return seed.len;
}
