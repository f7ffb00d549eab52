#include "attest/cose/sign1.h"

#include <openssl/evp.h>

void cose_sign1_free(struct cose_sign1 *m)
{
    cose_doc_free(&m->message);
    cose_doc_free(&m->header);
    *m = (struct cose_sign1){0};
}

const struct cose_item *cose_sign1_header(const struct cose_sign1 *m, int64_t label)
{
    return cose_at(m->header.item, label);
}

struct view cose_sign1_kid(const struct cose_sign1 *m)
{
    const struct cose_item *kid = cose_sign1_header(m, COSE_HEADER_KID);
    if (!kid)
        kid = cose_at(m->unprotected, COSE_HEADER_KID);
    return kid && kid->kind == COSE_BYTES ? kid->data : (struct view){0};
}

static bool is_understood(int64_t label, const int64_t *understood)
{
    for (; understood && *understood; understood++)
        if (*understood == label)
            return true;
    return label == COSE_HEADER_ALG || label == COSE_HEADER_CONTENT_TYPE || label == COSE_HEADER_KID;
}

static int check_critical(const struct cose_sign1 *m, const int64_t *understood, struct cofre_err *err)
{
    const struct cose_item *list = cose_sign1_header(m, COSE_HEADER_CRIT);
    int64_t label;
    if (cose_at(m->unprotected, COSE_HEADER_CRIT))
        return cofre_fail(err, COFRE_MALFORMED, "\"crit\" is not in the protected header");
    if (!list)
        return 0;
    if (list->kind != COSE_ARRAY || list->number == 0)
        return cofre_fail(err, COFRE_MALFORMED, "\"crit\" is no list of headers");
    const struct cose_item *at = cose_first(list);
    for (uint64_t i = 0; i < list->number; i++, at = cose_behind(at)) {
        if (!cose_int(&label, at) || !is_understood(label, understood))
            return cofre_fail(err, COFRE_MALFORMED, "a header that is critical is not understood here");
        if (!cose_sign1_header(m, label))
            return cofre_fail(err, COFRE_MALFORMED,
                              "a header that is critical is not in the protected header");
    }
    return 0;
}

static int check_headers(struct cose_sign1 *m, struct cofre_err *err)
{
    const struct cose_item *alg = cose_sign1_header(m, COSE_HEADER_ALG);
    const struct cose_item *key = cose_first(m->unprotected);
    int64_t id, label;
    for (uint64_t i = 0; i < m->unprotected->number; i++, key = cose_behind(key + 1))
        if (cose_int(&label, key) && cose_sign1_header(m, label))
            return cofre_fail(err, COFRE_MALFORMED, "a header is both protected and not");
    if (!alg)
        return cofre_fail(err, COFRE_MALFORMED, "the protected header names no algorithm");
    m->alg = cose_int(&id, alg) ? cose_alg_find(id) : NULL;
    return m->alg
               ? 0
               : cofre_fail(err, COFRE_MALFORMED,
                            "the algorithm is neither ES256 (-7), ES384 (-35), ESP256 (-9) nor ESP384 (-51)");
}

static int read_protected(struct cose_sign1 *m, struct view bytes, struct cofre_err *err)
{
    m->protected = bytes;
    int rc = bytes.len ? cose_read(&m->header, bytes, err) : 0;
    if (rc == 0 && bytes.len && m->header.item->kind != COSE_MAP)
        rc = cofre_fail(err, COFRE_MALFORMED, "it is no map");
    return rc < 0 ? cofre_within(err, rc, "the protected header") : 0;
}

/* [protected, unprotected, payload, signature], tagged */
static int read_parts(struct cose_sign1 *m, struct cofre_err *err)
{
    const struct cose_item *tag = m->message.item, *part[4];
    if (tag->kind != COSE_TAG || tag->number != COSE_TAG_SIGN1 || tag[1].kind != COSE_ARRAY ||
        tag[1].number != 4)
        return cofre_fail(err, COFRE_MALFORMED, "it is no COSE_Sign1 (tag %d, and four parts)",
                          COSE_TAG_SIGN1);
    part[0] = cose_first(tag + 1);
    for (int i = 1; i < 4; i++)
        part[i] = cose_behind(part[i - 1]);
    if (part[0]->kind != COSE_BYTES || part[1]->kind != COSE_MAP || part[3]->kind != COSE_BYTES ||
        (part[2]->kind != COSE_BYTES && part[2]->kind != COSE_NULL))
        return cofre_fail(err, COFRE_MALFORMED,
                          "a part of the COSE_Sign1 is of another type than it should be");
    m->unprotected = part[1];
    m->detached = part[2]->kind == COSE_NULL;
    m->payload = part[2]->data;
    m->signature = part[3]->data;
    return read_protected(m, part[0]->data, err);
}

