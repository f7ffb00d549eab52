/* A CoRIM from its bytes: the envelope, and what is said of the whole. */
#include <string.h>

#include "attest/corim/parts.h"
#include "attest/cose/sign1.h"

enum { CLAIM_ISS = 1, CLAIM_EXP = 4, CLAIM_NBF = 5 };

void corim_free(struct corim *corim)
{
    references_free(&corim->values);
}

bool corim_recognises(struct view file)
{
    CLEAN_COSE_SIGN1 m = {0};
    if (file.len > 3 && memcmp(file.data, "\xd9\x01\xf5", 3) == 0)
        return true;
    return file.len > 2 && memcmp(file.data, "\xd2\x84", 2) == 0 &&
           cose_sign1_parse(&m, file, (const int64_t[]){COSE_HEADER_CWT_CLAIMS, CORIM_HEADER_META, 0},
                            NULL) == 0 &&
           cose_is_text(cose_sign1_header(&m, COSE_HEADER_CONTENT_TYPE), CORIM_CONTENT_TYPE);
}

bool corim_is_signed(struct view file)
{
    return file.len && file.data[0] == (0xc0 | COSE_TAG_SIGN1);
}

static int read_profile(struct corim *out, const struct cose_item *profile, struct cofre_err *err)
{
    const bool uri = profile && profile->kind == COSE_TAG && profile->number == CORIM_TAG_URI;
    if (!profile)
        return corim_no(err, "it names no profile, and so does not say how its values are to be read");
    if (uri && cose_is_text(profile + 1, CORIM_AMD_PROFILE))
        out->tee = REFERENCE_SNP;
    else if (corim_is_oid(profile, (struct view){corim_intel_profile, sizeof corim_intel_profile}))
        out->tee = REFERENCE_TDX;
    else
        return corim_no(err, "its profile is neither AMD's for SEV-SNP nor Intel's: it cannot be read here");
    return 0;
}

static int read_roles(struct corim_entity *out, const struct cose_item *roles, struct cofre_err *err)
{
    if (!roles || roles->kind != COSE_ARRAY || roles->number == 0)
        return corim_no(err, "it has no roles");
    const struct cose_item *role = cose_first(roles);
    for (uint64_t i = 0; i < roles->number; i++, role = cose_behind(role)) {
        int64_t number;
        if (!cose_int(&number, role) || number < 0 || number > 30)
            return corim_no(err, "it has a role that is no number from 0 to 30");
        out->roles |= 1u << number;
    }
    return 0;
}

static int read_entity(struct corim *out, const struct cose_item *entity, struct cofre_err *err)
{
    struct corim_entity *to = &out->entity[out->entities];
    int rc = CORIM_CHECK_KEYS(entity, "an entity", err, 0, 1, 2);
    if (rc == 0 && !corim_text(to->name, CORIM_ENTITY_MAX, cose_at(entity, 0)))
        rc = corim_no(err, "an entity has no name of 1 to %d bytes", CORIM_ENTITY_MAX);
    if (rc < 0)
        return rc;
    rc = read_roles(to, cose_at(entity, 2), err);
    out->entities += rc == 0;
    return rc < 0 ? cofre_within(err, rc, "the entity \"%s\"", to->name) : 0;
}

static int read_entities(struct corim *out, const struct cose_item *list, struct cofre_err *err)
{
    if (!list)
        return 0;
    if (list->kind != COSE_ARRAY || list->number == 0 || list->number > CORIM_ENTITIES_MAX)
        return corim_no(err, "its entities are no list of 1 to %d", CORIM_ENTITIES_MAX);
    const struct cose_item *entity = cose_first(list);
    int rc = 0;
    for (uint64_t i = 0; i < list->number && rc == 0; i++, entity = cose_behind(entity))
        rc = read_entity(out, entity, err);
    return rc;
}

