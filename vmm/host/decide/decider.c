#include "vmm/host/decide/decider.h"

#include <event2/thread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "vmm/host/audit/about.h"
#include "vmm/host/decide/parts.h"
#include "vmm/host/store/restored.h"
#include "vmm/host/store/tables.h"

#define LOG_ROOM "decide"
#include "vmm/base/log.h"

#define CALLER_WAITING_MAX (1 << 20) /* bytes of answers that a parser has not taken */

/* Callers */

static void request_came(void *context, struct caller *caller, struct message_request *request)
{
    call_ask(context, caller, request);
}

static void caller_gone(void *context, struct caller *caller)
{
    calls_forget(context, caller);
    waiters_forget(context, caller);
    streams_forget(context, caller);
}

static void caller_drained(void *context, struct caller *caller)
{
    streams_drained(context, caller);
}

/* Hands */

static void hands_news(void *context, const struct hands_answer *news)
{
    struct decider *d = context;
    if (d->callers) /* else its list, which is still to come, says it: a guest that news start again would be begun by it once more */
        news_arrive(d, news);
}

static void hands_lost(void *context, const struct cofre_err *why)
{
    struct decider *d = context;
    d->lost = -COFRE_FAILED;
    d->why = *why;
    event_base_loopbreak(d->base);
}

static void host_told(void *context, int rc, const struct hands_answer *answer, int fd,
                      const struct cofre_err *why)
{
    struct decider *d = context;
    (void)fd;
    if (rc < 0) {
        hands_lost(d, why);
        return;
    }
    d->host = answer->host;
    reconcile(d);
}

int decider_serve(struct decider *d, struct cofre_err *err)
{
    static const struct callers_limits limits = {.waiting = CALLER_WAITING_MAX};
    const struct callers_handler handler = {
        .request = request_came, .gone = caller_gone, .drained = caller_drained, .context = d};
    int rc = callers_new(&d->callers, d->base, d->config->gate, &handler, &limits, err);
    if (rc < 0)
        return rc;
    held_carry_out(d);
    clock_begin(d->clock);
    if (d->config->ready)
        d->config->ready(d->config->context);
    return 0;
}

static void asked_to_end(evutil_socket_t fd, short events, void *context)
{
    struct decider *d = context;
    (void)fd;
    (void)events;
    if (!clock_holds_end(d->clock))
        event_base_loopbreak(d->base);
}

/* By this the supervisor sees that the loop turns. */
static void asked_whether_alive(evutil_socket_t fd, short events, void *context)
{
    struct decider *d = context;
    char byte;
    (void)events;
    if (recv(fd, &byte, 1, MSG_DONTWAIT) > 0)
        (void)send(fd, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    else
        (void)event_del(d->alive);
}

/* Start and end */

static int begin_log(struct db *db, void *context, struct cofre_err *err)
{
    struct decider *d = context;
    CLEAN_AUDIT_TURN turn = {0};
    int rc = audit_begin(&turn, d->audit, db, time(NULL), err);
    if (rc == 0)
        rc = restored_tell(&turn, db, err);
    if (rc == 0)
        rc = about_catch_up(db, err);
    if (rc == 0 && d->config->administrator)
        rc = access_begin(db, d->config->administrator, time(NULL), err);
    return rc < 0 ? rc : audit_sign(&turn, err);
}

static int open_database(struct decider *d, struct cofre_err *err)
{
    const struct audit_config audit = {.key = d->config->log_key, .name = d->config->log_name};
    int rc = db_open(&d->db, d->config->database, err);
    if (rc == 0)
        rc = tables_bring(d->db, err);
    if (rc == 0)
        rc = audit_new(&d->audit, &audit, err);
    if (rc == 0)
        rc = access_new(&d->access, d->config->access, err);
    if (rc == 0)
        rc = db_atomically(d->db, begin_log, d, err);
    if (rc >= 0)
        rc = images_open(&d->images, d->config->images, err);
    else
        close(d->config->images);
    if (rc >= 0)
        rc = images_sweep(d->images, d->db, err);
    return rc < 0 ? rc : 0;
}

static int open_loop(struct decider *d, struct cofre_err *err)
{
    const struct hands_client_calls calls = {.news = hands_news, .lost = hands_lost};
    if (evthread_use_pthreads() < 0 || !(d->base = event_base_new()) ||
        !(d->turn = event_new(d->base, -1, 0, turn_run, d)) ||
        !(d->end = evsignal_new(d->base, SIGTERM, asked_to_end, d)) || event_add(d->end, NULL) < 0)
        return cofre_fail(err, COFRE_FAILED, "no event loop");
    if (d->config->alive >= 0 &&
        (!(d->alive = event_new(d->base, d->config->alive, EV_READ | EV_PERSIST, asked_whether_alive, d)) ||
         event_add(d->alive, NULL) < 0))
        return cofre_fail(err, COFRE_FAILED, "no event for the supervisor");
    int rc = clock_open(&d->clock, d, err);
    if (rc == 0)
        rc = hands_client_new(&d->hands, d->base, d->config->hands, &calls, d, err);
    if (rc == 0)
        rc = hands_client_ask(d->hands, HANDS_HOST, 0, NULL, NULL, 0, host_told, d, err);
    return rc;
}

/* Who is still open is told nothing more; what was acknowledged is in the database. */
static void close_all(struct decider *d)
{
    starters_free(d);
    if (d->callers)
        callers_free(d->callers);
    waiters_free(d);
    streams_free(d);
    alarms_free(d);
    hands_client_free(d->hands);
    while (!LIST_EMPTY(&d->calls)) {
        struct call *call = LIST_FIRST(&d->calls);
        call->caller = NULL;
        call_free(call);
    }
    events_free(d);
    clock_close(d->clock);
    images_close(d->images);
    access_free(d->access);
    audit_free(d->audit);
    db_close(d->db);
    if (d->turn)
        event_free(d->turn);
    if (d->end)
        event_free(d->end);
    if (d->alive)
        event_free(d->alive);
    if (d->base)
        event_base_free(d->base);
}

int decider_run(const struct decider_config *config, struct cofre_err *err)
{
    struct decider *d = calloc(1, sizeof *d);
    if (!d)
        return cofre_fail(err, COFRE_FAILED, "no memory for the decider");
    d->config = config;
    STAILQ_INIT(&d->waiting);
    LIST_INIT(&d->calls);
    TAILQ_INIT(&d->waiters);
    TAILQ_INIT(&d->streams);
    TAILQ_INIT(&d->starters);
    TAILQ_INIT(&d->alarms);
    int rc = open_database(d, err);
    if (rc == 0)
        rc = open_loop(d, err);
    if (rc == 0 && event_base_dispatch(d->base) < 0)
        rc = cofre_fail(err, COFRE_FAILED, "the event loop failed");
    if (rc == 0 && d->lost)
        rc = cofre_fail(err, COFRE_FAILED, "%s", d->why.text);
    close_all(d);
    free(d);
    return rc;
}
