#include "vmm/host/access/held.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Rows */

void held_free(struct held *held)
{
    for (size_t i = 0; i < held->count; i++)
        json_decref(held->grant[i].labels);
    free(held->grant);
    *held = (struct held){0};
}

static int take(void *context, const struct db_value *c, size_t columns, struct cofre_err *err)
{
    struct held *held = context;
    (void)columns;
    struct held_grant *more = realloc(held->grant, (held->count + 1) * sizeof *more);
    if (!more)
        return cofre_fail(err, COFRE_FAILED, "no memory for grants");
    held->grant = more;
    struct held_grant *g = &more[held->count];
    *g = (struct held_grant){
        .number = c[0].integer, .deny = c[4].integer, .until = c[5].integer, .wide = c[6].integer};
    (void)snprintf(g->tenant, sizeof g->tenant, "%s", db_string(&c[2]));
    g->labels = json_loads(db_string(&c[3]), 0, NULL);
    held->count++;
    if (!json_is_object(g->labels))
        return cofre_fail(err, COFRE_FAILED, "the labels of grant %lld cannot be read", (long long)g->number);
    return role_of_row(&g->set, db_string(&c[1]), db_string(&c[7]), err);
}

int held_load(struct held *out, struct db *db, const struct access_caller *caller, int64_t now,
              struct cofre_err *err)
{
    *out = (struct held){0};
    for (size_t i = 0; i < caller->principals; i++) {
        int rc = DB_RUN(db,
                        "SELECT g.number, g.role, g.tenant, g.labels, g.deny, g.until, g.wide, r.operations"
                        " FROM access_grant g LEFT JOIN access_role r ON r.name = g.role"
                        " WHERE g.subject = $1 AND (g.until = 0 OR g.until > $2)",
                        take, out, err, db_text(caller->principal[i].text), db_integer(now));
        if (rc < 0) {
            held_free(out);
            return rc;
        }
    }
    return 0;
}

/* What follows */

/* What a caller needs to find its way to what it was granted for some labels alone. Each row of such a list is asked for by itself. */
static const role_set for_any_labels = ROLE_SET_OF(OPERATION_TENANT_SHOW) |
                                       ROLE_SET_OF(OPERATION_GUEST_LIST) | ROLE_SET_OF(OPERATION_IMAGE_LIST) |
                                       ROLE_SET_OF(OPERATION_IMAGE_SHOW) |
                                       ROLE_SET_OF(OPERATION_EVENT_STREAM);

bool labels_within(const json_t *selector, const json_t *labels)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)selector, key, value)
    {
        if (!json_equal(value, json_object_get(labels, key)))
            return false;
    }
    return true;
}

/* Can something have the labels of both? */
static bool labels_meet(const json_t *a, const json_t *b)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)a, key, value)
    {
        const json_t *other = json_object_get(b, key);
        if (other && !json_equal(value, other))
            return false;
    }
    return true;
}

static bool has(role_set set, enum operation_number operation)
{
    return set & ROLE_SET_OF(operation);
}

/* What happens anywhere is told of what the caller may see there. */
static bool is_there(const struct held_grant *g, enum operation_number operation, const char *tenant)
{
    return !*g->tenant ||
           (tenant ? strcmp(g->tenant, tenant) == 0 : !g->deny && operation == OPERATION_EVENT_STREAM);
}

static bool is_of(const struct held_grant *g, enum operation_number operation, const struct held_place *place)
{
    if (!has(g->set, operation) || !is_there(g, operation, place->tenant))
        return false;
    if (json_object_size(g->labels) == 0)
        return true;
    if (!place->labels)
        return !g->deny && has(for_any_labels, operation);
    return labels_within(g->labels, place->labels);
}

