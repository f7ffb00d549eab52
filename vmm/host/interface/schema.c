#include "vmm/host/interface/schema.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "vmm/base/number.h"
#include "vmm/host/interface/schema_parts.h"

/* Where in the object is looked: the path that a sentence begins with. */
struct place {
    char text[256];
    size_t len;
    unsigned depth;
};

static struct place within(const struct place *at, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static struct place within(const struct place *at, const char *format, ...)
{
    struct place in = *at;
    va_list args;
    va_start(args, format);
    const int wrote = vsnprintf(in.text + in.len, sizeof in.text - in.len, format, args);
    va_end(args);
    in.len += wrote < 0 ? 0 : (size_t)wrote;
    if (in.len >= sizeof in.text)
        in.len = sizeof in.text - 1;
    return in;
}

static int refuse(const struct place *at, struct cofre_err *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static int refuse(const struct place *at, struct cofre_err *err, const char *format, ...)
{
    char why[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(why, sizeof why, format, args);
    va_end(args);
    return cofre_fail(err, COFRE_MALFORMED, "%s: %s", at->len ? at->text : "the body", why);
}

static int check_shape(const json_t *value, const struct schema_shape *shape, const struct place *at,
                       struct cofre_err *err);

static int check_text(const json_t *value, const struct schema_shape *shape, const struct place *at,
                      struct cofre_err *err)
{
    struct cofre_err why;
    if (!json_is_string(value))
        return refuse(at, err, "it must be a text");
    const struct view text = {(const uint8_t *)json_string_value(value), json_string_length(value)};
    return text_check(text, shape, &why) < 0 ? refuse(at, err, "%s", why.text) : 0;
}

static int check_unsigned(const json_t *value, const struct schema_shape *shape, const struct place *at,
                          struct cofre_err *err)
{
    const uint64_t max = shape->max ? shape->max : INT64_MAX;
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return refuse(at, err, "it must be a whole number, 0 or more");
    const uint64_t number = (uint64_t)json_integer_value(value);
    if (number < shape->min || number > max)
        return refuse(at, err, "it is %" PRIu64 ", and must be from %" PRIu64 " to %" PRIu64, number,
                      shape->min, max);
    return 0;
}

static int check_boolean(const json_t *value, const struct schema_shape *shape, const struct place *at,
                         struct cofre_err *err)
{
    (void)shape;
    return json_is_boolean(value) ? 0 : refuse(at, err, "it must be true or false");
}

static int check_word(const json_t *value, const struct schema_shape *shape, const struct place *at,
                      struct cofre_err *err)
{
    char list[256] = "";
    size_t len = 0;
    for (const char *const *word = shape->words; *word && len < sizeof list; word++) {
        if (json_is_string(value) && strcmp(json_string_value(value), *word) == 0 &&
            json_string_length(value) == strlen(*word))
            return 0;
        len += (size_t)snprintf(list + len, sizeof list - len, "%s%s", len ? ", " : "", *word);
    }
    return refuse(at, err, "it must be one of %s", list);
}

static int check_count(size_t count, const struct schema_shape *shape, const struct place *at,
                       struct cofre_err *err)
{
    if (count < shape->min || count > shape->max)
        return refuse(at, err, "it has %zu, and must have from %" PRIu64 " to %" PRIu64, count, shape->min,
                      shape->max);
    return 0;
}

static int check_list(const json_t *value, const struct schema_shape *shape, const struct place *at,
                      struct cofre_err *err)
{
    size_t i;
    json_t *each;
    if (!json_is_array(value))
        return refuse(at, err, "it must be a list");
    int rc = check_count(json_array_size(value), shape, at, err);
    json_array_foreach((json_t *)value, i, each)
    {
        const struct place in = within(at, "[%zu]", i);
        if (rc == 0)
            rc = check_shape(each, shape->each, &in, err);
    }
    return rc;
}

static int check_map(const json_t *value, const struct schema_shape *shape, const struct place *at,
                     struct cofre_err *err)
{
    const char *name;
    json_t *each;
    if (!json_is_object(value))
        return refuse(at, err, "it must be an object");
    int rc = check_count(json_object_size(value), shape, at, err);
    json_object_foreach((json_t *)value, name, each)
    {
        const struct place in = within(at, "%s%.64s", at->len ? "." : "", name);
        if (rc == 0)
            rc = schema_check_text(name, SCHEMA_IS_NAME, at->text, err);
        if (rc == 0)
            rc = check_shape(each, shape->each, &in, err);
    }
    return rc;
}

const struct schema_member *schema_find(const struct schema *schema, const char *name)
{
    for (const struct schema_member *m = schema->member; m->name; m++)
        if (strcmp(m->name, name) == 0)
            return m;
    return NULL;
}

static int check_members(const json_t *value, const struct schema *schema, const struct place *at,
                         struct cofre_err *err)
{
    const char *name;
    json_t *member;
    json_object_foreach((json_t *)value, name, member)
    {
        const struct schema_member *row = schema_find(schema, name);
        const struct place in = within(at, "%s%.64s", at->len ? "." : "", name);
        if (!row)
            return refuse(&in, err, "there is no such member");
        const int rc = check_shape(member, &row->shape, &in, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int check_object(const json_t *value, const struct schema_shape *shape, const struct place *at,
                        struct cofre_err *err)
{
    const struct schema *schema = shape->object;
    struct cofre_err why;
    if (!json_is_object(value))
        return refuse(at, err, "it must be an object");
    const int rc = check_members(value, schema, at, err);
    if (rc < 0)
        return rc;
    for (const struct schema_member *m = schema->member; m->name; m++) {
        const struct place in = within(at, "%s%s", at->len ? "." : "", m->name);
        if (m->required && !json_object_get(value, m->name))
            return refuse(&in, err, "it must be there");
    }
    if (!schema->rule || schema->rule(value, &why) == 0)
        return 0;
    return cofre_fail(err, COFRE_MALFORMED, "%s%s%s", at->text, at->len ? ": " : "", why.text);
}

static int check_any(const json_t *value, const struct schema_shape *shape, const struct place *at,
                     struct cofre_err *err)
{
    (void)value, (void)shape, (void)at, (void)err;
    return 0;
}

static int check_shape(const json_t *value, const struct schema_shape *shape, const struct place *at,
                       struct cofre_err *err)
{
    static int (*const check[])(const json_t *, const struct schema_shape *, const struct place *,
                                struct cofre_err *) = {
        [SCHEMA_TEXT] = check_text, [SCHEMA_UNSIGNED] = check_unsigned, [SCHEMA_BOOLEAN] = check_boolean,
        [SCHEMA_WORD] = check_word, [SCHEMA_LIST] = check_list,         [SCHEMA_OBJECT] = check_object,
        [SCHEMA_MAP] = check_map,   [SCHEMA_ANY] = check_any,
    };
    struct place in = *at;
    if (in.depth++ > SCHEMA_DEPTH_MAX)
        return refuse(at, err, "it is nested deeper than %d", SCHEMA_DEPTH_MAX);
    return check[shape->type](value, shape, &in, err);
}

int schema_check_shape(const json_t *value, const struct schema_shape *shape, const char *name,
                       struct cofre_err *err)
{
    const struct place none = {0}, at = within(&none, "%s", name);
    return check_shape(value, shape, &at, err);
}

int schema_check(const json_t *value, const struct schema *schema, struct cofre_err *err)
{
    return schema_check_shape(value, &(struct schema_shape){.type = SCHEMA_OBJECT, .object = schema}, "",
                              err);
}

int schema_check_text(const char *text, enum schema_check check, const char *name, struct cofre_err *err)
{
    struct cofre_err why;
    const struct schema_shape shape = {.type = SCHEMA_TEXT, .check = check};
    const int rc = text_check((struct view){(const uint8_t *)text, strlen(text)}, &shape, &why);
    return rc < 0 ? cofre_fail(err, COFRE_MALFORMED, "%s: %s", name, why.text) : 0;
}

int schema_from_text(json_t **out, const char *text, const struct schema_member *member,
                     struct cofre_err *err)
{
    uint64_t number;
    struct cofre_err why;
    *out = NULL;
    if (member->shape.type == SCHEMA_UNSIGNED) {
        if (schema_check_text(text, SCHEMA_IS_NUMBER, member->name, err) < 0)
            return -COFRE_MALFORMED;
        if (number_parse(&number, text, member->name, 0, INT64_MAX, &why) < 0)
            return cofre_fail(err, COFRE_MALFORMED, "%s", why.text);
        *out = json_integer((json_int_t)number);
    } else if (member->shape.type == SCHEMA_BOOLEAN && strcmp(text, "true") != 0 &&
               strcmp(text, "false") != 0)
        return cofre_fail(err, COFRE_MALFORMED, "%s: it must be true or false", member->name);
    else if (member->shape.type == SCHEMA_BOOLEAN)
        *out = json_boolean(strcmp(text, "true") == 0);
    else
        *out = json_string(text);
    if (!*out)
        return cofre_fail(err, COFRE_MALFORMED, "%s: it is not UTF-8", member->name);
    const int rc = schema_check_shape(*out, &member->shape, member->name, err);
    if (rc < 0) {
        json_decref(*out);
        *out = NULL;
    }
    return rc;
}

/* Getters */

const json_t *member_at(const json_t *object, const char *name)
{
    const json_t *member = json_object_get(object, name);
    return json_is_null(member) ? NULL : member;
}

const char *member_text(const json_t *object, const char *name, const char *otherwise)
{
    const char *text = json_string_value(member_at(object, name));
    return text ? text : otherwise;
}

uint64_t member_unsigned(const json_t *object, const char *name, uint64_t otherwise)
{
    const json_t *member = member_at(object, name);
    return json_is_integer(member) && json_integer_value(member) >= 0 ? (uint64_t)json_integer_value(member)
                                                                      : otherwise;
}

bool member_boolean(const json_t *object, const char *name, bool otherwise)
{
    const json_t *member = member_at(object, name);
    return json_is_boolean(member) ? json_is_true(member) : otherwise;
}