static int read_tags(struct corim *out, const struct cose_item *list, struct cofre_err *err)
{
    if (!list || list->kind != COSE_ARRAY || list->number == 0)
        return corim_no(err, "it has no tags");
    const struct cose_item *tag = cose_first(list);
    int rc = 0;
    for (uint64_t i = 0; i < list->number && rc == 0; i++, tag = cose_behind(tag)) {
        if (tag->kind != COSE_TAG || tag->number != CORIM_TAG_COMID || tag[1].kind != COSE_BYTES)
            return corim_no(err, "tag %llu is no CoMID, which alone is read here", (unsigned long long)i);
        rc = corim_read_comid(out, tag[1].data, err);
        if (rc < 0)
            return cofre_within(err, rc, "tag %llu", (unsigned long long)i);
    }
    return rc;
}

static int read_map(struct corim *out, const struct cose_item *map, struct cofre_err *err)
{
    int rc = CORIM_CHECK_KEYS(map, "the CoRIM", err, CORIM_ID, CORIM_TAGS, CORIM_PROFILE, CORIM_VALIDITY,
                              CORIM_ENTITIES_KEY);
    if (rc == 0 && !corim_text(out->id, CORIM_ID_MAX, cose_at(map, CORIM_ID)))
        rc = corim_no(err, "it has no id of 1 to %d bytes", CORIM_ID_MAX);
    if (rc == 0)
        rc = read_profile(out, cose_at(map, CORIM_PROFILE), err);
    if (rc == 0 && cose_at(map, CORIM_VALIDITY))
        rc = corim_read_validity(&out->from, &out->until, cose_at(map, CORIM_VALIDITY), err);
    if (rc == 0)
        rc = read_entities(out, cose_at(map, CORIM_ENTITIES_KEY), err);
    return rc < 0 ? rc : read_tags(out, cose_at(map, CORIM_TAGS), err);
}

static int read_plain(struct corim *out, struct view file, struct cofre_err *err)
{
    CLEAN_COSE_DOC doc = {0};
    int rc = cose_read(&doc, file, err);
    if (rc == 0 && (doc.item->kind != COSE_TAG || doc.item->number != CORIM_TAG))
        rc = corim_no(err, "it is no CoRIM (tag %d)", CORIM_TAG);
    return rc < 0 ? rc : read_map(out, doc.item + 1, err);
}

/* The signed header */

static int read_claims(struct corim *out, const struct cose_item *claims, struct cofre_err *err)
{
    int64_t time;
    if (claims->kind != COSE_MAP || !corim_text(out->signer, CORIM_ENTITY_MAX, cose_at(claims, CLAIM_ISS)))
        return corim_no(err, "its header of CWT claims names no issuer of 1 to %d bytes", CORIM_ENTITY_MAX);
    const struct cose_item *exp = cose_at(claims, CLAIM_EXP), *nbf = cose_at(claims, CLAIM_NBF);
    if (exp && !cose_int(&time, exp))
        return corim_no(err, "its header has an end of validity that is not in whole seconds");
    if (exp && time < out->until)
        out->until = time;
    if (nbf && !cose_int(&time, nbf))
        return corim_no(err, "its header has a start of validity that is not in whole seconds");
    if (nbf && time > out->from)
        out->from = time;
    return 0;
}

static int read_meta(struct corim *out, const struct cose_item *bytes, struct cofre_err *err)
{
    CLEAN_COSE_DOC doc = {0};
    char name[CORIM_ENTITY_MAX + 1];
    if (bytes->kind != COSE_BYTES)
        return corim_no(err, "its header of metadata is no bytes");
    int rc = cose_read(&doc, bytes->data, err);
    if (rc == 0)
        rc = CORIM_CHECK_KEYS(doc.item, "the metadata", err, 0, 1);
    if (rc == 0)
        rc = CORIM_CHECK_KEYS(cose_at(doc.item, 0), "the metadata's signer", err, 0, 1);
    if (rc == 0 && !corim_text(name, CORIM_ENTITY_MAX, cose_at(cose_at(doc.item, 0), 0)))
        rc = corim_no(err, "the metadata names no signer of 1 to %d bytes", CORIM_ENTITY_MAX);
    if (rc == 0 && out->signer[0] && strcmp(out->signer, name) != 0)
        rc = corim_no(err, "its header names two signers that differ");
    if (rc == 0 && cose_at(doc.item, 1))
        rc = corim_read_validity(&out->from, &out->until, cose_at(doc.item, 1), err);
    if (rc == 0)
        strcpy(out->signer, name);
    return rc;
}

