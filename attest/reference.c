#include "attest/reference.h"

#include <stdlib.h>
#include <string.h>

#include "sev/tcb.h"

const char *const reference_tee_names[REFERENCE_TEES] = {"snp", "tdx"};

#define KIND(NAME, TEE, SIZE, ORDER)                                                                         \
    {                                                                                                        \
        NAME, REFERENCE_##TEE, SIZE, REFERENCE_##ORDER                                                       \
    }
const struct reference_kind reference_kinds[REFERENCE_FIELDS] = {
    [REFERENCE_MEASUREMENT] = KIND("measurement", SNP, 48, BITS),
    [REFERENCE_HOST_DATA] = KIND("host_data", SNP, 32, BITS),
    [REFERENCE_ID_KEY] = KIND("id_key_digest", SNP, 48, BITS),
    [REFERENCE_AUTHOR_KEY] = KIND("author_key_digest", SNP, 48, BITS),
    [REFERENCE_FAMILY_ID] = KIND("family_id", SNP, 16, BITS),
    [REFERENCE_IMAGE_ID] = KIND("image_id", SNP, 16, BITS),
    [REFERENCE_GUEST_POLICY] = KIND("guest_policy", SNP, 8, BITS),
    [REFERENCE_PLATFORM_INFO] = KIND("platform_info", SNP, 8, BITS),
    [REFERENCE_GUEST_SVN] = KIND("guest_svn", SNP, 4, NUMBER),
    [REFERENCE_VMPL] = KIND("vmpl", SNP, 4, NUMBER),
    [REFERENCE_CURRENT_TCB] = KIND("current_tcb", SNP, 8, TCB),
    [REFERENCE_REPORTED_TCB] = KIND("reported_tcb", SNP, 8, TCB),
    [REFERENCE_COMMITTED_TCB] = KIND("committed_tcb", SNP, 8, TCB),
    [REFERENCE_LAUNCH_TCB] = KIND("launch_tcb", SNP, 8, TCB),
    [REFERENCE_MRTD] = KIND("mrtd", TDX, 48, BITS),
    [REFERENCE_RTMR0] = KIND("rtmr0", TDX, 48, BITS),
    [REFERENCE_RTMR1] = KIND("rtmr1", TDX, 48, BITS),
    [REFERENCE_RTMR2] = KIND("rtmr2", TDX, 48, BITS),
    [REFERENCE_RTMR3] = KIND("rtmr3", TDX, 48, BITS),
    [REFERENCE_TD_ATTRIBUTES] = KIND("td_attributes", TDX, 8, BITS),
    [REFERENCE_TEE_TCB_SVN] = KIND("tee_tcb_svn", TDX, 16, COMPONENTS),
};

void references_free(struct references *all)
{
    free(all->item);
    *all = (struct references){0};
}

int references_append(struct references *all, const struct reference *one, struct cofre_err *err)
{
    struct reference *grown = realloc(all->item, (all->count + 1) * sizeof *grown);
    if (!grown)
        return cofre_fail(err, COFRE_FAILED, "no memory for a reference value");
    all->item = grown;
    all->item[all->count++] = *one;
    return 0;
}

bool reference_name_is_valid(struct view name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:+ ";
    if (name.len == 0 || name.len > REFERENCE_NAME_MAX || name.data[0] == ' ' ||
        name.data[name.len - 1] == ' ')
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (!memchr(allowed, name.data[i], sizeof allowed - 1))
            return false;
    return true;
}

void reference_set(struct reference *r, enum reference_field field, const uint8_t *value)
{
    struct reference_datum *d = &r->field[field];
    *d = (struct reference_datum){.given = true};
    memcpy(d->value, value, reference_kinds[field].size);
    memset(d->mask, 0xff, reference_kinds[field].size);
}

int reference_check(const struct reference *r, struct cofre_err *err)
{
    const enum reference_field launched[] = {REFERENCE_MEASUREMENT, REFERENCE_MRTD};
    if (!r->field[launched[r->tee]].given)
        return cofre_fail(err, COFRE_MALFORMED, "it has no %s, and so does not say what was launched",
                          r->tee == REFERENCE_SNP ? "launch digest" : "MRTD");
    return 0;
}

enum reference_state reference_state(const struct reference *r, int64_t at)
{
    return r->retired && r->retired <= at ? REFERENCE_RETIRED
           : at < r->from                 ? REFERENCE_NOT_YET
           : at >= r->until               ? REFERENCE_NO_LONGER
                                          : REFERENCE_GOOD;
}

static bool equal_under_mask(const struct reference_datum *d, struct view actual)
{
    for (size_t i = 0; i < actual.len; i++)
        if ((actual.data[i] & d->mask[i]) != d->value[i])
            return false;
    return true;
}

static uint64_t number_of(const uint8_t *value, size_t size)
{
    return size == 4 ? le32(value) : le64(value);
}

/* A TCB that does not decode for the product is not at least anything. */
static bool tcb_at_least(const struct reference_datum *d, struct view actual, enum snp_product product)
{
    struct snp_tcb least, is;
    return snp_tcb_decode(&least, le64(d->value), product) &&
           snp_tcb_decode(&is, le64(actual.data), product) && snp_tcb_at_least(&is, &least, NULL);
}

static bool each_at_least(const struct reference_datum *d, struct view actual)
{
    for (size_t i = 0; i < actual.len; i++)
        if (actual.data[i] < d->value[i])
            return false;
    return true;
}

