/* Guests as they are defined; what they do is in running.c. */
#include <stdio.h>
#include <string.h>

#include "vmm/host/decide/parts.h"

#define PAGE 100 /* rows of a list, where it is not said */

static int no_memory(struct cofre_err *err)
{
    return cofre_fail(err, COFRE_FAILED, "no memory for an answer");
}

static char *document_of(const json_t *object)
{
    return json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);
}

static int show(struct call *call, struct cofre_err *err)
{
    CLEAN_JSON *definition = NULL;
    int rc = guest_definition(&definition, call->db, call->guest.number, call->guest.version, err);
    if (rc < 0)
        return rc;
    call->answer = guest_show(&call->guest, definition);
    return call->answer ? 0 : no_memory(err);
}

/* All that the newest definition and the one that runs name, so that none of it can be deleted. */
static int use_images(struct call *call, const json_t *definition, struct cofre_err *err)
{
    const struct guest_row *g = &call->guest;
    struct image_digest digest[2 * DEFINITION_IMAGES];
    CLEAN_JSON *runs = NULL;
    int count = definition_images(digest, definition, err), more = 0;
    if (count >= 0 && g->started_version && g->started_version != g->version &&
        guest_definition(&runs, call->db, g->number, g->started_version, err) == 0)
        more = definition_images(digest + count, runs, err);
    if (count < 0 || more < 0)
        return count < 0 ? count : more;
    int rc = images_use(call->db, g->tenant, g->number, g->name, digest, (size_t)(count + more), err);
    return rc == -COFRE_NEGATIVE ? -COFRE_MALFORMED : rc;
}

static bool is_own(const json_t *disk)
{
    return member_at(disk, "size") || strcmp(member_text(disk, "mode", ""), "copy") == 0;
}

/* A disk of its own that the new definition has as the old one had it stays, with what is on it. */
static int plan_disks(struct call *call, const json_t *definition, const json_t *former,
                      struct cofre_err *err)
{
    const uint64_t quota = tenant_quota(&call->tenant, "storage");
    const json_t *new = member_at(definition, "disks"), *old = member_at(former, "disks");
    struct images *images = call->decider->images;
    int rc = 0;
    for (size_t i = 0; rc >= 0 && i < json_array_size(new) + json_array_size(old); i++) {
        const json_t *disk = json_array_get(new, i), *was = json_array_get(old, i);
        struct image_digest image;
        if (was && is_own(was) && disk && json_equal(disk, was))
            continue;
        if (was && is_own(was))
            rc = guest_disk_drop(images, call->db, call->guest.number, (unsigned)i, err);
        if (rc < 0 || !disk || !is_own(disk))
            continue;
        const char *of = member_text(disk, "image", NULL);
        rc = of ? image_digest_parse(&image, of, err) : 0;
        if (rc >= 0)
            rc = guest_disk_plan(images, call->db, call->guest.tenant, call->guest.number, (unsigned)i,
                                 of ? &image : NULL, member_unsigned(disk, "size", 0), quota, err);
    }
    return rc < 0 ? rc : 0;
}

/* Told when it is kept, and not before. */
static void tell_created(struct call *call)
{
    event_happens(call->decider, "created", &call->guest);
}

static void tell_defined(struct call *call)
{
    event_happens(call->decider, "defined", &call->guest);
}

static void tell_deleted(struct call *call)
{
    if (call->guest.number)
        event_happens(call->decider, "deleted", &call->guest);
}

/* What would fail at each start is refused now. */
static int check(struct call *call, const json_t *definition, struct cofre_err *err)
{
    struct hands_start start;
    int rc = definition_to_start(&start, definition, call->decider->config, err);
    if (rc == 0)
        rc = access_constraint_check(call->db, call->tenant.name, definition, NULL, err);
    return rc == -COFRE_NEGATIVE ? -COFRE_USAGE : rc;
}

int work_guest_create(struct call *call, struct cofre_err *err)
{
    CLEAN_JSON *definition = definition_unnamed(call->request.body);
    struct guest_row *g = &call->guest;
    const json_t *labels = member_at(definition, "labels");
    g->made = call->now;
    g->labels = labels ? json_deep_copy(labels) : json_object();
    (void)snprintf(g->tenant, sizeof g->tenant, "%s", call->tenant.name);
    (void)snprintf(g->name, sizeof g->name, "%s", member_text(call->request.body, "name", ""));
    if (!definition || !g->labels)
        return no_memory(err);
    int rc = access_constraint_force(call->db, g->tenant, definition, err);
    if (rc >= 0)
        rc = check(call, definition, err);
    if (rc >= 0)
        rc = admission_check_guests(call, err);
    if (rc >= 0)
        rc = guest_row_add(g, call->db, definition, access_caller_name(&call->who), err);
    if (rc >= 0)
        rc = use_images(call, definition, err);
    if (rc >= 0)
        rc = plan_disks(call, definition, NULL, err);
    if (rc < 0)
        return rc;
    call->after = document_of(definition);
    call->then = tell_created;
    return show(call, err);
}

