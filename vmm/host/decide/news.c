/* What hands says of guests without being asked, and what it has of them when cofred comes back: each leads to one event of the row. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/host/decide/parts.h"
#include "vmm/machine/restart.h"

#define LOG_ROOM "news"
#include "vmm/base/log.h"

#define FILE_MAX     65536 /* bytes of what cofre-vmm wrote */
#define STOP_SECONDS 30

/* What came to pass, until it is in the database. */
struct tidings {
    struct decider *decider;
    uint32_t run;
    int32_t status; /* of an end; -1: not known */
    bool out_of_memory;
    char why[512];
    json_t *result; /* what cofre-vmm printed of it; NULL: nothing that can be read */
};

static void tidings_free(void *data)
{
    struct tidings *t = data;
    if (t)
        json_decref(t->result);
    free(t);
}

static struct tidings *tidings_new(struct decider *d, uint32_t run)
{
    struct tidings *t = calloc(1, sizeof *t);
    if (t) {
        t->decider = d;
        t->run = run;
        t->status = -1;
    } else
        log_error("no memory for what happened to run %u", run);
    return t;
}

static void write_down(struct tidings *t, call_work *work)
{
    struct call *call = call_new(t->decider, work);
    if (!call) {
        log_error("no memory for what happened to run %u", t->run);
        tidings_free(t);
        return;
    }
    call->data = t;
    call->free_data = tidings_free;
    call_later(call);
}

/* The last line of a file, free() it; NULL: there is none. */
static char *read_last_line(int fd)
{
    const off_t size = lseek(fd, 0, SEEK_END), from = size > FILE_MAX ? size - FILE_MAX : 0;
    CLEAN_FREE char *text = malloc(FILE_MAX + 1);
    const ssize_t got = text ? pread(fd, text, FILE_MAX, from) : -1;
    if (got <= 0)
        return NULL;
    text[got] = 0;
    for (size_t len = strlen(text); len && text[len - 1] == '\n'; len--)
        text[len - 1] = 0;
    const char *line = strrchr(text, '\n');
    return strdup(line ? line + 1 : text);
}

/* What is no JSON is nothing. */
static void add_result(struct tidings *t, int rc, int fd)
{
    CLEAN_FREE char *line = rc == 0 ? read_last_line(fd) : NULL;
    if (fd >= 0)
        close(fd);
    if (line)
        (void)json_read(&t->result, (struct view){(const uint8_t *)line, strlen(line)}, COFRE_MALFORMED,
                        NULL);
}

/* Launched */

static void set_digest(struct log_digest *out, const json_t *definition, const char *member)
{
    struct image_digest digest;
    const char *text = member_text(definition, member, NULL);
    if (!text || image_digest_parse(&digest, text, NULL) < 0)
        return;
    out->len = sizeof digest.sha256;
    memcpy(out->data, digest.sha256, sizeof digest.sha256);
}

static void set_hex(struct log_measurement *out, const char *text)
{
    const size_t len = text ? strlen(text) / 2 : 0;
    if (len && len <= sizeof out->data && hex_decode(out->data, len, text))
        out->len = (uint8_t)len;
}

static int record_launch(struct call *call, const struct guest_row *g, const json_t *result,
                         enum log_launch_outcome outcome, struct cofre_err *err)
{
    CLEAN_JSON *definition = NULL;
    struct log_entry launch = {.outcome = outcome, .guest = g->number};
    int rc = guest_definition(&definition, call->db, g->number, g->started_version, err);
    if (rc < 0)
        return rc;
    (void)snprintf(launch.object_name, sizeof launch.object_name, "%s", g->name);
    (void)snprintf(launch.tenant, sizeof launch.tenant, "%s", g->tenant);
    (void)snprintf(launch.request, sizeof launch.request, "%s", g->request);
    (void)snprintf(launch.detail, sizeof launch.detail, "%.200s", g->why);
    (void)snprintf(launch.tee, sizeof launch.tee, "%s", g->tee);
    launch.emulated = member_boolean(definition, "emulated", false);
    set_digest(&launch.kernel, definition, "kernel");
    set_digest(&launch.initrd, definition, "initrd");
    set_digest(&launch.id_block, definition, "id_block");
    set_hex(&launch.expected, g->expected);
    set_hex(&launch.host_data,
            member_text(definition, "host_data", member_text(definition, "mrconfigid", NULL)));
    const char *bits = member_text(definition, "policy", member_text(definition, "attributes", "0"));
    launch.guest_policy = strtoull(bits, NULL, 16);
    if (result && audit_launch_result(&launch, result, err) < 0)
        log_warn("guest %s of tenant %s: %s", g->name, g->tenant, err->text);
    return audit_launch(call->turn, &launch, NULL, err);
}

