/* JSON as CBOR, and back. */
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/host/interface/message_parts.h"

void message_put_value(struct cose_writer *w, const json_t *value, unsigned depth)
{
    size_t i;
    const char *name;
    json_t *each;
    if (depth > JSON_DEPTH_MAX || json_is_real(value))
        w->failed = true;
    else if (json_is_object(value)) {
        cose_begin(w);
        json_object_foreach((json_t *)value, name, each)
        {
            cose_put_text(w, name);
            message_put_value(w, each, depth + 1);
        }
        cose_end_map(w);
    } else if (json_is_array(value)) {
        cose_begin(w);
        json_array_foreach((json_t *)value, i, each) message_put_value(w, each, depth + 1);
        cose_end_array(w);
    } else if (json_is_string(value))
        cose_put_text(w, json_string_value(value));
    else if (json_is_integer(value))
        cose_put_int(w, json_integer_value(value));
    else if (json_is_boolean(value))
        cose_put_bool(w, json_is_true(value));
    else
        cose_put_null(w);
}

static json_t *get_list(const struct cose_item *list, unsigned depth)
{
    CLEAN_JSON *out = json_array();
    const struct cose_item *at = cose_first(list);
    for (uint64_t i = 0; out && i < list->number; i++, at = cose_behind(at))
        if (json_array_append_new(out, message_get_value(at, depth)) < 0)
            return NULL;
    return TAKE_PTR(out);
}

static json_t *get_object(const struct cose_item *map, unsigned depth)
{
    CLEAN_JSON *out = json_object();
    const struct cose_item *key = cose_first(map);
    for (uint64_t i = 0; out && i < map->number; i++, key = cose_behind(key + 1)) {
        CLEAN_FREE char *name =
            key->kind == COSE_TEXT ? strndup((const char *)key->data.data, key->data.len) : NULL;
        if (!name || json_object_set_new(out, name, message_get_value(key + 1, depth)) < 0)
            return NULL;
    }
    return TAKE_PTR(out);
}

json_t *message_get_value(const struct cose_item *item, unsigned depth)
{
    int64_t number;
    if (depth > JSON_DEPTH_MAX)
        return NULL;
    switch (item->kind) {
    case COSE_MAP:
        return get_object(item, depth + 1);
    case COSE_ARRAY:
        return get_list(item, depth + 1);
    case COSE_TEXT:
        return json_stringn((const char *)item->data.data, item->data.len);
    case COSE_UINT:
    case COSE_NEGATIVE:
        return cose_int(&number, item) ? json_integer(number) : NULL;
    case COSE_BOOL:
        return json_boolean(item->number);
    case COSE_NULL:
        return json_null();
    default:
        return NULL;
    }
}

int message_put_json(struct bytes *out, const json_t *value, struct cofre_err *err)
{
    CLEAN_COSE_WRITER w = {0};
    message_put_value(&w, value, 0);
    return cose_take(out, &w, err);
}

int message_get_json(json_t **out, struct view in, struct cofre_err *err)
{
    CLEAN_COSE_DOC doc = {0};
    *out = NULL;
    const int rc = cose_read(&doc, in, err);
    if (rc < 0)
        return rc;
    *out = message_get_value(doc.item, 0);
    return *out ? 0 : cofre_fail(err, COFRE_MALFORMED, "this CBOR is no JSON, or is nested too deep");
}