int held_may(const struct held *held, enum operation_number operation, const struct held_place *place,
             int64_t *number, struct cofre_err *err)
{
    const struct held_grant *allows = NULL, *denies = NULL;
    for (size_t i = 0; i < held->count; i++)
        if (is_of(&held->grant[i], operation, place))
            *(held->grant[i].deny ? &denies : &allows) = &held->grant[i];
    *number = denies ? denies->number : allows ? allows->number : 0;
    if (denies)
        return cofre_fail(err, COFRE_NEGATIVE, "grant %lld denies %s", (long long)*number,
                          operations[operation].name);
    return allows ? 0
                  : cofre_fail(err, COFRE_NEGATIVE, "nothing grants %s %s%s", operations[operation].name,
                               place->tenant ? "in " : "on the host", place->tenant ? place->tenant : "");
}

static bool may(const struct held *held, enum operation_number operation, const char *tenant,
                const json_t *labels)
{
    int64_t number;
    return held_may(held, operation, &(struct held_place){tenant, labels}, &number, NULL) == 0;
}

static bool is_tenants(enum operation_number operation)
{
    return operations[operation].scope == OF_TENANT || operations[operation].scope == OF_MEMBER;
}

/* One that is granted for some labels is a sign of the tenant, whatever is denied of other things. */
static bool sees_by(const struct held *held, const struct held_grant *g, const char *tenant)
{
    if (g->deny || (*g->tenant && strcmp(g->tenant, tenant) != 0))
        return false;
    for (enum operation_number i = 0; i < OPERATIONS; i++)
        if (is_tenants(i) && has(g->set, i) && may(held, i, tenant, g->labels))
            return true;
    return false;
}

bool held_sees(const struct held *held, const char *tenant)
{
    for (size_t i = 0; i < held->count; i++)
        if (sees_by(held, &held->grant[i], tenant))
            return true;
    return false;
}

bool held_sees_guest(const struct held *held, const char *tenant, const json_t *labels)
{
    return may(held, OPERATION_GUEST_SHOW, tenant, labels) || may(held, OPERATION_GUEST_LIST, tenant, labels);
}

/* What may be handed on */

static bool lasts(const struct held_grant *g, int64_t until)
{
    return g->until == 0 || (until != 0 && until <= g->until);
}

static bool reaches(const struct held_grant *g, const char *tenant)
{
    return !*g->tenant || strcmp(g->tenant, tenant) == 0;
}

/* All of what has these labels in that tenant (""; in all) is allowed, or some of it denied. */
static bool gives(const struct held_grant *g, enum operation_number operation, const char *tenant,
                  const json_t *labels, int64_t until)
{
    return !g->deny && has(g->set, operation) && reaches(g, tenant) && labels_within(g->labels, labels) &&
           lasts(g, until);
}

static bool takes(const struct held_grant *g, enum operation_number operation, const char *tenant,
                  const json_t *labels)
{
    return g->deny && has(g->set, operation) && (reaches(g, tenant) || !*tenant) &&
           labels_meet(g->labels, labels);
}

static bool covers(const struct held *held, enum operation_number operation, const char *tenant,
                   const json_t *labels, int64_t until)
{
    bool given = false;
    for (size_t i = 0; i < held->count; i++) {
        if (takes(&held->grant[i], operation, tenant, labels))
            return false;
        given |= gives(&held->grant[i], operation, tenant, labels, until);
    }
    return given;
}

/* In one tenant, what is the host's is not given by a role, and need not be held. */
static bool means_something(enum operation_number operation, const char *tenant)
{
    return operations[operation].scope != OF_CALLER && (!*tenant || is_tenants(operation));
}

int held_covers(const struct held *held, role_set set, const char *tenant, const json_t *labels,
                int64_t until, struct cofre_err *err)
{
    for (enum operation_number i = 0; i < OPERATIONS; i++)
        if (has(set, i) && means_something(i, tenant) && !covers(held, i, tenant, labels, until))
            return cofre_fail(
                err, COFRE_NEGATIVE,
                "whoever gives %s %s%s must have it there himself, for all of it and for as long",
                operations[i].name, *tenant ? "in " : "on the host", tenant);
    return 0;
}
