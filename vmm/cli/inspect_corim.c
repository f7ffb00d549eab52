/* cofre inspect: reference values in a CoRIM, whoever signed it. */
#include "attest/corim/corim.h"
#include "vmm/base/json.h"
#include "vmm/cli/inspect.h"

static void put_time(json_t *object, const char *key, int64_t time, bool said)
{
    json_object_set_new(object, key, said ? json_time(time) : json_null());
}

static json_t *entities_json(const struct corim *c)
{
    json_t *list = json_array();
    for (size_t i = 0; i < c->entities; i++) {
        json_t *roles = json_array();
        for (int role = 0; role <= 30; role++)
            if (c->entity[i].roles >> role & 1)
                json_array_append_new(roles, role == CORIM_ROLE_CREATOR  ? json_string("manifest-creator")
                                             : role == CORIM_ROLE_SIGNER ? json_string("manifest-signer")
                                                                         : json_integer(role));
        json_array_append_new(list, json_pack("{s:s, s:o}", "name", c->entity[i].name, "roles", roles));
    }
    return list;
}

static json_t *values_json(const struct corim *c)
{
    json_t *list = json_array();
    for (size_t i = 0; i < c->values.count; i++) {
        const struct reference *r = &c->values.item[i];
        json_array_append_new(list, json_pack("{s:s, s:I, s:o*}", "name", r->name, "version",
                                              (json_int_t)r->version, "fields", reference_fields_json(r)));
    }
    return list;
}

static int describe(json_t **out, struct view file, struct cofre_err *err)
{
    CLEAN_CORIM c = {0};
    int rc = corim_read(&c, file, err);
    if (rc < 0)
        return rc;
    *out = json_pack("{s:s, s:s, s:b}", "id", c.id, "tee", reference_tee_names[c.tee], "signed",
                     (int)c.is_signed);
    if (!*out)
        return cofre_fail(err, COFRE_FAILED, "no memory for the description");
    if (c.is_signed) {
        json_object_set_new(*out, "signer", json_string(c.signer));
        json_object_set_new(*out, "note", json_string("the signature was not verified"));
    }
    put_time(*out, "valid_from", c.from, c.from > 0);
    put_time(*out, "valid_until", c.until, c.until != INT64_MAX);
    json_object_set_new(*out, "entities", entities_json(&c));
    json_object_set_new(*out, "values", values_json(&c));
    return 0;
}

const struct artefact_kind inspect_corim = {"reference values (CoRIM)", corim_recognises, describe};
