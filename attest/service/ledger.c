#include "attest/service/ledger.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "attest/service/result_text.h"
#include "attest/service/signer.h"
#include "attest/store/challenge.h"
#include "attest/store/db_log.h"
#include "vmm/base/log.h"

#define LOG_ROOM  "trust"
#define BATCH_MAX 256 /* records of one transaction */
#define GATHER_MS 10

struct ledger {
    struct trust *trust;
    struct db *db;
    pthread_mutex_t lock;
    pthread_cond_t some;
    struct record *first, **last; /* under the lock, as the next two are */
    size_t count;
    bool ending;
    pthread_t thread;
    bool started;
};

/* What became of a record in the transaction that is under way. */
struct outcome {
    struct record *record;
    int rc; /* of what is the record's own affair; -COFRE_NEGATIVE: its nonce is no good */
    struct cofre_err err;
    char *before; /* the same request's earlier answer */
};
struct batch {
    struct ledger *ledger;
    struct outcome outcome[BATCH_MAX];
    size_t count;
};

void record_free(struct record *r)
{
    if (!r)
        return;
    if (r->more)
        r->more->free(r->context);
    bytes_free(&r->challenge);
    bytes_free(&r->cwt);
    free(r->policy);
    free(r->submitter);
    free(r->verdict);
    free(r->jwt);
    free(r);
}

static int take_earlier(void *context, const struct result *r, struct cofre_err *err)
{
    char **out = context;
    *out = result_text(r);
    return *out ? 0 : cofre_fail(err, COFRE_FAILED, "out of memory");
}

/* -COFRE_NEGATIVE is the record's own; any other failure is the batch's. A request that comes again is known by its key
 * before its nonce, which the first one used, is looked at. */
static int keep(struct outcome *o, struct db_log *log, struct db *db, int64_t now, struct cofre_err *err)
{
    struct record *r = o->record;
    int rc =
        r->more ? -COFRE_NEGATIVE : result_find_request(db, r->result.request, take_earlier, &o->before, err);
    if (rc != -COFRE_NEGATIVE)
        return rc;
    if (r->challenge.len) {
        rc = challenge_use(db, bytes_view(&r->challenge), now, &o->err);
        o->rc = rc;
        if (rc == -COFRE_NEGATIVE)
            return 0;
        if (rc < 0)
            return cofre_fail(err, (enum cofre_error) - rc, "%s", o->err.text);
    }
    rc = db_log_write(log, &r->entry, &r->result.log_index, err);
    if (rc == 0)
        rc = result_keep(db, &r->result, err);
    return rc == 0 && r->more ? r->more->keep(r, db, log, now, err) : rc;
}

static int keep_all(struct db *db, void *context, struct cofre_err *err)
{
    struct batch *batch = context;
    struct trust *trust = batch->ledger->trust;
    CLEAN_DB_LOG log = {0};
    const int64_t now = trust->clock();
    int rc = db_log_open_to_append(&log, db, err);
    const uint64_t before = log.tree.size;
    if (rc == 0)
        rc = db_log_begin(&log, trust->config->name, now, err);
    for (size_t i = 0; i < batch->count && rc >= 0; i++) {
        struct outcome *o = &batch->outcome[i];
        free(o->before);
        o->before = NULL;
        o->rc = 0;
        rc = keep(o, &log, db, now, err);
    }
    if (rc >= 0 && log.tree.size > before)
        rc = signer_sign_head(trust->signer, &log, trust->config->name, now, err);
    return rc;
}

static void answer(struct outcome *o, int rc, const struct cofre_err *err)
{
    struct request *request = o->record->request;
    if (rc >= 0 && o->rc == 0 && o->record->more) {
        o->record->more->answer(o->record);
    } else if (rc >= 0 && o->rc == 0) {
        if (!o->before)
            o->before = result_text(&o->record->result);
        request_answer_text(request, 200, o->before);
    } else if (rc >= 0) {
        request_problem(request, 409, "nonce", "%s", o->err.text);
    } else {
        log_error("whether a verdict was kept is not known: %s", err->text);
        request_add_header(request, "Retry-After", "2");
        request_problem(request, 503, "unavailable",
                        "the database does not say that the verdict was kept: ask again");
    }
    free(o->before);
    record_free(o->record);
}

/* Under the lock. Nobody else is at work whose record could go with these. */
static bool is_whole(const struct ledger *l)
{
    return l->ending || l->count >= BATCH_MAX || l->count >= server_count(l->trust->server).pending;
}

/* A transaction costs more than what is in it: the first record waits a little for others' that are at work. */
static void gather(struct ledger *l)
{
    struct timespec end;
    while (!l->first && !l->ending)
        pthread_cond_wait(&l->some, &l->lock);
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_nsec += GATHER_MS * 1000000;
    end.tv_sec += end.tv_nsec / 1000000000;
    end.tv_nsec %= 1000000000;
    while (!is_whole(l) && pthread_cond_timedwait(&l->some, &l->lock, &end) == 0)
        continue;
}

/* Waits for records; 0 at the end. */
static size_t take(struct ledger *l, struct batch *batch)
{
    pthread_mutex_lock(&l->lock);
    gather(l);
    batch->count = 0;
    while (l->first && batch->count < BATCH_MAX) {
        batch->outcome[batch->count++] = (struct outcome){.record = l->first};
        l->first = l->first->next;
    }
    l->count -= batch->count;
    if (!l->first)
        l->last = &l->first;
    pthread_mutex_unlock(&l->lock);
    return batch->count;
}

static void *run(void *context)
{
    struct ledger *l = context;
    static _Thread_local struct batch batch;
    struct cofre_err err;
    batch.ledger = l;
    while (take(l, &batch)) {
        int rc = db_atomically(l->db, keep_all, &batch, &err);
        for (size_t i = 0; i < batch.count; i++)
            answer(&batch.outcome[i], rc, &err);
    }
    return NULL;
}

void ledger_give(struct ledger *l, struct record *record)
{
    record->next = NULL;
    pthread_mutex_lock(&l->lock);
    *l->last = record;
    l->last = &record->next;
    if (++l->count == 1 || is_whole(l))
        pthread_cond_signal(&l->some);
    pthread_mutex_unlock(&l->lock);
}

int ledger_start(struct ledger **out, struct trust *trust, struct cofre_err *err)
{
    struct ledger *l = calloc(1, sizeof *l);
    if (!l)
        return cofre_fail(err, COFRE_FAILED, "the ledger: out of memory");
    pthread_mutex_init(&l->lock, NULL);
    pthread_condattr_t by_monotonic;
    pthread_condattr_init(&by_monotonic);
    pthread_condattr_setclock(&by_monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&l->some, &by_monotonic);
    pthread_condattr_destroy(&by_monotonic);
    l->trust = trust;
    l->last = &l->first;
    int rc = db_open(&l->db, trust->config->database, err);
    if (rc == 0) {
        l->started = pthread_create(&l->thread, NULL, run, l) == 0;
        if (!l->started)
            rc = cofre_fail(err, COFRE_FAILED, "the ledger's thread could not be started");
    }
    if (rc < 0) {
        ledger_free(l);
        return rc;
    }
    *out = l;
    return 0;
}

void ledger_free(struct ledger *l)
{
    pthread_mutex_lock(&l->lock);
    l->ending = true;
    pthread_cond_broadcast(&l->some);
    pthread_mutex_unlock(&l->lock);
    if (l->started)
        pthread_join(l->thread, NULL);
    db_close(l->db);
    pthread_cond_destroy(&l->some);
    pthread_mutex_destroy(&l->lock);
    free(l);
}
