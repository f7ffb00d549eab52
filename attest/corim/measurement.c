/* What a triple says of one guest: fields of a report, in the forms of either profile. */
#include <string.h>

#include "attest/corim/parts.h"

/* Forms */

/* Of the digests, all of which are of the same thing, the one in the algorithm that reports have. */
static int read_digest(struct reference *r, enum reference_field field, const struct cose_item *list,
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
static int read_raw(struct reference *r, enum reference_field field, const struct cose_item *raw,
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

static bool read_svn(uint64_t *out, bool *at_least, const struct cose_item *svn)
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
static int set_number(struct reference *r, enum reference_field field, uint64_t number, bool at_least,
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

/* AMD's */

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
        return read_raw(r, f->field, raw, cose_at(mval, MVAL_RAW_MASK), err);
    if (f->form == AMD_DIGEST && !raw)
        return read_digest(r, f->field, one, err);
    if (f->form == AMD_INT && mval->number == 1 && (one = one ? one : raw)->kind == COSE_UINT)
        return set_number(r, f->field, one->number, false, err);
    if (f->form == AMD_SVN && read_svn(&number, &at_least, one))
        return set_number(r, f->field, number, at_least, err);
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

static void put_raw(struct cose_writer *w, const struct reference_datum *d, size_t size)
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

static void put_digest(struct cose_writer *w, const struct reference_datum *d)
{
    cose_begin(w);
    cose_begin(w);
    cose_put_int(w, CORIM_SHA384);
    cose_put_bytes(w, (struct view){d->value, 48});
    cose_end_array(w);
    cose_end_array(w);
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
        put_digest(w, d);
    } else {
        cose_put_int(w, MVAL_RAW);
        put_raw(w, d, size);
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

/* Intel's: one map with all of it, and no key */

static int read_registers(struct reference *r, const struct cose_item *map, struct cofre_err *err)
{
    int rc = CORIM_CHECK_KEYS(map, "the list of RTMRs", err, 0, 1, 2, 3);
    for (int i = 0; i < 4 && rc == 0; i++)
        if (cose_at(map, i))
            rc = read_digest(r, REFERENCE_RTMR0 + (unsigned)i, cose_at(map, i), err);
    return rc;
}

/* 60010([2, n]) is Intel's way to say "at least n". */
static bool read_component(uint64_t *out, bool *at_least, const struct cose_item *item)
{
    if (item->kind != COSE_TAG || item->number != CORIM_TAG_NUMERIC)
        return read_svn(out, at_least, item);
    if (item[1].kind != COSE_ARRAY || item[1].number != 2 || item[2].kind != COSE_UINT ||
        item[2].number != CORIM_OPERATOR_GE || item[3].kind != COSE_UINT)
        return false;
    *out = item[3].number;
    *at_least = true;
    return true;
}

static int read_components(struct reference *r, const struct cose_item *list, struct cofre_err *err)
{
    uint8_t bytes[16];
    unsigned minima = 0;
    if (list->kind != COSE_ARRAY || list->number != sizeof bytes)
        return corim_no(err, "tee_tcb_svn has not 16 components");
    const struct cose_item *item = cose_first(list);
    for (size_t i = 0; i < sizeof bytes; i++, item = cose_behind(item)) {
        uint64_t number = 0;
        bool at_least = false;
        if (!read_component(&number, &at_least, item) || number > 255)
            return corim_no(err, "component %zu of tee_tcb_svn is no number of a byte, nor a minimum", i);
        bytes[i] = (uint8_t)number;
        minima += at_least;
    }
    if (minima && minima != sizeof bytes)
        return corim_no(err, "tee_tcb_svn has minima and exact numbers; it is to be one of the two");
    reference_set(r, REFERENCE_TEE_TCB_SVN, bytes);
    r->field[REFERENCE_TEE_TCB_SVN].at_least = minima > 0;
    return 0;
}

int corim_read_intel(struct reference *r, const struct cose_item *list, struct cofre_err *err)
{
    if (list->number != 1)
        return corim_no(err, "a TD is described by one measurement, and here are %llu",
                        (unsigned long long)list->number);
    int rc = CORIM_CHECK_KEYS(cose_first(list), "a TD's measurement", err, 1);
    if (rc < 0)
        return rc;
    const struct cose_item *mval = cose_at(cose_first(list), 1), *at;
    rc = CORIM_CHECK_KEYS(mval, "a TD's measurement", err, MVAL_MRTEE, MVAL_REGISTERS, MVAL_ATTRIBUTES,
                          MVAL_COMP_SVN);
    if (rc == 0 && (at = cose_at(mval, MVAL_MRTEE)))
        rc = read_digest(r, REFERENCE_MRTD, at, err);
    if (rc == 0 && (at = cose_at(mval, MVAL_REGISTERS)))
        rc = read_registers(r, at, err);
    if (rc == 0 && (at = cose_at(mval, MVAL_ATTRIBUTES)))
        rc = read_raw(r, REFERENCE_TD_ATTRIBUTES, at, NULL, err);
    return rc == 0 && (at = cose_at(mval, MVAL_COMP_SVN)) ? read_components(r, at, err) : rc;
}

static void put_registers(struct cose_writer *w, const struct reference *r)
{
    bool any = false;
    for (unsigned i = 0; i < 4; i++)
        any |= r->field[REFERENCE_RTMR0 + i].given;
    if (!any)
        return;
    cose_put_int(w, MVAL_REGISTERS);
    cose_begin(w);
    for (unsigned i = 0; i < 4; i++)
        if (r->field[REFERENCE_RTMR0 + i].given) {
            cose_put_int(w, i);
            put_digest(w, &r->field[REFERENCE_RTMR0 + i]);
        }
    cose_end_map(w);
}

static void put_components(struct cose_writer *w, const struct reference_datum *d)
{
    cose_put_int(w, MVAL_COMP_SVN);
    cose_begin(w);
    for (size_t i = 0; i < 16; i++) {
        if (d->at_least) {
            cose_put_tag(w, CORIM_TAG_NUMERIC);
            cose_begin(w);
            cose_put_int(w, CORIM_OPERATOR_GE);
        }
        cose_put_int(w, d->value[i]);
        if (d->at_least)
            cose_end_array(w);
    }
    cose_end_array(w);
}

void corim_put_intel(struct cose_writer *w, const struct reference *r)
{
    cose_begin(w);
    cose_begin(w);
    cose_put_int(w, 1);
    cose_begin(w);
    cose_put_int(w, MVAL_MRTEE);
    put_digest(w, &r->field[REFERENCE_MRTD]);
    put_registers(w, r);
    if (r->field[REFERENCE_TD_ATTRIBUTES].given) {
        cose_put_int(w, MVAL_ATTRIBUTES);
        put_raw(w, &r->field[REFERENCE_TD_ATTRIBUTES], 8);
    }
    if (r->field[REFERENCE_TEE_TCB_SVN].given)
        put_components(w, &r->field[REFERENCE_TEE_TCB_SVN]);
    cose_end_map(w);
    cose_end_map(w);
    cose_end_array(w);
}
