/* Tables of objects as JSON Schema. */
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/host/interface/schema_parts.h"

static int put(json_t *object, const char *name, json_t *value)
{
    return json_object_set_new(object, name, value);
}

static json_t *text_document(const struct schema_shape *shape)
{
    const bool digits = shape->check == SCHEMA_IS_HEX;
    const char *pattern = text_pattern(shape->check);
    CLEAN_JSON *out = json_pack("{s:s, s:I}", "type", "string", "maxLength", (json_int_t)text_max(shape));
    const json_int_t min = (json_int_t)(digits                             ? 2 * shape->min
                                        : shape->check == SCHEMA_IS_BASE64 ? 0
                                                                           : shape->min);
    if (!out || (min && put(out, "minLength", json_integer(min)) < 0) ||
        (pattern && put(out, "pattern", json_string(pattern)) < 0) ||
        (shape->check == SCHEMA_IS_TIME && put(out, "format", json_string("date-time")) < 0) ||
        (shape->check == SCHEMA_IS_BASE64 && put(out, "contentEncoding", json_string("base64")) < 0))
        return NULL;
    return TAKE_PTR(out);
}

static json_t *unsigned_document(const struct schema_shape *shape)
{
    CLEAN_JSON *out = json_pack("{s:s, s:I}", "type", "integer", "minimum", (json_int_t)shape->min);
    if (!out || put(out, "maximum", json_integer(shape->max ? (json_int_t)shape->max : INT64_MAX)) < 0)
        return NULL;
    return TAKE_PTR(out);
}

static json_t *word_document(const struct schema_shape *shape)
{
    CLEAN_JSON *words = json_array();
    for (const char *const *word = shape->words; words && *word; word++)
        if (json_array_append_new(words, json_string(*word)) < 0)
            return NULL;
    return words ? json_pack("{s:s, s:O}", "type", "string", "enum", words) : NULL;
}

json_t *schema_shape_document(const struct schema_shape *shape)
{
    static const char reference[] = "#/components/schemas/";
    switch (shape->type) {
    case SCHEMA_TEXT:
        return text_document(shape);
    case SCHEMA_UNSIGNED:
        return unsigned_document(shape);
    case SCHEMA_BOOLEAN:
        return json_pack("{s:s}", "type", "boolean");
    case SCHEMA_WORD:
        return word_document(shape);
    case SCHEMA_LIST:
        return json_pack("{s:s, s:o, s:I, s:I}", "type", "array", "items", schema_shape_document(shape->each),
                         "minItems", (json_int_t)shape->min, "maxItems", (json_int_t)shape->max);
    case SCHEMA_MAP:
        return json_pack("{s:s, s:{s:s, s:i}, s:o, s:I}", "type", "object", "propertyNames", "pattern",
                         text_pattern(SCHEMA_IS_NAME), "maxLength", SCHEMA_NAME_MAX, "additionalProperties",
                         schema_shape_document(shape->each), "maxProperties", (json_int_t)shape->max);
    case SCHEMA_OBJECT:
        return json_pack("{s:s+}", "$ref", reference, shape->object->name);
    case SCHEMA_ANY:
        return json_object();
    }
    return NULL;
}

json_t *schema_document(const struct schema *schema)
{
    CLEAN_JSON *properties = json_object(), *required = json_array();
    for (const struct schema_member *m = schema->member; properties && required && m->name; m++) {
        json_t *member = schema_shape_document(&m->shape);
        if (put(properties, m->name, member) < 0 ||
            (m->help && put(member, "description", json_string(m->help)) < 0) ||
            (m->required && json_array_append_new(required, json_string(m->name)) < 0))
            return NULL;
    }
    CLEAN_JSON *out = json_pack("{s:s, s:s, s:O, s:b}", "type", "object", "description", schema->help,
                                "properties", properties, "additionalProperties", 0);
    if (!out || (json_array_size(required) && json_object_set(out, "required", required) < 0))
        return NULL;
    return TAKE_PTR(out);
}
