#include <string.h>

#include "attest/corim/parts.h"
#include "attest/cose/sign1.h"

enum { CLAIM_ISS = 1 };

static void put_time(struct cose_writer *w, int64_t key, int64_t time)
{
    cose_put_int(w, key);
    cose_put_tag(w, CORIM_TAG_TIME);
    cose_put_int(w, time);
}

/* The format has no validity that begins and does not end. */
static void put_validity(struct cose_writer *w, const struct corim *c)
{
    cose_put_int(w, CORIM_VALIDITY);
    cose_begin(w);
    if (c->from > 0)
        put_time(w, 0, c->from);
    put_time(w, 1, c->until);
    cose_end_map(w);
}

static void put_profile(struct cose_writer *w, enum reference_tee tee)
{
    cose_put_int(w, CORIM_PROFILE);
    cose_put_tag(w, tee == REFERENCE_SNP ? CORIM_TAG_URI : CORIM_TAG_OID);
    if (tee == REFERENCE_SNP)
        cose_put_text(w, CORIM_AMD_PROFILE);
    else
        cose_put_bytes(w, (struct view){corim_intel_profile, sizeof corim_intel_profile});
}

static void put_entity(struct cose_writer *w, const struct corim_entity *entity)
{
    cose_begin(w);
    cose_put_int(w, 0);
    cose_put_text(w, entity->name);
    cose_put_int(w, 2);
    cose_begin(w);
    for (int role = 0; role <= 30; role++)
        if (entity->roles >> role & 1)
            cose_put_int(w, role);
    cose_end_array(w);
    cose_end_map(w);
}

static int put_tags(struct cose_writer *w, const struct references *values, struct cofre_err *err)
{
    int rc = 0;
    cose_put_int(w, CORIM_TAGS);
    cose_begin(w);
    for (size_t i = 0; i < values->count && rc == 0; i++) {
        CLEAN_BYTES comid = {0};
        rc = corim_write_comid(&comid, &values->item[i], err);
        cose_put_tag(w, CORIM_TAG_COMID);
        cose_put_bytes(w, bytes_view(&comid));
    }
    cose_end_array(w);
    return rc;
}

static int check(const struct corim *c, struct cofre_err *err)
{
    if (c->values.count == 0 || c->values.count > CORIM_VALUES_MAX)
        return cofre_fail(err, COFRE_USAGE, "a CoRIM has 1 to %d values, and not %zu", CORIM_VALUES_MAX,
                          c->values.count);
    if (c->from > 0 && c->until == INT64_MAX)
        return cofre_fail(err, COFRE_USAGE, "a validity that begins has to end, too");
    for (size_t i = 0; i < c->values.count; i++)
        if (c->values.item[i].tee != c->tee)
            return cofre_fail(err, COFRE_USAGE,
                              "a CoRIM has values of one TEE: a profile is the whole file's");
    return 0;
}

int corim_write(struct bytes *out, const struct corim *c, struct cofre_err *err)
{
    CLEAN_COSE_WRITER w = {0};
    int rc = check(c, err);
    if (rc < 0)
        return rc;
    cose_put_tag(&w, CORIM_TAG);
    cose_begin(&w);
    cose_put_int(&w, CORIM_ID);
    cose_put_text(&w, c->id);
    rc = put_tags(&w, &c->values, err);
    if (rc < 0)
        return rc;
    put_profile(&w, c->tee);
    if (c->until != INT64_MAX)
        put_validity(&w, c);
    if (c->entities) {
        cose_put_int(&w, CORIM_ENTITIES_KEY);
        cose_begin(&w);
        for (size_t i = 0; i < c->entities; i++)
            put_entity(&w, &c->entity[i]);
        cose_end_array(&w);
    }
    cose_end_map(&w);
    return cose_take(out, &w, err);
}

static int make_header(struct bytes *out, const struct corim *c, const EVP_PKEY *key, struct cofre_err *err)
{
    CLEAN_COSE_WRITER w = {0};
    cose_begin(&w);
    int rc = cose_put_signer(&w, key, err);
    if (rc < 0)
        return rc;
    cose_put_int(&w, COSE_HEADER_CONTENT_TYPE);
    cose_put_text(&w, CORIM_CONTENT_TYPE);
    cose_put_int(&w, COSE_HEADER_CWT_CLAIMS);
    cose_begin(&w);
    cose_put_int(&w, CLAIM_ISS);
    cose_put_text(&w, c->signer);
    cose_end_map(&w);
    cose_end_map(&w);
    return cose_take(out, &w, err);
}

int corim_sign(struct bytes *out, const struct corim *c, EVP_PKEY *key, struct cofre_err *err)
{
    CLEAN_BYTES header = {0}, payload = {0};
    if (!c->signer[0])
        return cofre_fail(err, COFRE_USAGE, "a signed CoRIM names its signer");
    int rc = make_header(&header, c, key, err);
    if (rc == 0)
        rc = corim_write(&payload, c, err);
    if (rc < 0)
        return rc;
    const struct cose_to_sign in = {.protected = bytes_view(&header), .payload = bytes_view(&payload)};
    return cose_sign1_sign(out, &in, key, err);
}
