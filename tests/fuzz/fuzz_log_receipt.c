/* Heads, receipts and entries of logs: nothing that was not signed verifies, and what is read is within its bounds. */
#include <openssl/pem.h>
#include <string.h>

#include "attest/log/entry.h"
#include "attest/log/receipt.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/log/signed_log.h"

#define SIZE 11

static struct signed_log made;
static bool ready;

/* A fixed key, so that seeds verify in every run. */
static const char pem[] = "-----BEGIN PRIVATE KEY-----\n"
                          "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgMJOW4E/zXf0VW2rO\n"
                          "83Zo7SQlWpMJ6hl3BFen6WiPT4yhRANCAAR99mL3pxEb77XO/i2qygveWsnl73K5\n"
                          "H80HLAzqur8FJTikzJf4r7xz6KBBjCBE6Bxv1loCRo/6x7VS05xKE4dc\n"
                          "-----END PRIVATE KEY-----\n";

static struct signed_log *log_of_target(void)
{
    if (!ready) {
        BIO *bio = BIO_new_mem_buf(pem, -1);
        FUZZ_CHECK(signed_log_make(&made, "P-256", 0));
        EVP_PKEY_free(made.keys.key[0].key);
        made.keys.key[0].key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
        FUZZ_CHECK(made.keys.key[0].key);
        BIO_free(bio);
        ready = true;
    }
    return &made;
}

/* The root of the log's first entries, whose number is signed: no other can have been. */
static void check_signed(struct signed_log *log, const struct log_head *head)
{
    struct log_hash root;
    FUZZ_CHECK(log_tree_root(&log->tree, head->state.size, &root, NULL) == 0);
    FUZZ_CHECK(log_hash_equal(&root, &head->state.root) && log_hash_equal(&log->id, &head->state.id));
}

/* By the entry that it may be of, and by another. */
static void try_receipt(struct signed_log *log, struct view input, const struct log_head *older)
{
    struct log_receipt said, proof;
    struct cofre_err err = {""};
    if (log_receipt_read(&said, input, &err) < 0) {
        FUZZ_CHECK(*err.text);
        return;
    }
    for (uint8_t more = 0; more < 2; more++) {
        uint8_t entry = (uint8_t)(said.inclusion.index + more);
        if (log_receipt_verify_inclusion(&proof, input, (struct view){&entry, 1}, &log->keys, &err) == 0) {
            FUZZ_CHECK(proof.inclusion.index == entry);
            check_signed(log, &proof.head);
        }
    }
    if (log_receipt_verify_consistency(&proof, input, older, &log->keys, &err) == 0)
        check_signed(log, &proof.head);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view input = {data, size};
    struct signed_log *log = log_of_target();
    struct log_head head, older = {.state = {.size = 6, .id = log->id}};
    struct log_entry entry;
    struct cofre_err err = {""};
    CLEAN_BYTES again = {0};
    FUZZ_CHECK(log_tree_root(&log->tree, 6, &older.state.root, NULL) == 0);
    if (log_head_read(&head, input, &err) == 0)
        FUZZ_CHECK(head.state.size >= 1 && head.state.size <= LOG_SIZE_MAX &&
                   strlen(head.name) <= LOG_NAME_MAX);
    else
        FUZZ_CHECK(*err.text);
    if (log_head_verify(&head, input, &log->keys, &err) == 0)
        check_signed(log, &head);
    try_receipt(log, input, &older);
    if (log_entry_read(&entry, input, &err) == 0)
        FUZZ_CHECK(log_entry_write(&again, &entry, NULL) == 0 && again.len <= size);
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    CLEAN_BYTES seed = {0};
    struct signed_log *log = log_of_target();
    struct log_entry entry = {
        .kind = LOG_ENTRY_VERDICT, .time = FUZZ_NOW, .outcome = LOG_FAILED, .tee = "snp"};
    struct log_entry genesis = {.kind = LOG_ENTRY_GENESIS, .time = FUZZ_NOW, .name = "a log"};
    struct log_entry change = {.kind = LOG_ENTRY_CHANGE,
                               .time = FUZZ_NOW,
                               .action = "added",
                               .object = "policy",
                               .object_name = "web",
                               .object_version = 1,
                               .actor = "ann"};
    struct log_entry operation = {.kind = LOG_ENTRY_OPERATION,
                                  .time = FUZZ_NOW,
                                  .outcome = LOG_OPERATION_DONE,
                                  .object_name = "guest/web",
                                  .subject = "ann",
                                  .tenant = "acme",
                                  .identity = "token",
                                  .operation = "guest.start",
                                  .after = {LOG_HASH_SIZE, {1}},
                                  .count = 1};
    struct log_entry launch = {.kind = LOG_ENTRY_LAUNCH,
                               .time = FUZZ_NOW,
                               .tee = "snp",
                               .object_name = "web",
                               .tenant = "acme",
                               .guest = 7,
                               .reported = {LOG_MEASUREMENT_SIZE, {2}},
                               .guest_policy = 0x30000,
                               .host_data = {32, {3}}};
    struct log_entry clock = {.kind = LOG_ENTRY_CLOCK,
                              .time = FUZZ_NOW,
                              .size = 9,
                              .attest = {134, {0xff}},
                              .signature = {72, {0, 0x18}}};
    switch (index) {
    case 0:
        FUZZ_CHECK(signed_log_head(log, SIZE, &seed));
        break;
    case 1:
        FUZZ_CHECK(signed_log_inclusion(log, 4, SIZE, &seed));
        break;
    case 2:
        FUZZ_CHECK(signed_log_consistency(log, 6, SIZE, &seed));
        break;
    case 3:
        FUZZ_CHECK(log_entry_write(&seed, &entry, NULL) == 0);
        break;
    case 4:
        FUZZ_CHECK(log_entry_write(&seed, &genesis, NULL) == 0);
        break;
    case 5:
        FUZZ_CHECK(log_entry_write(&seed, &change, NULL) == 0);
        break;
    case 6:
        FUZZ_CHECK(log_entry_write(&seed, &operation, NULL) == 0);
        break;
    case 7:
        FUZZ_CHECK(log_entry_write(&seed, &launch, NULL) == 0);
        break;
    case 8:
        FUZZ_CHECK(log_entry_write(&seed, &clock, NULL) == 0);
        break;
    default:
        return 0;
    }
    memcpy(out, seed.data, seed.len);
    return seed.len;
}
