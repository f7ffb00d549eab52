#include "vmm/cli/host_flags.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/number.h"

static const struct schema_shape *shape_of(const struct host_flag *flag)
{
    return &flag->member[flag->depth - 1]->shape;
}

/* Names. */

static bool is_many(const struct schema_shape *shape)
{
    return shape->type == SCHEMA_LIST || shape->type == SCHEMA_MAP;
}

/* "quotas": {"guests"} is --quota-guests. */
static size_t singular(const char *name, bool many)
{
    const size_t len = strlen(name);
    return many && len > 1 && name[len - 1] == 's' ? len - 1 : len;
}

static void name_it(struct host_flag *flag)
{
    size_t at = 0;
    for (size_t i = 0; i < flag->depth; i++) {
        const char *name = flag->member[i]->name;
        const bool many = i + 1 < flag->depth || is_many(shape_of(flag));
        int n = snprintf(flag->name + at, sizeof flag->name - at, "%s%.*s", i ? "-" : "",
                         (int)singular(name, many), name);
        at = n > 0 && at + (size_t)n < sizeof flag->name ? at + (size_t)n : sizeof flag->name - 1;
    }
    for (char *c = flag->name; *c; c++)
        if (*c == '_')
            *c = '-';
    if (strcmp(flag->name, "help") == 0) /* which is something else on every command line */
        (void)snprintf(flag->name, sizeof flag->name, "description");
}

struct walk {
    struct host_flag *out;
    size_t count;
    const char *except;
};

static void walk(struct walk *w, const struct schema *schema, const struct host_flag *within)
{
    for (const struct schema_member *m = schema ? schema->member : NULL; m && m->name; m++) {
        struct host_flag flag = *within;
        if (m->shape.type == SCHEMA_ANY || w->count == HOST_FLAGS_MAX || flag.depth == HOST_FLAG_DEPTH)
            continue;
        if (flag.depth == 0 &&
            (strcmp(m->name, "tenant") == 0 || (!flag.query && w->except && strcmp(w->except, m->name) == 0)))
            continue;
        flag.member[flag.depth++] = m;
        if (m->shape.type == SCHEMA_OBJECT) {
            walk(w, m->shape.object, &flag);
            continue;
        }
        name_it(&flag);
        w->out[w->count++] = flag;
    }
}

size_t host_flags(struct host_flag out[static HOST_FLAGS_MAX], const struct operation *operation,
                  const char *except)
{
    struct walk w = {out, 0, except};
    walk(&w, operation->query, &(struct host_flag){.query = true});
    walk(&w, operation->body, &(struct host_flag){.query = false});
    return w.count;
}

/* Values. */

/* The form of a value is wrong use; that the service says no is its own. */
static int within_flag(const struct host_flag *flag, int rc, struct cofre_err *err)
{
    return rc < 0 ? cofre_within(err, rc == -COFRE_MALFORMED ? -COFRE_USAGE : rc, "--%s", flag->name) : 0;
}

/* Numbers may be sizes, 512M, and digests tags. */
static int one(json_t **out, const char *name, const struct schema_shape *shape, const char *text,
               const struct host_resolver *resolver, struct cofre_err *err)
{
    const struct schema_member member = {.name = name, .shape = *shape};
    char plain[OPERATION_PART_MAX];
    uint64_t size;
    if (shape->type == SCHEMA_UNSIGNED && size_parse(&size, text, name, NULL) == 0) {
        (void)snprintf(plain, sizeof plain, "%" PRIu64, size);
        text = plain;
    } else if (shape->type == SCHEMA_TEXT && shape->check == SCHEMA_IS_DIGEST &&
               schema_check_text(text, SCHEMA_IS_NAME, name, NULL) == 0) {
        int rc = resolver->digest(resolver->context, plain, text, err);
        if (rc < 0)
            return rc;
        text = plain;
    }
    return schema_from_text(out, text, &member, err);
}

static int set(json_t *object, const char *name, json_t *value, struct cofre_err *err)
{
    return json_object_set_new(object, name, value) == 0 ? 0 : cofre_fail(err, COFRE_FAILED, "out of memory");
}

/* NAME=VALUE of an object's member, or of a map. */
static int put_pair(json_t *object, const struct schema *schema, const struct schema_shape *each, char *pair,
                    const struct host_resolver *resolver, struct cofre_err *err)
{
    char *value = strchr(pair, '=');
    json_t *json = NULL;
    if (!value)
        return cofre_fail(err, COFRE_USAGE, "\"%.64s\" is not NAME=VALUE", pair);
    *value++ = 0;
    const struct schema_member *member = schema ? schema_find(schema, pair) : NULL;
    if (schema && !member)
        return cofre_fail(err, COFRE_USAGE, "there is no \"%.64s\" in it", pair);
    int rc = one(&json, pair, member ? &member->shape : each, value, resolver, err);
    return rc < 0 ? rc : set(object, pair, json, err);
}

static int put_object(json_t *list, const struct schema *schema, const char *text,
                      const struct host_resolver *resolver, struct cofre_err *err)
{
    CLEAN_FREE char *copy = strdup(text);
    json_t *object = json_object();
    char *rest = NULL;
    int rc = copy && object ? 0 : cofre_fail(err, COFRE_FAILED, "out of memory");
    for (char *pair = rc < 0 ? NULL : strtok_r(copy, ",", &rest); rc == 0 && pair;
         pair = strtok_r(NULL, ",", &rest))
        rc = put_pair(object, schema, NULL, pair, resolver, err);
    if (rc == 0 && json_array_append(list, object) < 0)
        rc = cofre_fail(err, COFRE_FAILED, "out of memory");
    json_decref(object);
    return rc;
}

