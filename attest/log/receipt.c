#include "attest/log/receipt.h"

#include <inttypes.h>
#include <string.h>

/* Labels of the kinds of proofs in header 396; both have two numbers and a path. */
static const int64_t label_of[] = {[LOG_RECEIPT_INCLUSION] = -1, [LOG_RECEIPT_CONSISTENCY] = -2};

/* Making */

static int make_proof(struct bytes *out, uint64_t first, uint64_t second, const struct log_path *path,
                      struct cofre_err *err)
{
    CLEAN_COSE_WRITER w = {0};
    if (path->count == 0)
        return cofre_fail(err, COFRE_USAGE, "a proof without a hash has no receipt");
    cose_begin(&w);
    cose_put_int(&w, (int64_t)first);
    cose_put_int(&w, (int64_t)second);
    cose_begin(&w);
    for (size_t i = 0; i < path->count; i++)
        cose_put_bytes(&w, (struct view){path->hash[i].data, LOG_HASH_SIZE});
    cose_end_array(&w);
    cose_end_array(&w);
    return cose_take(out, &w, err);
}

static int make_message(struct bytes *out, const struct cose_sign1 *head, enum log_receipt_kind kind,
                        struct view proof, struct cofre_err *err)
{
    CLEAN_COSE_WRITER w = {0};
    cose_put_tag(&w, COSE_TAG_SIGN1);
    cose_begin(&w);
    cose_put_bytes(&w, head->protected);
    cose_begin(&w);
    cose_put_int(&w, LOG_HEADER_PROOFS);
    cose_begin(&w);
    cose_put_int(&w, label_of[kind]);
    cose_begin(&w);
    cose_put_bytes(&w, proof);
    cose_end_array(&w);
    cose_end_map(&w);
    cose_end_map(&w);
    cose_put_null(&w);
    cose_put_bytes(&w, head->signature);
    cose_end_array(&w);
    return cose_take(out, &w, err);
}

int log_receipt_make(struct bytes *out, struct view head, const struct log_receipt *proof,
                     struct cofre_err *err)
{
    CLEAN_COSE_SIGN1 m = {0};
    CLEAN_BYTES encoded = {0};
    struct log_head signed_head;
    const struct log_inclusion *in = &proof->inclusion;
    const struct log_consistency *con = &proof->consistency;
    bool inclusion = proof->kind == LOG_RECEIPT_INCLUSION;
    int rc = log_head_parse(&m, head, err);
    if (rc == 0)
        rc = log_head_read_header(&signed_head, &m, err);
    if (rc == 0 && signed_head.state.size != (inclusion ? in->size : con->size2))
        rc = cofre_fail(err, COFRE_USAGE, "the proof is not for as many entries as the head");
    if (rc < 0)
        return rc;
    rc = inclusion ? make_proof(&encoded, in->size, in->index, &in->path, err)
                   : make_proof(&encoded, con->size1, con->size2, &con->path, err);
    return rc < 0 ? rc : make_message(out, &m, proof->kind, bytes_view(&encoded), err);
}

/* Reading */

static int no_proof(struct cofre_err *err, const char *what)
{
    return cofre_fail(err, COFRE_MALFORMED, "the proof %s", what);
}

static int read_path(struct log_path *out, const struct cose_item *list, struct cofre_err *err)
{
    if (list->kind != COSE_ARRAY || list->number == 0)
        return no_proof(err, "has no path of hashes");
    if (list->number > LOG_PATH_MAX)
        return no_proof(err, "has more hashes than any tree asks for");
    const struct cose_item *hash = cose_first(list);
    for (out->count = 0; out->count < list->number; out->count++, hash = cose_behind(hash)) {
        if (hash->kind != COSE_BYTES || hash->data.len != LOG_HASH_SIZE)
            return no_proof(err, "has a hash that is not of 32 bytes");
        memcpy(out->hash[out->count].data, hash->data.data, LOG_HASH_SIZE);
    }
    return 0;
}

/* [first, second, path], as the content of a byte string. */
static int read_proof(uint64_t number[2], struct log_path *path, struct view encoded, struct cofre_err *err)
{
    CLEAN_COSE_DOC doc = {0};
    int rc = cose_read(&doc, encoded, err);
    if (rc < 0)
        return cofre_within(err, rc, "the proof");
    if (doc.item->kind != COSE_ARRAY || doc.item->number != 3)
        return no_proof(err, "is no list of two numbers and a path");
    const struct cose_item *at = cose_first(doc.item);
    for (int i = 0; i < 2; i++, at = cose_behind(at)) {
        if (at->kind != COSE_UINT || at->number > LOG_SIZE_MAX)
            return no_proof(err, "is no list of two numbers and a path");
        number[i] = at->number;
    }
    return read_path(path, at, err);
}