static void tell(struct call *call)
{
    event_happens(call->decider, guest_state_names[call->guest.state], &call->guest);
    waiters_look(call->decider, &call->guest);
}

static int launched(struct call *call, struct cofre_err *err)
{
    const struct tidings *t = call->data;
    struct guest_row *g = &call->guest;
    int rc = guest_row_find_run(g, call->db, t->run, err);
    if (rc != 0)
        return rc < 0 ? rc : 0; /* it was started anew, or deleted, meanwhile */
    const char *given =
        json_string_value(json_object_get(json_object_get(t->result, "measurement"), "given"));
    g->launches++;
    (void)snprintf(g->measurement, sizeof g->measurement, "%s", given ? given : "");
    rc = guest_happens(call, g, GUEST_LAUNCHED, err);
    if (rc == 0)
        rc = record_launch(call, g, t->result, LOG_LAUNCH_RUNS, err);
    call->then = tell;
    return rc;
}

static void launches_opened(void *context, int rc, const struct hands_answer *answer, int fd,
                            const struct cofre_err *why)
{
    (void)answer;
    if (rc < 0)
        log_warn("%s", why->text);
    add_result(context, rc, fd);
    write_down(context, launched);
}

/* Ended */

static bool wants_again(const struct guest_row *g, const json_t *definition, bool broke)
{
    const char *policy = member_text(definition, "restart", "never");
    if (g->asked)
        return g->again;
    return strcmp(policy, "always") == 0 || (broke && strcmp(policy, "on-failure") == 0);
}

/* Where it cannot be started the row says why, and waits for somebody. */
static int give_up(struct call *call, const char *why, struct cofre_err *err)
{
    struct guest_row *g = &call->guest;
    guest_row_free(g);
    int rc = guest_row_find_run(g, call->db, call->run, err);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    log_warn("guest %s of tenant %s is not started again: %s", g->name, g->tenant, why);
    g->again = false;
    (void)snprintf(g->why, sizeof g->why, "it is not started again: %s", why);
    call->then = tell;
    return guest_row_change(call->db, g, err);
}

static int start_again(struct call *call, struct cofre_err *err)
{
    struct guest_row *g = &call->guest;
    int rc = guest_row_find_run(g, call->db, call->run, err);
    if (rc != 0 || !g->again || (g->state != GUEST_STOPPED && g->state != GUEST_FAILED))
        return rc < 0 ? rc : 0;
    rc = tenant_find(&call->tenant, call->db, g->tenant, err);
    if (rc == 0)
        rc = guest_begin(call, err);
    return rc < 0 ? give_up(call, err->text, err) : 0;
}

static void time_is_up(struct decider *d, uint32_t run)
{
    struct call *call = call_new(d, start_again);
    if (!call) {
        log_error("no memory to start run %u again", run);
        return;
    }
    call->run = run;
    call_later(call);
}

static void has_ended(struct call *call)
{
    struct decider *d = call->decider;
    const struct guest_row *g = &call->guest;
    struct restarts restarts = {(unsigned)g->early};
    tell(call);
    alarms_drop(d, g->run);
    streams_of_run_end(d, g->run);
    if (g->again)
        alarm_set(d, g->run, g->early ? restart_wait(&restarts, 0) : 0, time_is_up);
}

