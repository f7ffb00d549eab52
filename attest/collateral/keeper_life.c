/* A keeper's beginning and end, and its threads. */
#include <openssl/rand.h>
#include <stdlib.h>
#include <time.h>

#include "attest/collateral/keeper_parts.h"

#define IDLE_SECONDS 15 /* between two looks for what is due */

static uint32_t any_number(void)
{
    uint32_t number = 0;
    (void)RAND_bytes((unsigned char *)&number, sizeof number);
    return number;
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
            wanted_finish_first(v);
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