static int read_header(struct corim *out, const struct cose_sign1 *m, struct cofre_err *err)
{
    const struct cose_item *claims = cose_sign1_header(m, COSE_HEADER_CWT_CLAIMS),
                           *meta = cose_sign1_header(m, CORIM_HEADER_META);
    if (!cose_is_text(cose_sign1_header(m, COSE_HEADER_CONTENT_TYPE), CORIM_CONTENT_TYPE))
        return corim_no(err, "its content type is not " CORIM_CONTENT_TYPE);
    if (!claims && !meta)
        return corim_no(err, "its header has neither CWT claims (15) nor metadata (8): nobody is named");
    if (m->detached)
        return corim_no(err, "its payload is not in it");
    int rc = claims ? read_claims(out, claims, err) : 0;
    return rc == 0 && meta ? read_meta(out, meta, err) : rc;
}

static const int64_t understood[] = {COSE_HEADER_CWT_CLAIMS, CORIM_HEADER_META, 0};

static int read_signed(struct corim *out, const struct cose_sign1 *m, struct cofre_err *err)
{
    out->is_signed = true;
    int rc = read_header(out, m, err);
    return rc < 0 ? rc : read_plain(out, m->payload, err);
}

static int read_any(struct corim *out, struct view file, struct cofre_err *err)
{
    CLEAN_COSE_SIGN1 m = {0};
    if (!corim_is_signed(file))
        return read_plain(out, file, err);
    int rc = cose_sign1_parse(&m, file, understood, err);
    return rc < 0 ? rc : read_signed(out, &m, err);
}

static void begin(struct corim *out)
{
    *out = (struct corim){.until = INT64_MAX};
}

int corim_read(struct corim *out, struct view file, struct cofre_err *err)
{
    begin(out);
    int rc = file.len > CORIM_FILE_MAX
                 ? corim_no(err, "%zu bytes; none has more than %u", file.len, CORIM_FILE_MAX)
                 : read_any(out, file, err);
    if (rc < 0)
        corim_free(out);
    return rc;
}

/* By the kid where there is one; else every key is tried. */
static int find_signer(uint8_t signer[COSE_THUMBPRINT_SIZE], const struct cose_sign1 *m,
                       const struct cose_keys *keys, struct cofre_err *err)
{
    const struct view kid = cose_sign1_kid(m), none = {0};
    for (size_t i = 0; i < keys->count; i++) {
        int rc = cose_key_thumbprint(signer, keys->key[i].key, err);
        if (rc < 0)
            return rc;
        const struct view own = {keys->key[i].kid, keys->key[i].kid_len},
                          thumb = {signer, COSE_THUMBPRINT_SIZE};
        if ((kid.len == 0 || view_equal(kid, own) || view_equal(kid, thumb)) &&
            cose_sign1_verify(m, keys->key[i].key, none, none, NULL) == 0)
            return 0;
    }
    return cofre_fail(err, COFRE_NEGATIVE, "it is signed by none of the keys that are trusted for it");
}

int corim_verify(struct corim *out, uint8_t signer[COSE_THUMBPRINT_SIZE], struct view file,
                 const struct cose_keys *keys, struct cofre_err *err)
{
    CLEAN_COSE_SIGN1 m = {0};
    begin(out);
    int rc = file.len > CORIM_FILE_MAX
                 ? corim_no(err, "%zu bytes; none has more than %u", file.len, CORIM_FILE_MAX)
                 : cose_sign1_parse(&m, file, understood, err);
    if (rc == 0 && m.detached)
        rc = corim_no(err, "its payload is not in it");
    if (rc == 0)
        rc = find_signer(signer, &m, keys, err);
    if (rc == 0)
        rc = read_signed(out, &m, err);
    if (rc < 0)
        corim_free(out);
    return rc;
}