int cose_sign1_parse(struct cose_sign1 *out, struct view message, const int64_t *understood,
                     struct cofre_err *err)
{
    *out = (struct cose_sign1){0};
    int rc = cose_read(&out->message, message, err);
    if (rc == 0)
        rc = read_parts(out, err);
    if (rc == 0)
        rc = check_headers(out, err);
    if (rc == 0)
        rc = check_critical(out, understood, err);
    if (rc == 0 && out->signature.len != 2 * out->alg->curve->size)
        rc = cofre_fail(err, COFRE_MALFORMED, "the signature has %zu bytes; %s's have %zu",
                        out->signature.len, out->alg->name, 2 * out->alg->curve->size);
    if (rc < 0)
        cose_sign1_free(out);
    return rc;
}

/* Section 4.4: an empty protected header is no bytes, however it came. */
static int to_be_signed(struct bytes *out, struct view protected, bool empty, struct view payload,
                        struct view external_aad, struct cofre_err *err)
{
    CLEAN_COSE_WRITER w = {0};
    cose_begin(&w);
    cose_put_text(&w, "Signature1");
    cose_put_bytes(&w, empty ? (struct view){0} : protected);
    cose_put_bytes(&w, external_aad);
    cose_put_bytes(&w, payload);
    cose_end_array(&w);
    return cose_take(out, &w, err);
}

int cose_sign1_verify(const struct cose_sign1 *m, EVP_PKEY *key, struct view payload,
                      struct view external_aad, struct cofre_err *err)
{
    CLEAN_BYTES message = {0};
    if (m->detached != (payload.data != NULL))
        return cofre_fail(err, COFRE_NEGATIVE,
                          m->detached ? "the payload is detached, and was not given"
                                      : "the payload is in the message, and another was given");
    if (!ecdsa_is_key(m->alg->curve, key))
        return cofre_fail(err, COFRE_NEGATIVE, "the algorithm is %s, and the key is not of %s", m->alg->name,
                          m->alg->curve->name);
    int rc = to_be_signed(&message, m->protected, m->header.count <= 1, m->detached ? payload : m->payload,
                          external_aad, err);
    return rc < 0 ? rc : ecdsa_verify(m->alg->curve, m->signature.data, key, bytes_view(&message), err);
}

static int write_message(struct bytes *out, const struct cose_to_sign *in, struct view signature,
                         struct cofre_err *err)
{
    CLEAN_COSE_WRITER w = {0};
    cose_put_tag(&w, COSE_TAG_SIGN1);
    cose_begin(&w);
    cose_put_bytes(&w, in->protected);
    if (in->unprotected.len) {
        cose_put_encoded(&w, in->unprotected);
    } else {
        cose_begin(&w);
        cose_end_map(&w);
    }
    if (in->detach)
        cose_put_null(&w);
    else
        cose_put_bytes(&w, in->payload);
    cose_put_bytes(&w, signature);
    cose_end_array(&w);
    return cose_take(out, &w, err);
}

int cose_sign1_sign(struct bytes *out, const struct cose_to_sign *in, EVP_PKEY *key, struct cofre_err *err)
{
    CLEAN_COSE_DOC header = {0};
    CLEAN_BYTES message = {0};
    uint8_t signature[2 * ECDSA_SIZE_MAX];
    int64_t id = 0;
    int rc = cose_read(&header, in->protected, err);
    if (rc < 0)
        return cofre_within(err, rc, "the protected header");
    const struct cose_alg *alg =
        cose_int(&id, cose_at(header.item, COSE_HEADER_ALG)) ? cose_alg_find(id) : NULL;
    if (!alg || !ecdsa_is_key(alg->curve, key))
        return cofre_fail(err, COFRE_MALFORMED, "the algorithm in the protected header is not the key's");
    rc = to_be_signed(&message, in->protected, false, in->payload, in->external_aad, err);
    if (rc == 0)
        rc = ecdsa_sign(signature, alg->curve, key, bytes_view(&message), err);
    return rc < 0 ? rc : write_message(out, in, (struct view){signature, 2 * alg->curve->size}, err);
}

int cose_put_signer(struct cose_writer *w, const EVP_PKEY *key, struct cofre_err *err)
{
    uint8_t kid[COSE_THUMBPRINT_SIZE];
    int rc = cose_key_thumbprint(kid, key, err);
    if (rc < 0)
        return rc;
    cose_put_int(w, COSE_HEADER_ALG);
    cose_put_int(w, cose_alg_of_key(key)->id);
    cose_put_int(w, COSE_HEADER_KID);
    cose_put_bytes(w, (struct view){kid, sizeof kid});
    return 0;
}
