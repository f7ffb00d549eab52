#include "attest/collateral/keeper_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "attest/store/collateral.h"
#include "vmm/base/timestamp.h"

#define WANTED_MAX 256 /* things that are waited for at once, of a vendor */
#define SOON       2   /* seconds, until one who cannot wait comes again */

void row_free(struct row *row)
{
    collateral_item_free(&row->item);
}

static int take_row(void *context, const struct stored_collateral *c, struct cofre_err *err)
{
    struct row *row = context;
    row->next_try = c->next_try;
    row->failures = c->failures;
    row->absent = c->absent;
    row->item.issued = c->issued;
    row->item.until = c->until;
    (void)snprintf(row->trouble, sizeof row->trouble, "%s", c->trouble ? c->trouble : "");
    if (c->body.len == 0)
        return 0;
    int rc = bytes_copy(&row->item.body, c->body, err);
    return rc < 0 ? rc : bytes_copy(&row->item.chain, c->chain, err);
}

int keeper_read_row(struct row *out, struct db *db, const struct collateral_id *id, struct cofre_err *err)
{
    char name[COLLATERAL_NAME_MAX];
    *out = (struct row){.next_try = 0};
    collateral_name(name, id);
    int rc = stored_collateral_find(db, name, take_row, out, err);
    if (rc < 0)
        row_free(out);
    return rc < 0 ? rc : 0;
}

bool keeper_row_is_good(const struct row *row, int64_t now)
{
    return row->item.body.len && row->item.until > now;
}

static struct wanted *find_wanted(const struct vendor *v, const struct collateral_id *id)
{
    char name[COLLATERAL_NAME_MAX];
    collateral_name(name, id);
    for (struct wanted *w = v->first; w; w = w->next)
        if (strcmp(w->name, name) == 0)
            return w;
    return NULL;
}

/* Under the lock. NULL: no room, or no memory. */
static struct wanted *want(struct vendor *v, const struct collateral_id *id)
{
    struct wanted *w = find_wanted(v, id), **last = &v->first;
    if (w)
        return w;
    if (v->count == WANTED_MAX || !(w = calloc(1, sizeof *w)))
        return NULL;
    w->id = *id;
    w->refs = 1;
    collateral_name(w->name, id);
    while (*last)
        last = &(*last)->next;
    *last = w;
    v->count++;
    pthread_cond_broadcast(&v->keeper->some);
    return w;
}

void wanted_release(struct wanted *w)
{
    if (--w->refs == 0)
        free(w);
}

/* Under the lock. */
void wanted_finish_first(struct vendor *v)
{
    struct wanted *w = v->first;
    v->first = w->next;
    v->count--;
    w->done = true;
    wanted_release(w);
    pthread_cond_broadcast(&v->keeper->done);
}

static void wait_for(struct keeper *k, struct wanted *w)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += k->config.wait_ms / 1000;
    until.tv_nsec += k->config.wait_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    w->refs++;
    k->waiting++;
    while (!w->done && !k->ending)
        if (pthread_cond_timedwait(&k->done, &k->lock, &until) != 0)
            break;
    k->waiting--;
    wanted_release(w);
}

/* Returns when it was asked for; or at once, where too many wait already or the vendor is not to be asked yet. */
static int ask_for(struct keeper *k, const struct collateral_id *id, int64_t now, int64_t *again,
                   struct cofre_err *err)
{
    struct vendor *v = &k->vendor[collateral_vendor(id->kind)];
    char text[TIME_TEXT_SIZE];
    int rc = 0;
    *again = now + SOON;
    pthread_mutex_lock(&k->lock);
    struct wanted *w = want(v, id);
    if (!w)
        rc = cofre_fail(err, COFRE_LACKING, "%d other things are being asked for", WANTED_MAX);
    else if (v->not_before > now) {
        *again = v->not_before;
        time_format(text, v->not_before);
        rc = cofre_fail(err, COFRE_LACKING, "%s wants no more questions before %s", v->name, text);
    } else if (k->waiting < k->config.waiters)
        wait_for(k, w);
    pthread_mutex_unlock(&k->lock);
    return rc;
}

static bool is_wanted(struct keeper *k, const struct collateral_id *id)
{
    pthread_mutex_lock(&k->lock);
    bool wanted = find_wanted(&k->vendor[collateral_vendor(id->kind)], id) != NULL;
    pthread_mutex_unlock(&k->lock);
    return wanted;
}

/* What the row comes to for somebody who does not wait any more. */
static int settle(struct collateral_item *out, struct row *row, int64_t now, int64_t *again,
                  struct cofre_err *err)
{
    if (row->item.body.len) {
        *out = row->item;
        row->item.body = row->item.chain = (struct bytes){0};
        return 0;
    }
    if (row->absent)
        return cofre_fail(err, COFRE_NEGATIVE, "%s", row->trouble);
    *again = *row->trouble && row->next_try > now ? row->next_try : now + SOON;
    return *row->trouble ? cofre_fail(err, COFRE_LACKING, "%s", row->trouble)
                         : cofre_fail(err, COFRE_LACKING, "it is being asked for");
}

static int get(struct keeper *k, struct db *db, const struct collateral_id *id, struct collateral_item *out,
               int64_t *again, struct cofre_err *err)
{
    const int64_t now = k->config.clock();
    CLEAN_ROW row = {.next_try = 0};
    int rc = keeper_read_row(&row, db, id, err);
    if (rc < 0)
        return rc;
    if (keeper_row_is_good(&row, now) ||
        !collateral_has_source(&k->config.sources, collateral_vendor(id->kind))) {
        *out = row.item;
        row.item.body = row.item.chain = (struct bytes){0};
        return 0;
    }
    /* While somebody asks, the row says not to: it came between the row and here that they were answered. */
    if (row.next_try <= now || is_wanted(k, id)) {
        rc = ask_for(k, id, now, again, err);
        if (rc < 0)
            return row.item.body.len ? settle(out, &row, now, again, err) : rc;
    }
    row_free(&row);
    rc = keeper_read_row(&row, db, id, err);
    return rc < 0 ? rc : settle(out, &row, now, again, err);
}

int keeper_get(struct keeper *k, struct db *db, const struct collateral_id *id, struct collateral_item *out,
               int64_t *again, struct cofre_err *err)
{
    char what[COLLATERAL_NAME_MAX];
    struct cofre_err why = {""};
    *out = (struct collateral_item){.issued = 0};
    int rc = get(k, db, id, out, again, &why);
    if (rc == 0)
        return 0;
    collateral_describe(what, id);
    if (strncmp(why.text, what, strlen(what)) == 0) /* the fetcher's sentence names it already */
        return cofre_fail(err, (enum cofre_error) - rc, "%s", why.text);
    return cofre_fail(err, (enum cofre_error) - rc, "%s: %s", what, why.text);
}

uint64_t keeper_changes(struct keeper *k, enum collateral_vendor vendor)
{
    return k->vendor[vendor].changes;
}
