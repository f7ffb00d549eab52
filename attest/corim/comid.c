/* A concise module identifier: here, one reference value by its name and version. */
#include <string.h>

#include "attest/corim/parts.h"

enum { TRIPLES_REFERENCE = 0 };
enum { CLASS_ID, CLASS_VENDOR, CLASS_MODEL };

/* Which guests it is about: of AMD's, by the key that signs; of Intel's, TDs. */
static int read_environment(struct reference *r, const struct cose_item *environment, struct cofre_err *err)
{
    int rc = CORIM_CHECK_KEYS(environment, "an environment", err, 0);
    const struct cose_item *class = cose_at(environment, 0);
    if (rc == 0)
        rc = r->tee == REFERENCE_SNP
                 ? CORIM_CHECK_KEYS(class, "a class of SNP guests", err, CLASS_ID)
                 : CORIM_CHECK_KEYS(class, "a class of TDs", err, CLASS_VENDOR, CLASS_MODEL);
    if (rc < 0)
        return rc;
    r->keys = 0;
    for (unsigned i = 0; i < 2 && r->tee == REFERENCE_SNP; i++)
        if (corim_is_oid(cose_at(class, CLASS_ID), (struct view){corim_amd_classes[i], 9}))
            r->keys = 1u << i;
    bool known = r->tee == REFERENCE_SNP ? r->keys != 0
                                         : cose_is_text(cose_at(class, CLASS_VENDOR), CORIM_INTEL_VENDOR) &&
                                               cose_is_text(cose_at(class, CLASS_MODEL), CORIM_INTEL_TD);
    return known ? 0 : corim_no(err, "its class is none that guests have here");
}

/* The same said of VCEKs and of VLEKs is one value. */
static bool joins(struct references *values, size_t from, const struct reference *r)
{
    for (size_t i = from; i < values->count; i++)
        if (memcmp(values->item[i].field, r->field, sizeof r->field) == 0) {
            values->item[i].keys |= r->keys;
            return true;
        }
    return false;
}

static int read_triple(struct corim *out, const struct reference *named, size_t from,
                       const struct cose_item *triple, struct cofre_err *err)
{
    struct reference r = *named;
    if (triple->kind != COSE_ARRAY || triple->number != 2)
        return corim_no(err, "a triple is not an environment and measurements");
    int rc = read_environment(&r, cose_first(triple), err);
    if (rc < 0)
        return rc;
    const struct cose_item *list = cose_behind(cose_first(triple));
    if (list->kind != COSE_ARRAY || list->number == 0)
        return corim_no(err, "it has no measurements");
    rc = r.tee == REFERENCE_SNP ? corim_read_amd(&r, list, err) : corim_read_intel(&r, list, err);
    if (rc == 0)
        rc = reference_check(&r, err);
    if (rc < 0 || joins(&out->values, from, &r))
        return rc;
    if (out->values.count == CORIM_VALUES_MAX)
        return corim_no(err, "there are more than %d values", CORIM_VALUES_MAX);
    return references_append(&out->values, &r, err);
}

static int read_triples(struct corim *out, const struct reference *named, const struct cose_item *triples,
                        struct cofre_err *err)
{
    const size_t from = out->values.count;
    int rc = CORIM_CHECK_KEYS(triples, "the map of triples", err, TRIPLES_REFERENCE);
    const struct cose_item *list = cose_at(triples, TRIPLES_REFERENCE);
    if (rc == 0 && (!list || list->kind != COSE_ARRAY || list->number == 0))
        rc = corim_no(err, "it has no reference triples");
    const struct cose_item *triple = rc == 0 ? cose_first(list) : NULL;
    for (uint64_t i = 0; rc == 0 && i < list->number; i++, triple = cose_behind(triple))
        rc = read_triple(out, named, from, triple, err);
    return rc;
}

