#include "tests/unit/log/signed_log.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <string.h>

#define TIME 1717200000

bool signed_log_make(struct signed_log *log, const char *curve, uint8_t seed)
{
    *log = (struct signed_log){0};
    struct log_hash_list list = memory_list_functions(&log->list);
    struct cose_key *key = &log->keys.key[log->keys.count++];
    key->key = EVP_EC_gen(curve);
    key->alg = cose_alg_of_key(key->key);
    key->kid_len = 3;
    memcpy(key->kid, "log", 3);
    bool ok = key->alg && log_tree_open(&log->tree, &list, 0, NULL) == 0;
    for (uint8_t i = 0; ok && i < SIGNED_LOG_SIZE; i++) {
        uint8_t entry = i == 0 ? seed : i;
        ok = log_tree_append(&log->tree, (struct view){&entry, 1}, NULL) == 0;
    }
    return ok && log_tree_root(&log->tree, 1, &log->id, NULL) == 0;
}

void signed_log_free(struct signed_log *log)
{
    log_tree_close(&log->tree);
    memory_list_free(&log->list);
    cose_keys_free(&log->keys);
}

bool signed_log_head(struct signed_log *log, uint64_t size, struct bytes *out)
{
    struct log_head head = {.time = TIME + (int64_t)size, .name = "test log"};
    head.state.size = size;
    head.state.id = log->id;
    return log_tree_root(&log->tree, size, &head.state.root, NULL) == 0 &&
           log_head_sign(out, &head, log->keys.key[0].key, (struct view){log->keys.key[0].kid, 3}, NULL) == 0;
}

bool signed_log_inclusion(struct signed_log *log, uint64_t index, uint64_t size, struct bytes *out)
{
    CLEAN_BYTES head = {0};
    struct log_receipt proof = {.kind = LOG_RECEIPT_INCLUSION, .inclusion = {.size = size, .index = index}};
    return signed_log_head(log, size, &head) &&
           log_tree_prove_inclusion(&log->tree, &proof.inclusion, NULL) == 0 &&
           log_receipt_make(out, bytes_view(&head), &proof, NULL) == 0;
}

bool signed_log_consistency(struct signed_log *log, uint64_t size1, uint64_t size2, struct bytes *out)
{
    CLEAN_BYTES head = {0};
    struct log_receipt proof = {.kind = LOG_RECEIPT_CONSISTENCY,
                                .consistency = {.size1 = size1, .size2 = size2}};
    return signed_log_head(log, size2, &head) &&
           log_tree_prove_consistency(&log->tree, &proof.consistency, NULL) == 0 &&
           log_receipt_make(out, bytes_view(&head), &proof, NULL) == 0;
}
