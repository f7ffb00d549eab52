#include "attest/service/workers.h"

#include <pthread.h>
#include <stdlib.h>

#include "attest/service/route.h"

struct worker {
    struct workers *all;
    struct db *db;
    struct memory memory;
    pthread_t thread;
    bool started;
};

struct workers {
    struct trust *trust;
    pthread_mutex_t lock;
    pthread_cond_t some;
    struct request **queue; /* a ring, under the lock, as the rest is */
    size_t size, first, used;
    bool ending;
    unsigned count;
    struct worker worker[];
};

static struct request *take(struct workers *w)
{
    struct request *request = NULL;
    pthread_mutex_lock(&w->lock);
    while (w->used == 0 && !w->ending)
        pthread_cond_wait(&w->some, &w->lock);
    if (w->used) {
        request = w->queue[w->first];
        w->first = (w->first + 1) % w->size;
        w->used--;
    }
    pthread_mutex_unlock(&w->lock);
    return request;
}

static void *run(void *context)
{
    struct worker *worker = context;
    struct request *request;
    while ((request = take(worker->all)))
        route_request(worker->all->trust, worker->db, &worker->memory, request);
    return NULL;
}

void workers_give(struct workers *w, struct request *request)
{
    pthread_mutex_lock(&w->lock);
    w->queue[(w->first + w->used++) % w->size] = request;
    pthread_cond_signal(&w->some);
    pthread_mutex_unlock(&w->lock);
}

static int start(struct workers *w, struct cofre_err *err)
{
    int rc = 0;
    for (unsigned i = 0; i < w->count && rc == 0; i++)
        rc = db_open(&w->worker[i].db, w->trust->config->database, err);
    for (unsigned i = 0; i < w->count && rc == 0; i++) {
        struct worker *worker = &w->worker[i];
        worker->all = w;
        worker->started = pthread_create(&worker->thread, NULL, run, worker) == 0;
        if (!worker->started)
            rc = cofre_fail(err, COFRE_FAILED, "a worker's thread could not be started");
    }
    return rc;
}

int workers_start(struct workers **out, struct trust *trust, unsigned count, struct cofre_err *err)
{
    struct workers *w = calloc(1, sizeof *w + count * sizeof w->worker[0]);
    if (!w)
        return cofre_fail(err, COFRE_FAILED, "the workers: out of memory");
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->some, NULL);
    w->trust = trust;
    w->count = count;
    w->size = trust->config->limits.pending + 1;
    w->queue = calloc(w->size, sizeof *w->queue);
    int rc = w->queue ? start(w, err) : cofre_fail(err, COFRE_FAILED, "the workers: out of memory");
    if (rc < 0) {
        workers_free(w);
        return rc;
    }
    *out = w;
    return 0;
}

void workers_free(struct workers *w)
{
    pthread_mutex_lock(&w->lock);
    w->ending = true;
    pthread_cond_broadcast(&w->some);
    pthread_mutex_unlock(&w->lock);
    for (unsigned i = 0; i < w->count; i++) {
        if (w->worker[i].started)
            pthread_join(w->worker[i].thread, NULL);
        db_close(w->worker[i].db);
        memory_free(&w->worker[i].memory);
    }
    free(w->queue);
    pthread_cond_destroy(&w->some);
    pthread_mutex_destroy(&w->lock);
    free(w);
}
