#include "attest/log/head.h"

#include <string.h>

enum { CLAIM_ISS = 1, CLAIM_SUB = 2, CLAIM_IAT = 6 };

/* Signing */

static void put_claims(struct cose_writer *w, const struct log_head *head)
{
    char id[2 * LOG_HASH_SIZE + 1];
    hex_encode(id, head->state.id.data, LOG_HASH_SIZE);
    cose_begin(w);
    cose_put_int(w, CLAIM_ISS);
    cose_put_text(w, head->name);
    cose_put_int(w, CLAIM_SUB);
    cose_put_text(w, id);
    cose_put_int(w, CLAIM_IAT);
    cose_put_int(w, head->time);
    cose_put_int(w, LOG_CLAIM_SIZE);
    cose_put_int(w, (int64_t)head->state.size);
    cose_end_map(w);
}

static int make_header(struct bytes *out, const struct log_head *head, const struct cose_alg *alg,
                       struct view kid, struct cofre_err *err)
{
    CLEAN_COSE_WRITER w = {0};
    cose_begin(&w);
    cose_put_int(&w, COSE_HEADER_ALG);
    cose_put_int(&w, alg->id);
    cose_put_int(&w, COSE_HEADER_KID);
    cose_put_bytes(&w, kid);
    cose_put_int(&w, COSE_HEADER_CWT_CLAIMS);
    put_claims(&w, head);
    cose_put_int(&w, LOG_HEADER_VDS);
    cose_put_int(&w, LOG_VDS_RFC9162);
    cose_end_map(&w);
    return cose_take(out, &w, err);
}

int log_head_sign(struct bytes *out, const struct log_head *head, EVP_PKEY *key, struct view kid,
                  struct cofre_err *err)
{
    CLEAN_BYTES header = {0};
    const struct cose_alg *alg = cose_alg_of_key(key);
    if (!alg)
        return cofre_fail(err, COFRE_MALFORMED, "a log's key is an EC key of P-256 or P-384");
    int rc = make_header(&header, head, alg, kid, err);
    if (rc < 0)
        return rc;
    struct cose_to_sign in = {.protected = bytes_view(&header),
                              .payload = {head->state.root.data, LOG_HASH_SIZE}};
    return cose_sign1_sign(out, &in, key, err);
}

/* Reading */

static int no_head(struct cofre_err *err, const char *what)
{
    return cofre_fail(err, COFRE_MALFORMED, "%s is missing or is not what it should be", what);
}

static bool read_name(struct log_head *out, const struct cose_item *iss)
{
    if (!iss || iss->kind != COSE_TEXT || iss->data.len > LOG_NAME_MAX)
        return false;
    memcpy(out->name, iss->data.data, iss->data.len);
    out->name[iss->data.len] = 0;
    return true;
}

/* In lower case: a log has one name. */
static bool read_id(struct log_head *out, const struct cose_item *sub)
{
    char text[2 * LOG_HASH_SIZE + 1] = "", same[sizeof text];
    if (!sub || sub->kind != COSE_TEXT || sub->data.len != sizeof text - 1)
        return false;
    memcpy(text, sub->data.data, sub->data.len);
    if (!hex_decode(out->state.id.data, LOG_HASH_SIZE, text))
        return false;
    hex_encode(same, out->state.id.data, LOG_HASH_SIZE);
    return strcmp(same, text) == 0;
}

static int read_claims(struct log_head *out, const struct cose_item *claims, struct cofre_err *err)
{
    int64_t size;
    if (!claims || claims->kind != COSE_MAP)
        return no_head(err, "the header of CWT claims");
    if (!read_name(out, cose_at(claims, CLAIM_ISS)))
        return no_head(err, "the log's name (claim 1)");
    if (!read_id(out, cose_at(claims, CLAIM_SUB)))
        return no_head(err, "the log's id (claim 2)");
    if (!cose_int(&out->time, cose_at(claims, CLAIM_IAT)) || out->time < 0)
        return no_head(err, "the time (claim 6)");
    if (!cose_int(&size, cose_at(claims, LOG_CLAIM_SIZE)) || size < 1 || (uint64_t)size > LOG_SIZE_MAX)
        return no_head(err, "the size (claim -65537)");
    out->state.size = (uint64_t)size;
    return 0;
}

int log_head_read_header(struct log_head *out, const struct cose_sign1 *m, struct cofre_err *err)
{
    int64_t kind;
    const struct cose_item *kid = cose_sign1_header(m, COSE_HEADER_KID);
    *out = (struct log_head){0};
    if (!cose_int(&kind, cose_sign1_header(m, LOG_HEADER_VDS)) || kind != LOG_VDS_RFC9162)
        return no_head(err, "the kind of tree (header 395, RFC9162_SHA256)");
    if (!kid || kid->kind != COSE_BYTES || kid->data.len == 0 || kid->data.len > COSE_KID_MAX)
        return no_head(err, "the protected key id (header 4)");
    return read_claims(out, cose_sign1_header(m, COSE_HEADER_CWT_CLAIMS), err);
}

int log_head_verify_root(const struct cose_sign1 *m, const struct log_hash *root,
                         const struct cose_keys *keys, struct cofre_err *err)
{
    const struct cose_key *key = cose_keys_find(keys, cose_sign1_kid(m));
    if (!key)
        return cofre_fail(err, COFRE_NEGATIVE, "it is signed by none of the keys given");
    struct view payload = {m->detached ? root->data : NULL, m->detached ? LOG_HASH_SIZE : 0};
    int rc = cose_sign1_verify(m, key->key, payload, (struct view){0}, err);
    if (rc == -COFRE_NEGATIVE && m->detached)
        return cofre_fail(err, COFRE_NEGATIVE,
                          "the root that its proof comes to is not the one that was signed");
    return rc;
}

static int read_head(struct log_head *out, const struct cose_sign1 *m, struct cofre_err *err)
{
    int rc = log_head_read_header(out, m, err);
    if (rc == 0 && (m->detached || m->payload.len != LOG_HASH_SIZE))
        rc = no_head(err, "the root (32 bytes of payload)");
    if (rc == 0 && m->unprotected->number != 0)
        rc = cofre_fail(err, COFRE_MALFORMED, "a head has nothing in its unprotected header");
    if (rc == 0)
        memcpy(out->state.root.data, m->payload.data, LOG_HASH_SIZE);
    return rc;
}

int log_head_parse(struct cose_sign1 *out, struct view message, struct cofre_err *err)
{
    static const int64_t labels[] = {COSE_HEADER_CWT_CLAIMS, LOG_HEADER_VDS, 0};
    return cose_sign1_parse(out, message, labels, err);
}

int log_head_read(struct log_head *out, struct view message, struct cofre_err *err)
{
    CLEAN_COSE_SIGN1 m = {0};
    int rc = log_head_parse(&m, message, err);
    return rc < 0 ? rc : read_head(out, &m, err);
}

int log_head_verify(struct log_head *out, struct view message, const struct cose_keys *keys,
                    struct cofre_err *err)
{
    CLEAN_COSE_SIGN1 m = {0};
    int rc = log_head_parse(&m, message, err);
    if (rc == 0)
        rc = read_head(out, &m, err);
    return rc < 0 ? rc : log_head_verify_root(&m, &out->state.root, keys, err);
}