static int ended(struct call *call, struct cofre_err *err)
{
    const struct tidings *t = call->data;
    struct guest_row *g = &call->guest;
    CLEAN_JSON *definition = NULL;
    int rc = guest_row_find_run(g, call->db, t->run, err);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    if (g->state == GUEST_STOPPED || g->state == GUEST_FAILED || g->state == GUEST_DELETING)
        return 0; /* it is known */
    const bool started = g->launches > 0, broke = t->status != 0;
    const char *said = json_string_value(json_object_get(t->result, "why"));
    (void)snprintf(g->why, sizeof g->why, "%s%s",
                   t->out_of_memory ? "it used more memory than its limit; " : "",
                   *t->why           ? t->why
                   : said            ? said
                   : t->status > 128 ? "it was killed"
                                     : "");
    g->early = !g->asked && call->now - g->started < RESTART_SETTLED ? g->early + 1 : 0;
    g->ended = call->now;
    rc = guest_definition(&definition, call->db, g->number, g->started_version, err);
    g->again = rc == 0 && wants_again(g, definition, broke);
    if (rc == 0)
        rc = guest_happens(call, g, broke ? GUEST_BROKE : GUEST_ENDED, err);
    if (rc == 0 && !started)
        rc = record_launch(call, g, t->result, LOG_LAUNCH_FAILED, err);
    call->then = has_ended;
    return rc;
}

static void open_file(struct tidings *t, enum hands_file file, hands_answered *answered)
{
    const struct hands_open open = {.file = file};
    struct cofre_err err = {""};
    if (hands_client_ask(t->decider->hands, HANDS_OPEN, t->run, &open, NULL, 0, answered, t, &err) < 0)
        answered(t, -COFRE_FAILED, NULL, -1, &err);
}

/* One that did not come so far as to have a result has said why in its log. */
static void log_opened(void *context, int rc, const struct hands_answer *answer, int fd,
                       const struct cofre_err *why)
{
    struct tidings *t = context;
    CLEAN_FREE char *line = rc == 0 ? read_last_line(fd) : NULL;
    (void)answer;
    (void)why;
    if (fd >= 0)
        close(fd);
    if (line)
        (void)snprintf(t->why, sizeof t->why, "%s", line);
    write_down(t, ended);
}

static void result_opened(void *context, int rc, const struct hands_answer *answer, int fd,
                          const struct cofre_err *why)
{
    struct tidings *t = context;
    (void)answer;
    (void)why;
    add_result(t, rc, fd);
    const json_t *code = json_object_get(t->result, "exit_code");
    if (t->status < 0 && json_is_integer(code)) /* hands was not there to see it */
        t->status = (int32_t)json_integer_value(code);
    if (t->result)
        write_down(t, ended);
    else
        open_file(t, HANDS_FILE_LOG, log_opened);
}

void news_of_end(struct decider *d, uint32_t run, int32_t status, bool out_of_memory, const char *why)
{
    struct tidings *t = tidings_new(d, run);
    if (!t)
        return;
    t->status = status;
    t->out_of_memory = out_of_memory;
    (void)snprintf(t->why, sizeof t->why, "%s", why);
    write_down(t, ended);
}

static void tell_end(struct decider *d, uint32_t run, const struct hands_ended *ended_how)
{
    struct tidings *t = tidings_new(d, run);
    if (!t)
        return;
    t->status = ended_how->status;
    t->out_of_memory = ended_how->out_of_memory;
    open_file(t, HANDS_FILE_RESULT, result_opened);
}

static void tell_launch(struct decider *d, uint32_t run)
{
    struct tidings *t = tidings_new(d, run);
    if (t)
        open_file(t, HANDS_FILE_LAUNCHES, launches_opened);
}

void news_arrive(struct decider *d, const struct hands_answer *news)
{
    if (news->header.what == HANDS_LAUNCHED)
        tell_launch(d, news->header.guest);
    else
        tell_end(d, news->header.guest, &news->ended);
}

/* Coming back */

/* What hands has of a row's run. */
enum there { NOTHING, RUNNING, FROZEN, ENDED };

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
    const bool rests = (g->state == GUEST_STOPPED || g->state == GUEST_FAILED) && !g->again;
    return entry_of(m, g->run) || !rests;
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

static int delete_it(struct call *call, struct cofre_err *err)
{
    const struct tidings *t = call->data;
    int rc = guest_row_find_run(&call->guest, call->db, t->run, err);
    if (rc == 0)
        rc = guest_images_drop(call->decider->images, call->db, call->guest.number, err);
    if (rc >= 0 && call->guest.number)
        rc = guest_row_remove(call->db, call->guest.number, err);
    return rc < 0 ? rc : 0;
}

