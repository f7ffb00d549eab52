#include "attest/log/witness.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/timestamp.h"

/* "7 entries, root ab12..., signed 2025-06-20T00:00:00Z" */
#define HEAD_TEXT_SIZE 192
static const char *head_text(char out[HEAD_TEXT_SIZE], const struct log_head *head)
{
    char root[2 * LOG_HASH_SIZE + 1], time[TIME_TEXT_SIZE];
    hex_encode(root, head->state.root.data, LOG_HASH_SIZE);
    time_format(time, head->time);
    (void)snprintf(out, HEAD_TEXT_SIZE, "%" PRIu64 " entries, root %s, signed %s", head->state.size, root,
                   time);
    return out;
}

static int refuse(const struct log_head *known, const struct log_head *seen, const char *why,
                  struct cofre_err *err)
{
    char a[HEAD_TEXT_SIZE], b[HEAD_TEXT_SIZE];
    return cofre_fail(err, COFRE_NEGATIVE, "%s. Seen before: %s. Shown now: %s", why, head_text(a, known),
                      head_text(b, seen));
}

int log_witness_fork(const struct log_head *known, const struct log_head *seen, struct cofre_err *err)
{
    return refuse(known, seen, "the log is forked: its keeper signed two that do not grow out of one another",
                  err);
}

int log_witness_compare(const struct log_head *known, const struct log_head *seen, struct cofre_err *err)
{
    if (!log_hash_equal(&known->state.id, &seen->state.id))
        return refuse(known, seen, "it is the head of another log", err);
    if (seen->state.size < known->state.size)
        return refuse(known, seen, "the log has become shorter", err);
    if (seen->state.size == known->state.size && !log_hash_equal(&known->state.root, &seen->state.root))
        return log_witness_fork(known, seen, err);
    return 0;
}

/* Reading signatures */

static bool is_among(const EVP_PKEY *key, const struct cose_keys *keys)
{
    for (size_t i = 0; i < keys->count; i++)
        if (EVP_PKEY_eq(key, keys->key[i].key) == 1)
            return true;
    return false;
}

/* By the key, whatever it is called: nobody counts twice. */
static struct log_witness *place_of(struct log_witnesses *w, const EVP_PKEY *key)
{
    for (size_t i = 0; i < w->count; i++)
        if (EVP_PKEY_eq(key, w->witness[i].key) == 1)
            return &w->witness[i];
    w->witness[w->count] = (struct log_witness){.key = key};
    return &w->witness[w->count++];
}

static int read_signature(struct log_witnesses *out, struct view message,
                          const struct cose_keys *witness_keys, const struct cose_keys *log_keys,
                          struct cofre_err *err)
{
    CLEAN_COSE_SIGN1 m = {0};
    struct log_head head;
    int rc = log_head_verify(&head, message, witness_keys, err);
    if (rc == 0)
        rc = log_head_parse(&m, message, err);
    if (rc < 0)
        return rc;
    const EVP_PKEY *key = cose_keys_find(witness_keys, cose_sign1_kid(&m))->key;
    if (is_among(key, log_keys))
        return cofre_fail(err, COFRE_NEGATIVE,
                          "it is by a key of the log itself, whose keeper is no witness");
    struct log_witness *witness = place_of(out, key);
    if (head.state.size > witness->head.state.size) {
        witness->head = head;
        witness->message = message;
    }
    return 0;
}

int log_witnesses_read(struct log_witnesses *out, struct view sequence, const struct cose_keys *witness_keys,
                       const struct cose_keys *log_keys, struct cofre_err *err)
{
    CLEAN_COSE_DOC doc = {0};
    out->count = 0;
    int rc = cose_read_sequence(&doc, sequence, err);
    const struct cose_item *item = doc.item;
    for (size_t n = 1; rc == 0 && item < doc.item + doc.count; item = cose_behind(item), n++) {
        rc = read_signature(out, item->whole, witness_keys, log_keys, err);
        if (rc < 0)
            return cofre_within(err, rc, "witness signature %zu", n);
    }
    return rc;
}

static int by_size(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x < y) - (x > y);
}

int log_witnesses_cover(uint64_t *size, const struct log_witnesses *witnesses, size_t minimum,
                        struct cofre_err *err)
{
    uint64_t sizes[COSE_KEYS_MAX];
    if (minimum > witnesses->count)
        return cofre_fail(err, COFRE_NEGATIVE, "%zu witnesses have signed it, of the %zu that are asked for",
                          witnesses->count, minimum);
    for (size_t i = 0; i < witnesses->count; i++)
        sizes[i] = witnesses->witness[i].head.state.size;
    qsort(sizes, witnesses->count, sizeof *sizes, by_size);
    *size = minimum ? sizes[minimum - 1] : 0;
    return 0;
}
