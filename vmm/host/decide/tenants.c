#include <stdio.h>
#include <string.h>

#include "vmm/host/decide/parts.h"

#define PAGE 100 /* rows of a list, where it is not said */

static char *document_of(const json_t *object)
{
    return json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);
}

static int no_memory(struct cofre_err *err)
{
    return cofre_fail(err, COFRE_FAILED, "no memory for an answer");
}

int work_tenant_create(struct call *call, struct cofre_err *err)
{
    const json_t *body = call->request.body;
    struct tenant *t = &call->tenant;
    const json_t *quotas = member_at(body, "quotas"), *labels = member_at(body, "labels");
    t->made = call->now;
    (void)snprintf(t->name, sizeof t->name, "%s", member_text(body, "name", ""));
    t->quotas = quotas ? json_deep_copy(quotas) : json_object();
    t->labels = labels ? json_deep_copy(labels) : json_object();
    int rc = tenant_add(call->db, t, access_caller_name(&call->who), err);
    if (rc < 0)
        return rc;
    call->after = document_of(t->quotas);
    call->answer = tenant_show(t);
    return call->answer ? 0 : no_memory(err);
}

struct tenants {
    const struct access_view *view;
    json_t *rows;
    size_t limit;
    bool more;
};

static int take_tenant(void *context, const struct tenant *tenant, struct cofre_err *err)
{
    struct tenants *list = context;
    if (!access_view_tenant(list->view, tenant->name))
        return 0;
    if (json_array_size(list->rows) == list->limit) {
        list->more = true;
        return 1;
    }
    return json_array_append_new(list->rows, tenant_show(tenant)) < 0 ? no_memory(err) : 0;
}

int work_tenant_list(struct call *call, struct cofre_err *err)
{
    struct access_view *view = NULL;
    struct tenants list = {.rows = json_array(), .limit = call_query(call, "limit", PAGE)};
    int rc = access_view_open(&view, call->db, &call->who, call->now, err);
    list.view = view;
    if (rc == 0)
        rc = tenants_list(call->db, member_text(call->request.query, "after", ""), take_tenant, &list, err);
    access_view_close(view);
    call->answer = json_pack("{s:o}", "tenants", list.rows);
    if (rc == 0 && call->answer && list.more)
        json_object_set(call->answer, "next",
                        json_object_get(json_array_get(list.rows, list.limit - 1), "name"));
    return rc < 0 ? rc : call->answer ? 0 : no_memory(err);
}

static int show(struct call *call, struct cofre_err *err)
{
    json_t *used = NULL;
    call->answer = tenant_show(&call->tenant);
    int rc = admission_used(&used, call, call->tenant.name, err);
    if (rc == 0 && (!call->answer || json_object_set_new(call->answer, "used", used) < 0))
        rc = no_memory(err);
    return rc;
}

int work_tenant_show(struct call *call, struct cofre_err *err)
{
    return show(call, err);
}

int work_tenant_update(struct call *call, struct cofre_err *err)
{
    struct tenant *t = &call->tenant;
    json_t *quotas = json_object_get(call->request.body, "quotas"),
           *labels = json_object_get(call->request.body, "labels");
    call->before = document_of(t->quotas);
    if (quotas)
        json_object_update(t->quotas, quotas);
    if (labels) {
        json_decref(t->labels);
        t->labels = json_deep_copy(labels);
    }
    call->after = document_of(t->quotas);
    int rc = tenant_change(call->db, t, err);
    return rc < 0 ? rc : show(call, err);
}

/* Images and guests would be nobody's; grants and the constraint go with it. */
int work_tenant_delete(struct call *call, struct cofre_err *err)
{
    const char *name = call->tenant.name;
    int64_t guests = 0;
    CLEAN_JSON *images = NULL;
    int rc = guests_count(&guests, call->db, name, err);
    if (rc == 0 && guests)
        return cofre_fail(err, COFRE_USAGE, "tenant %s has %lld guests: delete them first", name,
                          (long long)guests);
    if (rc == 0)
        rc = image_list(&images, call->db, name, NULL, 1, err);
    if (rc == 0 && json_array_size(images))
        return cofre_fail(err, COFRE_USAGE, "tenant %s has images: delete them first", name);
    call->before = document_of(call->tenant.quotas);
    if (rc == 0)
        rc = access_forget_tenant(call->db, name, err);
    return rc < 0 ? rc : tenant_remove(call->db, name, err);
}