static int read_identity(struct reference *r, const struct cose_item *identity, struct cofre_err *err)
{
    int rc = CORIM_CHECK_KEYS(identity, "the tag's identity", err, 0, 1);
    const struct cose_item *version = cose_at(identity, 1);
    if (rc < 0)
        return rc;
    if (!corim_text(r->name, REFERENCE_NAME_MAX, cose_at(identity, 0)) ||
        !reference_name_is_valid((struct view){(const uint8_t *)r->name, strlen(r->name)}))
        return corim_no(err,
                        "the tag's id is no name: 1 to %d letters, digits, '.', '_', '-', ':', '+' and "
                        "spaces within",
                        REFERENCE_NAME_MAX);
    if (version && (version->kind != COSE_UINT || version->number > INT64_MAX))
        return corim_no(err, "the tag's version is no number");
    r->version = version ? version->number : 0;
    return 0;
}

int corim_read_comid(struct corim *out, struct view comid, struct cofre_err *err)
{
    CLEAN_COSE_DOC doc = {0};
    struct reference r = {.tee = out->tee, .from = out->from, .until = out->until};
    int rc = cose_read(&doc, comid, err);
    if (rc == 0)
        rc = CORIM_CHECK_KEYS(doc.item, "the tag", err, COMID_LANGUAGE, COMID_IDENTITY, COMID_ENTITIES,
                              COMID_TRIPLES);
    if (rc == 0)
        rc = read_identity(&r, cose_at(doc.item, COMID_IDENTITY), err);
    if (rc < 0)
        return rc;
    rc = read_triples(out, &r, cose_at(doc.item, COMID_TRIPLES), err);
    return rc < 0 ? cofre_within(err, rc, "\"%s\"", r.name) : 0;
}

/* Writing */

static void put_amd_class(struct cose_writer *w, unsigned key)
{
    uint8_t oid[11] = {0x06,
                       9}; /* with its header: the profile has it so, and classes are compared as bytes */
    memcpy(oid + 2, corim_amd_classes[key], 9);
    cose_put_int(w, CLASS_ID);
    cose_put_tag(w, CORIM_TAG_OID);
    cose_put_bytes(w, (struct view){oid, sizeof oid});
}

static void put_triple(struct cose_writer *w, const struct reference *r, unsigned key)
{
    cose_begin(w);
    cose_begin(w);
    cose_put_int(w, 0);
    cose_begin(w);
    if (r->tee == REFERENCE_SNP) {
        put_amd_class(w, key);
    } else {
        cose_put_int(w, CLASS_VENDOR);
        cose_put_text(w, CORIM_INTEL_VENDOR);
        cose_put_int(w, CLASS_MODEL);
        cose_put_text(w, CORIM_INTEL_TD);
    }
    cose_end_map(w);
    cose_end_map(w);
    r->tee == REFERENCE_SNP ? corim_put_amd(w, r) : corim_put_intel(w, r);
    cose_end_array(w);
}

static void put_identity(struct cose_writer *w, const struct reference *r)
{
    cose_begin(w);
    cose_put_int(w, 0);
    cose_put_text(w, r->name);
    cose_put_int(w, 1);
    cose_put_uint(w, r->version);
    cose_end_map(w);
}

int corim_write_comid(struct bytes *out, const struct reference *r, struct cofre_err *err)
{
    CLEAN_COSE_WRITER w = {0};
    cose_begin(&w);
    cose_put_int(&w, COMID_IDENTITY);
    put_identity(&w, r);
    cose_put_int(&w, COMID_TRIPLES);
    cose_begin(&w);
    cose_put_int(&w, TRIPLES_REFERENCE);
    cose_begin(&w);
    for (unsigned i = 0; i < 2; i++)
        if (r->tee == REFERENCE_SNP ? r->keys >> i & 1 : i == 0)
            put_triple(&w, r, i);
    cose_end_array(&w);
    cose_end_map(&w);
    cose_end_map(&w);
    return cose_take(out, &w, err);
}
