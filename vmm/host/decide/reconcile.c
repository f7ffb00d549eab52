/* When cofred comes back: what the rows say of guests and what hands has of them come to one state for each. */
#include <stdio.h>
#include <stdlib.h>

#include "vmm/host/decide/parts.h"

#define LOG_ROOM "reconcile"
#include "vmm/base/log.h"

#define STOP_SECONDS 30

/* What hands has of a row's run. */
enum finding { NOTHING, RUNNING, FROZEN, ENDED, FINDINGS };

/* Deeds, by what is done with a row of that state for that finding. */

static void begin(struct decider *d, const struct guest_row *g, const struct hands_entry *e)
{
    (void)e;
    starting_begin(d, g, 0);
}

static void lost(struct decider *d, const struct guest_row *g, const struct hands_entry *e)
{
    (void)e;
    news_of_end(d, g->run, -1, false, "this host was started anew while it ran");
}

/* It was asked to end, and is gone. */
static void went(struct decider *d, const struct guest_row *g, const struct hands_entry *e)
{
    (void)e;
    news_of_end(d, g->run, -1, false, "");
}

static void ended(struct decider *d, const struct guest_row *g, const struct hands_entry *e)
{
    news_of_run(d, g->run, &e->ended);
}

static void start_anew(struct call *call)
{
    starting_begin(call->decider, &call->guest, call->run);
}

static int begin_anew(struct call *call, struct cofre_err *err)
{
    struct guest_row *g = &call->guest;
    int rc = guest_row_find_run(g, call->db, call->run, err);
    if (rc != 0 || g->state != GUEST_STARTING)
        return rc < 0 ? rc : 0;
    rc = guest_draw_run(&g->run, call->db, err);
    call->then = start_anew;
    return rc < 0 ? rc : guest_row_change(call->db, g, err);
}

/* Hands was ended while it made the place, or before it let the process go: nothing of the guest ran, and its start was acknowledged. */
static void ended_or_cut_off(struct decider *d, const struct guest_row *g, const struct hands_entry *e)
{
    struct call *call = e->ended.status < 0 && !e->launches ? call_new(d, begin_anew) : NULL;
    if (!call) {
        ended(d, g, e);
        return;
    }
    log_warn("guest %s of tenant %s: its start was cut off, and begins again", g->name, g->tenant);
    call->run = g->run;
    call_later(call);
}

static void thaw(struct decider *d, const struct guest_row *g, const struct hands_entry *e)
{
    (void)e;
    hands_do(d, HANDS_THAW, g->run);
}

static void freeze(struct decider *d, const struct guest_row *g, const struct hands_entry *e)
{
    (void)e;
    hands_do(d, HANDS_FREEZE, g->run);
}

static void ask_to_end(struct decider *d, const struct guest_row *g, const struct hands_entry *e)
{
    (void)e;
    guest_ask_to_end(d, g->run, STOP_SECONDS);
}

static void end(struct decider *d, const struct guest_row *g, const struct hands_entry *e)
{
    (void)e;
    hands_do(d, HANDS_KILL, g->run);
}

static int delete_it(struct call *call, struct cofre_err *err)
{
    int rc = guest_row_find_run(&call->guest, call->db, call->run, err);
    if (rc == 0)
        rc = guest_images_drop(call->decider->images, call->db, call->guest.number, err);
    if (rc >= 0 && call->guest.number)
        rc = guest_row_remove(call->db, call->guest.number, err);
    return rc < 0 ? rc : 0;
}

static void delete (struct decider *d, const struct guest_row *g, const struct hands_entry *e)
{
    struct call *call = call_new(d, delete_it);
    if (e)
        hands_do(d, HANDS_REMOVE, g->run);
    if (!call) {
        log_error("no memory to delete guest %s of tenant %s", g->name, g->tenant);
        return;
    }
    call->run = g->run;
    call_later(call);
}

typedef void deed(struct decider *d, const struct guest_row *g, const struct hands_entry *e);

/* NULL: it is as it should be. A pause that was not acknowledged, or not taken back, is as the row says. */
/* clang-format off */
static deed *const deeds[GUEST_STATES][FINDINGS] = {
    /*                   NOTHING  RUNNING     FROZEN      ENDED */
    [GUEST_STOPPED]  = { NULL,    end,        end,        NULL },
    [GUEST_FAILED]   = { NULL,    end,        end,        NULL },
    [GUEST_STARTING] = { begin,   NULL,       thaw,       ended_or_cut_off },
    [GUEST_RUNNING]  = { lost,    NULL,       thaw,       ended },
    [GUEST_PAUSED]   = { lost,    freeze,     NULL,       ended },
    [GUEST_STOPPING] = { went,    ask_to_end, ask_to_end, ended },
    [GUEST_DELETING] = { delete,  delete,     delete,     delete },
};
/* clang-format on */

