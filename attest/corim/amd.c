/* AMD's profile: a measurement for each field of a report, by its key. */
#include "attest/corim/parts.h"

static int read_amd_form(struct reference *r, const struct amd_field *f, const struct cose_item *mval,
                         struct cofre_err *err)
{
    static const struct {
        const char *what;
        int64_t keys[2];
        size_t count;
    } forms[] = {[AMD_SVN] = {"a security version", {MVAL_SVN}, 1},
                 [AMD_RAW] = {"a raw value", {MVAL_RAW, MVAL_RAW_MASK}, 2},
                 [AMD_DIGEST] = {"a digest", {MVAL_DIGESTS, MVAL_RAW}, 2},
                 [AMD_INT] = {"a number", {MVAL_INT, MVAL_RAW}, 2}};
    uint64_t number;
    bool at_least = false;
    int rc = corim_check_keys(mval, forms[f->form].what, forms[f->form].keys, forms[f->form].count, err);
    if (rc < 0)
        return cofre_within(err, rc, "%s", reference_kinds[f->field].name);
    const struct cose_item *raw = cose_at(mval, MVAL_RAW), *one = cose_at(mval, forms[f->form].keys[0]);
    if (raw && f->form != AMD_INT && !(f->form == AMD_DIGEST && one))
        return corim_read_raw(r, f->field, raw, cose_at(mval, MVAL_RAW_MASK), err);
    if (f->form == AMD_DIGEST && !raw)
        return corim_read_digest(r, f->field, one, err);
    if (f->form == AMD_INT && mval->number == 1 && (one = one ? one : raw)->kind == COSE_UINT)
        return corim_set_number(r, f->field, one->number, false, err);
    if (f->form == AMD_SVN && corim_read_svn(&number, &at_least, one))
        return corim_set_number(r, f->field, number, at_least, err);
    return corim_no(err, "%s is not %s", reference_kinds[f->field].name, forms[f->form].what);
}

static int read_amd_measurement(struct reference *r, const struct cose_item *m, struct cofre_err *err)
{
    int64_t mkey;
    int rc = CORIM_CHECK_KEYS(m, "a measurement", err, 0, 1);
    if (rc < 0)
        return rc;
    if (!cose_int(&mkey, cose_at(m, 0)))
        return corim_no(err, "a measurement has no key that AMD's profile knows");
    for (size_t i = 0; i < AMD_FIELDS; i++) {
        const struct amd_field *f = &corim_amd_fields[i];
        if (f->mkey != mkey)
            continue;
        return r->field[f->field].given ? corim_no(err, "%s is there twice", reference_kinds[f->field].name)
                                        : read_amd_form(r, f, cose_at(m, 1), err);
    }
    return corim_no(err, "a measurement of key %lld is not compared here", (long long)mkey);
}

int corim_read_amd(struct reference *r, const struct cose_item *list, struct cofre_err *err)
{
    const struct cose_item *m = cose_first(list);
    int rc = 0;
    for (uint64_t i = 0; i < list->number && rc == 0; i++, m = cose_behind(m))
        rc = read_amd_measurement(r, m, err);
    return rc;
}

/* Host data is no digest, and has 32 bytes where the profile's form wants 48: it is written as the bytes that it is. */
static void put_amd_value(struct cose_writer *w, const struct amd_field *f, const struct reference_datum *d)
{
    const size_t size = reference_kinds[f->field].size;
    cose_begin(w);
    if (f->form == AMD_SVN) {
        cose_put_int(w, MVAL_SVN);
        cose_put_tag(w, d->at_least ? CORIM_TAG_MIN_SVN : CORIM_TAG_SVN);
        cose_put_uint(w, size == 4 ? le32(d->value) : le64(d->value));
    } else if (f->form == AMD_INT) {
        cose_put_int(w, MVAL_INT);
        cose_put_uint(w, le32(d->value));
    } else if (f->form == AMD_DIGEST && size == 48) {
        cose_put_int(w, MVAL_DIGESTS);
        corim_put_digest(w, d);
    } else {
        cose_put_int(w, MVAL_RAW);
        corim_put_raw(w, d, size);
    }
    cose_end_map(w);
}

void corim_put_amd(struct cose_writer *w, const struct reference *r)
{
    cose_begin(w);
    for (size_t i = 0; i < AMD_FIELDS; i++) {
        const struct amd_field *f = &corim_amd_fields[i];
        if (!r->field[f->field].given)
            continue;
        cose_begin(w);
        cose_put_int(w, 0);
        cose_put_int(w, f->mkey);
        cose_put_int(w, 1);
        put_amd_value(w, f, &r->field[f->field]);
        cose_end_map(w);
    }
    cose_end_array(w);
}