static bool field_matches(const struct reference_datum *d, enum reference_field field,
                          const struct reference_facts *facts)
{
    const struct reference_kind *kind = &reference_kinds[field];
    const struct view actual = facts->field[field];
    if (actual.len != kind->size)
        return false;
    if (!d->at_least)
        return equal_under_mask(d, actual);
    switch (kind->order) {
    case REFERENCE_NUMBER:
        return number_of(actual.data, kind->size) >= number_of(d->value, kind->size);
    case REFERENCE_TCB:
        return tcb_at_least(d, actual, facts->product);
    case REFERENCE_COMPONENTS:
        return each_at_least(d, actual);
    default:
        return false;
    }
}

bool reference_matches(const struct reference *r, const struct reference_facts *facts,
                       enum reference_field *differs)
{
    *differs = REFERENCE_FIELDS;
    if (r->tee != facts->tee || (r->tee == REFERENCE_SNP && !(r->keys & facts->key)))
        return false;
    for (enum reference_field i = 0; i < REFERENCE_FIELDS; i++)
        if (r->field[i].given && !field_matches(&r->field[i], i, facts)) {
            *differs = i;
            return false;
        }
    return true;
}

/* JSON */

static json_t *hex_json(const uint8_t *data, size_t size)
{
    char text[2 * REFERENCE_FIELD_MAX + 1];
    hex_encode(text, data, size);
    return json_string(text);
}

static bool is_whole(const uint8_t *mask, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (mask[i] != 0xff)
            return false;
    return true;
}

static json_t *datum_json(const struct reference_datum *d, size_t size)
{
    json_t *object = json_pack("{s:o}", "value", hex_json(d->value, size));
    if (object && !is_whole(d->mask, size))
        json_object_set_new(object, "mask", hex_json(d->mask, size));
    if (object && d->at_least)
        json_object_set_new(object, "at_least", json_true());
    return object;
}

static const char *const key_names[] = {"vcek", "vlek"}; /* bit by bit of reference.keys */

json_t *reference_fields_json(const struct reference *r)
{
    json_t *object = json_object();
    for (int i = 0; object && i < REFERENCE_FIELDS; i++)
        if (r->field[i].given)
            json_object_set_new(object, reference_kinds[i].name,
                                datum_json(&r->field[i], reference_kinds[i].size));
    if (!object || r->tee != REFERENCE_SNP)
        return object;
    json_t *keys = json_array();
    for (int i = 0; i < 2; i++)
        if (r->keys >> i & 1)
            json_array_append_new(keys, json_string(key_names[i]));
    json_object_set_new(object, "keys", keys);
    return object;
}

static int read_datum(struct reference *r, enum reference_field field, json_t *object, struct cofre_err *err)
{
    const struct reference_kind *kind = &reference_kinds[field];
    const char *value, *mask = NULL;
    int at_least = 0;
    struct reference_datum *d = &r->field[field];
    uint8_t bytes[REFERENCE_FIELD_MAX];
    if (json_unpack_ex(object, NULL, JSON_STRICT, "{s:s, s?s, s?b}", "value", &value, "mask", &mask,
                       "at_least", &at_least) < 0 ||
        !hex_decode(bytes, kind->size, value))
        return cofre_fail(err, COFRE_USAGE, "%s has no \"value\" of %zu bytes", kind->name, kind->size);
    reference_set(r, field, bytes);
    if (mask && !hex_decode(d->mask, kind->size, mask))
        return cofre_fail(err, COFRE_USAGE, "%s: its \"mask\" has not %zu bytes", kind->name, kind->size);
    for (size_t i = 0; i < kind->size; i++)
        if (d->value[i] & ~d->mask[i])
            return cofre_fail(err, COFRE_USAGE, "%s: its \"value\" has bits that \"mask\" leaves out",
                              kind->name);
    d->at_least = at_least;
    return at_least && (mask || kind->order == REFERENCE_BITS)
               ? cofre_fail(err, COFRE_USAGE, "%s cannot be a minimum", kind->name)
               : 0;
}

static int read_keys(struct reference *r, json_t *list, struct cofre_err *err)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        for (int k = 0; k < 2; k++)
            if (json_is_string(item) && strcmp(json_string_value(item), key_names[k]) == 0)
                r->keys |= 1u << k;
    }
    return r->keys ? 0 : cofre_fail(err, COFRE_USAGE, "\"keys\" names neither \"vcek\" nor \"vlek\"");
}

static enum reference_field field_named(const char *name, enum reference_tee tee)
{
    enum reference_field i = 0;
    while (i < REFERENCE_FIELDS && (reference_kinds[i].tee != tee || strcmp(reference_kinds[i].name, name)))
        i++;
    return i;
}

int reference_fields_read(struct reference *r, json_t *object, struct cofre_err *err)
{
    const char *name;
    json_t *value;
    r->keys = 0;
    json_object_foreach(object, name, value)
    {
        if (r->tee == REFERENCE_SNP && strcmp(name, "keys") == 0)
            continue;
        enum reference_field field = field_named(name, r->tee);
        int rc = field < REFERENCE_FIELDS
                     ? read_datum(r, field, value, err)
                     : cofre_fail(err, COFRE_USAGE, "%.64s is no field of a reference value", name);
        if (rc < 0)
            return rc;
    }
    return r->tee == REFERENCE_SNP ? read_keys(r, json_object_get(object, "keys"), err) : 0;
}
