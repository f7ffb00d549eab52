/* What a vendor's thread does: one thing after the other. */
#include <stdio.h>
#include <string.h>

#include "attest/collateral/backoff.h"
#include "attest/collateral/keeper_parts.h"
#include "attest/store/collateral.h"
#include "vmm/base/log.h"

#define LOG_ROOM "collateral"

#define ABSENT_FOR    600  /* seconds, for which a vendor's "no such thing" holds */
#define FORGET_AFTER  3600 /* seconds, for which the trouble with what was never had is told */
#define CLAIM_SECONDS 30   /* longer than asking twice takes */

static bool is_ending(void *context)
{
    return ((struct keeper *)context)->ending;
}

static int fetch(struct vendor *v, struct collateral_item *out, char retry_after[64],
                 const struct collateral_id *id, const struct collateral_item *base, struct cofre_err *err)
{
    struct keeper *k = v->keeper;
    CLEAN_CERTS roots = {.count = 0};
    pthread_mutex_lock(&k->lock);
    int rc = x509_certs_join(&roots, &k->roots, err);
    pthread_mutex_unlock(&k->lock);
    const struct collateral_question q = {.id = id,
                                          .sources = &k->config.sources,
                                          .base = base,
                                          .roots = &roots,
                                          .now = k->config.clock(),
                                          .limits = k->config.limits,
                                          .is_over = is_ending,
                                          .context = k};
    return rc < 0 ? rc : collateral_fetch(out, retry_after, &q, err);
}

static int keep(struct vendor *v, const struct collateral_id *id, const char *name,
                const struct collateral_item *item, struct cofre_err *err)
{
    const int64_t now = v->keeper->config.clock();
    const struct stored_collateral row = {
        .name = name,
        .body = bytes_view(&item->body),
        .chain = bytes_view(&item->chain),
        .issued = item->issued,
        .until = item->until,
        .fetched = now,
        .next_try = backoff_refresh(item->until, now, v->keeper->config.random()),
    };
    int rc = stored_collateral_keep(v->db, &row, err);
    if (rc == 0) {
        char what[COLLATERAL_NAME_MAX];
        collateral_describe(what, id);
        return cofre_fail(err, COFRE_LACKING, "%s: %s sent one that is older than what is held", what,
                          v->name);
    }
    return rc < 0 ? rc : 0;
}

/* Writes down what went wrong, and until when nobody asks again; a Retry-After holds for the vendor's every thing. */
static void note_trouble(struct vendor *v, const char *name, int64_t failures, int rc,
                         const char *retry_after, const struct cofre_err *why)
{
    struct keeper *k = v->keeper;
    struct cofre_err err = {""};
    const int64_t now = k->config.clock(), wanted = backoff_wanted(retry_after, now),
                  next = rc == -COFRE_NEGATIVE ? now + ABSENT_FOR
                                               : backoff_next((unsigned)(failures < 30 ? failures + 1 : 30),
                                                              retry_after, now, k->config.random());
    const struct stored_collateral row = {.name = name,
                                          .next_try = next,
                                          .trouble = why->text,
                                          .trouble_at = now,
                                          .absent = rc == -COFRE_NEGATIVE};
    log_warn("%s", why->text);
    if (stored_collateral_fail(v->db, &row, &err) < 0)
        log_error("%s", err.text);
    pthread_mutex_lock(&k->lock);
    if (wanted)
        v->not_before = next;
    pthread_mutex_unlock(&k->lock);
}

static int obtain(struct vendor *v, const struct collateral_id *id, struct row *row, struct cofre_err *err);

/* 0, perhaps without one. */
static int obtain_base(struct vendor *v, const struct collateral_id *id, struct row *base,
                       struct cofre_err *err)
{
    struct collateral_id of;
    if (!collateral_base(&of, id))
        return 0;
    int rc = obtain(v, &of, base, err);
    return base->item.body.len ? 0 : rc;
}

static int ask_vendor(struct vendor *v, const struct collateral_id *id, const char *name,
                      char retry_after[64], struct cofre_err *err)
{
    CLEAN_ROW base = {.next_try = 0};
    CLEAN_ITEM item = {.issued = 0};
    int rc = obtain_base(v, id, &base, err);
    if (rc < 0)
        return -COFRE_LACKING;
    rc = fetch(v, &item, retry_after, id, base.item.body.len ? &base.item : NULL, err);
    return rc < 0 ? rc : keep(v, id, name, &item, err);
}

/* It is good, or was asked for; *row is what is there afterwards. */
static int obtain(struct vendor *v, const struct collateral_id *id, struct row *row, struct cofre_err *err)
{
    const int64_t now = v->keeper->config.clock();
    char name[COLLATERAL_NAME_MAX], retry_after[64] = "";
    int rc = keeper_read_row(row, v->db, id, err);
    if (rc < 0 || (keeper_row_is_good(row, now) && row->next_try > now))
        return rc;
    collateral_name(name, id);
    rc = stored_collateral_claim(v->db, name, now, now + CLAIM_SECONDS, err);
    if (rc == 0)
        return *row->trouble ? cofre_fail(err, COFRE_LACKING, "%s", row->trouble)
                             : cofre_fail(err, COFRE_LACKING, "it is being asked for");
    if (rc > 0)
        rc = ask_vendor(v, id, name, retry_after, err);
    if (rc < 0) {
        note_trouble(v, name, row->failures, rc, retry_after, err);
        return rc;
    }
    v->changes += row->item.body.len != 0;
    row_free(row);
    return keeper_read_row(row, v->db, id, err);
}

static int take_name(void *context, const struct stored_collateral *c, struct cofre_err *err)
{
    struct collateral_id *id = context;
    return collateral_id_parse(id, c->name)
               ? 0
               : cofre_fail(err, COFRE_FAILED, "the database has collateral of an unknown name: %s", c->name);
}

static bool find_due(struct vendor *v, struct collateral_id *id)
{
    struct cofre_err err = {""};
    const int64_t now = v->keeper->config.clock();
    int rc = stored_collateral_forget(v->db, now - FORGET_AFTER, &err);
    if (rc >= 0)
        rc = stored_collateral_due(v->db, v->like, now, take_name, id, &err);
    if (rc < 0)
        log_error("%s", err.text);
    return rc > 0;
}

bool keeper_step(struct keeper *k, enum collateral_vendor which)
{
    struct vendor *v = &k->vendor[which];
    struct collateral_id id = {.kind = KDS_CHAIN};
    struct cofre_err err = {""};
    CLEAN_ROW row = {.next_try = 0};
    if (!v->db)
        return false;
    pthread_mutex_lock(&k->lock);
    bool may = v->not_before <= k->config.clock(), wanted = may && v->first;
    if (wanted)
        id = v->first->id;
    pthread_mutex_unlock(&k->lock);
    if (!wanted && (!may || !find_due(v, &id)))
        return false;
    (void)obtain(v, &id, &row, &err);
    pthread_mutex_lock(&k->lock);
    if (wanted)
        wanted_finish_first(v);
    pthread_mutex_unlock(&k->lock);
    return true;
}
