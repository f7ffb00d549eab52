/* Intel's profile: one map with all that is said of a TD. */
#include "attest/corim/parts.h"

static int read_registers(struct reference *r, const struct cose_item *map, struct cofre_err *err)
{
    int rc = CORIM_CHECK_KEYS(map, "the list of RTMRs", err, 0, 1, 2, 3);
    for (int i = 0; i < 4 && rc == 0; i++)
        if (cose_at(map, i))
            rc = corim_read_digest(r, REFERENCE_RTMR0 + (unsigned)i, cose_at(map, i), err);
    return rc;
}

/* 60010([2, n]) is Intel's way to say "at least n". */
static bool read_component(uint64_t *out, bool *at_least, const struct cose_item *item)
{
    if (item->kind != COSE_TAG || item->number != CORIM_TAG_NUMERIC)
        return corim_read_svn(out, at_least, item);
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
        rc = corim_read_digest(r, REFERENCE_MRTD, at, err);
    if (rc == 0 && (at = cose_at(mval, MVAL_REGISTERS)))
        rc = read_registers(r, at, err);
    if (rc == 0 && (at = cose_at(mval, MVAL_ATTRIBUTES)))
        rc = corim_read_raw(r, REFERENCE_TD_ATTRIBUTES, at, NULL, err);
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
            corim_put_digest(w, &r->field[REFERENCE_RTMR0 + i]);
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
    corim_put_digest(w, &r->field[REFERENCE_MRTD]);
    put_registers(w, r);
    if (r->field[REFERENCE_TD_ATTRIBUTES].given) {
        cose_put_int(w, MVAL_ATTRIBUTES);
        corim_put_raw(w, &r->field[REFERENCE_TD_ATTRIBUTES], 8);
    }
    if (r->field[REFERENCE_TEE_TCB_SVN].given)
        put_components(w, &r->field[REFERENCE_TEE_TCB_SVN]);
    cose_end_map(w);
    cose_end_map(w);
    cose_end_array(w);
}