static enum finding finding_of(const struct hands_entry *e)
{
    return !e                             ? NOTHING
           : e->state == HANDS_IS_RUNNING ? RUNNING
           : e->state == HANDS_IS_FROZEN  ? FROZEN
                                          : ENDED;
}

/* Its launch, which the log wants, comes before its end. */
static void meet(struct decider *d, const struct guest_row *g, const struct hands_entry *e)
{
    enum guest_state next;
    deed *const what = deeds[g->state][finding_of(e)];
    if (e && e->launches > (uint64_t)g->launches && guest_next(&next, g->state, GUEST_LAUNCHED, NULL) == 0)
        news_of_launch(d, g->run);
    if (what)
        what(d, g, e);
    if (guest_waits(g))
        news_of_time(d, g->run);
}

/* The rows that hands has something of, or that want something */

struct meeting {
    struct decider *decider;
    const struct hands_list *list;
    bool *met; /* of list's entries: some row is about it */
    struct guest_row *row;
    size_t rows, room;
};

static const struct hands_entry *entry_of(struct meeting *m, uint32_t run)
{
    for (uint32_t i = 0; run && i < m->list->count; i++)
        if (m->list->entry[i].guest == run) {
            m->met[i] = true;
            return &m->list->entry[i];
        }
    return NULL;
}

/* Most rows are of guests that are stopped, and that hands has nothing of. */
static bool is_of_interest(struct meeting *m, const struct guest_row *g)
{
    const bool ended = g->state == GUEST_STOPPED || g->state == GUEST_FAILED;
    return entry_of(m, g->run) || !ended || guest_waits(g);
}

/* None is left out: what a row says to run and nobody met would be removed. */
static int take_row(void *context, const struct guest_row *guest, struct cofre_err *err)
{
    struct meeting *m = context;
    if (!is_of_interest(m, guest))
        return 0;
    if (m->rows == m->room) {
        struct guest_row *more = realloc(m->row, (2 * m->room + 64) * sizeof *more);
        if (!more)
            return cofre_fail(err, COFRE_FAILED, "no memory for %zu guests", m->rows);
        m->row = more;
        m->room = 2 * m->room + 64;
    }
    m->row[m->rows] = *guest;
    m->row[m->rows].labels = json_incref(guest->labels);
    m->rows++;
    return 0;
}

static void meeting_free(struct meeting *m)
{
    for (size_t i = 0; i < m->rows; i++)
        guest_row_free(&m->row[i]);
    free(m->row);
    free(m->met);
}

/* What is of a guest that was started anew, or deleted, since goes first: it takes the room that others need. */
static int bring_together(struct decider *d, const struct hands_list *list, struct cofre_err *err)
{
    __attribute__((cleanup(meeting_free))) struct meeting m = {.decider = d, .list = list};
    m.met = calloc(HANDS_GUESTS_MAX, sizeof *m.met);
    if (!m.met)
        return cofre_fail(err, COFRE_FAILED, "no memory for what runs");
    int rc = guests_all(d->db, take_row, &m, err);
    for (uint32_t i = 0; rc == 0 && i < list->count; i++)
        if (!m.met[i])
            hands_do(d, HANDS_REMOVE, list->entry[i].guest);
    for (size_t i = 0; rc == 0 && i < m.rows; i++)
        meet(d, &m.row[i], entry_of(&m, m.row[i].run));
    return rc;
}

/* What is not known cannot be managed: the next start tries again. */
static void listed(void *context, int rc, const struct hands_answer *answer, int fd,
                   const struct cofre_err *why)
{
    struct decider *d = context;
    struct cofre_err err = {""};
    (void)fd;
    if (rc == 0)
        rc = bring_together(d, &answer->list, &err);
    else
        err = *why;
    if (rc == 0)
        rc = decider_serve(d, &err);
    if (rc == 0)
        return;
    d->lost = rc;
    (void)cofre_fail(&d->why, COFRE_FAILED,
                     "what runs on this host could not be brought together with what is known: %s", err.text);
    event_base_loopbreak(d->base);
}

void reconcile(struct decider *d)
{
    struct cofre_err err = {""};
    if (hands_client_ask(d->hands, HANDS_LIST, 0, NULL, NULL, 0, listed, d, &err) < 0)
        log_error("%s", err.text);
}
