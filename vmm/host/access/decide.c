#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/json.h"
#include "vmm/host/access/access.h"
#include "vmm/host/access/approval.h"
#include "vmm/host/access/held.h"
#include "vmm/host/access/kept.h"

/* Outcomes */

static int refuse(struct access_decision *out, const struct access_request *r, const char *reason)
{
    out->outcome = ACCESS_REFUSED;
    (void)snprintf(out->reason, sizeof out->reason, "%s", reason);
    (void)snprintf(out->answer, sizeof out->answer, "you may not do this (%s)%s%s", r->operation->name,
                   r->tenant ? " in tenant " : "", r->tenant ? r->tenant : "");
    return 0;
}

/* One sentence for what is not there and for what is not to be seen, by what was asked alone. */
static int hide(struct access_decision *out, const struct access_request *r, const char *reason)
{
    out->outcome = ACCESS_ABSENT;
    (void)snprintf(out->reason, sizeof out->reason, "%s", reason);
    if (r->resource)
        (void)snprintf(out->answer, sizeof out->answer,
                       "there is no \"%.80s\" in a tenant \"%.64s\" that you may see", r->resource,
                       r->tenant);
    else
        (void)snprintf(out->answer, sizeof out->answer, "there is no tenant \"%.64s\" that you may see",
                       r->tenant);
    return 0;
}

static int allow(struct access_decision *out)
{
    out->outcome = ACCESS_ALLOWED;
    (void)snprintf(out->reason, sizeof out->reason, out->grant ? "grant %lld" : "everybody may",
                   (long long)out->grant);
    return 0;
}

/* Steps */

static int ask_for_approval(struct access_decision *out, struct access *access, struct db *db,
                            const struct access_caller *caller, const struct access_request *r,
                            struct cofre_err *err)
{
    int rc = r->approval ? 1 : approval_is_wanted(access->config, db, r, err);
    if (rc <= 0)
        return rc < 0 ? rc : allow(out);
    rc = approval_use(&out->approval, access->config, db, caller, r, err);
    if (rc == 0)
        return allow(out);
    if (rc == -COFRE_NEGATIVE) {
        (void)refuse(out, r, err->text);
        (void)snprintf(out->answer, sizeof out->answer, "%s", err->text);
        return 0;
    }
    if (rc < 0)
        return rc;
    out->outcome = ACCESS_HELD;
    (void)snprintf(out->reason, sizeof out->reason, "waits for a second approver");
    (void)snprintf(out->answer, sizeof out->answer,
                   "this needs somebody else's approval, number %lld, and is done when that is given",
                   (long long)out->approval);
    return 0;
}

/* A guest that has no labels is asked for as one that has none, and not as what cannot have any. */
static json_t *labels_of(const json_t *labels, bool has_any)
{
    return labels ? json_incref((json_t *)(uintptr_t)labels) : has_any ? json_object() : NULL;
}

/* By what is held alone; what there is of the target makes no difference to how much is looked at. */
static void decide(struct access_decision *out, const struct held *held, const struct access_request *r)
{
    const enum operation_number number = operation_number(r->operation);
    const bool is_new = number == OPERATION_GUEST_CREATE; /* labels are those that it would have */
    const bool of_guest = strstr(r->operation->path, "{guest}") != NULL;
    CLEAN_JSON *labels = labels_of(r->labels, of_guest || is_new),
               *later = labels_of(r->labels_after, number == OPERATION_GUEST_UPDATE);
    const struct held_place here = {r->tenant, labels}, then = {r->tenant, later};
    struct cofre_err why = {""}, after = {""};
    int64_t by_after = 0;
    const bool seen = !r->tenant || held_sees(held, r->tenant);
    const bool guest_seen = !of_guest || held_sees_guest(held, r->tenant, labels);
    const bool may = held_may(held, number, &here, &out->grant, &why) == 0;
    const bool may_after = !later || held_may(held, number, &then, &by_after, &after) == 0;
    if (!seen)
        (void)hide(out, r, "the caller has nothing in that tenant");
    else if (r->absent)
        (void)hide(out, r, "it is not there");
    else if (!may && !guest_seen)
        (void)hide(out, r, why.text);
    else if (!may)
        (void)refuse(out, r, why.text);
    else if (!may_after) {
        (void)refuse(out, r, after.text);
        out->grant = by_after;
    } else
        (void)allow(out);
}

int access_decide(struct access_decision *out, struct access *access, struct db *db,
                  const struct access_caller *caller, const struct access_request *request,
                  struct cofre_err *err)
{
    CLEAN_HELD held = {0};
    *out = (struct access_decision){.outcome = ACCESS_REFUSED};
    if (caller->own == 0) {
        (void)refuse(out, request, "nobody said who asks");
        (void)snprintf(out->answer, sizeof out->answer,
                       "say who you are first: by a certificate, or a token");
        return 0;
    }
    if (request->operation->scope == OF_CALLER)
        return allow(out);
    int rc = held_load(&held, db, caller, request->now, err);
    if (rc < 0)
        return rc;
    decide(out, &held, request);
    if (out->outcome != ACCESS_ALLOWED || !(request->operation->flags & OPERATION_DANGEROUS))
        return 0;
    out->outcome = ACCESS_REFUSED; /* until it is known that nobody else has to agree */
    return ask_for_approval(out, access, db, caller, request, err);
}

/* Views */

struct access_view {
    struct held held;
};

int access_view_open(struct access_view **out, struct db *db, const struct access_caller *caller, int64_t now,
                     struct cofre_err *err)
{
    *out = calloc(1, sizeof **out);
    if (!*out)
        return cofre_fail(err, COFRE_FAILED, "no memory for what a caller may see");
    int rc = held_load(&(*out)->held, db, caller, now, err);
    if (rc < 0) {
        free(*out);
        *out = NULL;
    }
    return rc;
}

void access_view_close(struct access_view *view)
{
    if (!view)
        return;
    held_free(&view->held);
    free(view);
}

bool access_view_tenant(const struct access_view *view, const char *tenant)
{
    return held_sees(&view->held, tenant);
}

bool access_view_guest(const struct access_view *view, const char *tenant, const json_t *labels)
{
    CLEAN_JSON *these = labels_of(labels, true);
    return held_sees_guest(&view->held, tenant, these);
}
