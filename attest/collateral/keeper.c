#include "attest/collateral/keeper.h"

#include <openssl/rand.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "attest/collateral/backoff.h"
#include "attest/store/collateral.h"
#include "vmm/base/log.h"
#include "vmm/base/timestamp.h"

#define LOG_ROOM "collateral"

#define WANTED_MAX    256  /* things that are waited for at once, of a vendor */
#define IDLE_SECONDS  15   /* between two looks for what is due */
#define SOON          2    /* seconds, until one who cannot wait comes again */
#define ABSENT_FOR    600  /* seconds, for which a vendor's "no such thing" holds */
#define FORGET_AFTER  3600 /* seconds, for which the trouble with what was never had is told */
#define CLAIM_SECONDS 30   /* longer than asking twice takes */

/* What somebody waits for. */
struct wanted {
    struct collateral_id id;
    char name[COLLATERAL_NAME_MAX];
    unsigned refs; /* who look at it: those who wait, and the list */
    bool done;
    struct wanted *next;
};

struct vendor {
    struct keeper *keeper;
    enum collateral_vendor which;
    const char *like, *name;
    struct db *db; /* its thread's */
    pthread_t thread;
    bool started;
    atomic_ullong changes;
    /* under the keeper's lock */
    struct wanted *first; /* the one under way comes first */
    size_t count;
    int64_t not_before; /* what a Retry-After said */
};

struct keeper {
    struct keeper_config config;
    pthread_mutex_t lock;
    pthread_cond_t some, done;
    unsigned waiting;
    atomic_bool ending;
    struct x509_certs roots;
    struct vendor vendor[COLLATERAL_VENDORS];
};

/* A row, read. */
struct row {
    struct collateral_item item;
    int64_t next_try, failures;
    bool absent;
    char trouble[512];
};

static void row_free(struct row *row)
{
    collateral_item_free(&row->item);
}
#define CLEAN_ROW __attribute__((cleanup(row_free))) struct row

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

static int read_row(struct row *out, struct db *db, const struct collateral_id *id, struct cofre_err *err)
{
    char name[COLLATERAL_NAME_MAX];
    *out = (struct row){.next_try = 0};
    collateral_name(name, id);
    int rc = stored_collateral_find(db, name, take_row, out, err);
    if (rc < 0)
        row_free(out);
    return rc < 0 ? rc : 0;
}

static bool is_good(const struct row *row, int64_t now)
{
    return row->item.body.len && row->item.until > now;
}

/* ---- who asks ---- */

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

static void release(struct wanted *w)
{
    if (--w->refs == 0)
        free(w);
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
    release(w);
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
    int rc = read_row(&row, db, id, err);
    if (rc < 0)
        return rc;
    if (is_good(&row, now) || !collateral_has_source(&k->config.sources, collateral_vendor(id->kind))) {
        *out = row.item;
        row.item.body = row.item.chain = (struct bytes){0};
        return 0;
    }
    if (row.next_try > now && !is_wanted(k, id))
        return settle(out, &row, now, again, err);
    rc = ask_for(k, id, now, again, err);
    if (rc < 0)
        return row.item.body.len ? settle(out, &row, now, again, err) : rc;
    row_free(&row);
    rc = read_row(&row, db, id, err);
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

/* ---- who fetches ---- */

static uint32_t any_number(void)
{
    uint32_t number = 0;
    (void)RAND_bytes((unsigned char *)&number, sizeof number);
    return number;
}

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
    int rc = read_row(row, v->db, id, err);
    if (rc < 0 || (is_good(row, now) && row->next_try > now))
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
    return read_row(row, v->db, id, err);
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

/* Under the lock. */
static void finish_first(struct vendor *v)
{
    struct wanted *w = v->first;
    v->first = w->next;
    v->count--;
    w->done = true;
    release(w);
    pthread_cond_broadcast(&v->keeper->done);
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
        finish_first(v);
    pthread_mutex_unlock(&k->lock);
    return true;
}

static void rest(struct vendor *v)
{
    struct keeper *k = v->keeper;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    pthread_mutex_lock(&k->lock);
    const int64_t closed = v->not_before - k->config.clock();
    until.tv_sec += closed > 0 && closed < IDLE_SECONDS ? closed : IDLE_SECONDS;
    while (!k->ending && (closed > 0 || !v->first))
        if (pthread_cond_timedwait(&k->some, &k->lock, &until) != 0)
            break;
    pthread_mutex_unlock(&k->lock);
}

static void *run(void *context)
{
    struct vendor *v = context;
    while (!v->keeper->ending)
        if (!keeper_step(v->keeper, v->which))
            rest(v);
    return NULL;
}

int keeper_new(struct keeper **out, const struct keeper_config *config, struct cofre_err *err)
{
    static const char *const likes[] = {"kds/%", "pcs/%"};
    static const char *const names[] = {"AMD's key service", "Intel's service"};
    struct keeper *k = calloc(1, sizeof *k);
    pthread_condattr_t monotonic;
    if (!k)
        return cofre_fail(err, COFRE_FAILED, "out of memory");
    k->config = *config;
    k->config.random = config->random ? config->random : any_number;
    pthread_mutex_init(&k->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&k->some, &monotonic);
    pthread_cond_init(&k->done, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int rc = download_prepare(err);
    for (unsigned i = 0; i < COLLATERAL_VENDORS && rc == 0; i++) {
        struct vendor *v = &k->vendor[i];
        v->keeper = k;
        v->which = i;
        v->like = likes[i];
        v->name = i == COLLATERAL_INTEL && config->sources.pccs ? "the PCCS" : names[i];
        if (collateral_has_source(&config->sources, i))
            rc = db_open(&v->db, config->database, err);
    }
    if (rc < 0) {
        keeper_free(k);
        return rc;
    }
    *out = k;
    return 0;
}

int keeper_start(struct keeper *k, struct cofre_err *err)
{
    for (unsigned i = 0; i < COLLATERAL_VENDORS; i++) {
        struct vendor *v = &k->vendor[i];
        v->started = v->db && pthread_create(&v->thread, NULL, run, v) == 0;
        if (v->db && !v->started)
            return cofre_fail(err, COFRE_FAILED, "a thread for %s could not be started", v->name);
    }
    return 0;
}

void keeper_free(struct keeper *k)
{
    if (!k)
        return;
    pthread_mutex_lock(&k->lock);
    k->ending = true;
    pthread_cond_broadcast(&k->some);
    pthread_cond_broadcast(&k->done);
    pthread_mutex_unlock(&k->lock);
    for (unsigned i = 0; i < COLLATERAL_VENDORS; i++) {
        struct vendor *v = &k->vendor[i];
        if (v->started)
            pthread_join(v->thread, NULL);
        while (v->first)
            finish_first(v);
        db_close(v->db);
    }
    x509_certs_free(&k->roots);
    pthread_cond_destroy(&k->some);
    pthread_cond_destroy(&k->done);
    pthread_mutex_destroy(&k->lock);
    free(k);
}

int keeper_use_roots(struct keeper *k, const struct x509_certs *roots, struct cofre_err *err)
{
    struct x509_certs copy = {.count = 0};
    int rc = x509_certs_join(&copy, roots, err);
    if (rc < 0)
        return rc;
    pthread_mutex_lock(&k->lock);
    x509_certs_free(&k->roots);
    k->roots = copy;
    pthread_mutex_unlock(&k->lock);
    return 0;
}