static int put_each(json_t *many, const struct host_flag *flag, const char *text,
                    const struct host_resolver *resolver, struct cofre_err *err)
{
    const struct schema_shape *shape = shape_of(flag), *each = shape->each;
    json_t *value = NULL;
    if (shape->type == SCHEMA_MAP) {
        CLEAN_FREE char *copy = strdup(text);
        return copy ? put_pair(many, NULL, each, copy, resolver, err)
                    : cofre_fail(err, COFRE_FAILED, "out of memory");
    }
    if (each->type == SCHEMA_OBJECT)
        return put_object(many, each->object, text, resolver, err);
    int rc = one(&value, flag->name, each, text, resolver, err);
    return rc < 0                                    ? rc
           : json_array_append_new(many, value) == 0 ? 0
                                                     : cofre_fail(err, COFRE_FAILED, "out of memory");
}

/* The object, list or map of that name, which is made where it is not there. */
static json_t *within(json_t *object, const char *name, bool list)
{
    json_t *there = json_object_get(object, name);
    if (!there && json_object_set_new(object, name, list ? json_array() : json_object()) == 0)
        there = json_object_get(object, name);
    return there;
}

int host_flag_put(json_t *object, const struct host_flag *flag, const char *text,
                  const struct host_resolver *resolver, struct cofre_err *err)
{
    const struct schema_member *last = flag->member[flag->depth - 1];
    json_t *value = NULL;
    for (size_t i = 0; object && i + 1 < flag->depth; i++)
        object = within(object, flag->member[i]->name, false);
    if (object && is_many(&last->shape)) {
        json_t *many = within(object, last->name, last->shape.type == SCHEMA_LIST);
        return many ? within_flag(flag, put_each(many, flag, text, resolver, err), err)
                    : cofre_fail(err, COFRE_FAILED, "out of memory");
    }
    int rc = object ? one(&value, last->name, &last->shape, text, resolver, err)
                    : cofre_fail(err, COFRE_FAILED, "out of memory");
    return rc < 0 ? within_flag(flag, rc, err) : set(object, last->name, value, err);
}

/* Help. */

static void value_name(char *out, size_t room, const struct schema_shape *shape)
{
    static const char *const checks[SCHEMA_CHECKS] = {
        [SCHEMA_IS_TEXT] = "TEXT",    [SCHEMA_IS_LINES] = "TEXT",          [SCHEMA_IS_NAME] = "NAME",
        [SCHEMA_IS_DIGEST] = "IMAGE", [SCHEMA_IS_IMAGE] = "IMAGE",         [SCHEMA_IS_HEX] = "HEX",
        [SCHEMA_IS_CPUS] = "CPUS",    [SCHEMA_IS_BASE64] = "BASE64",       [SCHEMA_IS_TIME] = "TIME",
        [SCHEMA_IS_NUMBER] = "N",     [SCHEMA_IS_OPERATION] = "OPERATION", [SCHEMA_IS_BITS] = "BITS"};
    size_t at = 0;
    const char *name = shape->type == SCHEMA_UNSIGNED  ? "N"
                       : shape->type == SCHEMA_BOOLEAN ? "true"
                       : shape->type == SCHEMA_TEXT    ? checks[shape->check]
                                                       : "VALUE";
    (void)snprintf(out, room, "%s", name);
    for (const char *const *w = shape->type == SCHEMA_WORD ? shape->words : NULL; w && *w && at < room; w++) {
        int n = snprintf(out + at, room - at, "%s%s", at ? "|" : "", *w);
        at += n > 0 ? (size_t)n : room;
    }
}

/* NAME=VALUE,... with the names that there are. */
static void pairs(char *out, size_t room, const struct schema *schema)
{
    size_t at = 0;
    for (const struct schema_member *m = schema->member; m->name && at < room; m++) {
        char value[64];
        value_name(value, sizeof value, &m->shape);
        int n = snprintf(out + at, room - at, "%s%s=%s", at ? "," : "", m->name, value);
        at += n > 0 ? (size_t)n : room;
    }
}

#define COLUMN 28

void host_flag_describe(FILE *to, const struct host_flag *flag)
{
    const struct schema_shape *shape = shape_of(flag);
    char value[256], head[384];
    if (shape->type == SCHEMA_MAP)
        (void)snprintf(value, sizeof value, "NAME=VALUE");
    else if (shape->type == SCHEMA_LIST && shape->each->type == SCHEMA_OBJECT)
        pairs(value, sizeof value, shape->each->object);
    else
        value_name(value, sizeof value, shape->type == SCHEMA_LIST ? shape->each : shape);
    int n = shape->type == SCHEMA_BOOLEAN ? snprintf(head, sizeof head, "  --%s[=false]", flag->name)
                                          : snprintf(head, sizeof head, "  --%s %s", flag->name, value);
    const char *help = flag->member[flag->depth - 1]->help;
    fprintf(to, "%s%*s%s%s\n", head, n < COLUMN ? COLUMN - n : 0, "",
            n < COLUMN ? "" : "\n                            ", help ? help : "");
}
