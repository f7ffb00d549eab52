#include "vmm/host/front/document.h"

#include <ctype.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/host/front/problem.h"
#include "vmm/host/interface/operation.h"
#include "vmm/host/interface/schemas.h"

#define REFERENCE "#/components/schemas/"

static int put(json_t *object, const char *name, json_t *value)
{
    return json_object_set_new(object, name, value);
}

/* Components: what operations name, and what that names in turn. */

static int add_component(json_t *components, const struct schema *schema);

static int add_of_shape(json_t *components, const struct schema_shape *shape)
{
    if (shape->type == SCHEMA_OBJECT)
        return add_component(components, shape->object);
    return shape->type == SCHEMA_LIST || shape->type == SCHEMA_MAP ? add_of_shape(components, shape->each)
                                                                   : 0;
}

static int add_component(json_t *components, const struct schema *schema)
{
    if (!schema || json_object_get(components, schema->name))
        return 0;
    int rc = put(components, schema->name, schema_document(schema));
    for (const struct schema_member *m = schema->member; rc == 0 && m->name; m++)
        rc = add_of_shape(components, &m->shape);
    return rc;
}

static json_t *content(const char *type, json_t *schema)
{
    return json_pack("{s:{s:o}}", type, "schema", schema);
}

static json_t *reference(const struct schema *schema)
{
    return json_pack("{s:s+}", "$ref", REFERENCE, schema->name);
}

static json_t *problem(void)
{
    return json_pack(
        "{s:s, s:o}", "description",
        "Why it was not done (RFC 9457): \"code\" is a word for programs, \"detail\" a sentence for people.",
        "content", content(PROBLEM_TYPE, reference(&schema_problem)));
}

static json_t *components(void)
{
    CLEAN_JSON *schemas = json_object();
    int rc = add_component(schemas, &schema_problem);
    for (size_t i = 0; rc == 0 && i < OPERATIONS; i++) {
        rc = add_component(schemas, operations[i].body);
        if (rc == 0)
            rc = add_component(schemas, operations[i].answer);
    }
    return rc < 0 ? NULL
                  : json_pack("{s:O, s:{s:o}, s:{s:o, s:o}}", "schemas", schemas, "responses", "Problem",
                              problem(), "securitySchemes", "token",
                              json_pack("{s:s, s:s, s:s}", "type", "http", "scheme", "bearer", "bearerFormat",
                                        "JWT"),
                              "certificate", json_pack("{s:s}", "type", "mutualTLS"));
}

/* Parameters */

static json_t *part_parameter(const char *name, enum schema_check check)
{
    const struct schema_shape shape = {.type = SCHEMA_TEXT, .check = check};
    return json_pack("{s:s, s:s, s:b, s:o}", "name", name, "in", "path", "required", 1, "schema",
                     schema_shape_document(&shape));
}

static json_t *query_parameter(const struct schema_member *member)
{
    return json_pack("{s:s, s:s, s:b, s:s, s:o}", "name", member->name, "in", "query", "required",
                     (int)member->required, "description", member->help ? member->help : "", "schema",
                     schema_shape_document(&member->shape));
}

static json_t *parameters(const struct operation *operation)
{
    char name[OPERATION_PART_MAX];
    enum schema_check check;
    CLEAN_JSON *out = json_array();
    for (size_t i = 0; operation_part(operation, i, name, &check); i++)
        if (json_array_append_new(out, part_parameter(name, check)) < 0)
            return NULL;
    for (const struct schema_member *m = operation->query ? operation->query->member : NULL; m && m->name;
         m++)
        if (json_array_append_new(out, query_parameter(m)) < 0)
            return NULL;
    return TAKE_PTR(out);
}

/* Operations */

static json_t *answers(const struct operation *operation)
{
    char status[16];
    (void)snprintf(status, sizeof status, "%d", operation->status);
    json_t *good = json_pack("{s:s}", "description", "Done.");
    CLEAN_JSON *out =
        json_pack("{s:o, s:{s:s}}", status, good, "default", "$ref", "#/components/responses/Problem");
    int rc = out ? 0 : -1;
    if (rc == 0 && operation->answer)
        rc = put(good, "content", content("application/json", reference(operation->answer)));
    else if (rc == 0 && operation->type)
        rc = put(good, "content", content(operation->type, json_pack("{s:s}", "type", "string")));
    return rc < 0 ? NULL : TAKE_PTR(out);
}

static int add_body(json_t *out, const struct operation *operation)
{
    const bool bytes = operation->flags & OPERATION_UPLOADS;
    if (!bytes && !operation->body)
        return 0;
    bool required = bytes;
    for (const struct schema_member *m = bytes ? NULL : operation->body->member; m && m->name; m++)
        required = required || m->required;
    json_t *what = bytes ? content("application/octet-stream", json_object())
                         : content("application/json", reference(operation->body));
    return put(out, "requestBody", json_pack("{s:b, s:o}", "required", (int)required, "content", what));
}

static json_t *described(const struct operation *operation)
{
    const char *dot = strchr(operation->name, '.');
    CLEAN_JSON *out = json_pack("{s:s, s:s, s:[s#], s:o, s:o}", "operationId", operation->name, "summary",
                                operation->help, "tags", operation->name, (int)(dot - operation->name),
                                "parameters", parameters(operation), "responses", answers(operation));
    if (!out || add_body(out, operation) < 0)
        return NULL;
    return TAKE_PTR(out);
}

static json_t *paths(void)
{
    CLEAN_JSON *out = json_object();
    for (size_t i = 0; i < OPERATIONS; i++) {
        char method[16] = "";
        for (size_t n = 0; operations[i].method[n] && n < sizeof method - 1; n++)
            method[n] = (char)tolower((unsigned char)operations[i].method[n]);
        json_t *path = json_object_get(out, operations[i].path);
        if (!path && put(out, operations[i].path, path = json_object()) < 0)
            return NULL;
        if (put(path, method, described(&operations[i])) < 0)
            return NULL;
    }
    return TAKE_PTR(out);
}

char *document_text(void)
{
    CLEAN_JSON *out = json_pack(
        "{s:s, s:{s:s, s:s, s:s, s:{s:s, s:s}}, s:[{s:s}], s:[{s:[]}, {s:[]}, {}], s:o, s:o}", "openapi",
        "3.1.0", "info", "title", "cofred", "version", "1", "description",
        "One host's guests, for many tenants. Every operation is decided by roles and is on record.",
        "license", "name", "Apache-2.0", "identifier", "Apache-2.0", "servers", "url", "/", "security",
        "token", "certificate", "paths", paths(), "components", components());
    return out ? json_dumps(out, JSON_COMPACT) : NULL;
}