static void write_deletion(struct decider *d, uint32_t run)
{
    struct tidings *t = tidings_new(d, run);
    if (t)
        write_down(t, delete_it);
}

static void lost(struct decider *d, uint32_t run)
{
    news_of_end(d, run, -1, false, "this host was started anew while it ran");
}

static void never_begun(struct decider *d, const struct guest_row *g)
{
    starting_begin(d, g, 0);
}

static void missed_launch(struct decider *d, const struct guest_row *g, const struct hands_entry *e)
{
    if (e->launches > (uint32_t)g->launches)
        tell_launch(d, g->run);
}

/* One row for each pair that leads to something. */
static void meet(struct decider *d, const struct guest_row *g, const struct hands_entry *e)
{
    const enum there there = !e                             ? NOTHING
                             : e->state == HANDS_IS_RUNNING ? RUNNING
                             : e->state == HANDS_IS_FROZEN  ? FROZEN
                                                            : ENDED;
    const bool lasts = there == RUNNING || there == FROZEN;
    if (lasts)
        missed_launch(d, g, e);
    if (there == ENDED && g->state != GUEST_STOPPED && g->state != GUEST_FAILED && g->state != GUEST_DELETING)
        tell_end(d, g->run, &e->ended);
    switch (g->state) {
    case GUEST_STARTING:
        if (there == NOTHING)
            never_begun(d, g);
        break;
    case GUEST_RUNNING:
        if (there == NOTHING)
            lost(d, g->run);
        if (there == FROZEN) /* that it was paused was never acknowledged */
            hands_do(d, HANDS_THAW, g->run);
        break;
    case GUEST_PAUSED:
        if (there == NOTHING)
            lost(d, g->run);
        if (there == RUNNING)
            hands_do(d, HANDS_FREEZE, g->run);
        break;
    case GUEST_STOPPING:
        if (there == NOTHING)
            news_of_end(d, g->run, -1, false, "");
        if (lasts)
            guest_ask_to_end(d, g->run, STOP_SECONDS);
        break;
    case GUEST_STOPPED:
    case GUEST_FAILED:
        if (lasts)
            hands_do(d, HANDS_KILL, g->run);
        if (g->again)
            time_is_up(d, g->run);
        break;
    case GUEST_DELETING:
        if (there != NOTHING)
            hands_do(d, HANDS_REMOVE, g->run);
        write_deletion(d, g->run);
        break;
    case GUEST_STATES:
        break;
    }
}

static void listed(void *context, int rc, const struct hands_answer *answer, int fd,
                   const struct cofre_err *why)
{
    struct decider *d = context;
    struct cofre_err err = {""};
    (void)fd;
    struct meeting *m = rc == 0 ? calloc(1, sizeof *m) : NULL;
    bool *met = calloc(HANDS_GUESTS_MAX, sizeof *met);
    if (rc == 0 && (!m || !met))
        rc = cofre_fail(&err, COFRE_FAILED, "no memory");
    if (rc == 0) {
        m->decider = d;
        m->list = &answer->list;
        m->met = met;
        rc = guests_all(d->db, take_row, m, &err);
        for (size_t i = 0; i < m->rows; i++) {
            if (rc == 0)
                meet(d, &m->row[i], entry_of(m, m->row[i].run));
            guest_row_free(&m->row[i]);
        }
        for (uint32_t i = 0; rc == 0 && i < m->list->count; i++)
            if (!met[i]) /* of a guest that was started anew, or deleted, since */
                hands_do(d, HANDS_REMOVE, m->list->entry[i].guest);
    }
    if (rc < 0) { /* what is not known cannot be managed: the next start tries again */
        d->lost = rc;
        (void)cofre_fail(&d->why, COFRE_FAILED,
                         "what runs on this host could not be brought together with what is known: %s",
                         why && *why->text ? why->text : err.text);
        event_base_loopbreak(d->base);
    }
    if (m)
        free(m->row);
    free(m);
    free(met);
}

void reconcile(struct decider *d)
{
    struct cofre_err err = {""};
    if (hands_client_ask(d->hands, HANDS_LIST, 0, NULL, NULL, 0, listed, d, &err) < 0)
        log_error("%s", err.text);
}
