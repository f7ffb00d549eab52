/* What follows from a bundle. */
#include <inttypes.h>
#include <openssl/evp.h>
#include <stddef.h>
#include <string.h>

#include "attest/log/bundle.h"
#include "attest/log/entry.h"

static bool same_state(const struct log_state *a, const struct log_state *b)
{
    return a->size == b->size && log_hash_equal(&a->root, &b->root) && log_hash_equal(&a->id, &b->id);
}

static int check_state(const struct log_receipt *proof, const struct log_head *head, struct cofre_err *err)
{
    return same_state(&proof->head.state, &head->state)
               ? 0
               : cofre_fail(err, COFRE_NEGATIVE, "its receipt is by another head than the bundle's");
}

static int verify_growth(const struct log_head *older, struct view receipt, const struct log_head *head,
                         const struct cose_keys *keys, struct cofre_err *err)
{
    struct log_receipt proof;
    int rc = log_receipt_verify_consistency(&proof, receipt, older, keys, err);
    return rc < 0 ? rc : check_state(&proof, head, err);
}

/* The head that a TPM vouches for is one of this log's. */
static int verify_clock(const struct log_bundle_entry *e, const struct log_head *head,
                        const struct cose_keys *keys, struct cofre_err *err)
{
    struct log_entry read;
    const bool clock =
        e->entry.data && log_entry_read(&read, e->entry, NULL) == 0 && read.kind == LOG_ENTRY_CLOCK;
    if (clock != (e->growth.data != NULL))
        return cofre_fail(err, COFRE_MALFORMED,
                          clock ? "what a TPM vouches for has no proof that it is of this log"
                                : "it has a proof of growth, and is no TPM's word on a head");
    if (!clock)
        return 0;
    const struct log_head older = {
        .state = {.size = (uint64_t)read.size, .root = read.root, .id = head->state.id}};
    int rc = verify_growth(&older, e->growth, head, keys, err);
    return rc < 0 ? cofre_within(err, rc, "the head of which a TPM was told") : 0;
}

static int verify_entry(const struct log_bundle_entry *e, const struct log_head *head,
                        const struct cose_keys *keys, struct cofre_err *err)
{
    struct log_receipt proof;
    int rc = e->entry.data ? log_receipt_verify_inclusion(&proof, e->receipt, e->entry, keys, err)
                           : log_receipt_verify_leaf(&proof, e->receipt, &e->leaf, keys, err);
    if (rc == 0 && proof.inclusion.index != e->number)
        rc = cofre_fail(err, COFRE_NEGATIVE, "its receipt is of entry %" PRIu64, proof.inclusion.index);
    if (rc == 0)
        rc = check_state(&proof, head, err);
    return rc < 0 ? rc : verify_clock(e, head, keys, err);
}

static int verify_entries(struct log_bundle_proven *out, const struct log_bundle *b,
                          const struct cose_keys *keys, struct cofre_err *err)
{
    for (size_t i = 0; i < b->entries; i++) {
        int rc = verify_entry(&b->entry[i], &out->head, keys, err);
        if (rc < 0)
            return cofre_within(err, rc, "entry %" PRIu64, b->entry[i].number);
        out->removed += b->entry[i].entry.data == NULL;
    }
    return 0;
}

static int verify_witness(struct log_bundle_proven *out, const struct log_bundle_witness *w,
                          const struct log_witness *said, const struct cose_keys *keys, struct cofre_err *err)
{
    if (w->growth.data)
        return verify_growth(&said->head, w->growth, &out->head, keys, err);
    return same_state(&said->head.state, &out->head.state)
               ? 0
               : cofre_fail(err, COFRE_NEGATIVE, "%s signed another head than the bundle's", said->head.name);
}

