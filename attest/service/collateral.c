/* GET /v1/collateral[?after=NAME]: what is held of the vendors', until when it is good, and what went wrong with it last. */
#include "attest/store/collateral.h"

#include "attest/service/handlers.h"
#include "attest/service/route.h"
#include "vmm/base/json.h"

#define PAGE 1000

struct list {
    json_t *items;
    char last[256];
};

static int append(void *context, const struct stored_collateral *c, struct cofre_err *err)
{
    struct list *list = context;
    json_t *item = json_pack("{s:s, s:b}", "name", c->name, "held", c->fetched != 0);
    (void)snprintf(list->last, sizeof list->last, "%s", c->name);
    if (c->fetched)
        json_object_set_new(item, "fetched", json_time(c->fetched));
    if (c->issued)
        json_object_set_new(item, "issued", json_time(c->issued));
    if (c->fetched && c->until != INT64_MAX)
        json_object_set_new(item, "until", json_time(c->until));
    if (c->next_try != INT64_MAX)
        json_object_set_new(item, "next_try", json_time(c->next_try));
    if (c->trouble) {
        json_object_set_new(item, "trouble", json_string(c->trouble));
        json_object_set_new(item, "trouble_at", json_time(c->trouble_at));
        json_object_set_new(item, "failures", json_integer(c->failures));
    }
    return json_array_append_new(list->items, item) == 0 ? 0 : cofre_fail(err, COFRE_FAILED, "out of memory");
}

void collateral_list(struct call *call)
{
    struct cofre_err err;
    const char *after = request_parameter(call->request, "after");
    CLEAN_JSON *items = json_array();
    struct list list = {.items = items};
    int rc = stored_collateral_list(call->db, after ? after : "", PAGE, append, &list, &err);
    if (rc < 0) {
        call_fail(call, rc, &err);
        return;
    }
    json_t *body = json_pack("{s:O}", "collateral", items);
    if (rc == PAGE)
        json_object_set_new(body, "next", json_string(list.last));
    request_answer_json(call->request, 200, body);
}
