/* The forms that both profiles share: digests, raw values with masks, versions. */
#include <string.h>

#include "attest/corim/parts.h"

/* Of the digests, all of which are of the same thing, the one in the algorithm that reports have. */
int corim_read_digest(struct reference *r, enum reference_field field, const struct cose_item *list,
                      struct cofre_err *err)
{
    const struct reference_kind *kind = &reference_kinds[field];
    if (!list || list->kind != COSE_ARRAY || list->number == 0)
        return corim_no(err, "%s has no list of digests", kind->name);
    const struct cose_item *digest = cose_first(list);
    for (uint64_t i = 0; i < list->number; i++, digest = cose_behind(digest)) {
        int64_t alg;
        if (digest->kind != COSE_ARRAY || digest->number != 2 || !cose_int(&alg, digest + 1) ||
            digest[2].kind != COSE_BYTES)
            return corim_no(err, "%s has a digest that is not an algorithm's number and bytes", kind->name);
        if (digest[2].data.len != kind->size || (kind->size == 48 && alg != CORIM_SHA384))
            continue;
        if (r->field[field].given)
            return corim_no(err, "%s is there twice", kind->name);
        reference_set(r, field, digest[2].data.data);
    }
    return r->field[field].given ? 0
                                 : corim_no(err, "%s has no digest of the kind that reports have (%zu bytes)",
                                            kind->name, kind->size);
}

static int set_masked(struct reference *r, enum reference_field field, struct view value, struct view mask,
                      struct cofre_err *err)
{
    const struct reference_kind *kind = &reference_kinds[field];
    struct reference_datum *d = &r->field[field];
    if (value.len != kind->size || (mask.data && mask.len != kind->size))
        return corim_no(err, "%s has not %zu bytes", kind->name, kind->size);
    reference_set(r, field, value.data);
    for (size_t i = 0; mask.data && i < kind->size; i++) {
        d->mask[i] = mask.data[i];
        d->value[i] &= mask.data[i];
    }
    return 0;
}

/* 560(bytes), bytes, or 563([value, mask]); mask may also come beside it, as it once did. */
int corim_read_raw(struct reference *r, enum reference_field field, const struct cose_item *raw,
                   const struct cose_item *mask, struct cofre_err *err)
{
    const struct view none = {0};
    const char *name = reference_kinds[field].name;
    if (mask && mask->kind != COSE_BYTES)
        return corim_no(err, "%s has a mask that is no bytes", name);
    if (raw && raw->kind == COSE_TAG && raw->number == CORIM_TAG_BYTES)
        raw++;
    if (raw && raw->kind == COSE_BYTES)
        return set_masked(r, field, raw->data, mask ? mask->data : none, err);
    if (mask || !raw || raw->kind != COSE_TAG || raw->number != CORIM_TAG_MASKED ||
        raw[1].kind != COSE_ARRAY || raw[1].number != 2 || raw[2].kind != COSE_BYTES ||
        raw[3].kind != COSE_BYTES)
        return corim_no(err, "%s is neither bytes nor a value with its mask", name);
    return set_masked(r, field, raw[2].data, raw[3].data, err);
}

bool corim_read_svn(uint64_t *out, bool *at_least, const struct cose_item *svn)
{
    *at_least = false;
    if (svn && svn->kind == COSE_TAG && (svn->number == CORIM_TAG_SVN || svn->number == CORIM_TAG_MIN_SVN)) {
        *at_least = svn->number == CORIM_TAG_MIN_SVN;
        svn++;
    }
    if (!svn || svn->kind != COSE_UINT)
        return false;
    *out = svn->number;
    return true;
}

/* A TCB comes as one number; it is kept as the bytes of the report, whose components are compared. */
int corim_set_number(struct reference *r, enum reference_field field, uint64_t number, bool at_least,
                     struct cofre_err *err)
{
    const struct reference_kind *kind = &reference_kinds[field];
    uint8_t bytes[8];
    if (kind->size == 4 && number > UINT32_MAX)
        return corim_no(err, "%s is greater than 32 bits hold", kind->name);
    put_le64(bytes, number);
    reference_set(r, field, bytes);
    r->field[field].at_least = at_least;
    return 0;
}

void corim_put_raw(struct cose_writer *w, const struct reference_datum *d, size_t size)
{
    bool whole = true;
    for (size_t i = 0; i < size; i++)
        whole &= d->mask[i] == 0xff;
    cose_put_tag(w, whole ? CORIM_TAG_BYTES : CORIM_TAG_MASKED);
    if (!whole)
        cose_begin(w);
    cose_put_bytes(w, (struct view){d->value, size});
    if (!whole) {
        cose_put_bytes(w, (struct view){d->mask, size});
        cose_end_array(w);
    }
}

void corim_put_digest(struct cose_writer *w, const struct reference_datum *d)
{
    cose_begin(w);
    cose_begin(w);
    cose_put_int(w, CORIM_SHA384);
    cose_put_bytes(w, (struct view){d->value, 48});
    cose_end_array(w);
    cose_end_array(w);
}
