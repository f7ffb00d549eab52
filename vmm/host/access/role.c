#include "vmm/host/access/role.h"

#include <string.h>

/* docs/cofred.md has the same table; a test compares them. */
static const char *const viewer[] = {"tenant.show",      "guest.list", "guest.show", "guest.wait",
                                     "guest.statistics", "image.list", "image.show", "constraint.show",
                                     "event.stream",     NULL};
static const char *const operator_[] = {
    "tenant.show",     "guest.list",   "guest.show", "guest.wait",    "guest.statistics", "image.list",
    "image.show",      "guest.start",  "guest.stop", "guest.kill",    "guest.restart",    "guest.pause",
    "guest.resume",    "guest.limit",  "guest.logs", "guest.console", "guest.input",      "guest.evidence",
    "constraint.show", "event.stream", NULL};
static const char *const launcher[] = {"tenant.show",     "guest.*",      "image.list", "image.show",
                                       "constraint.show", "event.stream", NULL};
static const char *const image_manager[] = {"tenant.show", "image.*", NULL};
static const char *const quota_manager[] = {"tenant.show",      "tenant.update", "guest.list",
                                            "guest.statistics", "host.show",     NULL};
static const char *const auditor[] = {"audit.entries", "audit.head", "audit.proof",  "audit.consistency",
                                      "tenant.show",   "guest.list", "guest.show",   "image.list",
                                      "image.show",    "role.list",  "grant.list",   "constraint.show",
                                      "approval.list", "host.*",     "event.stream", NULL};
static const char *const administrator[] = {"*", NULL};

const struct role role_built_in[] = {
    {"viewer", viewer, "sees guests and images, and what happens to them"},
    {"operator", operator_, "runs guests that are defined: start, stop, limits, console"},
    {"launcher", launcher, "defines guests and runs them"},
    {"image-manager", image_manager, "stores and deletes images"},
    {"quota-manager", quota_manager, "sets how much a tenant may use"},
    {"auditor", auditor, "reads the log and what is set, and changes nothing"},
    {ROLE_ADMINISTRATOR, administrator, "may everything where it is granted"},
};
const size_t role_built_in_count = sizeof role_built_in / sizeof *role_built_in;

int role_patterns_read(role_set *out, const json_t *patterns, struct cofre_err *err)
{
    const json_t *one;
    size_t i;
    *out = 0;
    if (json_array_size(patterns) == 0 || json_array_size(patterns) > ROLE_PATTERNS_MAX)
        return cofre_fail(err, COFRE_USAGE, "a role has 1 to %d operations", ROLE_PATTERNS_MAX);
    json_array_foreach(patterns, i, one)
    {
        const role_set set = json_is_string(one) ? role_pattern_set(json_string_value(one)) : 0;
        if (!set)
            return cofre_fail(err, COFRE_USAGE, "\"%.80s\" is no operation, nor all of a noun's",
                              json_is_string(one) ? json_string_value(one) : "");
        *out |= set;
    }
    return 0;
}

const struct role *role_find_built_in(const char *name)
{
    for (size_t i = 0; i < role_built_in_count; i++)
        if (strcmp(role_built_in[i].name, name) == 0)
            return &role_built_in[i];
    return NULL;
}

int role_of_row(role_set *out, const char *name, const char *patterns, struct cofre_err *err)
{
    const struct role *known = role_find_built_in(name);
    *out = 0;
    for (size_t i = 0; known && known->patterns[i]; i++)
        *out |= role_pattern_set(known->patterns[i]);
    if (known)
        return 0;
    CLEAN_JSON *list = patterns ? json_loads(patterns, 0, NULL) : NULL;
    return role_patterns_read(out, list, NULL) < 0
               ? cofre_fail(err, COFRE_FAILED, "role \"%.80s\" cannot be read", name)
               : 0;
}

struct found {
    const char *name;
    role_set *set;
};

static int take_operations(void *context, const struct db_value *column, size_t columns,
                           struct cofre_err *err)
{
    const struct found *found = context;
    (void)columns;
    return role_of_row(found->set, found->name, db_string(&column[0]), err);
}

int role_find(role_set *out, struct db *db, const char *name, struct cofre_err *err)
{
    struct found found = {name, out};
    if (role_find_built_in(name))
        return role_of_row(out, name, NULL, err);
    int rc = DB_RUN(db, "SELECT operations FROM access_role WHERE name = $1", take_operations, &found, err,
                    db_text(name));
    return rc < 0 ? rc : rc == 0 ? cofre_fail(err, COFRE_NEGATIVE, "there is no role \"%.80s\"", name) : 0;
}