struct guests {
    const struct access_view *view;
    json_t *rows;
    size_t limit;
    const char *label;
    bool more;
};

static bool has_label(const json_t *labels, const char *wanted)
{
    char name[64];
    const char *equals = strchr(wanted, '=');
    (void)snprintf(name, sizeof name, "%.*s", (int)(equals ? equals - wanted : (long)strlen(wanted)), wanted);
    const char *value = member_text(labels, name, NULL);
    return value && (!equals || strcmp(value, equals + 1) == 0);
}

static int take_guest(void *context, const struct guest_row *guest, struct cofre_err *err)
{
    struct guests *list = context;
    if (!access_view_guest(list->view, guest->tenant, guest->labels) ||
        (list->label && !has_label(guest->labels, list->label)))
        return 0;
    if (json_array_size(list->rows) == list->limit) {
        list->more = true;
        return 1;
    }
    return json_array_append_new(list->rows, guest_show(guest, NULL)) < 0 ? no_memory(err) : 0;
}

int work_guest_list(struct call *call, struct cofre_err *err)
{
    const json_t *query = call->request.query;
    struct access_view *view = NULL;
    struct guests list = {.rows = json_array(),
                          .limit = call_query(call, "limit", PAGE),
                          .label = member_text(query, "label", NULL)};
    int rc = access_view_open(&view, call->db, &call->who, call->now, err);
    list.view = view;
    if (rc == 0)
        rc = guests_list(call->db, call->tenant.name, member_text(query, "after", ""),
                         member_text(query, "state", NULL), take_guest, &list, err);
    access_view_close(view);
    call->answer = json_pack("{s:o}", "guests", list.rows);
    if (rc == 0 && call->answer && list.more)
        json_object_set(call->answer, "next",
                        json_object_get(json_array_get(list.rows, list.limit - 1), "name"));
    return rc < 0 ? rc : call->answer ? 0 : no_memory(err);
}

int work_guest_show(struct call *call, struct cofre_err *err)
{
    return show(call, err);
}

int work_guest_update(struct call *call, struct cofre_err *err)
{
    struct guest_row *g = &call->guest;
    CLEAN_JSON *definition = json_deep_copy(call->request.body), *former = NULL;
    const json_t *labels = member_at(definition, "labels");
    if (!definition)
        return no_memory(err);
    if (g->state != GUEST_STOPPED && g->state != GUEST_FAILED)
        return cofre_fail(err, COFRE_USAGE, "a guest that is %s cannot be defined anew: stop it first",
                          guest_state_names[g->state]);
    int rc = guest_definition(&former, call->db, g->number, g->version, err);
    if (rc >= 0)
        rc = access_constraint_force(call->db, g->tenant, definition, err);
    if (rc >= 0)
        rc = check(call, definition, err);
    if (rc >= 0)
        rc = guest_redefine(g, call->db, definition, call->now, access_caller_name(&call->who), err);
    json_decref(g->labels);
    g->labels = labels ? json_deep_copy(labels) : json_object();
    g->started_version = 0;
    if (rc >= 0)
        rc = guest_row_change(call->db, g, err);
    if (rc >= 0)
        rc = use_images(call, definition, err);
    if (rc >= 0)
        rc = plan_disks(call, definition, former, err);
    if (rc >= 0)
        rc = guest_forget_versions(call->db, g, err);
    if (rc < 0)
        return rc;
    call->before = document_of(former);
    call->after = document_of(definition);
    call->then = tell_defined;
    return show(call, err);
}

/* What hands has of its last run goes first: then the row, its disks and its number. */
static int gone(struct call *call, struct cofre_err *err)
{
    if (call->hands_rc < 0)
        return cofre_within(err, cofre_fail(err, COFRE_FAILED, "%s", call->hands_err.text),
                            "guest %s is marked as deleted, and its remains cannot be removed yet",
                            call_part(call, 1));
    int rc = guest_row_find(&call->guest, call->db, call_part(call, 0), call_part(call, 1), err);
    const bool is_there = rc == 0 && call->guest.run == call->run; /* two may have asked for its end */
    if (is_there)
        rc = guest_images_drop(call->decider->images, call->db, call->guest.number, err);
    if (rc >= 0 && is_there)
        rc = guest_row_remove(call->db, call->guest.number, err);
    call->then = is_there ? tell_deleted : NULL;
    return rc < 0 ? rc : 0;
}

static void remove_run(struct call *call)
{
    call_hands(call, HANDS_REMOVE, call->guest.run, NULL, gone);
}

int work_guest_delete(struct call *call, struct cofre_err *err)
{
    CLEAN_JSON *definition = NULL;
    int rc = guest_definition(&definition, call->db, call->guest.number, call->guest.version, err);
    if (rc >= 0)
        rc = guest_happens(call, &call->guest, GUEST_DELETE, err);
    if (rc < 0)
        return rc;
    call->before = document_of(definition);
    if (!call->guest.run) {
        call->hands_rc = 0;
        return gone(call, err);
    }
    call->begun = call->hold = true;
    call->then = remove_run;
    return 0;
}