static int verify_witnesses(struct log_bundle_proven *out, const struct log_bundle *b,
                            const struct cose_keys *keys, const struct cose_keys *witness_keys,
                            size_t minimum, struct cofre_err *err)
{
    struct log_witnesses *all = &out->witnesses;
    for (size_t i = 0; i < b->witnesses; i++) {
        struct log_witnesses one;
        int rc = log_witnesses_read(&one, b->witness[i].signature, witness_keys, keys, err);
        if (rc == 0 && one.count != 1)
            rc = cofre_fail(err, COFRE_MALFORMED, "it is not one signature");
        if (rc == 0)
            rc = verify_witness(out, &b->witness[i], &one.witness[0], keys, err);
        for (size_t k = 0; rc == 0 && k < all->count; k++)
            if (EVP_PKEY_eq(all->witness[k].key, one.witness[0].key) == 1)
                rc = cofre_fail(err, COFRE_MALFORMED, "it is by the same key as another");
        if (rc < 0)
            return cofre_within(err, rc, "witness %zu", i + 1);
        all->witness[all->count++] = one.witness[0];
    }
    return log_witnesses_cover(&out->witnessed, all, minimum, err);
}

/* Files */

/* Digests in entries, each of which may be of a file. optional: a length is in front. */
static const struct {
    const char *what;
    size_t offset;
    bool optional;
} digests[] = {
#define AT(NAME) offsetof(struct log_entry, NAME)
    {"evidence", AT(evidence), false},   {"policy", AT(policy), false},
    {"token", AT(token), false},         {"object", AT(digest), false},
    {"before", AT(before), true},        {"after", AT(after), true},
    {"kernel", AT(kernel), true},        {"initrd", AT(initrd), true},
    {"command-line", AT(cmdline), true}, {"firmware", AT(firmware), true},
    {"id-block", AT(id_block), true},    {"evidence", AT(launch_evidence), true},
};

static const char *vouches(const struct log_entry *e, const uint8_t sha256[LOG_HASH_SIZE])
{
    for (size_t i = 0; i < sizeof digests / sizeof *digests; i++) {
        const uint8_t *at = (const uint8_t *)e + digests[i].offset;
        if (digests[i].optional && *at++ != LOG_HASH_SIZE)
            continue;
        if (memcmp(at, sha256, LOG_HASH_SIZE) == 0)
            return digests[i].what;
    }
    return NULL;
}

static int find_voucher(struct log_bundle_voucher *out, const struct log_bundle *b, struct view file,
                        struct cofre_err *err)
{
    uint8_t sha256[LOG_HASH_SIZE];
    if (EVP_Digest(file.data, file.len, sha256, NULL, EVP_sha256(), NULL) != 1)
        return cofre_fail(err, COFRE_FAILED, "SHA-256 failed");
    for (size_t i = 0; i < b->entries && !out->what; i++) {
        struct log_entry e;
        if (!b->entry[i].entry.data || log_entry_read(&e, b->entry[i].entry, NULL) < 0)
            continue;
        out->what = vouches(&e, sha256);
        out->number = b->entry[i].number;
    }
    return 0;
}

int log_bundle_verify(struct log_bundle_proven *out, const struct log_bundle *b, const struct cose_keys *keys,
                      const struct cose_keys *witness_keys, size_t minimum, struct cofre_err *err)
{
    *out = (struct log_bundle_proven){0};
    int rc = log_head_verify(&out->head, b->head, keys, err);
    if (rc < 0)
        return cofre_within(err, rc, "the head");
    rc = verify_entries(out, b, keys, err);
    if (rc == 0 && b->older.data) {
        rc = log_head_verify(&out->older, b->older, keys, err);
        if (rc == 0)
            rc = verify_growth(&out->older, b->growth, &out->head, keys, err);
        rc = rc < 0 ? cofre_within(err, rc, "the older head") : 0;
    }
    if (rc == 0 && witness_keys)
        rc = verify_witnesses(out, b, keys, witness_keys, minimum, err);
    for (size_t i = 0; i < b->files && rc == 0; i++)
        rc = find_voucher(&out->voucher[i], b, b->file[i].data, err);
    return rc;
}