/* The one proof of the one kind. */
static int find_proof(enum log_receipt_kind *kind, struct view *encoded, const struct cose_sign1 *m,
                      struct cofre_err *err)
{
    const struct cose_item *proofs = cose_at(m->unprotected, LOG_HEADER_PROOFS);
    if (!proofs || proofs->kind != COSE_MAP)
        return cofre_fail(err, COFRE_MALFORMED, "it has no proofs (header 396)");
    for (*kind = LOG_RECEIPT_INCLUSION; *kind <= LOG_RECEIPT_CONSISTENCY; ++*kind) {
        const struct cose_item *list = cose_at(proofs, label_of[*kind]), *proof;
        if (!list)
            continue;
        proof = cose_first(list);
        if (proofs->number != 1 || list->kind != COSE_ARRAY || list->number != 1 || proof->kind != COSE_BYTES)
            break;
        *encoded = proof->data;
        return 0;
    }
    return cofre_fail(err, COFRE_MALFORMED, "it has not one proof, of inclusion (-1) or consistency (-2)");
}

static int read_receipt(struct log_receipt *out, const struct cose_sign1 *m, struct cofre_err *err)
{
    struct view encoded;
    struct log_path path = {0};
    uint64_t number[2] = {0};
    *out = (struct log_receipt){0};
    int rc = log_head_read_header(&out->head, m, err);
    if (rc == 0 && !m->detached)
        rc = cofre_fail(err, COFRE_MALFORMED, "it has a root of its own, which its proof gives");
    if (rc == 0)
        rc = find_proof(&out->kind, &encoded, m, err);
    if (rc == 0)
        rc = read_proof(number, &path, encoded, err);
    if (rc < 0)
        return rc;
    if (out->kind == LOG_RECEIPT_INCLUSION)
        out->inclusion = (struct log_inclusion){number[0], number[1], path};
    else
        out->consistency = (struct log_consistency){number[0], number[1], path};
    uint64_t size = out->kind == LOG_RECEIPT_INCLUSION ? number[0] : number[1];
    if (size != out->head.state.size)
        return cofre_fail(err, COFRE_MALFORMED,
                          "its proof is for %" PRIu64 " entries, and signed are %" PRIu64, size,
                          out->head.state.size);
    return 0;
}

int log_receipt_read(struct log_receipt *out, struct view message, struct cofre_err *err)
{
    CLEAN_COSE_SIGN1 m = {0};
    int rc = log_head_parse(&m, message, err);
    return rc < 0 ? rc : read_receipt(out, &m, err);
}

/* Verifying */

static int read_kind(struct log_receipt *out, struct cose_sign1 *m, struct view message,
                     enum log_receipt_kind kind, struct cofre_err *err)
{
    int rc = log_head_parse(m, message, err);
    if (rc == 0)
        rc = read_receipt(out, m, err);
    if (rc == 0 && out->kind != kind)
        rc = cofre_fail(err, COFRE_NEGATIVE, "it is a receipt of %s",
                        out->kind == LOG_RECEIPT_INCLUSION ? "inclusion" : "consistency");
    return rc;
}

int log_receipt_verify_inclusion(struct log_receipt *proof, struct view message, struct view entry,
                                 const struct cose_keys *keys, struct cofre_err *err)
{
    CLEAN_HASHER h = {0};
    struct log_hash leaf;
    int rc = log_hasher_init(&h, err);
    if (rc == 0)
        rc = log_hash_leaf(&h, &leaf, entry, err);
    return rc < 0 ? rc : log_receipt_verify_leaf(proof, message, &leaf, keys, err);
}

int log_receipt_verify_leaf(struct log_receipt *proof, struct view message, const struct log_hash *leaf,
                            const struct cose_keys *keys, struct cofre_err *err)
{
    CLEAN_COSE_SIGN1 m = {0};
    int rc = read_kind(proof, &m, message, LOG_RECEIPT_INCLUSION, err);
    if (rc == 0)
        rc = log_inclusion_root(&proof->head.state.root, &proof->inclusion, leaf, err);
    return rc < 0 ? rc : log_head_verify_root(&m, &proof->head.state.root, keys, err);
}

int log_receipt_verify_consistency(struct log_receipt *proof, struct view message,
                                   const struct log_head *older, const struct cose_keys *keys,
                                   struct cofre_err *err)
{
    CLEAN_COSE_SIGN1 m = {0};
    int rc = read_kind(proof, &m, message, LOG_RECEIPT_CONSISTENCY, err);
    if (rc == 0 && !log_hash_equal(&proof->head.state.id, &older->state.id))
        rc = cofre_fail(err, COFRE_NEGATIVE, "it is of another log");
    if (rc == 0 && proof->consistency.size1 != older->state.size)
        rc = cofre_fail(err, COFRE_NEGATIVE,
                        "it starts from %" PRIu64 " entries, and the older head has %" PRIu64,
                        proof->consistency.size1, older->state.size);
    if (rc == 0)
        rc = log_consistency_root(&proof->head.state.root, &proof->consistency, &older->state.root, err);
    return rc < 0 ? rc : log_head_verify_root(&m, &proof->head.state.root, keys, err);
}
